// The heart of the master: from reports, health, the operator's will and what was before, the
// distribution of one service's new connections. A pure function: no clock, no chance, no I/O, and
// nothing that it is given is changed, so that a simulator can run years of it in seconds and the
// same inputs always explain the same weights.
//
// Invariant: weights are integers from 0 to 65535; a backend that may take connections has at least
// 1; one that must not has 0.

import { availabilityOf, isTaking, type Standing } from './availability.ts';
import type {
  BackendInput,
  BackendMemory,
  BackendOutput,
  Reason,
  ServiceMemory,
  ServiceOutput,
} from './service-distribution.ts';
import type { DistributionSettings } from './settings.ts';
import { MAX_TABLE_WEIGHT, tableWeights } from './table-weights.ts';

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
  const bases = backends.map((backend) =>
    clampWeight(backend.operatorWeight ?? backend.configuredWeight),
  );
  const candidates = backends.map((backend, i) => ({ ...backend, baseWeight: bases[i] }));
  const { standings, isPanic, usesFallback } = availabilityOf(candidates, settings.panicThreshold);
  const exact = bases.map((base, i) => (isTaking(standings[i]) ? base : 0));
  const weights = tableWeights(exact, Math.max(1, ...bases));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const memories = backends.map(({ name, report }, i) => ({
    name,
    weight: weights[i],
    connectionLimit: report?.wish?.connectionLimit ?? 0,
  }));
  return {
    backends: backends.map(
      ({ name, report }, i): BackendOutput => ({
        name,
        weight: weights[i],
        exactWeight: exact[i],
        share: total === 0 ? 0 : weights[i] / total,
        reasons: [standingReason(standings[i], bases[i])],
        ...(report?.wish?.connectionLimit !== undefined && {
          connectionLimit: report.wish.connectionLimit,
        }),
      }),
    ),
    isPanic,
    usesFallback,
    changed: isChanged(memories, previous),
    next: { atMs: nowMs, backends: memories },
  };
}

function standingReason(standing: Standing, weight: number): Reason {
  return { code: standing, text: `weight ${weight}: ${standing}`, weight };
}

function clampWeight(weight: number): number {
  return Number.isFinite(weight) ? Math.min(MAX_TABLE_WEIGHT, Math.max(0, weight)) : 0;
}

function isChanged(now: readonly BackendMemory[], before: ServiceMemory | undefined): boolean {
  if (before === undefined || before.backends.length !== now.length) return true;
  return now.some(({ name, weight, connectionLimit }, i) => {
    const old = before.backends[i];
    return old.name !== name || old.weight !== weight || old.connectionLimit !== connectionLimit;
  });
}
