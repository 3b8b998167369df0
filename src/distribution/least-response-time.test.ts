import { expect, it } from 'vitest';
import { leastResponseTimeWish } from './least-response-time.ts';

it('is in proportion to 1 / time', () => {
  expect(leastResponseTimeWish(10, 1) / leastResponseTimeWish(20, 1)).toBeCloseTo(2);
  expect(Number.isFinite(leastResponseTimeWish(0, 1))).toBe(true);
});

it('counts what was assigned since the time was measured, but not what has ended', () => {
  expect(leastResponseTimeWish(10, 2)).toBeCloseTo(leastResponseTimeWish(20, 1));
  expect(leastResponseTimeWish(10, 0.5)).toBe(leastResponseTimeWish(10, 1));
});
