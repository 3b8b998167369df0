import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketOf, bucketStart, HISTOGRAM_BUCKETS, percentilesOf } from './latency-histogram.ts';

describe('the buckets of a latency histogram', () => {
  it('hold every value between the start of one and the start of the next', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (value) => {
        const bucket = bucketOf(value);
        expect(bucket).toBeLessThan(HISTOGRAM_BUCKETS);
        expect(bucketStart(bucket)).toBeLessThanOrEqual(value);
        expect(bucketStart(bucket + 1)).toBeGreaterThan(value);
      }),
    );
  });

  it('are never wider than a sixteenth of what they hold', () => {
    for (let bucket = 16; bucket < HISTOGRAM_BUCKETS; bucket++) {
      const width = bucketStart(bucket + 1) - bucketStart(bucket);
      expect(width / bucketStart(bucket)).toBeLessThanOrEqual(1 / 16);
      expect(bucketOf(bucketStart(bucket))).toBe(bucket);
    }
  });
});

describe('percentiles', () => {
  it('are near those of the values themselves', () => {
    const counts = new Array<number>(HISTOGRAM_BUCKETS).fill(0);
    for (let value = 1; value <= 10_000; value++) counts[bucketOf(value)] += 1;
    const found = percentilesOf(counts);
    expect(found.count).toBe(10_000);
    for (const [share, is] of [
      [0.5, found.p50],
      [0.9, found.p90],
      [0.99, found.p99],
      [0.999, found.p999],
      [1, found.max],
    ]) {
      expect(Math.abs(is - share * 10_000) / (share * 10_000)).toBeLessThan(1 / 16);
    }
  });

  it('of few values are among them: the highest of three is the 99th', () => {
    const counts = new Array<number>(HISTOGRAM_BUCKETS).fill(0);
    for (const value of [3, 5, 7]) counts[value] += 1;
    expect(percentilesOf(counts)).toEqual({ count: 3, p50: 5, p90: 7, p99: 7, p999: 7, max: 7 });
  });

  it('of nothing are zero', () => {
    expect(percentilesOf([0, 0])).toEqual({ count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 });
  });
});
