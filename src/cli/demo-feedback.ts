// The demo's second part: requests that cost CPU time, one server that another program loads as well, and
// weir, which moves new connections away from it and back again. It goes on as soon as what it waits for
// has happened, and gives up after a while, for what a busy machine takes is not known beforehand.

import type { BackendView } from '../control/backend-view.ts';
import type { OpenLoad } from '../lab/open-load-client.ts';
import { percentile, type RequestSample, within } from '../lab/open-load-samples.ts';
import type { FeedbackEvent, FeedbackPhase, FeedbackView } from './demo-feedback-view.ts';

/** What the other program wants of its server. */
export const HOG_PART = 0.7;
/** A third is a server's share when all are alike; within these bounds nobody sees a difference. */
const RELIEVED_SHARE = 0.22;
const USUAL_SHARE = 0.28;
const GREATEST_USUAL_SHARE = 0.4;
const TICK_MS = 250;
const WINDOW_MS = 3000;
const PATIENCE_MS = 30_000;
/** Each phase lasts at least so long, that somebody can see it. */
const SHORTEST_MS: Record<FeedbackPhase, number> = { before: 5000, loaded: 8000, after: 3000 };

export interface FeedbackContext {
  /** The service's backends; undefined while the control processor does not answer. */
  fetch(): Promise<readonly BackendView[] | undefined>;
  readonly load: Pick<OpenLoad, 'samples'>;
  /** Starts and stops the other program on the first server. */
  startHog(): Promise<void>;
  stopHog(): Promise<void>;
  /** Shows how things are. */
  show(view: FeedbackView): void;
  /** Monotonic milliseconds. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

export interface FeedbackOutcome {
  readonly events: readonly FeedbackEvent[];
  /** From when the other program began, until the server's share was less than RELIEVED_SHARE; null: never. */
  readonly awayAfterMs: number | null;
  readonly lowestShare: number;
  /** From its end until the share was USUAL_SHARE again. */
  readonly backAfterMs: number | null;
}

/** Runs to its end. Samples are the load's, whom the caller ends. */
export async function runFeedback(context: FeedbackContext): Promise<FeedbackOutcome> {
  return new FeedbackRun(context).run();
}

function isUsual(share: number): boolean {
  return share > USUAL_SHARE && share < GREATEST_USUAL_SHARE;
}

class FeedbackRun {
  private readonly context: FeedbackContext;
  private readonly beginMs: number;
  private readonly events: FeedbackEvent[] = [];
  private phase: FeedbackPhase = 'before';
  private servers: readonly BackendView[] = [];
  private lowestShare = 1;

  constructor(context: FeedbackContext) {
    this.context = context;
    this.beginMs = context.now();
  }

  async run(): Promise<FeedbackOutcome> {
    const { context } = this;
    await this.until('before', (shares) => shares.every(isUsual));
    const { name } = this.servers[0];
    await context.startHog();
    this.note(`another program on ${name} wants ${HOG_PART * 100} % of its CPU time`);
    const awayAfterMs = await this.until('loaded', ([first]) => first < RELIEVED_SHARE);
    await context.stopHog();
    this.note('the other program has ended');
    const backAfterMs = await this.until('after', ([first]) => first > USUAL_SHARE);
    const { events, lowestShare } = this;
    return { events, awayAfterMs, lowestShare, backAfterMs };
  }

  /**
   * A phase: shows what happens until the shares are as awaited, and the phase long enough.
   * @returns when they were; null when they never were
   */
  private async until(
    phase: FeedbackPhase,
    isSo: (shares: readonly number[]) => boolean,
  ): Promise<number | null> {
    this.phase = phase;
    const { context } = this;
    const begunMs = context.now();
    let foundMs: number | null = null;
    for (;;) {
      const passedMs = context.now() - begunMs;
      this.servers = (await context.fetch()) ?? this.servers;
      const [first] = this.servers;
      if (first !== undefined) {
        const shares = this.servers.map(({ weight }) => weight.share);
        if (phase === 'loaded') this.lowestShare = Math.min(this.lowestShare, shares[0]);
        const isFound = first.report !== null && isSo(shares);
        // What comes before must be so at its end; what comes then is measured when it is so first.
        if (phase === 'before' && !isFound) foundMs = null;
        if (foundMs === null && isFound) {
          foundMs = passedMs;
          this.noteFound(phase, first, foundMs);
        }
        context.show(this.view());
      }
      const isOver = passedMs >= SHORTEST_MS[phase] && foundMs !== null;
      if (isOver || passedMs > PATIENCE_MS) return foundMs;
      await context.sleep(TICK_MS);
    }
  }

  private noteFound(phase: FeedbackPhase, { name, weight }: BackendView, foundMs: number): void {
    const part = `${Math.round(weight.share * 100)} % of the connections`;
    const seconds = (foundMs / 1000).toFixed(1);
    if (phase === 'loaded') this.note(`${name} is given ${part}: ${seconds} s later`);
    if (phase === 'after') this.note(`${name} has ${part} again: ${seconds} s later`);
  }

  private note(text: string): void {
    this.events.push({ atMs: this.context.now() - this.beginMs, text });
  }

  private view(): FeedbackView {
    const { samples } = this.context.load;
    const isFailure = ({ failure }: RequestSample) => failure !== '';
    const now = Date.now();
    const recent = within(samples, now - WINDOW_MS, now);
    const failed = samples.filter(isFailure).length;
    return {
      elapsedMs: this.context.now() - this.beginMs,
      phase: this.phase,
      loaded: this.servers[0].name,
      servers: this.servers,
      answered: samples.length - failed,
      failed,
      requestsPerSecond: recent.length / (WINDOW_MS / 1000),
      medianMs: percentile(recent, 0.5),
      p99Ms: percentile(recent, 0.99),
      events: this.events,
    };
  }
}
