// What is known of a backend's load: its reports, each counted once, smoothed. A figure and what the
// backend carried when it was made are smoothed alike, so that their relation has no lag of its own.
//
// Which reports count: those of a backend that has taken connections for the blackout time (a
// server that has just come looks idle, whatever it is), and none that is older than the expiry.
// After the expiry the estimate is forgotten: silence means the configured weight, not the last one.

import type { LoadReport } from '../load/load-report.ts';
import { IDLE_UTILIZATION, learnedSlope } from './even-load.ts';
import { clamp } from './limits.ts';
import { type LoadSample, loadSample } from './load-figures.ts';
import type { BackendMemory, LoadEstimate } from './service-distribution.ts';
import type { DistributionSettings } from './settings.ts';

/** So far must two reports be from the smoothed utilisation to be believed at once, … */
const JUMP = 0.12;
/** … and so many times as far as reports of this backend usually are from one another. */
const JUMP_PER_NOISE = 2;
/** By so much each report changes what is taken for usual. */
const NOISE_PART = 0.1;
/** Above this a report says less, and moves the smoothed values less. */
const NOISY = 0.1;

/** How the newest report stands. */
export type ReportStanding = 'none' | 'expired' | 'blackout' | 'usable';

export interface EstimateNow {
  readonly standing: ReportStanding;
  /** Of the newest report; 0 when there is none. */
  readonly ageMs: number;
  /** Whether the estimate has grown by something since the synthesis before. */
  readonly isNew: boolean;
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
  const older = before?.estimate;
  const isNewcomer = takingMs < settings.blackoutMs;
  const measured = isNewcomer ? undefined : measuredTime(settings, answerTimeMs);
  const alone = measured && {
    isNew: true,
    estimate: smooth(older, measured, carried, settings.smoothing),
  };
  if (report === undefined) return { standing: 'none', ageMs: 0, isNew: false, ...alone };
  const ageMs = Math.max(0, nowMs - report.receivedAtMs);
  if (!(ageMs <= settings.expiryMs)) return { standing: 'expired', ageMs, isNew: false, ...alone };
  if (isNewcomer) return { standing: 'blackout', ageMs, isNew: false };
  const seen = before?.report;
  const isNew = seen?.sequence !== report.sequence || seen.receivedAtMs !== report.receivedAtMs;
  const estimate = isNew
    ? smooth(
        older,
        loadSample(report.figures, settings.errorPenalty, answerTimeMs),
        carried,
        settings.smoothing,
      )
    : older;
  const { sequence, receivedAtMs } = report;
  return { standing: 'usable', ageMs, isNew, estimate, report: { sequence, receivedAtMs } };
}

/** least-response-time needs no report: what the data plane measures is new each time. */
function measuredTime(
  { algorithm, errorPenalty }: DistributionSettings,
  answerTimeMs: number | undefined,
): LoadSample | undefined {
  if (algorithm !== 'least-response-time' || answerTimeMs === undefined) return undefined;
  return loadSample({}, errorPenalty, answerTimeMs);
}

function smooth(
  before: LoadEstimate | undefined,
  sample: LoadSample,
  carried: number,
  smoothing: number,
): LoadEstimate {
  const noise = noiseAfter(before, sample.utilization);
  const part = partOf(before, sample.utilization, smoothing, noise);
  const mix = (old: number | undefined, young: number) =>
    old === undefined ? young : old + part * (young - old);
  const carriedThen = mix(before?.carried, carried);
  const utilization =
    sample.utilization === undefined ? undefined : mix(before?.utilization, sample.utilization);
  const rate = sample.rate === undefined ? undefined : mix(before?.rate, sample.rate);
  const timeMs = sample.timeMs === undefined ? undefined : mix(before?.timeMs, sample.timeMs);
  if (utilization === undefined || sample.utilization === undefined) {
    return { carried: carriedThen, rate, timeMs };
  }
  const whole = (utilization + IDLE_UTILIZATION) / carriedThen;
  return {
    carried: carriedThen,
    utilization,
    slope: learnedSlope(before, sample.utilization, carried, whole),
    last: { utilization: sample.utilization, carried },
    noise,
    rate,
    timeMs,
  };
}

/** How far reports usually are from one another: a second's utilisation of few requests is mostly chance. */
function noiseAfter(before: LoadEstimate | undefined, utilization: number | undefined): number {
  const known = before?.noise ?? 0;
  if (before?.last === undefined || utilization === undefined) return known;
  return known + NOISE_PART * (Math.abs(utilization - before.last.utilization) - known);
}

/**
 * The part of a new report in the smoothed value. When the last two reports are both far from it, on
 * the same side, utilisation has jumped, and the one that is nearer is believed at once. One report
 * alone may be a hiccup, or a lie.
 */
function partOf(
  before: LoadEstimate | undefined,
  utilization: number | undefined,
  smoothing: number,
  noise: number,
): number {
  const quiet = Math.min(1, NOISY / Math.max(noise, 1e-9));
  const part = smoothing > 0 && smoothing < 1 ? smoothing * quiet : 1;
  if (before?.utilization === undefined || before.last === undefined) return part;
  if (utilization === undefined) return part;
  const now = utilization - before.utilization;
  const earlier = before.last.utilization - before.utilization;
  const jump = Math.max(JUMP, JUMP_PER_NOISE * noise);
  const isJump = Math.min(now, earlier) > jump || Math.max(now, earlier) < -jump;
  return isJump ? clamp(earlier / now, part, 1) : part;
}
