import { describe, expect, it } from 'vitest';
import { rotated } from './rounds.ts';

describe('rotated', () => {
  it('begins each round with another one', () => {
    const items = ['a', 'b', 'c'];
    const rounds = [0, 1, 2, 3].map((round) => rotated(items, round).join(''));
    expect(rounds).toEqual(['abc', 'bca', 'cab', 'abc']);
  });

  it('of nothing is nothing', () => {
    expect(rotated([], 5)).toEqual([]);
  });
});
