// What the scenarios need that look at backends as an operator does (GET /v1/backends) and act on them:
// views by name, waiting for a state, commands of the `weir` program, faults of servers.

import { join } from 'node:path';
import { execPath } from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { BackendsView, BackendView } from '../../src/control/backend-view.ts';
import { makeScratchFolder } from '../../src/lab/clean-up.ts';
import {
  type CommandResult,
  execute,
  type LabProcess,
  start,
  topFolder,
  waitUntil,
} from '../../src/lab/command.ts';
import type { LabHost } from '../../src/lab/network.ts';
import type { WeirProcess } from '../../src/lab/weir-process.ts';
import { builtModule } from './built-module.ts';
import type { UdpTalkerOptions, UdpTalkerRow } from './udp-talker.ts';

/** All backends, by 'service/backend'. */
export async function viewBackends(weir: WeirProcess): Promise<Record<string, BackendView>> {
  const { status, body } = await weir.api('GET', '/v1/backends');
  if (status !== 200) throw new Error(`/v1/backends: ${status} ${JSON.stringify(body)}`);
  const { backends } = body as BackendsView;
  return Object.fromEntries(backends.map((each) => [`${each.service}/${each.name}`, each]));
}

/** How many connections a backend has ever been given, as of now: views are a second old. */
export async function connectionsGiven(weir: WeirProcess, key: string): Promise<number> {
  const [service, backend] = key.split('/');
  const { services } = await weir.status();
  const found = services.find((each: { name: string }) => each.name === service);
  return found.backends.find((each: { name: string }) => each.name === backend).connectionsTotal;
}

/** One line of what a backend is, for messages. */
export function backendText({ name, state, why, weight, health }: BackendView): string {
  return `${name} ${state} ${weight.share.toFixed(3)} (${why}) ${health?.cause ?? ''}`;
}

/** Waits until a backend is as wanted. @returns milliseconds that it took */
export async function untilBackend(
  weir: WeirProcess,
  key: string,
  what: string,
  isSo: (view: BackendView) => boolean,
  deadlineMs = 30_000,
): Promise<number> {
  const begun = performance.now();
  let seen = '';
  await waitUntil(
    `${key} is ${what}`,
    async () => {
      const views = await viewBackends(weir).catch(() => undefined);
      if (views === undefined) return false;
      seen = Object.values(views).map(backendText).join('\n');
      return isSo(views[key]);
    },
    deadlineMs,
    () => `${seen}\n${weir.logEnd()}`,
  );
  return Math.round(performance.now() - begun);
}

/** Waits until backends are in a state. */
export async function untilState(
  weir: WeirProcess,
  keys: string[],
  state: BackendView['state'],
): Promise<void> {
  for (const key of keys) await untilBackend(weir, key, state, (view) => view.state === state);
}

/** Begins `weir COMMAND … --socket` as an operator would. Its output is in its log. */
export function startCommand(weir: WeirProcess, args: string[]): LabProcess {
  const command = [join(topFolder(), 'bin', 'weir'), ...args, '--socket', weir.socketPath];
  return start(execPath, command, { logFile: join(makeScratchFolder('command'), 'log') });
}

/** Runs `weir COMMAND … --socket` to its end. */
export function runCommand(weir: WeirProcess, args: string[]): CommandResult {
  const command = [join(topFolder(), 'bin', 'weir'), ...args, '--socket', weir.socketPath];
  return execute(execPath, command, { mayFail: true });
}

/** Nothing that is sent to a host reaches it any more, by default without an answer. */
export function blackHole(host: LabHost, rule = 'policy drop'): void {
  const rules = `table inet hole { chain input { type filter hook input priority 0; ${rule}; }\n}`;
  execute('nft', ['-f', '-'], { namespace: host.namespace, input: `${rules}\n` });
}

export function openAgain(host: LabHost): void {
  execute('nft', ['delete', 'table', 'inet', 'hole'], { namespace: host.namespace, mayFail: true });
}

export class UdpTalk {
  readonly rows: UdpTalkerRow[] = [];
  readonly process: LabProcess;

  constructor(host: LabHost, options: UdpTalkerOptions) {
    const program = fileURLToPath(builtModule('test/support/udp-talker.ts'));
    this.process = start(execPath, [program, JSON.stringify(options)], {
      namespace: host.namespace,
      pipeOutput: true,
    });
    createInterface({ input: this.process.child.stdout! }).on('line', (line) =>
      this.rows.push(JSON.parse(line) as UdpTalkerRow),
    );
  }

  /** What was asked from a time on, of conversations that go on or of new ones. */
  since(atMs: number, isNew: boolean): UdpTalkerRow[] {
    return this.rows.filter((row) => row[0] >= atMs && row[3] === isNew);
  }
}
