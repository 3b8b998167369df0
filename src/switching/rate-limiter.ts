// A token bucket per switching processor, for what the switch sends on its own: resets and echo
// replies. A flood of bad packets must not make us flood others (RFC 1812 §4.3.2.8).
// Invariant: never more than one second's worth of tokens.

/** So that two seconds' worth of thousandths still is an int32. */
const PER_SECOND_MAX = 1_000_000;

export class RateLimiter {
  private perSecond = 0;
  /** Thousandths of a token. */
  private millitokens = 0;
  private filledAt = 0;

  /** Sets the rate (at most 1,000,000 per second counts) and fills the bucket. */
  setRate(perSecond: number, nowMs: number): void {
    const rate = Math.min(perSecond, PER_SECOND_MAX) | 0;
    if (rate === this.perSecond) return;
    this.perSecond = rate;
    this.millitokens = rate * 1000;
    this.filledAt = nowMs | 0;
  }

  /** Takes one token if there is one. @hot */
  allow(nowMs: number): boolean {
    const elapsed = (nowMs - this.filledAt) | 0;
    if (elapsed !== 0) {
      // The clock never goes back: a negative difference is one of more than 24 days.
      const bounded = elapsed > 1000 || elapsed < 0 ? 1000 : elapsed;
      const full = Math.imul(this.perSecond, 1000);
      const filled = (this.millitokens + Math.imul(bounded, this.perSecond)) | 0;
      this.millitokens = filled > full ? full : filled;
      this.filledAt = nowMs | 0;
    }
    if (this.millitokens < 1000) return false;
    this.millitokens = (this.millitokens - 1000) | 0;
    return true;
  }
}
