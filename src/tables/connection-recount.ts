// Recounts the gauges of connections (connection-gauges.ts) after a processor was killed, while all go on:
// limits and schedulers depend on them. Whoever begins again asks for it (`wantRecount`). Part of the sweep:
//
//   processor 0    changes the book: from its next turn on each processor enters what it takes into that
//   each           waits until no turn is under way that does not know (two epochs), then carries all
//                  records of its share over, within a round of its sweep, and shows that it has
//   processor 0    when all have shown it, no record stands in the old book any more. What its gauges still
//                  say in sum was wrong: takes it off them, in its own counters, some backends at a time
//
// Each step can be repeated, so whoever is killed in it begins it again; what its kill has made wrong in the
// new book, the next recount finds. A processor that is dead holds the recount up until it has begun again.
// Words: HEADER_BOOK, HEADER_RECOUNTS_WANTED, PROCESSOR_BOOK. Invariant: the book is changed only when
// all records stand in one, and the other is struck out.

import {
  COUNTER_CONNECTIONS_TAKEN,
  COUNTER_HALF_OPEN,
  countersBase,
  SECOND_BOOK,
} from '../memory/counters.ts';
import {
  COUNTERS_SIZE,
  HEADER_BOOK,
  HEADER_RECOUNTS_WANTED,
  MAX_BACKENDS,
  MAX_SERVICES,
  PROCESSOR_BOOK,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import {
  BACKEND_ACTIVE,
  BACKEND_OPEN,
  BACKEND_SECOND_BOOK,
  backendCounters,
  backendCountersBase,
} from './connection-backends.ts';
import { serviceGauge, serviceGaugesBase } from './connection-gauges.ts';
import * as record from './connection-record.ts';
import type { ConnectionTable } from './connection-table.ts';

/** Backends whose gauges are struck out in one step: some tens of microseconds. */
const STRUCK_OUT_AT_ONCE = 256;
const NOT_LOOKED_YET = -1;

/** Asks for a recount: by a processor that begins again where another was killed. */
export function wantRecount(memory: MainMemory): void {
  Atomics.add(memory.words, (memory.layout.header >> 2) + HEADER_RECOUNTS_WANTED, 1);
}

export class ConnectionRecount {
  private readonly memory: MainMemory;
  private readonly processor: number;
  private readonly table: ConnectionTable;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly header: number;
  private readonly shown: number;
  /** Counters of processor 0, and how far the next one's are from them. */
  private readonly counters: number;
  private readonly backends: number;
  private readonly backendsStride: number;
  private readonly services: number;
  private readonly servicesStride: number;
  /** The book as of the last step. */
  private book = NOT_LOOKED_YET;
  private isShown = true;
  /** Epoch in which the book was seen to be another. */
  private seenAt = 0;
  /** Whether the present round of the sweep carries records over, and has met some that it could not. */
  private isCarrying = false;
  private hasLeftSome = false;
  // Of processor 0.
  /** The book as of which everything was carried over and struck out. */
  private settled = NOT_LOOKED_YET;
  private served = 0;
  private nextBackend = 0;

  constructor(memory: MainMemory, processor: number, table: ConnectionTable) {
    this.memory = memory;
    this.processor = processor;
    this.table = table;
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.header = memory.layout.header >> 2;
    this.shown = memory.processorWord(processor, PROCESSOR_BOOK);
    this.counters = countersBase(memory, 0);
    this.backends = backendCountersBase(memory, 0);
    this.backendsStride = backendCountersBase(memory, 1) - this.backends;
    this.services = serviceGaugesBase(memory, 0);
    this.servicesStride = serviceGaugesBase(memory, 1) - this.services;
  }

  /** Whether there are records to be carried over. @hot */
  isUnderWay(): boolean {
    return !this.isShown;
  }

  /** Before each step of the sweep. @hot */
  step(): void {
    const { book } = this.table.gauges;
    if (book !== this.book) {
      // Before the first recount there is nothing that a predecessor could have left undone.
      if (this.book === NOT_LOOKED_YET && book === 0) this.settled = 0;
      this.book = book;
      this.isShown = Atomics.load(this.words, this.shown) === book;
      this.seenAt = this.table.epoch.now();
      this.isCarrying = false;
    }
    if (this.processor === 0) this.lead();
  }

  /** The sweep's hand has come to the end of its share, and goes back to the beginning. @hot */
  endRound(): void {
    if (this.isShown) return;
    if (this.isCarrying && !this.hasLeftSome) {
      Atomics.store(this.words, this.shown, this.book);
      this.isShown = true;
      this.isCarrying = false;
      return;
    }
    this.isCarrying = this.table.epoch.hasPassed(this.seenAt);
    this.hasLeftSome = false;
  }

  /** The hand has come to a taken record with this life. @returns its life after that. @hot */
  carry(line: number, life: number): number {
    if (!this.isCarrying || ((life >>> 31) ^ (this.book & 1)) === 0) return life;
    const state = life & record.LIFE_STATE;
    // Not counted; reserved from now on it will be in the new book.
    if (state === record.LIFE_FREE || state === record.LIFE_SUSPECT) return life;
    if (state === record.LIFE_RESERVED || state === record.LIFE_DYING) {
      // Its life is about to be overwritten, if not by a processor that is gone then by the sweep.
      this.hasLeftSome = true;
      return life;
    }
    const carried = life ^ record.LIFE_SECOND_BOOK;
    const seen = Atomics.compareExchange(this.words, line, life, carried);
    if (seen !== life) {
      this.hasLeftSome = true;
      return seen;
    }
    this.table.gauges.carried(line, life);
    return carried;
  }

  /** What only processor 0 does. @hot */
  private lead(): void {
    if (this.settled !== this.book) {
      if (this.nextBackend > 0 || this.haveAllShown()) this.strikeOut();
      return;
    }
    const wanted = Atomics.load(this.words, this.header + HEADER_RECOUNTS_WANTED);
    if (wanted === this.served) return;
    this.served = wanted;
    Atomics.store(this.words, this.header + HEADER_BOOK, (this.book + 1) | 0);
  }

  /** @hot */
  private haveAllShown(): boolean {
    for (let p = 0; p < this.memory.layout.processors; p++) {
      const word = this.memory.processorWord(p, PROCESSOR_BOOK);
      if (Atomics.load(this.words, word) !== this.book) return false;
    }
    return true;
  }

  /** A step of striking out the old book, or the last. @hot */
  private strikeOut(): void {
    const old = (this.book + 1) & 1;
    const end = Math.min(this.nextBackend + STRUCK_OUT_AT_ONCE, MAX_BACKENDS);
    const first = (this.backends + old * BACKEND_SECOND_BOOK) | 0;
    for (let backend = this.nextBackend; backend < end; backend++) {
      const place = backendCounters(first, backend);
      this.strike(place + BACKEND_ACTIVE, this.backendsStride);
      this.strike(place + BACKEND_OPEN, this.backendsStride);
      // There are fewer services than backends: their turn comes with them.
      if (backend >= MAX_SERVICES) continue;
      this.strike(serviceGauge(this.services, backend) + old, this.servicesStride);
    }
    this.nextBackend = end;
    if (end < MAX_BACKENDS) return;
    this.nextBackend = 0;
    const counters = (this.counters + old * SECOND_BOOK) | 0;
    this.strike(counters + COUNTER_CONNECTIONS_TAKEN, COUNTERS_SIZE >> 3);
    this.strike(counters + COUNTER_HALF_OPEN, COUNTERS_SIZE >> 3);
    this.settled = this.book;
  }

  /** Takes off processor 0's counter what it and its like, `stride` apart, are in sum. @hot */
  private strike(index: number, stride: number): void {
    let sum = 0;
    for (let p = 0; p < this.memory.layout.processors; p++) {
      sum += this.doubles[index + Math.imul(p, stride)];
    }
    if (sum !== 0) this.doubles[index] -= sum;
  }
}
