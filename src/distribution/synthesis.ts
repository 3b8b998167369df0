// The heart of the master: from reports, health, the operator's will and what was before, the
// distribution of one service's new connections. A pure function: no clock, no chance, no I/O, and
// nothing that it is given is changed, so that a simulator can run years of it in seconds and the
// same inputs always explain the same weights.
//
//   configured or operator's weight ─▶ who may take connections at all   availability.ts
//   reports ─▶ one utilisation, rate, time ─▶ smoothed                   load-figures, load-estimate
//   own assignments since ─▶ what each backend carries                   herd-guard.ts
//   ─▶ what each should get      even-load, capacity, least-response-time
//   ─▶ floor, ceiling, step, dead band, slow start                       limits, slow-start
//   ─▶ integers for the table, and reasons                               table-weights, reasons
//
// Invariant: weights are integers from 0 to 65535; a backend that may take connections has at least
// 1; one that must not has 0. exactWeight = base × feedback × wish, slowed after a return.

import { type Availability, availabilityOf, isTaking } from './availability.ts';
import type { Derivation } from './derivation.ts';
import { feedBack } from './feedback.ts';
import { assign, begunPerSecond, carried, connectionLifeMs } from './herd-guard.ts';
import { boundsOf, clamp, step } from './limits.ts';
import { estimateLoad } from './load-estimate.ts';
import { reasonsOf } from './reasons.ts';
import type {
  BackendInput,
  BackendMemory,
  BackendOutput,
  ServiceMemory,
  ServiceOutput,
} from './service-distribution.ts';
import type { DistributionSettings } from './settings.ts';
import { continueSlowStart, slowedWeight } from './slow-start.ts';
import { MAX_TABLE_WEIGHT, tableWeights } from './table-weights.ts';
import { administrativeOf, healthOf, wishedFactor, wishedLimit } from './wish.ts';

export type {
  BackendInput,
  BackendMemory,
  BackendOutput,
  Reason,
  ServiceMemory,
  ServiceOutput,
} from './service-distribution.ts';
export type { DistributionSettings } from './settings.ts';

/**
 * @param settings the service's
 * @param backends all of the service, in the order of its configuration; names are unique
 * @param previous `next` of the synthesis before, or undefined at the first
 * @param nowMs the clock of `LoadReport.receivedAtMs`
 * @returns one output for each backend, in the same order
 */
export function synthesize(
  settings: DistributionSettings,
  backends: readonly BackendInput[],
  previous: ServiceMemory | undefined,
  nowMs: number,
): ServiceOutput {
  const elapsedMs = previous === undefined ? 0 : Math.max(0, nowMs - previous.atMs);
  const memories = memoriesOf(backends, previous);
  const rate = begunPerSecond(backends, memories, previous, elapsedMs);
  const lifeMs = connectionLifeMs(backends, rate);
  const { derivations, availability } = gather(
    { settings, previous, memories, elapsedMs, lifeMs, nowMs },
    backends,
  );
  feedBack(
    settings,
    derivations.filter((each) => each.isTaking),
  );
  for (const derivation of derivations) weigh(settings, derivation, previous, elapsedMs);
  toTable(settings, derivations);
  const next: ServiceMemory = {
    atMs: nowMs,
    begunPerSecond: rate,
    backends: derivations.map(memoryOf),
  };
  return {
    backends: derivations.map((each) => outputOf(settings, each, availability)),
    isPanic: availability.isPanic,
    usesFallback: availability.usesFallback,
    changed: isChanged(next, previous),
    next,
  };
}

/** By the backends' places, where they are the same ones as before. */
function memoriesOf(
  backends: readonly BackendInput[],
  previous: ServiceMemory | undefined,
): readonly (BackendMemory | undefined)[] {
  const old = previous?.backends ?? [];
  if (old.length === backends.length && old.every(({ name }, n) => name === backends[n].name)) {
    return old;
  }
  const byName = new Map(old.map((memory) => [memory.name, memory]));
  return backends.map(({ name }) => byName.get(name));
}

interface Moment {
  readonly settings: DistributionSettings;
  readonly previous: ServiceMemory | undefined;
  /** Of the backends, in their order. */
  readonly memories: readonly (BackendMemory | undefined)[];
  readonly elapsedMs: number;
  readonly lifeMs: number;
  readonly nowMs: number;
}

/** Who takes connections, and what is known of each one's load. */
function gather(moment: Moment, backends: readonly BackendInput[]) {
  const { settings, previous, memories, nowMs } = moment;
  const candidates = backends.map((backend) => {
    const baseWeight = clampWeight(backend.operatorWeight ?? backend.configuredWeight);
    const wished = wishedFactor(settings, backend.report, baseWeight, nowMs);
    return {
      isFallback: backend.isFallback,
      health: healthOf(settings, backend, nowMs),
      administrative: administrativeOf(backend),
      baseWeight: wished === 0 ? 0 : baseWeight,
      configured: baseWeight,
      wished,
    };
  });
  const availability = availabilityOf(candidates, settings.panicThreshold);
  const inUse = (previous?.backends ?? []).filter((memory) => memory.isTaking);
  const total = inUse.reduce((sum, memory) => sum + memory.exactWeight, 0);
  const meanWeight = total > 0 ? total / inUse.length : 1;
  const derivations = backends.map((input, i): Derivation => {
    const before = memories[i];
    const { configured: baseWeight, wished } = candidates[i];
    const standing = availability.standings[i];
    return derive(
      moment,
      { input, before, baseWeight, wishedFactor: wished, standing },
      meanWeight,
    );
  });
  return { derivations, availability };
}

function derive(
  moment: Moment,
  known: Pick<Derivation, 'input' | 'before' | 'baseWeight' | 'wishedFactor' | 'standing'>,
  meanWeight: number,
): Derivation {
  const { settings, elapsedMs, lifeMs, nowMs } = moment;
  const { input, before } = known;
  const taking = isTaking(known.standing);
  const takingMs = taking && before?.isTaking ? before.takingMs + elapsedMs : 0;
  const weightPart = before?.isTaking ? before.exactWeight / meanWeight : 1;
  const assignments = assign(input, before, weightPart, lifeMs, elapsedMs);
  const now = carried(assignments);
  // A report came somewhere between the synthesis before and this one.
  const sinceReportMs = clamp(nowMs - (input.report?.receivedAtMs ?? nowMs), 0, elapsedMs);
  const then = before === undefined ? now : carried(before);
  const atReport = elapsedMs > 0 ? now + ((then - now) * sinceReportMs) / elapsedMs : now;
  const load = estimateLoad(
    settings,
    input.report,
    input.answerTimeMs,
    before?.isTaking ? before : undefined,
    atReport,
    takingMs,
    nowMs,
  );
  return {
    input,
    before,
    baseWeight: known.baseWeight,
    wishedFactor: known.wishedFactor,
    connectionLimit: wishedLimit(settings, input.report, nowMs),
    standing: known.standing,
    isTaking: taking,
    takingMs,
    assignments,
    carried: now,
    load,
    wanted: undefined,
    resting: 0,
    mean: 0,
    guarded: undefined,
    distrustedBesideMs: undefined,
    feedback: 1,
    wish: 1,
    slowStart: undefined,
    fullWeight: 0,
    exactWeight: 0,
    weight: 0,
    share: 0,
  };
}

/** The wish of the server itself, and the slow start, after the feedback is known. */
function weigh(
  settings: DistributionSettings,
  derivation: Derivation,
  previous: ServiceMemory | undefined,
  elapsedMs: number,
): void {
  const { baseWeight, before, isTaking: taking } = derivation;
  if (!taking) return;
  const { floor, ceiling } = boundsOf(settings);
  const wished = derivation.wishedFactor ?? 1;
  derivation.wish = before?.isTaking ? step(before.wish, wished, settings.largestStep) : wished;
  derivation.fullWeight = baseWeight * clamp(derivation.feedback * derivation.wish, floor, ceiling);
  const isReturn = previous !== undefined && !before?.isTaking;
  const isRaise = before !== undefined && baseWeight > before.baseWeight;
  derivation.slowStart = continueSlowStart(
    before?.slowStart,
    isReturn ? 'return' : isRaise ? 'raise' : undefined,
    before?.exactWeight ?? 0,
    elapsedMs,
    settings.slowStartMs,
  );
  derivation.exactWeight = slowedWeight(
    derivation.fullWeight,
    derivation.slowStart,
    settings.slowStartMs,
  );
}

function toTable(settings: DistributionSettings, derivations: readonly Derivation[]): void {
  const highest = Math.max(1, ...derivations.map((each) => each.baseWeight));
  const weights = tableWeights(
    derivations.map((each) => ({ isTaking: each.isTaking, exact: each.exactWeight })),
    highest * boundsOf(settings).ceiling,
    settings.algorithm === 'static',
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  derivations.forEach((derivation, i) => {
    derivation.weight = weights[i];
    derivation.share = total === 0 ? 0 : weights[i] / total;
  });
}

function outputOf(
  settings: DistributionSettings,
  derivation: Derivation,
  availability: Availability,
): BackendOutput {
  const { input, weight, exactWeight, share, connectionLimit } = derivation;
  return {
    name: input.name,
    weight,
    exactWeight,
    share,
    // Put into words only for who asks: a service may have thousands of backends, each second.
    get reasons() {
      return reasonsOf(settings, derivation, availability);
    },
    ...(connectionLimit !== undefined && { connectionLimit }),
  };
}

function memoryOf(derivation: Derivation): BackendMemory {
  const { input, load, slowStart } = derivation;
  const { begunConnections, begunStock, weightStock } = derivation.assignments;
  // Without spreads, which cost most of all here: there may be thousands, each second.
  return {
    name: input.name,
    weight: derivation.weight,
    connectionLimit: derivation.connectionLimit ?? 0,
    exactWeight: derivation.exactWeight,
    baseWeight: derivation.baseWeight,
    isTaking: derivation.isTaking,
    takingMs: derivation.takingMs,
    feedback: derivation.feedback,
    wish: derivation.wish,
    slowStart,
    begunConnections,
    begunStock,
    weightStock,
    report: derivation.isTaking ? load.report : undefined,
    estimate: derivation.isTaking ? load.estimate : undefined,
  };
}

function isChanged(now: ServiceMemory, before: ServiceMemory | undefined): boolean {
  if (before === undefined || before.backends.length !== now.backends.length) return true;
  return now.backends.some(({ name, weight, connectionLimit }, i) => {
    const old = before.backends[i];
    return old.name !== name || old.weight !== weight || old.connectionLimit !== connectionLimit;
  });
}

function clampWeight(weight: number): number {
  return Number.isFinite(weight) ? clamp(weight, 0, MAX_TABLE_WEIGHT) : 0;
}
