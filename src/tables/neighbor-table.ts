// The neighbor table (ARP cache): MAC addresses of next hops, by (interface number, IPv4 address).
// One for all switching processors, each of which reads and writes it: the packet filter asks `use`
// whether a packet may go and whether to ask for the neighbor, and `readMac` for the address; the ARP
// stage has `learn` told. Control only reads. Packets that wait are not here, but with the processor
// that holds them. Byte map, states and timings: neighbor-entry.ts. RFC 826, RFC 4861 §7.3.
//
// Reading a MAC address takes no lock and no Atomics. A change is written to the slot that is not in
// force and then published by raising the version, so a writer that dies halfway leaves the address
// in force as it was. Both words of a slot carry the version's lowest bits: words of two writers never
// pass as one address, whatever the order in which a reader sees them. Writers exclude each other
// by the writer word; one that holds it for more than a second is taken for dead and superseded; if it
// wakes all the same, its tags betray what it writes.
//
// An entry keeps its place while it is used, so connections may remember an index; but one that
// nobody has used for a minute can be given to another neighbor. Who remembers an index asks
// `matches` before using it (or remembers `recycled` too and compares that), and searches again when
// it says no, or when `use` says UNREACHABLE. A process that dies while claiming an entry costs that
// place until the next start.
//
// What is learned is believed, as RFC 826 does. The caller must not offer a claim to one of our own
// addresses, nor create entries for whoever merely shouts: only for senders that ask for us.

import { MAX_NEIGHBORS } from '../memory/layout.ts';
import * as entry from './neighbor-entry.ts';

export const NOT_FOUND = -1;

// What `use` tells the packet filter to do.
export const SEND = 0;
/** Send, and ask for the neighbor: nobody else will. `isProbeUnicast` says how. */
export const SEND_AND_PROBE = 1;
/** Hold the packet, and ask for the neighbor: nobody else will. */
export const WAIT_AND_PROBE = 2;
export const WAIT = 3;
export const UNREACHABLE = 4;

const TIMINGS = entry.NEIGHBOR_TIMINGS;
const READ_ATTEMPTS = 4;
/** Filling an entry takes another processor some nanoseconds, unless it is interrupted. */
const CLAIM_ATTEMPTS = 64;
const BUSY = -2;

export class NeighborTable {
  private readonly words: Int32Array;
  private readonly base: number;
  /** What the last search found: `learn` refuses if the entry has been recycled since. */
  private foundIndex = NOT_FOUND;
  private foundKey = 0;

  /** Results of `readMac`: the upper 16 bits and the lower 32. */
  macHigh = 0;
  macLow = 0;
  /** Result of `use` with SEND_AND_PROBE: 1 to ask at the known MAC address, 0 to ask everybody. */
  isProbeUnicast = 0;

  /** `base` is the index in `words` of the table's first word; zeroed memory is an empty table. */
  constructor(words: Int32Array, base: number) {
    this.words = words;
    this.base = base;
  }

  /** @returns the index of a neighbor, or NOT_FOUND. @hot */
  find(interfaceNumber: number, address: number): number {
    let index = entry.firstIndex(interfaceNumber, address);
    for (let probe = 0; probe < entry.PROBE_LIMIT; probe++) {
      const at = this.at(index);
      const key = Atomics.load(this.words, at + entry.KEY);
      if (key === 0) return NOT_FOUND;
      if (this.isKeyOf(key, at, interfaceNumber, address)) {
        this.foundIndex = index;
        this.foundKey = key;
        return index;
      }
      index = (index + 1) & (MAX_NEIGHBORS - 1);
    }
    return NOT_FOUND;
  }

  /**
   * Index of a neighbor, which gets an entry in state NONE if it has none. NOT_FOUND when there is no
   * room among its places, or when another processor takes long over claiming one. @hot
   */
  findOrCreate(interfaceNumber: number, address: number, now: number): number {
    for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt++) {
      const index = this.tryToFindOrCreate(interfaceNumber, address, now);
      if (index !== BUSY) return index;
    }
    return NOT_FOUND;
  }

  /** An index, NOT_FOUND, or BUSY: another processor is changing one of the places. @hot */
  private tryToFindOrCreate(interfaceNumber: number, address: number, now: number): number {
    let index = entry.firstIndex(interfaceNumber, address);
    let recyclable = NOT_FOUND;
    for (let probe = 0; probe < entry.PROBE_LIMIT; probe++) {
      const at = this.at(index);
      const key = Atomics.load(this.words, at + entry.KEY);
      if (key === 0) return this.claim(index, 0, interfaceNumber, address, now);
      if (key < 0) {
        // It may become the very entry that we want; one of a dead process never will.
        if (!entry.isClaimLost(key, now)) return BUSY;
      } else if (this.isKeyOf(key, at, interfaceNumber, address)) {
        this.foundIndex = index;
        this.foundKey = key;
        return index;
      } else if (recyclable === NOT_FOUND && entry.isRecyclable(this.words, at, now)) {
        recyclable = index;
      }
      index = (index + 1) & (MAX_NEIGHBORS - 1);
    }
    if (recyclable === NOT_FOUND) return NOT_FOUND;
    return this.recycle(recyclable, interfaceNumber, address, now);
  }

  /** 1 while an index that was remembered still means this neighbor, else 0. @hot */
  matches(index: number, interfaceNumber: number, address: number): number {
    const at = this.at(index);
    return this.isKeyOf(this.words[at + entry.KEY], at, interfaceNumber, address) ? 1 : 0;
  }

  /**
   * How often an entry has changed hands, 0 … 2^23 - 1: who remembers it beside the index can tell by
   * one read, without knowing the address, that the index means another neighbor now. @hot
   */
  recycled(index: number): number {
    return this.words[this.at(index) + entry.KEY] >>> 8;
  }

  /** 1 with the neighbor's MAC address in `macHigh` and `macLow`, or 0: it has none to use. @hot */
  readMac(index: number): number {
    const { words } = this;
    const at = this.at(index);
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const state = words[at + entry.STATE];
      if (!entry.isUsable(state)) return 0;
      const version = words[at + entry.VERSION];
      const slot = at + entry.SLOTS + ((version & 1) << 1);
      const upper = words[slot];
      const lower = words[slot + 1];
      // The tags suffice where loads are reordered, the second look at the version where a reader
      // sleeps between the two loads for 256 changes.
      const tags = ((upper ^ version) | (lower ^ version)) & 0xff;
      if (tags === 0 && words[at + entry.VERSION] === version) {
        this.macHigh = upper >>> 16;
        this.macLow = ((upper & 0xff00) << 16) | (lower >>> 8);
        return 1;
      }
      if (attempt === READ_ATTEMPTS - 1) this.forgetDamaged(at, state, version);
    }
    return 0;
  }

  /**
   * What to do with a packet for this neighbor, and who asks for it: of all processors that see that
   * a probe is due only one is told to send it. @returns SEND … UNREACHABLE. @hot
   */
  use(index: number, now: number): number {
    const { words } = this;
    const at = this.at(index);
    if (
      entry.isOld(now, words[at + entry.LAST_USED], TIMINGS.touchMs) ||
      words[at + entry.USED] === 0
    ) {
      words[at + entry.LAST_USED] = now;
      words[at + entry.USED] = 1;
    }
    const state = words[at + entry.STATE];
    if (state === entry.NEIGHBOR_REACHABLE) {
      if (!entry.isOld(now, words[at + entry.CONFIRMED_AT], TIMINGS.reachableMs)) return SEND;
      this.change(at, state, entry.NEIGHBOR_STALE);
      return this.useStale(at, now);
    }
    if (state === entry.NEIGHBOR_PERMANENT) return SEND;
    if (state === entry.NEIGHBOR_STALE) return this.useStale(at, now);
    if (state === entry.NEIGHBOR_DELAY) return this.useDelayed(at, now);
    if (state === entry.NEIGHBOR_PROBE) return this.useProbed(at, now);
    if (state === entry.NEIGHBOR_INCOMPLETE) return this.useIncomplete(at, now);
    return this.askAnew(at, state, now);
  }

  /** Whether `use` would say SEND now, and change nothing. @hot */
  isAtRest(index: number, now: number): boolean {
    return entry.isAtRest(this.words, this.at(index), now);
  }

  /** 1 when whoever holds packets for the neighbor must ask again; call it about every turn. @hot */
  shouldProbe(index: number, now: number): number {
    const action = this.use(index, now);
    return action === WAIT_AND_PROBE || action === SEND_AND_PROBE ? 1 : 0;
  }

  /** Whether the neighbor was asked and did not answer. @hot */
  isUnreachable(index: number): boolean {
    return this.words[this.at(index) + entry.STATE] === entry.NEIGHBOR_FAILED;
  }

  /**
   * The neighbor has shown its MAC address, by an answer or by asking for one of our addresses.
   * @param index what `find` or `findOrCreate` has just returned
   * @returns 1, or 0 when it is not taken over: configured otherwise, or somebody else is at it. @hot
   */
  learn(index: number, macHigh: number, macLow: number, now: number): number {
    const at = this.at(index);
    if (this.words[at + entry.STATE] === entry.NEIGHBOR_PERMANENT) return 0;
    return this.write(index, macHigh, macLow, entry.NEIGHBOR_REACHABLE, now);
  }

  /** Gives a neighbor a MAC address that is never asked for nor changed. @returns 1, or 0: busy. */
  setPermanent(index: number, macHigh: number, macLow: number, now: number): number {
    return this.write(index, macHigh, macLow, entry.NEIGHBOR_PERMANENT, now);
  }

  /** A connection has shown that the neighbor still takes our packets (RFC 4861 §7.3.1). @hot */
  confirm(index: number, now: number): void {
    const { words } = this;
    const at = this.at(index);
    const state = words[at + entry.STATE];
    if (!entry.isUsable(state) || state === entry.NEIGHBOR_PERMANENT) return;
    if (entry.isOld(now, words[at + entry.CONFIRMED_AT], TIMINGS.touchMs)) {
      words[at + entry.CONFIRMED_AT] = now;
    }
    if (state !== entry.NEIGHBOR_REACHABLE) this.change(at, state, entry.NEIGHBOR_REACHABLE);
  }

  /** NEIGHBOR_*, for status; NONE also of an index without an entry. */
  state(index: number): number {
    return Atomics.load(this.words, this.at(index) + entry.STATE);
  }

  /** Interface number of an entry, for status; NOT_FOUND when the place is empty. */
  interfaceNumber(index: number): number {
    const key = Atomics.load(this.words, this.at(index) + entry.KEY);
    return key > 0 ? (key & 0xff) - 1 : NOT_FOUND;
  }

  /** Address of an entry. @hot */
  address(index: number): number {
    return this.words[this.at(index) + entry.ADDRESS];
  }

  /** @hot */
  private at(index: number): number {
    return this.base + index * entry.ENTRY_WORDS;
  }

  /** @hot */
  private isKeyOf(key: number, at: number, interfaceNumber: number, address: number): boolean {
    const isHere = key > 0 && (key & 0xff) === interfaceNumber + 1;
    return isHere && this.words[at + entry.ADDRESS] === address;
  }

  /** Changes a state unless somebody else has. @hot */
  private change(at: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.words, at + entry.STATE, from, to) === from;
  }

  /** Takes the right to send the probe that is due since `seen`. @hot */
  private claimProbe(at: number, seen: number, now: number): boolean {
    // `now` may happen to equal what stands there; then the swap would exclude nobody.
    const mark = now === seen ? (now + 1) | 0 : now;
    return Atomics.compareExchange(this.words, at + entry.LAST_PROBE_AT, seen, mark) === seen;
  }

  /** @hot */
  private useStale(at: number, now: number): number {
    // Before the state, so that nobody sees DELAY with an older beginning.
    Atomics.store(this.words, at + entry.LAST_PROBE_AT, now);
    this.change(at, entry.NEIGHBOR_STALE, entry.NEIGHBOR_DELAY);
    return SEND;
  }

  /** @hot */
  private useDelayed(at: number, now: number): number {
    const seen = Atomics.load(this.words, at + entry.LAST_PROBE_AT);
    if (!entry.isOld(now, seen, TIMINGS.delayMs)) return SEND;
    if (!this.claimProbe(at, seen, now)) return SEND;
    Atomics.store(this.words, at + entry.PROBES, 1);
    if (!this.change(at, entry.NEIGHBOR_DELAY, entry.NEIGHBOR_PROBE)) return SEND;
    this.isProbeUnicast = 1;
    return SEND_AND_PROBE;
  }

  /** @hot */
  private useProbed(at: number, now: number): number {
    const seen = Atomics.load(this.words, at + entry.LAST_PROBE_AT);
    if (!entry.isOld(now, seen, TIMINGS.retryMs)) return SEND;
    if (!this.claimProbe(at, seen, now)) return SEND;
    const probes = Atomics.load(this.words, at + entry.PROBES);
    if (probes >= TIMINGS.maxProbes) {
      return this.change(at, entry.NEIGHBOR_PROBE, entry.NEIGHBOR_FAILED) ? UNREACHABLE : SEND;
    }
    Atomics.store(this.words, at + entry.PROBES, probes + 1);
    this.isProbeUnicast = probes < TIMINGS.unicastProbes ? 1 : 0;
    return SEND_AND_PROBE;
  }

  /** @hot */
  private useIncomplete(at: number, now: number): number {
    const seen = Atomics.load(this.words, at + entry.LAST_PROBE_AT);
    if (!entry.isOld(now, seen, TIMINGS.retryMs)) return WAIT;
    if (!this.claimProbe(at, seen, now)) return WAIT;
    // When nobody has wanted it for so long, it would have failed and be asked again by now.
    const isAnew = entry.isOld(now, seen, TIMINGS.retryMs + TIMINGS.failedHoldMs);
    const probes = isAnew ? 0 : Atomics.load(this.words, at + entry.PROBES);
    if (probes >= TIMINGS.maxProbes) {
      return this.change(at, entry.NEIGHBOR_INCOMPLETE, entry.NEIGHBOR_FAILED) ? UNREACHABLE : WAIT;
    }
    Atomics.store(this.words, at + entry.PROBES, probes + 1);
    this.isProbeUnicast = 0;
    return WAIT_AND_PROBE;
  }

  /** For the first time, or after having failed for long enough. @hot */
  private askAnew(at: number, state: number, now: number): number {
    const seen = Atomics.load(this.words, at + entry.LAST_PROBE_AT);
    const isFailed = state === entry.NEIGHBOR_FAILED;
    if (isFailed && !entry.isOld(now, seen, TIMINGS.failedHoldMs)) return UNREACHABLE;
    // Who loses either swap has met another processor that has just begun to ask, or an answer.
    if (!this.claimProbe(at, seen, now)) return WAIT;
    Atomics.store(this.words, at + entry.PROBES, 1);
    if (!this.change(at, state, entry.NEIGHBOR_INCOMPLETE)) return WAIT;
    this.isProbeUnicast = 0;
    return WAIT_AND_PROBE;
  }

  /** Makes an empty entry ours, fills it, and shows it. @hot */
  private claim(
    index: number,
    expected: number,
    interfaceNumber: number,
    address: number,
    now: number,
  ): number {
    const { words } = this;
    const at = this.at(index);
    const mark = entry.claimOf(now);
    if (Atomics.compareExchange(words, at + entry.KEY, expected, mark) !== expected) return BUSY;
    Atomics.store(words, at + entry.STATE, entry.NEIGHBOR_NONE);
    Atomics.store(words, at + entry.ADDRESS, address);
    Atomics.store(words, at + entry.PROBES, 0);
    Atomics.store(words, at + entry.USED, 0);
    Atomics.store(words, at + entry.LAST_USED, now);
    const recycled = ((expected >>> 8) + (expected === 0 ? 0 : 1)) & 0x7fffff;
    const key = (recycled << 8) | (interfaceNumber + 1);
    Atomics.store(words, at + entry.KEY, key);
    this.foundIndex = index;
    this.foundKey = key;
    return index;
  }

  /** Gives an entry to another neighbor, while nobody can be learning the old one's address. @hot */
  private recycle(index: number, interfaceNumber: number, address: number, now: number): number {
    const { words } = this;
    const at = this.at(index);
    const ticket = entry.lock(words, at, now);
    if (ticket === 0) return BUSY;
    const key = Atomics.load(words, at + entry.KEY);
    let claimed = BUSY;
    if (key > 0 && entry.isRecyclable(words, at, now)) {
      // Whoever was superseded while learning for the old neighbor can publish no more.
      Atomics.add(words, at + entry.VERSION, 2);
      claimed = this.claim(index, key, interfaceNumber, address, now);
    }
    entry.unlock(words, at, ticket);
    return claimed;
  }

  /** Publishes a MAC address and a state. @returns 1, or 0: somebody else is at it. @hot */
  private write(index: number, macHigh: number, macLow: number, state: number, now: number) {
    const { words } = this;
    const at = this.at(index);
    const ticket = entry.lock(words, at, now);
    if (ticket === 0) return 0;
    const key = Atomics.load(words, at + entry.KEY);
    if (key <= 0 || (index === this.foundIndex && key !== this.foundKey)) {
      entry.unlock(words, at, ticket);
      return 0;
    }
    const isPublished = entry.publish(words, at, ticket, macHigh, macLow);
    if (isPublished) {
      Atomics.store(words, at + entry.CONFIRMED_AT, now);
      Atomics.store(words, at + entry.PROBES, 0);
      Atomics.store(words, at + entry.STATE, state);
    }
    entry.unlock(words, at, ticket);
    return isPublished ? 1 : 0;
  }

  /**
   * A slot in force whose words do not belong together, and nobody is writing: a processor slept
   * through being superseded and then wrote. The neighbor is asked anew. @hot
   */
  private forgetDamaged(at: number, state: number, version: number): void {
    const { words } = this;
    if (Atomics.load(words, at + entry.WRITER) !== 0) return;
    if (Atomics.load(words, at + entry.VERSION) !== version) return;
    this.change(at, state, entry.NEIGHBOR_NONE);
  }
}
