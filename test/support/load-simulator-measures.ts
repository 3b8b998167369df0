// What is measured on a run of the load simulator, defined once. All of it is about the weights and
// the utilisation that they come to ("expected"), not about the chance of single connections.

import type { Sample } from './load-simulator.ts';

/** The last part of a run, over which the final values are means. */
const FINAL_SAMPLES = 30;

export interface Settling {
  /**
   * Periods of the master from the step until the utilisation of the stepped server has come within a
   * tenth of the step to its final value for good. The first period cannot show anything: the first
   * report about the step is made in it.
   */
  readonly periods: number;
  /** How far the utilisation fell below its final value at worst, as a part of the step. */
  readonly overshoot: number;
}

/** How the server at `index` settled after a step of its utilisation by `step` at `stepAtMs`. */
export function settling(
  samples: readonly Sample[],
  index: number,
  stepAtMs: number,
  step: number,
): Settling {
  const after = samples.filter(({ timeMs }) => timeMs > stepAtMs);
  const course = after.map(({ expected }) => expected[index]);
  const final = mean(course.slice(-FINAL_SAMPLES));
  const tolerance = step / 10;
  let periods = course.length;
  while (periods > 0 && Math.abs(course[periods - 1] - final) <= tolerance) periods--;
  return { periods: periods + 1, overshoot: (final - Math.min(...course)) / step };
}

/** Greatest difference between the servers' mean utilisations over the end of the run. */
export function finalSpread(samples: readonly Sample[]): number {
  const means = finalUtilizations(samples);
  return Math.max(...means) - Math.min(...means);
}

/** Mean utilisation of each server over the end of the run. */
export function finalUtilizations(samples: readonly Sample[]): number[] {
  const end = samples.slice(-FINAL_SAMPLES);
  return end[0].expected.map((_, i) => mean(end.map(({ expected }) => expected[i])));
}

export interface Restlessness {
  /** (greatest − least) / mean of a server's weight; the worst server. */
  readonly swing: number;
  /** How often a weight turned round after having moved by a fifth or more; the worst server. */
  readonly reversals: number;
  /** The greatest utilisation that any server's share came to. */
  readonly peak: number;
}

/** A loop that oscillates turns round for ever; one that is only disturbed comes to rest. */
export function restlessness(samples: readonly Sample[]): Restlessness {
  const servers = samples[0].weights.map((_, i) => samples.map(({ weights }) => weights[i]));
  return {
    swing: Math.max(...servers.map((w) => (Math.max(...w) - Math.min(...w)) / mean(w))),
    reversals: Math.max(...servers.map((weights) => reversals(weights, 1.2))),
    peak: Math.max(...samples.map(({ expected }) => Math.max(...expected))),
  };
}

/** Turns of a course after moves by at least the factor `least`. */
export function reversals(course: readonly number[], least: number): number {
  let turns = 0;
  let direction = 0;
  let extreme = course[0];
  for (const value of course) {
    if (direction >= 0 && value < extreme / least) {
      if (direction > 0) turns++;
      direction = -1;
      extreme = value;
    } else if (direction <= 0 && value > extreme * least) {
      if (direction < 0) turns++;
      direction = 1;
      extreme = value;
    }
    if (direction > 0) extreme = Math.max(extreme, value);
    if (direction < 0) extreme = Math.min(extreme, value);
  }
  return turns;
}

/** The value below which `part` of all are. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Rows of texts as a table with a title, for the output of a test. */
export function table(title: string, rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) => row.map((cell, i) => cell.padStart(widths[i])).join('  '));
  return [`\n${title}`, ...lines, ''].join('\n');
}
