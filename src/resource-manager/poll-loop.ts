// Asks a server again and again: one attempt at a time, the next one an interval after the last began
// (with jitter, so that many servers are not asked in step), later after failures. An attempt is
// abandoned by its signal when its time is over; whatever it does then is not heard any more.
// Invariant: at most one attempt is under way; after stop() nothing is reported.

/** An interval is longer or shorter by up to this part. */
const JITTER = 0.1;
/** Longest pause after failures, in intervals, and in any case. */
const LONGEST_BACK_OFF_INTERVALS = 8;
const LONGEST_BACK_OFF_MS = 30_000;

/**
 * How long to wait before the next attempt.
 *
 * @param failures attempts that have failed one after the other
 * @param random 0 to 1
 * @returns milliseconds
 */
export function pauseMs(intervalMs: number, failures: number, random: number): number {
  const factor = Math.min(2 ** Math.min(failures, 10), LONGEST_BACK_OFF_INTERVALS);
  // An interval above the longest pause stays what it is.
  const longest = Math.max(intervalMs, LONGEST_BACK_OFF_MS);
  return Math.min(intervalMs * factor, longest) * (1 + JITTER * (2 * random - 1));
}

export interface PollLoopOptions {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  random(): number;
  /** One attempt: reports by itself; rejects with what went wrong. Ends when the signal comes. */
  attempt(signal: AbortSignal): Promise<void>;
  outcome(error?: string): void;
}

export class PollLoop {
  private readonly options: PollLoopOptions;
  private timer: NodeJS.Timeout | undefined;
  private underWay: AbortController | undefined;
  private failures = 0;
  private isStopped = false;

  /** Begins within the first interval, at a time that is left to chance. */
  constructor(options: PollLoopOptions) {
    this.options = options;
    this.schedule(options.intervalMs * options.random());
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.underWay?.abort();
  }

  private schedule(delayMs: number): void {
    if (this.isStopped) return;
    this.timer = setTimeout(() => void this.run(), Math.max(0, delayMs));
  }

  private async run(): Promise<void> {
    const { intervalMs, timeoutMs, random } = this.options;
    const beganMs = performance.now();
    const controller = new AbortController();
    this.underWay = controller;
    const limit = setTimeout(() => controller.abort(), timeoutMs);
    let error: string | undefined;
    try {
      await this.options.attempt(controller.signal);
    } catch (reason) {
      const isLate = controller.signal.aborted;
      error = isLate ? `no whole answer within ${timeoutMs} ms` : (reason as Error).message;
    }
    clearTimeout(limit);
    this.underWay = undefined;
    if (this.isStopped) return;
    this.failures = error === undefined ? 0 : this.failures + 1;
    this.options.outcome(error);
    const tookMs = performance.now() - beganMs;
    this.schedule(pauseMs(intervalMs, this.failures, random()) - tookMs);
  }
}
