// What the open-loop client (open-load.ts) is told and what it tells: every single request, so that
// percentiles of any window and of any server can be had afterwards, exactly. At the rates of one client
// (hundreds a second) that is little; http-load.ts, which makes many more, keeps histograms.

import type { LabHost } from './network.ts';

export interface OpenLoadOptions {
  host: string;
  /** Default 80. */
  port?: number;
  /** Default '/'. */
  path?: string;
  /** Requests per second, each on a connection of its own. */
  rate: number;
  /** The times of requests are random by this seed, as those of many users are. Default 1. */
  seed?: number;
  /** An answer that takes longer has failed, and counts as long as this. Default 5000. */
  timeoutMs?: number;
  /** Between two lines. Default 200. */
  intervalMs?: number;
}

/** One request. */
export interface RequestSample {
  /** When it was due, by the clock of `Date.now()`, which all processes share; not when it got its turn. */
  readonly atMs: number;
  /** From when it was due to the end of the answer, or until it failed. */
  readonly latencyMs: number;
  /** Who answered; '' when nobody did. */
  readonly server: string;
  /** Why not: an errno name, 'timeout', 'closed', 'status 502' …; '' when it was answered. */
  readonly failure: string;
}

/** A line on the client's standard output. */
export type SampleRow = readonly [atMs: number, latencyMs: number, server: string, failure: string];

/** Where it runs. */
export type OpenLoadPlace = Pick<LabHost, 'namespace'>;

/** Those that were due within a time. */
export function within(
  samples: readonly RequestSample[],
  fromMs: number,
  toMs: number,
): RequestSample[] {
  return samples.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
}

/** The latency that this part (0 to 1) of all stays at or below, failures included; 0 without any. */
export function percentile(samples: readonly RequestSample[], part: number): number {
  const sorted = samples.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
}

/** What part of the answered requests each server answered, 0 to 1. */
export function shares(
  samples: readonly RequestSample[],
  servers: readonly string[],
): Record<string, number> {
  const answered = samples.filter(({ failure }) => failure === '');
  const of = (name: string) => answered.filter(({ server }) => server === name).length;
  const total = Math.max(1, answered.length);
  return Object.fromEntries(servers.map((name) => [name, of(name) / total]));
}

/** How many failed, by reason. */
export function failuresOf(samples: readonly RequestSample[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { failure } of samples) {
    if (failure !== '') found[failure] = (found[failure] ?? 0) + 1;
  }
  return found;
}
