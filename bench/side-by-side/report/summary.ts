// From the flat list of series to tables: one for each measure of each part, a row for each condition
// and contender, the rows of one condition side by side. Everything that shows figures (terminal,
// pictures, document) starts from here, so a median is the same median everywhere.

import type { BenchResult, Condition, Series } from '../result.ts';
import { conditionText } from './words.ts';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

export interface Row extends Spread {
  readonly contender: string;
  readonly condition: Condition;
  /** What tells this row from those under other conditions; '' when there are no others. */
  readonly conditionText: string;
  /** Median as a multiple of the reference's under the same condition; absent without one. */
  readonly ratio?: number;
}

export interface Table {
  readonly part: string;
  readonly measure: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  /** The contender that ratios refer to; absent when it was not measured. */
  readonly reference?: string;
  /** Conditions that are the same in all rows; the rows tell the others. */
  readonly conditionText: string;
  readonly rows: readonly Row[];
}

/** What a part is compared with, the first that was measured. */
const REFERENCES: Readonly<Record<string, readonly string[]>> = {
  filter: ['C twin', 'c-twin'],
  connections: ['haproxy', 'nftables', 'direct'],
  bulk: ['direct', 'nftables'],
  latency: ['direct', 'nftables'],
  memory: ['haproxy', 'nginx'],
};
const OTHER_REFERENCES = ['nftables', 'haproxy', 'direct'];

/** The middle of the values and their extremes. Values that are no numbers were never measured. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = values.filter((value) => Number.isFinite(value)).sort((a, b) => a - b);
  const rounds = sorted.length;
  if (rounds === 0) return undefined;
  const median = (sorted[(rounds - 1) >> 1] + sorted[rounds >> 1]) / 2;
  return { median, min: sorted[0], max: sorted[rounds - 1], rounds };
}

/** Groups in the order of their first members. */
export function groupBy<Item>(items: readonly Item[], key: (item: Item) => string): Item[][] {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return [...groups.values()];
}

function referenceOf(part: string, contenders: readonly string[]): string | undefined {
  const wanted = REFERENCES[part] ?? OTHER_REFERENCES;
  // A table of one contender compares nothing.
  if (new Set(contenders).size < 2) return undefined;
  return wanted.find((name) => contenders.includes(name));
}

/** Numbers by size, words after them, so that 1 k comes before 64 k whatever came first. */
function compareConditions(a: Condition, b: Condition): number {
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  for (const key of keys) {
    const [left, right] = [a[key], b[key]];
    if (left === right) continue;
    if (typeof left === 'number' && typeof right === 'number') return left - right;
    // Words keep their order of appearance.
    return 0;
  }
  return 0;
}

/** Keys that have one and the same value in all series. */
function commonKeys(series: readonly Series[]): string[] {
  const [{ condition: first }] = series;
  return Object.keys(first).filter((key) =>
    series.every(({ condition }) => condition[key] === first[key]),
  );
}

function rowsOf(
  series: readonly Series[],
  reference: string | undefined,
  common: readonly string[],
): Row[] {
  const measured = series.flatMap((each) => {
    const spread = spreadOf(each.values);
    return spread === undefined ? [] : [{ each, spread }];
  });
  const groups = groupBy(measured, ({ each }) => conditionText(each.condition));
  groups.sort(([a], [b]) => compareConditions(a.each.condition, b.each.condition));
  return groups.flatMap((group) => {
    const base = group.find(({ each }) => each.contender === reference)?.spread.median;
    return group.map(({ each, spread }) => {
      // A multiple of nothing, or of a difference below it, says nothing.
      const isRatio = base !== undefined && base > 0 && spread.median >= 0;
      const ratio = isRatio ? { ratio: spread.median / base } : {};
      const { contender, condition } = each;
      const text = conditionText(condition, common);
      return { ...spread, ...ratio, contender, condition, conditionText: text };
    });
  });
}

/** All tables of a result, parts and measures in the order in which they were measured. */
export function tablesOf({ series }: BenchResult): Table[] {
  const parts = groupBy(series, ({ part }) => part);
  return parts.flatMap((ofPart) =>
    groupBy(ofPart, ({ measure, unit }) => `${measure}\n${unit}`).flatMap((group) => {
      const { part, measure, unit, better } = group[0];
      const contenders = group.map(({ contender }) => contender);
      const reference = referenceOf(part, contenders);
      const common = commonKeys(group);
      const rows = rowsOf(group, reference, common);
      if (rows.length === 0) return [];
      const hasRatio = rows.some(({ ratio }) => ratio !== undefined);
      const others = Object.keys(group[0].condition).filter((key) => !common.includes(key));
      const text = conditionText(group[0].condition, others);
      const head = { part, measure, unit, better, conditionText: text };
      return [{ ...head, ...(hasRatio ? { reference } : {}), rows }];
    }),
  );
}

/** Heading of a table: 'throughput, Mpps (more is better)'. */
export function tableTitle({ measure, unit, better, conditionText: under }: Table): string {
  return `${measure}${under === '' ? '' : `, ${under}`}: ${unit}, ${better} is better`;
}
