// Another program on a server, which wants CPU time and has nothing to do with requests: a process that
// is busy for a given part of one CPU, all the time. What it did not get it does not make up for.
// Run as: cpu-hog.js '{"share":0.12}' (CpuHogOptions). Writes a line when it begins.

import { setPriority } from 'node:os';
import { burnCpu, usedCpuMs } from './busy-work.ts';

export interface CpuHogOptions {
  /** Of one CPU, 0 to 1. */
  share: number;
  /** -20 to 19. Default 0: as everybody else. */
  niceness?: number;
}

const TURN_MS = 10;
/** The most that is made up for at once: a longer wait was somebody else's turn. */
const CATCH_UP_MS = 10;

const { share, niceness = 0 } = JSON.parse(process.argv[2]) as CpuHogOptions;
setPriority(niceness);
let lastMs = performance.now();
let lastUsedMs = usedCpuMs();
let owedMs = 0;
setInterval(() => {
  const now = performance.now();
  // What Node itself needs for a turn counts as well.
  const used = usedCpuMs();
  owedMs = Math.min(owedMs + (now - lastMs) * share - (used - lastUsedMs), CATCH_UP_MS);
  lastMs = now;
  lastUsedMs = used;
  if (owedMs > 0) burnCpu(owedMs);
}, TURN_MS);
process.on('SIGTERM', () => process.exit(0));
process.stdout.write('busy\n');
