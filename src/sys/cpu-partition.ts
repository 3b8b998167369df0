// CPUs of our own by a cpuset partition (cgroup version 2): nobody else's threads run on them, ours
// only those that are put there. Only the threads that switch are: a process's helper threads stay where
// they were. That takes a threaded group below the group that weir runs in, which must have been left to
// it: under systemd by `Delegate=cpuset`.
// Kernel documentation: Documentation/admin-guide/cgroup-v2.rst, "Cpuset" and "Threads".

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const GROUP = 'weir-switching';

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

/** Why there can be no partition here; '' where one may be tried. @param group for tests */
export function whyNoPartition(group = ownGroup()): string {
  if (group === undefined) return 'cgroup version 2 is not mounted';
  try {
    if (read(group, 'cgroup.controllers').split(' ').includes('cpuset')) return '';
    const isOld = /^\d+:cpuset:/m.test(readFileSync('/proc/self/cgroup', 'utf8'));
    return isOld
      ? 'the cpuset controller is bound to cgroup version 1, which has no partitions'
      : `the group ${group} was not given the cpuset controller`;
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
  const reason = whyNoPartition(group);
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

/** Moves the main thread of a process there. @returns '' or why not */
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
    writeFileSync(join(folder, 'cpuset.cpus.partition'), 'member');
  } catch {
    // It was never made one.
  }
  try {
    rmdirSync(folder);
  } catch {
    // Somebody is still in it, or it is not there: an empty group that is left does no harm.
  }
}
