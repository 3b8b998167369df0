// Limits of open connections hold while two processors begin them at the same moment. What the gauges say
// after kills: connection-recount.test.ts; what those who are refused are told:
// switching/connection-limits.test.ts.

import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { builtModule } from '../../test/support/built-module.ts';
import { insert, setRunning, UDP } from '../../test/support/connection-fixture.ts';
import type { LimitInput, LimitResult } from '../../test/support/limit-torture.ts';
import { computeLayout } from '../memory/layout.ts';
import { formatMainMemory, plainMainMemory } from '../memory/region.ts';
import { readBackend } from './connection-backends.ts';
import { serviceGauge, serviceGaugesBase, sumServiceOpen } from './connection-gauges.ts';
import { BACKEND_FULL, ConnectionTable, PUBLISHED, SERVICE_FULL } from './connection-table.ts';

const SIZES = { connections: 1024, frames: 256, processors: 2 };
const LIMIT = 5;

function run(input: LimitInput): Promise<LimitResult> {
  return new Promise((resolve, reject) => {
    const url = new URL(builtModule('test/support/limit-torture.ts'));
    const worker = new Worker(url, { workerData: input });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

it.each([
  ['a service', LIMIT, 0],
  ['a backend', 0, LIMIT],
])('of %s: never passed, and reached', async (_, serviceLimit, backendLimit) => {
  const buffer = new SharedArrayBuffer(computeLayout(SIZES).totalSize);
  const held = new SharedArrayBuffer(4);
  const memory = formatMainMemory(buffer as unknown as ArrayBuffer, SIZES);
  for (const processor of [0, 1]) setRunning(memory, processor);
  const limits = { serviceLimit, backendLimit, milliseconds: 700 };
  const results = await Promise.all(
    [0, 1].map((processor) => run({ buffer, held, processor, ...limits })),
  );
  console.log(JSON.stringify(results));
  expect(Math.max(...results.map(({ most }) => most))).toBe(LIMIT);
  for (const { begun, refused, refusedByBackend } of results) {
    expect(begun).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(100);
    expect(refusedByBackend).toBe(backendLimit > 0 ? refused : 0);
  }
  // What was refused is counted nowhere.
  expect([sumServiceOpen(memory, 0), readBackend(memory, 1).open]).toEqual([0, 0]);
  const begun = results.reduce((sum, result) => sum + result.begun, 0);
  expect(readBackend(memory, 1).connections).toBe(begun);
});

it('sees what another has counted and not shown yet, and gives back what it has taken itself', () => {
  const memory = plainMainMemory(SIZES);
  const table = new ConnectionTable(memory, 0);
  table.enterTurn();
  const other = serviceGauge(serviceGaugesBase(memory, 1), 0);
  const begin = (key: number, serviceLimit: number, backendLimit: number) =>
    insert(table, key, { protocol: UDP, nowMs: 0, backend: 1 }, serviceLimit, backendLimit);
  memory.doubles[other] += 2;
  expect([begin(1, 3, 0), begin(2, 3, 0)]).toEqual([PUBLISHED, SERVICE_FULL]);
  expect([begin(3, 4, 1), begin(4, 4, 2)]).toEqual([BACKEND_FULL, PUBLISHED]);
  memory.doubles[other] -= 1;
  expect(sumServiceOpen(memory, 0)).toBe(3);
  expect(readBackend(memory, 1)).toMatchObject({ active: 2, open: 2, connections: 2 });
  // The second book counts too.
  memory.doubles[other + 1] += 1;
  expect(begin(5, 4, 0)).toBe(SERVICE_FULL);
});
