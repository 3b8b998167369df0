// Which CPUs there are and which one a processor runs on. Only the main thread, which switches, is
// pinned: Node's helper threads (compiler, garbage collection) stay free to run elsewhere.
// man 2 sched_setaffinity, sched_yield.

import { readFileSync } from 'node:fs';
import { libc, must } from './libc.ts';

/** CPUs 0 … 1023: the kernel's own default limit for the mask. */
const MASK_SIZE = 128;

/** '0-2,5' → [0, 1, 2, 5] */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const part of text.trim().split(',')) {
    const [first, last = first] = part.split('-').map(Number);
    if (part === '' || Number.isNaN(first)) continue;
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** CPUs that are switched on. */
export function onlineCpus(): number[] {
  return parseCpuList(readFileSync('/sys/devices/system/cpu/online', 'utf8'));
}

/** CPUs that this process may run on. @throws SystemError */
export function allowedCpus(): number[] {
  const mask = new Uint8Array(MASK_SIZE);
  must(libc.sched_getaffinity(0, MASK_SIZE, mask), 'sched_getaffinity');
  const cpus: number[] = [];
  for (let cpu = 0; cpu < MASK_SIZE * 8; cpu++) {
    if ((mask[cpu >> 3] >> (cpu & 7)) & 1) cpus.push(cpu);
  }
  return cpus;
}

/** Binds the calling thread to these CPUs. @throws SystemError */
export function runOnCpus(cpus: readonly number[]): void {
  const mask = new Uint8Array(MASK_SIZE);
  for (const cpu of cpus) mask[cpu >> 3] |= 1 << (cpu & 7);
  const result = libc.sched_setaffinity(0, MASK_SIZE, mask);
  must(result, 'sched_setaffinity', `CPU ${cpus.join(',')}`);
}

/** Gives the CPU to another thread that wants it. @hot */
export function yieldCpu(): void {
  libc.sched_yield();
}
