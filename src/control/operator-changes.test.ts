// Changes of operators: made, taken back, listed, and read back from whatever JSON there is.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DrainCounts } from './drain.ts';
import {
  MAX_OPERATOR_CHANGES,
  MAX_WEIGHT,
  OperatorChanges,
  remainingChanges,
} from './operator-changes.ts';

const NEW_YEAR = Date.UTC(2026, 0, 1);
const ANNA = { by: 'anna', atMs: NEW_YEAR };
const BEN = { by: 'ben', atMs: NEW_YEAR + 3_600_000 };
const KEEP = { deadlineMs: null, atDeadline: 'keep' as const };
const RESET = { deadlineMs: 60_000, atDeadline: 'reset' as const };
const COUNTS: DrainCounts = { tcp: 5, udp: 0, begun: 9, takesNewConnections: false };

function throughJson(changes: OperatorChanges): OperatorChanges {
  return OperatorChanges.fromJSON(JSON.parse(JSON.stringify(changes)));
}

const BOTH = new OperatorChanges()
  .withWeight('web/b1', 3, ANNA)
  .withDrain('web/b1', RESET, BEN, 1000)
  .withDrainStep('web/b1', COUNTS, 1000)
  .withDrainStep('web/b1', { ...COUNTS, tcp: 4, states: { established: 4 } }, 2000);

describe('OperatorChanges', () => {
  it('are made and taken back one by one, each time as a new object', () => {
    const none = new OperatorChanges();
    const weighted = none.withWeight('web/b1', 3, ANNA);
    const drained = weighted.withDrain('web/b1', KEEP, ANNA, 1000);
    expect(none.backends).toEqual([]);
    expect([weighted.weight('web/b1'), weighted.drain('web/b1')]).toEqual([3, undefined]);
    expect(drained.weight('web/b1')).toBe(3);
    expect(drained.drain('web/b1')?.order).toMatchObject({ startedMs: 1000, deadlineMs: null });
    const undrained = drained.withoutDrain('web/b1');
    expect(undrained).toEqual(weighted);
    expect(undrained.withoutWeight('web/b1').backends).toEqual([]);
    expect(none.withoutDrain('web/b1').withoutWeight('web/b1').backends).toEqual([]);
    expect(none.withDrainStep('web/b1', COUNTS, 1000)).toBe(none);
  });

  it('a weight of 0 is a weight', () => {
    expect(new OperatorChanges().withWeight('web/b1', 0, ANNA).weight('web/b1')).toBe(0);
  });

  it('a second drain goes on with the first, with its own deadline from then on', () => {
    const again = BOTH.withDrain('web/b1', RESET, BEN, 5000).drain('web/b1');
    expect(again?.order).toMatchObject({ atMs: BEN.atMs, startedMs: 1000, deadlineMs: 65_000 });
    expect(again?.progress).toMatchObject({ atStart: 5, counts: { tcp: 4 } });
  });

  it('come back from JSON, but for what is measured anew', () => {
    const back = throughJson(BOTH);
    expect(back.weight('web/b1')).toBe(3);
    expect(back.drain('web/b1')?.order).toEqual(BOTH.drain('web/b1')?.order);
    expect(back.drain('web/b1')?.progress).toEqual({
      ...BOTH.drain('web/b1')?.progress,
      counts: { ...COUNTS, tcp: 4 },
      samples: [],
    });
    expect(throughJson(back)).toEqual(back);
  });

  it('are kept while their backend is not configured, and dropped when told', () => {
    const changes = BOTH.withWeight('dns/x', 2, ANNA);
    const kept = changes.withOnly((backend) => backend === 'dns/x');
    expect(kept.backends).toEqual(['dns/x']);
    expect(kept.withOnly(() => true)).toBe(kept);
  });

  it('are limited in number, and so is their JSON', () => {
    let changes = new OperatorChanges();
    const name = (i: number) => `${'s'.repeat(63)}/${String(i).padStart(63, 'b')}`;
    const by = 'x'.repeat(64);
    for (let i = 0; i < MAX_OPERATOR_CHANGES; i++) {
      changes = changes
        .withWeight(name(i), MAX_WEIGHT, { by, atMs: NEW_YEAR })
        .withDrain(name(i), RESET, { by, atMs: NEW_YEAR }, 1e9)
        .withDrainStep(name(i), COUNTS, 1e9);
    }
    expect(() => changes.withWeight('web/one-more', 1, ANNA)).toThrow(/512 backends have changes/);
    // What is there already can be changed still.
    expect(changes.withWeight(name(0), 7, ANNA).weight(name(0))).toBe(7);
    expect(throughJson(changes)).toEqual(throughJson(throughJson(changes)));
    expect(throughJson(changes).backends).toHaveLength(MAX_OPERATOR_CHANGES);
    expect(JSON.stringify(changes).length).toBeLessThan(MAX_OPERATOR_CHANGES * 1024);
  });
});

describe('the list of changes', () => {
  const changes = BOTH.withWeight('old/b9', 2, BEN).withDrain('dns/x', KEEP, ANNA, 0);
  const list = changes.list((key) => (key === 'old/b9' ? undefined : 1));

  it('says what, who, when, and whether the backend is configured', () => {
    const drain = 'drain until 2026-01-01T01:01:00Z, then reset';
    expect(
      list.map((each) => `${each.service}/${each.backend} ${each.kind}: ${each.text}`),
    ).toEqual([
      'dns/x drain: drain, without a deadline',
      'old/b9 weight: weight 2',
      'web/b1 weight: weight 3, the file says 1',
      `web/b1 drain: ${drain}`,
    ]);
    expect(list[1]).toMatchObject({ isConfigured: false, weight: 2, by: 'ben' });
    expect(list[2]).toMatchObject({ isConfigured: true, at: '2026-01-01T00:00:00.000Z' });
  });

  it('a reload says of each that it remains', () => {
    expect(remainingChanges(list.slice(1, 3))).toEqual([
      'old/b9: weight 2: changed at run time by ben, remains (not configured now)',
      'web/b1: weight 3, the file says 1: changed at run time by anna, remains',
    ]);
  });
});

describe('OperatorChanges.fromJSON', () => {
  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'changes'],
    ['no changes', {}],
    ['changes that are no list', { changes: { a: 1 } }],
  ])('is empty from %s', (_, value) => {
    expect(OperatorChanges.fromJSON(value).backends).toEqual([]);
  });

  it('leaves out what is not as it should be, and keeps the rest', () => {
    const weight = { weight: 3, ...ANNA };
    const order = { ...ANNA, startedMs: 1, deadlineMs: null, atDeadline: 'keep' };
    const changes = [
      { backend: 'a/ok', weight, drain: { order } },
      { backend: 'a/half', weight, drain: { order: { ...order, atDeadline: 'burn' } } },
      { backend: 'a/no-progress', drain: { order, progress: { atStart: 'many' } } },
      { backend: 'a/heavy', weight: { ...weight, weight: MAX_WEIGHT + 1 } },
      { backend: 'no-service', weight },
      { backend: 7, weight },
      { backend: '__proto__/x', weight },
      null,
    ];
    const read = OperatorChanges.fromJSON({ changes });
    expect(read.backends).toEqual(['a/ok', 'a/half', 'a/no-progress', '__proto__/x']);
    expect(read.drain('a/half')).toBeUndefined();
    expect(read.drain('a/no-progress')).toMatchObject({ order, progress: undefined });
  });

  it('never fails, and never gives a weight that cannot be', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (weight, drain) => {
        const read = OperatorChanges.fromJSON({ changes: [{ backend: 'a/b', weight, drain }] });
        const found = read.weight('a/b');
        expect(found === undefined || (found >= 0 && found <= MAX_WEIGHT)).toBe(true);
        read.list(() => 1);
      }),
    );
  });

  it('no time that is read makes the list impossible, or what a drain shows', () => {
    for (const ms of [4e15, 4e15 + 1, Number.MAX_SAFE_INTEGER]) {
      const order = { by: 'anna', atMs: ms, startedMs: 0, deadlineMs: ms, atDeadline: 'keep' };
      const weight = { weight: 1, by: 'anna', atMs: ms };
      const changes = [{ backend: 'a/b', weight, drain: { order } }];
      const list = OperatorChanges.fromJSON({ changes }).list(() => 1);
      expect(list).toHaveLength(ms <= 4e15 ? 2 : 0);
    }
  });
});
