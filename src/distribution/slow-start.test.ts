import { describe, expect, it } from 'vitest';
import { continueSlowStart, type SlowStart, slowedWeight } from './slow-start.ts';

/** Weights in force, one second apart, after a slow start has begun. */
function course(start: SlowStart | undefined, full: number, seconds: number): number[] {
  const weights: number[] = [];
  let slowStart = start;
  for (let i = 0; i <= seconds; i++) {
    weights.push(slowedWeight(full, slowStart, 4000));
    slowStart = continueSlowStart(slowStart, undefined, weights[i], 1000, 4000);
  }
  return weights;
}

describe('slow start', () => {
  it('rises in a straight line after a return, to exactly the weight', () => {
    const start = continueSlowStart(undefined, 'return', 0, 1000, 4000);
    expect(course(start, 8, 5)).toEqual([0, 2, 4, 6, 8, 8]);
  });

  it('rises from the old weight when the configured one was raised', () => {
    const start = continueSlowStart(undefined, 'raise', 2, 1000, 4000);
    expect(course(start, 4, 4)).toEqual([2, 2.5, 3, 3.5, 4]);
  });

  it('falls at once', () => {
    const start = continueSlowStart(undefined, 'raise', 2, 1000, 4000);
    expect(slowedWeight(1, start, 4000)).toBe(1);
  });

  it('begins anew when it is interrupted', () => {
    const half = { fromWeight: 0, elapsedMs: 2000 };
    expect(continueSlowStart(half, 'return', 3, 1000, 4000)).toEqual({
      fromWeight: 0,
      elapsedMs: 0,
    });
  });

  it('can be switched off', () => {
    expect(continueSlowStart(undefined, 'return', 0, 1000, 0)).toBeUndefined();
  });
});
