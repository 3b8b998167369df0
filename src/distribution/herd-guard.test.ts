import { describe, expect, it } from 'vitest';
import {
  type Assignments,
  assign,
  begunPerSecond,
  carried,
  connectionLifeMs,
} from './herd-guard.ts';
import type { BackendInput } from './service-distribution.ts';

const backend = (activeConnections: number, begunConnections: number): BackendInput => ({
  name: 'b1',
  configuredWeight: 1,
  isFallback: false,
  health: 'up',
  administrative: 'ready',
  activeConnections,
  begunConnections,
});

/** What is carried after seconds in each of which `perSecond` connections begin. */
function after(seconds: number, perSecond: number, lifeMs: number): Assignments {
  let assignments = assign(backend(0, 0), undefined, 1, lifeMs, 0);
  for (let i = 1; i <= seconds; i++) {
    assignments = assign(backend(0, i * perSecond), assignments, 1, lifeMs, 1000);
  }
  return assignments;
}

describe('carried', () => {
  it('comes near to the live connections when they live long', () => {
    // 20 per second that live for 30 s: 600 by Little's law, counted once per second.
    expect(after(300, 20, 30_000).begunStock).toBeGreaterThan(580);
    expect(after(300, 20, 30_000).begunStock).toBeLessThan(620);
  });

  it('is about the last second when they are short', () => {
    const { begunStock } = after(10, 100, 500);
    expect(begunStock).toBeGreaterThan(100);
    expect(begunStock).toBeLessThan(120);
  });

  it('rises with own assignments and falls when there are none', () => {
    const before = after(10, 100, 500);
    const flooded = assign(backend(0, 2000), before, 1, 500, 1000);
    expect(carried(flooded)).toBeGreaterThan(8 * carried(before));
    const idle = assign(backend(0, 1000), before, 1, 500, 1000);
    expect(carried(idle)).toBeLessThan(carried(before) / 4);
    expect(carried(idle)).toBeGreaterThan(0);
  });

  it('begins with what is open, and takes counters that were made anew', () => {
    expect(assign(backend(50, 1000), undefined, 1, 1000, 0).begunStock).toBe(50);
    const before = after(10, 100, 1e9);
    expect(assign(backend(0, 7), before, 1, 1e9, 0).begunStock).toBeCloseTo(before.begunStock + 7);
  });

  it('is never 0, and follows the weight when there are no connections', () => {
    const none = assign(backend(0, 0), after(60, 0, 500), 0, 500, 60_000);
    expect(carried(none)).toBeGreaterThan(0);
    expect(carried(after(60, 0, 500))).toBeCloseTo(10);
  });
});

describe('connectionLifeMs', () => {
  it.each([
    ['600 active, 20 per second', 600, 20, 30_000],
    ['none active', 0, 20, 500],
    ['none new', 600, 0, 600_000],
    ['short ones', 1, 1000, 500],
  ])('%s', (_, active, perSecond, expected) => {
    expect(connectionLifeMs([backend(active, 0)], perSecond)).toBe(expected);
  });
});

describe('begunPerSecond', () => {
  it('comes to the rate within its window', () => {
    let rate = 0;
    let memory = after(0, 0, 1000);
    for (let i = 1; i <= 60; i++) {
      const inputs = [backend(0, i * 40)];
      const previous = [{ ...memory } as never];
      rate = begunPerSecond(
        inputs,
        previous,
        { atMs: 0, begunPerSecond: rate, backends: [] },
        1000,
      );
      memory = assign(inputs[0], memory, 1, 1000, 1000);
    }
    expect(rate).toBeGreaterThan(39);
    expect(rate).toBeLessThanOrEqual(40);
  });
});
