// What processes hold in memory, from /proc: resident pages, split into those that are shared through
// main memory and those of the process alone; and of main memory itself how much is really there.
// Main memory is a file without a name that lives in memory (memfd). Its allocated blocks say how much of it
// is there, once: in huge pages all of it from the start, else what any process has touched. Sums over the
// processes' resident pages would count a page again for each that has touched it.

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

export interface ProcessMemory {
  /** Bytes resident in all. */
  readonly resident: number;
  /** Of them in main memory, huge pages too. */
  readonly shared: number;
  /** Of them the process's own: heap, code, mapped files. */
  readonly own: number;
}

export interface MainMemoryUse {
  /** Bytes. */
  readonly size: number;
  /** Bytes that have pages. */
  readonly inUse: number;
}

const BLOCK_SIZE = 512;

/** Reads the memory lines of a /proc/PID/status. */
export function parseStatus(text: string): ProcessMemory {
  const bytes = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text);
    return found === null ? 0 : Number(found[1]) * 1024;
  };
  // Huge pages of the system's reserve are not counted as resident by the kernel.
  const huge = bytes('HugetlbPages');
  const shared = bytes('RssShmem') + huge;
  const resident = bytes('VmRSS') + huge;
  return { resident, shared, own: resident - shared };
}

/** @throws Error when there is no such process */
export function readProcessMemory(pid: number): ProcessMemory {
  return parseStatus(readFileSync(`/proc/${pid}/status`, 'latin1'));
}

/** Of the largest file in memory that a process has open; undefined when it has none. */
export function readMainMemory(pid: number): MainMemoryUse | undefined {
  let largest: MainMemoryUse | undefined;
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const path = `/proc/${pid}/fd/${fd}`;
    try {
      if (!readlinkSync(path).startsWith('/memfd:')) continue;
      const { size, blocks } = statSync(path);
      if (size > (largest?.size ?? 0)) largest = { size, inUse: blocks * BLOCK_SIZE };
    } catch {
      // Closed meanwhile.
    }
  }
  return largest;
}

/** Bytes of an object of the kernel's, as in /proc/slabinfo; undefined when it is not there. */
export function parseSlabObjectSize(text: string, name: string): number | undefined {
  // name, active objects, all objects, size of one …
  const found = new RegExp(`^${name} +\\d+ +\\d+ +(\\d+) `, 'm').exec(text);
  return found === null ? undefined : Number(found[1]);
}
