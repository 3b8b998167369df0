// What goes into the health checker and what comes out of it: targets, states, and the counts of the
// data plane. Plain data; the judge (judge.ts) makes states, the master reads them.
// Invariant: times are milliseconds of the one clock that the checker was given.

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
  readonly previous?: HealthMemory;
}

export type HealthStatus = 'up' | 'down' | 'unchecked';

/** What is kept of a target beyond the death of control: plain numbers, times of a clock that goes on. */
export interface HealthMemory {
  readonly status: 'up' | 'down';
  readonly sinceMs: number;
  readonly flaps: number;
  /** Doublings of the hold. */
  readonly flapLevel: number;
  /** When it last came up after having been down. */
  readonly returnedAtMs?: number;
  readonly heldUntilMs?: number;
  readonly onProbation?: boolean;
}

/** One check that ended. */
export interface LastCheck {
  readonly ok: boolean;
  readonly durationMs: number;
  /** What was found, in plain words: 'status 503, wanted 200-399'. */
  readonly detail: string;
  readonly atMs: number;
}

/** What is known of one target. */
export interface HealthState {
  readonly key: string;
  readonly status: HealthStatus;
  /** Why the status is what it is, in plain words. */
  readonly cause: string;
  /** Since when it has this status. */
  readonly sinceMs: number;
  readonly last?: LastCheck;
  /** Checks that ended, and how many of them failed. */
  readonly checks: number;
  readonly failures: number;
  /** How often it went down again soon after it had come up. */
  readonly flaps: number;
  /** Down, and not up again before this, however well the checks go. */
  readonly heldUntilMs?: number;
  /** What the data plane's counts say against it now. */
  readonly suspicion?: string;
  /** Without an active check: back in use after a hold, and no connection answered yet. */
  readonly onProbation?: boolean;
}

/** Rising counts of one backend, from main memory. */
export interface PassiveCounts {
  /** Connections that were given to it. */
  readonly begun: number;
  /** Those of them that it answered, other than by refusing them. */
  readonly answered: number;
  /** Answered ones that it reset later; of several in a row of one client network only the first. */
  readonly resets: number;
  /** Those that it refused: a reset in answer to the first packet. */
  readonly refused: number;
}
