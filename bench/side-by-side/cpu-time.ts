// How much CPU time carrying traffic costs, measured alike for processes and for the kernel. The
// kernel forwards in softirqs that are charged to whoever happens to run, so the times of processes
// may miss it; and where times are sampled by the tick they miss what lasts microseconds.
// What is always right is the time in which a CPU was idle: busy = elapsed - idle - stolen. It is
// read from /proc/timer_list (nanoseconds), or from /proc/stat (a hundredth of a second) where that
// cannot be read. Three figures are recorded, because each errs elsewhere:
//   own      busy time of the CPUs under test, on which nothing else runs, and what the contender's
//            threads that may not run there used elsewhere (weir's control processor, an nginx
//            master); less what direct left on those CPUs at the same load: the machine's own noise.
//   machine  busy time of all CPUs less that of direct at the same load: nothing can hide, not even
//            softirqs on the clients' CPU; but it holds the scatter of clients and servers, too,
//            and what they do differently because they meet the balancer and not each other.
//   threads  time of the contender's threads, the kernel's that poll for it among them: little
//            troubled by whoever else uses the machine, blind for softirqs charged to others.
// proc_stat(5), proc_pid_schedstat; kernel/time/timer_list.c, kernel/time/tick-sched.c.

import { readdirSync, readFileSync } from 'node:fs';
import { execute } from '../../src/lab/command.ts';
import { allowedCpus, parseCpuList, runOnCpus } from '../../src/sys/affinity.ts';
import { LOAD_CPU } from './bench-network.ts';

/** Of /proc/stat; the same on every architecture that Linux shows to programs. */
const TICKS_PER_SECOND = 100;
const NANOSECONDS = 1e9;
/** Columns of a CPU's line in /proc/stat. */
const IDLE_COLUMN = 4;
const WAITING_COLUMN = 5;
const STOLEN_COLUMN = 8;

interface TaskTime {
  readonly seconds: number;
  /** CPUs on which the task may run. */
  readonly cpus: readonly number[];
}

export interface CpuReading {
  readonly atMs: number;
  /** By CPU. */
  readonly idleSeconds: readonly number[];
  readonly stolenSeconds: readonly number[];
  /** Of the contender's threads, by their ids. */
  readonly tasks: ReadonlyMap<number, TaskTime>;
}

export interface CpuUse {
  readonly seconds: number;
  /** By CPU. */
  readonly busySeconds: readonly number[];
  /** All CPUs together. */
  readonly machineSeconds: number;
  /** The contender's own threads, wherever they ran. */
  readonly taskSeconds: number;
  /** The CPUs under test, and those of the contender's threads that may not run there. */
  readonly ownSeconds: number;
  /** Of the CPUs under test, what no thread bound to them has used: for others, or unaccounted for. */
  readonly othersSeconds: number;
}

/** Idle time and time taken by the hypervisor by CPU, in seconds, from /proc/stat. */
export function parseStat(text: string): { idle: number[]; stolen: number[] } {
  const idle: number[] = [];
  const stolen: number[] = [];
  for (const line of text.split('\n')) {
    const columns = line.split(/\s+/);
    const cpu = /^cpu(\d+)$/.exec(columns[0]);
    if (cpu === null) continue;
    const at = (column: number) => Number(columns[column] ?? 0) / TICKS_PER_SECOND;
    idle[Number(cpu[1])] = at(IDLE_COLUMN) + at(WAITING_COLUMN);
    stolen[Number(cpu[1])] = at(STOLEN_COLUMN);
  }
  return { idle, stolen };
}

/** Idle time by CPU in seconds from /proc/timer_list, without the idle period that goes on now. */
export function parseTimerList(text: string): number[] {
  const idle: number[] = [];
  for (const block of text.split(/^cpu: /m).slice(1)) {
    const asleep = /\.idle_sleeptime\s*:\s*(\d+) nsecs/.exec(block);
    const waiting = /\.iowait_sleeptime\s*:\s*(\d+) nsecs/.exec(block);
    if (asleep === null) continue;
    const nanoseconds = Number(asleep[1]) + Number(waiting?.[1] ?? 0);
    idle[Number.parseInt(block, 10)] = nanoseconds / NANOSECONDS;
  }
  return idle;
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return otherwise;
  }
}

/** A thread that ends in the middle of this is left out; its CPU's busy time still has it. */
function readTasks(processes: readonly { readonly pid: number }[]): Map<number, TaskTime> {
  const tasks = new Map<number, TaskTime>();
  for (const { pid: process } of processes) {
    let ids: string[] = [];
    try {
      ids = readdirSync(`/proc/${process}/task`);
    } catch {
      continue;
    }
    for (const id of ids) {
      const folder = `/proc/${process}/task/${id}`;
      const ran = readOr(`${folder}/schedstat`, '').split(' ')[0];
      const cpus = /^Cpus_allowed_list:\s*(\S+)/m.exec(readOr(`${folder}/status`, ''));
      if (ran === '' || cpus === null) continue;
      tasks.set(Number(id), { seconds: Number(ran) / NANOSECONDS, cpus: parseCpuList(cpus[1]) });
    }
  }
  return tasks;
}

/** Reads all clocks; `processes` are the contender's. */
export function readCpuTimes(processes: readonly { readonly pid: number }[] = []): CpuReading {
  const tasks = readTasks(processes);
  const precise = parseTimerList(readOr('/proc/timer_list', ''));
  const { idle, stolen } = parseStat(readOr('/proc/stat', ''));
  const atMs = performance.now();
  // Only /proc/stat counts the idle period that goes on now, and only timer_list what is shorter
  // than a hundredth of a second. Neither ever runs ahead of the truth, so the later is the better.
  const idleSeconds = idle.map((seconds, cpu) => Math.max(seconds, precise[cpu] ?? 0));
  return { atMs, idleSeconds, stolenSeconds: stolen, tasks };
}

/** What was used between two readings; `cpus` are those under test. */
export function cpuUseBetween(
  before: CpuReading,
  after: CpuReading,
  cpus: readonly number[],
): CpuUse {
  const seconds = (after.atMs - before.atMs) / 1000;
  const busySeconds = after.idleSeconds.map((idle, cpu) => {
    const idleFor = idle - before.idleSeconds[cpu];
    const stolenFor = after.stolenSeconds[cpu] - before.stolenSeconds[cpu];
    return Math.max(0, seconds - idleFor - stolenFor);
  });
  let taskSeconds = 0;
  const onCpus = cpus.reduce((sum, cpu) => sum + (busySeconds[cpu] ?? 0), 0);
  let boundSeconds = 0;
  let awaySeconds = 0;
  for (const [id, task] of after.tasks) {
    const used = task.seconds - (before.tasks.get(id)?.seconds ?? 0);
    taskSeconds += used;
    if (!task.cpus.some((cpu) => cpus.includes(cpu))) awaySeconds += used;
    else if (task.cpus.every((cpu) => cpus.includes(cpu))) boundSeconds += used;
  }
  const machineSeconds = busySeconds.reduce((sum, busy) => sum + busy, 0);
  return {
    seconds,
    busySeconds,
    machineSeconds,
    taskSeconds,
    ownSeconds: onCpus + awaySeconds,
    othersSeconds: Math.max(0, onCpus - boundSeconds),
  };
}

/** Runs `work` and tells what was used meanwhile. */
export async function whileMeasuringCpu<Result>(
  processes: () => readonly { readonly pid: number }[],
  cpus: readonly number[],
  work: () => Promise<Result>,
): Promise<{ result: Result; use: CpuUse }> {
  const before = readCpuTimes(processes());
  const result = await work();
  return { result, use: cpuUseBetween(before, readCpuTimes(processes()), cpus) };
}

/**
 * Does `work` on the CPU of the load, and with it whatever is started meanwhile. Contenders are
 * started outside of it: they choose for themselves, and may only choose among what they were
 * given.
 */
export async function onLoadCpu<Result>(work: () => Promise<Result>): Promise<Result> {
  const before = allowedCpus();
  runOnCpus([LOAD_CPU]);
  try {
    return await work();
  } finally {
    runOnCpus(before);
  }
}

/**
 * Binds to the CPU of the load those threads of a contender that might run on either (a compiler, a
 * collector, a control processor): what floats would be found in one figure today and in none
 * tomorrow. Without a thread bound to the CPUs under test nothing is changed.
 */
export function confine(
  processes: readonly { readonly pid: number }[],
  cpus: readonly number[],
): void {
  const tasks = [...readTasks(processes)];
  const isUnderTest = (cpu: number) => cpus.includes(cpu);
  if (!tasks.some(([, task]) => task.cpus.every(isUnderTest))) return;
  const floating = tasks.filter(
    ([, task]) => task.cpus.some(isUnderTest) && !task.cpus.every(isUnderTest),
  );
  for (const [id] of floating) {
    execute('taskset', ['-c', '-p', String(LOAD_CPU), String(id)], { mayFail: true });
  }
}
