import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bound, boundsOf, factorsOf, step } from './limits.ts';

const BOUNDS = { floor: 0.05, ceiling: 4 };
const rounded = (values: readonly number[]) => values.map((value) => Number(value.toFixed(4)));

describe('factorsOf', () => {
  it('keeps the sum of the weights', () => {
    expect(rounded(factorsOf([1, 3], [1, 1], BOUNDS))).toEqual([0.5, 1.5]);
    expect(rounded(factorsOf([10, 10], [3, 1], BOUNDS))).toEqual([0.6667, 2]);
    expect(factorsOf([], [], BOUNDS)).toEqual([]);
    expect(factorsOf([0.001], [7], BOUNDS)).toEqual([1]);
  });

  it('holds a limitless wish to the ceiling beside the others', () => {
    // 4 to 1 to 1 to 1, and not 4 to next to nothing.
    expect(rounded(factorsOf([1e9, 1, 1, 1], [1, 1, 1, 1], BOUNDS))).toEqual([
      2.2857, 0.5714, 0.5714, 0.5714,
    ]);
  });

  it('holds the smallest wish to the floor beside the others', () => {
    const [low, high] = factorsOf([1e-9, 1], [1, 1], BOUNDS);
    // A ceiling of 4 beside the other is the stronger limit.
    expect(high / low).toBeCloseTo(4);
    const many = factorsOf([1e-9, 1, 1, 1, 1], [1, 1, 1, 1, 1], BOUNDS);
    expect(many[0] / many[1]).toBeCloseTo(0.05);
  });

  it('stays in floor and ceiling whatever is wished', () => {
    const wish = fc.double({ min: 1e-9, max: 1e9, noNaN: true });
    const base = fc.integer({ min: 1, max: 65_535 });
    fc.assert(
      fc.property(fc.array(fc.tuple(wish, base), { minLength: 1, maxLength: 12 }), (pairs) => {
        const factors = factorsOf(
          pairs.map(([w]) => w),
          pairs.map(([, b]) => b),
          BOUNDS,
        );
        for (const factor of factors) {
          expect(factor).toBeGreaterThanOrEqual(0.05);
          expect(factor).toBeLessThanOrEqual(4);
        }
      }),
    );
  });
});

describe('bound', () => {
  it('lowers who is above the ceiling beside the mean of the others, and nobody else', () => {
    const factors = [4, 0.5, 0.5];
    bound(factors, [1, 1, 1], 0, 4);
    expect(factors).toEqual([2, 0.5, 0.5]);
    const alone = [4];
    bound(alone, [1], 0, 4);
    expect(alone).toEqual([4]);
  });
});

describe('boundsOf', () => {
  it('makes bounds of any settings', () => {
    expect(boundsOf({ floor: 0.05, ceiling: 4 })).toEqual({ floor: 0.05, ceiling: 4 });
    expect(boundsOf({ floor: -1, ceiling: 0.5 })).toEqual({ floor: 0.001, ceiling: 1 });
    expect(boundsOf({ floor: Number.NaN, ceiling: Number.NaN })).toEqual({
      floor: 0.001,
      ceiling: 1,
    });
  });
});

describe('step', () => {
  it.each([
    [1, 3, 1.5],
    [1, 1.2, 1.2],
    [3, 1, 2],
    [1, 0.9, 0.9],
  ])('from %d towards %d is %d', (from, to, expected) => {
    expect(step(from, to, 1.5)).toBe(expected);
  });
});
