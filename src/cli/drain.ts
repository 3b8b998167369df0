// `weir drain`: takes a backend out of the choice for new connections, and with --wait stays until it is
// drained. The drain itself is the control processor's (src/control/drain.ts) and needs nobody to wait for
// it: Ctrl-C ends the waiting, not the drain, and a control processor that comes back goes on with it.
// Exit codes of waiting: 0 drained; 1 somebody took it back; 130 Ctrl-C.

import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '../base/errors.ts';
import { MAX_DEADLINE_SECONDS } from '../control/admin-backends.ts';
import type { BackendView, DrainEnd } from '../control/backend-view.ts';
import { durationMs } from '../control/config/schema-values.ts';
import { printChange } from './backend-change.ts';
import {
  type BackendName,
  changeBackend,
  fetchBackend,
  fetchBackends,
  findBackend,
  nameText,
} from './backend-client.ts';
import { drainLine } from './backends-page.ts';
import { paint, printable, showsColors } from './status-terminal.ts';

const EXIT_TAKEN_BACK = 1;
const EXIT_INTERRUPTED = 130;
const POLL_INTERVAL_MS = 1000;
/** A control processor that was killed is back long before. */
const UNREACHABLE_FOR_MS = 30_000;
/** Where there is no terminal a line is written this seldom, not with every look. */
const LINE_INTERVAL_MS = 10_000;
const CLEAR_LINE = '\r\u001b[K';

export interface DrainOptions {
  readonly socket: string;
  readonly json?: boolean;
  readonly deadline?: string;
  readonly then?: string;
  readonly wait?: boolean;
}

interface DrainBody {
  readonly deadlineSeconds?: number;
  readonly atDeadline?: DrainEnd;
}

/** The options as the control socket takes them. @throws WeirError ERR_COMMAND_LINE */
export function drainBody({ deadline, then }: DrainOptions): DrainBody {
  const refuse = (what: string, advice: string): never => {
    throw new WeirError('ERR_COMMAND_LINE', what, advice);
  };
  if (then !== undefined && then !== 'keep' && then !== 'reset') {
    return refuse(`--then ${printable(then)} is not known`, 'write --then keep or --then reset');
  }
  if (deadline === undefined) {
    if (then === undefined) return {};
    const advice = 'add --deadline, such as --deadline 5m';
    return refuse('--then says what happens at the deadline, and there is none', advice);
  }
  const parsed = durationMs(0, MAX_DEADLINE_SECONDS * 1000, '5m').safeParse(deadline);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ message }) => message).join('; ');
    return refuse(`--deadline: ${printable(faults)}`, 'write it as in 90s, 5m or 2h');
  }
  return {
    deadlineSeconds: parsed.data / 1000,
    ...(then === undefined ? {} : { atDeadline: then }),
  };
}

/** @returns the exit code */
export async function drain(written: string, options: DrainOptions): Promise<number> {
  const body = drainBody(options);
  const name = findBackend(written, await fetchBackends(options.socket));
  const answer = await changeBackend(options.socket, name, 'drain', body);
  const waits = options.wait === true;
  const text = answer.backend?.drain?.text ?? 'is being drained';
  const line = `${nameText(name)}: ${text}`;
  if (!waits || options.json !== true) printChange(answer, options.json === true, printable(line));
  if (!waits) return 0;
  const interrupt = new AbortController();
  const onInterrupt = (): void => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  try {
    return await wait(name, options, interrupt.signal);
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
}

/** Shows how the drain gets on, until it is over. */
async function wait(name: BackendName, options: DrainOptions, ended: AbortSignal): Promise<number> {
  const progress = new ProgressLine(options.json !== true);
  let backend: BackendView | undefined;
  for (;;) {
    if (!ended.aborted) backend = await fetchPatiently(options.socket, name, ended);
    if (ended.aborted || backend === undefined) {
      progress.end();
      const text = `${nameText(name)} goes on being drained: \`weir backends\` shows how far it is, `;
      process.stderr.write(`${text}\`weir undrain ${nameText(name)}\` takes it back\n`);
      return EXIT_INTERRUPTED;
    }
    progress.show(drainLine(nameText(name), backend, paint(showsColors(process.stdout))));
    if (backend.drain?.state === 'draining') {
      await sleep(POLL_INTERVAL_MS, undefined, { signal: ended }).catch(() => {});
      continue;
    }
    progress.end();
    if (options.json === true) process.stdout.write(`${JSON.stringify(backend, undefined, 2)}\n`);
    if (backend.drain !== null) return 0;
    process.stderr.write(`the drain of ${nameText(name)} was taken back\n`);
    return EXIT_TAKEN_BACK;
  }
}

/** One look; a control processor that is started again right now is waited for. */
async function fetchPatiently(
  socketPath: string,
  name: BackendName,
  ended: AbortSignal,
): Promise<BackendView | undefined> {
  const giveUpAt = performance.now() + UNREACHABLE_FOR_MS;
  while (!ended.aborted) {
    try {
      return await fetchBackend(socketPath, name);
    } catch (error) {
      const isAway = error instanceof WeirError && error.code === 'ERR_CONTROL_UNREACHABLE';
      if (!isAway || performance.now() > giveUpAt) throw error;
      await sleep(POLL_INTERVAL_MS, undefined, { signal: ended }).catch(() => {});
    }
  }
  return undefined;
}

/** A line that is written over on a terminal, and now and then a line where there is none. */
class ProgressLine {
  private readonly isShown: boolean;
  private readonly isTerminal = process.stdout.isTTY === true;
  private last = '';
  private written = '';
  private writtenAtMs = Number.NEGATIVE_INFINITY;

  constructor(isShown: boolean) {
    this.isShown = isShown;
  }

  show(line: string): void {
    this.last = line;
    if (!this.isShown) return;
    if (this.isTerminal) process.stdout.write(CLEAR_LINE + line);
    else if (performance.now() - this.writtenAtMs >= LINE_INTERVAL_MS) this.write();
  }

  /** The last state stays on the screen. */
  end(): void {
    if (!this.isShown || this.last === '') return;
    if (this.isTerminal) process.stdout.write('\n');
    else if (this.last !== this.written) this.write();
  }

  private write(): void {
    process.stdout.write(`${this.last}\n`);
    this.written = this.last;
    this.writtenAtMs = performance.now();
  }
}
