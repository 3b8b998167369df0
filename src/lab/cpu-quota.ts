// Makes a server of the lab as small as wanted. All namespaces share the CPUs of one machine, so without
// a limit a process that is busy on one server would slow all of them; with one, each server is a
// machine of its own with a part of a CPU, which its processes share among themselves.
//
//   cgroup v2   a group of its own below the root of the hierarchy, with cpu.max
//   signals     cpu-warden.ts, where that cannot be: in a user namespace, in most containers, with cgroup v1
//
// Both give a folder with cpu.max and cpu.stat, which is what an agent is told to look at (`cgroup` in its
// configuration): for who runs on such a server its quota is the whole machine.
// Kernel document: admin-guide/cgroup-v2.rst.

import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeScratchFolder, registerControlGroup, removeControlGroup } from './clean-up.ts';
import { type LabProcess, startLabProgram } from './command.ts';

export type CpuQuotaKind = 'cgroup v2' | 'signals';

/** Short, so that a request never waits long for the next one. */
const PERIOD_MS = 20;

/** Where cgroup2 is mounted, if it is. */
function hierarchy(): string | undefined {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return lines.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
}

/** As cpu.max has it: microseconds of CPU time in microseconds. */
function quotaText(share: number): string {
  return `${Math.round(PERIOD_MS * 1000 * share)} ${PERIOD_MS * 1000}`;
}

/** The folder of a group with this limit, or undefined where the machine does not allow one. */
function makeGroup(name: string, share: number): string | undefined {
  const root = hierarchy();
  if (root === undefined) return undefined;
  const folder = join(root, name);
  try {
    const controllers = readFileSync(join(root, 'cgroup.controllers'), 'utf8');
    if (!controllers.split(/\s+/).includes('cpu')) return undefined;
    writeFileSync(join(root, 'cgroup.subtree_control'), '+cpu');
    registerControlGroup(folder);
    mkdirSync(folder);
    writeFileSync(join(folder, 'cpu.max'), quotaText(share));
    return folder;
  } catch {
    // Not allowed here, or only half of it. What was made is registered and goes.
    return undefined;
  }
}

let quotasMade = 0;

/** The limit of one server. Processes are added to it; their children belong to it as well. */
export class CpuQuota {
  readonly kind: CpuQuotaKind;
  /** Of one CPU. */
  readonly share: number;
  /** Holds cpu.max and cpu.stat, as cgroup v2 writes them. */
  readonly folder: string;
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
    this.kind = group === undefined ? 'signals' : 'cgroup v2';
    this.folder = group ?? makeScratchFolder(`quota-${name}`);
    if (group !== undefined) return;
    writeFileSync(join(this.folder, 'cpu.max'), quotaText(share));
    const options = { share, periodMs: PERIOD_MS, usageFile: join(this.folder, 'cpu.stat') };
    this.#warden = startLabProgram('cpu-warden', [JSON.stringify(options)], {
      logFile: join(this.folder, 'log'),
      pipeInput: true,
    });
    this.#warden.child.stdin?.on('error', () => {});
  }

  /** From now on the process is one of this server's. It is not when it has ended meanwhile. */
  add(pid: number): void {
    if (this.#warden !== undefined) {
      this.#warden.child.stdin?.write(`${pid}\n`);
      return;
    }
    try {
      appendFileSync(join(this.folder, 'cgroup.procs'), String(pid));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** CPU time used by all of its processes so far. */
  usedMs(): number {
    let text = '';
    try {
      text = readFileSync(join(this.folder, 'cpu.stat'), 'utf8');
    } catch {
      // Not written yet.
    }
    return Number(/^usage_usec (\d+)/m.exec(text)?.[1] ?? 0) / 1000;
  }

  /** For when its processes have ended. */
  async remove(): Promise<void> {
    if (this.#warden === undefined) {
      removeControlGroup(this.folder);
      return;
    }
    this.#warden.child.stdin?.end();
    await this.#warden.exited;
  }
}
