import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { builtModule } from '../../test/support/built-module.ts';
import { inspect, setRunning, settle, sweepOf } from '../../test/support/connection-fixture.ts';
import type { TortureInput, TortureResult } from '../../test/support/connection-torture.ts';
import { readCounters } from '../memory/counters.ts';
import { computeLayout, HEADER_BOOK } from '../memory/layout.ts';
import { formatMainMemory, type MainMemory } from '../memory/region.ts';
import {
  BACKEND_ACTIVE,
  BACKEND_OPEN,
  backendCounters,
  backendCountersBase,
  readBackend,
} from './connection-backends.ts';
import { LIFE_FOUND, LIFE_LIVE, LINE_MARKS, LINE_WORDS } from './connection-record.ts';
import { wantRecount } from './connection-recount.ts';
import { SEEN_CLOSE } from './connection-states.ts';
import { ConnectionTable } from './connection-table.ts';

const SIZES = { connections: 1024, frames: 256, processors: 2 };
const MILLISECONDS = 3000;

/** Live connections of which neither direction has the mark of a FIN or a reset. */
function countOpen(memory: MainMemory): number {
  const lines = memory.layout.connectionRecords >> 2;
  let open = 0;
  for (let line = lines; line < lines + SIZES.connections * 32; line += 32) {
    const isLive = (memory.words[line] & LIFE_FOUND) === LIFE_LIVE;
    const marks = memory.words[line + LINE_MARKS] | memory.words[line + LINE_WORDS + LINE_MARKS];
    if (isLive && (marks & SEEN_CLOSE) === 0) open += 1;
  }
  return open;
}

function run(input: TortureInput): Promise<TortureResult> {
  return new Promise((resolve, reject) => {
    const url = new URL(builtModule('test/support/connection-torture.ts'));
    const worker = new Worker(url, { workerData: input });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

// Two threads on one memory stand for two processes: their atomics and caches are the same.
it('holds its invariants while two processors fight over the same few connections', async () => {
  const buffer = new SharedArrayBuffer(computeLayout(SIZES).totalSize);
  const claims = new SharedArrayBuffer(4096);
  const memory = formatMainMemory(buffer as unknown as ArrayBuffer, SIZES);
  const seed = (Math.random() * 0x7fffffff) | 0;
  console.log(`seed ${seed}`);
  for (const processor of [0, 1]) setRunning(memory, processor);
  const inputs = [0, 1].map((processor) => {
    return { buffer, claims, processor, seed, milliseconds: MILLISECONDS };
  });
  // As if processors had been killed before: recounts put it right while the two go on.
  const wrong = backendCounters(backendCountersBase(memory, 1), 1);
  for (const gauge of [BACKEND_ACTIVE, BACKEND_OPEN]) memory.doubles[wrong + gauge] += 5;
  const timer = setInterval(() => wantRecount(memory), 20);
  const results = await Promise.all(inputs.map(run));
  clearInterval(timer);
  console.log(`${memory.header(HEADER_BOOK)} recounts`);
  expect(memory.header(HEADER_BOOK)).toBeGreaterThan(2);
  console.log(JSON.stringify(results));
  for (const result of results) {
    expect(result.faults).toEqual([]);
    expect(result.published).toBeGreaterThan(1000);
    expect(result.found).toBeGreaterThan(1000);
  }
  const sum = (field: 'published' | 'removed') => results[0][field] + results[1][field];
  const live = sum('published') - sum('removed');
  expect(readCounters(memory).single.connectionsInserted).toBe(sum('published'));
  expect(readBackend(memory, 1).active).toBe(live);

  expect(readBackend(memory, 1).open).toBe(countOpen(memory));

  const tables = [0, 1].map((processor) => new ConnectionTable(memory, processor));
  const sweeps = tables.map((table, processor) => sweepOf(memory, processor, table));
  settle(tables, sweeps, 0);
  expect(inspect(memory)).toEqual({ live, taken: live, slots: live * 2 });
  expect(sweeps[0].takenCount()).toBe(live);
  settle(tables, sweeps, 60_000);
  expect(inspect(memory)).toEqual({ live: 0, taken: 0, slots: 0 });
});
