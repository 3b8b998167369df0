import { describe, expect, it } from 'vitest';
import { availabilityOf, type Candidate } from './availability.ts';

const up: Candidate = {
  isFallback: false,
  health: 'up',
  administrative: 'ready',
  baseWeight: 1,
};
const down: Candidate = { ...up, health: 'down' };
const unchecked: Candidate = { ...up, health: 'unchecked' };
const drain: Candidate = { ...up, administrative: 'drain' };
const maintenance: Candidate = { ...down, administrative: 'maintenance' };
const weightless: Candidate = { ...up, baseWeight: 0 };
const fallback: Candidate = { ...up, isFallback: true };
const deadFallback: Candidate = { ...down, isFallback: true };

describe('availabilityOf', () => {
  it.each([
    ['all healthy', [up, up], ['used', 'used']],
    ['one down, half healthy', [up, down], ['used', 'down']],
    ['less than half healthy', [up, down, down], ['used', 'panic', 'panic']],
    ['nothing is known yet', [unchecked, unchecked], ['panic', 'panic']],
    ['a new one beside healthy ones', [up, up, unchecked], ['used', 'used', 'unchecked']],
    ['all down', [down, down], ['panic', 'panic']],
    ['who is drained is not counted', [up, drain, drain, down], ['used', 'drain', 'drain', 'down']],
    ['nor used in panic', [down, drain, maintenance], ['panic', 'drain', 'maintenance']],
    ['a weight of 0 is never used', [weightless, down], ['weightless', 'panic']],
    ['all drained', [drain, maintenance], ['drain', 'maintenance']],
  ] as [string, Candidate[], string[]][])('without a fallback: %s', (_, candidates, expected) => {
    const { standings, usesFallback, isPanic } = availabilityOf(candidates, 0.5);
    expect(standings).toEqual(expected);
    expect(usesFallback).toBe(false);
    expect(isPanic).toBe(expected.includes('panic'));
  });

  it.each([
    ['is not needed', [up, fallback], ['used', 'reserve'], false],
    [
      'nor in a panic in which some live',
      [up, down, down, fallback],
      ['used', 'panic', 'panic', 'reserve'],
      false,
    ],
    [
      'comes before a panic in which nobody does',
      [down, down, fallback],
      ['down', 'down', 'used'],
      true,
    ],
    ['replaces drained ones', [drain, fallback], ['drain', 'used'], true],
    ['is dead as well: the others are tried', [down, deadFallback], ['panic', 'down'], false],
    ['is dead, and nobody else may be used', [drain, deadFallback], ['drain', 'panic'], true],
    [
      'waits while the others are not checked yet',
      [unchecked, fallback],
      ['panic', 'reserve'],
      false,
    ],
  ] as [string, Candidate[], string[], boolean][])(
    'a fallback backend %s',
    (_, all, expected, used) => {
      const { standings, usesFallback } = availabilityOf(all, 0.5);
      expect(standings).toEqual(expected);
      expect(usesFallback).toBe(used);
    },
  );

  it('never panics with a threshold of 0: everything down is nobody', () => {
    expect(availabilityOf([down, unchecked], 0)).toMatchObject({
      standings: ['down', 'unchecked'],
      isPanic: false,
    });
    expect(availabilityOf([unchecked, fallback], 0).standings).toEqual(['unchecked', 'used']);
  });

  it('uses somebody whenever a backend is up and nobody decided against it', () => {
    const kinds = [up, down, unchecked, drain, maintenance, weightless, fallback, deadFallback];
    for (const a of kinds) {
      for (const b of kinds) {
        for (const c of kinds) {
          for (const threshold of [0, 0.3, 0.5, 1]) {
            const all = [a, b, c];
            const { standings } = availabilityOf(all, threshold);
            const isUp = all.some(
              (each) =>
                each.health === 'up' && each.administrative === 'ready' && each.baseWeight > 0,
            );
            const isUsed = standings.some((each) => each === 'used' || each === 'panic');
            if (isUp) expect(isUsed, JSON.stringify({ all, threshold })).toBe(true);
            standings.forEach((standing, i) => {
              if (standing === 'panic' || standing === 'used') {
                expect(all[i].administrative).toBe('ready');
                expect(all[i].baseWeight).toBeGreaterThan(0);
              }
            });
          }
        }
      }
    }
  });
});
