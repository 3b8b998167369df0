import { describe, expect, it } from 'vitest';
import { SELECTION_POOL_CAPACITY } from '../tables/configuration-table.ts';
import { leastPositions } from './config/pools.ts';
import { type PoolMember, SelectionTables } from './selection-tables.ts';

function members(weights: number[]): PoolMember[] {
  return weights.map((weight, n) => ({ name: `b${n}`, id: 100 + n, weight }));
}

function own(scheduler: string, size: number) {
  return { scheduler, size, isOfRule: false };
}

function one(scheduler: Parameters<SelectionTables['table']>[1], weights: number[]): Int32Array {
  const tables = new SelectionTables();
  tables.begin([own(scheduler, weights.length)]);
  return tables.table('s', scheduler, members(weights));
}

const count = (table: Int32Array, id: number): number => table.filter((each) => each === id).length;

describe('SelectionTables', () => {
  it('orders by weight where the scheduler has weights', () => {
    for (const scheduler of ['weighted-round-robin', 'random', 'power-of-two'] as const) {
      const table = one(scheduler, [3, 1, 0]);
      expect([count(table, 100), count(table, 101), count(table, 102)]).toEqual([3, 1, 0]);
    }
  });

  it('round robin takes turns whatever the weights, but leaves out who has none', () => {
    expect([...one('round-robin', [300, 1, 0])].sort()).toEqual([100, 101]);
  });

  it('source-hash moves few clients when a weight changes', () => {
    const before = one('source-hash', [100, 100, 100]);
    const after = one('source-hash', [100, 100, 90]);
    expect(before.length).toBe(after.length);
    const moved = before.filter((id, n) => id !== after[n]).length / before.length;
    expect(moved).toBeGreaterThan(0);
    // 3.3 % less for one: so much must move, and hardly more.
    expect(moved).toBeLessThan(0.1);
  });

  it('makes a table anew only when its weights have changed', () => {
    const tables = new SelectionTables();
    const make = (weights: number[]): Int32Array => {
      tables.begin([own('maglev', weights.length)]);
      const table = tables.table('s', 'maglev', members(weights));
      tables.end();
      return table;
    };
    const first = make([1, 1]);
    expect(make([1, 1])).toBe(first);
    expect(make([1, 2])).not.toBe(first);
  });

  it('maglev tables get smaller before the pool is full', () => {
    const lengths = [10, 30, 80].map((services) => {
      const pools = Array.from({ length: services }, () => own('maglev', 100));
      const tables = new SelectionTables();
      tables.begin(pools);
      return tables.table('s', 'maglev', members(new Array<number>(100).fill(1))).length;
    });
    expect(lengths).toEqual([65521, 32749, 16381]);
  });

  it('weights count in large pools, too', () => {
    for (const size of [4096, 16_384]) {
      // A fifth of the backends have four times the weight of the others: half of all slots.
      const table = one(
        'weighted-round-robin',
        Array.from({ length: size }, (_, n) => (n % 5 === 0 ? 401 : 100)),
      );
      const heavy = table.filter((id) => (id - 100) % 5 === 0).length / table.length;
      expect(heavy).toBeGreaterThan(0.47);
      expect(heavy).toBeLessThan(0.53);
      expect(new Set(table).size).toBe(size);
    }
  });

  it('orders get shorter before the pool is full', () => {
    const pools = Array.from({ length: 1000 }, () => own('weighted-round-robin', 10));
    const weights = Array.from({ length: 10 }, (_, n) => 997 + n * 2);
    const tables = new SelectionTables();
    tables.begin(pools);
    let words = 0;
    pools.forEach((_, n) => {
      words += tables.table(`s${n}`, 'weighted-round-robin', members(weights)).length;
    });
    expect(words).toBeLessThanOrEqual(SELECTION_POOL_CAPACITY);
    expect(words / 1000).toBeGreaterThan(1000);
  });

  it('there is room for whatever weights, also beside large pools of rules', () => {
    const ofRules = Array.from({ length: 40 }, () => {
      return { scheduler: 'random', size: 8000, isOfRule: true };
    });
    const pools = [...ofRules, ...Array.from({ length: 500 }, () => own('random', 12))];
    expect(pools.reduce((sum, pool) => sum + leastPositions(pool), 0)).toBeLessThan(
      SELECTION_POOL_CAPACITY,
    );
    const tables = new SelectionTables();
    tables.begin(pools);
    const large = members(Array.from({ length: 8000 }, (_, n) => 65_535 - n));
    const small = large.slice(0, 12);
    const ofLarge = tables.table('large', 'random', large).length;
    const ofSmall = tables.table('small', 'random', small).length;
    const lists = 40 * 8000;
    expect(40 * ofLarge + 500 * ofSmall + lists).toBeLessThanOrEqual(SELECTION_POOL_CAPACITY);
    expect(ofSmall).toBeGreaterThan(1000);
  });
});
