// A token bucket over monotonic milliseconds: what it allows in any time is at most the rate times that
// time plus one burst. It limits reports before and after their signature is checked, and log lines.
// Invariant: never more than `burst` tokens; a clock that stands still or goes back adds none.

export class TokenBucket {
  private readonly perSecond: number;
  private readonly burst: number;
  private tokens: number;
  private filledAtMs: number;

  /**
   * A full bucket.
   * @param burst how many may come at once, at least 1
   */
  constructor(perSecond: number, burst: number, nowMs: number) {
    this.perSecond = perSecond;
    this.burst = Math.max(1, burst);
    this.tokens = this.burst;
    this.filledAtMs = nowMs;
  }

  /** Takes a token if there is one. */
  take(nowMs: number): boolean {
    const elapsedMs = nowMs - this.filledAtMs;
    if (elapsedMs > 0) {
      this.tokens = Math.min(this.burst, this.tokens + (elapsedMs * this.perSecond) / 1000);
      this.filledAtMs = nowMs;
    }
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}
