// Recounts of the gauges: they put right what is wrong, and do no harm to what changes meanwhile. What each
// kind of kill leaves wrong: connection-kill.test.ts; two processors at once: connection-torture.test.ts.

import { describe, expect, it } from 'vitest';
import {
  insert,
  lookupClient,
  setRunning,
  sweepOf,
  TCP,
  UDP,
} from '../../test/support/connection-fixture.ts';
import { Prng } from '../base/prng.ts';
import { COUNTER_CONNECTIONS_TAKEN, COUNTER_HALF_OPEN, Counters } from '../memory/counters.ts';
import {
  HEADER_BOOK,
  MAX_BACKENDS,
  MAX_SERVICES,
  PROCESSOR_STATE,
  STATE_DEAD,
} from '../memory/layout.ts';
import { plainMainMemory } from '../memory/region.ts';
import {
  BACKEND_ACTIVE,
  BACKEND_OPEN,
  backendCounters,
  backendCountersBase,
  readBackend,
} from './connection-backends.ts';
import { serviceGauge, serviceGaugesBase, sumServiceOpen } from './connection-gauges.ts';
import { wantRecount } from './connection-recount.ts';
import { ConnectionTable, PUBLISHED } from './connection-table.ts';

const ROUND = 1 << 30;
/** Steps that are enough for a recount: striking out takes most of them. */
const STEPS = 200;

function make(processors: number) {
  const memory = plainMainMemory({ connections: 1024, frames: 256, processors });
  const tables = Array.from({ length: processors }, (_, p) => new ConnectionTable(memory, p));
  const sweeps = tables.map((table, p) => sweepOf(memory, p, table));
  for (let p = 0; p < processors; p++) setRunning(memory, p);
  const step = (budget = ROUND) => {
    for (const [p, table] of tables.entries()) {
      table.enterTurn();
      sweeps[p].sweep(0, budget);
    }
  };
  const gauges = () => ({
    active: readBackend(memory, 1).active,
    open: readBackend(memory, 1).open,
    ofService: sumServiceOpen(memory, 0),
    ofLastService: sumServiceOpen(memory, MAX_SERVICES - 1),
    taken: sweeps[0].takenCount(),
    halfOpen: sweeps[0].halfOpenCount(),
  });
  const backend = (processor: number, id: number, gauge: number, amount: number) => {
    memory.doubles[backendCounters(backendCountersBase(memory, processor), id) + gauge] += amount;
  };
  const service = (processor: number, id: number, amount: number) => {
    memory.doubles[serviceGauge(serviceGaugesBase(memory, processor), id)] += amount;
  };
  step();
  return { memory, tables, sweeps, step, gauges, backend, service };
}

describe('a recount', () => {
  it('puts every gauge right, of whatever processor and backend', () => {
    const { memory, tables, step, gauges, backend, service } = make(2);
    for (let key = 0; key < 10; key++) {
      const how = { protocol: key < 4 ? TCP : UDP, nowMs: 0, backend: 1 };
      expect(insert(tables[key % 2], key, how)).toBe(PUBLISHED);
    }
    tables[0].updateTcp(lookupClient(tables[0], 0, TCP), 4, 0, 60);
    const ofServices = { ofService: 9, ofLastService: 0 };
    const right = { active: 10, open: 9, ...ofServices, taken: 10, halfOpen: 4 };
    expect(gauges()).toEqual(right);
    for (let round = 0; round < 3; round++) {
      backend(0, 1, BACKEND_ACTIVE, 3);
      backend(1, 1, BACKEND_OPEN, -5);
      backend(1, MAX_BACKENDS - 1, BACKEND_OPEN, 7);
      new Counters(memory, 1).add(COUNTER_CONNECTIONS_TAKEN, 2);
      new Counters(memory, 0).add(COUNTER_HALF_OPEN, -1);
      service(1, 0, 4);
      service(0, MAX_SERVICES - 1, -2);
      if (round > 0) {
        // What was in the first book is in the second now, and the other way round.
        backend(0, 1, 8 + BACKEND_ACTIVE, 1);
      }
      expect(gauges()).not.toEqual(right);
      wantRecount(memory);
      for (let i = 0; i < STEPS; i++) step();
      wantRecount(memory);
      for (let i = 0; i < STEPS; i++) step();
      expect(gauges()).toEqual(right);
      expect(readBackend(memory, MAX_BACKENDS - 1).open).toBe(0);
    }
    expect(memory.header(HEADER_BOOK)).toBe(6);
  });

  it('is not begun when nobody asks, and once when two do', () => {
    const { memory, step } = make(2);
    for (let i = 0; i < STEPS; i++) step();
    expect(memory.header(HEADER_BOOK)).toBe(0);
    wantRecount(memory);
    wantRecount(memory);
    for (let i = 0; i < 2 * STEPS; i++) step();
    expect(memory.header(HEADER_BOOK)).toBe(1);
  });

  it('leaves every gauge right at every moment while connections come and go', () => {
    const seed = (Math.random() * 0x7fffffff) | 0;
    console.log(`seed ${seed}`);
    const random = new Prng(seed);
    const { memory, tables, step, gauges, backend } = make(2);
    backend(1, 1, BACKEND_OPEN, 2);
    backend(1, 1, BACKEND_ACTIVE, 2);
    const live = new Map<number, boolean>();
    let wrong = 2;
    wantRecount(memory);
    for (let i = 0; i < 4000; i++) {
      const table = tables[random.below(2)];
      const key = random.below(60);
      const entry = lookupClient(table, key, TCP);
      if (entry < 0) {
        if (insert(table, key, { protocol: TCP, nowMs: 0, backend: 1 }) === PUBLISHED) {
          live.set(key, true);
        }
      } else if (random.below(2) === 0) {
        table.remove(entry >> 1);
        live.delete(key);
      } else {
        table.updateTcp(entry, 0x11, 0, 60);
        live.set(key, false);
      }
      if (random.below(3) === 0) step(1 + random.below(40));
      if (i % 1000 === 999) wantRecount(memory);
      const { active, open } = gauges();
      // What was wrong is struck out in one moment, or two: gauge after gauge.
      if (wrong === 2 && active === live.size) wrong = 0;
      expect(active).toBe(live.size + wrong);
      expect(open).toBe([...live.values()].filter(Boolean).length + wrong);
    }
    expect(wrong).toBe(0);
    expect(memory.header(HEADER_BOOK)).toBeGreaterThan(1);
  });

  it('waits for turns that do not know of it, wherever they put their connections', () => {
    const { memory, tables, sweeps, step, gauges } = make(2);
    const share = 512;
    // Its own share is full: what processor 1 begins now stands in the share of processor 0.
    for (let key = 0; key < share; key++) {
      insert(tables[1], key, { protocol: UDP, nowMs: 0, backend: 1 });
    }
    tables[1].enterTurn();
    wantRecount(memory);
    for (let i = 0; i < 10; i++) {
      tables[0].enterTurn();
      sweeps[0].sweep(0, ROUND);
    }
    expect(insert(tables[1], share, { protocol: UDP, nowMs: 0, backend: 1 })).toBe(PUBLISHED);
    for (let i = 0; i < STEPS; i++) step();
    expect(memory.header(HEADER_BOOK)).toBe(1);
    expect(gauges()).toMatchObject({ active: share + 1, open: share + 1, taken: share + 1 });
    tables[0].remove(lookupClient(tables[0], share, UDP) >> 1);
    expect(gauges()).toMatchObject({ active: share, open: share });
  });

  it('waits for a processor that is dead, and is finished by the next one', () => {
    const { memory, tables, sweeps, step, gauges, backend } = make(2);
    insert(tables[0], 1, { protocol: UDP, nowMs: 0, backend: 1 });
    backend(0, 1, BACKEND_OPEN, 1);
    wantRecount(memory);
    memory.words[memory.processorWord(1, PROCESSOR_STATE)] = STATE_DEAD;
    for (let i = 0; i < STEPS; i++) {
      tables[0].enterTurn();
      sweeps[0].sweep(0, ROUND);
    }
    expect(gauges().open).toBe(2);
    // Both begin again, processor 0 in the midst of it.
    for (const p of [0, 1]) {
      setRunning(memory, p);
      tables[p] = new ConnectionTable(memory, p);
      sweeps[p] = sweepOf(memory, p, tables[p]);
    }
    for (let i = 0; i < STEPS; i++) step();
    expect(gauges()).toMatchObject({ open: 1, active: 1, taken: 1 });
  });
});
