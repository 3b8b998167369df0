// The one reason that says most about a backend's weight, for a line in a table or in the log; `weir why` has
// all of them. What keeps a backend from taking connections comes before what moves its weight, and that before
// where the weight begins.

import type { Reason } from '../distribution/synthesis.ts';
import type { HealthState } from '../health/checker.ts';

/** Codes of reasons, the most telling first. */
const TELLING = [
  'down',
  'unchecked',
  'maintenance',
  'drain',
  'weightless',
  'reserve',
  'panic',
  'fallback',
  'slow-start',
  'distrusted',
  'wish',
  'expired',
  'returning',
  'report',
  'blackout',
  'no-figures',
  'no-report',
  'operator-weight',
  'configured-weight',
];

/** With what the health checks found, where that is the reason. */
export function withCause(reason: Reason, health: HealthState | undefined): Reason {
  if (reason.code !== 'down' || health?.status !== 'down') return reason;
  return { ...reason, text: `its health checks fail: ${health.cause}` };
}

/** The line; of a backend about which nothing was decided yet its health's cause. */
export function headline(reasons: readonly Reason[], health: HealthState | undefined): string {
  for (const code of TELLING) {
    const found = reasons.find((reason) => reason.code === code);
    if (found !== undefined) return withCause(found, health).text;
  }
  return reasons.at(-1)?.text ?? health?.cause ?? 'nothing has been decided yet';
}
