// Time for tables and timers: milliseconds of CLOCK_MONOTONIC as an int32 that wraps every 49 days.
// All processes of a machine see the same clock, so a time written into main memory by one can be
// compared by another. Compare only by (a - b) | 0, never by < or >.

import { performance } from 'node:perf_hooks';

// performance.now() is CLOCK_MONOTONIC less this process's start; process.hrtime() is not. Reading
// the difference once gives an absolute clock that costs no allocation per reading.
const seconds = process.hrtime();
const OFFSET_MS = seconds[0] * 1000 + seconds[1] / 1e6 - performance.now();

/** Monotonic milliseconds, int32. The packet path reads the same clock by sys/clock.ts. */
export function monotonicMs(): number {
  return (performance.now() + OFFSET_MS) | 0;
}

/** The same clock, not wrapped: for times that may lie further apart than 24 days. */
export function monotonicMsUnwrapped(): number {
  return performance.now() + OFFSET_MS;
}
