// How many there are now: records taken, connections of each backend, those of them that are open, those
// whose handshake is not complete. Each processor adds and takes away in its own counters, by plain
// additions, so only sums over all processors mean something. What else is counted of connections and
// only rises: connection-backends.ts, memory/counters.ts.
//
// A processor that is killed between changing a record and its gauges leaves them wrong for good. So
// gauges are kept in two books, and the record's life says by one bit (LIFE_SECOND_BOOK) in which one it
// stands: it is taken out of that one, whoever does it, by whoever's compare-and-swap has changed the life.
// A recount (connection-recount.ts) has new records enter the other book and carries the old ones over;
// what the first book says when no record stands in it any more was wrong, and is struck out. The sum of
// both books is the gauge, at any time.

import {
  COUNTER_CONNECTIONS_INSERTED,
  COUNTER_CONNECTIONS_TAKEN,
  COUNTER_HALF_OPEN,
  countersBase,
  SECOND_BOOK,
} from '../memory/counters.ts';
import { HEADER_BOOK } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import {
  BACKEND_ACTIVE,
  BACKEND_CONNECTIONS,
  BACKEND_OPEN,
  BACKEND_SECOND_BOOK,
  backendCounters,
  backendCountersBase,
} from './connection-backends.ts';
import * as record from './connection-record.ts';

export class ConnectionGauges {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly bookIndex: number;
  private readonly counters: number;
  private readonly backends: number;
  /** How often the book has been changed: its lowest bit names the book of what is taken now. */
  book = 0;

  constructor(memory: MainMemory, processor: number) {
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.bookIndex = (memory.layout.header >> 2) + HEADER_BOOK;
    this.counters = countersBase(memory, processor);
    this.backends = backendCountersBase(memory, processor);
  }

  /** After the turn's epoch has been shown. @hot */
  enterTurn(): void {
    this.book = Atomics.load(this.words, this.bookIndex);
  }

  /** LIFE_SECOND_BOOK or 0: in the life of what is taken now. @hot */
  bookOfNew(): number {
    return this.book << 31;
  }

  /** A record with this life was taken (+1) or freed (-1). @hot */
  taken(life: number, amount: number): void {
    this.doubles[this.counters + COUNTER_CONNECTIONS_TAKEN + (life >>> 31) * SECOND_BOOK] += amount;
  }

  /** A handshake began (+1) or was completed (-1). @hot */
  private halfOpen(life: number, amount: number): void {
    this.doubles[this.counters + COUNTER_HALF_OPEN + (life >>> 31) * SECOND_BOOK] += amount;
  }

  /** A connection of the backend began (+1) or ended (-1). @hot */
  private active(line: number, life: number, amount: number): void {
    this.doubles[this.placeOf(line, life) + BACKEND_ACTIVE] += amount;
  }

  /** A connection became open (+1), or is not any more (-1). @hot */
  open(line: number, life: number, amount: number): void {
    this.doubles[this.placeOf(line, life) + BACKEND_OPEN] += amount;
  }

  /** @hot */
  private placeOf(line: number, life: number): number {
    const backend = this.words[line + record.LINE_IDS] & 0xffff;
    return backendCounters(this.backends, backend) + (life >>> 31) * BACKEND_SECOND_BOOK;
  }

  /** A record was published with this life; `line` is its first. @hot */
  began(line: number, life: number): void {
    if (record.isTemplate(this.words[line + record.LINE_PORT])) return;
    this.add(line, life, 1);
    this.doubles[this.counters + COUNTER_CONNECTIONS_INSERTED] += 1;
    const backend = this.words[line + record.LINE_IDS] & 0xffff;
    this.doubles[backendCounters(this.backends, backend) + BACKEND_CONNECTIONS] += 1;
  }

  /** The handshake of a connection that had this life is complete. @hot */
  completed(life: number): void {
    this.halfOpen(life, -1);
  }

  /** A record that had this life was removed. @hot */
  ended(line: number, life: number): void {
    if (!record.isTemplate(this.words[line + record.LINE_PORT])) this.add(line, life, -1);
  }

  /** A record that had this life, live or in limbo, stands in the other book now. @hot */
  carried(line: number, life: number): void {
    const after = life ^ record.LIFE_SECOND_BOOK;
    this.taken(life, -1);
    this.taken(after, 1);
    if ((life & record.LIFE_FOUND) !== record.LIFE_LIVE) return;
    if (record.isTemplate(this.words[line + record.LINE_PORT])) return;
    this.add(line, life, -1);
    this.add(line, after, 1);
  }

  /** Everything that a live connection counts for. @hot */
  private add(line: number, life: number, amount: number): void {
    this.active(line, life, amount);
    if ((life & record.LIFE_CLOSING) === 0) this.open(line, life, amount);
    if ((life & record.LIFE_STATE) === record.LIFE_HALF_OPEN) this.halfOpen(life, amount);
  }
}
