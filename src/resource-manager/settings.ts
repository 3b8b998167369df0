// What a resource manager is told: who may send reports, and which servers it asks itself. Control
// makes these settings from its configuration file, the program of its own from its file
// (program-settings.ts); durations are milliseconds, addresses are texts of IPv4.
// Invariant: names of agents and backends with a polled source are each unique.

import type { LoadFigures, LoadSource, LoadWish } from '../load/load-report.ts';
import type { Rejection } from '../load/rejections.ts';

/** One who sends signed reports. */
export interface AgentSettings {
  readonly name: string;
  /** Keys that are good now: two while one is being replaced by the next. */
  readonly keys: readonly Uint8Array[];
  /** 'service/backend': what it may speak for, and nothing else. */
  readonly backends: readonly string[];
}

/** A server that is asked. */
export interface PolledSettings {
  /** 'service/backend' */
  readonly backend: string;
  readonly source: Exclude<LoadSource, 'agent'>;
  readonly address: string;
  readonly port: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** node-exporter: the path of its page. */
  readonly path?: string;
  /** agent-check: what to send before the answer is read. */
  readonly send?: string;
}

export interface ResourceManagerSettings {
  /** Where agents' datagrams are received; without it no agent can report. Port 0: any free one. */
  readonly listen?: { readonly address: string; readonly port: number };
  readonly agents: readonly AgentSettings[];
  /** Most reports per second that are taken from one agent, and from one polled server. */
  readonly reportsPerSecond: number;
  readonly polled: readonly PolledSettings[];
}

/** Where log lines go; `Log` of src/base is one. */
export interface ManagerLog {
  info(message: string): void;
  warning(message: string): void;
}

/** What a polled source works with; made anew for each, so that tests can stand in for any part. */
export interface SourceContext {
  readonly settings: PolledSettings;
  /** Monotonic milliseconds. */
  now(): number;
  /** 0 to 1, for the jitter of intervals. */
  random(): number;
  /** Takes what the server said. */
  report(figures: LoadFigures, wish?: LoadWish): void;
  /** Counts what the server said and is not taken. */
  rejected(rejection: Rejection): void;
  /** It works again, or does not and why; may be called with the same any number of times. */
  outcome(error?: string): void;
}

/** A running source. */
export interface PolledSource {
  stop(): void;
}

/** 'address:port', as reports and log lines name a server. */
export function serverName(settings: PolledSettings): string {
  return `${settings.address}:${settings.port}`;
}
