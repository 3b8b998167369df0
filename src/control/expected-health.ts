// The health of backends as the master sees it: what the health checker knows, and of those that it does
// not check yet, because their configuration is only about to be published, where they will begin. Without
// that a dead server would be taken for a living one from the publication of a configuration to the next
// beat: at each reload that brings it, and each time that control is started again.
//
// Invariant: a backend that the configuration does not check has no state, also if it was checked before.

import type { HealthState, HealthTarget } from '../health/checker.ts';
import { beginJudgement } from '../health/judge.ts';

export class ExpectedHealth {
  private readonly checker: (key: string) => HealthState | undefined;
  /** Of what is to be checked now or soon: the states of those that the checker does not know yet. */
  private targets = new Map<string, HealthState | undefined>();
  /** Which server the checker asks, by key. */
  private servers = new Map<string, string>();

  /** @param checker what the health checker knows of a backend */
  constructor(checker: (key: string) => HealthState | undefined) {
    this.checker = checker;
  }

  /**
   * These are about to be checked, or, when nothing comes of that, the ones that are.
   * @param nowMs of the checker's clock
   */
  expect(targets: readonly HealthTarget[], nowMs: number): void {
    this.targets = new Map(
      targets.map((target) => {
        const isKnown = this.servers.get(target.key) === serverOf(target);
        return [target.key, isKnown ? undefined : beginning(target, nowMs)];
      }),
    );
  }

  /** The checker has these targets from now on. */
  follow(targets: readonly HealthTarget[]): void {
    this.servers = new Map(targets.map((target) => [target.key, serverOf(target)]));
    this.targets = new Map(targets.map(({ key }) => [key, undefined]));
  }

  /** What is known of a backend; undefined: it is not checked. */
  state(key: string): HealthState | undefined {
    return this.targets.has(key) ? (this.targets.get(key) ?? this.checker(key)) : undefined;
  }
}

function serverOf({ address, port }: HealthTarget): string {
  return `${address}:${port}`;
}

function beginning({ key, settings, previous }: HealthTarget, nowMs: number): HealthState {
  const begun = beginJudgement(settings, previous, nowMs);
  const { status, cause, sinceMs, checks, failures, flaps } = begun;
  return { key, status, cause, sinceMs, checks, failures, flaps };
}
