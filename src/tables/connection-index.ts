// The index of the connection table: from a packet's addresses, ports and protocol to the entry
// (record << 1 | direction) that bears this key. Buckets of one cache line, 16 slots each:
//
//   bits 31 … 25  tag: the highest bits of the key's hash      bit 24  direction
//   bits 23 …  0  record number + 1; the whole slot is 0 when it is free
//
// A key may stand in either of two buckets. The first is taken unless it is nearly full, so most
// lookups end in it; inside a bucket each key has a slot where it is looked for and put first, so that
// most lookups need one comparison, which the processor can foresee. The direction in the slot leads
// to the one line of the record that counts.
// Slots change by compare-and-swap only: 0 → value by the inserting processor, value → 0 by the one
// that removes. Readers read plainly; what a slot leads to stays readable until the reader's turn
// ends (connection-epoch.ts).

import { HEADER_HASH_SEED } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import type { ConnectionEpoch } from './connection-epoch.ts';
import {
  LIFE_DYING,
  LIFE_EPOCH_SHIFT,
  LIFE_FOUND,
  LIFE_LIVE,
  LIFE_RESERVED,
  LIFE_STATE,
  LINE_DESTINATION,
  LINE_LIFE,
  LINE_PORT,
  LINE_PORTS,
  LINE_SHIFT,
  LINE_SOURCE,
  LINE_WORDS,
  protocolOf,
  RECORD_SHIFT,
} from './connection-record.ts';

export const NOT_FOUND = -1;
/** Of `conflict`: another processor is publishing the same key at this moment. */
export const CONFLICT_UNDECIDED = -2;

const SLOTS = 16;
const TAG_SHIFT = 25;
const RECORD_MASK = 0xffffff;
/** Where in the hash the number of the slot stands that a key is looked for in first. */
const SLOT_SHIFT = 21;
const SLOT_MASK = SLOTS - 1;
/** From this many used slots on, the second bucket is taken if it is emptier. */
const NEARLY_FULL = 13;

/** Hash of a key; its low bits choose the first bucket, its highest are the tag. @hot */
function keyHash(
  seed: number,
  source: number,
  destination: number,
  ports: number,
  proto: number,
): number {
  let h = Math.imul(source ^ seed ^ (proto << 24), 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15) ^ ports ^ (seed >>> 7), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13) ^ destination, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A second, unlike choice from the same hash. @hot */
function secondHash(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 11), 0x2c1b3c6d);
  return h ^ (h >>> 15);
}

/**
 * Whether two lines bear the same key. Compares all of it, whatever the first words say: a branch that is
 * hardly ever taken is met after its function has been made fast, which throws the fast code away. @hot
 */
function bearSameKey(words: Int32Array, line: number, other: number): boolean {
  const source = words[line + LINE_SOURCE] ^ words[other + LINE_SOURCE];
  const destination = words[line + LINE_DESTINATION] ^ words[other + LINE_DESTINATION];
  const ports = words[line + LINE_PORTS] ^ words[other + LINE_PORTS];
  const protocol = protocolOf(words[line + LINE_PORT] ^ words[other + LINE_PORT]);
  return (source | destination | ports | protocol) === 0;
}

export class ConnectionIndex {
  private readonly words: Int32Array;
  private readonly seed: number;
  private readonly buckets: number;
  private readonly mask: number;
  private readonly lines: number;
  private readonly epoch: ConnectionEpoch;
  /** Keeps the compiler from dropping reads whose values nobody needs. */
  touched = 0;

  constructor(memory: MainMemory, epoch: ConnectionEpoch) {
    this.words = memory.words;
    this.seed = memory.header(HEADER_HASH_SEED);
    this.buckets = memory.layout.connectionIndex >> 2;
    this.mask = memory.layout.connectionBuckets - 1;
    this.lines = memory.layout.connectionRecords >> 2;
    this.epoch = epoch;
  }

  /** The entry of a connection that bears this key, or NOT_FOUND. @hot */
  lookup(source: number, destination: number, ports: number, protocol: number): number {
    const hash = keyHash(this.seed, source, destination, ports, protocol);
    const bucket = this.buckets + ((hash & this.mask) << 4);
    const entry = this.lookupIn(bucket, hash, source, destination, ports, protocol);
    if (entry !== NOT_FOUND) return entry;
    const second = this.buckets + ((secondHash(hash) & this.mask) << 4);
    return this.lookupIn(second, hash, source, destination, ports, protocol);
  }

  /** Hash of a key: what the burst functions below work with. @hot */
  hash(source: number, destination: number, ports: number, protocol: number): number {
    return keyHash(this.seed, source, destination, ports, protocol);
  }

  // What a burst needs, brought near for all its packets before any is looked at. The two loops that
  // read memory do nothing else: what a processor has under way at once is bounded by its instructions
  // (some hundreds), so that of long ones only two or three would wait together.

  /** Reads the lines where the lookups of these hashes begin. @hot */
  touchBuckets(hashes: Int32Array, count: number): void {
    const { buckets, mask, words } = this;
    let touched = 0;
    for (let i = 0; i < count; i = (i + 1) | 0) {
      touched ^= words[buckets + ((hashes[i] & mask) << 4)];
    }
    this.touched = touched;
  }

  /** Reads the lines of these entries. @hot */
  touchEntries(entries: Int32Array, count: number): void {
    const { lines, words } = this;
    let touched = 0;
    for (let i = 0; i < count; i = (i + 1) | 0) {
      // In place of NOT_FOUND, entry 0: a branch here could be foreseen wrongly.
      const entry = entries[i] & ~(entries[i] >> 31);
      touched ^= words[lines + (entry << LINE_SHIFT)];
    }
    this.touched = touched;
  }

  /**
   * The entry that a lookup with this hash will most likely find, by its tag alone: to be made sure of
   * with `bears`. NOT_FOUND: there is none. @hot
   */
  likelyEntry(hash: number): number {
    const entry = this.taggedIn(this.buckets + ((hash & this.mask) << 4), hash);
    if (entry !== NOT_FOUND) return entry;
    return this.taggedIn(this.buckets + ((secondHash(hash) & this.mask) << 4), hash);
  }

  /** @hot */
  private taggedIn(bucket: number, hash: number): number {
    const start = hash >>> SLOT_SHIFT;
    for (let i = 0; i < SLOTS; i = (i + 1) | 0) {
      const slot = this.words[bucket + ((start + i) & SLOT_MASK)];
      if ((slot ^ hash) >>> TAG_SHIFT !== 0 || slot === 0) continue;
      return (((slot & RECORD_MASK) - 1) << 1) | ((slot >>> 24) & 1);
    }
    return NOT_FOUND;
  }

  /** Whether an entry is that of a live connection and bears this key. @hot */
  bears(
    entry: number,
    source: number,
    destination: number,
    ports: number,
    protocol: number,
  ): boolean {
    const { words } = this;
    const line = this.lines + (entry << LINE_SHIFT);
    return (
      words[line + LINE_SOURCE] === source &&
      words[line + LINE_PORTS] === ports &&
      words[line + LINE_DESTINATION] === destination &&
      protocolOf(words[line + LINE_PORT]) === protocol &&
      (words[line + LINE_LIFE] & LIFE_FOUND) === LIFE_LIVE
    );
  }

  /** @hot */
  private lookupIn(
    bucket: number,
    hash: number,
    source: number,
    destination: number,
    ports: number,
    protocol: number,
  ): number {
    const words = this.words;
    const start = hash >>> SLOT_SHIFT;
    for (let i = 0; i < SLOTS; i++) {
      const slot = words[bucket + ((start + i) & SLOT_MASK)];
      if ((slot ^ hash) >>> TAG_SHIFT !== 0 || slot === 0) continue;
      const entry = (((slot & RECORD_MASK) - 1) << 1) | ((slot >>> 24) & 1);
      if (this.bears(entry, source, destination, ports, protocol)) return entry;
    }
    return NOT_FOUND;
  }

  /** Hash of the key that stands in an entry's line. @hot */
  hashOf(entry: number): number {
    const line = this.lines + (entry << LINE_SHIFT);
    return keyHash(
      this.seed,
      this.words[line + LINE_SOURCE],
      this.words[line + LINE_DESTINATION],
      this.words[line + LINE_PORTS],
      protocolOf(this.words[line + LINE_PORT]),
    );
  }

  /** @hot */
  private usedSlots(bucket: number): number {
    let used = 0;
    for (let i = 0; i < SLOTS; i++) {
      if (this.words[bucket + i] !== 0) used = (used + 1) | 0;
    }
    return used;
  }

  /** Puts an entry, by `hashOf` it, into one of the buckets of its key; 0 when both are full. @hot */
  place(entry: number, hash: number): number {
    const value = (hash & (-1 << TAG_SHIFT)) | ((entry & 1) << 24) | ((entry >>> 1) + 1);
    const first = this.buckets + ((hash & this.mask) << 4);
    const second = this.buckets + ((secondHash(hash) & this.mask) << 4);
    const used = this.usedSlots(first);
    if (used < NEARLY_FULL || used <= this.usedSlots(second)) {
      if (this.placeIn(first, hash, value) === 1) return 1;
      return this.placeIn(second, hash, value);
    }
    if (this.placeIn(second, hash, value) === 1) return 1;
    return this.placeIn(first, hash, value);
  }

  /** @hot */
  private placeIn(bucket: number, hash: number, value: number): number {
    const start = hash >>> SLOT_SHIFT;
    for (let i = 0; i < SLOTS; i++) {
      const slot = bucket + ((start + i) & SLOT_MASK);
      if (this.words[slot] !== 0) continue;
      if (Atomics.compareExchange(this.words, slot, 0, value) === 0) return 1;
    }
    return 0;
  }

  /** Takes an entry out of the index wherever it stands; its key must still be in its line. @hot */
  clear(entry: number): void {
    const hash = this.hashOf(entry);
    const value = (hash & (-1 << TAG_SHIFT)) | ((entry & 1) << 24) | ((entry >>> 1) + 1);
    this.clearIn(this.buckets + ((hash & this.mask) << 4), value);
    this.clearIn(this.buckets + ((secondHash(hash) & this.mask) << 4), value);
  }

  /** @hot */
  private clearIn(bucket: number, value: number): void {
    for (let i = 0; i < SLOTS; i++) {
      if (this.words[bucket + i] !== value) continue;
      Atomics.compareExchange(this.words, bucket + i, value, 0);
    }
  }

  /**
   * Whether another record bears the key of `entry`, which has been placed: the other's entry when
   * it is live, CONFLICT_UNDECIDED when it is being published as well, else NOT_FOUND.
   *
   * Two processors that publish the same key have each placed their slot before they look here,
   * so at least one of them sees the other. @hot
   */
  conflict(entry: number, hash: number): number {
    // Orders the slot that we placed before the slots that we read: on arm64 a compare-and-swap
    // alone does not, an atomic load behind it does.
    Atomics.load(this.words, this.lines + (entry << LINE_SHIFT));
    const first = (hash & this.mask) << 4;
    const second = (secondHash(hash) & this.mask) << 4;
    const here = this.conflictIn(this.buckets + first, hash, entry);
    if (here >= 0 || first === second) return here;
    const there = this.conflictIn(this.buckets + second, hash, entry);
    return there === NOT_FOUND ? here : there;
  }

  /** @hot */
  private conflictIn(bucket: number, hash: number, entry: number): number {
    const words = this.words;
    const own = this.lines + (entry << LINE_SHIFT);
    let found = NOT_FOUND;
    for (let i = 0; i < SLOTS; i++) {
      const slot = words[bucket + i];
      if ((slot ^ hash) >>> TAG_SHIFT !== 0 || slot === 0) continue;
      const record = (slot & RECORD_MASK) - 1;
      if (record === entry >>> 1) continue;
      const other = (record << 1) | ((slot >>> 24) & 1);
      const line = this.lines + (other << LINE_SHIFT);
      if (!bearSameKey(words, line, own)) continue;
      const life = Atomics.load(words, this.lines + (record << RECORD_SHIFT) + LINE_LIFE);
      if ((life & LIFE_FOUND) === LIFE_LIVE) return other;
      const state = life & LIFE_STATE;
      if (state === LIFE_RESERVED && !this.epoch.hasPassed(life >>> LIFE_EPOCH_SHIFT)) {
        found = CONFLICT_UNDECIDED;
      } else if (state === LIFE_RESERVED || state === LIFE_DYING) {
        // Left behind by a process that was killed, until the sweep takes it away (or just being
        // removed). Its second line may still be live, and must not be found in place of ours.
        Atomics.store(words, this.lines + (record << RECORD_SHIFT) + LINE_WORDS + LINE_LIFE, 0);
      }
    }
    return found;
  }
}
