// Finding a free record: however the taken ones stand, and at what cost when there are none.

import { describe, expect, it } from 'vitest';
import { COUNTER_CONNECTIONS_TAKEN, countersBase } from '../memory/counters.ts';
import { plainMainMemory } from '../memory/region.ts';
import { FreeRecords } from './connection-free-records.ts';

const CONNECTIONS = 32_768;

/** A table whose records `taken` … are taken by long-lived connections. */
function make(first: number, count: number) {
  const memory = plainMainMemory({ connections: CONNECTIONS, frames: 256, processors: 1 });
  const word = memory.layout.connectionBitmap >> 2;
  memory.words.fill(-1, word + first / 32, word + (first + count) / 32);
  memory.doubles[countersBase(memory, 0) + COUNTER_CONNECTIONS_TAKEN] = count;
  return new FreeRecords(memory, 0);
}

describe('FreeRecords', () => {
  it('finds a free record behind any number of taken ones', () => {
    expect(make(0, CONNECTIONS / 2).take()).toBe(CONNECTIONS / 2);
  });

  it('refuses nobody while the table is half empty, wherever the search stands', () => {
    const free = make(8192, CONNECTIONS / 2);
    const numbers = Array.from({ length: CONNECTIONS / 2 }, () => free.take());
    expect(numbers.filter((number) => number < 0).length).toBe(0);
    expect(new Set(numbers).size).toBe(CONNECTIONS / 2);
  });

  it('looks at a part of the bitmap only when hardly any are free', () => {
    const free = make(0, CONNECTIONS - 32);
    expect(free.take()).toBe(-1);
    const tried = Array.from({ length: CONNECTIONS / 32 / 256 }, () => free.take());
    expect(tried.filter((number) => number >= 0).length).toBeGreaterThan(0);
  });
});
