// One entry of the neighbor table: its byte map, states and timings. What is done with it, and the
// rules for readers and writers: neighbor-table.ts.
//
// 64 bytes, 16 words; every word is written by any switching processor, with Atomics:
//
//    0 key            0 free   < 0 being claimed since (see `claimOf`)   > 0 interface number + 1 in
//                     the lowest 8 bits, above them how often the entry was recycled
//    1 address        written before the key is
//    2 state          NEIGHBOR_*, changed by compare-and-swap or by the holder of the writer word
//    3 version        raised when a MAC address is published; its lowest bit names the slot in force
//    4, 5             slot 0 │ upper word: MAC bits 47…24, tag   lower word: MAC bits 23…0, tag
//    6, 7             slot 1 │ tag: lowest 8 bits of the version that published the slot
//    8 writer         0, or since which ms somebody changes the entry: lowest bit 1, next bit 1 if
//                     it was taken from somebody dead
//    9 confirmed at   ms at which the neighbor was last known to answer
//   10 last used      ms, refreshed once a second
//   11 last probe at  ms; whoever swaps it sends the probe. In DELAY: when the delay began
//   12 probes         sent since the last answer
//   13 used           0 until the first packet wants the neighbor

import { finish, mix } from '../base/hash.ts';
import { MAX_NEIGHBORS } from '../memory/layout.ts';

export const ENTRY_WORDS = 16;

export const KEY = 0;
export const ADDRESS = 1;
export const STATE = 2;
export const VERSION = 3;
export const SLOTS = 4;
export const WRITER = 8;
export const CONFIRMED_AT = 9;
export const LAST_USED = 10;
export const LAST_PROBE_AT = 11;
export const PROBES = 12;
export const USED = 13;

// States: the names of RFC 4861 §7.3.2, and two of our own at either end.
/** Nobody has asked yet. */
export const NEIGHBOR_NONE = 0;
/** Asked for the first time, no MAC address yet. */
export const NEIGHBOR_INCOMPLETE = 1;
/** Answered lately. */
export const NEIGHBOR_REACHABLE = 2;
/** Answered some time ago; unused since. */
export const NEIGHBOR_STALE = 3;
/** Used again; hoping that the connection itself shows that it still answers. */
export const NEIGHBOR_DELAY = 4;
/** Asked again; its MAC address is used meanwhile. */
export const NEIGHBOR_PROBE = 5;
/** Has not answered; packets to it are dropped, and it is asked again from time to time. */
export const NEIGHBOR_FAILED = 6;
/** Configured: never asked, never changed, never recycled. */
export const NEIGHBOR_PERMANENT = 7;

/** For status and metrics, by state. */
export const NEIGHBOR_STATES = [
  'none',
  'incomplete',
  'reachable',
  'stale',
  'delay',
  'probe',
  'failed',
  'permanent',
] as const;

/** One bit for each state in which the MAC address may be used. */
const USABLE_STATES =
  (1 << NEIGHBOR_REACHABLE) |
  (1 << NEIGHBOR_STALE) |
  (1 << NEIGHBOR_DELAY) |
  (1 << NEIGHBOR_PROBE) |
  (1 << NEIGHBOR_PERMANENT);

/**
 * Timings, after RFC 4861 §10 where RFC 826 gives none. RFC 1122 §2.3.2.1 demands that entries go out
 * of date, suggests unicast polls (forgetting after two without an answer), and allows at most one
 * request per second and destination.
 */
export const NEIGHBOR_TIMINGS = {
  /** REACHABLE_TIME. */
  reachableMs: 30_000,
  /** DELAY_FIRST_PROBE_TIME. */
  delayMs: 5_000,
  /** RETRANS_TIMER; also the limit of RFC 1122. */
  retryMs: 1_000,
  /** MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT: probes without an answer before FAILED. */
  maxProbes: 3,
  /** Of these, when the MAC address is known, so many go there (RFC 1122), the rest to everybody. */
  unicastProbes: 2,
  /** How long FAILED lasts before a packet makes us ask again; then it is dropped no longer. */
  failedHoldMs: 2_000,
  /** An entry unused for so long may be given to another neighbor when there is no room. */
  recycleMs: 60_000,
  /**
   * The same for one that has no MAC address: who sends to addresses without hosts shall not take the places of
   * those that have. Longer than a packet waits for it (switching/waiting-packets.ts).
   */
  recycleUnresolvedMs: 5_000,
  /** The same for one that no packet has ever wanted: made by somebody's question only. */
  recycleNeverUsedMs: 1_000,
  /** Times are not refreshed more often, lest their cache line travel with every packet. */
  touchMs: 1_000,
  /** After this long a writer is taken for dead, and a claim for lost. */
  takeoverMs: 1_000,
} as const;

/** Slots looked at for a key before the table counts as full for it. */
export const PROBE_LIMIT = 32;

/** Whether `then` is at least `ms` away from `now`; both int32 and free to wrap. @hot */
export function isOld(now: number, then: number, ms: number): boolean {
  const age = (now - then) | 0;
  // Another processor's clock reading may be a little ahead of ours, so a small negative age is
  // young; a large one is an entry from before the clock wrapped.
  return age >= ms || age <= -ms;
}

/** Whether a neighbor in this state has a MAC address that may be used. @hot */
export function isUsable(state: number): boolean {
  return ((USABLE_STATES >>> state) & 1) !== 0;
}

/** Whether a packet may be sent to the neighbor and nothing be written for it. @hot */
export function isAtRest(words: Int32Array, at: number, now: number): boolean {
  if (words[at + USED] === 0) return false;
  if (isOld(now, words[at + LAST_USED], NEIGHBOR_TIMINGS.touchMs)) return false;
  const asked = words[at + LAST_PROBE_AT];
  switch (words[at + STATE]) {
    case NEIGHBOR_PERMANENT:
      return true;
    case NEIGHBOR_REACHABLE:
      return !isOld(now, words[at + CONFIRMED_AT], NEIGHBOR_TIMINGS.reachableMs);
    case NEIGHBOR_DELAY:
      return !isOld(now, asked, NEIGHBOR_TIMINGS.delayMs);
    case NEIGHBOR_PROBE:
      return !isOld(now, asked, NEIGHBOR_TIMINGS.retryMs);
    default:
      return false;
  }
}

/** Whether the place of an entry may be given to another neighbor. @hot */
export function isRecyclable(words: Int32Array, at: number, now: number): boolean {
  if (words[at + STATE] === NEIGHBOR_PERMANENT) return false;
  const { recycleNeverUsedMs, recycleUnresolvedMs, recycleMs } = NEIGHBOR_TIMINGS;
  let ms: number = isUsable(words[at + STATE]) ? recycleMs : recycleUnresolvedMs;
  if (words[at + USED] === 0) ms = recycleNeverUsedMs;
  return isOld(now, words[at + LAST_USED], ms);
}

/** Where the search for a key begins: 0 … MAX_NEIGHBORS - 1. @hot */
export function firstIndex(interfaceNumber: number, address: number): number {
  return finish(mix(mix(0, address), interfaceNumber)) & (MAX_NEIGHBORS - 1);
}

/** The key word of an entry that is being claimed at `now`: negative. @hot */
export function claimOf(now: number): number {
  return now | -2147483648;
}

/** Whether a claim is so old that its maker must have died. @hot */
export function isClaimLost(claim: number, now: number): boolean {
  // The claim has lost the topmost bit of its time, so compare 31 bits.
  const age = ((now - claim) << 1) >> 1;
  return isOld(age, 0, NEIGHBOR_TIMINGS.takeoverMs);
}

/**
 * Takes an entry's writer word, also from somebody who has had it for too long.
 * @returns the ticket to publish with and to give it back, or 0: somebody has it. @hot
 */
export function lock(words: Int32Array, at: number, now: number): number {
  const holder = Atomics.load(words, at + WRITER);
  if (holder !== 0 && !isOld(now, holder, NEIGHBOR_TIMINGS.takeoverMs)) return 0;
  const ticket = (now & -4) | (holder === 0 ? 1 : 3);
  return Atomics.compareExchange(words, at + WRITER, holder, ticket) === holder ? ticket : 0;
}

/** Gives the writer word back, unless it was taken away. @hot */
export function unlock(words: Int32Array, at: number, ticket: number): void {
  Atomics.compareExchange(words, at + WRITER, ticket, 0);
}

/**
 * Writes a MAC address to the slot that is not in force, then puts that in force.
 * @returns whether it is in force: not, when the writer word was taken away meanwhile. @hot
 */
export function publish(
  words: Int32Array,
  at: number,
  ticket: number,
  macHigh: number,
  macLow: number,
): boolean {
  const version = Atomics.load(words, at + VERSION);
  // Another odd step after a take-over: the same slot, but not the tag that the dead would write.
  const next = (version + ((ticket & 2) === 0 ? 1 : 3)) | 0;
  const tag = next & 0xff;
  const slot = at + SLOTS + ((next & 1) << 1);
  Atomics.store(words, slot, (macHigh << 16) | ((macLow >>> 24) << 8) | tag);
  Atomics.store(words, slot + 1, (macLow << 8) | tag);
  return Atomics.compareExchange(words, at + VERSION, version, next) === version;
}
