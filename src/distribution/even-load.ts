// even-load: every server as busy as the others. A server's utilisation is taken apart into what our
// connections cause and what is foreign (another program, a backup):
//
//   utilisation = slope × carried + foreign          carried: see herd-guard.ts
//
// and the connections that all of them carry are shared out anew, so that each comes to the same
// utilisation, or carries next to nothing if its foreign load alone is more. Both figures are of the
// moment of the report, and smoothed alike; so the result is the same whether it came early or late.
//
// The slope is all load per connection at first, and learned from how utilisation follows when what
// is carried changes. A jump of utilisation by itself is taken for foreign load. The slope is never
// taken for less than a part of all load per connection: being wrong then costs a step too short or
// one too far by a bounded part, which the next reports show. Wherever the slopes stand, equal
// utilisation is where the rule rests.

import { clamp } from './limits.ts';
import type { LoadEstimate } from './service-distribution.ts';

/** Added to utilisations: between 1 % and 3 % there is no difference worth moving anything for. */
export const IDLE_UTILIZATION = 0.05;

/** The smallest slope, as a part of all load per connection. */
const LEAST_SLOPE_PART = 0.45;
/** A change of what is carried by less than this part teaches little: it drowns in noise. */
const TELLING_CHANGE = 0.2;
/** By at most this part one report changes it. */
const LARGEST_LESSON = 0.3;
/** From here on busy CPUs cannot get busier, and do not show the slope. */
const SATURATED = 0.97;
/** By this part, per report, the slope forgets what it learned. */
const FORGETTING = 0.02;

/**
 * Utilisation per connection carried, after one more report.
 *
 * @param utilization, carried of this report, not smoothed: of a jump, smoothing leaves an echo that
 *   looks as if it followed from what was carried meanwhile
 * @param whole all load per connection, smoothed
 */
export function learnedSlope(
  before: LoadEstimate | undefined,
  utilization: number,
  carried: number,
  whole: number,
): number {
  if (before?.last === undefined || before.slope === undefined) return whole;
  let slope = before.slope + FORGETTING * (whole - before.slope);
  if (Math.max(utilization, before.last.utilization) < SATURATED) {
    const change = carried - before.last.carried;
    const surprise = utilization - before.last.utilization - slope * change;
    const certainty = change * change + (TELLING_CHANGE * carried) ** 2;
    const lesson = (change * surprise) / certainty;
    slope += clamp(lesson, -LARGEST_LESSON * slope, LARGEST_LESSON * slope);
  }
  return clamp(slope, LEAST_SLOPE_PART * whole, whole);
}

/** One backend's load, as it was when it reported. */
export interface CarriedLoad {
  readonly utilization: number;
  readonly slope: number;
  readonly carried: number;
}

/** What of the utilisation our connections do not cause. */
export function foreignLoad({ utilization, slope, carried }: CarriedLoad): number {
  return Math.max(0, utilization + IDLE_UTILIZATION - slope * carried);
}

/**
 * Shares out what all carry, so that utilisations become equal.
 *
 * @returns what each should carry; above 0
 */
export function evenLoadWishes(loads: readonly CarriedLoad[]): number[] {
  const total = loads.reduce((sum, load) => sum + load.carried, 0);
  const foreign = loads.map(foreignLoad);
  // As water fills a vessel of an uneven floor: whose foreign load is above the level takes no part.
  const order = loads.map((_, i) => i).sort((a, b) => foreign[a] - foreign[b]);
  let room = 0;
  let used = 0;
  let level = Number.POSITIVE_INFINITY;
  for (const i of order) {
    if (foreign[i] >= level) break;
    room += 1 / loads[i].slope;
    used += foreign[i] / loads[i].slope;
    level = (total + used) / room;
  }
  const least = 1e-6 * total;
  return loads.map((load, i) => Math.max(least, (level - foreign[i]) / load.slope));
}

/**
 * Without the herd guard: the utilisation as if it were of this moment, against the weight in force.
 *
 * @returns what the backend should get, in units that are the same for all of a service; above 0
 */
export function naiveWish(utilization: number, weight: number): number {
  return weight / (utilization + IDLE_UTILIZATION);
}
