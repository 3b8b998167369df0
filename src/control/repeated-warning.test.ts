import { expect, it } from 'vitest';
import { RepeatedWarning } from './repeated-warning.ts';

const MINUTE_MS = 60_000;

it('is told when it begins, at distances that double, and when it is over', () => {
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const warning = new RepeatedWarning({ info: note, warning: note });
  warning.worked('it works');
  const told: number[] = [];
  for (let atMs = 0; atMs < 6 * 60 * MINUTE_MS; atMs += 6000) {
    const before = lines.length;
    warning.failed('it hangs', atMs);
    if (lines.length > before) told.push(atMs / MINUTE_MS);
  }
  expect(told).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303]);
  expect(lines.slice(0, 2)).toEqual(['it hangs', 'it hangs (11 times by now)']);
  warning.worked('it works');
  warning.worked('it works');
  expect(lines.slice(told.length)).toEqual(['it works (failed 3600 times)']);
});

it('another failure is told at once', () => {
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const warning = new RepeatedWarning({ info: note, warning: note });
  warning.failed('it hangs', 0);
  warning.failed('it is full', 1);
  warning.failed('it is full', 2);
  warning.failed('it is full of 7', 3, 'it is full');
  warning.worked('it works');
  warning.failed('it is full', 4);
  expect(lines).toEqual(['it hangs', 'it is full', 'it works (failed 3 times)', 'it is full']);
});
