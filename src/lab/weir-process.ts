// The switch itself in the lab: `bin/weir run` in the switch's namespace, exactly as an operator
// would start it. What the lab knows about it is what anybody outside can know: the configuration
// file that it wrote, the status over the control socket, and the titles of its processes
// ('weir: supervisor', 'weir: control', 'weir: switching 1' …), by which it finds the one to kill.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { stringify } from 'yaml';
import { WeirError } from '../base/errors.ts';
import { makeScratchFolder, processesIn } from './clean-up.ts';
import { type LabProcess, start, topFolder, waitUntil } from './command.ts';

const READY_DEADLINE_MS = 30_000;
const REQUEST_TIMEOUT_MS = 5000;
const STOP_PATIENCE_MS = 10_000;

/** 'supervisor', 'control', 'switching 1', 'interface daemon' …: the title without 'weir: '. */
export type WeirRole = string;

export interface ApiAnswer {
  status: number;
  /** Parsed, when the answer is JSON; else the text. */
  // biome-ignore lint/suspicious/noExplicitAny: the shape belongs to the control processor's API.
  body: any;
}

export interface WeirProcessOptions {
  environment?: Record<string, string>;
  /** Milliseconds until the state must be 'ready'. Default 30 000. */
  deadlineMs?: number;
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** One HTTP request over a Unix socket. */
function requestOverSocket(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
): Promise<ApiAnswer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const timeout = REQUEST_TIMEOUT_MS;
    // No kept connection: a caller that was busy would not notice that the other side closed it.
    const sent = request({ socketPath, method, path, headers, timeout, agent: false });
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${path}`)));
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const received = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, body: parseBody(received) });
      });
    });
    sent.end(text);
  });
}

/** The title that a process has given itself, or its command line. */
function processTitle(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

export class WeirProcess {
  readonly namespace: string;
  readonly socketPath: string;
  readonly configFile: string;
  readonly folder: string;
  readonly process: LabProcess;

  private constructor(namespace: string, config: object, options: WeirProcessOptions) {
    this.namespace = namespace;
    this.folder = makeScratchFolder('weir');
    this.configFile = join(this.folder, 'weir.yaml');
    this.socketPath = join(this.folder, 'control.sock');
    this.writeConfig(config);
    const weir = join(topFolder(), 'bin', 'weir');
    const args = [weir, 'run', '--config', this.configFile, '--socket', this.socketPath];
    this.process = start(execPath, args, {
      namespace,
      logFile: join(this.folder, 'weir.log'),
      environment: options.environment,
    });
  }

  /**
   * Starts weir with a configuration and waits until it is ready.
   * @throws WeirError ERR_LAB with the end of its log when it ends or is not ready in time
   */
  static async start(
    namespace: string,
    config: object,
    options: WeirProcessOptions = {},
  ): Promise<WeirProcess> {
    const weir = new WeirProcess(namespace, config, options);
    try {
      await weir.waitForState('ready', options.deadlineMs);
    } catch (error) {
      weir.kill('SIGKILL');
      throw error;
    }
    return weir;
  }

  /** Writes the configuration file anew; weir takes it up when told to reload. */
  writeConfig(config: object): void {
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(this.configFile, stringify(config));
  }

  /** Asks the control processor. Rejects when it does not answer. */
  api(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    return requestOverSocket(this.socketPath, method, path, body);
  }

  /** `GET /v1/status`; undefined while nobody answers. */
  // biome-ignore lint/suspicious/noExplicitAny: the shape belongs to the control processor's API.
  async status(): Promise<any> {
    try {
      const answer = await this.api('GET', '/v1/status');
      return answer.status === 200 ? answer.body : undefined;
    } catch {
      return undefined;
    }
  }

  /** Waits until the status tells of this state. */
  async waitForState(state: string, deadlineMs = READY_DEADLINE_MS): Promise<void> {
    await waitUntil(
      `weir tells of the state '${state}'`,
      async () => {
        if (!this.process.isRunning()) {
          throw new WeirError('ERR_LAB', `weir has ended:\n${this.logEnd()}`, '');
        }
        return (await this.status())?.state === state;
      },
      deadlineMs,
      () => this.log(),
    );
  }

  /** The pids of weir's processes by role, as they are now. */
  pids(): Map<WeirRole, number> {
    const found = new Map<WeirRole, number>();
    for (const pid of processesIn(this.namespace)) {
      const title = /^weir: (.+)$/.exec(processTitle(pid));
      if (title !== null) found.set(title[1], pid);
    }
    return found;
  }

  /** The pid of one role; undefined while there is none. */
  pid(role: WeirRole): number | undefined {
    return this.pids().get(role);
  }

  /**
   * Sends a signal to the process of one role, or without a role to all of weir's processes.
   * @returns the pids that it was sent to
   */
  kill(signal: NodeJS.Signals, role?: WeirRole): number[] {
    const pids = this.pids();
    const first = this.process.isRunning() ? [this.process.pid] : [];
    const targets = role === undefined ? [...pids.values(), ...first] : [pids.get(role)];
    if (role !== undefined && targets[0] === undefined) {
      const there = [...pids.keys()].join(', ');
      throw new WeirError('ERR_LAB', `weir has no process '${role}', only: ${there}`, '');
    }
    const distinct = [...new Set(targets as number[])];
    for (const target of distinct) {
      try {
        process.kill(target, signal);
      } catch {
        // It has ended meanwhile.
      }
    }
    return distinct;
  }

  /** Waits until a role has a process other than the one with this pid; gives the new pid. */
  async waitForRestart(role: WeirRole, oldPid: number, deadlineMs = 10_000): Promise<number> {
    let now: number | undefined;
    await waitUntil(
      `weir's '${role}' runs again`,
      () => {
        now = this.pid(role);
        return now !== undefined && now !== oldPid;
      },
      deadlineMs,
      () => this.log(),
    );
    return now!;
  }

  /** Ends weir in good order; what does not end by itself is killed. Gives its exit code. */
  async stop(): Promise<number> {
    await this.process.stop(STOP_PATIENCE_MS);
    this.kill('SIGKILL');
    return this.process.exited;
  }

  /** Everything that weir has written to standard output and standard error. */
  log(): string {
    return this.process.log();
  }

  /** The last lines of the log. */
  logEnd(lines = 20): string {
    return this.log().trim().split('\n').slice(-lines).join('\n');
  }
}
