// What main memory holds for network applications (element 65 of Fig. 10): of each application one share
// per switching processor, with its state and its counts, and one table for all processors together.
//
//   share, 1024 bytes, written by that switching processor (state also by the one that starts again
//   after a hang, and by nobody else):
//     word 0   state (APPLICATION_*)       1  revision of the plan that it runs
//          2   failures (exceptions)       3  overruns of its budget
//          4   frames in hand              5  longest burst, microseconds
//          6   named counters              7  bytes of the error text
//     from byte  64   16 float64: TALLIES
//     from byte 192   16 float64: counters that the application has named
//     from byte 320   16 × 24 bytes: their names, ASCII, zero-padded
//     from byte 704   320 bytes: what went wrong last, UTF-8
//
//   table, 1 MiB: the application's own; several processors write it, so that it uses Atomics or only what
//   may be lost. It is empty when an application gets its place, and stays over restarts.
//
// Invariant: a place belongs to one name; control empties it before it gives it to another.

import { DoubleBuffer } from './double-buffer.ts';
import {
  APPLICATION_SHARE_SIZE,
  APPLICATION_TABLE_SIZE,
  APPLICATIONS_TEXT_SIZE,
  HEADER_APPLICATIONS_GENERATION,
  MAX_APPLICATIONS,
} from './layout.ts';
import type { MainMemory } from './region.ts';

export const APPLICATION_NONE = 0;
export const APPLICATION_RUNS = 1;
/** It could not be loaded or set up. */
export const APPLICATION_BROKEN = 2;
/** It failed or overran its budget too often. */
export const APPLICATION_FAILED = 3;
/** A switching processor was killed because it hung in it. */
export const APPLICATION_HUNG = 4;
/** A switching processor ended while it was in it. */
export const APPLICATION_CRASHED = 5;

export const APPLICATION_STATES = [
  'not loaded',
  'running',
  'broken',
  'failed',
  'hung',
  'crashed',
] as const;

export const SHARE_STATE = 0;
export const SHARE_REVISION = 1;
export const SHARE_FAILURES = 2;
export const SHARE_OVERRUNS = 3;
export const SHARE_FRAMES = 4;
export const SHARE_LONGEST = 5;
export const SHARE_COUNTERS = 6;
export const SHARE_ERROR_LENGTH = 7;

/** What is counted for every application; the place in the list is the index. Append only. */
export const TALLIES = [
  'packets',
  'passed',
  'dropped',
  'consumed',
  'replied',
  'forwarded',
  'failed',
  'sent',
  'ticks',
  'busyMicroseconds',
] as const;
export type Tally = (typeof TALLIES)[number];
export const TALLY_PACKETS = 0;
export const TALLY_PASSED = 1;
export const TALLY_DROPPED = 2;
export const TALLY_CONSUMED = 3;
export const TALLY_REPLIED = 4;
export const TALLY_FORWARDED = 5;
export const TALLY_FAILED = 6;
export const TALLY_SENT = 7;
export const TALLY_TICKS = 8;
export const TALLY_BUSY = 9;

/** Counters that an application can name. */
export const NAMED_COUNTERS = 16;
export const COUNTER_NAME_MAX = 24;
const TALLIES_OFFSET = 64;
const NAMED_OFFSET = 192;
const NAMES_OFFSET = 320;
const ERROR_OFFSET = 704;
const ERROR_MAX = APPLICATION_SHARE_SIZE - ERROR_OFFSET;

/** The two buffers of the applications' plans: JSON, written by control. */
export function applicationsBuffer(memory: MainMemory): DoubleBuffer {
  const { applicationsText } = memory.layout;
  const generation = HEADER_APPLICATIONS_GENERATION;
  return new DoubleBuffer(memory, applicationsText, APPLICATIONS_TEXT_SIZE, generation, -1);
}

/** Byte offset of an application's share of a processor. */
export function shareOffset(memory: MainMemory, slot: number, processor: number): number {
  const share = processor * MAX_APPLICATIONS + slot;
  return memory.layout.applicationShares + share * APPLICATION_SHARE_SIZE;
}

/** Byte offset of an application's table. */
export function tableOffset(memory: MainMemory, slot: number): number {
  return memory.layout.applicationTables + slot * APPLICATION_TABLE_SIZE;
}

/** One application's share of one processor. */
export class ApplicationShare {
  private readonly memory: MainMemory;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly offset: number;
  private readonly firstWord: number;
  private readonly firstTally: number;
  private readonly firstNamed: number;

  constructor(memory: MainMemory, slot: number, processor: number) {
    this.memory = memory;
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.offset = shareOffset(memory, slot, processor) | 0;
    this.firstWord = this.offset >> 2;
    this.firstTally = (this.offset + TALLIES_OFFSET) >> 3;
    this.firstNamed = (this.offset + NAMED_OFFSET) >> 3;
  }

  /** A word (SHARE_*). @hot */
  word(index: number): number {
    return Atomics.load(this.words, this.firstWord + index);
  }

  /** @hot */
  setWord(index: number, value: number): void {
    Atomics.store(this.words, this.firstWord + index, value);
  }

  /** Adds to one of TALLIES. @hot */
  add(tally: number, amount: number): void {
    this.doubles[this.firstTally + tally] += amount;
  }

  tally(index: number): number {
    return this.doubles[this.firstTally + index];
  }

  /** Adds to a counter of the application's own: 0 … NAMED_COUNTERS - 1. @hot */
  count(counter: number, amount: number): void {
    // Whoever calls may have left out a check of its own, or a type.
    const index = counter | 0;
    if (index < 0 || index >= NAMED_COUNTERS) return;
    this.doubles[this.firstNamed + index] += amount;
  }

  /** Names the next counter, or finds it. @returns its number, -1: there are no more */
  nameCounter(name: string): number {
    const known = this.counterNames().indexOf(name);
    if (known >= 0) return known;
    const next = this.word(SHARE_COUNTERS);
    if (next >= NAMED_COUNTERS) return -1;
    const at = this.offset + NAMES_OFFSET + next * COUNTER_NAME_MAX;
    for (let i = 0; i < COUNTER_NAME_MAX; i++) {
      this.memory.bytes[at + i] = i < name.length ? name.charCodeAt(i) & 0x7f : 0;
    }
    this.setWord(SHARE_COUNTERS, next + 1);
    return next;
  }

  private counterNames(): string[] {
    const count = Math.min(Math.max(this.word(SHARE_COUNTERS), 0), NAMED_COUNTERS);
    return Array.from({ length: count }, (_, i) => {
      const at = this.offset + NAMES_OFFSET + i * COUNTER_NAME_MAX;
      const bytes = this.memory.bytes.subarray(at, at + COUNTER_NAME_MAX);
      return Buffer.from(bytes).toString('latin1').replace(/\0.*$/s, '');
    });
  }

  /** The application's own counters, by name. */
  namedCounters(): Record<string, number> {
    const named: Record<string, number> = {};
    for (const [i, name] of this.counterNames().entries()) {
      named[name] = this.doubles[this.firstNamed + i];
    }
    return named;
  }

  setError(text: string): void {
    const bytes = Buffer.from(text, 'utf8').subarray(0, ERROR_MAX);
    this.memory.bytes.set(bytes, this.offset + ERROR_OFFSET);
    this.setWord(SHARE_ERROR_LENGTH, bytes.length);
  }

  error(): string {
    const length = Math.min(Math.max(this.word(SHARE_ERROR_LENGTH), 0), ERROR_MAX);
    const at = this.offset + ERROR_OFFSET;
    return Buffer.from(this.memory.bytes.subarray(at, at + length)).toString('utf8');
  }
}

/** Empties the place of an application, for the next one. */
export function emptyApplication(memory: MainMemory, slot: number): void {
  const table = tableOffset(memory, slot);
  memory.bytes.fill(0, table, table + APPLICATION_TABLE_SIZE);
  for (let p = 0; p < memory.layout.processors; p++) {
    const share = shareOffset(memory, slot, p);
    memory.bytes.fill(0, share, share + APPLICATION_SHARE_SIZE);
  }
}
