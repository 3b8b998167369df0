// A warning about something that goes wrong again and again for as long as its cause lasts: told when it begins,
// then at distances that double, from one minute to an hour, with how often it came; and told when it is over. A
// processor that is stopped for a night then fills a page of the log and not all of it.
// Invariant: between two lines about the same failure there is a minute at least, and later more.

import type { Log } from '../base/log.ts';

const FIRST_DISTANCE_MS = 60_000;
const LONGEST_DISTANCE_MS = 3_600_000;

export class RepeatedWarning {
  private readonly log: Pick<Log, 'info' | 'warning'>;
  /** What the failure is; undefined: it works. */
  private failure: string | undefined;
  private toldAtMs = 0;
  private distanceMs = FIRST_DISTANCE_MS;
  private count = 0;

  constructor(log: Pick<Log, 'info' | 'warning'>) {
    this.log = log;
  }

  /** @param kind the same for as long as it is the same failure, though its figures may change */
  failed(message: string, nowMs: number, kind = message): void {
    if (this.failure !== kind) {
      this.failure = kind;
      this.distanceMs = FIRST_DISTANCE_MS;
      this.count = 1;
      this.toldAtMs = nowMs;
      this.log.warning(message);
      return;
    }
    this.count++;
    if (nowMs - this.toldAtMs < this.distanceMs) return;
    this.toldAtMs = nowMs;
    this.distanceMs = Math.min(LONGEST_DISTANCE_MS, this.distanceMs * 2);
    this.log.warning(`${message} (${this.count} times by now)`);
  }

  /** @param message what to say when something had failed */
  worked(message: string): void {
    if (this.failure === undefined) return;
    this.failure = undefined;
    this.log.info(`${message} (failed ${this.count === 1 ? 'once' : `${this.count} times`})`);
  }
}
