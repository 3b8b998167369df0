// The judge: from checks that passed or failed, and from suspicion, to up and down. A pure state
// machine: the same events at the same times give the same judgement, so that it can be tested without
// a clock or a network.
//
//   unchecked ──one pass──▶ up ──`fall` failures in a row──▶ down ──`rise` passes in a row──▶ up
//   unchecked ──`fall` failures in a row──▶ down
//
// Flap damping: a backend that goes down within FLAP_WINDOW_MS of having come up is flapping. It is
// then held down for `hold` at least, twice as long each further time, up to `hold-max`; each window
// that it stays up takes one doubling back. The first fall of a steady backend is not held.
// Invariant: a backend that is held never comes up before `heldUntilMs`.

import type { HealthMemory, HealthState, HealthStatus, LastCheck } from './health-state.ts';
import type { HealthSettings } from './settings.ts';
import { duration } from './words.ts';

/** Going down again so soon after coming up is flapping; staying up so long takes one doubling back. */
export const FLAP_WINDOW_MS = 60_000;
/** More doublings than any hold-max needs; keeps 2 ** level an ordinary number. */
const MAX_FLAP_LEVEL = 30;

export interface Judgement {
  readonly status: HealthStatus;
  readonly cause: string;
  readonly sinceMs: number;
  readonly passesInRow: number;
  readonly failuresInRow: number;
  readonly checks: number;
  readonly failures: number;
  readonly flaps: number;
  /** Doublings of the hold. */
  readonly flapLevel: number;
  /** When it last came up after having been down. */
  readonly returnedAtMs?: number;
  readonly heldUntilMs?: number;
  readonly suspicion?: string;
  /** When suspicion was last counted as a failure. */
  readonly suspectedAtMs?: number;
  readonly onProbation: boolean;
}

/**
 * The judgement of a backend that nothing is known of but `previous`: what control that ran before
 * this one said. Without an active check there is nothing to wait for: it begins up, unless it was down.
 */
export function beginJudgement(
  settings: HealthSettings,
  previous: HealthMemory | undefined,
  nowMs: number,
): Judgement {
  const blank = {
    sinceMs: nowMs,
    passesInRow: 0,
    failuresInRow: 0,
    checks: 0,
    failures: 0,
    flaps: 0,
    flapLevel: 0,
    onProbation: false,
  };
  if (previous !== undefined) {
    return { ...blank, ...previous, cause: `was ${previous.status} before control started` };
  }
  if (settings.type === 'none') {
    return { ...blank, status: 'up', cause: 'no active check, and nothing seen against it' };
  }
  return { ...blank, status: 'unchecked', cause: 'not checked yet' };
}

/** What a successor of this process must know; undefined: nothing is known yet. */
export function memoryOf(judgement: Judgement): HealthMemory | undefined {
  const { status, sinceMs, flaps, flapLevel, returnedAtMs, heldUntilMs, onProbation } = judgement;
  if (status === 'unchecked') return undefined;
  return {
    status,
    sinceMs,
    flaps,
    flapLevel,
    ...(returnedAtMs !== undefined && { returnedAtMs }),
    ...(heldUntilMs !== undefined && { heldUntilMs }),
    ...(onProbation && { onProbation }),
  };
}

/** The state that a judgement makes, as others see it. */
export function stateOf(key: string, judgement: Judgement, last?: LastCheck): HealthState {
  const { heldUntilMs, suspicion } = judgement;
  return {
    key,
    status: judgement.status,
    cause: judgement.cause,
    sinceMs: judgement.sinceMs,
    ...(last === undefined ? {} : { last }),
    checks: judgement.checks,
    failures: judgement.failures,
    flaps: judgement.flaps,
    ...(heldUntilMs === undefined ? {} : { heldUntilMs }),
    ...(suspicion === undefined ? {} : { suspicion }),
    ...(judgement.onProbation ? { onProbation: true } : {}),
  };
}

/** After one check: `detail` is what it found, in plain words. */
export function judgeCheck(
  before: Judgement,
  ok: boolean,
  detail: string,
  settings: HealthSettings,
  nowMs: number,
): Judgement {
  if (ok) return judgePass(before, detail, settings, nowMs);
  const after: Judgement = {
    ...before,
    checks: before.checks + 1,
    failures: before.failures + 1,
    passesInRow: 0,
    failuresInRow: before.failuresInRow + 1,
  };
  return fallIfDue(after, detail, 0, settings, nowMs);
}

function judgePass(
  before: Judgement,
  detail: string,
  settings: HealthSettings,
  nowMs: number,
): Judgement {
  const after: Judgement = {
    ...before,
    checks: before.checks + 1,
    passesInRow: before.passesInRow + 1,
    // A check that passes does not speak against what the clients' connections show.
    failuresInRow: before.suspicion === undefined ? 0 : before.failuresInRow,
  };
  if (after.status === 'up') return after;
  if (after.status === 'unchecked') {
    return { ...after, status: 'up', cause: `first check passed: ${detail}`, sinceMs: nowMs };
  }
  const isHeld = after.heldUntilMs !== undefined && nowMs < after.heldUntilMs;
  if (after.passesInRow < settings.rise || isHeld) return after;
  return {
    ...after,
    status: 'up',
    cause: `${inRow(after.passesInRow)} passed: ${detail}`,
    sinceMs: nowMs,
    failuresInRow: 0,
    returnedAtMs: nowMs,
    heldUntilMs: undefined,
    suspicion: undefined,
    suspectedAtMs: undefined,
  };
}

/** What the data plane's counts showed at one observation (passive.ts). */
export interface PassiveEvidence {
  readonly suspicion?: string;
  /** Connections answered within the window. */
  readonly answered: number;
}

/**
 * After one observation. With an active check a suspicion is one failure, and one more for each window
 * that it lasts; without one it takes the backend down for `holdMs`.
 */
export function judgeObservation(
  before: Judgement,
  evidence: PassiveEvidence,
  window: { readonly windowMs: number; readonly holdMs: number },
  settings: HealthSettings,
  nowMs: number,
): Judgement {
  if (before.status === 'down') return before;
  if (evidence.suspicion === undefined) {
    const isProven = before.onProbation && evidence.answered > 0;
    if (before.suspicion === undefined && !isProven) return before;
    return {
      ...before,
      suspicion: undefined,
      suspectedAtMs: undefined,
      ...(isProven ? { onProbation: false, cause: 'answered connections on probation' } : {}),
    };
  }
  if (settings.type === 'none') {
    return goDown(before, evidence.suspicion, window.holdMs, settings, nowMs);
  }
  const after: Judgement = { ...before, suspicion: evidence.suspicion };
  const since = before.suspectedAtMs;
  if (since !== undefined && nowMs - since < window.windowMs) return after;
  return fallIfDue(
    { ...after, suspectedAtMs: nowMs, failuresInRow: after.failuresInRow + 1 },
    evidence.suspicion,
    window.holdMs,
    settings,
    nowMs,
  );
}

/** Without an active check: puts a backend whose hold is over on probation. */
export function judgeHold(before: Judgement, nowMs: number): Judgement {
  if (before.status !== 'down' || nowMs < (before.heldUntilMs ?? nowMs)) return before;
  return {
    ...before,
    status: 'up',
    cause: `on probation after ${duration(nowMs - before.sinceMs)}; was down: ${before.cause}`,
    sinceMs: nowMs,
    returnedAtMs: nowMs,
    heldUntilMs: undefined,
    onProbation: true,
  };
}

/** Whether the next check is to come at the fast interval: the state is about to change. */
export function isChanging(judgement: Judgement, settings: HealthSettings): boolean {
  if (judgement.status === 'unchecked') return true;
  if (judgement.status === 'up') {
    return judgement.failuresInRow > 0 || judgement.suspicion !== undefined;
  }
  return judgement.passesInRow > 0 && judgement.passesInRow < settings.rise;
}

/** How long to wait from the beginning of a check to the next; `random` is 0 up to 1. */
export function nextCheckMs(
  judgement: Judgement,
  settings: HealthSettings,
  random: number,
  nowMs: number,
): number {
  const interval = isChanging(judgement, settings)
    ? Math.min(settings.fastIntervalMs, settings.intervalMs)
    : settings.intervalMs;
  const jittered = interval * (1 + ((random * 2 - 1) * settings.jitter) / 100);
  // What waits for nothing but the end of its hold is checked then, not an interval later.
  const { heldUntilMs } = judgement;
  const waitsForHold = heldUntilMs !== undefined && judgement.passesInRow >= settings.rise;
  if (!waitsForHold || heldUntilMs <= nowMs) return jittered;
  return Math.min(jittered, heldUntilMs - nowMs);
}

function fallIfDue(
  after: Judgement,
  detail: string,
  baseHoldMs: number,
  settings: HealthSettings,
  nowMs: number,
): Judgement {
  if (after.status === 'down' || after.failuresInRow < settings.fall) return after;
  const count = after.failuresInRow;
  const suspicions = count === 1 ? '' : `${count} failures in a row, the last: `;
  const why = baseHoldMs > 0 ? suspicions + detail : `${inRow(count)} failed: ${detail}`;
  return goDown(after, why, baseHoldMs, settings, nowMs);
}

/** `baseHoldMs` above 0 holds even the first fall, and is what doubles in place of the setting. */
function goDown(
  before: Judgement,
  why: string,
  baseHoldMs: number,
  settings: HealthSettings,
  nowMs: number,
): Judgement {
  const upForMs = before.returnedAtMs === undefined ? Infinity : nowMs - before.returnedAtMs;
  const isFlap = upForMs < FLAP_WINDOW_MS;
  const windowsUp = Math.min(Math.floor(upForMs / FLAP_WINDOW_MS), MAX_FLAP_LEVEL);
  const level = isFlap
    ? Math.min(before.flapLevel + 1, MAX_FLAP_LEVEL)
    : Math.max(before.flapLevel - windowsUp, 0);
  const doublings = baseHoldMs > 0 && isFlap ? level : Math.max(level - 1, 0);
  const firstMs = baseHoldMs > 0 ? baseHoldMs : isFlap ? settings.holdMs : 0;
  const holdMs = Math.min(firstMs * 2 ** doublings, Math.max(settings.holdMaxMs, baseHoldMs));
  const held = holdMs > 0 ? `; held down for ${duration(holdMs)}` : '';
  const flaps = before.flaps + (isFlap ? 1 : 0);
  const reason = isFlap ? `, as it fell ${duration(upForMs)} after it came up` : '';
  return {
    ...before,
    status: 'down',
    cause: `${why}${held}${held === '' ? '' : reason}`,
    sinceMs: nowMs,
    passesInRow: 0,
    flaps,
    flapLevel: level,
    heldUntilMs: holdMs > 0 ? nowMs + holdMs : undefined,
    suspicion: undefined,
    suspectedAtMs: undefined,
    onProbation: false,
  };
}

function inRow(count: number): string {
  return count === 1 ? '1 check' : `${count} checks in a row`;
}
