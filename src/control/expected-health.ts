// The health of backends as the master sees it: what the health checker knows, and of those that it does
// not check yet, because their configuration is only about to be published, where they will begin. Without
// that a dead server would be taken for a living one from the publication of a configuration to the next
// beat: at each reload that brings it, and each time that control is started again.
//
// Invariant: a backend that the configuration does not check has no state, also if it was checked before.

import type {
  HealthChecker,
  HealthMemory,
  HealthState,
  HealthStatus,
  HealthTarget,
} from '../health/checker.ts';
import { beginJudgement, type Judgement, memoryOf, stateOf } from '../health/judge.ts';

/** What is asked of the health checker. */
export type CheckedHealth = Pick<HealthChecker, 'state' | 'status' | 'memory'>;

export class ExpectedHealth implements CheckedHealth {
  private readonly checker: CheckedHealth;
  /** Of what is to be checked now or soon: the beginnings of those that the checker does not know yet. */
  private targets = new Map<string, Judgement | undefined>();
  /** Which server the checker asks, by key. */
  private servers = new Map<string, string>();

  constructor(checker: CheckedHealth) {
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
        const { key, settings, previous } = target;
        return [key, isKnown ? undefined : beginJudgement(settings, previous, nowMs)];
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
    if (!this.targets.has(key)) return undefined;
    const begun = this.targets.get(key);
    return begun === undefined ? this.checker.state(key) : stateOf(key, begun);
  }

  /** Its status alone: the master asks for it each second. */
  status(key: string): HealthStatus | undefined {
    if (!this.targets.has(key)) return undefined;
    return this.targets.get(key)?.status ?? this.checker.status(key);
  }

  /** What a successor of this process must know of a backend. */
  memory(key: string): HealthMemory | undefined {
    if (!this.targets.has(key)) return undefined;
    const begun = this.targets.get(key);
    return begun === undefined ? this.checker.memory(key) : memoryOf(begun);
  }
}

function serverOf({ address, port }: HealthTarget): string {
  return `${address}:${port}`;
}
