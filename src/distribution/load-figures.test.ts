import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadFigures } from '../load/load-report.ts';
import { loadSample, loadTexts, rounded } from './load-figures.ts';

const utilization = (figures: LoadFigures) => loadSample(figures, 1).utilization;

describe('utilisation', () => {
  it.each([
    ['the CPU', { cpuUtilization: 0.4 }, 0.4],
    ['the application before the CPU', { cpuUtilization: 0.4, applicationUtilization: 0.7 }, 0.7],
    ['no pressure while CPUs are free', { cpuUtilization: 0.5, cpuPressure: 0.8 }, 0.5],
    ['a quarter of the pressure when they are full', { cpuUtilization: 1, cpuPressure: 0.8 }, 1.2],
    ['half of that half way', { cpuUtilization: 0.95, cpuPressure: 0.8 }, 1.05],
    ['twice the memory pressure, if more', { cpuUtilization: 0.2, memoryPressure: 0.3 }, 0.6],
    ['not how full the memory is', { cpuUtilization: 0.2, memoryUtilization: 1 }, 0.2],
    ['not what disks do', { cpuUtilization: 0.2, ioPressure: 1 }, 0.2],
    [
      'errors per request',
      { cpuUtilization: 0.2, requestsPerSecond: 100, errorsPerSecond: 30 },
      0.5,
    ],
    ['errors without requests', { cpuUtilization: 0.2, errorsPerSecond: 30 }, 1.2],
    ['at most twice full', { applicationUtilization: 1000 }, 2],
  ] as [string, LoadFigures, number][])('is %s', (_, figures, expected) => {
    expect(utilization(figures)).toBeCloseTo(expected, 10);
  });

  it('is absent when neither CPU nor application is known', () => {
    expect(loadSample({ memoryPressure: 0.5, memoryUtilization: 1 }, 1)).toEqual({});
  });
});

describe('rate and time', () => {
  it('prefer requests to connections, and execution to the first answer', () => {
    const figures = { requestsPerSecond: 9, connectionsPerSecond: 2, executionTimeMs: 5 };
    expect(loadSample(figures, 1, 70)).toEqual({ rate: 9, timeMs: 5 });
    expect(loadSample({ connectionsPerSecond: 2 }, 1, 70)).toEqual({ rate: 2, timeMs: 70 });
    expect(loadSample({ requestsPerSecond: 0, executionTimeMs: 0 }, 1)).toEqual({});
  });
});

describe('loadTexts', () => {
  it('names what figures were made from', () => {
    const figures = {
      cpuUtilization: 0.97,
      cpuPressure: 0.4,
      requestsPerSecond: 1234,
      errorsPerSecond: 617,
    };
    expect(loadTexts(figures, 1, 12.345)).toEqual({
      utilization:
        'CPU 97 %, tasks waiting for a CPU 40 % of the time, errors 50 % of the requests',
      rate: '1234 requests/s',
      time: 'first answers after 12.3 ms',
    });
  });
});

it('is total: figures in range or absent, whatever the report holds', () => {
  const any = fc.option(fc.oneof(fc.double(), fc.constant(Number.POSITIVE_INFINITY)), {
    nil: undefined,
  });
  const names = [
    'cpuUtilization',
    'applicationUtilization',
    'cpuPressure',
    'memoryPressure',
    'requestsPerSecond',
    'connectionsPerSecond',
    'errorsPerSecond',
    'executionTimeMs',
  ];
  const figures = fc.record(Object.fromEntries(names.map((name) => [name, any])));
  fc.assert(
    fc.property(figures, fc.double(), (each, penalty) => {
      const sample = loadSample(each as LoadFigures, penalty);
      for (const value of Object.values(sample)) {
        expect(Number.isFinite(value)).toBe(true);
        expect(value).toBeGreaterThanOrEqual(0);
      }
      expect(sample.utilization ?? 0).toBeLessThanOrEqual(2);
    }),
  );
});

it.each([
  [0.012345, '0.0123'],
  [4.567, '4.57'],
  [812.4, '812'],
  [123_456, '123456'],
  [0, '0'],
])('%d is written %s', (value, text) => {
  expect(rounded(value)).toBe(text);
});

it('a rate too small to reckon with is none: it would make a factor of 0, and no number of a sum', () => {
  expect(loadSample({ requestsPerSecond: 5e-324 }, 1).rate).toBeUndefined();
  expect(loadTexts({ requestsPerSecond: 5e-324 }, 1).rate).toBe('');
  expect(loadSample({ requestsPerSecond: 0.01 }, 1).rate).toBe(0.01);
});
