// Holds a group of processes to a part of one CPU where control groups cannot be had (in a user
// namespace, in a container without them): it looks at the CPU time that they use together, stops all of
// them by SIGSTOP when the allowance of a period is used up, and lets them go on in a later one. That is
// what the kernel's own bandwidth control does, with a coarser clock.
// Run as: cpu-warden.js '{"share":0.2,"periodMs":20,"usageFile":"…"}'. Reads pids, one a line, from
// standard input; when that ends, it lets all go on and ends. Writes the time used to the
// file, as cgroup v2 does in cpu.stat.

import { renameSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { addressOf, libc } from '../sys/libc.ts';

export interface CpuWardenOptions {
  /** Of one CPU. */
  share: number;
  periodMs: number;
  usageFile: string;
}

const LOOK_MS = 2;
/** The clock of a process by its pid: (~pid << 3) | CPUCLOCK_SCHED (clock_getcpuclockid(3)). */
const CPU_CLOCK_OF_PROCESS = 2;

const { share, periodMs, usageFile } = JSON.parse(process.argv[2]) as CpuWardenOptions;
const time = new BigInt64Array(2);
const timeAddress = addressOf(time);
/** Pid → CPU time seen so far. */
const watched = new Map<number, number>();
let usedMs = 0;
let allowanceMs = share * periodMs;
let isStopped = false;

/** Undefined when there is no such process any more. */
function cpuMs(pid: number): number | undefined {
  const clock = (~pid << 3) | CPU_CLOCK_OF_PROCESS;
  if (libc.clock_gettime(clock, timeAddress) !== 0) return undefined;
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}

function signalAll(signal: 'SIGSTOP' | 'SIGCONT'): void {
  isStopped = signal === 'SIGSTOP';
  for (const pid of watched.keys()) {
    try {
      process.kill(pid, signal);
    } catch {
      watched.delete(pid);
    }
  }
}

function look(): void {
  for (const [pid, before] of watched) {
    const now = cpuMs(pid);
    if (now === undefined) {
      watched.delete(pid);
      continue;
    }
    watched.set(pid, now);
    usedMs += now - before;
    allowanceMs -= now - before;
  }
  if (allowanceMs <= 0 && !isStopped) signalAll('SIGSTOP');
}

function nextPeriod(): void {
  // What is over the allowance is taken from the periods to come; what is left over is not kept.
  allowanceMs = Math.min(allowanceMs, 0) + share * periodMs;
  if (allowanceMs > 0 && isStopped) signalAll('SIGCONT');
}

function write(): void {
  // In one step: who reads must not find an empty file.
  writeFileSync(`${usageFile}.new`, `usage_usec ${Math.round(usedMs * 1000)}\n`);
  renameSync(`${usageFile}.new`, usageFile);
}

let nextAt = performance.now() + periodMs;
setInterval(() => {
  look();
  const now = performance.now();
  if (nextAt <= now) write();
  for (; nextAt <= now; nextAt += periodMs) nextPeriod();
}, LOOK_MS);
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const pid = Number(line);
  watched.set(pid, cpuMs(pid) ?? 0);
  if (isStopped) signalAll('SIGSTOP');
});
lines.on('close', () => {
  signalAll('SIGCONT');
  process.exit(0);
});
write();
