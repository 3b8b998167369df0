// One of the two workers of the connection table's torture: inserts, finds and removes the same few
// connections as the other, over the same memory, for a while. Run from the built program by
// src/tables/connection-torture.test.ts. What it holds to:
//   - of one key never two records are live: `claims` has one word per key, set by who has published
//     it and cleared by who is about to remove it; a publisher must find 0 there;
//   - each worker sees one direction of TCP and sends, with resets and FINs among it: in the end as many
//     are open as have neither;
//   - a lookup gives a record with the key asked for, and that stays so until the turn ends.

import { parentPort, workerData } from 'node:worker_threads';
import { Prng } from '../../src/base/prng.ts';
import { attachMainMemory } from '../../src/memory/region.ts';
import { ConnectionTable, NOT_FOUND, PUBLISHED, RACE } from '../../src/tables/connection-table.ts';
import {
  CLIENT_PORTS,
  clientAddress,
  insert,
  lookupClient,
  lookupServer,
  serverAddress,
  serverPorts,
  setRunning,
  sweepOf,
  TCP,
  UDP,
  VIP,
} from './connection-fixture.ts';

export interface TortureInput {
  readonly buffer: SharedArrayBuffer;
  readonly claims: SharedArrayBuffer;
  readonly processor: number;
  readonly seed: number;
  readonly milliseconds: number;
}

export interface TortureResult {
  readonly published: number;
  readonly removed: number;
  readonly found: number;
  readonly races: number;
  readonly faults: readonly string[];
}

const TORTURE_KEYS = 6;
const BACKEND = 1;
/** SYN and ACK, ACK, FIN, reset. */
const TORTURE_FLAGS = [0x12, 0x10, 0x10, 0x11, 0x04];

function torture(input: TortureInput): TortureResult {
  const memory = attachMainMemory(input.buffer as unknown as ArrayBuffer);
  const claims = new Int32Array(input.claims);
  const table = new ConnectionTable(memory, input.processor);
  const sweep = sweepOf(memory, input.processor, table);
  const random = new Prng(input.seed + input.processor);
  const lines = memory.layout.connectionRecords >> 2;
  const faults: string[] = [];
  const result = { published: 0, removed: 0, found: 0, races: 0 };
  // Entries found in this turn and the first two words their keys must keep.
  const held: number[] = [];

  const checkKey = (entry: number, source: number, ports: number, when: string) => {
    const line = lines + entry * 16;
    const isSame = memory.words[line + 1] === source && memory.words[line + 3] === ports;
    if (!isSame) faults.push(`entry ${entry} has another key ${when}`);
  };
  const protocolOf = (key: number) => (key % 2 === 0 ? UDP : TCP);
  const look = (key: number) => {
    const toServer = random.below(2) === 0;
    const protocol = protocolOf(key);
    const entry = toServer
      ? lookupClient(table, key, protocol)
      : lookupServer(table, key, BACKEND, protocol);
    if (entry === NOT_FOUND) return;
    if (protocol === TCP && (entry & 1) === input.processor) {
      table.updateTcp(entry, TORTURE_FLAGS[random.below(TORTURE_FLAGS.length)], 0, 60);
    }
    const source = toServer ? clientAddress(key) : serverAddress(BACKEND);
    const ports = toServer ? CLIENT_PORTS : serverPorts(key);
    if (memory.words[lines + entry * 16 + 2] !== VIP) faults.push('another destination');
    checkKey(entry, source, ports, 'when found');
    held.push(entry, source, ports);
    result.found += 1;
  };
  const publish = (key: number) => {
    const outcome = insert(table, key, {
      protocol: protocolOf(key),
      nowMs: 0,
      backend: BACKEND,
    });
    if (outcome === RACE) result.races += 1;
    if (outcome !== PUBLISHED) return;
    result.published += 1;
    const entry = lookupClient(table, key, protocolOf(key));
    if (entry === NOT_FOUND) faults.push('published and not found');
    if (Atomics.exchange(claims, key, (entry >> 1) + 1) !== 0) faults.push('two of one key');
  };
  const remove = (key: number) => {
    const claim = Atomics.load(claims, key);
    if (claim === 0 || Atomics.compareExchange(claims, key, claim, 0) !== claim) return;
    if (table.remove(claim - 1) !== 1) faults.push('claimed and not live');
    result.removed += 1;
  };

  setRunning(memory, input.processor);
  const end = Date.now() + input.milliseconds;
  while (Date.now() < end && faults.length < 10) {
    for (let turn = 0; turn < 500; turn++) {
      table.enterTurn();
      held.length = 0;
      for (let i = random.below(30); i > 0; i--) {
        const key = random.below(TORTURE_KEYS);
        const what = random.below(8);
        if (what < 4) look(key);
        else if (what < 6) publish(key);
        else remove(key);
      }
      for (let i = 0; i < held.length; i += 3) {
        checkKey(held[i], held[i + 1], held[i + 2], 'at the end of the turn');
      }
      sweep.sweep(0, 1 << 30);
      if (random.below(50) === 0) table.leave();
    }
  }
  table.leave();
  return { ...result, faults };
}

parentPort?.postMessage(torture(workerData as TortureInput));
