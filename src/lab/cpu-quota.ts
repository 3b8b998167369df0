// Makes a server of the lab as small as wanted. All namespaces share the CPUs of one machine, so without
// a limit a process that is busy on one server would slow all of them; with one, each server is a
// machine of its own with a part of a CPU, which its processes share among themselves.
//
//   cgroup v2   cpu.max in a group below the root of the hierarchy    usage: cpu.stat
//   cgroup v1   cpu.cfs_quota_us, a group in cpu and in cpuacct        usage: cpuacct.usage
//   signals     cpu-warden.ts, where neither can be written            usage: a file as cpuacct.usage
//
// The first that this machine allows is taken. Whichever it is, an observer that asks how busy such a
// server is must take its quota for the whole: utilisation = CPU time used / (time × share).
// Kernel documents: admin-guide/cgroup-v2.rst, scheduler/sched-bwc.rst.

import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeScratchFolder, registerControlGroup, removeControlGroup } from './clean-up.ts';
import { type LabProcess, startLabProgram } from './command.ts';

export type CpuQuotaKind = 'cgroup v2' | 'cgroup v1' | 'signals';

/** Short, so that a request never waits long for the next one. */
const PERIOD_MS = 20;

interface Mount {
  folder: string;
  type: string;
  options: string[];
}

function controlGroupMounts(): Mount[] {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return lines
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, folder, type, options]) => ({ folder, type, options: options.split(',') }));
}

/** A group in force: where pids are written, and where the usage is read. */
interface Group {
  kind: CpuQuotaKind;
  folders: string[];
  usageFile: string;
}

/** @throws what the file system says when it does not allow it */
function makeV2(name: string, share: number): Group {
  const mount = controlGroupMounts().find(({ type }) => type === 'cgroup2');
  if (mount === undefined) throw new Error('cgroup2 is not mounted');
  const controllers = readFileSync(join(mount.folder, 'cgroup.controllers'), 'utf8');
  if (!controllers.split(/\s+/).includes('cpu')) throw new Error('cgroup2 has no cpu controller');
  writeFileSync(join(mount.folder, 'cgroup.subtree_control'), '+cpu');
  const folder = join(mount.folder, name);
  registerControlGroup(folder);
  mkdirSync(folder);
  const period = PERIOD_MS * 1000;
  writeFileSync(join(folder, 'cpu.max'), `${Math.round(period * share)} ${period}`);
  return { kind: 'cgroup v2', folders: [folder], usageFile: join(folder, 'cpu.stat') };
}

function makeV1(name: string, share: number): Group {
  const of = (controller: string): string => {
    const found = controlGroupMounts().find(({ options }) => options.includes(controller));
    if (found === undefined) throw new Error(`cgroup ${controller} is not mounted`);
    return join(found.folder, name);
  };
  // They may be one hierarchy or two.
  const folders = [...new Set([of('cpu'), of('cpuacct')])];
  for (const folder of folders) {
    registerControlGroup(folder);
    mkdirSync(folder);
  }
  const period = PERIOD_MS * 1000;
  writeFileSync(join(folders[0], 'cpu.cfs_period_us'), String(period));
  writeFileSync(join(folders[0], 'cpu.cfs_quota_us'), String(Math.round(period * share)));
  return { kind: 'cgroup v1', folders, usageFile: join(of('cpuacct'), 'cpuacct.usage') };
}

function makeGroup(name: string, share: number): Group | undefined {
  for (const make of [makeV2, makeV1]) {
    try {
      return make(name, share);
    } catch {
      // Not allowed here, or not this version: the next kind. What was made is registered and goes.
    }
  }
  return undefined;
}

let quotasMade = 0;

/** The limit of one server. Processes are added to it; their children belong to it as well. */
export class CpuQuota {
  readonly kind: CpuQuotaKind;
  /** Of one CPU. */
  readonly share: number;
  /** Holds the CPU time used, see `readUsageMs`. */
  readonly usageFile: string;
  readonly #folders: string[];
  readonly #warden: LabProcess | undefined;

  /**
   * @param name of the server
   * @param share of one CPU, above 0
   * @param kind only for tests: this one instead of the first that is allowed
   */
  constructor(name: string, share: number, kind?: 'signals') {
    quotasMade += 1;
    this.share = share;
    const groupName = `weir-lab-${process.pid}-${quotasMade}-${name}`;
    const group = kind === undefined ? makeGroup(groupName, share) : undefined;
    this.kind = group?.kind ?? 'signals';
    this.#folders = group?.folders ?? [];
    if (group !== undefined) {
      this.usageFile = group.usageFile;
      return;
    }
    const folder = makeScratchFolder(`quota-${name}`);
    this.usageFile = join(folder, 'usage');
    const options = { share, periodMs: PERIOD_MS, usageFile: this.usageFile };
    this.#warden = startLabProgram('cpu-warden', [JSON.stringify(options)], {
      logFile: join(folder, 'log'),
      pipeInput: true,
    });
    this.#warden.child.stdin!.on('error', () => {});
  }

  /** From now on the process is one of this server's. It is not when it has ended meanwhile. */
  add(pid: number): void {
    this.#warden?.child.stdin?.write(`${pid}\n`);
    for (const folder of this.#folders) {
      try {
        appendFileSync(join(folder, 'cgroup.procs'), String(pid));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }

  /** For when its processes have ended. */
  async remove(): Promise<void> {
    this.#warden?.child.stdin?.end();
    await this.#warden?.exited;
    for (const folder of this.#folders) removeControlGroup(folder);
  }
}

/** CPU time used by all of a server's processes so far; 0 while the file is not there. */
export function readUsageMs(usageFile: string): number {
  let text: string;
  try {
    text = readFileSync(usageFile, 'utf8');
  } catch {
    return 0;
  }
  const v2 = /^usage_usec (\d+)/m.exec(text);
  return v2 === null ? Number(text) / 1e6 : Number(v2[1]) / 1000;
}
