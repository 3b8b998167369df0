// How each scheduler chooses, whom none of them may choose, and what becomes of limits. Method: choosers of
// N processors over one main memory and the real configuration table (test/support/choosers.ts). How
// fair they are: scheduler-fairness.test.ts.

import { describe, expect, it } from 'vitest';
import { Choosers, SERVICE, serviceWith } from '../../test/support/choosers.ts';
import * as table from '../tables/configuration-table.ts';
import { ruleRecord } from '../tables/rule-table.ts';
import { ALL_FULL } from './choose-backend.ts';

const {
  NOT_FOUND,
  SCHEDULER_LEAST_CONNECTIONS: LC,
  SCHEDULER_MAGLEV: MH,
  SCHEDULER_NEVER_QUEUE: NQ,
  SCHEDULER_POWER_OF_TWO: P2C,
  SCHEDULER_RANDOM: RANDOM,
  SCHEDULER_ROUND_ROBIN: RR,
  SCHEDULER_SHORTEST_EXPECTED_DELAY: SED,
  SCHEDULER_SOURCE_HASH: SH,
  SCHEDULER_WEIGHTED_LEAST_CONNECTIONS: WLC,
  SCHEDULER_WEIGHTED_ROUND_ROBIN: WRR,
} = table;

const ALL: readonly [string, number][] = [
  ['rr', RR],
  ['wrr', WRR],
  ['lc', LC],
  ['wlc', WLC],
  ['sed', SED],
  ['nq', NQ],
  ['sh', SH],
  ['mh', MH],
  ['p2c', P2C],
  ['random', RANDOM],
];

/** What one processor chooses for `count` clients. */
function chosenBy(choosers: Choosers, count: number): Set<number> {
  const chosen = new Set<number>();
  for (let i = 0; i < count; i++) chosen.add(choosers.choose(0, i, i));
  return chosen;
}

describe('walking the selection table', () => {
  it.each([1, 2, 3, 5])('keeps the shares with %i processors', (processors) => {
    const weights = [5, 3, 1];
    const choosers = new Choosers(processors, serviceWith(WRR, weights));
    const counts = [0, 0, 0];
    for (let p = 0; p < processors; p++) {
      for (let i = 0; i < 900; i++) counts[choosers.choose(p, i, i)]++;
    }
    expect(counts).toEqual(weights.map((weight) => weight * 100 * processors));
  });

  it('starts each processor elsewhere, so that few connections are spread too', () => {
    const choosers = new Choosers(4, serviceWith(WRR, [1, 1, 1, 1]));
    expect(new Set([0, 1, 2, 3].map((p) => choosers.choose(p))).size).toBe(4);
  });

  it('goes on when the table has become shorter', () => {
    const choosers = new Choosers(1, serviceWith(WRR, [9, 1]));
    for (let i = 0; i < 9; i++) choosers.choose(0);
    choosers.write(serviceWith(WRR, [1, 1]));
    expect([choosers.choose(0), choosers.choose(0)].sort()).toEqual([0, 1]);
  });
});

describe('hashes', () => {
  it('choose alike on every processor, and not always the same backend', () => {
    const choosers = new Choosers(3, serviceWith(MH, [1, 1, 1]));
    const counts = [0, 0, 0];
    for (let port = 1024; port < 4024; port++) {
      const chosen = [0, 1, 2].map((p) => choosers.choose(p, 0x0a01000a, (port << 16) | 80));
      expect(new Set(chosen).size).toBe(1);
      counts[chosen[0]]++;
    }
    for (const count of counts) expect(count).toBeGreaterThan(800);
  });

  it('of the address alone do not look at the port', () => {
    const choosers = new Choosers(2, serviceWith(SH, [1, 1, 1, 1]));
    const seen = new Set<number>();
    for (let source = 0; source < 64; source++) {
      const chosen = [1, 2, 3, 4].map((port) => choosers.choose(port & 1, source, port << 16));
      expect(new Set(chosen).size).toBe(1);
      seen.add(chosen[0]);
    }
    expect(seen.size).toBe(4);
  });

  it.each([
    ['mh', MH],
    ['sh', SH],
  ])('%s gives another backend at a further attempt', (_, scheduler) => {
    const choosers = new Choosers(1, serviceWith(scheduler, [1, 1, 1, 1]));
    let others = 0;
    for (let source = 0; source < 100; source++) {
      if (choosers.choose(0, source, 1, 1) !== choosers.choose(0, source, 1, 0)) others++;
    }
    expect(others).toBeGreaterThan(50);
  });
});

describe('comparing open connections', () => {
  /** The choice while backend i has open[i] connections, some of them of processor 1. */
  function choice(scheduler: number, weights: number[], open: number[]): number {
    const choosers = new Choosers(2, serviceWith(scheduler, weights));
    open.forEach((count, backend) => {
      // A processor counts down what another has counted up: only the sum means something.
      choosers.open(0, backend, -5);
      choosers.open(1, backend, count + 5);
    });
    return choosers.choose(0);
  }

  it.each([
    ['lc: fewest, whatever the weight', LC, [9, 1, 1], [3, 2, 1], 2],
    ['wlc: fewest by weight', WLC, [4, 1, 2], [7, 2, 4], 0],
    ['sed: as wlc with one more', SED, [1, 3], [0, 1], 1],
    ['wlc where sed differs', WLC, [1, 3], [0, 1], 0],
    ['nq: an idle one, even a slow one', NQ, [1, 100], [0, 1], 0],
    ['nq: as sed when none is idle', NQ, [1, 100], [1, 5], 1],
    ['products beyond int32', WLC, [50_000, 50_000], [44_000, 42_000], 1],
  ])('%s', (_, scheduler, weights, open, expected) => {
    expect(choice(scheduler, weights, open)).toBe(expected);
  });

  it.each([
    ['lc', LC],
    ['wlc', WLC],
    ['sed', SED],
    ['nq', NQ],
  ])('%s takes turns among equals', (_, scheduler) => {
    const choosers = new Choosers(1, serviceWith(scheduler, [1, 1, 1, 1]));
    for (let round = 0; round < 3; round++) expect(chosenBy(choosers, 4).size).toBe(4);
  });

  it.each([
    ['wlc', WLC],
    ['p2c', P2C],
  ])('%s follows the weights while nothing stays open', (_, scheduler) => {
    const choosers = new Choosers(1, serviceWith(scheduler, [3, 1]));
    const counts = [0, 0];
    for (let i = 0; i < 4000; i++) counts[choosers.choose(0)]++;
    expect(counts[0] / 4000).toBeGreaterThan(0.7);
    expect(counts[0] / 4000).toBeLessThan(0.8);
  });

  it('finds an idle one of a thousand busy ones within a thousand choices', () => {
    const choosers = new Choosers(1, serviceWith(LC, new Array(1000).fill(1)));
    for (let backend = 0; backend < 1000; backend++) {
      choosers.open(0, backend, backend === 700 ? 0 : 50);
    }
    expect(chosenBy(choosers, 1000).has(700)).toBe(true);
  });

  it('finds the only one of two thousand that has a weight', () => {
    const weights = new Array(2000).fill(0);
    weights[1999] = 1;
    for (const scheduler of [LC, WLC, SED, NQ]) {
      const choosers = new Choosers(1, serviceWith(scheduler, weights));
      expect(choosers.choose(0)).toBe(1999);
    }
  });
});

describe.each(ALL)('%s', (_, scheduler) => {
  it('finds nobody where no backend has a weight', () => {
    expect(new Choosers(1, serviceWith(scheduler, [0, 0])).choose(0)).toBe(NOT_FOUND);
    expect(new Choosers(1, serviceWith(scheduler, [])).choose(0)).toBe(NOT_FOUND);
  });

  it('never chooses a backend of weight 0, even if the selection table names it', () => {
    const service = serviceWith(scheduler, [1, 0, 1]);
    const selection = Int32Array.of(...service.selection, 1, 1, 1);
    const choosers = new Choosers(1, { ...service, selection });
    expect([...chosenBy(choosers, 1000)].sort()).toEqual([0, 2]);
  });

  it('skips backends that are full, and says when all are', () => {
    const service = serviceWith(scheduler, [50, 50, 1]);
    const backends = service.backends.map((backend) => ({ ...backend, connectionLimit: 2 }));
    const choosers = new Choosers(2, { ...service, backends });
    for (const backend of [0, 1]) for (const p of [0, 1]) choosers.open(p, backend);
    expect([...chosenBy(choosers, 100)]).toEqual([2]);
    choosers.open(1, 2, 2);
    expect([...chosenBy(choosers, 100)]).toEqual([ALL_FULL]);
    choosers.open(0, 1, -1);
    expect([...chosenBy(choosers, 100)]).toEqual([1]);
  });

  it('chooses from the pool of a rule, each pool by its own position', () => {
    const all = serviceWith(scheduler, [1, 1, 1, 1]);
    const one = serviceWith(scheduler, [1, 1]).selection.map((n) => n + 2);
    const service = {
      ...all,
      pools: [
        { selection: one, backends: [2, 3] },
        { selection: new Int32Array(0), backends: [] },
      ],
      rules: [{ pool: 1 }, { pool: 2 }, { pool: 0 }],
    };
    const choosers = new Choosers(1, service);
    const [chooser] = choosers.choosers;
    const chosen: Set<number>[] = [new Set(), new Set(), new Set()];
    for (let i = 0; i < 200; i++) {
      for (let rule = 0; rule < 3; rule++) {
        chooser.usePool(choosers.configuration, SERVICE, ruleRecord(choosers.configuration, rule));
        chosen[rule].add(chooser.choose(i, i, 0));
      }
    }
    expect([...chosen[0]].sort()).toEqual([2, 3]);
    expect([...chosen[1]]).toEqual([NOT_FOUND]);
    expect(chosen[2].size).toBe(4);
  });
});
