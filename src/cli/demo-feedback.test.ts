// The demo's part with a loaded server, without any: the order of its phases, what it waits for, and the
// page and the lines that it shows.

import { describe, expect, it } from 'vitest';
import type { BackendView } from '../control/backend-view.ts';
import { type FeedbackContext, runFeedback } from './demo-feedback.ts';
import { type FeedbackView, renderFeedback, renderFeedbackLine } from './demo-feedback-view.ts';
import { summarizeFeedback } from './demo-summary.ts';
import { paint, visibleWidth } from './status-terminal.ts';

const plain = paint(false);

function backends(share: number, busy = 0.5): BackendView[] {
  const report = { figures: { applicationUtilization: busy } };
  const others = (1 - share) / 2;
  return [share, others, others].map((each, i) => ({
    name: `b${i + 1}`,
    report,
    weight: { share: each },
    why: 'it is busy, and the others are not',
  })) as unknown as BackendView[];
}

/** The first server's share falls and rises by a hundredth every tick, as the other program runs or not. */
function contextOf(lowest: number): FeedbackContext & { shown: FeedbackView[]; calls: string[] } {
  let time = 0;
  let share = 0.33;
  let isLoaded = false;
  const shown: FeedbackView[] = [];
  const calls: string[] = [];
  return {
    shown,
    calls,
    load: { samples: [] },
    fetch: async () => {
      share = isLoaded ? Math.max(lowest, share - 0.01) : Math.min(0.33, share + 0.01);
      return time === 1000 ? undefined : backends(share);
    },
    startHog: async () => {
      isLoaded = true;
      calls.push(`start ${time}`);
    },
    stopHog: async () => {
      isLoaded = false;
      calls.push(`stop ${time}`);
    },
    show: (view) => shown.push(view),
    now: () => time,
    sleep: async (milliseconds) => {
      time += milliseconds;
    },
  };
}

describe('runFeedback', () => {
  it('loads a server, waits until it is relieved, and until it is as before', async () => {
    const context = contextOf(0.1);
    const outcome = await runFeedback(context);
    expect(outcome).toMatchObject({ awayAfterMs: 2500, backAfterMs: 4250 });
    expect(outcome.lowestShare).toBeCloseTo(0.1);
    expect(context.calls).toEqual(['start 5000', 'stop 13000']);
    expect(outcome.events.map(({ text }) => text)).toEqual([
      'another program on b1 wants 70 % of its CPU time',
      'b1 is given 22 % of the connections: 2.5 s later',
      'the other program has ended',
      'b1 has 28 % of the connections again: 4.3 s later',
    ]);
    expect(new Set(context.shown.map(({ phase }) => phase)).size).toBe(3);
  });

  it('gives up on a share that does not move, and ends the other program', async () => {
    const context = contextOf(0.3);
    const outcome = await runFeedback(context);
    expect(outcome.awayAfterMs).toBeNull();
    expect(context.calls.length).toBe(2);
  });
});

describe('summarizeFeedback', () => {
  const moved = { events: [], awayAfterMs: 1, lowestShare: 0.1, backAfterMs: 1 };
  const good = { atMs: 0, latencyMs: 5, server: 'b1', failure: '' };

  it('has passed when all was answered and the share moved both ways', () => {
    expect(summarizeFeedback(moved, [good])).toMatchObject({ passed: true, requests: 1, p99Ms: 5 });
    expect(summarizeFeedback(moved, []).passed).toBe(false);
    expect(summarizeFeedback(moved, [good, { ...good, failure: 'timeout' }]).passed).toBe(false);
    expect(summarizeFeedback({ ...moved, awayAfterMs: null }, [good]).passed).toBe(false);
    expect(summarizeFeedback({ ...moved, backAfterMs: null }, [good]).passed).toBe(false);
  });
});

const VIEW: FeedbackView = {
  elapsedMs: 9000,
  phase: 'loaded',
  loaded: 'b1',
  servers: backends(0.12, 0.97),
  answered: 1234,
  failed: 0,
  requestsPerSecond: 59.7,
  medianMs: 12,
  p99Ms: 345,
  events: new Array(6).fill({ atMs: 5000, text: 'something with a long text '.repeat(5) }),
};

describe('renderFeedback', () => {
  it('shows shares, what is busy, and why', () => {
    const text = renderFeedback(VIEW, plain, 80).join('\n');
    expect(text).toMatch(/b1 +█+▊ +97 % +██▍░+ +12\.0 % +← loaded/);
    expect(text).toContain('b1: it is busy, and the others are not');
    expect(text).toMatch(/requests +60 \/s +1,234 answered, 0 failed/);
    expect(text).toContain('345 ms for 99 %');
    expect(renderFeedback({ ...VIEW, phase: 'after' }, plain, 80).join('\n')).not.toContain('←');
  });

  it('fits a terminal of 80 columns and 24 lines', () => {
    const lines = renderFeedback(VIEW, paint(true), 80);
    expect(lines.length).toBeLessThan(24);
    expect(Math.max(...lines.map(visibleWidth))).toBeLessThanOrEqual(80);
  });
});

describe('renderFeedbackLine', () => {
  it('says the same in one line', () => {
    expect(renderFeedbackLine({ ...VIEW, servers: VIEW.servers.slice(0, 1) })).toBe(
      '  9.0 s |   60 requests/s | 0 failed | b1 12.0 % (busy 97 %) | 99 % in 345 ms',
    );
  });
});
