// What control remembers of one backend as a row of numbers: the master's memory of it, its newest report, its health.
// Sixteen thousand backends as JSON are ten megabytes and a tenth of a second, each second; as rows they are six,
// written in a few milliseconds. Names, and what servers say in words, stand beside the rows (runtime-state.ts).
//
// Invariant: a row is ROW_LENGTH numbers; NaN stands for what is not there. Each part is taken back whole, with
// every number that it needs, or not at all: one that is none would go through every mean to all weights.

import type { BackendMemory, LoadEstimate } from '../distribution/service-distribution.ts';
import type { HealthMemory } from '../health/checker.ts';
import {
  LOAD_SOURCES,
  type LoadFigures,
  type LoadReport,
  type LoadWish,
} from '../load/load-report.ts';
import { LOAD_FIGURES } from '../load/report-limits.ts';

type Numbers<Of> = { [Key in keyof Of as number extends Of[Key] ? Key : never]-?: true };
type Required<Of> = { [Key in keyof Of as Of[Key] extends number ? Key : never]: true };

// What is not named here would be forgotten: so a number that is added does not compile until it is.
const MEMORY = keysOf<Required<BackendMemory>>({
  weight: true,
  connectionLimit: true,
  exactWeight: true,
  baseWeight: true,
  takingMs: true,
  feedback: true,
  wish: true,
  begunConnections: true,
  begunStock: true,
  weightStock: true,
});
const ESTIMATE = keysOf<Omit<Numbers<LoadEstimate>, 'carried'>>({
  utilization: true,
  slope: true,
  noise: true,
  rate: true,
  timeMs: true,
});
const HEALTH = keysOf<Omit<Required<HealthMemory>, 'status'>>({
  sinceMs: true,
  flaps: true,
  flapLevel: true,
});
const WISH = keysOf<Numbers<LoadWish>>({
  weight: true,
  weightPercent: true,
  connectionLimit: true,
});
const ADMINISTRATIVE = ['ready', 'drain', 'maint'] as const;
const OPERATIONAL = ['up', 'down'] as const;

const SLOW_START_AT = MEMORY.length + 1;
const SEEN_AT = SLOW_START_AT + 2;
const ESTIMATE_AT = SEEN_AT + 2;
const REPORT_AT = ESTIMATE_AT + 3 + ESTIMATE.length;
const WISH_AT = REPORT_AT + 3 + LOAD_FIGURES.length;
const HEALTH_AT = WISH_AT + 2 + WISH.length;
export const ROW_LENGTH = HEALTH_AT + 4 + HEALTH.length;

function keysOf<Of extends object>(keys: Of): readonly (keyof Of & string)[] {
  return Object.keys(keys) as (keyof Of & string)[];
}

/** Everything that a row has room for; what is undefined is not kept. */
export interface BackendRow {
  readonly memory?: BackendMemory | undefined;
  /** Without what its words are. */
  readonly report?: LoadReport | undefined;
  readonly health?: HealthMemory | undefined;
}

/** @param at where the row begins in `rows` */
export function writeRow(rows: Float64Array, at: number, { memory, report, health }: BackendRow) {
  rows.fill(Number.NaN, at, at + ROW_LENGTH);
  if (memory !== undefined) writeMemory(rows, at, memory);
  if (report !== undefined) writeReport(rows, at, report);
  if (health !== undefined) writeHealth(rows, at + HEALTH_AT, health);
}

function writeMemory(rows: Float64Array, at: number, memory: BackendMemory): void {
  const { isTaking, slowStart, report, estimate } = memory;
  for (let i = 0; i < MEMORY.length; i++) rows[at + i] = memory[MEMORY[i]];
  rows[at + MEMORY.length] = isTaking ? 1 : 0;
  if (slowStart !== undefined) {
    rows[at + SLOW_START_AT] = slowStart.fromWeight;
    rows[at + SLOW_START_AT + 1] = slowStart.elapsedMs;
  }
  if (report !== undefined) {
    rows[at + SEEN_AT] = report.sequence;
    rows[at + SEEN_AT + 1] = report.receivedAtMs;
  }
  if (estimate === undefined) return;
  const from = at + ESTIMATE_AT;
  rows[from] = estimate.carried;
  rows[from + 1] = estimate.last?.utilization ?? Number.NaN;
  rows[from + 2] = estimate.last?.carried ?? Number.NaN;
  for (let i = 0; i < ESTIMATE.length; i++)
    rows[from + 3 + i] = estimate[ESTIMATE[i]] ?? Number.NaN;
}

function writeReport(rows: Float64Array, at: number, report: LoadReport): void {
  const from = at + REPORT_AT;
  rows[from] = LOAD_SOURCES.indexOf(report.source);
  rows[from + 1] = report.sequence;
  rows[from + 2] = report.receivedAtMs;
  const { figures, wish } = report;
  for (let i = 0; i < LOAD_FIGURES.length; i++) {
    rows[from + 3 + i] = figures[LOAD_FIGURES[i]] ?? Number.NaN;
  }
  if (wish === undefined) return;
  const words = at + WISH_AT;
  rows[words] = wish.administrative ? ADMINISTRATIVE.indexOf(wish.administrative) : -1;
  rows[words + 1] = wish.operational ? OPERATIONAL.indexOf(wish.operational) : -1;
  for (let i = 0; i < WISH.length; i++) rows[words + 2 + i] = wish[WISH[i]] ?? Number.NaN;
}

function writeHealth(rows: Float64Array, from: number, health: HealthMemory): void {
  rows[from] = health.status === 'up' ? 1 : 0;
  rows[from + 1] = health.returnedAtMs ?? Number.NaN;
  rows[from + 2] = health.heldUntilMs ?? Number.NaN;
  rows[from + 3] = health.onProbation ? 1 : 0;
  for (let i = 0; i < HEALTH.length; i++) rows[from + 4 + i] = health[HEALTH[i]];
}

/** The master's memory of a backend; undefined: it has none, or not all of it is there. */
export function readMemory(row: Float64Array, name: string): BackendMemory | undefined {
  if (!areNumbers(row, 0, SLOW_START_AT)) return undefined;
  const numbers = take(row, 0, MEMORY) as Record<(typeof MEMORY)[number], number>;
  const [carried, lastUtilization, lastCarried] = row.subarray(ESTIMATE_AT, ESTIMATE_AT + 3);
  const isLast = areNumbers(row, ESTIMATE_AT + 1, 2);
  const estimate: LoadEstimate | undefined = Number.isFinite(carried)
    ? {
        carried,
        ...take(row, ESTIMATE_AT + 3, ESTIMATE),
        ...(isLast && { last: { utilization: lastUtilization, carried: lastCarried } }),
      }
    : undefined;
  const [fromWeight, elapsedMs] = row.subarray(SLOW_START_AT, SLOW_START_AT + 2);
  const [sequence, receivedAtMs] = row.subarray(SEEN_AT, SEEN_AT + 2);
  return {
    name,
    ...numbers,
    isTaking: row[MEMORY.length] === 1,
    ...(areNumbers(row, SLOW_START_AT, 2) && { slowStart: { fromWeight, elapsedMs } }),
    ...(areNumbers(row, SEEN_AT, 2) && { report: { sequence, receivedAtMs } }),
    ...(estimate !== undefined && { estimate }),
  };
}

/** The newest report about a backend, as far as it is numbers; undefined: there is none. */
export function readReport(
  row: Float64Array,
  backend: string,
  identity: string,
): LoadReport | undefined {
  const source = LOAD_SOURCES[row[REPORT_AT]];
  if (source === undefined || !areNumbers(row, REPORT_AT, 3)) return undefined;
  const figures: LoadFigures = take(row, REPORT_AT + 3, LOAD_FIGURES);
  const report = { backend, source, identity, figures };
  const [sequence, receivedAtMs] = row.subarray(REPORT_AT + 1, REPORT_AT + 3);
  const wish = readWish(row);
  return { ...report, sequence, receivedAtMs, ...(wish !== undefined && { wish }) };
}

function readWish(row: Float64Array): LoadWish | undefined {
  if (!areNumbers(row, WISH_AT, 2)) return undefined;
  const administrative = ADMINISTRATIVE[row[WISH_AT]];
  const operational = OPERATIONAL[row[WISH_AT + 1]];
  return {
    ...take(row, WISH_AT + 2, WISH),
    ...(administrative !== undefined && { administrative }),
    ...(operational !== undefined && { operational }),
  };
}

/** What was known of a backend's health; undefined: nothing. */
export function readHealth(row: Float64Array): HealthMemory | undefined {
  if (!Number.isFinite(row[HEALTH_AT]) || !areNumbers(row, HEALTH_AT + 4, HEALTH.length)) {
    return undefined;
  }
  const [isUp, returnedAtMs, heldUntilMs, onProbation] = row.subarray(HEALTH_AT, HEALTH_AT + 4);
  return {
    status: isUp === 1 ? 'up' : 'down',
    ...(take(row, HEALTH_AT + 4, HEALTH) as Record<(typeof HEALTH)[number], number>),
    ...(Number.isFinite(returnedAtMs) && { returnedAtMs }),
    ...(Number.isFinite(heldUntilMs) && { heldUntilMs }),
    ...(onProbation === 1 && { onProbation: true }),
  };
}

function areNumbers(row: Float64Array, from: number, count: number): boolean {
  for (let i = from; i < from + count; i++) if (!Number.isFinite(row[i])) return false;
  return true;
}

/** Those that are there. */
function take<Key extends string>(
  row: Float64Array,
  from: number,
  keys: readonly Key[],
): { [K in Key]?: number } {
  const found: { [K in Key]?: number } = {};
  for (let i = 0; i < keys.length; i++) {
    if (Number.isFinite(row[from + i])) found[keys[i]] = row[from + i];
  }
  return found;
}
