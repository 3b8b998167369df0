// Which CPUs there are and which one a processor runs on. Only the main thread, which switches, is
// pinned: Node's helper threads (compiler, garbage collection) stay free to run elsewhere.
// man 2 sched_setaffinity.

import { readdirSync, readFileSync } from 'node:fs';
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

/** Binds a thread, of any process of the same user, to these CPUs. @throws SystemError */
export function bindThread(thread: number, cpus: readonly number[]): void {
  const mask = new Uint8Array(MASK_SIZE);
  for (const cpu of cpus) mask[cpu >> 3] |= 1 << (cpu & 7);
  const result = libc.sched_setaffinity(thread, MASK_SIZE, mask);
  must(result, 'sched_setaffinity', `CPU ${cpus.join(',')}`);
}

/** Binds the calling thread to these CPUs. @throws SystemError */
export function runOnCpus(cpus: readonly number[]): void {
  bindThread(0, cpus);
}

/**
 * Binds all threads of this process, and so the processes that it starts from now on, to the CPUs that
 * are left when `taken` are somebody else's. Where none is left nothing changes.
 * @returns the CPUs that are left
 * @throws SystemError
 */
export function leaveCpus(taken: readonly number[]): number[] {
  const left = allowedCpus().filter((cpu) => !taken.includes(cpu));
  if (taken.length === 0 || left.length === 0) return left;
  for (const thread of readdirSync('/proc/self/task')) bindThread(Number(thread), left);
  return left;
}
