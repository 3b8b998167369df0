// Control's hand on the media relay's table: which pairs of ports are free, and what stands in the legs in
// use. Ports are given out in no order that could be guessed, and a pair that was given back rests for a
// while, so that late packets of the old call do not reach the new one.
// Invariant: a leg's state is written last when it begins and first when it ends (tables/media-relay-table.ts).

import { randomInt } from 'node:crypto';
import * as table from '../tables/media-relay-table.ts';
import { parseAddress } from '../wire/ipv4.ts';
import type { Endpoint } from './leg-report.ts';
import type { RelaySettings } from './settings.ts';

/** How long packets may be under way to a call that has ended. */
export const REST_MS = 5000;

/** What signalling says of a party's end of a media. */
export interface Expectation {
  /** Undefined: as before. */
  readonly rtp: Endpoint | undefined;
  readonly rtcp: Endpoint | undefined;
  /** Address that the party's signalling comes from; 0: not known. Undefined: as before. */
  readonly signalling: number | undefined;
  readonly clockRate: number;
  /** FLAG_* */
  readonly flags: number;
}

export interface NewLeg {
  readonly address: number;
  readonly peer: number;
  /** Number of the first leg of the call. */
  readonly call: number;
  readonly place: number;
}

export class Legs {
  readonly relayTable: table.MediaRelayTable;
  readonly processors: number;
  /** Legs that the range of ports and the table have room for. */
  readonly count: number;
  private readonly settings: RelaySettings;
  private readonly words: Int32Array;
  private readonly free: number[] = [];
  private readonly resting: { readonly leg: number; readonly sinceMs: number }[] = [];

  constructor(words: Int32Array, processors: number, settings: RelaySettings) {
    this.relayTable = new table.MediaRelayTable(words, processors);
    this.words = words;
    this.processors = processors;
    this.settings = settings;
    const pairs = (settings.lastPort - this.firstPort + 1) >> 1;
    this.count = Math.min(pairs, this.relayTable.capacity);
  }

  /** The first even port. */
  private get firstPort(): number {
    return (this.settings.firstPort + 1) & ~1;
  }

  /**
   * Takes over the table as it stands, if it was made for these ports, or else begins with an empty one.
   * @returns numbers of the legs in use
   */
  begin(): number[] {
    const { words, relayTable, count, settings } = this;
    const isSame =
      words[table.HEADER_MAGIC] === table.MAGIC &&
      words[table.HEADER_LEGS] === count &&
      words[table.HEADER_FIRST_PORT] === this.firstPort &&
      words[table.HEADER_PROCESSORS] === this.processors;
    if (!isSame) this.empty();
    words[table.HEADER_LATCH_WINDOW_MS] = settings.latchWindowMs;
    words[table.HEADER_SOURCE_GUARD_MS] = settings.ssrcGuardMs;
    const inUse: number[] = [];
    for (let leg = 0; leg < count; leg += 1) {
      const isFree = words[relayTable.leg(leg) + table.LEG_STATE] === table.STATE_FREE;
      (isFree ? this.free : inUse).push(leg);
    }
    return inUse;
  }

  private empty(): void {
    const { words } = this;
    Atomics.store(words, table.HEADER_LEGS, 0);
    words.fill(0);
    words[table.HEADER_FIRST_PORT] = this.firstPort;
    words[table.HEADER_PROCESSORS] = this.processors;
    words[table.HEADER_MAGIC] = table.MAGIC;
    Atomics.store(words, table.HEADER_LEGS, this.count);
  }

  /** @returns the number of a free leg, or undefined */
  take(nowMs: number): number | undefined {
    while (this.resting.length > 0 && ((nowMs - this.resting[0].sinceMs) | 0) >= REST_MS) {
      this.free.push(this.resting.shift()!.leg);
    }
    if (this.free.length === 0) return undefined;
    const at = randomInt(this.free.length);
    const leg = this.free[at];
    const last = this.free.pop() as number;
    if (at < this.free.length) this.free[at] = last;
    return leg;
  }

  /** A leg that was taken and not opened. */
  putBack(leg: number): void {
    this.free.push(leg);
  }

  /** From now on packets to its ports are relayed. */
  open(leg: number, { address, peer, call, place }: NewLeg, nowMs: number): void {
    const { words } = this;
    const at = this.relayTable.leg(leg);
    this.relayTable.clear(at);
    words[at + table.LEG_ADDRESS] = address;
    words[at + table.LEG_PORT] = this.portOf(leg);
    words[at + table.LEG_PEER] = peer;
    words[at + table.LEG_CALL] = call | (place << 16);
    words[at + table.LEG_FLAGS] = table.FLAG_UNTOLD;
    words[at + table.LEG_CREATED] = nowMs;
    words[at + table.LEG_SIGNALLED] = nowMs;
    Atomics.store(words, at + table.LEG_STATE, table.STATE_IN_USE);
  }

  close(leg: number, nowMs: number): void {
    Atomics.store(this.words, this.relayTable.leg(leg) + table.LEG_STATE, table.STATE_FREE);
    this.resting.push({ leg, sinceMs: nowMs });
  }

  /** Puts into force what was signalled. A party that is expected elsewhere has to be learned anew. */
  expect(leg: number, expectation: Expectation, nowMs: number): void {
    const { words } = this;
    const { rtp, rtcp, signalling, clockRate, flags } = expectation;
    const at = this.relayTable.leg(leg);
    words[at + table.LEG_FLAGS] = flags;
    words[at + table.LEG_CLOCK_RATE] = clockRate;
    words[at + table.LEG_SIGNALLED] = nowMs;
    const hasMoved = this.expectSignalling(at, signalling);
    const isMoved = this.expectAt(at, table.CHANNEL_RTP, rtp) || hasMoved;
    const isRtcpMoved = this.expectAt(at, table.CHANNEL_RTCP, rtcp);
    if (isMoved) Atomics.store(words, at + table.LEG_LATCH, 0);
    if (isMoved || isRtcpMoved) Atomics.store(words, at + table.LEG_LATCH + 1, 0);
  }

  private expectAt(at: number, channel: number, endpoint: Endpoint | undefined): boolean {
    if (endpoint === undefined) return false;
    const { words } = this;
    const place = at + table.LEG_EXPECTED + channel * 2;
    if (words[place] === endpoint.address && words[place + 1] === endpoint.port) return false;
    words[place + 1] = 0;
    words[place] = endpoint.address;
    words[place + 1] = endpoint.port;
    return true;
  }

  /** @returns whether who was learned by his signalling, or by nothing, has to be learned anew */
  private expectSignalling(at: number, address: number | undefined): boolean {
    const { words, relayTable } = this;
    const word = at + table.LEG_SIGNALLING;
    if (address === undefined || words[word] === address) return false;
    const isFirst = words[word] === 0;
    words[word] = address;
    const latch = Atomics.load(words, at + table.LEG_LATCH);
    if (isFirst || latch === 0) return false;
    const source = relayTable.sourceOf(at, table.CHANNEL_RTP, latch);
    return words[source + table.SOURCE_PORT] >> 16 < table.LEVEL_ADDRESS;
  }

  /** Number of the first leg of a leg's call. */
  callOf(leg: number): number {
    return this.word(leg, table.LEG_CALL) & 0xffff;
  }

  /** Number of the media × 2 + side. */
  placeOf(leg: number): number {
    return this.word(leg, table.LEG_CALL) >>> 16;
  }

  word(leg: number, word: number): number {
    return this.words[this.relayTable.leg(leg) + word];
  }

  portOf(leg: number): number {
    return this.firstPort + leg * 2;
  }

  /** Address of an interface of the relay, as int32. */
  static addressOf(address: string): number {
    return parseAddress(address);
  }
}
