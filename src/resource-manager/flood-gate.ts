// Decides whether a datagram is looked at at all, before its signature is computed: that costs some
// ten microseconds, and anybody can send anything. There is a budget per second for all, from which no
// single sender's address gets more than half; so one that floods, with good keys or without, leaves
// room for the others. Whoever floods from many (or forged) addresses can use up the budget: then reports
// grow old, and the weights go back to the configured ones.
// Invariant: at most ADDRESSES_KEPT addresses are remembered; the work per datagram is constant.

import { TokenBucket } from './token-bucket.ts';

const ADDRESSES_KEPT = 1024;
const LOWEST_PER_SECOND = 1000;
/** How much more than all agents together may send. */
const HEADROOM = 4;

export class FloodGate {
  private readonly perSecond: number;
  private readonly all: TokenBucket;
  private readonly byAddress = new Map<string, TokenBucket>();

  /** @param expectedPerSecond what all agents together may send */
  constructor(expectedPerSecond: number, nowMs: number) {
    this.perSecond = Math.max(LOWEST_PER_SECOND, HEADROOM * expectedPerSecond);
    this.all = new TokenBucket(this.perSecond, this.perSecond / 2, nowMs);
  }

  /** Whether to look at a datagram from this address. */
  pass(address: string, nowMs: number): boolean {
    let bucket = this.byAddress.get(address);
    if (bucket === undefined) {
      this.makeRoom();
      bucket = new TokenBucket(this.perSecond / 2, this.perSecond / 4, nowMs);
      this.byAddress.set(address, bucket);
    }
    return bucket.take(nowMs) && this.all.take(nowMs);
  }

  /** Forgets who has been known longest. An evicted flooder gets no more than the budget of all. */
  private makeRoom(): void {
    if (this.byAddress.size < ADDRESSES_KEPT) return;
    for (const oldest of this.byAddress.keys()) {
      this.byAddress.delete(oldest);
      return;
    }
  }
}
