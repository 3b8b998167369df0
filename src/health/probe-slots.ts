// How many checks are under way at once is bounded, so that a thousand servers that hang cannot take
// all descriptors of this process; and how many begin per second, so that sixteen thousand servers cannot take
// all of its CPU: then it would answer too late, and take healthy ones for dead. Who finds no free slot waits; the
// longest waiting is served first.
// Invariant: at most `limit` slots are taken, and a slot is given back exactly once; in any second at most
// `perSecond` checks begin, and a burst.

/** Checks that may begin at once after a quiet time, in seconds of the rate. */
const BURST_SECONDS = 0.05;

export class ProbeSlots {
  readonly limit: number;
  private readonly perSecond: number;
  private readonly burst: number;
  private readonly now: () => number;
  private taken = 0;
  /** Checks that may begin now. */
  private allowed: number;
  private allowedAtMs: number;
  private timer: NodeJS.Timeout | undefined;
  private isServing = false;
  private isClosed = false;
  /** In the order of asking: a Set keeps it, and lets one leave from the middle. */
  private readonly waiting = new Set<() => void>();

  /** @param now monotonic milliseconds */
  constructor(limit: number, perSecond = Number.POSITIVE_INFINITY, now = () => performance.now()) {
    this.limit = limit;
    this.perSecond = perSecond;
    this.burst = Math.max(1, perSecond * BURST_SECONDS);
    this.allowed = this.burst;
    this.now = now;
    this.allowedAtMs = now();
  }

  /** Calls `begin` as soon as a slot is free, which may be at once. Returns how to stop waiting. */
  ask(begin: () => void): () => void {
    this.waiting.add(begin);
    this.serve();
    return () => this.waiting.delete(begin);
  }

  /** Gives a slot back; it goes to whoever has waited longest. */
  release(): void {
    this.taken--;
    this.serve();
  }

  /** Nobody gets a slot any more. */
  close(): void {
    this.isClosed = true;
    this.waiting.clear();
    clearTimeout(this.timer);
  }

  /** Slots taken now. */
  get inUse(): number {
    return this.taken;
  }

  // What begins may end at once and release its slot in here: the loop goes on, the stack does not grow.
  private serve(): void {
    if (this.isServing) return;
    this.isServing = true;
    this.allow();
    for (const begin of this.waiting) {
      if (this.isClosed || this.taken >= this.limit) break;
      if (this.allowed < 1) {
        this.serveLater();
        break;
      }
      this.allowed--;
      this.waiting.delete(begin);
      this.taken++;
      begin();
    }
    this.isServing = false;
  }

  private allow(): void {
    const nowMs = this.now();
    const more = ((nowMs - this.allowedAtMs) * this.perSecond) / 1000;
    // Infinity times nothing is no number.
    this.allowed = more > 0 ? Math.min(this.burst, this.allowed + more) : this.allowed;
    this.allowedAtMs = nowMs;
  }

  private serveLater(): void {
    if (this.timer !== undefined) return;
    const waitMs = ((1 - this.allowed) * 1000) / this.perSecond;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.serve();
    }, Math.ceil(waitMs));
  }
}
