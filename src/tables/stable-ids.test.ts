import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignIds, type IdAssignment } from './stable-ids.ts';

const NONE: IdAssignment = { ids: new Map(), freed: [] };

function next(before: IdAssignment, names: string[], capacity: number): IdAssignment {
  return assignIds(before.ids, names, capacity, before.freed);
}

describe('assignIds', () => {
  it('keeps the numbers of names that stay', () => {
    const one = next(NONE, ['a', 'b', 'c'], 8);
    expect([...one.ids]).toEqual([
      ['a', 0],
      ['b', 1],
      ['c', 2],
    ]);
    const two = next(one, ['c', 'd', 'a'], 8);
    expect(two.ids.get('a')).toBe(0);
    expect(two.ids.get('c')).toBe(2);
    expect(two.ids.get('d')).toBe(3);
    expect(two.freed).toEqual([1]);
  });

  it('reuses a freed number only when no other is left, longest free first', () => {
    const one = next(NONE, ['a', 'b', 'c'], 4);
    const two = next(one, ['a', 'c'], 4);
    const three = next(two, ['a'], 4);
    expect(three.freed).toEqual([1, 2]);
    const four = next(three, ['a', 'd'], 4);
    expect(four.ids.get('d')).toBe(3);
    const five = next(four, ['a', 'd', 'e', 'f'], 4);
    expect(five.ids.get('e')).toBe(1);
    expect(five.ids.get('f')).toBe(2);
    expect(five.freed).toEqual([]);
  });

  it('can replace every name of a full table at once', () => {
    const one = next(NONE, ['a', 'b'], 2);
    const two = next(one, ['c', 'd'], 2);
    expect(new Set(two.ids.values())).toEqual(new Set([0, 1]));
  });

  it('says when there are too many', () => {
    expect(() => next(NONE, ['a', 'b', 'c'], 2)).toThrow(/3 names do not fit in a table of 2/);
  });

  it('is stable and without duplicates over any sequence of reloads', () => {
    const names = fc.uniqueArray(fc.constantFrom(...'abcdefghij'), { maxLength: 6 });
    fc.assert(
      fc.property(fc.array(names, { maxLength: 12 }), (reloads) => {
        let before = NONE;
        for (const wanted of reloads) {
          const after = next(before, wanted, 6);
          const used = [...after.ids.values()];
          expect(after.ids.size).toBe(wanted.length);
          expect(new Set(used).size).toBe(used.length);
          expect(used.every((id) => id >= 0 && id < 6)).toBe(true);
          for (const [name, id] of before.ids) {
            if (wanted.includes(name)) expect(after.ids.get(name)).toBe(id);
          }
          expect(after.freed.some((id) => used.includes(id))).toBe(false);
          expect(new Set(after.freed).size).toBe(after.freed.length);
          before = after;
        }
      }),
    );
  });
});
