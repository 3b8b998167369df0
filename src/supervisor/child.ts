// One process that the supervisor keeps alive: starts it with its file descriptors inherited and its
// plan in the environment, sees it die, starts it again. At once after a long life; after a short one
// with a growing delay, so that a process that cannot run does not use up a CPU. A process that an
// earlier supervisor has started can be adopted; it is no child of ours in the kernel's sense, so its
// death is noticed by looking.
// Invariants: at most one live process per child; it has the descriptors that it was given and no others,
// because all others of this process close by themselves when it is executed.

import { type ChildProcess, spawn } from 'node:child_process';
import { PLAN_VARIABLE, type ProcessPlan } from '../base/process-plan.ts';
import { isSameProcess, type ProcessIdentity } from './process-identity.ts';

/** A process that lived this long is started again without delay. */
const LONG_LIFE_MS = 5000;
const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 5000;
/** How often an adopted process is looked at. */
const LOOK_INTERVAL_MS = 50;

/** Delay before the next start, by how many short lives came before in a row (0: none). Pure. */
export function restartDelayMs(shortLives: number): number {
  if (shortLives === 0) return 0;
  return Math.min(FIRST_DELAY_MS * 2 ** (shortLives - 1), LONGEST_DELAY_MS);
}

export interface ChildSpecification {
  /** Path of the compiled entry point. */
  readonly entryPoint: string;
  /** What Node and V8 are told; nothing when left out. */
  readonly nodeOptions?: readonly string[];
  readonly plan: ProcessPlan;
  /** Become descriptors 3, 4, … of the process. */
  readonly fileDescriptors: readonly number[];
}

export interface ChildEvents {
  started(pid: number): void;
  /** `delayMs` until it is started again. */
  died(how: string, delayMs: number): void;
}

export class Child {
  /** As in `ps`, without the prefix: 'switching 0'. */
  readonly name: string;
  private readonly specify: () => ChildSpecification;
  private readonly events: ChildEvents;
  private process: ChildProcess | undefined;
  private adopted: ProcessIdentity | undefined;
  private timer: NodeJS.Timeout | undefined;
  private startedAt = 0;
  private shortLives = 0;
  private isStopping = false;

  /** `specify` is asked at every start. */
  constructor(name: string, specify: () => ChildSpecification, events: ChildEvents) {
    this.name = name;
    this.specify = specify;
    this.events = events;
  }

  get pid(): number | undefined {
    return this.process?.pid ?? this.adopted?.pid;
  }

  /** How long its process has run; 0 while there is none. */
  ageMs(): number {
    return this.pid === undefined ? 0 : performance.now() - this.startedAt;
  }

  start(): void {
    this.startedAt = performance.now();
    try {
      this.spawn();
    } catch (error) {
      // No memory for it, a plan too long for the kernel: some errors Node throws, others it reports.
      this.startAgain(`could not be started: ${(error as Error).message}`);
    }
  }

  private spawn(): void {
    const { entryPoint, nodeOptions = [], plan, fileDescriptors } = this.specify();
    // The title needs room: it overwrites the command line in place.
    const title = `weir: ${this.name}`.padEnd(32);
    const child = spawn(process.execPath, [...nodeOptions, entryPoint, title], {
      stdio: ['ignore', 'inherit', 'inherit', ...fileDescriptors],
      env: { ...process.env, [PLAN_VARIABLE]: JSON.stringify(plan) },
    });
    this.process = child;
    child.once('error', (error) => this.ended(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => this.ended(signal ?? `exit code ${code}`));
    if (child.pid !== undefined) this.events.started(child.pid);
  }

  /** Takes over a process that runs already. */
  adopt(identity: ProcessIdentity): void {
    this.adopted = identity;
    this.startedAt = performance.now() - LONG_LIFE_MS;
    this.events.started(identity.pid);
    const look = (): void => {
      if (isSameProcess(identity)) this.timer = setTimeout(look, LOOK_INTERVAL_MS);
      else this.ended('no longer there');
    };
    look();
  }

  private ended(how: string): void {
    if (this.process === undefined && this.adopted === undefined) return;
    this.process = undefined;
    this.adopted = undefined;
    this.startAgain(how);
  }

  private startAgain(how: string): void {
    if (this.isStopping) return;
    const lived = performance.now() - this.startedAt;
    this.shortLives = lived >= LONG_LIFE_MS ? 0 : this.shortLives + 1;
    // The first short life after a long one is most likely a kill: no delay either.
    const delay = restartDelayMs(Math.max(0, this.shortLives - 1));
    this.events.died(how, delay);
    this.timer = setTimeout(() => this.start(), delay);
  }

  signal(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid === undefined) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile; that will be noticed.
    }
  }

  /**
   * Has the process end, and waits until it has: by `request` (a signal, or undefined where it has been
   * told otherwise), after `graceMs` by SIGKILL.
   */
  async stop(graceMs: number, request: NodeJS.Signals | undefined): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.timer);
    if (request !== undefined) this.signal(request);
    const deadline = performance.now() + graceMs;
    let isKilled = false;
    while (this.isAlive()) {
      if (!isKilled && performance.now() > deadline) {
        this.signal('SIGKILL');
        isKilled = true;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  private isAlive(): boolean {
    if (this.adopted !== undefined) return isSameProcess(this.adopted);
    return this.process !== undefined;
  }
}

/** For the log: when a process that died is started again. */
export function startsAgain(delayMs: number): string {
  return delayMs === 0 ? 'started again at once' : `started again in ${delayMs} ms`;
}
