// The closed loop of load feedback, tried in a simulated world (test/support/load-simulator.ts) with the
// real synthesis: how fast it settles, whether it ever oscillates, what a liar gains, what silence does.
// The words are defined in test/support/load-simulator-measures.ts; the figures are printed.
//
// The world, where nothing else is said: four servers that do 1000, 2000, 3000 and 4000 requests per
// second, all configured with weight 1; 5500 connections per second, so 55 % of what they can do
// together; one report per second and server with 3 % noise, arriving up to 0.2 s late; default
// settings, algorithm even-load; the first 60 s are not looked at (blackout, first levelling).

import { describe, expect, it } from 'vitest';
import type { DistributionSettings } from '../../src/distribution/settings.ts';
import { type SimulationOptions, simulate } from '../support/load-simulator.ts';
import {
  finalSpread,
  finalUtilizations,
  mean,
  quantile,
  restlessness,
  settling,
  table,
} from '../support/load-simulator-measures.ts';

const CAPACITIES = [1000, 2000, 3000, 4000];
const WARM_UP_MS = 60_000;
const QUIET: Omit<SimulationOptions, 'seed' | 'servers'> = {
  connectionsPerSecond: () => 5500,
  durationMs: 120_000,
  noise: 0.03,
  delayMs: [0, 200],
};
const LONG_MS = 300_000;

const seeds = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;
const quantiles = (values: readonly number[], show: (value: number) => string): string[] =>
  [0.5, 0.9, 0.99, 1].map((part) => show(quantile(values, part)));

describe('a step of +60 points of CPU on one of four servers', () => {
  const STEP = 0.6;
  const RUNS = 50;

  function runs(target: number) {
    return seeds(RUNS).map((seed) => {
      const servers = CAPACITIES.map((capacity, i) => ({
        capacity,
        foreign: (timeMs: number) => (i === target && timeMs > WARM_UP_MS ? STEP : 0),
      }));
      return settling(simulate({ ...QUIET, seed, servers }).samples, target, WARM_UP_MS, STEP);
    });
  }

  it('settles within 5 report periods with at most 10 % overshoot', { timeout: LONG_MS }, () => {
    const rows = [['server', 'periods 50 %', '90 %', '99 %', 'worst', 'overshoot 50 %', 'worst']];
    const all = CAPACITIES.map((capacity, target) => {
      const results = runs(target);
      const periods = results.map((each) => each.periods);
      const overshoots = results.map(({ overshoot }) => Math.max(0, overshoot));
      rows.push([
        `${capacity}/s`,
        ...quantiles(periods, String),
        percent(quantile(overshoots, 0.5)),
        percent(Math.max(...overshoots)),
      ]);
      return { periods, overshoots };
    });
    console.log(table(`+60 points on one server, ${RUNS} seeds each`, rows));
    for (const { periods, overshoots } of all) {
      expect(quantile(periods, 0.5)).toBeLessThanOrEqual(5);
      expect(Math.max(...overshoots)).toBeLessThanOrEqual(0.1);
    }
    const periods = all.flatMap((each) => each.periods);
    expect(periods.filter((count) => count <= 5).length).toBeGreaterThan(0.85 * periods.length);
    // The rest has come most of the way by then, and creeps.
    expect(Math.max(...periods)).toBeLessThanOrEqual(15);
  });
});

describe('even-load', () => {
  it('ends with a spread of the utilisations of at most 5 points', { timeout: LONG_MS }, () => {
    const worlds: [string, (i: number) => number, number][] = [
      ['no foreign load, 25 % busy', () => 0, 2500],
      ['no foreign load, 55 % busy', () => 0, 5500],
      ['no foreign load, 80 % busy', () => 0, 8000],
      ['20 points of foreign load on one', (i) => (i === 1 ? 0.2 : 0), 5500],
      ['10, 20 and 30 points on three', (i) => i / 10, 5500],
    ];
    const rows = [['world', 'spread 50 %', '90 %', '99 %', 'worst', 'utilisations of seed 1']];
    for (const [name, foreign, perSecond] of worlds) {
      const results = seeds(20).map((seed) => {
        const servers = CAPACITIES.map((capacity, i) => ({ capacity, foreign: () => foreign(i) }));
        return simulate({ ...QUIET, seed, servers, connectionsPerSecond: () => perSecond }).samples;
      });
      const spreads = results.map(finalSpread);
      const first = finalUtilizations(results[0]).map(percent).join(' ');
      rows.push([name, ...quantiles(spreads, percent), first]);
      expect(Math.max(...spreads)).toBeLessThanOrEqual(0.05);
    }
    console.log(table('Final spread of utilisation, 20 seeds each', rows));
  });
});

/** A bad world: reports up to 3 s late, a fifth lost, 5 % noise, and 5 % of them say anything at all. */
function badWorld(
  seed: number,
  lifeMs: number,
  settings: Partial<DistributionSettings>,
  liesUntilMs: number,
): SimulationOptions {
  const servers = CAPACITIES.map((capacity) => ({
    capacity,
    says: ((truth, timeMs, chance) =>
      timeMs < liesUntilMs && chance.even() < 0.05
        ? { ...truth, cpuUtilization: chance.even() }
        : truth) satisfies SimulationOptions['servers'][number]['says'],
  }));
  return {
    seed,
    servers,
    settings: { expiryMs: 30_000, ...settings },
    connectionsPerSecond: () => (lifeMs > 0 ? 5_000_000 / lifeMs : 5000),
    connectionLifeMs: lifeMs,
    durationMs: 140_000,
    noise: 0.05,
    delayMs: [0, 3000],
    loss: 0.2,
  };
}

describe('delays, losses and lies at random', () => {
  const LIES_UNTIL_MS = 80_000;

  function runs(count: number, lifeMs: number, settings: Partial<DistributionSettings>) {
    const results = seeds(count).map((seed) => {
      const { samples } = simulate(badWorld(seed, lifeMs, settings, LIES_UNTIL_MS));
      const between = (fromMs: number, toMs: number) =>
        restlessness(samples.filter(({ timeMs }) => timeMs > fromMs && timeMs <= toMs));
      return { lied: between(40_000, LIES_UNTIL_MS), after: between(100_000, 140_000) };
    });
    const rows = [['', '50 %', '90 %', '99 %', 'worst']];
    for (const when of ['lied', 'after'] as const) {
      const words = when === 'lied' ? 'with lies' : 'lies over';
      const measured = results.map((each) => each[when]);
      rows.push(
        [
          `${words}: turns in 40 s`,
          ...quantiles(
            measured.map((m) => m.reversals),
            String,
          ),
        ],
        [
          `${words}: swing`,
          ...quantiles(
            measured.map((m) => m.swing),
            percent,
          ),
        ],
        [
          `${words}: peak utilisation`,
          ...quantiles(
            measured.map((m) => m.peak),
            percent,
          ),
        ],
      );
    }
    const about = `${lifeMs === 0 ? 'requests' : `connections of ${lifeMs / 1000} s`}`;
    console.log(table(`${count} seeds, ${about}, ${JSON.stringify(settings)}`, rows));
    return results;
  }

  it('never oscillates, over 1,000 seeds', { timeout: LONG_MS }, () => {
    const results = [...runs(700, 0, {}), ...runs(300, 20_000, {})];
    const after = results.map((each) => each.after);
    const lied = results.map((each) => each.lied);
    // While lies go on, weights follow them now and then, within limits.
    expect(
      quantile(
        lied.map((m) => m.reversals),
        0.99,
      ),
    ).toBeLessThanOrEqual(6);
    expect(
      quantile(
        lied.map((m) => m.peak),
        0.9,
      ),
    ).toBeLessThan(0.8);
    // A loop that oscillates by itself would go on when they stop; this one comes to rest.
    expect(Math.max(...after.map((m) => m.reversals))).toBeLessThanOrEqual(2);
    expect(
      quantile(
        after.map((m) => m.reversals),
        0.99,
      ),
    ).toBe(0);
    expect(Math.max(...after.map((m) => m.swing))).toBeLessThan(0.6);
    expect(Math.max(...after.map((m) => m.peak))).toBeLessThan(0.75);
  });

  it('the herd guard is what keeps it from oscillating', { timeout: LONG_MS }, () => {
    for (const lifeMs of [0, 20_000]) {
      const on = runs(20, lifeMs, { herdGuard: true }).map((each) => each.after);
      const off = runs(20, lifeMs, { herdGuard: false }).map((each) => each.after);
      expect(mean(off.map((m) => m.swing))).toBeGreaterThan(5 * mean(on.map((m) => m.swing)));
      expect(mean(off.map((m) => m.peak))).toBeGreaterThan(mean(on.map((m) => m.peak)) + 0.2);
    }
  });

  it.each(['capacity', 'least-response-time'] as const)('%s', { timeout: LONG_MS }, (algorithm) => {
    const after = runs(40, 0, { algorithm }).map((each) => each.after);
    expect(
      quantile(
        after.map((m) => m.reversals),
        0.9,
      ),
    ).toBeLessThanOrEqual(2);
    expect(Math.max(...after.map((m) => m.peak))).toBeLessThan(0.9);
  });
});

describe('a lying agent', () => {
  it.each(['even-load', 'capacity', 'least-response-time'] as const)(
    'that always says it is idle gets no more than its ceiling: %s',
    { timeout: LONG_MS },
    (algorithm) => {
      const rows = [['servers', 'ceiling', 'greatest share allowed', 'seen']];
      for (const [count, ceiling] of [
        [4, 4],
        [4, 2],
        [10, 4],
      ] as const) {
        const servers = Array.from({ length: count }, (_, i) => ({
          capacity: 1000,
          ...(i === 0 && {
            says: () => ({ cpuUtilization: 0, requestsPerSecond: 1e6, executionTimeMs: 0.001 }),
          }),
        }));
        const { samples } = simulate({
          ...QUIET,
          seed: 7,
          servers,
          settings: { algorithm, ceiling },
          connectionsPerSecond: () => 300 * count,
        });
        const allowed = ceiling / (ceiling + count - 1);
        const seen = Math.max(...samples.map(({ shares }) => shares[0]));
        rows.push([`${count}`, `${ceiling}`, percent(allowed), percent(seen)]);
        // The integers of the table are exact to a hundredth of a weight.
        expect(seen).toBeLessThanOrEqual(allowed + 0.005);
        expect(seen).toBeGreaterThan(1 / count);
      }
      console.log(table(`One of the servers always says "idle", ${algorithm}`, rows));
    },
  );
});

describe('silence', () => {
  it('brings every weight back to exactly the configured one, in steps', () => {
    const servers = CAPACITIES.map((capacity) => ({
      capacity,
      says: ((truth, timeMs) =>
        timeMs > WARM_UP_MS
          ? undefined
          : truth) satisfies SimulationOptions['servers'][number]['says'],
    }));
    const { samples } = simulate({ ...QUIET, seed: 3, servers, durationMs: 90_000 });
    const shown = samples.filter(({ timeMs }) => timeMs >= WARM_UP_MS && timeMs <= 76_000);
    const rows = shown.map(({ timeMs, weights }) => [
      `${timeMs / 1000} s`,
      ...weights.map((weight) => weight.toFixed(2)),
    ]);
    console.log(
      table('All agents fall silent at 60 s (expiry 10 s)', [['', '1', '2', '3', '4'], ...rows]),
    );
    const at = (timeMs: number) => samples.find((sample) => sample.timeMs === timeMs)!.weights;
    expect(Math.max(...at(60_000)) / Math.min(...at(60_000))).toBeGreaterThan(3);
    expect(at(85_000)).toEqual([1, 1, 1, 1]);
    samples.slice(1).forEach(({ weights }, k) => {
      weights.forEach((weight, i) => {
        const before = samples[k].weights[i];
        expect(Math.max(weight / before, before / weight)).toBeLessThanOrEqual(1.5 + 1e-9);
      });
    });
  });
});

describe('rest', () => {
  it('comes back to the configured weights where there is nothing to do any more', () => {
    // One server was busy with something else while traffic ended.
    const servers = [1, 1, 1].map((_, i) => ({
      capacity: 1000,
      foreign: (timeMs: number) => (i === 0 && timeMs > WARM_UP_MS && timeMs < 80_000 ? 0.9 : 0),
    }));
    const connectionsPerSecond = (timeMs: number) => (timeMs < 75_000 ? 1000 : 0);
    const { samples } = simulate({ ...QUIET, seed: 5, servers, connectionsPerSecond });
    const at = (timeMs: number) => samples.find((sample) => sample.timeMs === timeMs)!.weights;
    expect(at(79_000)[0]).toBeLessThan(0.3);
    for (const weight of at(119_000)) expect(Math.abs(weight - 1)).toBeLessThan(0.1);
  });

  it('weights do not drift by the chance of a few connections: capacity', () => {
    const servers = [1, 1, 1].map(() => ({ capacity: 1000 }));
    const furthest = seeds(10).map((seed) => {
      const settings = { algorithm: 'capacity' } as const;
      const world = { ...QUIET, seed, servers, settings, durationMs: 300_000 };
      const { samples } = simulate({ ...world, connectionsPerSecond: () => 20 });
      const weights = samples.flatMap((sample) => sample.weights);
      return Math.max(...weights.map((weight) => Math.abs(weight - 1)));
    });
    expect(Math.max(...furthest)).toBeLessThan(0.3);
  });
});
