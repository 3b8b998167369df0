// The health checker: asks every backend at its interval, watches what the data plane saw of it, and
// says when one goes up or down. Stands in the control processor; the master reads its states.
// Invariant: one check at most is under way per target, and when `stop` has resolved, none is, no
// timer runs and no socket or process that it opened is left.

import type { HealthSettings, PassiveSettings } from './settings.ts';

/** One backend to be checked. */
export interface HealthTarget {
  /** 'service/backend'. */
  readonly key: string;
  readonly address: string;
  /** The port that is checked, which need not be the one that serves. */
  readonly port: number;
  readonly settings: HealthSettings;
  readonly passive?: PassiveSettings;
  /** Where a target begins that is new to this checker, after a restart of control. */
  readonly previous?: 'up' | 'down';
}

export type HealthStatus = 'up' | 'down' | 'unchecked';

/** What is known of one target. */
export interface HealthState {
  readonly key: string;
  readonly status: HealthStatus;
  /** Why the status is what it is, in plain words. */
  readonly cause: string;
  /** Since when it has this status (the clock of the options, milliseconds). */
  readonly sinceMs: number;
  /** The last check that ended. */
  readonly last?: {
    readonly ok: boolean;
    readonly durationMs: number;
    readonly detail: string;
    readonly atMs: number;
  };
  /** Checks that ended, and how many of them failed. */
  readonly checks: number;
  readonly failures: number;
  /** How often it went down again soon after it had come up. */
  readonly flaps: number;
  /** Down, and not up again before this, however well the checks go. */
  readonly heldUntilMs?: number;
  /** What the data plane's counters say against it now. */
  readonly suspicion?: string;
  /** Without an active check: back in use after a hold, and not one answered connection yet. */
  readonly onProbation?: boolean;
}

/** Rising counts of one backend, from main memory. */
export interface PassiveCounts {
  /** Connections that were given to it. */
  readonly begun: number;
  /** Those of them that it answered, other than by refusing them. */
  readonly answered: number;
  /** Answered ones that it reset later. */
  readonly resets: number;
  /** Those that it refused: a reset in answer to the first packet. */
  readonly refused: number;
}

export interface HealthCheckerOptions {
  /** Monotonic milliseconds. */
  now(): number;
  /** 0 up to, not including, 1. */
  random(): number;
  /** Called when a status has changed, at the end of what changed it. */
  onChange(state: HealthState, before: HealthState): void;
}

export class HealthChecker {
  constructor(_options: HealthCheckerOptions) {}

  /** The targets from now on; those that were there keep their state. Keys are unique. */
  setTargets(_targets: readonly HealthTarget[]): void {}

  /** Takes the counts of one backend, once per second. */
  observe(_key: string, _counts: PassiveCounts): void {}

  /** What is known of a target; undefined when there is none of this key. */
  state(_key: string): HealthState | undefined {
    return undefined;
  }

  /** Ends every check; resolves when nothing is left of them. */
  async stop(): Promise<void> {}
}
