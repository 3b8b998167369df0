// A token bucket per switching processor, for what the switch sends on its own: resets and echo
// replies. A flood of bad packets must not make us flood others (RFC 1812 §4.3.2.8).
// Invariant: never more than one second's worth of tokens.

export class RateLimiter {
  private perSecond = 0;
  /** Thousandths of a token. */
  private millitokens = 0;
  private filledAt = 0;

  /** Sets the rate (0 … 1,000,000 per second) and fills the bucket. */
  setRate(perSecond: number, nowMs: number): void {
    if (perSecond === this.perSecond) return;
    this.perSecond = perSecond | 0;
    this.millitokens = Math.min(perSecond, 1_000_000) * 1000;
    this.filledAt = nowMs | 0;
  }

  /** Takes one token if there is one. @hot */
  allow(nowMs: number): boolean {
    const elapsed = (nowMs - this.filledAt) | 0;
    if (elapsed > 0) {
      const bounded = elapsed > 1000 ? 1000 : elapsed;
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
