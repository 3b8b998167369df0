// The pulse of the closed loop: once a second it looks at what the switching processors have counted, tells
// the health checks, steps the drains, has the master decide, and publishes what has changed. What an operator or
// a health check changes does not wait for the next second, unless the last flip is less than one ago:
// the configuration table is flipped by decisions at most once per second.
//
// With very many backends a pass takes long: then the passes are further apart, so that there is time for
// load reports, health checks and operators in between.
//
// Invariant: passes never overlap; they and reloads come one after the other (`inTurn`); of the control
// processor's CPU they take at most PASS_PART in the mean.

import { monotonicMsUnwrapped } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { RepeatedWarning } from './repeated-warning.ts';

/** The master's period, and the shortest time between two flips by decisions. */
export const PERIOD_MS = 1000;
/** Of one CPU: what passes may take. */
export const PASS_PART = 0.1;
/** What one pass costs is forgotten by this part with each. */
const FORGETTING = 0.3;
/** What happens to several backends at once is told within so long, and goes into one flip. */
const GATHERING_MS = 100;

export interface LoopOptions {
  readonly log: Pick<Log, 'info' | 'warning'>;
  /** Looks, decides, and publishes when something has changed. @returns whether the table was flipped */
  pass(nowMs: number): Promise<boolean>;
  /** CPU time of this process so far, in milliseconds. */
  cpuMs?(): number;
  /** Runs a task when all that was asked for before is done. */
  inTurn<Result>(task: () => Promise<Result>): Promise<Result>;
}

export class DistributionLoop {
  private readonly options: LoopOptions;
  private readonly trouble: RepeatedWarning;
  private timer: NodeJS.Timeout | undefined;
  private flippedAtMs = Number.NEGATIVE_INFINITY;
  private passedAtMs = Number.NEGATIVE_INFINITY;
  /** CPU time of a pass, a mean that forgets. */
  private costMs = 0;
  private dueAtMs = Number.POSITIVE_INFINITY;
  private isStopped = false;
  /** Who waits for the next pass. */
  private waiting: { resolve(): void; reject(error: Error): void }[] = [];

  constructor(options: LoopOptions) {
    this.options = options;
    this.trouble = new RepeatedWarning(options.log);
  }

  start(): void {
    this.isStopped = false;
    this.schedule(PERIOD_MS);
  }

  /** Nobody waits for a pass any more that will not come. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    for (const { reject } of this.waiting.splice(0)) reject(stopped());
  }

  /** How far apart passes are now. */
  get periodMs(): number {
    return Math.max(PERIOD_MS, this.costMs / PASS_PART);
  }

  /**
   * A pass soon, or as soon as the last flip is a second ago, or a period where that is longer: for what
   * ought not to wait for a second. Resolves when it is done.
   */
  request(): Promise<void> {
    if (this.isStopped) return Promise.reject(stopped());
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.schedule(Math.max(GATHERING_MS, this.untilNextPassMs()));
    });
  }

  private untilNextPassMs(): number {
    const nowMs = monotonicMsUnwrapped();
    const flipMs = PERIOD_MS - (nowMs - this.flippedAtMs);
    // Passes that cost little are not held up.
    const costly = this.periodMs > PERIOD_MS ? this.periodMs - (nowMs - this.passedAtMs) : 0;
    return Math.max(0, flipMs, costly);
  }

  /** The next pass, at the latest in so many milliseconds. */
  private schedule(delayMs: number): void {
    if (this.isStopped) return;
    const dueAtMs = monotonicMsUnwrapped() + delayMs;
    if (this.timer !== undefined && this.dueAtMs <= dueAtMs) return;
    clearTimeout(this.timer);
    this.dueAtMs = dueAtMs;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.passInTurn();
    }, delayMs);
    // The control socket keeps the process alive, not this.
    this.timer.unref();
  }

  /** @returns when the next is due */
  private async pass(): Promise<number> {
    const { cpuMs = processCpuMs, pass } = this.options;
    const begunMs = cpuMs();
    this.passedAtMs = monotonicMsUnwrapped();
    try {
      if (await pass(this.passedAtMs)) this.flippedAtMs = monotonicMsUnwrapped();
    } finally {
      // In CPU time, because a publication waits for the switching processors.
      this.costMs += FORGETTING * (cpuMs() - begunMs - this.costMs);
    }
    return this.periodMs;
  }

  private async passInTurn(): Promise<void> {
    let waiting: typeof this.waiting = [];
    let nextMs = this.periodMs;
    try {
      await this.options.inTurn(async () => {
        // A pass that was under way when this one was asked for may have flipped meanwhile.
        nextMs = this.untilNextPassMs();
        if (nextMs > 0 || this.isStopped) return;
        waiting = this.waiting.splice(0);
        nextMs = await this.pass();
        this.trouble.worked('the distribution follows again');
      });
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      const text = `the distribution stays as it is: ${message}`;
      this.trouble.failed(text, monotonicMsUnwrapped(), code);
      for (const { reject } of waiting) reject(error as Error);
    } finally {
      this.schedule(nextMs);
    }
  }
}

function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function stopped(): Error {
  return new Error('the control processor is being stopped');
}
