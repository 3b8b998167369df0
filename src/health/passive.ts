// Passive observation: what the data plane's counts say about a backend, without asking it. Pure. Once
// per second the rising counts come in; what happened within the window is the difference to an older
// sample. Two signs make a backend suspicious:
//   unanswered  connections were begun, at least so many, and not one was answered or refused;
//   resets      of the connections that it answered or refused, so many percent were refused or reset.
// Invariant: the samples kept are bounded, whatever the window and however often it is called. Counts
// that fall (a new main memory, a backend made anew) begin the window anew.

import type { PassiveCounts } from './health-state.ts';
import type { PassiveEvidence } from './judge.ts';
import type { PassiveSettings } from './settings.ts';
import { duration } from './words.ts';

/** Connections so young are not called unanswered: the answer may be under way. */
export const ANSWER_GRACE_MS = 800;
/** With fewer connections than this in the window, a percentage says nothing. */
export const RESETS_MINIMUM = 10;
/** Longest window that samples are kept for. */
export const MAX_WINDOW_MS = 60_000;
const SAMPLE_SPACING_MS = 500;
const MAX_SAMPLES = MAX_WINDOW_MS / SAMPLE_SPACING_MS + 2;

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
  const kept = withinWindow(memory, nowMs - Math.min(settings.windowMs, MAX_WINDOW_MS));
  const evidence = judgeWindow(kept, now, settings);
  const isDue = nowMs - newest.atMs >= SAMPLE_SPACING_MS;
  return { memory: isDue ? [...kept, now].slice(-MAX_SAMPLES) : kept, evidence };
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
