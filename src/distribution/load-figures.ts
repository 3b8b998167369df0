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
const MAX_TIME_MS = 86_400_000;

/** From here on, up to 1, pressure is added to the utilisation. */
const NEARLY_FULL = 0.9;
const CPU_PRESSURE_FACTOR = 0.25;
const MEMORY_PRESSURE_FACTOR = 2;

export interface LoadSample {
  readonly utilization?: number;
  /** What the utilisation was made from, in words and per cent: 'CPU 82 %'. */
  readonly utilizationText?: string;
  readonly rate?: number;
  readonly rateText?: string;
  readonly timeMs?: number;
  readonly timeText?: string;
}

/** Reads one report. `answerTimeMs` is what the data plane measured, for reports without a time. */
export function loadSample(
  figures: LoadFigures,
  errorPenalty: number,
  answerTimeMs?: number,
): LoadSample {
  return {
    ...utilizationOf(figures, errorPenalty),
    ...rateOf(figures),
    ...timeOf(figures, answerTimeMs),
  };
}

/** 0.823 → '82 %'. */
export function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

function utilizationOf(figures: LoadFigures, errorPenalty: number): LoadSample {
  const application = within(figures.applicationUtilization, MAX_UTILIZATION);
  const cpu = within(figures.cpuUtilization, MAX_UTILIZATION);
  let utilization = application ?? cpu;
  if (utilization === undefined) return {};
  const texts = [`${application === undefined ? 'CPU' : 'application'} ${percent(utilization)}`];
  const cpuPressure = within(figures.cpuPressure, 1) ?? 0;
  const fullness = Math.min(1, Math.max(0, (utilization - NEARLY_FULL) / (1 - NEARLY_FULL)));
  if (application === undefined && cpuPressure > 0 && fullness > 0) {
    utilization += fullness * CPU_PRESSURE_FACTOR * cpuPressure;
    texts.push(`tasks waiting for a CPU ${percent(cpuPressure)} of the time`);
  }
  const memoryPressure = within(figures.memoryPressure, 1) ?? 0;
  if (MEMORY_PRESSURE_FACTOR * memoryPressure > utilization) {
    utilization = MEMORY_PRESSURE_FACTOR * memoryPressure;
    texts.push(`tasks waiting for memory ${percent(memoryPressure)} of the time`);
  }
  const errors = errorsPerRequest(figures);
  const penalty = errors * (Number.isFinite(errorPenalty) ? Math.max(0, errorPenalty) : 0);
  if (penalty > 0) {
    utilization += penalty;
    texts.push(`errors ${percent(errors)} of the requests`);
  }
  return {
    utilization: Math.min(MAX_UTILIZATION, utilization),
    utilizationText: texts.join(', '),
  };
}

function errorsPerRequest(figures: LoadFigures): number {
  const errors = within(figures.errorsPerSecond, MAX_RATE) ?? 0;
  const requests = within(figures.requestsPerSecond ?? figures.connectionsPerSecond, MAX_RATE) ?? 0;
  if (errors === 0) return 0;
  return requests > 0 ? Math.min(1, errors / requests) : 1;
}

function rateOf(figures: LoadFigures): LoadSample {
  const requests = within(figures.requestsPerSecond, MAX_RATE);
  const rate = requests ?? within(figures.connectionsPerSecond, MAX_RATE);
  if (rate === undefined || rate === 0) return {};
  const what = requests === undefined ? 'connections' : 'requests';
  return { rate, rateText: `${rounded(rate)} ${what}/s` };
}

function timeOf(figures: LoadFigures, answerTimeMs: number | undefined): LoadSample {
  const execution = within(figures.executionTimeMs, MAX_TIME_MS);
  const timeMs = execution ?? within(answerTimeMs, MAX_TIME_MS);
  if (timeMs === undefined || timeMs === 0) return {};
  const what = execution === undefined ? 'first answers after' : 'requests take';
  return { timeMs, timeText: `${what} ${rounded(timeMs)} ms` };
}

/** Three digits that count: 0.0123, 4.57, 812. */
export function rounded(value: number): string {
  return `${Number(value.toPrecision(value >= 100 ? Math.ceil(Math.log10(value + 1)) : 3))}`;
}

/** The figure, brought into its range; absent when it is no number. */
function within(value: number | undefined, greatest: number): number | undefined {
  if (typeof value !== 'number' || Number.isNaN(value)) return undefined;
  return Math.min(greatest, Math.max(0, value));
}
