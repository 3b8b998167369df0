// One process that the supervisor keeps alive: starts it with its file descriptors inherited and its
// plan in the environment, sees it die, starts it again. At once after a long life; after a short one
// with a growing delay, so that a process that cannot run does not use up a CPU.
// Invariant: at most one live process per child.

import { type ChildProcess, spawn } from 'node:child_process';
import { PLAN_VARIABLE, type ProcessPlan } from '../base/process-plan.ts';

/** A process that lived this long is started again without delay. */
const LONG_LIFE_MS = 5000;
const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 5000;

/** Delay before the next start, by how many short lives came before in a row (0: none). Pure. */
export function restartDelayMs(shortLives: number): number {
  if (shortLives === 0) return 0;
  return Math.min(FIRST_DELAY_MS * 2 ** (shortLives - 1), LONGEST_DELAY_MS);
}

export interface ChildSpecification {
  /** As in `ps`, without the prefix: 'switching 0'. */
  readonly name: string;
  /** Path of the compiled entry point. */
  readonly entryPoint: string;
  readonly plan: ProcessPlan;
  /** Becomes descriptors 3, 4, … of the process. */
  readonly fileDescriptors: readonly number[];
}

export interface ChildEvents {
  started(pid: number): void;
  /** `delayMs` until it is started again. */
  died(how: string, delayMs: number): void;
}

export class Child {
  private readonly specification: ChildSpecification;
  private readonly events: ChildEvents;
  private process: ChildProcess | undefined;
  private timer: NodeJS.Timeout | undefined;
  private startedAt = 0;
  private shortLives = 0;
  private isStopping = false;

  constructor(specification: ChildSpecification, events: ChildEvents) {
    this.specification = specification;
    this.events = events;
  }

  get pid(): number | undefined {
    return this.process?.pid;
  }

  get name(): string {
    return this.specification.name;
  }

  start(): void {
    const { entryPoint, plan, fileDescriptors, name } = this.specification;
    this.startedAt = performance.now();
    const child = spawn(process.execPath, [entryPoint, `weir: ${name}`.padEnd(32)], {
      stdio: ['ignore', 'inherit', 'inherit', ...fileDescriptors],
      env: { ...process.env, [PLAN_VARIABLE]: JSON.stringify(plan) },
    });
    this.process = child;
    child.once('error', (error) => this.ended(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => this.ended(signal ?? `exit code ${code}`));
    if (child.pid !== undefined) this.events.started(child.pid);
  }

  private ended(how: string): void {
    if (this.process === undefined) return;
    this.process = undefined;
    if (this.isStopping) return;
    const lived = performance.now() - this.startedAt;
    this.shortLives = lived >= LONG_LIFE_MS ? 0 : this.shortLives + 1;
    // The first short life after a long one is most likely a kill: no delay either.
    const delay = restartDelayMs(Math.max(0, this.shortLives - 1));
    this.events.died(how, delay);
    this.timer = setTimeout(() => this.start(), delay);
  }

  signal(signal: NodeJS.Signals): void {
    this.process?.kill(signal);
  }

  /** Asks the process to end, ends it after `graceMs`, and waits until it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.timer);
    const child = this.process;
    if (child === undefined) return;
    await new Promise<void>((resolve) => {
      const killer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      child.once('exit', () => {
        clearTimeout(killer);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }
}
