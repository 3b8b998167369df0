// least-response-time: who answers twice as fast gets twice as much of its configured weight.
//
// It does not try to make the times equal: a slow server would then be emptied while the fast ones
// are idle, and near saturation, where times explode, weights would swing. In proportion to 1/time
// both figures have a middle, because a server answers more slowly the more it is given.
//
// The herd guard lengthens the time in proportion to what the backend carries more than it did when
// the time was measured.

/** Shorter times are not told apart. */
const SHORTEST_TIME_MS = 0.1;

/**
 * @param timeMs of a request, smoothed
 * @param change what the backend carries now, as a multiple of what it carried when that was
 *   measured; 1 without the herd guard
 * @returns a factor on the configured weight, in units that are the same for all; above 0
 */
export function leastResponseTimeWish(timeMs: number, change: number): number {
  return 1 / (Math.max(SHORTEST_TIME_MS, timeMs) * Math.max(1, change));
}
