// What a server asks for beside its figures, in the words of HAProxy's agent-check; every algorithm
// honours it, `static` too.
//
//   weight, percent   a factor on the configured weight, within floor and ceiling and in steps like
//                     any other change; 0 takes no new connection, at once
//   drain, maint      as if an operator had said so
//   down              as if a health check had failed; 'up' does not overrule one that has
//   maxconn           most connections at once, beside what is configured; 0 asks for no limit
//
// How long it holds: weights, limits and 'down' lapse with the report's expiry, because a weight that nobody
// stands for any more must not live for ever, and health is then what the checks say. Drain and
// maintenance hold until the server takes them back: who is about to go often falls silent first.

import type { LoadReport } from '../load/load-report.ts';
import { boundsOf, clamp } from './limits.ts';
import type { BackendInput } from './service-distribution.ts';
import type { DistributionSettings } from './settings.ts';

/**
 * @param baseWeight the configured weight, or the operator's: an absolute wish is a part of it
 * @returns a factor within floor and ceiling; 0: it wants no new connection; undefined: no wish
 */
export function wishedFactor(
  settings: DistributionSettings,
  report: LoadReport | undefined,
  baseWeight: number,
  nowMs: number,
): number | undefined {
  const wish = report?.wish;
  if (wish === undefined || isExpired(settings, report, nowMs)) return undefined;
  const wished =
    wish.weight !== undefined
      ? baseWeight > 0
        ? wish.weight / baseWeight
        : undefined
      : wish.weightPercent !== undefined
        ? wish.weightPercent / 100
        : undefined;
  if (wished === undefined || !Number.isFinite(wished)) return undefined;
  if (wished <= 0) return 0;
  const { floor, ceiling } = boundsOf(settings);
  return clamp(wished, floor, ceiling);
}

/** The most connections at once that it wants; undefined: it asks for no limit. */
export function wishedLimit(
  settings: DistributionSettings,
  report: LoadReport | undefined,
  nowMs: number,
): number | undefined {
  if (isExpired(settings, report, nowMs)) return undefined;
  // 0 would be taken for no limit, also where one is configured.
  return report?.wish?.connectionLimit || undefined;
}

/** The stricter of what the operator and the server want. */
export function administrativeOf(backend: BackendInput): BackendInput['administrative'] {
  const wish = backend.report?.wish?.administrative;
  if (backend.administrative === 'maintenance' || wish === 'maint') return 'maintenance';
  return backend.administrative === 'drain' || wish === 'drain' ? 'drain' : 'ready';
}

/** 'down' also when the server says so. */
export function healthOf(
  settings: DistributionSettings,
  backend: BackendInput,
  nowMs: number,
): BackendInput['health'] {
  const { report } = backend;
  const saysDown = report?.wish?.operational === 'down' && !isExpired(settings, report, nowMs);
  return saysDown ? 'down' : backend.health;
}

function isExpired(
  settings: DistributionSettings,
  report: LoadReport | undefined,
  nowMs: number,
): boolean {
  return report === undefined || !(nowMs - report.receivedAtMs <= settings.expiryMs);
}
