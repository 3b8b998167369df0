import { describe, expect, it } from 'vitest';
import { evenLoadWishes, foreignLoad, IDLE_UTILIZATION, learnedSlope } from './even-load.ts';
import type { LoadEstimate } from './service-distribution.ts';

const load = (utilization: number, slope: number, carried: number) => ({
  utilization: utilization - IDLE_UTILIZATION,
  slope,
  carried,
});

describe('evenLoadWishes', () => {
  it('rests where utilisations are equal', () => {
    const wishes = evenLoadWishes([load(0.5, 0.005, 100), load(0.5, 0.001, 500)]);
    expect(wishes[0]).toBeCloseTo(100);
    expect(wishes[1]).toBeCloseTo(500);
  });

  it('gives each so much that utilisations become equal, in one step', () => {
    // Slopes 0.006 and 0.002 without foreign load: capacities of 1 to 3.
    const [a, b] = evenLoadWishes([load(0.6, 0.006, 100), load(0.2, 0.002, 100)]);
    expect(a + b).toBeCloseTo(200);
    expect(a * 0.006).toBeCloseTo(b * 0.002);
  });

  it('counts foreign load', () => {
    const loads = [load(0.9, 0.004, 100), load(0.4, 0.004, 100)];
    expect(foreignLoad(loads[0])).toBeCloseTo(0.5);
    const [a, b] = evenLoadWishes(loads);
    expect(0.5 + a * 0.004).toBeCloseTo(b * 0.004);
  });

  it('leaves next to nothing to who is busier with foreign load than all others', () => {
    const [a, b] = evenLoadWishes([load(2, 0.004, 100), load(0.4, 0.004, 100)]);
    expect(a).toBeGreaterThan(0);
    expect(a).toBeLessThan(0.001);
    expect(b).toBeCloseTo(200);
  });
});

describe('learnedSlope', () => {
  const before = (utilization: number, carried: number, slope: number): LoadEstimate => ({
    utilization,
    carried,
    slope,
    last: { utilization, carried },
  });

  it('is all load per connection at first', () => {
    expect(learnedSlope(undefined, 0.5, 100, 0.005)).toBe(0.005);
  });

  it('takes a jump by itself for foreign load', () => {
    // Utilisation 0.5 → 0.9 with the same connections: the slope stays near 0.005.
    const slope = learnedSlope(before(0.5, 100, 0.005), 0.9, 100, 0.009);
    expect(slope).toBeLessThan(0.0052);
  });

  it('learns from how utilisation follows what is carried', () => {
    // Heavier requests, not foreign load: half of the connections are half of the utilisation.
    let slope = 0.005;
    let last = { utilization: 0.9, carried: 100 };
    for (const carried of [50, 100, 50, 100]) {
      const utilization = 0.009 * carried;
      const memory = { ...before(last.utilization, last.carried, slope) };
      slope = learnedSlope(memory, utilization, carried, 0.0095);
      last = { utilization, carried };
    }
    expect(slope).toBeGreaterThan(0.0075);
  });

  it('does not learn from full CPUs, which cannot show more', () => {
    const slope = learnedSlope(before(1, 100, 0.005), 1, 60, 0.006);
    expect(slope).toBeCloseTo(0.00502);
  });

  it('is never more than all load, nor less than a part of it', () => {
    expect(learnedSlope(before(0.9, 100, 0.009), 0.2, 100, 0.002)).toBe(0.002);
    expect(learnedSlope(before(0.5, 100, 0.001), 0.9, 50, 0.018)).toBeCloseTo(0.45 * 0.018);
  });
});
