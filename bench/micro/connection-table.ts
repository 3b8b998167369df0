// How long the connection table takes: lookups that hit and miss at random, insertion, removal, and
// what the filter does for a packet of a known connection (lookup, rewrite fields, update), at 1 k,
// 64 k and 1 M connections. At a million, what is measured is the machine's memory: each lookup
// touches one bucket line and one record line that no cache holds.
//
//   npm run build && node dist/bench/micro/connection-table.js [seed]

import { argv } from 'node:process';
import { Prng } from '../../src/base/prng.ts';
import { plainMainMemory } from '../../src/memory/region.ts';
import { ConnectionTable, NOT_FOUND, PUBLISHED } from '../../src/tables/connection-table.ts';

const SIZES = [1000, 64_000, 1_000_000];
const LOOKUPS = 4_000_000;
const SERVICE_ADDRESS = 0xc0000201 | 0;
const SERVICE_PORT = 80;
const BACKEND_PORT = 8080;
const TCP = 6;
const TCP_ACK = 0x10;

interface Keys {
  readonly addresses: Int32Array;
  readonly ports: Int32Array;
}

/** Up to 2^20 clients, no two alike, in no order that a hash could like. */
function clients(count: number, random: Prng): Keys {
  const addresses = new Int32Array(count);
  const ports = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    addresses[i] = (10 << 24) | (Math.imul(i, 0x9e375) & 0xfffff);
    ports[i] = ((1024 + random.below(64_000)) << 16) | SERVICE_PORT;
  }
  return { addresses, ports };
}

function insertAll(table: ConnectionTable, keys: Keys): number {
  let published = 0;
  for (let i = 0; i < keys.addresses.length; i++) {
    const client = keys.addresses[i];
    const backend = (172 << 24) | (16 << 16) | (i & 63);
    const record = table.reserve();
    if (record === NOT_FOUND) continue;
    table.setClientKey(record, client, SERVICE_ADDRESS, keys.ports[i], TCP);
    const replyPorts = (BACKEND_PORT << 16) | (keys.ports[i] >>> 16);
    table.setServerKey(record, backend, client, replyPorts, TCP);
    table.setRewrite(record << 1, backend, BACKEND_PORT, 0x1234, 0x4321);
    table.setRewrite((record << 1) | 1, SERVICE_ADDRESS, SERVICE_PORT, 0x1234, 0x4321);
    table.setOwner(record, 0, 1, i & 63);
    if (table.publish(record, 0) === PUBLISHED) published += 1;
  }
  return published;
}

function lookUp(table: ConnectionTable, keys: Keys, order: Int32Array, flip: number): number {
  let found = 0;
  for (let i = 0; i < order.length; i++) {
    const k = order[i];
    const entry = table.lookup(keys.addresses[k] ^ flip, SERVICE_ADDRESS, keys.ports[k], TCP);
    found = (found + (entry === NOT_FOUND ? 0 : 1)) | 0;
  }
  return found;
}

/** What a packet of a known connection costs here, besides parsing and rewriting its bytes. */
function carry(table: ConnectionTable, keys: Keys, order: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < order.length; i++) {
    const k = order[i];
    const entry = table.lookup(keys.addresses[k], SERVICE_ADDRESS, keys.ports[k], TCP);
    sum = (sum + table.newAddress(entry) + table.newPort(entry)) | 0;
    sum = (sum + table.addressDifference(entry) + table.transportDifference(entry)) | 0;
    sum = (sum + table.wayOut(entry) + table.wayOutGeneration(entry)) | 0;
    table.updateTcp(entry, TCP_ACK, i >> 16, 60);
  }
  return sum;
}

function nanoseconds(operations: number, work: () => void): string {
  const start = process.hrtime.bigint();
  work();
  const each = Number(process.hrtime.bigint() - start) / operations;
  return each.toFixed(1).padStart(8);
}

function expectEqual(actual: number, expected: number, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${actual} instead of ${expected}`);
}

function measure(count: number, random: Prng): string {
  const connections = Math.ceil(count * 1.05) + 1024;
  const memory = plainMainMemory({ connections, frames: 256, processors: 1 });
  const table = new ConnectionTable(memory, 0);
  table.enterTurn();
  const keys = clients(count, random);
  const order = new Int32Array(LOOKUPS);
  for (let i = 0; i < LOOKUPS; i++) order[i] = random.below(count);
  let published = 0;
  const insert = nanoseconds(count, () => {
    published = insertAll(table, keys);
  });
  expectEqual(published, count, 'inserted');
  let found = 0;
  const hit = nanoseconds(LOOKUPS, () => {
    found = lookUp(table, keys, order, 0);
  });
  expectEqual(found, LOOKUPS, 'found');
  const miss = nanoseconds(LOOKUPS, () => {
    found = lookUp(table, keys, order, 1 << 28);
  });
  expectEqual(found, 0, 'found of what is not there');
  const packet = nanoseconds(LOOKUPS, () => {
    carry(table, keys, order);
  });
  const remove = nanoseconds(count, () => {
    for (let i = 0; i < count; i++) expectEqual(table.remove(i), 1, 'removed');
  });
  const { layout } = memory;
  const size = layout.handOverLanes - layout.connectionBitmap;
  const bytes = (size / connections).toFixed(0).padStart(6);
  return `${String(count).padStart(9)} ${hit} ${miss} ${packet} ${insert} ${remove} ${bytes}`;
}

const seed = Number(argv[2] ?? 1);
console.log(`seed ${seed}; nanoseconds each`);
console.log('    count      hit     miss   packet   insert   remove  bytes per connection');
// Once unmeasured: what follows runs optimised code.
measure(64_000, new Prng(seed));
for (const count of SIZES) console.log(measure(count, new Prng(seed)));
