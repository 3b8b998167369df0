// Goal: the page tells what an operator needs: what runs, what it costs, and why something does not.

import { describe, expect, it } from 'vitest';
import type { ApplicationOnProcessor, ApplicationView } from '../control/application-view.ts';
import { renderApplications } from './apps-page.ts';
import { paint } from './status-terminal.ts';

const COUNTS = {
  packets: 200,
  passed: 0,
  dropped: 1,
  consumed: 2,
  replied: 190,
  forwarded: 0,
  failed: 7,
  sent: 0,
  ticks: 9,
  busyMicroseconds: 300,
  exceptions: 7,
  overruns: 0,
  framesInHand: 3,
  counters: { questions: 190 },
};

function viewOf(part: Partial<ApplicationOnProcessor>): ApplicationView {
  const one: ApplicationOnProcessor = {
    ...COUNTS,
    processor: 0,
    state: 'running',
    longestMicroseconds: 1230,
    lastError: '',
    ...part,
  };
  return {
    name: 'echo',
    module: '/a/echo.mjs',
    revision: 1,
    state: one.state,
    budgetMicroseconds: 5000,
    failureLimit: 100,
    frameLimit: 64,
    totals: COUNTS,
    processors: [one, { ...one, processor: 1 }],
  };
}

describe('weir apps', () => {
  it('shows counts, the cost of a packet and the budget', () => {
    const page = renderApplications([viewOf({})], paint(false));
    expect(page).toMatch(/^ +echo +running +200 +0 +190 +0 +2 +1 +7 +1\.50 +1\.23\/5 ms$/m);
    expect(page).toContain('3 frames in hand  questions 190');
    expect(page).toContain('7 exceptions, 0 overruns so far');
  });

  it('says why one does not run, once for all processors of which it is true', () => {
    const view = viewOf({ state: 'failed', lastError: 'Error: no\u001b[31m' });
    const page = renderApplications([view], paint(false));
    expect(page).toMatch(/switching 0, 1: failed: Error: no.\[31m$/m);
  });

  it('says what to do when there is none', () => {
    expect(renderApplications([], paint(false))).toContain('network-applications.md');
  });
});
