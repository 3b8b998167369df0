// When the place of a neighbor may be given to another: what the table does with it is in neighbor-table.test.ts.

import { expect, it } from 'vitest';
import { MAX_NEIGHBORS, NEIGHBOR_SIZE } from '../memory/layout.ts';
import { NEIGHBOR_TIMINGS } from './neighbor-entry.ts';
import { NeighborTable, NOT_FOUND, WAIT_AND_PROBE } from './neighbor-table.ts';

const START = 5000;

it('one that has not answered gives its place away soon, but not while packets wait for it', () => {
  const table = new NeighborTable(new Int32Array((MAX_NEIGHBORS * NEIGHBOR_SIZE) / 4), 0);
  let address = 0;
  for (; ; address++) {
    const index = table.findOrCreate(1, address, START);
    if (index === NOT_FOUND) break;
    expect(table.use(index, START)).toBe(WAIT_AND_PROBE);
  }
  const { recycleUnresolvedMs } = NEIGHBOR_TIMINGS;
  expect(table.findOrCreate(1, address, START + recycleUnresolvedMs - 1)).toBe(NOT_FOUND);
  expect(table.findOrCreate(1, address, START + recycleUnresolvedMs)).not.toBe(NOT_FOUND);
});
