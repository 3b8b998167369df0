// Starts servers that do real work, each with a CPU quota of its own, and other processes that take some
// of it. Everything starts without the limit (to begin is expensive in Node) and is then put under it.
// A server is a process for requests, if wanted a weir agent that reports for it, and any number of other
// processes, all in one quota (cpu-quota.ts), which the agent takes for the whole machine.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { stringify } from 'yaml';
import { WeirError } from '../base/errors.ts';
import { makeScratchFolder } from './clean-up.ts';
import { type LabProcess, start, startLabProgram, topFolder, waitUntil } from './command.ts';
import type { CpuHogOptions } from './cpu-hog.ts';
import { CpuQuota } from './cpu-quota.ts';
import type { LabHost } from './network.ts';
import type { WorkServerOptions } from './work-server.ts';

export interface WorkServerSettings {
  /** Default 8080. */
  port?: number;
  /** CPU time of a request, beside the 2 ms that Node needs for it. Default 2. */
  workMs?: number;
  /** What the server has, of one CPU. Default 0.2. */
  cpuShare?: number;
  agent?: AgentSettings;
}

export interface AgentSettings {
  /** The backend that it reports for, as 'web/b1'. */
  backend: string;
  /** Where the resource manager listens, as '10.2.0.9:7360'. */
  reportTo: string;
  keyFile: string;
}

const HOG_PROCESSES = 2;

/** Writes a new key for an agent. @returns the path of the file */
export function writeKeyFile(agent: string): string {
  const path = join(makeScratchFolder('keys'), `${agent}.key`);
  writeFileSync(path, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return path;
}

/** Starts `weir agent` on a host and waits until it has begun. */
async function startAgent(
  host: LabHost,
  { backend, reportTo, keyFile }: AgentSettings,
  controlGroup: string,
): Promise<LabProcess> {
  const folder = makeScratchFolder(`agent-${host.name}`);
  const file = join(folder, 'agent.yaml');
  const configuration = {
    name: host.name,
    'key-file': keyFile,
    'report-to': [reportTo],
    services: [{ backend }],
    'control-group': controlGroup,
  };
  writeFileSync(file, stringify(configuration));
  const args = [join(topFolder(), 'bin', 'weir'), 'agent', '--config', file];
  const logFile = join(folder, 'log');
  const process = start(execPath, args, { namespace: host.namespace, logFile });
  await waitUntilBegun(`the agent on ${host.name}`, process);
  return process;
}

async function waitUntilBegun(what: string, process: LabProcess): Promise<void> {
  await waitUntil(
    `${what} has begun`,
    () => process.log() !== '' || !process.isRunning(),
    20_000,
    () => process.log(),
  );
  if (process.isRunning()) return;
  throw new WeirError('ERR_LAB', `${what} ended at once: ${process.log()}`, '');
}

/** Starts one of the lab's programs and waits for its first line. */
async function startUntilReady(
  name: string,
  options: object,
  namespace: string,
): Promise<LabProcess> {
  const logFile = join(makeScratchFolder(name), 'log');
  const process = startLabProgram(name, [JSON.stringify(options)], { namespace, logFile });
  await waitUntilBegun(name, process);
  return process;
}

export class WorkServer {
  readonly host: LabHost;
  readonly port: number;
  readonly quota: CpuQuota;
  readonly process: LabProcess;
  readonly agent: LabProcess | undefined;
  readonly #hogs: LabProcess[] = [];

  private constructor(
    host: LabHost,
    port: number,
    quota: CpuQuota,
    process: LabProcess,
    agent: LabProcess | undefined,
  ) {
    this.host = host;
    this.port = port;
    this.quota = quota;
    this.process = process;
    this.agent = agent;
    for (const each of [process, agent]) if (each !== undefined) quota.add(each.pid);
  }

  /** Resolves when it listens. */
  static async start(host: LabHost, settings: WorkServerSettings = {}): Promise<WorkServer> {
    const { port = 8080, workMs = 2, cpuShare = 0.2 } = settings;
    const { agent } = settings;
    const options: WorkServerOptions = { name: host.name, port, workMs, backend: agent?.backend };
    const process = await startUntilReady('work-server', options, host.namespace);
    const quota = new CpuQuota(host.name, cpuShare);
    const running = agent && (await startAgent(host, agent, quota.folder));
    return new WorkServer(host, port, quota, process, running);
  }

  /**
   * Another program on this server becomes busy. It has two processes: against one alone the kernel would
   * see to it that the server gets its half.
   * @param part of the server's quota that it wants
   */
  async startHog(part: number, niceness = 0): Promise<void> {
    const share = (part * this.quota.share) / HOG_PROCESSES;
    const options: CpuHogOptions = { share, niceness };
    const start = () => startUntilReady('cpu-hog', options, this.host.namespace);
    for (const hog of await Promise.all(Array.from({ length: HOG_PROCESSES }, start))) {
      this.quota.add(hog.pid);
      this.#hogs.push(hog);
    }
  }

  async stopHogs(): Promise<void> {
    await Promise.all(this.#hogs.splice(0).map((hog) => hog.stop()));
  }

  async stop(): Promise<void> {
    await this.stopHogs();
    await this.agent?.stop();
    await this.process.stop();
    await this.quota.remove();
  }
}
