// Which pictures there are, and which figures of a result go into each. A picture is chosen by part,
// unit and conditions rather than by the words of a measure; one whose figures a result does not have
// is left out, and one that was not selected for a picture still stands in the tables.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchResult } from '../result.ts';
import { barChart } from './bar-chart.ts';
import { type LinePanel, lineChart } from './line-chart.ts';
import { groupBy, type Row, type Table, tablesOf } from './summary.ts';
import { conditionText } from './words.ts';

/** All of our pictures begin so: others in the folder are left alone. */
const PREFIX = 'bench-';
/** Of several numbers of connections, bars show the one that is nearest to this. */
const USUAL_CONNECTIONS = 65_536;
/** A picture of more would be no picture. */
const MOST_PANELS = 12;

export interface Picture {
  /** 'bench-throughput.svg' */
  readonly file: string;
  /** Of the result; the document shows it there. */
  readonly part: string;
  readonly title: string;
  readonly svg: string;
}

interface Choice {
  readonly file: string;
  readonly title: string;
  isChosen(table: Table): boolean;
}

interface LineChoice extends Choice {
  /** Condition that is the horizontal axis. */
  readonly x: RegExp;
  readonly isXLogarithmic: boolean;
  xLabel(key: string): string;
}

/** Of what passed, not of what was offered. */
const isPacketRate = ({ part, measure, unit }: Table): boolean =>
  part === 'packets' && /^([kM]?pps|packets\/s)$/.test(unit) && !/\boffered\b/.test(measure);

const isAddedLatency = ({ measure, unit }: Table): boolean =>
  /\badded\b/.test(measure) && /^(us|ms)$/.test(unit);

const BARS: readonly Choice[] = [
  {
    file: 'throughput',
    title: 'Forwarded packets per second',
    isChosen: isPacketRate,
  },
  {
    file: 'cpu',
    title: 'CPU time of the balancer',
    isChosen: ({ measure }) => /^CPU time per \w+$/.test(measure),
  },
  {
    file: 'latency-tcp',
    title: 'TCP latency added over direct',
    isChosen: (table) => table.part === 'connections' && isAddedLatency(table),
  },
  {
    file: 'latency-udp',
    title: 'UDP latency added over direct',
    isChosen: (table) => table.part === 'latency' && isAddedLatency(table),
  },
  {
    file: 'flip',
    title: 'Longest gap in forwarding while configurations are replaced',
    isChosen: ({ part, measure }) => part === 'flip' && /\bgap\b/.test(measure),
  },
];

const LINES: readonly LineChoice[] = [
  {
    file: 'connections',
    title: 'Forwarded packets per second against open connections',
    x: /^(connections|flows)$/,
    isXLogarithmic: true,
    xLabel: () => 'connections',
    isChosen: isPacketRate,
  },
  {
    file: 'loss',
    title: 'Packets lost against the rate offered',
    x: /offered/i,
    isXLogarithmic: false,
    xLabel: offeredLabel,
    isChosen: ({ part, measure }) => part === 'packets' && /\b(loss|lost)\b/.test(measure),
  },
  {
    file: 'filter',
    title: 'The packet filter alone, TypeScript and C',
    x: /^connections$/,
    isXLogarithmic: true,
    xLabel: () => 'connections, each packet of one at random',
    isChosen: ({ part, unit }) => part === 'filter' && unit === 'ns/packet',
  },
];

/** 'offeredMpps' as 'offered, Mpps'. */
function offeredLabel(key: string): string {
  const unit = key.replace(/^offered/i, '');
  if (/percent/i.test(unit)) return 'offered, percent of what each was found to carry';
  return unit === '' ? 'offered' : `offered, ${unit}`;
}

/** Rows for bars: of several numbers of connections the usual one, and nothing of a curve. */
function barRows({ rows }: Table): Row[] {
  const counts = [...new Set(rows.map(({ condition }) => condition.connections))].filter(
    (count): count is number => typeof count === 'number' && count > 0,
  );
  if (counts.length < 2) return [...rows];
  const distance = (count: number) => Math.abs(Math.log(count / USUAL_CONNECTIONS));
  const [usual] = counts.sort((a, b) => distance(a) - distance(b));
  return rows.filter(({ condition }) => {
    return condition.connections === undefined || condition.connections === usual;
  });
}

function barPicture(choice: Choice, tables: readonly Table[]): Picture | undefined {
  const chosen = tables.filter(
    (table) => choice.isChosen(table) && lineKey(table, /offered/i) === undefined,
  );
  // What all panels show is said above them, and room for titles is short.
  const isOneMeasure = new Set(chosen.map(({ measure }) => measure)).size === 1;
  const panels = chosen.flatMap((table) =>
    groupBy(barRows(table), ({ condition }) => conditionText(condition)).map((bars) => {
      const { measure, unit, better } = table;
      const under = conditionText(bars[0].condition);
      const named = isOneMeasure ? under : `${measure}, ${under}`;
      const title = under === '' ? measure : named;
      return { part: table.part, title, unit, better, bars };
    }),
  );
  if (panels.length === 0) return undefined;
  const { title } = choice;
  const svg = barChart({ title, panels: panels.slice(0, MOST_PANELS) });
  return { file: `${PREFIX}${choice.file}.svg`, part: panels[0].part, title, svg };
}

/** The condition that was varied in a table, when it has three numbers or more. */
function lineKey({ rows }: Table, pattern: RegExp): string | undefined {
  const keys = new Set(rows.flatMap(({ condition }) => Object.keys(condition)));
  return [...keys].find((key) => {
    const numbers = rows.map(({ condition }) => condition[key]).filter(isNumber);
    return pattern.test(key) && new Set(numbers).size >= 3;
  });
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

/** A panel for each combination of the other conditions under which a curve was taken. */
function linePanels(table: Table, key: string): LinePanel[] {
  const { measure, unit, better } = table;
  const rows = table.rows.filter(({ condition }) => isNumber(condition[key]));
  return groupBy(rows, ({ condition }) => conditionText(condition, [key])).flatMap((group) => {
    const others = conditionText(group[0].condition, [key]);
    const lines = groupBy(group, ({ contender }) => contender).map((ofOne) => ({
      contender: ofOne[0].contender,
      points: ofOne
        .map((row) => ({ ...row, x: row.condition[key] as number }))
        .sort((a, b) => a.x - b.x),
    }));
    const isCurve = lines.some(({ points }) => points.length > 2);
    const title = others === '' ? measure : `${measure}, ${others}`;
    return isCurve ? [{ title, unit, better, lines }] : [];
  });
}

function linePicture(choice: LineChoice, tables: readonly Table[]): Picture | undefined {
  const found = tables
    .filter((table) => choice.isChosen(table))
    .flatMap((table) => {
      const key = lineKey(table, choice.x);
      return key === undefined ? [] : [{ table, key }];
    });
  const panels = found.flatMap(({ table, key }) => linePanels(table, key));
  if (panels.length === 0) return undefined;
  const [{ table, key }] = found;
  const { title, isXLogarithmic } = choice;
  const xLabel = choice.xLabel(key);
  const svg = lineChart({ title, xLabel, isXLogarithmic, panels: panels.slice(0, MOST_PANELS) });
  return { file: `${PREFIX}${choice.file}.svg`, part: table.part, title, svg };
}

/** The pictures that this result has the figures for. */
export function picturesOf(result: BenchResult): Picture[] {
  const tables = tablesOf(result);
  return [
    ...BARS.map((choice) => barPicture(choice, tables)),
    ...LINES.map((choice) => linePicture(choice, tables)),
  ].filter((picture): picture is Picture => picture !== undefined);
}

/**
 * Writes the pictures of a result into a folder, which is made if it is not there; takes away those
 * of an earlier result.
 * @returns the paths of the files written
 */
export function writePictures(result: BenchResult, directory: string): string[] {
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(directory)) {
    if (name.startsWith(PREFIX) && name.endsWith('.svg')) rmSync(join(directory, name));
  }
  return picturesOf(result).map(({ file, svg }) => {
    const path = join(directory, file);
    writeFileSync(path, svg);
    return path;
  });
}
