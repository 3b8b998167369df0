// Work that costs CPU time and nothing else: hashing, until the process has used up what was asked for.
// CPU time is counted, not time on the clock: a process that is held back (by a quota, by others on
// the CPU) takes longer for the same work, as a real one does.

import { createHash } from 'node:crypto';

/** Hashed at a time: about 5 µs, so that a request of a millisecond is exact to a percent. */
const CHUNK = Buffer.alloc(2048, 'weir');

/** The CPU time that this process has used, with all its threads. */
export function usedCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Uses CPU time. Blocks the process meanwhile, as a computation in Node does. */
export function burnCpu(milliseconds: number): void {
  const end = usedCpuMs() + milliseconds;
  while (usedCpuMs() < end) createHash('sha256').update(CHUNK).digest();
}
