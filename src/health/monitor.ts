// One target's life: when it is checked, by which probe, and what the judge makes of it. The checker
// (checker.ts) holds one monitor per target.
//
//   timer ─▶ slot ─▶ probe ─▶ result or timeout ─▶ judge ─▶ timer …
//
// Invariant: a monitor has at most one of these at a time: a timer, a place in the queue for a slot, a
// probe under way. After `stop` it has none, and never calls `onChange` again.

import type {
  HealthMemory,
  HealthState,
  HealthStatus,
  HealthTarget,
  LastCheck,
  PassiveCounts,
} from './health-state.ts';
import {
  beginJudgement,
  type Judgement,
  judgeCheck,
  judgeHold,
  judgeObservation,
  memoryOf,
  nextCheckMs,
  stateOf,
} from './judge.ts';
import { NO_PASSIVE_MEMORY, observeCounts, type PassiveMemory } from './passive.ts';
import type { ProbeSlots } from './probe-slots.ts';
import { startProbe } from './probes/by-type.ts';
import { failedBy, type ProbeResult } from './probes/probe.ts';

/** What a monitor needs of the checker. */
export interface MonitorSurroundings {
  now(): number;
  random(): number;
  onChange(state: HealthState, before: HealthState): void;
  /** Takes what is not gone yet although it was ended: processes that were killed. */
  leaving(gone: Promise<void>): void;
  readonly slots: ProbeSlots;
  readonly scriptSlots: ProbeSlots;
}

export class TargetMonitor {
  private target: HealthTarget;
  private readonly around: MonitorSurroundings;
  private judgement: Judgement;
  private memory: PassiveMemory = NO_PASSIVE_MEMORY;
  private last: LastCheck | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Ends the check that waits for a slot or is under way. */
  private endCheck: (() => void) | undefined;
  private isRunning = false;

  constructor(target: HealthTarget, around: MonitorSurroundings) {
    this.target = target;
    this.around = around;
    this.judgement = beginJudgement(target.settings, target.previous, around.now());
  }

  get state(): HealthState {
    return stateOf(this.target.key, this.judgement, this.last);
  }

  get status(): HealthStatus {
    return this.judgement.status;
  }

  /** What a successor must know; undefined: nothing is known yet. */
  get kept(): HealthMemory | undefined {
    return memoryOf(this.judgement);
  }

  /** Begins checking after `delayMs`. */
  start(delayMs: number): void {
    this.isRunning = true;
    if (this.target.settings.type === 'none') this.awaitEndOfHold();
    else this.schedule(delayMs);
  }

  /** Takes new settings for the same server: what is known of it stays. Start it again after this. */
  replace(target: HealthTarget): void {
    this.stop();
    const before = this.target;
    this.target = target;
    const isSameServer = before.address === target.address && before.port === target.port;
    const isStillChecked = (before.settings.type === 'none') === (target.settings.type === 'none');
    if (isSameServer && isStillChecked) return;
    this.memory = NO_PASSIVE_MEMORY;
    // Another server, or one that is asked now and was not (or the other way): what is known is void.
    const begun = beginJudgement(target.settings, undefined, this.around.now());
    const keepsUp = isSameServer && this.judgement.status === 'up';
    const kept = this.judgement.cause;
    this.tell(this.adopt(keepsUp ? { ...begun, status: 'up', cause: kept } : begun));
  }

  observe(counts: PassiveCounts): void {
    const { passive, settings } = this.target;
    if (passive === undefined) return;
    const now = this.around.now();
    const { memory, evidence } = observeCounts(this.memory, counts, passive, now);
    this.memory = memory;
    const before = this.judgement;
    const after = judgeObservation(before, evidence, passive, settings, now);
    const isNewlySuspect = before.suspicion === undefined && after.suspicion !== undefined;
    const told = this.adopt(after);
    if (settings.type === 'none') this.awaitEndOfHold();
    else if (isNewlySuspect && this.endCheck === undefined && this.timer !== undefined) {
      this.schedule(0);
    }
    this.tell(told);
  }

  /** Ends whatever is under way. */
  stop(): void {
    this.isRunning = false;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.endCheck?.();
    this.endCheck = undefined;
  }

  private schedule(delayMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.awaitSlot(), Math.max(0, delayMs));
  }

  private awaitSlot(): void {
    this.timer = undefined;
    const { slots, scriptSlots } = this.around;
    const wanted = this.target.settings.type === 'script' ? scriptSlots : slots;
    let hasBegun = false;
    const leave = wanted.ask(() => {
      hasBegun = true;
      this.check(wanted);
    });
    if (!hasBegun) this.endCheck = leave;
  }

  private check(slots: ProbeSlots): void {
    const { now } = this.around;
    const { settings } = this.target;
    const startedAtMs = now();
    let isOver = false;
    let timeout: NodeJS.Timeout | undefined;
    const end = (result: ProbeResult | undefined): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timeout);
      this.endCheck = undefined;
      // The next in the queue begins in here, before this one's result is told: neither waits.
      slots.release();
      if (result !== undefined) this.take(result, startedAtMs);
    };
    try {
      const probe = startProbe(this.target, end);
      if (isOver) return;
      const cancel = (): void => {
        const gone = probe.cancel();
        if (gone !== undefined) this.around.leaving(gone);
      };
      this.endCheck = () => {
        cancel();
        end(undefined);
      };
      timeout = setTimeout(() => {
        // If this process was held up, the answer may have come in time: let it be read first.
        setImmediate(() => {
          if (isOver) return;
          const result = probe.expire();
          cancel();
          end(result);
        });
      }, settings.timeoutMs);
    } catch (error) {
      end(failedBy(error, 'the check could not begin: '));
    }
  }

  private take(result: ProbeResult, startedAtMs: number): void {
    // Whoever began when this one's slot became free may have failed at once, and who heard of it stopped this one.
    if (!this.isRunning) return;
    const { now, random } = this.around;
    const { settings } = this.target;
    const atMs = now();
    const durationMs = atMs - startedAtMs;
    let after = this.judgement;
    if (result.isInconclusive) {
      this.last = { ok: false, durationMs, atMs, detail: `not checked: ${result.detail}` };
    } else {
      this.last = { ok: result.ok, durationMs, atMs, detail: result.detail };
      after = judgeCheck(after, result.ok, result.detail, settings, atMs);
    }
    const before = this.adopt(after);
    this.schedule(nextCheckMs(after, settings, random(), atMs) - durationMs);
    this.tell(before);
  }

  /** Takes a new judgement; returns the state before it, for `tell`. */
  private adopt(after: Judgement): HealthState {
    const before = this.state;
    this.judgement = after;
    // What was counted before is not held against what comes up.
    if (after.status === 'up' && before.status !== 'up') this.memory = NO_PASSIVE_MEMORY;
    return before;
  }

  /** Comes last in whatever changed the state: who hears of it may stop this monitor. */
  private tell(before: HealthState): void {
    if (before.status !== this.judgement.status) this.around.onChange(this.state, before);
  }

  private awaitEndOfHold(): void {
    const { heldUntilMs } = this.judgement;
    if (this.judgement.status !== 'down' || this.timer !== undefined) return;
    const leftMs = Math.max(0, (heldUntilMs ?? 0) - this.around.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      const before = this.adopt(judgeHold(this.judgement, this.around.now()));
      this.awaitEndOfHold();
      this.tell(before);
    }, leftMs);
  }
}
