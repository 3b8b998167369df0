// The health checker: asks every backend at its interval, watches what the data plane saw of it, and
// says when one goes up or down. Stands in the control processor; the master reads its states.
// Invariant: one check at most is under way per target, and when `stop` has resolved, none is, no
// timer runs and no socket or process that it opened is left.

import { assert } from '../base/assert.ts';
import type {
  HealthMemory,
  HealthState,
  HealthStatus,
  HealthTarget,
  PassiveCounts,
} from './health-state.ts';
import { TargetMonitor } from './monitor.ts';
import { ProbeSlots } from './probe-slots.ts';
import { MAX_CHECKS_PER_SECOND } from './settings.ts';

export type {
  HealthMemory,
  HealthState,
  HealthStatus,
  HealthTarget,
  LastCheck,
  PassiveCounts,
} from './health-state.ts';

/** Checks over the network that are under way at once; each takes one descriptor. */
export const MAX_CHECKS_AT_ONCE = 1_024;
/** Scripts that run at once: processes cost more than sockets. */
export const MAX_SCRIPTS_AT_ONCE = 16;
/** First checks are spread over so long per target, but not longer than its interval. */
const FIRST_SPREAD_MS_PER_TARGET = 4;

export interface HealthCheckerOptions {
  /** Monotonic milliseconds. */
  now(): number;
  /** 0 up to, not including, 1. */
  random(): number;
  /** Called when a status has changed; it may call the checker. Must not throw. */
  onChange(state: HealthState, before: HealthState): void;
  readonly maxChecksAtOnce?: number;
  readonly maxChecksPerSecond?: number;
  readonly maxScriptsAtOnce?: number;
}

interface Held {
  readonly monitor: TargetMonitor;
  /** The target without `previous`, as text, to see whether it changed. */
  readonly text: string;
}

export class HealthChecker {
  private readonly options: HealthCheckerOptions;
  private readonly slots: ProbeSlots;
  private readonly scriptSlots: ProbeSlots;
  private readonly leaving = new Set<Promise<void>>();
  private held = new Map<string, Held>();
  private isStopped = false;

  constructor(options: HealthCheckerOptions) {
    this.options = options;
    this.slots = new ProbeSlots(
      options.maxChecksAtOnce ?? MAX_CHECKS_AT_ONCE,
      options.maxChecksPerSecond ?? MAX_CHECKS_PER_SECOND,
    );
    this.scriptSlots = new ProbeSlots(options.maxScriptsAtOnce ?? MAX_SCRIPTS_AT_ONCE);
  }

  /**
   * The targets from now on; keys are unique. One whose settings alone changed keeps its status and is
   * checked anew; one with another address or port begins 'unchecked'.
   */
  setTargets(targets: readonly HealthTarget[]): void {
    if (this.isStopped) return;
    const next = new Map<string, Held>();
    const begun: Array<readonly [TargetMonitor, HealthTarget]> = [];
    const changed: Array<readonly [TargetMonitor, HealthTarget]> = [];
    for (const target of targets) {
      assert(!next.has(target.key), `two targets with the key ${target.key}`);
      const text = textOf(target);
      const old = this.held.get(target.key);
      if (old?.text === text) {
        next.set(target.key, old);
        continue;
      }
      const monitor = old?.monitor ?? this.makeMonitor(target);
      (old === undefined ? begun : changed).push([monitor, target]);
      next.set(target.key, { monitor, text });
    }
    for (const [key, { monitor }] of this.held) if (!next.has(key)) monitor.stop();
    this.held = next;
    for (const [monitor, target] of changed) monitor.replace(target);
    const spreadMs = FIRST_SPREAD_MS_PER_TARGET * (begun.length + changed.length);
    for (const [monitor, { key, settings }] of [...begun, ...changed]) {
      // Whoever heard of a change may have set other targets meanwhile.
      if (this.held.get(key)?.monitor !== monitor) continue;
      monitor.start(this.options.random() * Math.min(settings.intervalMs, spreadMs));
    }
  }

  /** Takes the rising counts of one backend, once per second; a key without target is passed over. */
  observe(key: string, counts: PassiveCounts): void {
    this.held.get(key)?.monitor.observe(counts);
  }

  /** What is known of a target; undefined when there is none of this key. */
  state(key: string): HealthState | undefined {
    return this.held.get(key)?.monitor.state;
  }

  /** The same, without what is only for people. */
  status(key: string): HealthStatus | undefined {
    return this.held.get(key)?.monitor.status;
  }

  /** What a successor of this process must know of a target; undefined: nothing is known of it. */
  memory(key: string): HealthMemory | undefined {
    return this.held.get(key)?.monitor.kept;
  }

  /** Ends every check; resolves when nothing is left of them. The checker cannot be used again. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.slots.close();
    this.scriptSlots.close();
    for (const { monitor } of this.held.values()) monitor.stop();
    this.held.clear();
    await Promise.all(this.leaving);
  }

  private makeMonitor(target: HealthTarget): TargetMonitor {
    const { now, random, onChange } = this.options;
    const { slots, scriptSlots } = this;
    return new TargetMonitor(target, {
      now,
      random,
      onChange,
      slots,
      scriptSlots,
      leaving: (gone) => {
        this.leaving.add(gone);
        void gone.then(() => this.leaving.delete(gone));
      },
    });
  }
}

function textOf({ address, port, settings, passive }: HealthTarget): string {
  return JSON.stringify([address, port, settings, passive]);
}
