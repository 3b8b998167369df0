import { expect, it } from 'vitest';
import { capacityWish } from './capacity.ts';

it('is requests per second over utilisation: ORCA weights', () => {
  // The same rate at half the utilisation is about twice the capacity.
  expect(capacityWish(100, 0.45) / capacityWish(100, 0.95)).toBeCloseTo(2);
  expect(capacityWish(200, 0.5) / capacityWish(100, 0.5)).toBeCloseTo(2);
  expect(Number.isFinite(capacityWish(1e9, 0))).toBe(true);
});
