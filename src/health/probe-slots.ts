// How many checks are under way at once is bounded, so that a thousand servers that hang cannot take
// all descriptors of this process. Who finds no free slot waits; the longest waiting is served first.
// Invariant: at most `limit` slots are taken, and a slot is given back exactly once.

export class ProbeSlots {
  readonly limit: number;
  private taken = 0;
  private isServing = false;
  private isClosed = false;
  /** In the order of asking: a Set keeps it, and lets one leave from the middle. */
  private readonly waiting = new Set<() => void>();

  constructor(limit: number) {
    this.limit = limit;
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
  }

  /** Slots taken now. */
  get inUse(): number {
    return this.taken;
  }

  // What begins may end at once and release its slot in here: the loop goes on, the stack does not grow.
  private serve(): void {
    if (this.isServing) return;
    this.isServing = true;
    for (const begin of this.waiting) {
      if (this.isClosed || this.taken >= this.limit) break;
      this.waiting.delete(begin);
      this.taken++;
      begin();
    }
    this.isServing = false;
  }
}
