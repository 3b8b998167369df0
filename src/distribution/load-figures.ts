// From the figures of a load report to the three that the algorithms work with: utilisation, rate,
// time. Sources know different figures, so each of the three says which it was made from.
//
//   utilisation  the application's own, else that of the CPUs
//                + a quarter of the CPU pressure, once the CPUs are nearly full: beyond 100 % a busy
//                  share cannot show by how much a server is overloaded, the waiting can
//                and at least twice the memory pressure: a server in which some task waits for
//                  memory for half of the time is full, whatever its CPUs do. (How full the memory
//                  is does not count: caches fill it on purpose. I/O pressure does not either: a
//                  backup causes it, and no distribution of connections makes it go away.)
//                + errors per request × the penalty, so that a server which fails fast does not
//                  look idle (ORCA)
//   rate         requests per second, else connections per second
//   time         mean execution time, else the time to the first answer seen by the data plane
//
// Invariant: total. Whatever the report holds, each figure is absent or finite and within its range.

import type { LoadFigures } from '../load/load-report.ts';

/** Twice full. What says more acts the same, and a lie does not linger in the smoothed value. */
export const MAX_UTILIZATION = 2;
const MAX_RATE = 1e9;
/** Less counts as none: of what rounds to nothing beside others no factor can be made. */
const MIN_RATE = 1e-6;
const MAX_TIME_MS = 86_400_000;

/** From here on, up to 1, pressure is added to the utilisation. */
const NEARLY_FULL = 0.9;
const CPU_PRESSURE_FACTOR = 0.25;
const MEMORY_PRESSURE_FACTOR = 2;

export interface LoadSample {
  readonly utilization?: number;
  readonly rate?: number;
  readonly timeMs?: number;
}

/** Reads one report. `answerTimeMs` is what the data plane measured, for reports without a time. */
export function loadSample(
  figures: LoadFigures,
  errorPenalty: number,
  answerTimeMs?: number,
): LoadSample {
  const utilization = utilizationOf(figures, errorPenalty, undefined);
  const rate = rateOf(figures);
  const timeMs = timeOf(figures, answerTimeMs);
  return {
    ...(utilization !== undefined && { utilization }),
    ...(rate !== undefined && { rate }),
    ...(timeMs !== undefined && { timeMs }),
  };
}

/** What the three were made from, in words: 'CPU 82 %', '120 requests/s'; empty when absent. */
export function loadTexts(figures: LoadFigures, errorPenalty: number, answerTimeMs?: number) {
  const utilization: string[] = [];
  utilizationOf(figures, errorPenalty, utilization);
  const rate = rateOf(figures);
  const requests = figures.requestsPerSecond === undefined ? 'connections' : 'requests';
  const timeMs = timeOf(figures, answerTimeMs);
  const answers = figures.executionTimeMs === undefined ? 'first answers after' : 'requests take';
  return {
    utilization: utilization.join(', '),
    rate: rate === undefined ? '' : `${rounded(rate)} ${requests}/s`,
    time: timeMs === undefined ? '' : `${answers} ${rounded(timeMs)} ms`,
  };
}

/** 0.823 → '82 %'. */
export function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

/** Says in `texts`, if given, what it is made from. */
function utilizationOf(
  figures: LoadFigures,
  errorPenalty: number,
  texts: string[] | undefined,
): number | undefined {
  const application = within(figures.applicationUtilization, MAX_UTILIZATION);
  let utilization = application ?? within(figures.cpuUtilization, MAX_UTILIZATION);
  if (utilization === undefined) return undefined;
  texts?.push(`${application === undefined ? 'CPU' : 'application'} ${percent(utilization)}`);
  const cpuPressure = within(figures.cpuPressure, 1) ?? 0;
  const fullness = Math.min(1, Math.max(0, (utilization - NEARLY_FULL) / (1 - NEARLY_FULL)));
  if (application === undefined && cpuPressure > 0 && fullness > 0) {
    utilization += fullness * CPU_PRESSURE_FACTOR * cpuPressure;
    texts?.push(`tasks waiting for a CPU ${percent(cpuPressure)} of the time`);
  }
  const memoryPressure = within(figures.memoryPressure, 1) ?? 0;
  if (MEMORY_PRESSURE_FACTOR * memoryPressure > utilization) {
    utilization = MEMORY_PRESSURE_FACTOR * memoryPressure;
    texts?.push(`tasks waiting for memory ${percent(memoryPressure)} of the time`);
  }
  const errors = errorsPerRequest(figures);
  const penalty = errors * (Number.isFinite(errorPenalty) ? Math.max(0, errorPenalty) : 0);
  if (penalty > 0) {
    utilization += penalty;
    texts?.push(`errors ${percent(errors)} of the requests`);
  }
  return Math.min(MAX_UTILIZATION, utilization);
}

function errorsPerRequest(figures: LoadFigures): number {
  const errors = within(figures.errorsPerSecond, MAX_RATE) ?? 0;
  const requests = within(figures.requestsPerSecond ?? figures.connectionsPerSecond, MAX_RATE) ?? 0;
  if (errors === 0) return 0;
  return requests > 0 ? Math.min(1, errors / requests) : 1;
}

function rateOf(figures: LoadFigures): number | undefined {
  const rate = within(figures.requestsPerSecond ?? figures.connectionsPerSecond, MAX_RATE);
  return rate === undefined || rate < MIN_RATE ? undefined : rate;
}

function timeOf(figures: LoadFigures, answerTimeMs: number | undefined): number | undefined {
  const timeMs = within(figures.executionTimeMs ?? answerTimeMs, MAX_TIME_MS);
  return timeMs === 0 ? undefined : timeMs;
}

/** Three digits that count, or all before the point: 0.0123, 4.57, 812, 12345. */
export function rounded(value: number): string {
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))}`;
}

/** The figure, brought into its range; absent when it is no number. */
function within(value: number | undefined, greatest: number): number | undefined {
  if (typeof value !== 'number' || Number.isNaN(value)) return undefined;
  return Math.min(greatest, Math.max(0, value));
}
