// The judge, event by event: no clock and no network.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  beginJudgement,
  FLAP_WINDOW_MS,
  isChanging,
  type Judgement,
  judgeCheck,
  judgeHold,
  judgeObservation,
  memoryOf,
  nextCheckMs,
} from './judge.ts';
import { DEFAULT_HEALTH, DEFAULT_PASSIVE, NO_ACTIVE_CHECK } from './settings.ts';

const SETTINGS = { ...DEFAULT_HEALTH, rise: 2, fall: 3, holdMs: 5_000, holdMaxMs: 40_000 };

/** Applies checks, written '+' and '-', one per `stepMs`. */
function run(marks: string, from: Judgement, startMs = 0, stepMs = 1): Judgement {
  return [...marks].reduce((before, mark, i) => {
    return judgeCheck(before, mark === '+', `check ${i}`, SETTINGS, startMs + i * stepMs);
  }, from);
}

const NEW = beginJudgement(SETTINGS, undefined, 0);
const UP = run('+', NEW);
const DOWN = run('---', UP);

describe('up and down', () => {
  it.each([
    ['', 'unchecked'],
    ['+', 'up'],
    ['--', 'unchecked'],
    ['---', 'down'],
    ['--+', 'up'],
    ['+--', 'up'],
    ['+--+--', 'up'],
    ['+---', 'down'],
    ['+---+', 'down'],
    ['+---+-+', 'down'],
    ['+---++', 'up'],
  ])('after %j it is %s', (marks, status) => {
    expect(run(marks, NEW).status).toBe(status);
  });

  it('begins where it was before control started', () => {
    expect(beginJudgement(SETTINGS, memoryOf(UP), 0)).toMatchObject({ status: 'up' });
    const down = beginJudgement(SETTINGS, memoryOf(DOWN), 0);
    expect(down.cause).toBe('was down before control started');
    expect(run('+', down).status).toBe('down');
    expect(run('++', down).status).toBe('up');
  });

  it('says why, since when and how often', () => {
    expect(NEW.cause).toBe('not checked yet');
    expect(UP.cause).toBe('first check passed: check 0');
    const down = run('---', UP, 100, 10);
    expect(down).toMatchObject({ sinceMs: 120, checks: 4, failures: 3 });
    expect(down.cause).toBe('3 checks in a row failed: check 2');
    expect(run('++', down, 200).cause).toBe('2 checks in a row passed: check 1');
  });
});

describe('the fast interval', () => {
  it('is for what is about to change, and for nothing else', () => {
    expect(isChanging(NEW, SETTINGS)).toBe(true);
    expect(isChanging(UP, SETTINGS)).toBe(false);
    expect(isChanging(run('-', UP), SETTINGS)).toBe(true);
    expect(isChanging(run('-+', UP), SETTINGS)).toBe(false);
    expect(isChanging(DOWN, SETTINGS)).toBe(false);
    expect(isChanging(run('+', DOWN), SETTINGS)).toBe(true);
    expect(isChanging(run('+-', DOWN), SETTINGS)).toBe(false);
  });

  it('is jittered by at most so many percent, and never longer than the interval', () => {
    const settings = { ...SETTINGS, intervalMs: 1_000, fastIntervalMs: 200, jitter: 10 };
    const at = (judgement: Judgement, random: number) =>
      nextCheckMs(judgement, settings, random, 0);
    expect([at(UP, 0), at(UP, 0.5), at(UP, 0.75)]).toEqual([900, 1_000, 1_050]);
    expect([at(NEW, 0), at(NEW, 0.5)]).toEqual([180, 200]);
    expect(nextCheckMs(NEW, { ...settings, fastIntervalMs: 9_000 }, 0.5, 0)).toBe(1_000);
  });
});

describe('flap damping', () => {
  /** Goes up at `atMs` and down three checks later, from down. */
  function flap(down: Judgement, atMs: number): Judgement {
    return run('---', run('++', down, atMs), atMs + 1_000);
  }

  it('does not hold the first fall of a steady backend', () => {
    expect(DOWN.heldUntilMs).toBeUndefined();
    expect(DOWN.flaps).toBe(0);
    const steady = run('---', run('++', DOWN, 10), 10 + FLAP_WINDOW_MS + 5);
    expect(steady).toMatchObject({ status: 'down', flaps: 0, heldUntilMs: undefined });
  });

  it('doubles the hold with every further fall, up to hold-max', () => {
    const holds: number[] = [];
    let now = 1_000;
    let state = DOWN;
    for (let i = 0; i < 6; i++) {
      state = flap(state, now);
      holds.push(state.heldUntilMs! - state.sinceMs);
      now = state.heldUntilMs!;
    }
    expect(holds).toEqual([5_000, 10_000, 20_000, 40_000, 40_000, 40_000]);
    expect(state.flaps).toBe(6);
    expect(state.cause).toMatch(/held down for 40 s, as it fell 1 s after it came up$/);
  });

  it('goes on where control was killed: holds last, and grow', () => {
    const restarted = (state: Judgement, now: number): Judgement =>
      beginJudgement(SETTINGS, JSON.parse(JSON.stringify(memoryOf(state))), now);
    const holds: number[] = [];
    let now = 1_000;
    let state = DOWN;
    for (let i = 0; i < 4; i++) {
      const up = restarted(run('++', restarted(state, now), now), now + 50);
      state = restarted(run('---', up, now + 1_000), now + 3_000);
      holds.push(state.heldUntilMs! - state.sinceMs);
      now = state.heldUntilMs!;
      expect(run('+++', state, now - 2_000, 90).status).toBe('down');
    }
    expect(holds).toEqual([5_000, 10_000, 20_000, 40_000]);
    expect(state.flaps).toBe(4);
    expect(memoryOf(NEW)).toBeUndefined();
  });

  it('keeps a held backend down however many checks pass, and lets it up then', () => {
    const held = flap(DOWN, 1_000);
    const passing = run('+'.repeat(50), held, held.sinceMs, 90);
    expect(passing.status).toBe('down');
    expect(nextCheckMs(passing, SETTINGS, 0.5, held.heldUntilMs! - 7)).toBe(7);
    expect(run('+', passing, held.heldUntilMs!).status).toBe('up');
  });

  it('takes one doubling back for each window that it stays up', () => {
    let state = DOWN;
    let now = 1_000;
    for (let i = 0; i < 3; i++) {
      state = flap(state, now);
      now = state.heldUntilMs!;
    }
    // Up for two windows and a half: two doublings are forgotten, and this fall is not one.
    state = run('---', run('++', state, now), now + 2.5 * FLAP_WINDOW_MS);
    expect(state.heldUntilMs).toBeUndefined();
    state = flap(state, state.sinceMs + 10);
    expect(state.heldUntilMs! - state.sinceMs).toBe(10_000);
  });

  it('bounds the changes of a server that flaps at 1 Hz for five minutes', () => {
    let state = UP;
    let changes = 0;
    for (let now = 0; now < 300_000; now += 100) {
      const before = state.status;
      state = judgeCheck(state, now % 1_000 < 500, 'x', DEFAULT_HEALTH, now);
      if (state.status !== before) changes++;
    }
    // Holds of 0, 5, 10, 20, 40, 80, 160 s: seven falls and as many returns.
    expect(changes).toBeLessThanOrEqual(15);
    expect(changes).toBeGreaterThan(8);
  });
});

describe('suspicion', () => {
  const evidence = { suspicion: '5 connections begun within 5 s, none answered', answered: 0 };
  const nothing = { answered: 0 };
  const observe = (state: Judgement, what: { suspicion?: string; answered: number }, now: number) =>
    judgeObservation(state, what, DEFAULT_PASSIVE, SETTINGS, now);

  it('is one failure, and one more for each window that it lasts', () => {
    let state = observe(UP, evidence, 0);
    expect(state).toMatchObject({ failuresInRow: 1, checks: 1, status: 'up' });
    state = observe(state, evidence, 4_900);
    expect(state.failuresInRow).toBe(1);
    state = observe(state, evidence, 5_000);
    expect(state.failuresInRow).toBe(2);
    state = observe(state, evidence, 10_000);
    expect(state.status).toBe('down');
    expect(state.cause).toContain('none answered');
    expect(state.heldUntilMs).toBe(10_000 + DEFAULT_PASSIVE.holdMs);
  });

  it('adds to failed checks, and is not outvoted by passing ones', () => {
    expect(run('--', observe(UP, evidence, 0)).status).toBe('down');
    const passing = run('+++', observe(UP, evidence, 0));
    expect(passing).toMatchObject({ failuresInRow: 1, status: 'up' });
    expect(isChanging(passing, SETTINGS)).toBe(true);
    const cleared = run('+', observe(passing, nothing, 100));
    expect(cleared).toMatchObject({ failuresInRow: 0, suspicion: undefined });
    expect(isChanging(cleared, SETTINGS)).toBe(false);
  });

  it('does not touch what is down', () => {
    expect(observe(DOWN, evidence, 50)).toBe(DOWN);
  });

  it('takes a backend without an active check out for hold, then on probation', () => {
    const quiet = beginJudgement(NO_ACTIVE_CHECK, undefined, 0);
    expect(quiet).toMatchObject({ status: 'up', onProbation: false });
    const watch = (state: Judgement, what: { suspicion?: string; answered: number }, now: number) =>
      judgeObservation(state, what, DEFAULT_PASSIVE, NO_ACTIVE_CHECK, now);
    const down = watch(quiet, evidence, 1_000);
    expect(down).toMatchObject({ status: 'down', heldUntilMs: 11_000 });
    expect(judgeHold(down, 10_999)).toBe(down);
    const restarted = beginJudgement(NO_ACTIVE_CHECK, memoryOf(down), 5_000);
    expect(restarted).toMatchObject({ status: 'down', heldUntilMs: 11_000, sinceMs: 1_000 });
    expect(judgeHold(restarted, 10_999)).toBe(restarted);
    const probation = judgeHold(restarted, 11_000);
    expect(beginJudgement(NO_ACTIVE_CHECK, memoryOf(probation), 11_500).onProbation).toBe(true);
    expect(probation).toMatchObject({ status: 'up', onProbation: true });
    expect(watch(probation, nothing, 12_000).onProbation).toBe(true);
    const proven = watch(probation, { answered: 1 }, 12_000);
    expect(proven).toMatchObject({ status: 'up', onProbation: false });
    const again = watch(probation, evidence, 16_000);
    expect(again).toMatchObject({ status: 'down', heldUntilMs: 36_000, flaps: 1 });
  });
});

describe('whatever happens', () => {
  const event = fc.record({
    kind: fc.constantFrom('pass', 'fail', 'suspect', 'clear'),
    waitMs: fc.integer({ min: 0, max: 30_000 }),
  });

  it('comes up only by enough passes and after its hold, and goes down only by failures', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        let state = NEW;
        let now = 0;
        for (const { kind, waitMs } of events) {
          now += waitMs;
          const before = state;
          if (kind === 'pass' || kind === 'fail') {
            state = judgeCheck(state, kind === 'pass', kind, SETTINGS, now);
          } else {
            const evidence = kind === 'suspect' ? { suspicion: 's', answered: 0 } : { answered: 1 };
            state = judgeObservation(state, evidence, DEFAULT_PASSIVE, SETTINGS, now);
          }
          if (state.status === before.status) continue;
          expect(state.sinceMs).toBe(now);
          if (state.status === 'up') {
            expect(kind).toBe('pass');
            if (before.status === 'down') {
              expect(state.passesInRow).toBeGreaterThanOrEqual(SETTINGS.rise);
              expect(now).toBeGreaterThanOrEqual(before.heldUntilMs ?? 0);
            }
          } else {
            expect(state.status).toBe('down');
            expect(state.failuresInRow).toBeGreaterThanOrEqual(SETTINGS.fall);
            const limitMs = Math.max(SETTINGS.holdMaxMs, DEFAULT_PASSIVE.holdMs);
            expect((state.heldUntilMs ?? now) - now).toBeLessThanOrEqual(limitMs);
          }
        }
      }),
      { seed: 7, numRuns: 500 },
    );
  });
});
