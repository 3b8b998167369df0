// Starts servers that do real work, each with a CPU quota of its own, and other processes that take some
// of it. Everything starts without the limit (to begin is expensive in Node) and is then put under it.
// A server is a process for requests and any number of others, all in one quota (cpu-quota.ts).

import { join } from 'node:path';
import { makeScratchFolder } from './clean-up.ts';
import { type LabProcess, startLabProgram, waitUntil } from './command.ts';
import type { CpuHogOptions } from './cpu-hog.ts';
import { CpuQuota } from './cpu-quota.ts';
import type { LabHost } from './network.ts';
import type { WorkServerOptions } from './work-server.ts';

export interface WorkServerSettings {
  /** Default 8080. */
  port?: number;
  /** CPU time of a request. Default 4. */
  workMs?: number;
  /** What the server has, of one CPU. Default 0.2. */
  cpuShare?: number;
}

/** Starts one of the lab's programs and waits for its first line. */
async function startUntilReady(
  name: string,
  options: object,
  namespace: string,
): Promise<LabProcess> {
  const logFile = join(makeScratchFolder(name), 'log');
  const process = startLabProgram(name, [JSON.stringify(options)], { namespace, logFile });
  await waitUntil(
    `${name} has begun`,
    () => process.log() !== '' || !process.isRunning(),
    20_000,
    () => process.log(),
  );
  return process;
}

export class WorkServer {
  readonly host: LabHost;
  readonly port: number;
  readonly quota: CpuQuota;
  readonly process: LabProcess;
  readonly #hogs: LabProcess[] = [];

  private constructor(host: LabHost, port: number, quota: CpuQuota, process: LabProcess) {
    this.host = host;
    this.port = port;
    this.quota = quota;
    this.process = process;
  }

  /** Resolves when it listens. */
  static async start(host: LabHost, settings: WorkServerSettings = {}): Promise<WorkServer> {
    const { port = 8080, workMs = 4, cpuShare = 0.2 } = settings;
    const options: WorkServerOptions = { name: host.name, port, workMs };
    const process = await startUntilReady('work-server', options, host.namespace);
    const quota = new CpuQuota(host.name, cpuShare);
    quota.add(process.pid);
    return new WorkServer(host, port, quota, process);
  }

  /**
   * Another process on this server becomes busy.
   * @param part of the server's quota that it wants
   */
  async startHog(part: number, niceness = 0): Promise<void> {
    const options: CpuHogOptions = { share: part * this.quota.share, niceness };
    const hog = await startUntilReady('cpu-hog', options, this.host.namespace);
    this.quota.add(hog.pid);
    this.#hogs.push(hog);
  }

  async stopHogs(): Promise<void> {
    await Promise.all(this.#hogs.splice(0).map((hog) => hog.stop()));
  }

  async stop(): Promise<void> {
    await this.stopHogs();
    await this.process.stop();
    await this.quota.remove();
  }
}
