import { describe, expect, it } from 'vitest';
import { monotonicMs } from '../base/clock.ts';
import { clockMs } from './clock.ts';

describe('clockMs', () => {
  it('tells the same time as base/clock', () => {
    for (let i = 0; i < 1000; i++) {
      const before = monotonicMs();
      const now = clockMs();
      const after = monotonicMs();
      // The offset of base/clock is read once and rounded: a millisecond either way.
      expect((now - before) | 0).toBeGreaterThanOrEqual(-1);
      expect((after - now) | 0).toBeGreaterThanOrEqual(-1);
    }
  });
});
