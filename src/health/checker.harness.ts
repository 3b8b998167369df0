// For the tests of the checker: one that notes every change, targets, and a clock that can be moved.

import { Prng } from '../base/prng.ts';
import { HealthChecker, type HealthCheckerOptions } from './checker.ts';
import type { HealthMemory, HealthState, HealthTarget } from './health-state.ts';
import { DEFAULT_HEALTH, type HealthSettings } from './settings.ts';

export const QUICK: HealthSettings = {
  ...DEFAULT_HEALTH,
  intervalMs: 100,
  fastIntervalMs: 50,
  timeoutMs: 1_000,
  rise: 2,
  fall: 3,
};

/** What a predecessor knew. */
export const WAS_UP: HealthMemory = { status: 'up', sinceMs: 0, flaps: 0, flapLevel: 0 };
export const WAS_DOWN: HealthMemory = { ...WAS_UP, status: 'down' };

export interface Change {
  readonly key: string;
  readonly from: string;
  readonly to: string;
  readonly cause: string;
  readonly atMs: number;
}

export function makeChecker(options: Partial<HealthCheckerOptions> = {}) {
  const prng = new Prng(42);
  const changes: Change[] = [];
  let aheadMs = 0;
  const now = () => performance.now() + aheadMs;
  const checker = new HealthChecker({
    now,
    random: () => prng.below(1_000_000) / 1_000_000,
    onChange(state: HealthState, before: HealthState) {
      const { key, cause } = state;
      changes.push({ key, from: before.status, to: state.status, cause, atMs: now() });
    },
    ...options,
  });
  return {
    checker,
    changes,
    now,
    /** Moves the checker's clock, not its timers. */
    advance(milliseconds: number): void {
      aheadMs += milliseconds;
    },
    status: (key = 'web/b1') => checker.state(key)?.status,
    /** What the statuses of one target were, in order. */
    path: (key = 'web/b1') => changes.filter((each) => each.key === key).map(({ to }) => to),
  };
}

export function target(
  port: number,
  settings: Partial<HealthSettings> = {},
  more: Partial<HealthTarget> = {},
): HealthTarget {
  return {
    key: 'web/b1',
    address: '127.0.0.1',
    port,
    settings: { ...QUICK, ...settings },
    ...more,
  };
}
