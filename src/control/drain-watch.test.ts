// When the connection table is looked at for drains, and when the last look counts.

import { describe, expect, it } from 'vitest';
import { insert, lookupClient, setRunning, UDP } from '../../test/support/connection-fixture.ts';
import { plainMainMemory } from '../memory/region.ts';
import { ConnectionTable } from '../tables/connection-table.ts';
import { DrainWatch } from './drain-watch.ts';

function make() {
  const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
  const table = new ConnectionTable(memory, 0);
  setRunning(memory, 0);
  table.enterTurn();
  return { table, watch: new DrainWatch(memory) };
}

describe('DrainWatch', () => {
  it('looks again after a second, and not before', () => {
    const { table, watch } = make();
    insert(table, 1, { protocol: UDP, nowMs: 0, backend: 3 });
    const udp = (nowMs: number) => watch.look([3], nowMs).get(3)?.udp;
    expect(udp(5000)).toBe(1);
    table.remove(lookupClient(table, 1, UDP) >> 1);
    expect(udp(5500)).toBe(1);
    // Slow machines may take longer for a look, and wait longer then.
    expect(udp(15_000)).toBe(0);
  });

  it('looks at once for a backend that it has not looked at', () => {
    const { table, watch } = make();
    insert(table, 1, { protocol: UDP, nowMs: 0, backend: 3 });
    insert(table, 2, { protocol: UDP, nowMs: 0, backend: 4 });
    expect(watch.look([3], 5000).get(3)?.udp).toBe(1);
    expect(watch.look([3, 4], 5001).get(4)?.udp).toBe(1);
  });

  it('works with a clock beyond 32 bits', () => {
    const { table, watch } = make();
    const nowMs = 2 ** 32 + 7000;
    insert(table, 1, { protocol: UDP, nowMs: (nowMs - 4000) | 0, backend: 3 });
    expect(watch.look([3], nowMs).get(3)?.idlestMs).toBe(4000);
  });
});
