// Passive observation: what the data plane's counts say about a backend, without asking it. Pure. Once
// per second the rising counts come in; what happened within the window is the difference to an older
// sample. Two signs make a backend suspicious:
//   unanswered  connections were begun, at least so many, and not one was answered or refused;
//   resets      of the connections that it answered or refused, so many percent were refused or reset.
// Invariant: the samples kept are a hundred or so, whatever the window and however often it is called.
// Counts that fall (a new main memory, a backend made anew) begin the window anew.

import type { PassiveCounts } from './health-state.ts';
import type { PassiveEvidence } from './judge.ts';
import type { PassiveSettings } from './settings.ts';
import { duration } from './words.ts';

/** Connections so young are not called unanswered: the answer may be under way. */
export const ANSWER_GRACE_MS = 800;
/** With fewer connections than this in the window, a percentage says nothing. */
export const RESETS_MINIMUM = 10;
export const MAX_WINDOW_MS = 600_000;
/** A window is kept in so many samples at most, but they are not closer than this. */
const SAMPLES_PER_WINDOW = 100;
const MIN_SPACING_MS = 500;

interface Sample {
  readonly atMs: number;
  readonly counts: PassiveCounts;
}

/** Samples, oldest first; the first is the newest that is as old as the window, if there is one. */
export type PassiveMemory = readonly Sample[];

export const NO_PASSIVE_MEMORY: PassiveMemory = [];

/** Takes the counts of now; returns the memory to keep and what they show. */
export function observeCounts(
  memory: PassiveMemory,
  counts: PassiveCounts,
  settings: PassiveSettings,
  nowMs: number,
): { memory: PassiveMemory; evidence: PassiveEvidence } {
  const now: Sample = { atMs: nowMs, counts };
  const newest = memory.at(-1);
  if (newest === undefined || hasFallen(newest.counts, counts) || nowMs < newest.atMs) {
    return { memory: [now], evidence: { answered: 0 } };
  }
  const kept = withinWindow(memory, nowMs - settings.windowMs);
  const evidence = judgeWindow(kept, now, settings);
  const spacingMs = Math.max(MIN_SPACING_MS, settings.windowMs / SAMPLES_PER_WINDOW);
  const isDue = nowMs - newest.atMs >= spacingMs;
  return { memory: isDue ? [...kept, now] : kept, evidence };
}

function judgeWindow(kept: PassiveMemory, now: Sample, settings: PassiveSettings): PassiveEvidence {
  const first = kept[0].counts;
  const answered = now.counts.answered - first.answered;
  const refused = now.counts.refused - first.refused;
  const ended = refused + now.counts.resets - first.resets;
  const judged = answered + refused;
  const window = duration(settings.windowMs);
  if (settings.resets > 0 && judged >= RESETS_MINIMUM) {
    const percent = Math.min(100, (100 * ended) / judged);
    if (percent >= settings.resets) {
      const suspicion = `${Math.round(percent)} % of ${judged} connections within ${window} refused or reset by it`;
      return { answered, suspicion };
    }
  }
  const settled = kept.findLast((sample) => now.atMs - sample.atMs >= ANSWER_GRACE_MS) ?? kept[0];
  const begun = settled.counts.begun - first.begun;
  if (settings.unanswered > 0 && begun >= settings.unanswered && judged === 0) {
    return { answered, suspicion: `${begun} connections begun within ${window}, none answered` };
  }
  return { answered };
}

function withinWindow(memory: PassiveMemory, beginMs: number): PassiveMemory {
  const last = memory.findLastIndex((sample) => sample.atMs <= beginMs);
  return last <= 0 ? memory : memory.slice(last);
}

function hasFallen(before: PassiveCounts, after: PassiveCounts): boolean {
  return (
    after.begun < before.begun ||
    after.answered < before.answered ||
    after.resets < before.resets ||
    after.refused < before.refused
  );
}
