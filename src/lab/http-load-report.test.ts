import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from './http-load-report.ts';

describe('LatencyHistogram', () => {
  it('gives percentiles to five percent', () => {
    const histogram = new LatencyHistogram();
    for (let value = 1; value <= 1000; value += 1) histogram.record(value / 10);
    for (const part of [0.01, 0.5, 0.9, 0.99]) {
      const exact = part * 100;
      expect(histogram.percentile(part)).toBeGreaterThanOrEqual(exact * 0.95);
      expect(histogram.percentile(part)).toBeLessThanOrEqual(exact * 1.06);
    }
    expect(histogram.maximum).toBe(100);
    expect(histogram.percentile(1)).toBe(100);
  });

  it('takes what is too small or too large into its outermost buckets', () => {
    const histogram = new LatencyHistogram();
    expect(histogram.percentile(0.5)).toBe(0);
    histogram.record(0);
    histogram.record(1e9);
    expect(histogram.percentile(0.5)).toBeLessThan(0.011);
    expect(histogram.maximum).toBe(1e9);
  });
});
