// Drains: literal ones second by second, and properties that hold for any course of connections.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DrainCounts,
  type DrainOrder,
  type DrainProgress,
  drainEndsConnections,
  drainView,
  RATE_WINDOW_MS,
  stepDrain,
} from './drain.ts';

const START_MS = 5_000_000;
const ORDER: DrainOrder = {
  atMs: Date.UTC(2026, 0, 1),
  startedMs: START_MS,
  deadlineMs: null,
  atDeadline: 'keep',
  by: 'anna',
};
const MINUTE: DrainOrder = { ...ORDER, deadlineMs: START_MS + 60_000 };

function counts(tcp: number, changes: Partial<DrainCounts> = {}): DrainCounts {
  return { tcp, udp: 0, begun: 100, takesNewConnections: false, ...changes };
}

/** Steps once a second, the first at the start: one number of open connections each. */
function run(
  order: DrainOrder,
  open: readonly number[],
): { progress: DrainProgress; nowMs: number } {
  let progress: DrainProgress | undefined;
  let nowMs = START_MS - 1000;
  for (const tcp of open) {
    nowMs += 1000;
    progress = stepDrain(order, progress, counts(tcp), nowMs);
  }
  return { progress: progress!, nowMs };
}

function view(order: DrainOrder, open: readonly number[]) {
  const { progress, nowMs } = run(order, open);
  return drainView(order, progress, nowMs);
}

describe('a drain', () => {
  it('tells how far it is, at what rate, and how long the rest takes', () => {
    const found = view(MINUTE, [10, 10, 8, 8, 6]);
    expect(found).toMatchObject({
      state: 'draining',
      by: 'anna',
      since: '2026-01-01T00:00:00.000Z',
      forMs: 4000,
      deadline: '2026-01-01T00:01:00.000Z',
      deadlineInMs: 56_000,
      atStart: 10,
      waitingFor: { tcp: 6, udp: 0, states: null },
      gone: 4,
      progress: 0.4,
      gonePerSecond: 1,
      etaMs: 6000,
      drainedAt: null,
      text: 'draining: 6 TCP connections left, 4 gone; about 6 s to go; deadline in 56 s, then keep',
    });
  });

  it('gives no estimate before it has seen anything end', () => {
    expect(view(ORDER, [10, 9, 9])).toMatchObject({ gonePerSecond: null, etaMs: null });
    const idle = view(ORDER, [10, 10, 10, 10, 10]);
    expect(idle).toMatchObject({ gonePerSecond: 0, etaMs: null });
    expect(idle.text).toContain('none has ended lately');
  });

  it('forgets what ended long ago', () => {
    const still = Array<number>(RATE_WINDOW_MS / 1000 + 2).fill(5);
    expect(view(ORDER, [100, ...still])).toMatchObject({ gone: 95, gonePerSecond: 0, etaMs: null });
  });

  it('gives no estimate of more than a day', () => {
    const slow = Array<number>(30).fill(99_999);
    expect(view(ORDER, [100_000, ...slow])).toMatchObject({ etaMs: null });
  });

  it('is drained when the last has ended, and says when that was', () => {
    expect(view(ORDER, [2, 1, 0, 0, 0])).toMatchObject({
      state: 'drained',
      progress: 1,
      drainedAt: '2026-01-01T00:00:02.000Z',
      etaMs: 0,
      text: 'drained, 2 have ended',
    });
  });

  it('counts one as one', () => {
    expect(view(ORDER, [1, 0]).text).toBe('drained, 1 has ended');
    expect(view(ORDER, [2, 1]).text).toContain('1 TCP connection left, 1 gone');
  });

  it('is not drained while a processor can still give it new connections', () => {
    const before = stepDrain(ORDER, undefined, counts(0, { takesNewConnections: true }), START_MS);
    expect(drainView(ORDER, before, START_MS)).toMatchObject({
      state: 'draining',
      text: 'draining: no connection left, 0 gone; new ones stop with the next flip',
    });
    // One began before the flip: it is waited for too, and counted.
    const after = stepDrain(ORDER, before, counts(1, { begun: 101 }), START_MS + 1000);
    expect(drainView(ORDER, after, START_MS + 1000)).toMatchObject({
      state: 'draining',
      atStart: 0,
      begunSince: 1,
      gone: 0,
      progress: 0,
    });
  });

  it('waits again for a connection that comes back', () => {
    expect(view(ORDER, [1, 0, 1])).toMatchObject({ state: 'draining', drainedAt: null });
  });

  it('names TCP and UDP, and what else is known of the rest', () => {
    const states = { established: 2, 'close-wait': 1 };
    const known = counts(3, { udp: 1, states, idlestMs: 5000, oldestMs: 9000 });
    const found = drainView(ORDER, stepDrain(ORDER, undefined, known, START_MS), START_MS);
    expect(found.waitingFor).toEqual({ tcp: 3, udp: 1, states, idlestMs: 5000, oldestMs: 9000 });
    expect(found.text).toContain('3 TCP and 1 UDP connections left');
  });
});

describe('the deadline', () => {
  const past = { ...ORDER, deadlineMs: START_MS + 2000 };

  it('with keep: drained, and the rest goes on', () => {
    expect(view(past, [5, 4, 3, 2])).toMatchObject({
      state: 'drained',
      drainedAt: '2026-01-01T00:00:02.000Z',
      isEnding: false,
      kept: 2,
      waitingFor: { tcp: 2 },
      text: 'drained, 2 TCP connections kept',
    });
    expect(drainEndsConnections(past, START_MS + 2000)).toBe(false);
  });

  it('with reset: the rest is ended, and only then it is drained', () => {
    const reset = { ...past, atDeadline: 'reset' as const };
    expect(drainEndsConnections(reset, START_MS + 1999)).toBe(false);
    expect(drainEndsConnections(reset, START_MS + 2000)).toBe(true);
    expect(view(reset, [5, 4, 3])).toMatchObject({
      state: 'draining',
      isEnding: true,
      deadlineInMs: 0,
      kept: 0,
      text: 'draining: 3 TCP connections left, 2 gone; deadline over: ending the rest',
    });
    expect(view(reset, [5, 4, 3, 0])).toMatchObject({ state: 'drained', isEnding: false });
  });

  it('none: nothing is ever ended', () => {
    expect(drainEndsConnections({ ...ORDER, atDeadline: 'reset' }, START_MS + 1e12)).toBe(false);
  });
});

describe('whatever happens to connections', () => {
  const step = fc.record({
    waitMs: fc.integer({ min: 0, max: 5000 }),
    tcp: fc.integer({ min: -2, max: 50 }),
    udp: fc.integer({ min: 0, max: 50 }),
    begins: fc.integer({ min: 0, max: 3 }),
    takesNewConnections: fc.boolean(),
  });
  const order = fc.record({
    deadlineMs: fc.option(fc.integer({ min: 0, max: 60_000 })),
    atDeadline: fc.constantFrom('keep' as const, 'reset' as const),
  });

  it('progress is a part, the state is what the counts say, and memory is bounded', () => {
    fc.assert(
      fc.property(order, fc.array(step, { minLength: 1, maxLength: 80 }), (given, steps) => {
        const deadlineMs = given.deadlineMs === null ? null : START_MS + given.deadlineMs;
        const asked: DrainOrder = { ...ORDER, ...given, deadlineMs };
        let progress: DrainProgress | undefined;
        let nowMs = START_MS;
        let begun = 7;
        for (const { waitMs, begins, ...each } of steps) {
          nowMs += waitMs;
          begun += begins;
          progress = stepDrain(asked, progress, { ...each, begun }, nowMs);
          const found = drainView(asked, progress, nowMs);
          const open = Math.max(0, each.tcp) + each.udp;
          const isKept = given.atDeadline === 'keep' && deadlineMs !== null && nowMs >= deadlineMs;
          expect(found.state === 'drained').toBe(
            !each.takesNewConnections && (open === 0 || isKept),
          );
          expect(found.progress).toBeGreaterThanOrEqual(0);
          expect(found.progress).toBeLessThanOrEqual(1);
          expect(found.gone).toBeGreaterThanOrEqual(0);
          expect(found.kept === 0 || found.state === 'drained').toBe(true);
          expect(found.etaMs === null || found.etaMs >= 0).toBe(true);
          expect(progress.samples.length).toBeLessThanOrEqual(RATE_WINDOW_MS / 1000 + 1);
          // It comes back from JSON as it was.
          expect(JSON.parse(JSON.stringify(progress))).toEqual(progress);
        }
      }),
    );
  });

  it('steps that follow each other fast need no more memory', () => {
    let progress: DrainProgress | undefined;
    for (let i = 0; i < 5000; i++) {
      progress = stepDrain(ORDER, progress, counts(5000 - i), START_MS + i * 20);
    }
    expect(progress?.samples.length).toBeLessThanOrEqual(RATE_WINDOW_MS / 1000 + 1);
    const found = drainView(ORDER, progress!, START_MS + 5000 * 20);
    expect(found.gonePerSecond).toBeCloseTo(50, 0);
  });

  it('progress never falls while none begins and none comes back', () => {
    const falls = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200 }), falls, (start, ends) => {
        let open = start;
        let progress = stepDrain(ORDER, undefined, counts(open), START_MS);
        let before = drainView(ORDER, progress, START_MS).progress;
        ends.forEach((ended, i) => {
          open = Math.max(0, open - ended);
          const nowMs = START_MS + (i + 1) * 1000;
          progress = stepDrain(ORDER, progress, counts(open), nowMs);
          const after = drainView(ORDER, progress, nowMs);
          expect(after.progress).toBeGreaterThanOrEqual(before);
          expect(after.gone + after.waitingFor.tcp).toBe(start);
          before = after.progress;
        });
      }),
    );
  });

  it('an estimate at an even rate is right', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 4, max: 100 }),
        fc.integer({ min: 1, max: 100 }),
        (perSecond, seconds, left) => {
          const all = perSecond * (seconds + left);
          const open = Array.from({ length: seconds + 1 }, (_, i) => all - i * perSecond);
          expect(view(ORDER, open).etaMs).toBe(left * 1000);
        },
      ),
    );
  });
});
