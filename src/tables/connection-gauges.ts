// How many there are now: records taken, connections of each backend, those of them that are open, those
// that each service has open, those whose handshake is not complete. Each processor adds and takes away in
// its own counters, by plain additions, so only sums over all processors mean something. What else is
// counted of connections and only rises: connection-backends.ts, memory/counters.ts.
//
// Limits of open connections are kept by who begins one: it counts the new connection before anybody can
// see it, makes that visible to all, and then looks at the sums (`begin`). Of two processors that begin one
// at the same moment, at least the second one sees the first; both may, and both refuse then.
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
import { HEADER_BOOK, MAX_SERVICES, SERVICE_GAUGES_SIZE } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import {
  BACKEND_ACTIVE,
  BACKEND_CONNECTIONS,
  BACKEND_OPEN,
  BACKEND_SECOND_BOOK,
  backendCounters,
  backendCountersBase,
  sumBackend,
} from './connection-backends.ts';
import * as record from './connection-record.ts';

const SERVICE_DOUBLES = SERVICE_GAUGES_SIZE / 8;

/** Index into `doubles` of the gauges that `processor` keeps of service 0. */
export function serviceGaugesBase(memory: MainMemory, processor: number): number {
  return (memory.layout.serviceGauges + processor * MAX_SERVICES * SERVICE_GAUGES_SIZE) >> 3;
}

/** Index into `doubles` of a service's gauge, in the first book; `base` from serviceGaugesBase. @hot */
export function serviceGauge(base: number, service: number): number {
  return base + Math.imul(service, SERVICE_DOUBLES);
}

/** Connections that a service has open, over all processors and in both books. @hot */
export function sumServiceOpen(memory: MainMemory, service: number): number {
  let index = serviceGauge(memory.layout.serviceGauges >> 3, service);
  let sum = 0;
  for (let p = memory.layout.processors; p > 0; p--) {
    sum += memory.doubles[index] + memory.doubles[index + 1];
    index = (index + MAX_SERVICES * SERVICE_DOUBLES) | 0;
  }
  return sum;
}

/** What `begin` says: it is counted, … */
export const COUNTED = 0;
/** … or not, because with it the service or the backend would have more open than it may. */
export const SERVICE_FULL = -5;
export const BACKEND_FULL = -6;

export class ConnectionGauges {
  private readonly memory: MainMemory;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly bookIndex: number;
  private readonly counters: number;
  private readonly backends: number;
  private readonly services: number;
  /** How often the book has been changed: its lowest bit names the book of what is taken now. */
  book = 0;

  constructor(memory: MainMemory, processor: number) {
    this.memory = memory;
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.bookIndex = (memory.layout.header >> 2) + HEADER_BOOK;
    this.counters = countersBase(memory, processor);
    this.backends = backendCountersBase(memory, processor);
    this.services = serviceGaugesBase(memory, processor);
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
    const service = this.words[line + record.LINE_IDS] >>> 16;
    this.doubles[serviceGauge(this.services, service) + (life >>> 31)] += amount;
  }

  /** @hot */
  private placeOf(line: number, life: number): number {
    const backend = this.words[line + record.LINE_IDS] & 0xffff;
    return backendCounters(this.backends, backend) + (life >>> 31) * BACKEND_SECOND_BOOK;
  }

  /**
   * A record is about to be published with this life; `line` is its first. Limits are how many may be open
   * with it, 0: as many as come.
   * @returns COUNTED, or SERVICE_FULL or BACKEND_FULL, and then nothing is counted. @hot
   */
  begin(line: number, life: number, serviceLimit: number, backendLimit: number): number {
    if (record.isTemplate(this.words[line + record.LINE_PORT])) return COUNTED;
    this.add(line, life, 1);
    if ((serviceLimit | backendLimit) !== 0) {
      const full = this.whatIsFull(line, serviceLimit, backendLimit);
      if (full !== COUNTED) {
        this.add(line, life, -1);
        return full;
      }
    }
    this.doubles[this.counters + COUNTER_CONNECTIONS_INSERTED] += 1;
    const backend = this.words[line + record.LINE_IDS] & 0xffff;
    this.doubles[backendCounters(this.backends, backend) + BACKEND_CONNECTIONS] += 1;
    return COUNTED;
  }

  /** @hot */
  private whatIsFull(line: number, serviceLimit: number, backendLimit: number): number {
    // What we have counted is visible to all before we read what others have: a store and a load of the
    // atomic kind keep that order everywhere. The word is 0 until the record is published.
    Atomics.store(this.words, line + record.LINE_WORDS, 0);
    Atomics.load(this.words, line + record.LINE_WORDS);
    const ids = this.words[line + record.LINE_IDS];
    if (serviceLimit !== 0 && sumServiceOpen(this.memory, ids >>> 16) > serviceLimit) {
      return SERVICE_FULL;
    }
    if (backendLimit === 0) return COUNTED;
    const open = sumBackend(this.memory, ids & 0xffff, BACKEND_OPEN);
    return open > backendLimit ? BACKEND_FULL : COUNTED;
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
