// CPUs of our own by a cpuset partition (cgroup version 2): nobody else's threads run on them, ours
// only those that are put there. Only the threads that switch are: a process's helper threads stay where
// they were, and so they must have been made before. That takes a threaded group below the group that
// weir runs in, which must have been left to it (under systemd by `Delegate=cpuset`) and be a partition
// itself: to make one elsewhere takes CAP_SYS_ADMIN, which weir does not keep. Tried with Linux 6.12;
// how to set it up: docs/guides/production.md.
// Kernel documentation: Documentation/admin-guide/cgroup-v2.rst, "Cpuset" and "Threads".

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { allowedCpus, parseCpuList } from './affinity.ts';

const GROUP = 'weir-switching';
/** States of a group below which there can be partitions. */
const PARTITIONS = ['root', 'isolated'];

/** Where cgroup version 2 is mounted, by /proc/self/mountinfo; undefined where it is not. */
function unifiedMount(): string | undefined {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  // The fifth column is the mount point; the type stands behind ' - '.
  return lines.find((line) => line.includes(' - cgroup2 '))?.split(' ')[4];
}

/** The folder of the group that this process is in. */
function ownGroup(): string | undefined {
  const mount = unifiedMount();
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  return mount === undefined || own === undefined ? undefined : join(mount, own);
}

function read(folder: string, file: string): string {
  return readFileSync(join(folder, file), 'utf8').trim();
}

/** CPUs of a partition that weir has made already; nobody else in its group sees them. */
function partitionCpus(group: string): number[] {
  try {
    const folder = join(group, GROUP);
    if (!PARTITIONS.includes(read(folder, 'cpuset.cpus.partition'))) return [];
    return parseCpuList(read(folder, 'cpuset.cpus'));
  } catch {
    return [];
  }
}

/** CPUs that switching processors may be given: this process's, and those set apart for them already. */
export function usableCpus(group = ownGroup()): number[] {
  const apart = group === undefined ? [] : partitionCpus(group);
  return [...new Set([...allowedCpus(), ...apart])].sort((a, b) => a - b);
}

/** The CPUs must be the group's, and others must be left to what else is in it. */
function whyNotEnough(group: string, cpus: readonly number[]): string {
  const list = read(group, 'cpuset.cpus.effective');
  const available = parseCpuList(list);
  const foreign = cpus.filter((cpu) => !available.includes(cpu));
  if (foreign.length > 0) return `CPU ${foreign.join(',')} is none of the group ${group} (${list})`;
  if (available.every((cpu) => cpus.includes(cpu))) {
    return `the group ${group} has no CPU besides (${list}) for weir's other threads`;
  }
  return '';
}

/** Why there can be no partition of these CPUs here; '' where there can. @param group for tests */
export function whyNoPartition(cpus: readonly number[], group = ownGroup()): string {
  if (group === undefined) return 'cgroup version 2 is not mounted';
  try {
    if (!read(group, 'cgroup.controllers').split(' ').includes('cpuset')) {
      const isOld = /^\d+:cpuset:/m.test(readFileSync('/proc/self/cgroup', 'utf8'));
      return isOld
        ? 'the cpuset controller is bound to cgroup version 1, which has no partitions'
        : `the group ${group} was not given the cpuset controller`;
    }
    if (!existsSync(join(group, 'cpuset.cpus.partition'))) {
      return `${group} is the group of the whole machine, and none that was left to weir`;
    }
    const state = read(group, 'cpuset.cpus.partition');
    const apart = partitionCpus(group);
    if (cpus.every((cpu) => apart.includes(cpu))) return '';
    if (PARTITIONS.includes(state)) return whyNotEnough(group, cpus);
    return `the group ${group} is no partition itself (cpuset.cpus.partition: ${state})`;
  } catch (error) {
    return `${group} cannot be read: ${(error as NodeJS.ErrnoException).code}`;
  }
}

/** A partition that was made, or why not. */
export type PartitionResult = { readonly folder: string } | { readonly reason: string };

/**
 * Makes a partition of these CPUs below the group of this process. What was made before it failed is
 * taken away again.
 * @param group for tests
 */
export function makePartition(cpus: readonly number[], group = ownGroup()): PartitionResult {
  const reason = whyNoPartition(cpus, group);
  if (reason !== '' || group === undefined) return { reason };
  const folder = join(group, GROUP);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'cgroup.type'), 'threaded');
    writeFileSync(join(group, 'cgroup.subtree_control'), '+cpuset');
    writeFileSync(join(folder, 'cpuset.cpus'), cpus.join(','));
    try {
      writeFileSync(join(folder, 'cpuset.cpus.exclusive'), cpus.join(','));
    } catch {
      // Before Linux 6.7 there is none, and a partition only below another.
    }
    writeFileSync(join(folder, 'cpuset.cpus.partition'), 'isolated');
    const state = read(folder, 'cpuset.cpus.partition');
    if (state === 'isolated') return { folder };
    removePartition(folder);
    return { reason: `the kernel made no partition of ${folder}: ${state}` };
  } catch (error) {
    removePartition(folder);
    const { code, path } = error as NodeJS.ErrnoException;
    return { reason: `${path ?? folder}: ${code ?? error}` };
  }
}

/**
 * Moves the main thread of a process there. What threads it makes afterwards would be there too, so that
 * it must have made them. @returns '' or why not
 */
export function joinPartition(folder: string, pid: number): string {
  try {
    writeFileSync(join(folder, 'cgroup.threads'), String(pid));
    return '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** Gives the CPUs back to everybody; nothing may run there any more. */
export function removePartition(folder: string): void {
  try {
    writeFileSync(join(folder, 'cpuset.cpus.partition'), 'member', { flag: 'r+' });
  } catch {
    // It was never made one.
  }
  try {
    rmdirSync(folder);
    // Else the group above would stay one of threads.
    writeFileSync(join(dirname(folder), 'cgroup.subtree_control'), '-cpuset');
  } catch {
    // Somebody is still in it, or it is not there: an empty group that is left does no harm.
  }
}
