import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAGLEV_TABLE_SIZES, type MaglevBackend, maglevTable, maglevTableSize } from './maglev.ts';

const equalBackends = (count: number): MaglevBackend[] =>
  Array.from({ length: count }, (_, i) => ({ id: `10.2.${i >> 8}.${i & 255}:8080`, weight: 1 }));

const idsBySlot = (backends: MaglevBackend[], size: number): string[] =>
  Array.from(maglevTable(backends, size), (index) => backends[index].id);

function slotsOf(backends: MaglevBackend[], size: number): number[] {
  const counts = new Array<number>(backends.length).fill(0);
  for (const index of maglevTable(backends, size)) counts[index]++;
  return counts;
}

/** Share of all slots that change hands between backends that are in both sets. */
function disruption(before: MaglevBackend[], after: MaglevBackend[], size: number): number {
  const old = idsBySlot(before, size);
  const young = idsBySlot(after, size);
  const stays = new Set(after.map(({ id }) => id));
  return old.filter((id, slot) => stays.has(id) && young[slot] !== id).length / size;
}

const someBackends = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 20 }),
    weight: fc.integer({ min: 0, max: 9 }),
  }),
  { selector: ({ id }) => id, minLength: 1, maxLength: 20 },
);

describe('maglevTable', () => {
  it('has not changed: other machines hold the same table', () => {
    const three = [
      { id: 'a', weight: 1 },
      { id: 'b', weight: 1 },
      { id: 'c', weight: 1 },
    ];
    expect(Array.from(maglevTable(three, 13))).toEqual([1, 0, 1, 0, 2, 1, 0, 0, 2, 1, 2, 2, 0]);
    const weighted = [
      { id: '10.2.0.11:8080', weight: 3 },
      { id: '10.2.0.12:8080', weight: 1 },
      { id: '10.2.0.13:8080', weight: 0 },
      { id: '10.2.0.14:8080', weight: 2 },
    ];
    expect(maglevTable(weighted, 31).join('')).toBe('3003033010003003310100101333100');
  });

  it('is empty when nobody has a weight', () => {
    expect(maglevTable([], 251)).toHaveLength(0);
    expect(maglevTable([{ id: 'a', weight: 0 }], 251)).toHaveLength(0);
  });

  it('refuses what would not end or not be unique', () => {
    expect(() => maglevTable(equalBackends(2), 256)).toThrow('prime');
    expect(() => maglevTable(equalBackends(4), 3)).toThrow('do not fit');
    const twins = [
      { id: 'a', weight: 1 },
      { id: 'a', weight: 2 },
    ];
    expect(() => maglevTable(twins, 251)).toThrow('called a');
    expect(() => maglevTable([{ id: 'a', weight: -1 }], 251)).toThrow('weight -1');
  });

  it('fills every slot, in proportion to the weights', () => {
    fc.assert(
      fc.property(someBackends, (backends) => {
        const size = 509;
        const total = backends.reduce((sum, { weight }) => sum + weight, 0);
        const counts = slotsOf(backends, size);
        if (total === 0) return;
        expect(counts.reduce((a, b) => a + b, 0)).toBe(size);
        backends.forEach(({ weight }, i) => {
          const due = (weight * size) / total;
          expect(counts[i] > 0).toBe(weight > 0);
          expect(Math.abs(counts[i] - due)).toBeLessThanOrEqual(backends.length / 2 + 2);
        });
      }),
    );
  });

  it('gives equal backends equal shares, to within one slot', () => {
    const counts = slotsOf(equalBackends(100), maglevTableSize(100));
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  it('does not depend on the order in which the backends are given', () => {
    const shuffled = someBackends.chain((backends) =>
      fc.tuple(
        fc.constant(backends),
        fc.shuffledSubarray(backends, { minLength: backends.length }),
      ),
    );
    fc.assert(
      fc.property(shuffled, ([backends, other]) => {
        expect(idsBySlot(other, 251)).toEqual(idsBySlot(backends, 251));
      }),
    );
  });

  it('moves few slots of the others when one of 100 backends goes', () => {
    const all = equalBackends(100);
    const size = maglevTableSize(100);
    for (let gone = 0; gone < 100; gone += 7) {
      const rest = all.filter((_, index) => index !== gone);
      expect(disruption(all, rest, size)).toBeLessThan(0.01);
    }
  });

  it('moves few slots when one of 100 backends changes its weight', () => {
    const all = equalBackends(100).map(({ id }) => ({ id, weight: 10 }));
    const changed = all.map((backend, i) => (i === 42 ? { ...backend, weight: 5 } : backend));
    expect(disruption(all, changed, maglevTableSize(100))).toBeLessThan(0.01);
  });

  it('gives a backend of weight 0 the same table as its absence', () => {
    const all = equalBackends(10);
    const drained = all.map((backend, i) => (i === 3 ? { ...backend, weight: 0 } : backend));
    const without = all.filter((_, i) => i !== 3);
    expect(idsBySlot(drained, 1021)).toEqual(idsBySlot(without, 1021));
  });
});

describe('maglevTableSize', () => {
  it.each([
    [0, 400, 251],
    [1, 400, 509],
    [3, 400, 2039],
    [100, 400, 65521],
    [100, 200, 32749],
    [100, 100, 16381],
    [1310, 100, 131071],
    [5000, 100, 131071],
  ])('%i backends with %i slots for each have %i', (count, slots, size) => {
    expect(maglevTableSize(count, slots)).toBe(size);
  });

  it('offers only sizes that a table can have', () => {
    for (const size of MAGLEV_TABLE_SIZES) {
      expect(maglevTable([{ id: 'a', weight: 1 }], size)).toHaveLength(size);
    }
  });
});
