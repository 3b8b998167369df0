import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { startPosition, weightedRoundRobinTable } from './weighted-round-robin.ts';

const countsOf = (order: Int32Array, positions: number): number[] => {
  const counts = new Array<number>(positions).fill(0);
  for (const position of order) counts[position]++;
  return counts;
};

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Greatest distance, over all beginnings of the order, between a position's count and its share. */
function greatestLag(order: Int32Array, shares: readonly number[]): number {
  const counts = new Array<number>(shares.length).fill(0);
  let greatest = 0;
  order.forEach((position, i) => {
    counts[position]++;
    shares.forEach((share, p) => {
      greatest = Math.max(greatest, Math.abs(counts[p] - share * (i + 1)));
    });
  });
  return greatest;
}

describe('weightedRoundRobinTable', () => {
  it.each([
    { weights: [5, 1, 1], order: [0, 0, 1, 0, 2, 0, 0] },
    { weights: [1, 1, 1], order: [0, 1, 2] },
    { weights: [2, 4], order: [1, 0, 1] },
    { weights: [3, 1], order: [0, 0, 1, 0] },
    { weights: [0, 7, 0], order: [1] },
    { weights: [0, 0], order: [] },
    { weights: [], order: [] },
  ])('$weights gives $order', ({ weights, order }) => {
    expect(Array.from(weightedRoundRobinTable(weights, 4096))).toEqual(order);
  });

  it('scales down what does not fit and leaves nobody out', () => {
    const order = weightedRoundRobinTable([1_000_000, 1, 0, 1], 100);
    expect(countsOf(order, 4)).toEqual([98, 1, 0, 1]);
  });

  it('shares the slots left over by the largest remainder', () => {
    // Due: 3.3, 3.3, 3.4 of ten slots.
    expect(countsOf(weightedRoundRobinTable([33, 33, 34], 10), 3)).toEqual([3, 3, 4]);
  });

  it('refuses what it cannot represent', () => {
    expect(() => weightedRoundRobinTable([1, 1, 1], 2)).toThrow('3 backends do not fit');
    expect(() => weightedRoundRobinTable([-1], 8)).toThrow('weight -1');
    expect(() => weightedRoundRobinTable([0.5], 8)).toThrow('weight 0.5');
  });

  it('gives exact shares when they fit', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { minLength: 1, maxLength: 12 }), (weights) => {
        const order = weightedRoundRobinTable(weights, 4096);
        const total = sum(weights);
        if (total === 0) return order.length === 0;
        const counts = countsOf(order, weights.length);
        expect(total % order.length).toBe(0);
        expect(counts.map((count) => (count * total) / order.length)).toEqual(weights);
        return true;
      }),
    );
  });

  it('is smooth: no position runs ahead of its share or lags behind it for long', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 8 }),
        (w) => {
          const shares = w.map((weight) => weight / sum(w));
          // A block order (all of one, then all of the next) lags by up to weight × (1 - share).
          expect(greatestLag(weightedRoundRobinTable(w, 4096), shares)).toBeLessThan(
            w.length / 2 + 1,
          );
        },
      ),
    );
    expect(greatestLag(weightedRoundRobinTable([50, 50], 4096), [0.5, 0.5])).toBeLessThan(1);
    expect(greatestLag(weightedRoundRobinTable([100, 50, 50], 99), [0.5, 0.25, 0.25])).toBeLessThan(
      2,
    );
  });

  it('is smooth with many positions, too, and made in time', () => {
    const weights = Array.from({ length: 5000 }, (_, i) => 1 + (i % 4));
    const order = weightedRoundRobinTable(weights, 40_000);
    const counts = countsOf(order, weights.length);
    const half = countsOf(order.slice(0, order.length / 2), weights.length);
    counts.forEach((count, i) => {
      expect(count).toBe(weights[i]);
      expect(Math.abs(half[i] - count / 2)).toBeLessThan(1.01);
    });
  });

  it('scaled shares are within one slot, but for those who are given their only one', () => {
    const weights = fc.array(fc.integer({ min: 0, max: 65_535 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(weights, (w) => {
        const maxSlots = 256;
        const total = sum(w);
        const order = weightedRoundRobinTable(w, maxSlots);
        if (total === 0) return;
        expect(order.length).toBeLessThanOrEqual(maxSlots);
        const counts = countsOf(order, w.length);
        const raised = w.filter((weight) => weight > 0 && weight * order.length < total).length;
        w.forEach((weight, i) => {
          const due = (weight * order.length) / total;
          expect(counts[i] > 0).toBe(weight > 0);
          expect(counts[i]).toBeLessThan(Math.max(due, 1) + 1);
          expect(counts[i]).toBeGreaterThan(due - 1 - raised);
        });
      }),
    );
  });
});

describe('startPosition', () => {
  it.each([
    { processors: 1, length: 7, starts: [0] },
    { processors: 2, length: 7, starts: [0, 3] },
    { processors: 4, length: 4, starts: [0, 1, 2, 3] },
    { processors: 4, length: 2, starts: [0, 0, 1, 1] },
    { processors: 3, length: 0, starts: [0, 0, 0] },
  ])(
    '$processors processors over $length slots start at $starts',
    ({ processors, length, starts }) => {
      const found = starts.map((_, index) => startPosition(index, processors, length));
      expect(found).toEqual(starts);
    },
  );

  it('lets N processors make one exact pass together', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 8 }), (w, processors) => {
        // Only lengths that N divides can be shared out evenly.
        const order = weightedRoundRobinTable(w, 4096);
        fc.pre(order.length % processors === 0);
        const counts = new Array<number>(w.length).fill(0);
        for (let p = 0; p < processors; p++) {
          const start = startPosition(p, processors, order.length);
          for (let k = 0; k < order.length / processors; k++) {
            counts[order[(start + k) % order.length]]++;
          }
        }
        expect(counts).toEqual(countsOf(order, w.length));
      }),
    );
  });
});
