// A small connection table with timeouts and short ways to fill it, for the tests of src/tables.

import { PROCESSOR_STATE, STATE_RUNNING } from '../../src/memory/layout.ts';
import type { MainMemory } from '../../src/memory/region.ts';
import {
  FORWARDING_DSR,
  FORWARDING_NAT,
  SERVICE_TIMEOUTS,
  SERVICE_VALID,
  SERVICES,
} from '../../src/tables/configuration-table.ts';
import { ConnectionSweep } from '../../src/tables/connection-sweep.ts';
import { type ConnectionTable, NOT_FOUND } from '../../src/tables/connection-table.ts';

export const TCP = 6;
export const UDP = 17;
export const VIP = 0xc0000201 | 0;
/** Milliseconds by TIMEOUT_*: all different. */
export const TIMEOUTS = [2000, 1500, 30_000, 5000, 4000, 1000, 3500, 2500, 8000];
/** What `insert` answers when no record was free. */
export const TABLE_FULL = -100;

/** Writes service 0 with TIMEOUTS; returns the word index that ConnectionSweep wants. */
export function writeTimeouts(memory: MainMemory): number {
  const base = memory.layout.configurationTable >> 2;
  memory.words[base + SERVICES + SERVICE_VALID] = 1;
  memory.words.set(TIMEOUTS, base + SERVICES + SERVICE_TIMEOUTS);
  return base;
}

export function setRunning(memory: MainMemory, processor: number): void {
  Atomics.store(memory.words, memory.processorWord(processor, PROCESSOR_STATE), STATE_RUNNING);
}

export function sweepOf(
  memory: MainMemory,
  processor: number,
  table: ConnectionTable,
): ConnectionSweep {
  const sweep = new ConnectionSweep(memory, processor, table);
  sweep.useConfiguration(writeTimeouts(memory));
  return sweep;
}

/** Address of client `key`; the rest of its key is the same for all. */
export function clientAddress(key: number): number {
  return ((10 << 24) + key) | 0;
}

export const CLIENT_PORTS = (4000 << 16) | 80;

export interface Insertion {
  readonly protocol: number;
  readonly nowMs: number;
  /** Which server key: 0 … 255; the same as another's makes the tuple be in use. */
  readonly backend: number;
  readonly isOneSided?: boolean;
}

export function serverAddress(backend: number): number {
  return (172 << 24) | (16 << 16) | backend;
}

/** Ports of the server's packets: every client has the same here unless `key` is folded in. */
export function serverPorts(key: number): number {
  return (8080 << 16) | (key & 0xffff);
}

/** Reserves, fills and publishes within these limits; the result of `publish`, or TABLE_FULL. */
export function insert(
  table: ConnectionTable,
  key: number,
  how: Insertion,
  serviceLimit = 0,
  backendLimit = 0,
): number {
  const record = table.reserve();
  if (record === NOT_FOUND) return TABLE_FULL;
  fill(table, record, key, how);
  return table.publish(record, how.nowMs, serviceLimit, backendLimit);
}

export function fill(table: ConnectionTable, record: number, key: number, how: Insertion): void {
  const { protocol, backend } = how;
  const server = serverAddress(backend);
  table.setClientKey(record, clientAddress(key), VIP, CLIENT_PORTS, protocol);
  table.setRewrite(record << 1, server, 8080, 0xfffe, 0x8001);
  if (!how.isOneSided) {
    table.setServerKey(record, server, VIP, serverPorts(key), protocol);
    table.setRewrite((record << 1) | 1, VIP, 80, 0x0001, 0x7ffe);
  }
  table.setOwner(record, how.isOneSided ? FORWARDING_DSR : FORWARDING_NAT, 0, backend);
}

export function lookupClient(table: ConnectionTable, key: number, protocol: number): number {
  return table.lookup(clientAddress(key), VIP, CLIENT_PORTS, protocol);
}

export function lookupServer(
  table: ConnectionTable,
  key: number,
  backend: number,
  protocol: number,
): number {
  return table.lookup(serverAddress(backend), VIP, serverPorts(key), protocol);
}

/** Turns and whole rounds of the sweep until everything that was retired is free again. */
export function settle(
  tables: readonly ConnectionTable[],
  sweeps: readonly ConnectionSweep[],
  nowMs: number,
  rounds = 12,
): void {
  for (let i = 0; i < rounds; i++) {
    for (const [p, table] of tables.entries()) {
      table.enterTurn();
      sweeps[p].sweep(nowMs, 1 << 30);
    }
  }
}

/** What every quiet table must be: the index holds exactly the live entries; bitmap agrees. */
export function inspect(memory: MainMemory): { live: number; taken: number; slots: number } {
  const { layout, words } = memory;
  let taken = 0;
  let live = 0;
  for (let r = 0; r < layout.connections; r++) {
    const bit = (words[(layout.connectionBitmap >> 2) + (r >> 5)] >>> (r & 31)) & 1;
    const state = words[(layout.connectionRecords >> 2) + r * 32] & 7;
    taken += bit;
    if (state === 2 || state === 3) live += 1;
    if ((bit === 0) !== (state === 0)) throw new Error(`record ${r}: bit ${bit}, life ${state}`);
  }
  let slots = 0;
  const index = layout.connectionIndex >> 2;
  for (let i = 0; i < layout.connectionBuckets * 16; i++) {
    if (words[index + i] !== 0) slots += 1;
  }
  return { live, taken, slots };
}
