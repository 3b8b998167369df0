// The clock of the packet path: the same milliseconds as base/clock.ts, read without allocating
// anything. performance.now() makes a number object at every call, which is a collection of garbage
// every few seconds for a processor that takes thousands of turns in one.

import { addressOf, libc } from './libc.ts';

const CLOCK_MONOTONIC = 1;
const CLOCK_THREAD_CPUTIME_ID = 3;
// struct timespec: seconds i64, nanoseconds i64. The functions below keep it from being collected.
const time = new Int32Array(new ArrayBuffer(64));
const timeAddress = addressOf(time);
const SECONDS = 0;
const NANOSECONDS = 2;
const NANOSECONDS_PER_MS = 1_000_000;
const MICROSECONDS_PER_SECOND = 1_000_000;

/** Milliseconds of CLOCK_MONOTONIC as an int32 that wraps; compare by (a - b) | 0. @hot */
export function clockMs(): number {
  libc.clock_gettime(CLOCK_MONOTONIC, timeAddress);
  return (Math.imul(time[SECONDS], 1000) + ((time[NANOSECONDS] / NANOSECONDS_PER_MS) | 0)) | 0;
}

/**
 * Microseconds of CPU time that this thread has had, as an int32 that wraps: what others on the machine
 * took from it does not count. A system call; compare by (a - b) | 0. @hot
 */
export function threadMicroseconds(): number {
  libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, timeAddress);
  const microseconds = (time[NANOSECONDS] / 1000) | 0;
  return (Math.imul(time[SECONDS], MICROSECONDS_PER_SECOND) + microseconds) | 0;
}
