// What each switching processor has counted: one page of float64 per processor, which only that
// processor writes, so counting is a plain addition. Whoever wants totals sums over the processors;
// a reader may be one packet behind, never wrong for good. They live as long as main memory does, so
// a restarted processor goes on counting where the killed one stopped.
//
//   0 …  31    single counters and gauges (COUNTER_*)
//   32 … 63    the second book of those gauges that have one (tables/connection-gauges.ts)
//   64 … 191   one per reason (reasons.ts)
//   192 … 447  per interface: packets received, bytes received, packets sent, bytes sent
//
// Per processor, always: received = forwarded + dropped + punted + consumed + waiting.

import { assert } from '../base/assert.ts';
import { COUNTERS_SIZE, MAX_INTERFACES } from './layout.ts';
import { REASONS, VERDICT_OF_REASON, VERDICTS } from './reasons.ts';
import type { MainMemory } from './region.ts';

/** The single counters, by name; the place in the list is the index. Append only. */
export const SINGLE_COUNTERS = [
  'received',
  'waiting',
  'handedOver',
  'takenOver',
  'turns',
  'idleTurns',
  'sleeps',
  'framesReclaimed',
  'swept',
  'expired',
  'evicted',
  'connectionsTaken',
  'connectionsInserted',
  'halfOpen',
  'recordsReclaimed',
  'ended',
] as const;
export type SingleCounter = (typeof SINGLE_COUNTERS)[number];

export const COUNTER_RECEIVED = 0;
/** Gauge: packets held until a neighbor answers. */
export const COUNTER_WAITING = 1;
export const COUNTER_HANDED_OVER = 2;
export const COUNTER_TAKEN_OVER = 3;
export const COUNTER_TURNS = 4;
export const COUNTER_IDLE_TURNS = 5;
export const COUNTER_SLEEPS = 6;
/** Frames that recovery brought back after a kill. */
export const COUNTER_FRAMES_RECLAIMED = 7;
/** Connection records that the sweep has looked at. */
export const COUNTER_SWEPT = 8;
/** Connections removed because they were idle or their service is gone. */
export const COUNTER_EXPIRED = 9;
/** Connections removed early because the table was nearly full. */
export const COUNTER_EVICTED = 10;
/** Gauge, meaningful only in sum: connection records that are not free. */
export const COUNTER_CONNECTIONS_TAKEN = 11;
export const COUNTER_CONNECTIONS_INSERTED = 12;
/** Gauge, meaningful only in sum: TCP connections whose handshake is not complete. */
export const COUNTER_HALF_OPEN = 13;
/** Connection records that a killed processor had reserved and the sweep freed. */
export const COUNTER_RECORDS_RECLAIMED = 14;
/** Connections ended because their backend's are to be ended. */
export const COUNTER_ENDED = 15;
/** From a gauge of connections to its place in the second book. */
export const SECOND_BOOK = 32;

const IN_TWO_BOOKS: readonly number[] = [COUNTER_CONNECTIONS_TAKEN, COUNTER_HALF_OPEN];

const REASONS_BASE = 64;
const REASONS_MAX = 128;
const INTERFACES_BASE = REASONS_BASE + REASONS_MAX;

assert(SINGLE_COUNTERS.length <= SECOND_BOOK, 'more single counters than places');
assert(REASONS.length <= REASONS_MAX, 'more reasons than counters');
assert((INTERFACES_BASE + MAX_INTERFACES * 4) * 8 <= COUNTERS_SIZE, 'counters exceed their page');

/** Index into `doubles` of a processor's first counter. */
export function countersBase(memory: MainMemory, processor: number): number {
  return (memory.layout.counters + processor * COUNTERS_SIZE) >> 3;
}

/** Index into `doubles` of a processor's count under a reason. */
export function reasonCounter(memory: MainMemory, processor: number, reason: number): number {
  return countersBase(memory, processor) + REASONS_BASE + reason;
}

/** The counters of one processor, for that processor to count in. */
export class Counters {
  private readonly doubles: Float64Array;
  private readonly base: number;

  constructor(memory: MainMemory, processor: number) {
    this.doubles = memory.doubles;
    this.base = countersBase(memory, processor);
  }

  /** A packet came to its end for `reason`. @hot */
  count(reason: number): void {
    this.doubles[this.base + REASONS_BASE + reason] += 1;
  }

  /** `packets` came to their end for `reason`. @hot */
  countSeveral(reason: number, packets: number): void {
    this.doubles[this.base + REASONS_BASE + reason] += packets;
  }

  /** `packets` frames of `bytes` in all were received on an interface. @hot */
  received(interfaceNumber: number, packets: number, bytes: number): void {
    const index = this.base + INTERFACES_BASE + (interfaceNumber << 2);
    this.doubles[this.base + COUNTER_RECEIVED] += packets;
    this.doubles[index] += packets;
    this.doubles[index + 1] += bytes;
  }

  /** A frame of `length` bytes was given to an interface for sending. @hot */
  transmitted(interfaceNumber: number, length: number): void {
    const index = this.base + INTERFACES_BASE + (interfaceNumber << 2);
    this.doubles[index + 2] += 1;
    this.doubles[index + 3] += length;
  }

  /** Gauge: packets that now wait for a neighbor. @hot */
  setWaiting(count: number): void {
    this.doubles[this.base + COUNTER_WAITING] = count;
  }

  /** Frames that went into hand-over lanes. @hot */
  handedOver(count: number): void {
    this.doubles[this.base + COUNTER_HANDED_OVER] += count;
  }

  /** Frames that came out of hand-over lanes. @hot */
  takenOver(count: number): void {
    this.doubles[this.base + COUNTER_TAKEN_OVER] += count;
  }

  /** One turn of the engine that did `work` things. @hot */
  turn(work: number): void {
    this.doubles[this.base + COUNTER_TURNS] += 1;
    if (work === 0) this.doubles[this.base + COUNTER_IDLE_TURNS] += 1;
  }

  /** Adds to one of the single counters (COUNTER_*). @hot */
  add(counter: number, amount: number): void {
    this.doubles[this.base + counter] += amount;
  }
}

/** Sum over all processors of one single counter (COUNTER_*), of a gauge in both books. @hot */
export function sumCounter(memory: MainMemory, counter: number): number {
  const sum = sumPlace(memory, counter);
  if (counter !== COUNTER_CONNECTIONS_TAKEN && counter !== COUNTER_HALF_OPEN) return sum;
  return sum + sumPlace(memory, counter + SECOND_BOOK);
}

/** @hot */
function sumPlace(memory: MainMemory, counter: number): number {
  const processors = memory.layout.processors;
  let index = (memory.layout.counters >> 3) + counter;
  let sum = 0;
  for (let p = 0; p < processors; p++) {
    sum += memory.doubles[index];
    index = (index + COUNTERS_SIZE / 8) | 0;
  }
  return sum;
}

export interface InterfaceCounters {
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  readonly sentPackets: number;
  readonly sentBytes: number;
}

/** What `readCounters` gives: plain objects with names, ready for metrics and status. */
export interface CountersReading {
  readonly single: Readonly<Record<SingleCounter, number>>;
  readonly verdicts: Readonly<Record<(typeof VERDICTS)[number], number>>;
  readonly reasons: Readonly<Record<string, number>>;
  /** By interface number; all MAX_INTERFACES of them. */
  readonly interfaces: readonly InterfaceCounters[];
}

/** Counters of one processor, or their sums over all when `processor` is left out. */
export function readCounters(memory: MainMemory, processor?: number): CountersReading {
  const first = processor ?? 0;
  const last = processor ?? memory.layout.processors - 1;
  const at = (index: number): number => {
    let sum = 0;
    for (let p = first; p <= last; p++) sum += memory.doubles[countersBase(memory, p) + index];
    return sum;
  };
  const verdicts = { forwarded: 0, dropped: 0, punted: 0, consumed: 0 };
  const reasons: Record<string, number> = {};
  for (let i = 0; i < REASONS.length; i++) {
    const count = at(REASONS_BASE + i);
    reasons[REASONS[i][0]] = count;
    verdicts[VERDICTS[VERDICT_OF_REASON[i]]] += count;
  }
  const interfaces = Array.from({ length: MAX_INTERFACES }, (_, i) => {
    const base = INTERFACES_BASE + i * 4;
    return {
      receivedPackets: at(base),
      receivedBytes: at(base + 1),
      sentPackets: at(base + 2),
      sentBytes: at(base + 3),
    };
  });
  const single = {} as Record<SingleCounter, number>;
  for (const [i, name] of SINGLE_COUNTERS.entries()) single[name] = at(i);
  for (const i of IN_TWO_BOOKS) single[SINGLE_COUNTERS[i]] += at(i + SECOND_BOOK);
  return { single, verdicts, reasons, interfaces };
}
