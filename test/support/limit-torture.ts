// One of the two workers that begin and end connections of one service and one backend, as many as they
// may and as fast as they can. Run from the built program by src/tables/connection-gauges.test.ts. Each
// counts a connection in `held` after it is published and takes it out before it is removed, so that never
// more can stand there than are open.

import { parentPort, workerData } from 'node:worker_threads';
import { attachMainMemory } from '../../src/memory/region.ts';
import { BACKEND_FULL, ConnectionTable, PUBLISHED } from '../../src/tables/connection-table.ts';
import { fill, setRunning, sweepOf, UDP } from './connection-fixture.ts';

export interface LimitInput {
  readonly buffer: SharedArrayBuffer;
  /** One word: connections that are open for sure. */
  readonly held: SharedArrayBuffer;
  readonly processor: number;
  readonly serviceLimit: number;
  readonly backendLimit: number;
  readonly milliseconds: number;
}

export interface LimitResult {
  readonly begun: number;
  readonly refused: number;
  readonly refusedByBackend: number;
  /** Most that were open at a time, as this worker has seen. */
  readonly most: number;
}

const KEYS = 16;

function torture(input: LimitInput): LimitResult {
  const { processor, serviceLimit, backendLimit } = input;
  const memory = attachMainMemory(input.buffer as unknown as ArrayBuffer);
  const held = new Int32Array(input.held);
  const table = new ConnectionTable(memory, processor);
  const sweep = sweepOf(memory, processor, table);
  const mine: number[] = [];
  let [begun, refused, refusedByBackend, most] = [0, 0, 0, 0];

  const begin = (key: number) => {
    const record = table.reserve();
    if (record < 0) return;
    fill(table, record, key, { protocol: UDP, nowMs: 0, backend: 1 });
    const result = table.publish(record, 0, serviceLimit, backendLimit);
    if (result === PUBLISHED) {
      most = Math.max(most, Atomics.add(held, 0, 1) + 1);
      mine.push(record);
      begun += 1;
      return;
    }
    refused += 1;
    if (result === BACKEND_FULL) refusedByBackend += 1;
  };

  setRunning(memory, processor);
  const end = Date.now() + input.milliseconds;
  while (Date.now() < end) {
    for (let turn = 0; turn < 200; turn++) {
      table.enterTurn();
      for (let n = 0; n < KEYS; n++) begin(processor * KEYS + n);
      for (const record of mine.splice(0)) {
        Atomics.sub(held, 0, 1);
        table.remove(record);
      }
      sweep.sweep(0, 1 << 30);
    }
  }
  table.leave();
  return { begun, refused, refusedByBackend, most };
}

parentPort?.postMessage(torture(workerData as LimitInput));
