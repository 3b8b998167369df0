// A seeded pseudo-random generator (xorshift32): for tests, fuzzing and jitter. Never for secrets.
// The seed is a parameter, so that whatever used it can print it and be run again.
// Invariant: the same seed gives the same numbers on every machine.

export class Prng {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0 || 0x9e3779b9 | 0;
  }

  /** The next int32, over its whole range. @hot */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x | 0;
    return this.state;
  }

  /** A whole number from 0 up to, not including, `bound` (1 … 2^31 - 1). */
  below(bound: number): number {
    return (this.next() >>> 1) % bound;
  }
}
