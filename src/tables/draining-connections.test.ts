// What a drain waits for, over a real connection table: which connections count, how idle, how old.

import { describe, expect, it } from 'vitest';
import {
  insert,
  lookupClient,
  lookupServer,
  setRunning,
  TCP,
  UDP,
} from '../../test/support/connection-fixture.ts';
import { plainMainMemory } from '../memory/region.ts';
import { ConnectionTable } from './connection-table.ts';
import { drainingConnections } from './draining-connections.ts';

const FLAGS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, A: 16 };
const HANDSHAKE = 'c:S s:SA c:A';

function make() {
  const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
  const table = new ConnectionTable(memory, 0);
  setRunning(memory, 0);
  table.enterTurn();
  return { memory, table };
}

/** One TCP connection that has seen these segments, all at one time. */
function connect(table: ConnectionTable, key: number, backend: number, segments: string): void {
  const nowMs = 1000 * key;
  insert(table, key, { protocol: TCP, nowMs, backend });
  const client = lookupClient(table, key, TCP);
  const server = lookupServer(table, key, backend, TCP);
  for (const segment of segments.split(' ')) {
    const [side, letters] = segment.split(':');
    const flags = [...letters].reduce((sum, letter) => sum | FLAGS[letter], 0);
    table.updateTcp(side === 'c' ? client : server, flags, nowMs, 60);
  }
}

describe('drainingConnections', () => {
  it('counts those on which somebody may still send, each under its backend', () => {
    const { memory, table } = make();
    connect(table, 1, 3, HANDSHAKE);
    connect(table, 2, 3, HANDSHAKE);
    connect(table, 3, 3, 'c:S');
    connect(table, 4, 3, `${HANDSHAKE} c:FA`);
    connect(table, 5, 3, `${HANDSHAKE} s:FA`);
    connect(table, 6, 3, `${HANDSHAKE} c:FA s:FA`);
    connect(table, 7, 3, `${HANDSHAKE} c:FA s:FA c:A`);
    connect(table, 8, 3, `${HANDSHAKE} s:R`);
    connect(table, 9, 4, HANDSHAKE);
    insert(table, 10, { protocol: UDP, nowMs: 10_000, backend: 4 });
    connect(table, 11, 5, HANDSHAKE);
    const found = drainingConnections(memory, [3, 4, 6], 20_000);
    expect([...found.keys()]).toEqual([3, 4, 6]);
    expect(found.get(3)).toMatchObject({
      tcp: 5,
      udp: 0,
      states: { established: 2, 'syn-sent': 1, 'close-wait': 1, 'fin-wait': 1 },
    });
    expect(found.get(4)).toMatchObject({ tcp: 1, udp: 1, states: { established: 1, udp: 1 } });
    expect(found.get(6)).toEqual({ tcp: 0, udp: 0, states: {}, idlestMs: 0, oldestMs: 0 });
  });

  it('knows the idlest by its last packet of either side, and the oldest', () => {
    const { memory, table } = make();
    connect(table, 1, 3, HANDSHAKE);
    connect(table, 2, 3, HANDSHAKE);
    // The first is older, but its server has just sent something.
    table.updateTcp(lookupServer(table, 1, 3, TCP), FLAGS.A, 9000, 60);
    const found = drainingConnections(memory, [3], 10_000).get(3);
    expect(found?.idlestMs).toBe(8000);
    // Exact to eight milliseconds.
    expect(found?.oldestMs).toBeGreaterThanOrEqual(9000);
    expect(found?.oldestMs).toBeLessThan(9008);
  });

  it('is not confused by a clock that wraps', () => {
    const { memory, table } = make();
    insert(table, 1, { protocol: UDP, nowMs: 0x7fffff00, backend: 3 });
    const nowMs = (0x7fffff00 + 1000) | 0;
    expect(drainingConnections(memory, [3], nowMs).get(3)?.idlestMs).toBe(1000);
  });

  it('reads nothing when nothing is drained', () => {
    const { memory, table } = make();
    connect(table, 1, 3, HANDSHAKE);
    expect(drainingConnections(memory, [], 0).size).toBe(0);
  });
});
