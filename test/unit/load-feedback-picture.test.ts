// Holds the picture of the load-feedback guide to its record, and its legend to what happened.

import { describe, expect, it } from 'vitest';
import { drawFeedback, type FeedbackRun } from '../../bench/load-feedback/picture.ts';
import { readText } from '../support/source-text.ts';

const run = JSON.parse(readText('bench/results/load-feedback.json')) as FeedbackRun;

describe('docs/pictures/load-feedback.svg', () => {
  it('is what its record gives', () => {
    expect(readText('docs/pictures/load-feedback.svg')).toBe(drawFeedback(run));
  });

  it('has each of its events named in the guide', () => {
    const guide = readText('docs/guides/load-feedback.md');
    run.events.forEach(({ text }, n) => {
      expect(guide).toContain(`${n + 1}. ${text}`);
    });
  });

  it('the guide says what the record does', () => {
    const guide = readText('docs/guides/load-feedback.md');
    const last = run.moments.at(-1)!.atMs;
    const at = (text: string): number =>
      run.events.find((event) => event.text.includes(text))!.atMs;
    const highest = (from: number, to: number): number =>
      Math.max(
        ...run.moments.filter(({ atMs }) => atMs > from && atMs <= to).map(({ p99Ms }) => p99Ms),
      );
    const on = at('load feedback is on');
    const fixed = Math.round(highest(0, on));
    const feedback = Math.round(highest(on + 13_000, last));
    expect(guide).toContain(`up to ${fixed} ms with fixed weights`);
    expect(guide).toContain(`up to ${feedback} ms with feedback`);
  });
});
