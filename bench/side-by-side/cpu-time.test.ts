import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { execPath } from 'node:process';
import { afterEach, describe, expect, it } from 'vitest';
import { onlineCpus } from '../../src/sys/affinity.ts';
import { cpuUseBetween, parseStat, parseTimerList, readCpuTimes } from './cpu-time.ts';

const STAT = `cpu  694526 56254 220608 1231648 4695 0 87794 1070 0 0
cpu0 338508 28344 108862 624203 689 0 47051 557 0 0
cpu1 356017 27909 111746 607444 4006 0 40743 513 0 0
intr 14997277 0 0
`;
const TIMER_LIST = `Timer List Version: v0.10
HRTIMER_MAX_CLOCK_BASES: 8
now at 11635521642204 nsecs

cpu: 0
 clock 0:
  .base:       000000009f59f7c4
active timers:
  .idle_exittime : 11635504978028 nsecs
  .idle_sleeptime : 6272571253186 nsecs
  .iowait_sleeptime: 6899928180 nsecs
cpu: 1
  .idle_sleeptime : 6123940378183 nsecs
  .iowait_sleeptime: 40149039213 nsecs
`;

describe('what the kernel tells', () => {
  it('is idle and stolen time by CPU, waiting for a disk being idle too', () => {
    const { idle, stolen } = parseStat(STAT);
    expect(idle).toEqual([6242.03 + 6.89, 6074.44 + 40.06]);
    expect(stolen).toEqual([5.57, 5.13]);
  });

  it('is idle time to the nanosecond', () => {
    expect(parseTimerList(TIMER_LIST)).toEqual([
      (6272571253186 + 6899928180) / 1e9,
      (6123940378183 + 40149039213) / 1e9,
    ]);
  });

  it('may be nothing, where the file cannot be read', () => {
    expect(parseTimerList('')).toEqual([]);
  });
});

describe('CPU time between two readings', () => {
  const task = (seconds: number, ...cpus: number[]) => ({ seconds, cpus });
  const before = {
    atMs: 1000,
    idleSeconds: [100, 200],
    stolenSeconds: [1, 1],
    tasks: new Map([
      [10, task(5, 0)],
      [11, task(7, 1)],
      [12, task(9, 0, 1)],
    ]),
  };
  const after = {
    atMs: 3000,
    idleSeconds: [100.5, 201.75],
    stolenSeconds: [1.25, 1],
    tasks: new Map([
      [10, task(5.125, 0)],
      [11, task(7.25, 1)],
      [12, task(9.5, 0, 1)],
      [13, task(0.0625, 0)],
    ]),
  };

  it('is what was neither idle nor stolen', () => {
    const use = cpuUseBetween(before, after, [1]);
    expect(use.seconds).toBe(2);
    expect(use.busySeconds).toEqual([1.25, 0.25]);
    expect(use.machineSeconds).toBe(1.5);
  });

  it('holds all threads of the contender, new ones from their beginning', () => {
    expect(cpuUseBetween(before, after, [1]).taskSeconds).toBe(0.125 + 0.25 + 0.5 + 0.0625);
  });

  it('adds to the CPUs under test only threads that may not run there', () => {
    expect(cpuUseBetween(before, after, [1]).ownSeconds).toBe(0.25 + 0.125 + 0.0625);
  });
});

describe('what others used of the CPUs under test', () => {
  const reading = (atMs: number, idle: number, bound: number, free: number) => ({
    atMs,
    idleSeconds: [0, idle],
    stolenSeconds: [0, 0],
    tasks: new Map([
      [1, { seconds: bound, cpus: [1] }],
      [2, { seconds: free, cpus: [0, 1] }],
    ]),
  });

  it('is what the threads bound there leave, a floating one proves nothing', () => {
    const use = cpuUseBetween(reading(0, 0, 0, 0), reading(2000, 0.5, 1.25, 0.25), [1]);
    expect(use.othersSeconds).toBe(0.25);
  });

  it('is nothing when the threads have run longer than their CPU was seen busy', () => {
    const use = cpuUseBetween(reading(0, 0, 0, 0), reading(2000, 0.5, 1.6, 0), [1]);
    expect(use.othersSeconds).toBe(0);
  });
});

describe('a process that burns one CPU', () => {
  const started: { kill(): void }[] = [];
  afterEach(() => {
    for (const process of started.splice(0)) process.kill();
  });

  it('is seen on that CPU, and among the threads', async () => {
    const cpu = onlineCpus().at(-1) as number;
    const burner = spawn(
      'taskset',
      ['-c', String(cpu), execPath, '-e', 'console.log(1); for (;;);'],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    started.push(burner);
    await once(burner.stdout, 'data');
    const processes = [{ pid: burner.pid as number }];
    const before = readCpuTimes(processes);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const use = cpuUseBetween(before, readCpuTimes(processes), [cpu]);
    // The CPU never idles while it burns, whoever else wants it; what it gets of it is its share.
    expect(use.busySeconds[cpu]).toBeGreaterThan(use.seconds * 0.9);
    expect(use.busySeconds[cpu]).toBeLessThan(use.seconds * 1.01);
    expect(use.taskSeconds).toBeGreaterThan(0);
    expect(use.taskSeconds).toBeLessThan(use.seconds * 1.01);
    expect(use.ownSeconds).toBe(use.busySeconds[cpu]);
  });

  it('that sleeps instead has used next to nothing', async () => {
    const sleeper = spawn('sleep', ['5']);
    started.push(sleeper);
    const processes = [{ pid: sleeper.pid as number }];
    const before = readCpuTimes(processes);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(cpuUseBetween(before, readCpuTimes(processes), []).taskSeconds).toBeLessThan(0.05);
  });
});
