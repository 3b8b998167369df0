import { describe, expect, it } from 'vitest';
import { IDLE_SLEEP, IDLE_SPIN, IdleStrategy } from './idle.ts';

/** What it says to so many empty turns. */
const emptyTurns = (idle: IdleStrategy, count: number) =>
  Array.from({ length: count }, () => idle.after(0));

describe('idle strategy', () => {
  it('looks once more, then sleeps', () => {
    expect(emptyTurns(new IdleStrategy('adaptive'), 3)).toEqual([
      IDLE_SPIN,
      IDLE_SLEEP,
      IDLE_SLEEP,
    ]);
  });

  it('begins anew with work, and after sleep', () => {
    const idle = new IdleStrategy('adaptive');
    emptyTurns(idle, 100);
    expect(idle.after(1)).toBe(IDLE_SPIN);
    expect(idle.after(0)).toBe(IDLE_SPIN);
    emptyTurns(idle, 100);
    idle.woke();
    expect(idle.after(0)).toBe(IDLE_SPIN);
  });

  it('never rests on a CPU of its own', () => {
    expect(new Set(emptyTurns(new IdleStrategy('busy'), 1000))).toEqual(new Set([IDLE_SPIN]));
  });
});
