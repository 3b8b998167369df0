// What is known of a backend's load: its reports, each counted once, smoothed. A figure and what the
// backend carried when it was made are smoothed alike, so that their relation has no lag of its own.
//
// Which reports count: those of a backend that has taken connections for the blackout time (a
// server that has just come looks idle, whatever it is), and none that is older than the expiry.
// After the expiry the estimate is forgotten: silence means the configured weight, not the last one.

import type { LoadReport } from '../load/load-report.ts';
import { IDLE_UTILIZATION, learnedSlope } from './even-load.ts';
import { type LoadSample, loadSample } from './load-figures.ts';
import type { BackendMemory, LoadEstimate } from './service-distribution.ts';
import type { DistributionSettings } from './settings.ts';

/** So far must two reports be from the smoothed utilisation to be believed at once. */
const JUMP = 0.12;

/** How the newest report stands. */
export type ReportStanding = 'none' | 'expired' | 'blackout' | 'usable';

export interface EstimateNow {
  readonly standing: ReportStanding;
  /** Of the newest report; 0 when there is none. */
  readonly ageMs: number;
  readonly sample?: LoadSample;
  readonly estimate?: LoadEstimate;
  readonly report?: { readonly sequence: number; readonly receivedAtMs: number };
}

/**
 * @param carried what the backend carries now (herd-guard.ts)
 * @param takingMs for how long it has been taking connections
 */
export function estimateLoad(
  settings: DistributionSettings,
  report: LoadReport | undefined,
  answerTimeMs: number | undefined,
  before: BackendMemory | undefined,
  carried: number,
  takingMs: number,
  nowMs: number,
): EstimateNow {
  if (report === undefined) return { standing: 'none', ageMs: 0 };
  const ageMs = Math.max(0, nowMs - report.receivedAtMs);
  if (!(ageMs <= settings.expiryMs)) return { standing: 'expired', ageMs };
  const sample = loadSample(report.figures, settings.errorPenalty, answerTimeMs);
  if (takingMs < settings.blackoutMs) return { standing: 'blackout', ageMs, sample };
  const seen = before?.report;
  const isNew = seen?.sequence !== report.sequence || seen.receivedAtMs !== report.receivedAtMs;
  const estimate = isNew
    ? smooth(before?.estimate, sample, carried, settings.smoothing)
    : before?.estimate;
  const { sequence, receivedAtMs } = report;
  return { standing: 'usable', ageMs, sample, estimate, report: { sequence, receivedAtMs } };
}

function smooth(
  before: LoadEstimate | undefined,
  sample: LoadSample,
  carried: number,
  smoothing: number,
): LoadEstimate {
  const isJump = hasJumped(before, sample.utilization);
  const part = isJump || !(smoothing > 0 && smoothing < 1) ? 1 : smoothing;
  const mix = (old: number | undefined, young: number) =>
    old === undefined ? young : old + part * (young - old);
  const carriedThen = mix(before?.carried, carried);
  const utilization =
    sample.utilization === undefined ? undefined : mix(before?.utilization, sample.utilization);
  return {
    carried: carriedThen,
    ...(utilization !== undefined && {
      utilization,
      slope: learnedSlope(
        before,
        sample.utilization ?? 0,
        carried,
        (utilization + IDLE_UTILIZATION) / carriedThen,
      ),
      last: { utilization: sample.utilization ?? 0, carried },
    }),
    ...(sample.rate !== undefined && { rate: mix(before?.rate, sample.rate) }),
    ...(sample.timeMs !== undefined && { timeMs: mix(before?.timeMs, sample.timeMs) }),
  };
}

/**
 * Whether utilisation has jumped: the last two reports are both far from the smoothed value, on the
 * same side. Then it is believed at once. One report alone may be a hiccup, or a lie.
 */
function hasJumped(before: LoadEstimate | undefined, utilization: number | undefined): boolean {
  if (before?.utilization === undefined || before.last === undefined) return false;
  if (utilization === undefined) return false;
  const now = utilization - before.utilization;
  const earlier = before.last.utilization - before.utilization;
  return Math.min(now, earlier) > JUMP || Math.max(now, earlier) < -JUMP;
}
