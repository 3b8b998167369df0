import { describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import type { LoadFigures, LoadReport } from '../load/load-report.ts';
import { type EstimateNow, estimateLoad } from './load-estimate.ts';
import type { BackendMemory } from './service-distribution.ts';
import { DEFAULT_DISTRIBUTION } from './settings.ts';

const SETTINGS = { ...DEFAULT_DISTRIBUTION, algorithm: 'even-load' as const };
const TAKING_MS = 60_000;

const report = (sequence: number, figures: LoadFigures): LoadReport => ({
  backend: 'web/b1',
  source: 'agent',
  identity: 'b1',
  sequence,
  receivedAtMs: sequence * 1000,
  figures,
});

/** The estimate after reports of these utilisations, one per second. */
function afterReports(utilizations: readonly number[]): EstimateNow {
  let now: EstimateNow = { standing: 'none', ageMs: 0, isNew: false };
  utilizations.forEach((cpuUtilization, i) => {
    const before = { report: now.report, estimate: now.estimate } as BackendMemory;
    const each = report(i + 1, { cpuUtilization });
    now = estimateLoad(SETTINGS, each, undefined, before, 100, TAKING_MS, each.receivedAtMs);
  });
  return now;
}

describe('estimateLoad', () => {
  it('smooths', () => {
    expect(afterReports([0.5, 0.6]).estimate?.utilization).toBeCloseTo(0.53);
    expect(afterReports([0.5, 0.6, 0.6]).estimate?.utilization).toBeCloseTo(0.551);
  });

  it('believes a jump when two reports in a row show it, as far as both do', () => {
    expect(afterReports([0.5, 1]).estimate?.utilization).toBeCloseTo(0.65);
    expect(afterReports([0.5, 1, 1.2]).estimate?.utilization).toBeCloseTo(1);
    expect(afterReports([0.5, 1, 1.2, 1.2]).estimate?.utilization).toBeCloseTo(1.2);
  });

  it('does not believe a single one, nor two that contradict each other', () => {
    expect(afterReports([0.5, 1, 0.5]).estimate?.utilization).toBeCloseTo(0.605);
    const contradicted = afterReports([0.5, 1, 0]).estimate?.utilization;
    expect(Math.abs(contradicted! - 0.5)).toBeLessThan(0.06);
  });

  it('takes swings for what they are where they are usual, and still believes a jump', () => {
    const chance = new Prng(4711);
    // Few requests in a second: 20 points up or down, by chance.
    const swing = (mean: number): number => mean + (chance.below(2001) / 1000 - 1) * 0.35;
    const calm = Array.from({ length: 400 }, () => swing(0.4));
    const distances: number[] = [];
    for (let n = 100; n <= calm.length; n += 5) {
      distances.push(Math.abs(afterReports(calm.slice(0, n)).estimate!.utilization! - 0.4));
    }
    expect(Math.max(...distances)).toBeLessThan(0.2);
    const mean = distances.reduce((sum, each) => sum + each, 0) / distances.length;
    expect(mean).toBeLessThan(0.06);
    const jumped = [...calm, ...Array.from({ length: 8 }, () => swing(1.4))];
    expect(afterReports(jumped).estimate!.utilization).toBeGreaterThan(1);
  });

  it('counts each report once', () => {
    const first = afterReports([0.5]);
    const again = estimateLoad(
      SETTINGS,
      report(1, { cpuUtilization: 0.5 }),
      undefined,
      { report: first.report, estimate: first.estimate } as BackendMemory,
      500,
      TAKING_MS,
      2000,
    );
    expect(again.isNew).toBe(false);
    expect(again.estimate).toBe(first.estimate);
  });

  it('forgets after the expiry', () => {
    const each = report(1, { cpuUtilization: 0.5 });
    const at = (nowMs: number) =>
      estimateLoad(SETTINGS, each, undefined, undefined, 100, TAKING_MS, nowMs);
    expect(at(11_000)).toMatchObject({ standing: 'usable', ageMs: 10_000 });
    expect(at(11_001)).toEqual({ standing: 'expired', ageMs: 10_001, isNew: false });
  });

  it('does not use the reports of a newcomer', () => {
    const each = report(1, { cpuUtilization: 0 });
    const at = (takingMs: number) =>
      estimateLoad(SETTINGS, each, undefined, undefined, 100, takingMs, 1000);
    expect(at(9_999)).toEqual({ standing: 'blackout', ageMs: 0, isNew: false });
    expect(at(10_000).standing).toBe('usable');
  });

  it('takes a report from the future for new: the clock is that of an earlier process', () => {
    const each = report(5, { cpuUtilization: 0.5 });
    expect(estimateLoad(SETTINGS, each, undefined, undefined, 1, TAKING_MS, 0).ageMs).toBe(0);
  });

  it('needs no report for the response time that the data plane measures', () => {
    const settings = { ...SETTINGS, algorithm: 'least-response-time' as const };
    const now = estimateLoad(settings, undefined, 12, undefined, 100, TAKING_MS, 0);
    expect(now).toMatchObject({ standing: 'none', isNew: true, estimate: { timeMs: 12 } });
    for (const newcomer of [
      estimateLoad(SETTINGS, undefined, 12, undefined, 100, TAKING_MS, 0),
      estimateLoad(settings, undefined, 12, undefined, 100, 9_999, 0),
    ]) {
      expect(newcomer.estimate).toBeUndefined();
    }
  });
});
