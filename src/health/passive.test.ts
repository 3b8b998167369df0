// Passive observation, second by second.

import { describe, expect, it } from 'vitest';
import type { PassiveCounts } from './health-state.ts';
import type { PassiveEvidence } from './judge.ts';
import { NO_PASSIVE_MEMORY, observeCounts, type PassiveMemory, RESETS_MINIMUM } from './passive.ts';
import { DEFAULT_PASSIVE } from './settings.ts';

const ZERO: PassiveCounts = { begun: 0, answered: 0, resets: 0, refused: 0 };

/** Feeds one addition to the counts per second; returns the evidence of each second. */
function feed(additions: readonly Partial<PassiveCounts>[], settings = DEFAULT_PASSIVE) {
  let memory: PassiveMemory = NO_PASSIVE_MEMORY;
  let counts = ZERO;
  return additions.map((addition, second) => {
    counts = {
      begun: counts.begun + (addition.begun ?? 0),
      answered: counts.answered + (addition.answered ?? 0),
      resets: counts.resets + (addition.resets ?? 0),
      refused: counts.refused + (addition.refused ?? 0),
    };
    const seen = observeCounts(memory, counts, settings, second * 1_000);
    memory = seen.memory;
    return seen.evidence;
  });
}

const suspicions = (all: readonly PassiveEvidence[]) => all.map((each) => each.suspicion);

describe('unanswered', () => {
  it('is suspicious once enough connections are a second old and none was answered', () => {
    const all = suspicions(feed([{}, { begun: 3 }, { begun: 2 }, { begun: 1 }]));
    expect(all.slice(0, 3)).toEqual([undefined, undefined, undefined]);
    expect(all[3]).toBe('5 connections begun within 5 s, none answered');
  });

  it('is not with one answer or one refusal among them, nor with too few', () => {
    expect(suspicions(feed([{}, { begun: 9 }, { answered: 1 }, {}])).at(-1)).toBeUndefined();
    expect(suspicions(feed([{}, { begun: 9 }, { refused: 1 }, {}])).at(-1)).toBeUndefined();
    expect(suspicions(feed([{}, { begun: 4 }, {}, {}])).at(-1)).toBeUndefined();
  });

  it('is forgotten when the window has passed', () => {
    const all = suspicions(feed([{}, { begun: 5 }, {}, {}, {}, {}, {}, {}]));
    expect(all.map((each) => each !== undefined)).toEqual([
      false,
      false,
      true,
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  it('does not judge connections that had no second to be answered', () => {
    expect(suspicions(feed([{}, {}, { begun: 500 }])).at(-1)).toBeUndefined();
  });

  it('gives each connection its time also when it is asked more often', () => {
    const counts = (begun: number): PassiveCounts => ({ ...ZERO, begun });
    let memory = observeCounts(NO_PASSIVE_MEMORY, counts(0), DEFAULT_PASSIVE, 0).memory;
    memory = observeCounts(memory, counts(6), DEFAULT_PASSIVE, 500).memory;
    const soon = observeCounts(memory, counts(6), DEFAULT_PASSIVE, 1_000);
    expect(soon.evidence.suspicion).toBeUndefined();
    const later = observeCounts(soon.memory, counts(6), DEFAULT_PASSIVE, 1_500);
    expect(later.evidence.suspicion).toMatch(/^6 connections/);
  });

  it('is off with 0', () => {
    const off = { ...DEFAULT_PASSIVE, unanswered: 0 };
    expect(suspicions(feed([{}, { begun: 50 }, {}, {}], off)).at(-1)).toBeUndefined();
  });
});

describe('resets', () => {
  it('is suspicious from the percentage on, with enough connections', () => {
    const half = { begun: 20, answered: 10, refused: 10 };
    expect(suspicions(feed([{}, half])).at(-1)).toBe(
      '50 % of 20 connections within 5 s refused or reset by it',
    );
    expect(suspicions(feed([{}, { begun: 20, answered: 11, refused: 9 }])).at(-1)).toBeUndefined();
    expect(suspicions(feed([{}, { begun: 20, answered: 20, resets: 10 }])).at(-1)).toMatch(/^50 %/);
  });

  it('says nothing of few connections, nor with 0', () => {
    const few = { begun: RESETS_MINIMUM - 1, refused: RESETS_MINIMUM - 1 };
    expect(suspicions(feed([{}, few])).at(-1)).toBeUndefined();
    const off = { ...DEFAULT_PASSIVE, resets: 0 };
    expect(suspicions(feed([{}, { begun: 99, refused: 99 }], off)).at(-1)).toBeUndefined();
  });

  it('does not pass 100 % when old connections are reset as well', () => {
    expect(suspicions(feed([{}, { begun: 10, answered: 10, resets: 500 }])).at(-1)).toMatch(
      /^100 %/,
    );
  });
});

describe('counts and memory', () => {
  it('begins anew when counts fall', () => {
    const first = observeCounts(NO_PASSIVE_MEMORY, { ...ZERO, begun: 900 }, DEFAULT_PASSIVE, 0);
    const second = observeCounts(first.memory, { ...ZERO, begun: 3 }, DEFAULT_PASSIVE, 1_000);
    expect(second.evidence.suspicion).toBeUndefined();
    expect(second.memory).toHaveLength(1);
  });

  it('says nothing about what was counted before it first looked', () => {
    const first = observeCounts(NO_PASSIVE_MEMORY, { ...ZERO, begun: 900 }, DEFAULT_PASSIVE, 0);
    const later = observeCounts(first.memory, { ...ZERO, begun: 900 }, DEFAULT_PASSIVE, 2_000);
    expect(later.evidence.suspicion).toBeUndefined();
  });

  it('keeps a bounded number of samples however often and however long', () => {
    const wide = { ...DEFAULT_PASSIVE, windowMs: 600_000 };
    let memory: PassiveMemory = NO_PASSIVE_MEMORY;
    let longest = 0;
    for (let i = 0; i < 20_000; i++) {
      memory = observeCounts(memory, { ...ZERO, begun: i }, wide, i * 100).memory;
      longest = Math.max(longest, memory.length);
    }
    expect(longest).toBeLessThanOrEqual(102);
  });
});
