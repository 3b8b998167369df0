// Keeps the name server from being a weapon: an asker's address can be forged, and then the answer goes to
// somebody who has not asked. Answers that are not more than twice as long as their question are not worth it
// and are not limited; of longer ones each network of clients gets so many in a second, over all processors.
//
// A network has one word of the application's table, found by a hash that nobody can foretell: the time, in
// 64ths of a millisecond, at which the answers given so far would be through at that rate (the generic
// cell rate algorithm). Two networks with one word share the rate; two processors that change it at once lose
// an answer's worth, which does no harm.

import { finish, mix } from '../../base/hash.ts';

const TICKS_PER_MS = 64;
/** A second's worth may come at once. */
const BURST = 1000 * TICKS_PER_MS;

export class ReflectionGuard {
  private readonly words: Int32Array;
  private readonly seed: number;
  private readonly mask: number;
  /** Ticks that one answer costs; 0: no limit. */
  private readonly cost: number;

  /**
   * @param words a power of two of them, shared by all processors
   * @param answersPerSecond of one network; 0: no limit
   * @param prefix bits of an address that make a network
   */
  constructor(words: Int32Array, seed: number, answersPerSecond: number, prefix: number) {
    this.words = words;
    this.seed = seed;
    this.mask = -1 << (32 - prefix);
    this.cost = answersPerSecond === 0 ? 0 : Math.max(1, Math.round(BURST / answersPerSecond));
  }

  /** Whether one more long answer may go to a client. @hot */
  allows(client: number, nowMs: number): boolean {
    const { words, cost } = this;
    if (cost === 0) return true;
    const slot = finish(mix(this.seed, client & this.mask)) & (words.length - 1);
    const now = Math.imul(nowMs, TICKS_PER_MS);
    let ahead = (words[slot] - now) | 0;
    // What lies in the past, or was written long ago, is over.
    if (ahead < 0 || ahead > BURST + cost) ahead = 0;
    if (ahead + cost > BURST + cost - 1) return false;
    words[slot] = (now + ahead + cost) | 0;
    return true;
  }
}
