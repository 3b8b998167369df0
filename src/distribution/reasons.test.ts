import { describe, expect, it } from 'vitest';
import { backendInput, loadReport, SynthesisRun } from '../../test/support/synthesis-fixture.ts';
import type { BackendInput, ServiceOutput } from './synthesis.ts';

const textsOf = (output: ServiceOutput, index = 0) =>
  output.backends[index].reasons.map(({ text }) => text);
const codesOf = (output: ServiceOutput, index = 0) =>
  output.backends[index].reasons.map(({ code }) => code);
const cpu = (atMs: number, cpuUtilization: number) => loadReport(atMs, { cpuUtilization });

/** What is said of the first backend in a static service whose backends are these. */
function said(...backends: Partial<BackendInput>[]): string[] {
  const inputs = backends.map((changes, i) => backendInput(`b${i}`, changes));
  return textsOf(new SynthesisRun().next(inputs));
}

describe('reasons of availability', () => {
  it.each([
    ['healthy', [{}], ['configured weight 1', 'weight 1, 100.0 % of new connections']],
    [
      'the weight of the operator',
      [{ operatorWeight: 3 }, {}],
      ['weight 3 set by the operator, configured is 1', 'weight 3, 75.0 % of new connections'],
    ],
    [
      'down',
      [{ health: 'down' }, {}],
      ['configured weight 1', 'its health checks fail', 'takes no new connection'],
    ],
    [
      'drained',
      [{ administrative: 'drain' }],
      ['configured weight 1', 'it is drained', 'takes no new connection'],
    ],
    [
      'drained by the server',
      [{ report: loadReport(400, {}, { administrative: 'drain' }) }],
      [
        'configured weight 1',
        'agent agent-1, 0.6 s ago: asks to be drained',
        'takes no new connection',
      ],
    ],
    [
      'down by the server',
      [{ report: loadReport(400, {}, { operational: 'down', reason: 'disk full' }) }, {}],
      [
        'configured weight 1',
        'agent agent-1, 0.6 s ago: says that it is down (disk full)',
        'takes no new connection',
      ],
    ],
    [
      'panic',
      [{ health: 'down' }, { health: 'down' }, {}],
      [
        'configured weight 1',
        '1 of 3 backends healthy, less than 50 %: all are used, also this one',
        'weight 1, 33.3 % of new connections',
      ],
    ],
    [
      'the fallback',
      [{ isFallback: true }, { administrative: 'drain' }],
      [
        'configured weight 1',
        'no other backend can take connections: the fallback does',
        'weight 1, 100.0 % of new connections',
      ],
    ],
    [
      'a weight of 0',
      [{ configuredWeight: 0 }],
      ['configured weight 0', 'a weight of 0 takes no new connection', 'takes no new connection'],
    ],
  ] as [string, Partial<BackendInput>[], string[]][])('%s', (_, backends, expected) => {
    expect(said(...backends)).toEqual(expected);
  });
});

describe('reasons of feedback', () => {
  const two = (now: number, busy: number, idle: number) => [
    backendInput('a', { report: cpu(now - 200, busy) }),
    backendInput('b', { report: cpu(now - 200, idle) }),
  ];

  it('lead from the report to the weight', () => {
    const run = new SynthesisRun({ algorithm: 'even-load' });
    const output = run.repeat(11, (now) => two(now, 0.82, 0.28));
    expect(textsOf(output)).toEqual([
      'configured weight 1',
      'agent agent-1, 0.2 s ago: CPU 82 %, mean of the servers 55 %',
      'smoothed 82 %',
      'wanted 0.55',
      'step from 1 limited to 0.667',
      'weight 0.667, 31.6 % of new connections',
    ]);
    expect(codesOf(output)).toEqual([
      'configured-weight',
      'report',
      'smoothed',
      'wanted',
      'step-limited',
      'result',
    ]);
    expect(output.backends[0].reasons[3]).toMatchObject({ wanted: expect.closeTo(0.55, 2) });
  });

  it('say why a report is not used', () => {
    const run = new SynthesisRun({ algorithm: 'even-load' });
    expect(textsOf(run.repeat(4, (now) => two(now, 0.9, 0.1)))[1]).toBe(
      'agent agent-1, 0.2 s ago: not used for another 7.0 s, a newcomer',
    );
    expect(codesOf(run.next([backendInput('a'), backendInput('b')]))).toContain('no-report');
    const clients = run.repeat(10, (now) => [
      backendInput('a', { report: loadReport(now, { clients: 5 }) }),
      backendInput('b'),
    ]);
    expect(textsOf(clients)[1]).toBe(
      'agent agent-1, 0.0 s ago: without the figures that even-load needs',
    );
  });

  it('say how a silent backend returns', () => {
    const run = new SynthesisRun({ algorithm: 'even-load' });
    run.repeat(14, (now) => two(now, 0.9, 0.1));
    const silent = two(14_000, 0.9, 0.1);
    const output = run.repeat(10, () => silent);
    expect(codesOf(output)).toEqual(['configured-weight', 'expired', 'returning', 'result']);
    expect(textsOf(output)[1]).toBe('agent agent-1, 10.2 s ago: older than 10.0 s, counts no more');
    expect(codesOf(run.repeat(10, () => silent))).toEqual([
      'configured-weight',
      'expired',
      'result',
    ]);
  });

  it('say when a change is not worth it, and when it waits for a report', () => {
    const run = new SynthesisRun({ algorithm: 'even-load', largestStep: 1.1 });
    const steady = run.repeat(12, (now) => two(now, 0.51, 0.49));
    expect(textsOf(steady).at(-2)).toBe('stays 1: differs by less than 5 %');
    const moved = run.repeat(1, (now) => two(now, 0.9, 0.1));
    expect(codesOf(moved, 1)).not.toContain('awaits-report');
    expect(codesOf(run.next(two(13_000, 0.9, 0.1)), 1)).toContain('awaits-report');
  });

  it('name the ceiling', () => {
    const run = new SynthesisRun({ algorithm: 'even-load', ceiling: 1.2 });
    const output = run.repeat(12, (now) => two(now, 0.9, 0.1));
    expect(textsOf(output, 1)).toContainEqual(expect.stringMatching(/^wanted 1\.09/));
  });

  it('tell of foreign load and of own assignments since', () => {
    const run = new SynthesisRun({ algorithm: 'even-load' });
    run.repeat(20, (now) => two(now, 0.4, 0.4));
    const jumped = run.repeat(3, (now) => two(now, 0.95, 0.4));
    expect(textsOf(jumped)).toContainEqual(
      expect.stringMatching(/^of which perhaps \d+ % is not from our connections$/),
    );
    const flooded = run.next([
      backendInput('a', { report: cpu(23_800, 0.95), begunConnections: 500 }),
      backendInput('b', { report: cpu(22_800, 0.4), begunConnections: 500 }),
    ]);
    expect(textsOf(flooded, 1)).toContainEqual(
      expect.stringMatching(/^carries [\d.]+ times what it did then: counted as \d+ %$/),
    );
  });

  it('tell of slow start and of wishes', () => {
    const run = new SynthesisRun();
    run.next([backendInput('a', { health: 'down' }), backendInput('b')]);
    const asks = loadReport(1500, {}, { weightPercent: 50 });
    run.next([backendInput('a', { report: asks }), backendInput('b')]);
    const output = run.next([backendInput('a', { report: asks }), backendInput('b')]);
    expect(textsOf(output)).toEqual([
      'configured weight 1',
      'agent agent-1, 1.5 s ago: asks for weight 50 %',
      'slow start, 1.0 s of 10.0 s: 0.05 of 0.5',
      'weight 0.05, 4.8 % of new connections',
    ]);
  });

  it('tell the figures that each algorithm goes by', () => {
    const figures = { cpuUtilization: 0.5, requestsPerSecond: 120, executionTimeMs: 41.5 };
    const textOf = (algorithm: 'capacity' | 'least-response-time') =>
      textsOf(
        new SynthesisRun({ algorithm }).repeat(11, (now) => [
          backendInput('a', { report: loadReport(now, figures) }),
        ]),
      )[1];
    expect(textOf('capacity')).toBe(
      'agent agent-1, 0.0 s ago: 120 requests/s at CPU 50 %, mean of the servers 50 %',
    );
    expect(textOf('least-response-time')).toBe(
      'agent agent-1, 0.0 s ago: requests take 41.5 ms, mean of the servers 41.5 ms',
    );
  });
});
