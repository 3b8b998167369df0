import { describe, expect, it } from 'vitest';
import { failuresOf, percentile, type RequestSample, shares, within } from './open-load-samples.ts';

function sample(atMs: number, latencyMs: number, server = 'b1', failure = ''): RequestSample {
  return { atMs, latencyMs, server, failure };
}

describe('percentile', () => {
  it('is the latency that so many stay at or below', () => {
    const samples = Array.from({ length: 200 }, (_, i) => sample(i, 200 - i));
    expect(percentile(samples, 0.99)).toBe(198);
    expect(percentile(samples, 0.5)).toBe(100);
    expect(percentile(samples, 1)).toBe(200);
    expect(percentile(samples, 0)).toBe(1);
    expect(percentile([], 0.99)).toBe(0);
  });
});

describe('shares', () => {
  it('counts who answered, and not who failed', () => {
    const samples = [sample(0, 1), sample(1, 1, 'b2'), sample(2, 1, 'b2'), sample(3, 9, '', 'x')];
    expect(shares(samples, ['b1', 'b2', 'b3'])).toEqual({ b1: 1 / 3, b2: 2 / 3, b3: 0 });
    expect(shares([], ['b1'])).toEqual({ b1: 0 });
    expect(failuresOf(samples)).toEqual({ x: 1 });
  });
});

describe('within', () => {
  it('takes the beginning and leaves the end', () => {
    const samples = [sample(9, 1), sample(10, 1), sample(19, 1), sample(20, 1)];
    expect(within(samples, 10, 20).map(({ atMs }) => atMs)).toEqual([10, 19]);
  });
});
