import { describe, expect, it } from 'vitest';
import {
  backendInput,
  exactWeightsOf,
  loadReport,
  SynthesisRun,
  weightsOf,
} from '../../test/support/synthesis-fixture.ts';
import type { BackendInput } from './synthesis.ts';

const cpu = (atMs: number, cpuUtilization: number) => loadReport(atMs, { cpuUtilization });

describe('static', () => {
  it('has exactly the configured weights', () => {
    const run = new SynthesisRun();
    const output = run.next([
      backendInput('a', { configuredWeight: 3 }),
      backendInput('b'),
      backendInput('c', { configuredWeight: 0 }),
    ]);
    expect(weightsOf(output)).toEqual([3, 1, 0]);
    expect(output.backends.map(({ share }) => share)).toEqual([0.75, 0.25, 0]);
    expect(output).toMatchObject({ isPanic: false, usesFallback: false, changed: true });
  });

  it('takes no notice of load', () => {
    const run = new SynthesisRun();
    const output = run.repeat(30, (now) => [
      backendInput('a', { report: cpu(now, 1) }),
      backendInput('b', { report: cpu(now, 0) }),
    ]);
    expect(weightsOf(output)).toEqual([1, 1]);
  });

  it('takes the weight of the operator instead, slowly when it is more', () => {
    const run = new SynthesisRun();
    run.next([backendInput('a'), backendInput('b')]);
    const raised = [backendInput('a', { operatorWeight: 3 }), backendInput('b')];
    expect(exactWeightsOf(run.next(raised))).toEqual([1, 1]);
    expect(exactWeightsOf(run.repeat(5, () => raised))).toEqual([2, 1]);
    expect(weightsOf(run.repeat(5, () => raised))).toEqual([3, 1]);
    expect(weightsOf(run.next([backendInput('a'), backendInput('b')]))).toEqual([1, 1]);
  });

  it('honours what a server asks for, in steps, and forgets it after the expiry', () => {
    const run = new SynthesisRun();
    const both = (report?: BackendInput['report']) => [
      backendInput('a', { report }),
      backendInput('b'),
    ];
    run.next(both());
    const asks = loadReport(2000, {}, { weightPercent: 50 });
    expect(exactWeightsOf(run.next(both(asks)))).toEqual([0.667, 1]);
    expect(exactWeightsOf(run.next(both(asks)))).toEqual([0.5, 1]);
    expect(exactWeightsOf(run.repeat(9, () => both(asks)))).toEqual([0.5, 1]);
    expect(exactWeightsOf(run.next(both(asks)))).toEqual([0.75, 1]);
    expect(weightsOf(run.next(both(asks)))).toEqual([1, 1]);
  });

  it('obeys weight 0 and drain at once, and says which connection limit was asked for', () => {
    const run = new SynthesisRun();
    const zero = loadReport(1000, {}, { weight: 0, connectionLimit: 7 });
    const drain = loadReport(1000, {}, { administrative: 'drain' });
    const backends = [
      backendInput('a', { report: zero }),
      backendInput('b', { report: drain }),
      backendInput('c'),
    ];
    const output = run.next(backends);
    expect(weightsOf(output)).toEqual([0, 0, 1]);
    expect(output.backends.map((each) => each.connectionLimit)).toEqual([7, undefined, undefined]);
    // The weight lapses; the drain is only taken back by who asked for it.
    const later = run.repeat(30, () => backends);
    expect(later.backends[0].weight).toBeGreaterThan(0);
    expect(later.backends[1].weight).toBe(0);
  });
});

describe('availability', () => {
  it('gives a backend that comes back its weight little by little', () => {
    const run = new SynthesisRun({ slowStartMs: 4000 });
    const with_ = (health: BackendInput['health']) => [
      backendInput('a', { configuredWeight: 10, health }),
      backendInput('b', { configuredWeight: 10 }),
    ];
    run.next(with_('up'));
    expect(weightsOf(run.next(with_('down')))).toEqual([0, 10]);
    const courses = [1, 2, 3, 4, 5].map(() => exactWeightsOf(run.next(with_('up'))));
    expect(courses).toEqual([
      [0, 10],
      [2.5, 10],
      [5, 10],
      [7.5, 10],
      [10, 10],
    ]);
    expect(weightsOf(run.next(with_('up')))).toEqual([10, 10]);
  });

  it('begins the return with next to nothing in the table', () => {
    const run = new SynthesisRun();
    run.next([backendInput('a', { health: 'down' }), backendInput('b')]);
    const { backends } = run.next([backendInput('a'), backendInput('b')]);
    expect(backends[0].weight).toBe(1);
    expect(backends[0].share).toBeLessThan(0.011);
  });

  it('is empty when everything is down and there is no panic', () => {
    const run = new SynthesisRun({ panicThreshold: 0 });
    const output = run.next([backendInput('a', { health: 'down' })]);
    expect(weightsOf(output)).toEqual([0]);
    expect(output.backends[0].share).toBe(0);
    expect(new SynthesisRun().next([]).backends).toEqual([]);
  });
});

describe('changed', () => {
  it('is false when the table would stay the same', () => {
    const run = new SynthesisRun();
    const backends = [backendInput('a'), backendInput('b')];
    expect(run.next(backends).changed).toBe(true);
    expect(run.next(backends).changed).toBe(false);
    expect(run.next([...backends].reverse()).changed).toBe(true);
    expect(run.next(backends.slice(0, 1)).changed).toBe(true);
    const limited = loadReport(1, {}, { connectionLimit: 5 });
    expect(run.next([backendInput('a', { report: limited })]).changed).toBe(true);
  });
});

describe('feedback', () => {
  const two = (now: number, busy: number, idle: number) => [
    backendInput('a', { report: cpu(now, busy) }),
    backendInput('b', { report: cpu(now, idle) }),
  ];

  it('waits for the blackout, then moves by the largest step at most', () => {
    const run = new SynthesisRun({ algorithm: 'even-load' });
    expect(exactWeightsOf(run.repeat(10, (now) => two(now, 0.9, 0.1)))).toEqual([1, 1]);
    const [a, b] = exactWeightsOf(run.next(two(11_000, 0.9, 0.1)));
    expect(a).toBe(0.667);
    expect(b).toBe(1.5);
  });

  it('keeps backends without reports at their weight, and the mean of the others at theirs', () => {
    const run = new SynthesisRun({ algorithm: 'even-load', deadBand: 0 });
    const output = run.repeat(40, (now) => [...two(now, 0.6, 0.4), backendInput('c')]);
    const [a, b, c] = output.backends.map(({ exactWeight }) => exactWeight);
    expect(c).toBe(1);
    expect(a).toBeLessThan(1);
    expect(a + b).toBeCloseTo(2);
  });

  it('does not move for less than the dead band', () => {
    const run = new SynthesisRun({ algorithm: 'even-load', deadBand: 0.2 });
    expect(exactWeightsOf(run.repeat(30, (now) => two(now, 0.52, 0.48)))).toEqual([1, 1]);
  });

  it('raises a weight once for each report', () => {
    const run = new SynthesisRun({ algorithm: 'even-load' });
    run.repeat(11, (now) => two(now, 0.9, 0.1));
    const stale = two(11_000, 0.9, 0.1);
    expect(exactWeightsOf(run.next(stale))[1]).toBe(1.5);
    expect(exactWeightsOf(run.next(stale))[1]).toBe(1.5);
    expect(exactWeightsOf(run.next(two(14_000, 0.9, 0.1)))[1]).toBe(1.6);
    const unguarded = new SynthesisRun({ algorithm: 'even-load', herdGuard: false });
    unguarded.repeat(11, (now) => two(now, 0.9, 0.1));
    expect(exactWeightsOf(unguarded.next(stale))[1]).toBe(1.6);
  });

  it('needs the figures of the algorithm, else leaves the configured weight', () => {
    for (const algorithm of ['even-load', 'capacity', 'least-response-time'] as const) {
      const run = new SynthesisRun({ algorithm });
      const output = run.repeat(20, (now) => [
        backendInput('a', { report: loadReport(now, { clients: 5 }) }),
        backendInput('b', { report: loadReport(now, { memoryUtilization: 1 }) }),
      ]);
      expect(weightsOf(output)).toEqual([100, 100]);
    }
  });

  it('capacity: weights as requests per second over utilisation', () => {
    const run = new SynthesisRun({ algorithm: 'capacity', deadBand: 0 });
    const output = run.repeat(40, (now) => [
      backendInput('a', {
        report: loadReport(now, { requestsPerSecond: 100, cpuUtilization: 0.45 }),
      }),
      backendInput('b', {
        report: loadReport(now, { requestsPerSecond: 300, cpuUtilization: 0.45 }),
      }),
    ]);
    expect(exactWeightsOf(output)).toEqual([0.5, 1.5]);
  });

  it('least-response-time: by the times that the data plane measures, without any agent', () => {
    const run = new SynthesisRun({ algorithm: 'least-response-time', deadBand: 0 });
    const output = run.repeat(40, () => [
      backendInput('a', { answerTimeMs: 30 }),
      backendInput('b', { answerTimeMs: 10 }),
    ]);
    const [a, b] = output.backends.map(({ exactWeight }) => exactWeight);
    expect(b / a).toBeCloseTo(3, 1);
  });

  it('does not let a backend rise by a word that its answers belie', () => {
    const run = new SynthesisRun({ algorithm: 'even-load' });
    const output = run.repeat(40, (now) => [
      backendInput('a', { report: cpu(now, 0.05), answerTimeMs: 400 }),
      backendInput('b', { report: cpu(now, 0.6), answerTimeMs: 5 }),
      backendInput('c', { report: cpu(now, 0.6), answerTimeMs: 5 }),
    ]);
    expect(output.backends[0].exactWeight).toBe(1);
    expect(output.backends[0].reasons.map(({ code }) => code)).toContain('distrusted');
  });

  it('goes on where it was when control is started again', () => {
    const run = new SynthesisRun({ algorithm: 'even-load' });
    const before = exactWeightsOf(run.repeat(30, (now) => two(now, 0.7, 0.4)));
    // The clock of the new process began anew; its first reports have not come yet.
    run.nowMs = 0;
    const after = run.next([backendInput('a'), backendInput('b')]);
    expect(before[0]).toBeLessThan(0.8);
    expect(after.backends[0].exactWeight).toBeGreaterThan(before[0]);
    expect(after.backends[0].exactWeight).toBeLessThan(before[0] * 1.501);
  });
});
