// A log that strangers cannot fill: what happens because of something that came over the network is
// logged through here, at most LINES_AT_ONCE lines at a time and one more every ten seconds. What was
// left out is counted and told with the next line that passes.
// Invariant: the log grows by a bounded amount per hour, whatever arrives.

import type { ManagerLog } from './settings.ts';
import { TokenBucket } from './token-bucket.ts';

export const LINES_AT_ONCE = 50;
const LINES_PER_SECOND = 0.1;

export class BoundedLog implements ManagerLog {
  private readonly log: ManagerLog;
  private readonly now: () => number;
  private readonly bucket: TokenBucket;
  private leftOut = 0;

  constructor(log: ManagerLog, now: () => number) {
    this.log = log;
    this.now = now;
    this.bucket = new TokenBucket(LINES_PER_SECOND, LINES_AT_ONCE, now());
  }

  info(message: string): void {
    const line = this.pass(message);
    if (line !== undefined) this.log.info(line);
  }

  warning(message: string): void {
    const line = this.pass(message);
    if (line !== undefined) this.log.warning(line);
  }

  private pass(message: string): string | undefined {
    if (!this.bucket.take(this.now())) {
      this.leftOut++;
      return undefined;
    }
    const leftOut = this.leftOut;
    this.leftOut = 0;
    return leftOut === 0 ? message : `${message} (${leftOut} lines before this were left out)`;
  }
}
