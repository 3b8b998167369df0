// The clock of the packet path: the same milliseconds as base/clock.ts, read without allocating
// anything. performance.now() makes a number object at every call, which is a collection of garbage
// every few seconds for a processor that takes thousands of turns in one.

import { addressOf, libc } from './libc.ts';

const CLOCK_MONOTONIC = 1;
// struct timespec: seconds i64, nanoseconds i64. The functions below keep it from being collected.
const time = new Int32Array(new ArrayBuffer(64));
const timeAddress = addressOf(time);
const SECONDS = 0;
const NANOSECONDS = 2;
const NANOSECONDS_PER_MS = 1_000_000;

/** Milliseconds of CLOCK_MONOTONIC as an int32 that wraps; compare by (a - b) | 0. @hot */
export function clockMs(): number {
  libc.clock_gettime(CLOCK_MONOTONIC, timeAddress);
  return (Math.imul(time[SECONDS], 1000) + ((time[NANOSECONDS] / NANOSECONDS_PER_MS) | 0)) | 0;
}
