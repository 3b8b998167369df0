import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clientAddress,
  insert,
  inspect,
  lookupClient,
  lookupServer,
  serverAddress,
  setRunning,
  settle,
  sweepOf,
  TABLE_FULL,
  TCP,
  TIMEOUTS,
  UDP,
  VIP,
  writeTimeouts,
} from '../../test/support/connection-fixture.ts';
import { readCounters } from '../memory/counters.ts';
import { plainMainMemory } from '../memory/region.ts';
import { readBackend } from './connection-backends.ts';
import { countConnections, snapshotConnections } from './connection-snapshot.ts';
import {
  marksAfter,
  STATE_ESTABLISHED,
  STATE_SYN_RECEIVED,
  STATE_TIME_WAIT,
  STATE_UDP,
  tcpState,
} from './connection-states.ts';
import { ConnectionSweep } from './connection-sweep.ts';
import { ConnectionTable, NOT_FOUND, PUBLISHED, TUPLE_IN_USE } from './connection-table.ts';

const CONNECTIONS = 1024;
const SYN = 2;
const ACK = 16;
const FIN = 1;
const RST = 4;

function make(processors = 1) {
  const memory = plainMainMemory({ connections: CONNECTIONS, frames: 256, processors });
  const tables = Array.from({ length: processors }, (_, p) => new ConnectionTable(memory, p));
  const sweeps = tables.map((table, p) => sweepOf(memory, p, table));
  for (const [p, table] of tables.entries()) {
    setRunning(memory, p);
    table.enterTurn();
  }
  return { memory, tables, sweeps, table: tables[0], sweep: sweeps[0] };
}

describe('ConnectionTable', () => {
  it('finds a connection by the key of either direction, with its rewrite', () => {
    const { table } = make();
    expect(insert(table, 5, { protocol: TCP, nowMs: 100, backend: 9 })).toBe(PUBLISHED);
    const toServer = lookupClient(table, 5, TCP);
    const toClient = lookupServer(table, 5, 9, TCP);
    expect(toServer & 1).toBe(0);
    expect(toClient).toBe(toServer | 1);
    expect(table.newAddress(toServer)).toBe(serverAddress(9));
    expect(table.newPort(toServer)).toBe(8080);
    expect(table.addressDifference(toServer)).toBe(0xfffe);
    expect(table.transportDifference(toServer)).toBe(0x8001);
    expect(table.newAddress(toClient)).toBe(VIP);
    expect(table.newPort(toClient)).toBe(80);
    expect(table.addressDifference(toClient)).toBe(1);
    expect(table.transportDifference(toClient)).toBe(0x7ffe);
    expect(table.protocol(toClient)).toBe(TCP);
    expect(table.service(toClient)).toBe(0);
    expect(table.backend(toClient)).toBe(9);
    table.setWayOut(toClient, 77, 3);
    expect([table.wayOut(toClient), table.wayOutGeneration(toClient)]).toEqual([77, 3]);
    expect(table.wayOutGeneration(toServer)).toBe(0);
    expect(lookupClient(table, 5, UDP)).toBe(NOT_FOUND);
    expect(lookupClient(table, 6, TCP)).toBe(NOT_FOUND);
  });

  it('tells who has the key already', () => {
    const { memory, table, tables, sweeps } = make();
    insert(table, 1, { protocol: UDP, nowMs: 0, backend: 1 });
    const there = lookupClient(table, 1, UDP);
    expect(insert(table, 1, { protocol: UDP, nowMs: 0, backend: 2 })).toBe(there);
    // Another client, 65536 further on, would make the server's packets look the same.
    expect(insert(table, 65537, { protocol: UDP, nowMs: 0, backend: 1 })).toBe(TUPLE_IN_USE);
    expect(lookupClient(table, 65537, UDP)).toBe(NOT_FOUND);
    expect(lookupServer(table, 1, 1, UDP)).toBe(there | 1);
    settle(tables, sweeps, 0);
    expect(inspect(memory)).toEqual({ live: 1, taken: 1, slots: 2 });
  });

  it('takes as many connections as it was made for, and again after they have gone', () => {
    const { memory, table, tables, sweeps } = make();
    for (let round = 0; round < 3; round++) {
      for (let key = 0; key < CONNECTIONS; key++) {
        const how = { protocol: UDP, nowMs: 0, backend: 1 };
        expect(insert(table, round * 5000 + key, how)).toBe(PUBLISHED);
      }
      expect(insert(table, 99_999, { protocol: UDP, nowMs: 0, backend: 1 })).toBe(TABLE_FULL);
      for (let key = 0; key < CONNECTIONS; key++) {
        const entry = lookupClient(table, round * 5000 + key, UDP);
        expect(table.remove(entry >> 1)).toBe(1);
        expect(table.remove(entry >> 1)).toBe(0);
      }
      expect(insert(table, 99_999, { protocol: UDP, nowMs: 0, backend: 1 })).toBe(TABLE_FULL);
      settle(tables, sweeps, 0);
      expect(inspect(memory)).toEqual({ live: 0, taken: 0, slots: 0 });
    }
    expect(sweeps[0].takenCount()).toBe(0);
  });

  it('does not reuse a record while another processor is in the turn that may have found it', () => {
    const { memory, tables, sweeps } = make(2);
    insert(tables[0], 1, { protocol: UDP, nowMs: 0, backend: 1 });
    tables[1].enterTurn();
    const entry = lookupClient(tables[1], 1, UDP);
    tables[0].remove(entry >> 1);
    for (let i = 0; i < 10; i++) {
      tables[0].enterTurn();
      for (const sweep of sweeps) sweep.sweep(0, 1 << 30);
    }
    expect(inspect(memory).taken).toBe(1);
    tables[1].leave();
    for (let i = 0; i < 10; i++) {
      tables[0].enterTurn();
      for (const sweep of sweeps) sweep.sweep(0, 1 << 30);
    }
    expect(inspect(memory).taken).toBe(0);
  });

  it('counts half-open connections until their handshake is complete', () => {
    const { table, tables, sweep } = make(2);
    for (const key of [1, 2, 3]) insert(table, key, { protocol: TCP, nowMs: 0, backend: 1 });
    expect(sweep.halfOpenCount()).toBe(3);
    const one = lookupClient(table, 1, TCP);
    table.updateTcp(one, SYN, 0, 60);
    table.updateTcp(one, ACK, 0, 52);
    expect(sweep.halfOpenCount()).toBe(3);
    tables[1].updateTcp(one | 1, SYN | ACK, 0, 60);
    expect(table.stateOf(one >> 1)).toBe(STATE_ESTABLISHED);
    table.updateTcp(one, ACK, 0, 52);
    expect(sweep.halfOpenCount()).toBe(2);
    tables[1].remove(one >> 1);
    tables[1].remove(lookupClient(table, 2, TCP) >> 1);
    expect(sweep.halfOpenCount()).toBe(1);
  });

  it('derives states for direct server return from the client alone, and indexes one key', () => {
    const { memory, table } = make();
    insert(table, 1, { protocol: TCP, nowMs: 0, backend: 1, isOneSided: true });
    const entry = lookupClient(table, 1, TCP);
    expect(inspect(memory).slots).toBe(1);
    table.updateTcp(entry, SYN, 0, 60);
    expect(table.stateOf(entry >> 1)).toBe(STATE_SYN_RECEIVED);
    table.updateTcp(entry, ACK, 0, 60);
    expect(table.stateOf(entry >> 1)).toBe(STATE_ESTABLISHED);
    expect(table.isReusableBySyn(entry >> 1)).toBe(false);
    table.updateTcp(entry, FIN | ACK, 0, 60);
    // The last of it, when the server closed first.
    expect(table.isReusableBySyn(entry >> 1)).toBe(true);
    table.updateTcp(entry, ACK, 0, 60);
    expect(table.stateOf(entry >> 1)).toBe(STATE_TIME_WAIT);
    expect(table.isReusableBySyn(entry >> 1)).toBe(true);
  });

  it('counts per direction and per backend, summed over processors', () => {
    const { memory, table, tables } = make(2);
    insert(table, 1, { protocol: UDP, nowMs: 0, backend: 7 });
    insert(tables[1], 2, { protocol: UDP, nowMs: 0, backend: 7 });
    const entry = lookupClient(table, 1, UDP);
    table.updateUdp(entry, 5, 100);
    table.updateUdp(entry, 6, 50);
    tables[1].updateUdp(entry | 1, 9, 1000);
    tables[1].remove(entry >> 1);
    expect(readBackend(memory, 7)).toMatchObject({
      active: 1,
      connections: 2,
      packetsIn: 2,
      bytesIn: 150,
      packetsOut: 1,
      bytesOut: 1000,
    });
    expect(readCounters(memory).single.connectionsInserted).toBe(2);
  });

  it('shows control what is there', () => {
    const { memory, table } = make();
    insert(table, 1, { protocol: TCP, nowMs: 1000, backend: 3 });
    insert(table, 2, { protocol: UDP, nowMs: 2001, backend: 4 });
    const entry = lookupClient(table, 2, UDP);
    table.updateUdp(entry, 2005, 70);
    expect(countConnections(memory)).toMatchObject({ udp: 1, established: 0, 'syn-sent': 1 });
    expect(snapshotConnections(memory, 1)).toHaveLength(1);
    const [copy] = snapshotConnections(memory, 10, (c) => c.protocol === UDP);
    expect(copy).toMatchObject({
      record: entry >> 1,
      clientAddress: clientAddress(2),
      clientPort: 4000,
      serviceAddress: VIP,
      servicePort: 80,
      backendAddress: serverAddress(4),
      backendPort: 8080,
      backend: 4,
      state: 'udp',
      insertedMs: 2000,
      toServer: { packets: 1, bytes: 70, lastSeenMs: 2005 },
      toClient: { packets: 0, bytes: 0, lastSeenMs: 2001 },
    });
    table.remove(entry >> 1);
    expect(snapshotConnections(memory, 10)).toHaveLength(1);
  });
});

describe('ConnectionSweep', () => {
  it('lets nothing expire before it knows the timeouts', () => {
    const { memory, table } = make();
    insert(table, 1, { protocol: UDP, nowMs: 0, backend: 1 });
    const sweep = new ConnectionSweep(memory, 0, table);
    sweep.sweep(1e9, 1 << 30);
    expect(lookupClient(table, 1, UDP)).not.toBe(NOT_FOUND);
    sweep.useConfiguration(writeTimeouts(memory));
    sweep.sweep(1e9, 1 << 30);
    expect(lookupClient(table, 1, UDP)).toBe(NOT_FOUND);
  });

  it('keeps to its budget and to its share, and comes round', () => {
    const { table, tables, sweeps } = make(2);
    for (let key = 0; key < 600; key++) insert(table, key, { protocol: UDP, nowMs: 0, backend: 1 });
    tables[1].leave();
    let looked = 0;
    for (let i = 0; i < 100; i++) {
      const step = sweeps[0].sweep(0, 10);
      expect(step).toBeLessThanOrEqual(32);
      looked += step;
    }
    expect(looked).toBeGreaterThanOrEqual(512);
    let removed = 0;
    sweeps[1].sweep(1e6, 1 << 30);
    for (let key = 0; key < 600; key++) {
      if (lookupClient(table, key, UDP) === NOT_FOUND) removed += 1;
    }
    expect(removed).toBe(600 - 512);
    const steps = Math.ceil(4000 / 10);
    expect(sweeps[0].budgetFor(10) * steps).toBeGreaterThanOrEqual(16 * 33);
  });

  it('under pressure ends what is half open or closing, oldest first, never the established', () => {
    const { table, sweep, memory } = make();
    const established = 300;
    for (let key = 0; key < CONNECTIONS; key++) {
      expect(insert(table, key, { protocol: TCP, nowMs: key, backend: 1 })).toBe(PUBLISHED);
      const entry = lookupClient(table, key, TCP);
      table.updateTcp(entry, SYN, key, 60);
      if (key >= established) continue;
      table.updateTcp(entry | 1, SYN | ACK, key, 60);
      table.updateTcp(entry, ACK, key, 60);
    }
    const left = () => {
      let count = 0;
      let youngestGone = -1;
      let oldestLeft = CONNECTIONS;
      for (let key = 0; key < CONNECTIONS; key++) {
        const isThere = lookupClient(table, key, TCP) !== NOT_FOUND;
        if (isThere) count += 1;
        else youngestGone = key;
        if (isThere && key >= established) oldestLeft = Math.min(oldestLeft, key);
      }
      return { count, youngestGone, oldestLeft };
    };
    sweep.sweep(CONNECTIONS, 1 << 30);
    expect(sweep.isUnderPressure()).toBe(true);
    const first = left();
    expect(first.count).toBeLessThan(CONNECTIONS);
    expect(first.count).toBeGreaterThan(established);
    expect(first.youngestGone).toBeLessThan(first.oldestLeft);
    for (let key = 0; key < established; key++) {
      expect(lookupClient(table, key, TCP)).not.toBe(NOT_FOUND);
    }
    settle([table], [sweep], CONNECTIONS);
    expect(sweep.isUnderPressure()).toBe(false);
    expect(readCounters(memory).single.evicted).toBeGreaterThan(0);
    expect(insert(table, 9999, { protocol: TCP, nowMs: 0, backend: 1 })).toBe(PUBLISHED);
  });
});

/** What the table should know, kept the naive way. */
interface ModelConnection {
  readonly backend: number;
  readonly protocol: number;
  client: number;
  server: number;
  lastSeen: number;
}

describe('ConnectionTable against a Map', () => {
  const KEYS = 40;
  const key = fc.integer({ min: 0, max: KEYS - 1 });
  // Every other key shares its server key with the one 65536 further on.
  const spread = (k: number) => (k % 2 === 0 ? k : k - 1 + 65536);
  const processor = fc.integer({ min: 0, max: 1 });
  const operation = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        what: fc.constant('insert' as const),
        key,
        processor,
        protocol: fc.constantFrom(TCP, UDP),
        backend: fc.integer({ min: 0, max: 1 }),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        what: fc.constant('packet' as const),
        key,
        processor,
        protocol: fc.constantFrom(TCP, UDP),
        flags: fc.constantFrom(SYN, SYN | ACK, ACK, FIN | ACK, RST),
        direction: fc.integer({ min: 0, max: 1 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        what: fc.constant('remove' as const),
        key,
        processor,
        protocol: fc.constantFrom(TCP, UDP),
      }),
    },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('turn' as const), processor }) },
    {
      weight: 2,
      arbitrary: fc.record({
        what: fc.constant('wait' as const),
        processor,
        ms: fc.integer({ min: 1, max: 9000 }),
      }),
    },
  );

  it('says the same after every step of every history', () => {
    const { memory, tables, sweeps } = make(2);
    let nowMs = 0x7fffff00 | 0;
    fc.assert(
      fc.property(fc.array(operation, { minLength: 20, maxLength: 120 }), (history) => {
        const model = new Map<string, ModelConnection>();
        const name = (k: number, protocol: number) => `${spread(k)}/${protocol}`;
        const serverName = (k: number, c: { backend: number; protocol: number }) =>
          `${spread(k) & 0xffff}/${c.backend}/${c.protocol}`;
        const serverNames = () =>
          new Set([...model].map(([n, c]) => serverName(Number(n.split('/')[0]), c)));
        for (const step of history) {
          const table = tables[step.processor];
          if (step.what === 'insert') {
            const { key: k, protocol, backend } = step;
            const before = lookupClient(table, spread(k), protocol);
            const result = insert(table, spread(k), { protocol, nowMs, backend });
            if (model.has(name(k, protocol))) {
              expect(result).toBe(before);
              expect(result).toBeGreaterThanOrEqual(0);
            } else if (serverNames().has(serverName(k, { backend, protocol }))) {
              expect(result).toBe(TUPLE_IN_USE);
            } else {
              expect(result).toBe(PUBLISHED);
              const fresh = { backend, protocol, client: 0, server: 0, lastSeen: nowMs };
              model.set(name(k, protocol), fresh);
            }
          } else if (step.what === 'packet') {
            const known = model.get(name(step.key, step.protocol));
            const entry = lookupClient(table, spread(step.key), step.protocol);
            expect(entry === NOT_FOUND).toBe(known === undefined);
            if (known !== undefined) {
              const way = entry | step.direction;
              if (step.protocol === UDP) table.updateUdp(way, nowMs, 60);
              else table.updateTcp(way, step.flags, nowMs, 60);
              known.lastSeen = nowMs;
              if (step.direction === 0) known.client = marksAfter(known.client, step.flags);
              else known.server = marksAfter(known.server, step.flags);
            }
          } else if (step.what === 'remove') {
            const entry = lookupClient(table, spread(step.key), step.protocol);
            const known = model.delete(name(step.key, step.protocol));
            expect(entry !== NOT_FOUND && table.remove(entry >> 1) === 1).toBe(known);
          } else if (step.what === 'turn') {
            table.enterTurn();
          } else {
            nowMs = (nowMs + step.ms) | 0;
            for (const sweep of sweeps) sweep.sweep(nowMs, 1 << 30);
            for (const [n, c] of model) {
              const state = c.protocol === UDP ? STATE_UDP : tcpState(c.client, c.server);
              if (((nowMs - c.lastSeen) | 0) >= TIMEOUTS[state]) model.delete(n);
            }
          }
          const isOpen = (c: ModelConnection) =>
            c.protocol === UDP || ((c.client | c.server) & (FIN | RST)) === 0;
          const [first, second] = [0, 1].map((backend) => readBackend(memory, backend));
          expect(first.active + second.active).toBe(model.size);
          expect(first.open + second.open).toBe([...model.values()].filter(isOpen).length);
          for (let k = 0; k < KEYS; k++) {
            for (const protocol of [TCP, UDP]) {
              const known = model.get(name(k, protocol));
              const entry = lookupClient(table, spread(k), protocol);
              expect(entry === NOT_FOUND).toBe(known === undefined);
              if (known === undefined) continue;
              expect(lookupServer(table, spread(k), known.backend, protocol)).toBe(entry | 1);
            }
          }
        }
        nowMs = (nowMs + 40_000) | 0;
        settle(tables, sweeps, nowMs);
        expect(inspect(memory)).toEqual({ live: 0, taken: 0, slots: 0 });
        expect(sweeps[0].takenCount()).toBe(0);
        expect(sweeps[0].halfOpenCount()).toBe(0);
        expect(readBackend(memory, 0).active + readBackend(memory, 1).active).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});
