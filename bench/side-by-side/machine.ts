// What a run was made on: without it figures say nothing. Only what can be found out is said; a
// version that a program does not tell is left out.

import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { execute, findProgram, topFolder } from '../../src/lab/command.ts';
import type { Machine } from './result.ts';

const GIBIBYTE = 2 ** 30;
/** Columns of the first line of /proc/stat. */
const STOLEN_COLUMN = 8;
const GUEST_COLUMN = 9;

const VERSIONS: readonly { name: string; program: string; args: string[] }[] = [
  { name: 'nftables', program: 'nft', args: ['--version'] },
  { name: 'haproxy', program: 'haproxy', args: ['-v'] },
  { name: 'nginx', program: 'nginx', args: ['-v'] },
  { name: 'iperf3', program: 'iperf3', args: ['--version'] },
  { name: 'h2load', program: 'h2load', args: ['--version'] },
  { name: 'clang', program: 'clang', args: ['--version'] },
];

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The first thing that looks like a version: '2.6.12-1+deb12u3' of a line that holds it. */
export function versionIn(text: string): string | undefined {
  return /\d+\.\d+(?:\.\d+)?(?:[-+~.][\w.+~-]+)?/.exec(text)?.[0];
}

function versions(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, program, args } of VERSIONS) {
    if (findProgram(program) === undefined) continue;
    const { stdout, stderr } = execute(program, args, { mayFail: true });
    const version = versionIn(`${stdout}\n${stderr}`);
    if (version !== undefined) found[name] = version;
  }
  return found;
}

/** CPU time of the whole machine since its start, in ticks. */
export interface MachineTime {
  readonly stolen: number;
  readonly total: number;
}

export function parseMachineTime(stat: string): MachineTime {
  const columns = (stat.split('\n')[0] ?? '').trim().split(/\s+/);
  // The time of guests is within that of their hosts.
  const times = columns.slice(1, GUEST_COLUMN).map(Number);
  return {
    stolen: times[STOLEN_COLUMN - 1] ?? 0,
    total: times.reduce((sum, time) => sum + time, 0),
  };
}

export function machineTime(): MachineTime {
  return parseMachineTime(textOf('/proc/stat'));
}

/** `git describe`, or '' outside a clone. */
export function revision(): string {
  if (findProgram('git') === undefined) return '';
  const args = ['-C', topFolder(), 'describe', '--always', '--dirty'];
  const { status, stdout } = execute('git', args, { mayFail: true });
  return status === 0 ? stdout.trim() : '';
}

/** @param since the machine's time when the run began, for what was stolen from it */
export function describeMachine(drivers: string, since: MachineTime): Machine {
  const now = machineTime();
  const ticks = now.total - since.total;
  const cpuInfo = textOf('/proc/cpuinfo');
  return {
    cpu: cpus()[0]?.model.trim() ?? '',
    cpus: cpus().length,
    memoryGiB: Math.round((totalmem() / GIBIBYTE) * 10) / 10,
    isVirtual: /^flags\s*:.*\bhypervisor\b/m.test(cpuInfo),
    kernel: release(),
    distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(textOf('/etc/os-release'))?.[1] ?? '',
    node: process.version,
    drivers,
    versions: versions(),
    stealPercent: ticks === 0 ? 0 : ((now.stolen - since.stolen) / ticks) * 100,
  };
}
