// A drain as an object: what was ordered, how far it is, what it waits for, when it ends. A backend that
// is drained gets no new connection from the next flip of the configuration table on; those it has go
// on until they end by themselves, a UDP conversation when nothing has been seen of it for
// `timeouts.udp`. At the deadline, if there is one, the rest is ended (`reset`) or left alone (`keep`).
//
// Pure: stepped with the time and with what is counted in main memory; order and progress are plain
// JSON, because a drain survives reloads and the death of the control processor.
//
//   draining ──▶ drained    none is open and no processor can give it new ones; or: deadline with `keep`
//   drained ──▶ draining    one is open again (a processor still had the old weights in its hands)
//
// Invariant: 0 <= progress <= 1, and an estimate is given only from ends that have been seen.

import type { DrainEnd, DrainView } from './backend-view.ts';

export interface DrainOrder {
  /** When it was given, Unix milliseconds: for people. */
  readonly atMs: number;
  /** The same on CLOCK_MONOTONIC, which nobody sets and all processes share; not wrapped. */
  readonly startedMs: number;
  /** Millisecond of CLOCK_MONOTONIC; null: none. */
  readonly deadlineMs: number | null;
  readonly atDeadline: DrainEnd;
  readonly by: string;
}

/** What there is of a backend's connections at one moment. */
export interface DrainCounts {
  /** Those on which either side may still send. */
  readonly tcp: number;
  readonly udp: number;
  /** Connections that this backend was ever given: rises. */
  readonly begun: number;
  /** Some running processor has not taken over the weights without this backend yet. */
  readonly takesNewConnections: boolean;
  /** How many are in each state, where that has been counted. */
  readonly states?: Readonly<Record<string, number>>;
  /** Time since the last packet of the one that has been idle longest. */
  readonly idlestMs?: number;
  /** Age of the oldest. */
  readonly oldestMs?: number;
}

interface Sample {
  readonly atMs: number;
  readonly gone: number;
}

/** How far a drain is; plain JSON. */
export interface DrainProgress {
  /** Open when it began. */
  readonly atStart: number;
  /** `begun` when it began. */
  readonly begunAtStart: number;
  /** The newest counts. */
  readonly counts: DrainCounts;
  /** When it was drained, on CLOCK_MONOTONIC; null: it is not. */
  readonly drainedMs: number | null;
  /** For the rate: oldest first, at most RATE_WINDOW_MS back. */
  readonly samples: readonly Sample[];
}

/** The rate is that of the last half minute. */
export const RATE_WINDOW_MS = 30_000;
/** Samples stand at least this far apart, so that there are few of them. */
const SAMPLE_DISTANCE_MS = 1000;
/** A rate is measured over this long at least. */
const RATE_MINIMUM_MS = 3000;
/** What is further away than a day is no estimate. */
const LONGEST_ETA_MS = 24 * 3_600_000;

function openOf({ tcp, udp }: DrainCounts): number {
  return Math.max(0, tcp) + Math.max(0, udp);
}

function begunSince(progress: DrainProgress): number {
  return Math.max(0, progress.counts.begun - progress.begunAtStart);
}

function goneOf(progress: DrainProgress): number {
  const had = progress.atStart + begunSince(progress);
  return Math.max(0, had - openOf(progress.counts));
}

function isPast(order: DrainOrder, nowMs: number): boolean {
  return order.deadlineMs !== null && nowMs >= order.deadlineMs;
}

/**
 * One step: once a second, and at once when it begins.
 * @param before what the last step returned; undefined at the first
 * @param nowMs of CLOCK_MONOTONIC, not wrapped
 */
export function stepDrain(
  order: DrainOrder,
  before: DrainProgress | undefined,
  counts: DrainCounts,
  nowMs: number,
): DrainProgress {
  const next: DrainProgress = {
    atStart: before?.atStart ?? openOf(counts),
    begunAtStart: before?.begunAtStart ?? counts.begun,
    counts,
    drainedMs: null,
    samples: before?.samples ?? [],
  };
  const isOver = openOf(counts) === 0 || (order.atDeadline === 'keep' && isPast(order, nowMs));
  return {
    ...next,
    drainedMs: isOver && !counts.takesNewConnections ? (before?.drainedMs ?? nowMs) : null,
    samples: addSample(next.samples, { atMs: nowMs, gone: goneOf(next) }),
  };
}

function addSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  const last = samples.at(-1);
  if (last !== undefined && sample.atMs - last.atMs < SAMPLE_DISTANCE_MS) return samples;
  const recent = samples.filter(({ atMs }) => sample.atMs - atMs <= RATE_WINDOW_MS);
  return [...recent, sample];
}

/**
 * Whether what is still open is to be ended now: then the backend's flag BACKEND_ENDS_CONNECTIONS is
 * published, and stays until the drain is taken back.
 */
export function drainEndsConnections(order: DrainOrder, nowMs: number): boolean {
  return order.atDeadline === 'reset' && isPast(order, nowMs);
}

/** Connections ended per second; undefined while too little has been seen. */
function rateOf(progress: DrainProgress, nowMs: number): number | undefined {
  const first = progress.samples.find(({ atMs }) => nowMs - atMs <= RATE_WINDOW_MS);
  if (first === undefined || nowMs - first.atMs < RATE_MINIMUM_MS) return undefined;
  return (Math.max(0, goneOf(progress) - first.gone) * 1000) / (nowMs - first.atMs);
}

function etaOf(open: number, rate: number | undefined): number | null {
  if (open === 0) return 0;
  if (rate === undefined || rate === 0) return null;
  const eta = Math.round((open * 1000) / rate);
  return eta > LONGEST_ETA_MS ? null : eta;
}

/** What operators see of it. `nowMs` of CLOCK_MONOTONIC, not wrapped. */
export function drainView(order: DrainOrder, progress: DrainProgress, nowMs: number): DrainView {
  const { counts, drainedMs } = progress;
  const open = openOf(counts);
  const gone = goneOf(progress);
  const all = progress.atStart + begunSince(progress);
  const rate = rateOf(progress, nowMs);
  const wallClock = (monotonicMs: number): string =>
    new Date(order.atMs + Math.round(monotonicMs - order.startedMs)).toISOString();
  const view: DrainView = {
    state: drainedMs === null ? 'draining' : 'drained',
    by: order.by,
    since: wallClock(order.startedMs),
    forMs: Math.max(0, Math.round(nowMs - order.startedMs)),
    deadline: order.deadlineMs === null ? null : wallClock(order.deadlineMs),
    deadlineInMs:
      order.deadlineMs === null ? null : Math.max(0, Math.round(order.deadlineMs - nowMs)),
    atDeadline: order.atDeadline,
    isEnding: drainedMs === null && drainEndsConnections(order, nowMs),
    takesNewConnections: counts.takesNewConnections,
    atStart: progress.atStart,
    begunSince: begunSince(progress),
    waitingFor: {
      tcp: Math.max(0, counts.tcp),
      udp: Math.max(0, counts.udp),
      states: counts.states ?? null,
      idlestMs: counts.idlestMs ?? null,
      oldestMs: counts.oldestMs ?? null,
    },
    gone,
    progress: all === 0 ? 1 : Math.min(1, gone / all),
    gonePerSecond: rate ?? null,
    etaMs: drainedMs === null ? etaOf(open, rate) : 0,
    drainedAt: drainedMs === null ? null : wallClock(drainedMs),
    kept: drainedMs === null ? 0 : open,
    text: '',
  };
  return { ...view, text: drainText(view) };
}

function seconds(milliseconds: number): string {
  const whole = Math.ceil(milliseconds / 1000);
  if (whole < 120) return `${whole} s`;
  return whole < 7200 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}

function drainText(view: DrainView): string {
  const { tcp, udp } = view.waitingFor;
  const kinds = [tcp > 0 ? `${tcp} TCP` : '', udp > 0 ? `${udp} UDP` : ''].filter(Boolean);
  const noun = tcp + udp === 1 ? 'connection' : 'connections';
  const open = kinds.length === 0 ? 'no connection' : `${kinds.join(' and ')} ${noun}`;
  if (view.state === 'drained') {
    return view.kept > 0
      ? `drained, ${open} kept`
      : `drained, ${view.gone} ${view.gone === 1 ? 'has' : 'have'} ended`;
  }
  const parts = [`draining: ${open} left, ${view.gone} gone`];
  if (view.takesNewConnections) parts.push('new ones stop with the next flip');
  if (view.isEnding) return [...parts, 'deadline over: ending the rest'].join('; ');
  if (view.etaMs !== null && view.etaMs > 0) parts.push(`about ${seconds(view.etaMs)} to go`);
  else if (view.gonePerSecond === 0) parts.push('none has ended lately');
  if (view.deadlineInMs !== null) {
    parts.push(`deadline in ${seconds(view.deadlineInMs)}, then ${view.atDeadline}`);
  }
  return parts.join('; ');
}
