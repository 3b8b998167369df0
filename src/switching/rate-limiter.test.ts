import { describe, expect, it } from 'vitest';
import { RateLimiter } from './rate-limiter.ts';

/** How many of `tries` are allowed at one moment. */
function allowed(limiter: RateLimiter, nowMs: number, tries: number): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (limiter.allow(nowMs)) count++;
  return count;
}

function limited(perSecond: number, nowMs = 0): RateLimiter {
  const limiter = new RateLimiter();
  limiter.setRate(perSecond, nowMs);
  return limiter;
}

describe('rate limiter', () => {
  it('allows nothing before it has a rate, nor with the rate zero', () => {
    expect(allowed(new RateLimiter(), 5000, 10)).toBe(0);
    expect(allowed(limited(0), 5000, 10)).toBe(0);
  });

  it('begins with a second’s worth, and never saves up more', () => {
    const limiter = limited(100);
    expect(allowed(limiter, 0, 1000)).toBe(100);
    expect(allowed(limiter, 3_600_000, 1000)).toBe(100);
  });

  it('allows the rate over time, however often it is asked', () => {
    for (const perSecond of [1, 7, 1000, 1_000_000]) {
      const limiter = limited(perSecond);
      allowed(limiter, 0, perSecond);
      let count = 0;
      for (let ms = 1; ms <= 3000; ms++) count += allowed(limiter, ms, perSecond / 500 + 2);
      expect(count).toBe(perSecond * 3);
    }
  });

  it('counts at most a million a second, without overflow', () => {
    expect(allowed(limited(2_000_000_000), 1000, 1_000_100)).toBe(1_000_000);
  });

  it('goes on over the wrap of the clock, and after a silence of 25 days', () => {
    const limiter = limited(10, 0x7fffffff);
    allowed(limiter, 0x7fffffff, 10);
    expect(allowed(limiter, (0x7fffffff + 500) | 0, 10)).toBe(5);
    expect(allowed(limiter, (0x7fffffff + 500 + 25 * 86_400_000) | 0, 100)).toBe(10);
  });

  it('is filled by a new rate only', () => {
    const limiter = limited(10);
    allowed(limiter, 0, 10);
    limiter.setRate(10, 0);
    expect(allowed(limiter, 0, 10)).toBe(0);
    limiter.setRate(20, 0);
    expect(allowed(limiter, 0, 100)).toBe(20);
  });
});
