// How fast the sweep's hand goes round: slowly while nothing is to be found, and at eight times that
// while there are connections to be ended or gauges to be recounted. What it does to records:
// connection-table.test.ts, switching/end-connections.test.ts, connection-recount.test.ts.

import { describe, expect, it } from 'vitest';
import {
  insert,
  lookupClient,
  setRunning,
  sweepOf,
  UDP,
  writeTimeouts,
} from '../../test/support/connection-fixture.ts';
import { readCounters } from '../memory/counters.ts';
import { plainMainMemory } from '../memory/region.ts';
import {
  BACKEND_ENDS_CONNECTIONS,
  BACKEND_FLAGS,
  backendRecord,
  CONFIGURATION_ENDING,
} from './configuration-table.ts';
import { wantRecount } from './connection-recount.ts';
import { ConnectionTable, NOT_FOUND } from './connection-table.ts';

const ROUND = 1 << 30;
const STEP_MS = 10;
const TIMES = 8;
const BACKEND = 3;

function make() {
  const memory = plainMainMemory({ connections: 16_384, frames: 256, processors: 1 });
  const table = new ConnectionTable(memory, 0);
  const sweep = sweepOf(memory, 0, table);
  setRunning(memory, 0);
  table.enterTurn();
  const begin = (key: number) => insert(table, key, { protocol: UDP, nowMs: 0, backend: BACKEND });
  const round = () => {
    table.enterTurn();
    sweep.sweep(0, ROUND);
  };
  const setEnding = (count: number) => {
    const base = writeTimeouts(memory);
    memory.words[base + CONFIGURATION_ENDING] = count;
    const flags = count > 0 ? BACKEND_ENDS_CONNECTIONS : 0;
    memory.words[backendRecord(base, BACKEND) + BACKEND_FLAGS] = flags;
    sweep.useConfiguration(base);
  };
  const slow = sweep.budgetFor(STEP_MS);
  const isHurrying = () => {
    const ratio = sweep.budgetFor(STEP_MS) / slow;
    expect(ratio < 1.1 || ratio > TIMES - 1, `${ratio} times`).toBe(true);
    return ratio > 2;
  };
  return { memory, table, sweep, begin, round, setEnding, isHurrying };
}

describe('the sweep', () => {
  it('hurries when there are backends whose connections end, and while it finds some', () => {
    const { memory, table, begin, round, setEnding, isHurrying } = make();
    expect(isHurrying()).toBe(false);
    begin(1);
    setEnding(1);
    expect(isHurrying()).toBe(true);
    round();
    expect(lookupClient(table, 1, UDP)).toBe(NOT_FOUND);
    round();
    expect(isHurrying()).toBe(false);
    // A straggler is found at the slow pace, and makes it look for more.
    begin(2);
    round();
    expect(readCounters(memory).single.ended).toBe(2);
    setEnding(0);
    begin(3);
    round();
    expect(isHurrying()).toBe(false);
    expect(lookupClient(table, 3, UDP)).not.toBe(NOT_FOUND);
  });

  it('hurries with a recount, until everything is carried over', () => {
    const { memory, round, isHurrying } = make();
    wantRecount(memory);
    round();
    round();
    expect(isHurrying()).toBe(true);
    for (let i = 0; i < 8; i++) round();
    expect(isHurrying()).toBe(false);
  });
});
