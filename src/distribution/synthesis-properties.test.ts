// What holds of the synthesis for any reports, health and settings, over several periods.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LoadReport } from '../load/load-report.ts';
import { DISTRIBUTION_ALGORITHMS, type DistributionSettings } from './settings.ts';
import { type BackendInput, type ServiceMemory, synthesize } from './synthesis.ts';

const NAMES = ['a', 'b', 'c', '__proto__'];

const figure = fc.option(
  fc.oneof(fc.double({ min: 0, max: 2, noNaN: true }), fc.double(), fc.constant(0)),
  { nil: undefined },
);
const settings = fc.record({
  algorithm: fc.constantFrom(...DISTRIBUTION_ALGORITHMS),
  smoothing: fc.double({ min: 0.01, max: 1, noNaN: true }),
  deadBand: fc.double({ min: 0, max: 0.5, noNaN: true }),
  largestStep: fc.double({ min: 1.01, max: 10, noNaN: true }),
  floor: fc.double({ min: 0.01, max: 1, noNaN: true }),
  ceiling: fc.double({ min: 1, max: 10, noNaN: true }),
  blackoutMs: fc.constantFrom(0, 2000),
  expiryMs: fc.constantFrom(500, 5000),
  errorPenalty: fc.double({ min: 0, max: 5, noNaN: true }),
  herdGuard: fc.boolean(),
  slowStartMs: fc.constantFrom(0, 3000),
  panicThreshold: fc.constantFrom(0, 0.5, 1),
});
const wish = fc.record(
  {
    weightPercent: fc.double({ min: 0, max: 10_000, noNaN: true }),
    weight: fc.integer({ min: 0, max: 256 }),
    administrative: fc.constantFrom('ready' as const, 'drain' as const, 'maint' as const),
    operational: fc.constantFrom('up' as const, 'down' as const),
  },
  { requiredKeys: [] },
);
const report: fc.Arbitrary<LoadReport> = fc.record({
  backend: fc.constant('web/b'),
  source: fc.constant('agent' as const),
  identity: fc.constant('b'),
  sequence: fc.nat(20),
  receivedAtMs: fc.integer({ min: 0, max: 12_000 }),
  figures: fc.record({
    cpuUtilization: figure,
    applicationUtilization: figure,
    memoryPressure: figure,
    requestsPerSecond: figure,
    errorsPerSecond: figure,
    executionTimeMs: figure,
  }),
  wish: fc.option(wish, { nil: undefined }),
}) as fc.Arbitrary<LoadReport>;
const backend = (name: string): fc.Arbitrary<BackendInput> =>
  fc.record({
    name: fc.constant(name),
    configuredWeight: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 65_535 })),
    operatorWeight: fc.option(fc.integer({ min: 0, max: 65_535 }), { nil: undefined }),
    isFallback: fc.boolean(),
    health: fc.constantFrom('up' as const, 'up' as const, 'down' as const, 'unchecked' as const),
    administrative: fc.constantFrom(
      'ready' as const,
      'ready' as const,
      'drain' as const,
      'maintenance' as const,
    ),
    report: fc.option(report, { nil: undefined }),
    activeConnections: fc.nat(100_000),
    begunConnections: fc.nat(1_000_000),
    answerTimeMs: figure,
  }) as fc.Arbitrary<BackendInput>;
const backends = fc
  .shuffledSubarray(NAMES)
  .chain((names) => fc.tuple(...names.map(backend)) as fc.Arbitrary<BackendInput[]>);
const course = fc.array(backends, { minLength: 1, maxLength: 8 });

function freezeDeeply<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const each of Object.values(value)) freezeDeeply(each);
  }
  return value;
}

function check(
  all: DistributionSettings,
  inputs: readonly BackendInput[],
  memory?: ServiceMemory,
  nowMs = 0,
) {
  // Frozen: a change of an input would throw.
  const output = synthesize(all, freezeDeeply(inputs), memory && freezeDeeply(memory), nowMs);
  const words = JSON.stringify(output);
  expect(words).toBe(JSON.stringify(synthesize(all, inputs, memory, nowMs)));
  expect(JSON.parse(JSON.stringify(output.next))).toEqual(output.next);
  expect(words).not.toMatch(/null|NaN|Infinity|undefined/);
  let shares = 0;
  output.backends.forEach(({ name, weight, exactWeight, share, reasons }, i) => {
    const input = inputs[i];
    const base = input.operatorWeight ?? input.configuredWeight;
    expect(name).toBe(input.name);
    expect(Number.isInteger(weight) && weight >= 0 && weight <= 65_535).toBe(true);
    expect(exactWeight).toBeLessThanOrEqual(base * all.ceiling * (1 + 1e-9));
    const kept = output.next.backends[i];
    if (weight > 0 && kept.slowStart === undefined) {
      expect(exactWeight).toBeGreaterThanOrEqual(base * all.floor * (1 - 1e-9));
    }
    if (input.administrative !== 'ready' || base === 0) expect(weight).toBe(0);
    expect(reasons.at(-1)?.code).toBe('result');
    shares += share;
  });
  const isSomebodyUp = inputs.some(
    (each) =>
      each.health === 'up' &&
      each.administrative === 'ready' &&
      (each.operatorWeight ?? each.configuredWeight) > 0 &&
      each.report?.wish === undefined,
  );
  const isUsed = output.backends.some(({ weight }) => weight > 0);
  if (isSomebodyUp) expect(isUsed).toBe(true);
  expect(shares).toBeCloseTo(isUsed ? 1 : 0);
  return output.next;
}

it('weights keep their bounds, somebody is used, nothing is changed, all is repeatable', () => {
  fc.assert(
    fc.property(settings, course, (all, periods) => {
      let memory: ServiceMemory | undefined;
      periods.forEach((inputs, i) => {
        memory = check(all, inputs, memory, (i + 1) * 1000);
      });
    }),
    { numRuns: 400 },
  );
});

it('is total: settings that no configuration lets through do no harm either', () => {
  const any = fc.double();
  const wild = fc.record({
    algorithm: fc.constantFrom(...DISTRIBUTION_ALGORITHMS),
    smoothing: any,
    deadBand: any,
    largestStep: any,
    floor: any,
    ceiling: any,
    blackoutMs: any,
    expiryMs: any,
    errorPenalty: any,
    herdGuard: fc.boolean(),
    slowStartMs: any,
    panicThreshold: any,
  });
  fc.assert(
    fc.property(wild, course, (all, periods) => {
      let memory: ServiceMemory | undefined;
      periods.forEach((inputs, i) => {
        const output = synthesize(all, inputs, memory, i * 1000);
        memory = output.next;
        for (const { weight } of output.backends) {
          expect(Number.isInteger(weight) && weight >= 0 && weight <= 65_535).toBe(true);
        }
      });
    }),
  );
});
