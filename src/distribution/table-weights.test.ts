import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tableWeights } from './table-weights.ts';

const taking = (...weights: number[]) => weights.map((exact) => ({ isTaking: true, exact }));

describe('tableWeights', () => {
  it('are the exact ones when nothing needs the resolution', () => {
    expect(tableWeights(taking(1, 3, 65_535), 65_535, true)).toEqual([1, 3, 65_535]);
    expect(tableWeights([{ isTaking: false, exact: 5 }, ...taking(2)], 5, true)).toEqual([0, 2]);
  });

  it('keep 1 % of a weight of 1', () => {
    expect(tableWeights(taking(1, 0.62), 4, true)).toEqual([100, 62]);
    expect(tableWeights(taking(1, 1), 4, false)).toEqual([100, 100]);
  });

  it('give next to nothing to who begins a slow start', () => {
    expect(tableWeights(taking(3, 0), 3, true)).toEqual([300, 1]);
  });

  it('are scaled less when they would not fit, by a factor that does not depend on feedback', () => {
    expect(tableWeights(taking(1000, 500.5), 4000, false)).toEqual([16_384, 8200]);
    expect(tableWeights(taking(4000, 500.5), 4000, false)[1]).toBe(8200);
  });

  it('are integers from 0 to 65535, above 0 exactly for those who take connections', () => {
    const entry = fc.record({
      isTaking: fc.boolean(),
      exact: fc.double({ min: 0, max: 65_535 * 4, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(entry), fc.boolean(), (entries, mayBePlain) => {
        tableWeights(entries, 1, mayBePlain).forEach((weight, i) => {
          expect(Number.isInteger(weight)).toBe(true);
          expect(weight).toBeLessThanOrEqual(65_535);
          expect(weight > 0).toBe(entries[i].isTaking);
        });
      }),
    );
  });
});
