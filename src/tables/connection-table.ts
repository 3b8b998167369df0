// The connection table (element 66 of Fig. 4): one for all switching processors, without a lock. Step
// 210 of Fig. 6 asks it whether a packet belongs to a known connection, step 218 records a new one,
// step 220 rewrites as the record says. The record: connection-record.ts; finding it:
// connection-index.ts; when memory may be used again: connection-epoch.ts; states and timeouts:
// connection-states.ts; expiry: connection-sweep.ts.
//
// Inserting: reserve, fill, publish (or abandon), all within one turn. A processor killed on the way
// leaves a reserved record, which the sweep finds by its epoch. Which are taken: connection-free-records.ts.
//
// Invariants: of two live records never do two entries bear the same key; a record found by lookup
// stays what it is until the finder's turn ends; every live record has the slots of all its
// entries. `enterTurn` comes before anything else in a turn, `leave` before sleeping.

import type { MainMemory } from '../memory/region.ts';
import { FORWARDING_DSR } from './configuration-table.ts';
import { ConnectionAnswers } from './connection-answers.ts';
import {
  BACKEND_PACKETS_IN,
  BACKEND_PACKETS_OUT,
  backendCounters,
  backendCountersBase,
} from './connection-backends.ts';
import { ConnectionEpoch } from './connection-epoch.ts';
import { FreeRecords } from './connection-free-records.ts';
import { COUNTED, ConnectionGauges } from './connection-gauges.ts';
import { CONFLICT_UNDECIDED, ConnectionIndex, NOT_FOUND } from './connection-index.ts';
import * as record from './connection-record.ts';
import {
  marksAfter,
  SEEN_ACK,
  STATE_CLOSE,
  STATE_FIN_WAIT,
  STATE_TIME_WAIT,
  stateAt,
} from './connection-states.ts';

export { BACKEND_FULL, SERVICE_FULL } from './connection-gauges.ts';
export { NOT_FOUND } from './connection-index.ts';
export { DIRECTION_TO_CLIENT, DIRECTION_TO_SERVER } from './connection-record.ts';

// Results of `publish`; any that is not negative is the entry of the connection that is there already.
export const PUBLISHED = -1;
/** Another processor was publishing the same key: the client will send again. */
export const RACE = -2;
/** The server's replies could not be told from those of another connection. */
export const TUPLE_IN_USE = -3;
/** Both buckets of a key are full. */
export const INDEX_FULL = -4;

const PROTOCOL_TCP = 6;
const { LINE_SHIFT, RECORD_SHIFT } = record;

export class ConnectionTable {
  readonly epoch: ConnectionEpoch;
  readonly index: ConnectionIndex;
  readonly gauges: ConnectionGauges;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly lines: number;
  private readonly free: FreeRecords;
  private readonly answers: ConnectionAnswers;
  private readonly backends: number;

  constructor(memory: MainMemory, processor: number) {
    this.epoch = new ConnectionEpoch(memory, processor);
    this.index = new ConnectionIndex(memory, this.epoch);
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.lines = memory.layout.connectionRecords >> 2;
    this.free = new FreeRecords(memory, processor);
    this.gauges = new ConnectionGauges(memory, processor);
    this.answers = new ConnectionAnswers(memory, processor, this.gauges);
    this.backends = backendCountersBase(memory, processor);
  }

  /** Once per turn, before anything else: entries found in earlier turns are void. @hot */
  enterTurn(): void {
    this.epoch.enterTurn();
    this.gauges.enterTurn();
  }

  /** Before sleeping or stopping. @hot */
  leave(): void {
    this.epoch.leave();
  }

  /** The entry whose packets bear this key as they arrive, or NOT_FOUND. @hot */
  lookup(source: number, destination: number, ports: number, protocol: number): number {
    return this.index.lookup(source, destination, ports, protocol);
  }

  // Fields of an entry. `entry >> 1` is the record, `entry & 1` the direction.

  /** Address that replaces the destination (to the server) or the source (to the client). @hot */
  newAddress(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_ADDRESS];
  }

  /** @hot */
  newPort(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_PORT] >>> 16;
  }

  /** Ones-complement difference for the IP header's checksum, 16 bits. @hot */
  addressDifference(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_CHECKSUMS] >>> 16;
  }

  /** Ones-complement difference for the TCP or UDP checksum, 16 bits. @hot */
  transportDifference(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_CHECKSUMS] & 0xffff;
  }

  /** FORWARDING_* of the connection. @hot */
  forwarding(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_PORT] & 0xff;
  }

  /** @hot */
  protocol(entry: number): number {
    return record.protocolOf(this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_PORT]);
  }

  /** @hot */
  service(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_IDS] >>> 16;
  }

  /** @hot */
  backend(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_IDS] & 0xffff;
  }

  /** What `setWayOut` stored; meaningful under the routing generation it was stored with. @hot */
  wayOut(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_WAY_OUT];
  }

  /** @hot */
  wayOutGeneration(entry: number): number {
    return this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_WAY_OUT_GENERATION];
  }

  /** Remembers the way out of this direction. Its processor only. @hot */
  setWayOut(entry: number, wayOut: number, routingGeneration: number): void {
    const line = this.lines + (entry << LINE_SHIFT);
    this.words[line + record.LINE_WAY_OUT] = wayOut;
    this.words[line + record.LINE_WAY_OUT_GENERATION] = routingGeneration;
  }

  /** A template was used: its time begins anew. @hot */
  touch(entry: number, nowMs: number): void {
    this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_LAST_SEEN] = nowMs;
  }

  /** A record to fill and publish within this turn, or NOT_FOUND when the table is full. @hot */
  reserve(): number {
    for (;;) {
      const number = this.free.take();
      if (number === NOT_FOUND || this.claim(number) === 1) return number;
    }
  }

  /** Makes a record RESERVED whose bit we have set. @hot */
  private claim(number: number): number {
    const line = this.lines + (number << RECORD_SHIFT);
    const life = this.retired(this.gauges.bookOfNew()) | record.LIFE_RESERVED;
    // The sweep may have made it a suspect between our setting of the bit and this.
    let before = Atomics.load(this.words, line);
    for (;;) {
      const state = before & record.LIFE_STATE;
      if (state !== record.LIFE_FREE && state !== record.LIFE_SUSPECT) return 0;
      const seen = Atomics.compareExchange(this.words, line, before, life);
      if (seen === before) break;
      before = seen;
    }
    // Two words at a time: from the second to the last of both lines.
    this.words[line + 1] = 0;
    for (let i = 1; i < record.LINE_WORDS; i++) this.doubles[(line >> 1) + i] = 0;
    this.gauges.taken(life, 1);
    return 1;
  }

  /** The key of the client's packets as they arrive. @hot */
  setClientKey(
    number: number,
    source: number,
    destination: number,
    ports: number,
    protocol: number,
  ): void {
    this.setKey(this.lines + (number << RECORD_SHIFT), source, destination, ports, protocol);
  }

  /** The key of the server's packets as they arrive; not for direct server return. @hot */
  setServerKey(
    number: number,
    source: number,
    destination: number,
    ports: number,
    protocol: number,
  ): void {
    const line = this.lines + (number << RECORD_SHIFT) + record.LINE_WORDS;
    this.setKey(line, source, destination, ports, protocol);
  }

  /** @hot */
  private setKey(
    line: number,
    source: number,
    destination: number,
    ports: number,
    protocol: number,
  ): void {
    this.words[line + record.LINE_SOURCE] = source;
    this.words[line + record.LINE_DESTINATION] = destination;
    this.words[line + record.LINE_PORTS] = ports;
    this.words[line + record.LINE_PORT] =
      (this.words[line + record.LINE_PORT] & 0xffff00ff) | (protocol << 8);
  }

  /** What a packet of one direction is rewritten to; differences of 16 bits each. @hot */
  setRewrite(
    entry: number,
    address: number,
    port: number,
    addressDifference: number,
    transportDifference: number,
  ): void {
    const line = this.lines + (entry << LINE_SHIFT);
    this.words[line + record.LINE_ADDRESS] = address;
    this.words[line + record.LINE_PORT] =
      (this.words[line + record.LINE_PORT] & 0xffff) | (port << 16);
    this.words[line + record.LINE_CHECKSUMS] =
      (addressDifference << 16) | (transportDifference & 0xffff);
  }

  /** Whose connection it is, and FORWARDING_*. @hot */
  setOwner(number: number, forwarding: number, service: number, backend: number): void {
    const line = this.lines + (number << RECORD_SHIFT);
    const ids = (service << 16) | backend;
    this.words[line + record.LINE_IDS] = ids;
    this.words[line + record.LINE_WORDS + record.LINE_IDS] = ids;
    this.words[line + record.LINE_PORT] |= forwarding;
    this.words[line + record.LINE_WORDS + record.LINE_PORT] |= forwarding;
  }

  /**
   * Shows the connection to all processors. PUBLISHED; or why not, and then the record is gone: RACE,
   * TUPLE_IN_USE, INDEX_FULL, SERVICE_FULL, BACKEND_FULL, or (not negative) the entry that has borne this
   * client key before. `update…` with the first packet comes after it. Limits: how many the service, and
   * the backend, may have open with it; 0: any number. @hot
   */
  publish(number: number, nowMs: number, serviceLimit = 0, backendLimit = 0): number {
    const line = this.lines + (number << RECORD_SHIFT);
    const server = line + record.LINE_WORDS;
    const isTwoSided = (this.words[line + record.LINE_PORT] & 0xff) !== FORWARDING_DSR;
    this.words[line + record.LINE_LAST_SEEN] = nowMs;
    this.words[server + record.LINE_LAST_SEEN] = nowMs;
    const entry = number << 1;
    const { index } = this;
    const hash = index.hashOf(entry);
    const otherHash = isTwoSided ? index.hashOf(entry | 1) : 0;
    if (index.place(entry, hash) === 0 || (isTwoSided && index.place(entry | 1, otherHash) === 0)) {
      this.withdraw(number);
      return INDEX_FULL;
    }
    let other = index.conflict(entry, hash);
    let result = other === CONFLICT_UNDECIDED ? RACE : other;
    if (other === NOT_FOUND && isTwoSided) {
      other = index.conflict(entry | 1, otherHash);
      if (other !== NOT_FOUND) result = other === CONFLICT_UNDECIDED ? RACE : TUPLE_IN_USE;
    }
    if (other !== NOT_FOUND) {
      this.withdraw(number);
      return result;
    }
    const isTcp = record.protocolOf(this.words[line + record.LINE_PORT]) === PROTOCOL_TCP;
    const book = this.words[line] & record.LIFE_SECOND_BOOK;
    const life = book | (isTcp ? record.LIFE_HALF_OPEN : record.LIFE_LIVE);
    const counted = this.gauges.begin(line, life, serviceLimit, backendLimit);
    if (counted !== COUNTED) {
      this.withdraw(number);
      return counted;
    }
    Atomics.store(this.words, server, (nowMs & ~record.LIFE_STATE) | record.LIFE_LIVE);
    Atomics.store(this.words, line, life);
    return PUBLISHED;
  }

  /** Takes a reserved record out of the index again and lets the sweep have it. @hot */
  private withdraw(number: number): void {
    this.index.clear(number << 1);
    this.index.clear((number << 1) | 1);
    this.abandon(number);
  }

  /** Gives up a reserved record that was not published. @hot */
  abandon(number: number): void {
    const line = this.lines + (number << RECORD_SHIFT);
    Atomics.store(this.words, line, this.retired(this.words[line]) | record.LIFE_LIMBO);
  }

  /** A life without a state that bears the present epoch and stands in the same book. @hot */
  private retired(life: number): number {
    return (life & record.LIFE_SECOND_BOOK) | (this.epoch.now() << record.LIFE_EPOCH_SHIFT);
  }

  /** Ends a connection; 0 when it was not live (any more). Whoever gets 1 has ended it. @hot */
  remove(number: number): number {
    const line = this.lines + (number << RECORD_SHIFT);
    let life = Atomics.load(this.words, line);
    for (;;) {
      if ((life & record.LIFE_FOUND) !== record.LIFE_LIVE) return 0;
      const dying = this.retired(life) | record.LIFE_DYING;
      const seen = Atomics.compareExchange(this.words, line, life, dying);
      if (seen === life) break;
      life = seen;
    }
    this.gauges.ended(line, life);
    this.bury(number);
    return 1;
  }

  /** DYING or deserted RESERVED → LIMBO, out of the index. By its remover, or by the sweep. @hot */
  bury(number: number): void {
    const line = this.lines + (number << RECORD_SHIFT);
    Atomics.store(this.words, line + record.LINE_WORDS, 0);
    this.withdraw(number);
  }

  /** The end of limbo: the record can be reserved again. The sweep of its share only. @hot */
  release(number: number): void {
    const line = this.lines + (number << RECORD_SHIFT);
    const life = this.words[line];
    Atomics.store(this.words, line, record.LIFE_FREE);
    this.free.give(number);
    this.gauges.taken(life, -1);
  }

  /** A record whose bit was set by somebody who never reserved it: so it was never counted. @hot */
  releaseUnreserved(number: number): void {
    this.free.give(number);
  }

  /** A TCP segment has passed in this direction; `length` in bytes of the IP packet. @hot */
  updateTcp(entry: number, flags: number, nowMs: number, length: number): void {
    const line = this.lines + (entry << LINE_SHIFT);
    this.countPacket(entry, line, nowMs, length);
    const marks = this.words[line + record.LINE_MARKS];
    const after = marksAfter(marks, flags);
    if (after !== marks) this.answers.change(entry, marks, after, nowMs);
    if ((entry & 1) !== 0) return;
    if ((this.words[line] & record.LIFE_STATE) !== record.LIFE_HALF_OPEN) return;
    if ((after & SEEN_ACK) !== 0) this.answers.shakeHands(line, after);
  }

  /** The acknowledgment number of a TCP segment that passes in this direction, or what stands there. @hot */
  acknowledge(entry: number, acknowledged: number): void {
    this.words[this.lines + (entry << LINE_SHIFT) + record.LINE_ACKNOWLEDGED] = acknowledged;
  }

  /** A UDP datagram has passed in this direction; `length` in bytes of the IP packet. @hot */
  updateUdp(entry: number, nowMs: number, length: number): void {
    const line = this.lines + (entry << LINE_SHIFT);
    if (this.words[line + record.LINE_MARKS] === 0) this.answers.firstDatagram(entry, nowMs);
    this.countPacket(entry, line, nowMs, length);
  }

  /** @hot */
  private countPacket(entry: number, line: number, nowMs: number, length: number): void {
    const { words, doubles } = this;
    const first = line >> 1;
    words[line + record.LINE_LAST_SEEN] = nowMs;
    words[line + record.LINE_PACKETS] += 1;
    doubles[first + record.LINE_BYTES] += length;
    const counters =
      backendCounters(this.backends, words[line + record.LINE_IDS] & 0xffff) +
      ((entry & 1) === 0 ? BACKEND_PACKETS_IN : BACKEND_PACKETS_OUT);
    doubles[counters] += 1;
    doubles[counters + 1] += length;
  }

  /** STATE_* of a connection, from the marks of both its directions. @hot */
  stateOf(number: number): number {
    return stateAt(this.words, this.lines + (number << RECORD_SHIFT));
  }

  /**
   * Whether a SYN of the same key begins a new connection: remove this one, insert anew. With direct server
   * return the client's FIN may be the last of it that passes here: its SYN then is of the next. @hot
   */
  isReusableBySyn(number: number): boolean {
    const state = this.stateOf(number);
    if (state === STATE_TIME_WAIT || state === STATE_CLOSE) return true;
    const port = this.words[this.lines + (number << RECORD_SHIFT) + record.LINE_PORT];
    return state === STATE_FIN_WAIT && (port & 0xff) === FORWARDING_DSR;
  }
}
