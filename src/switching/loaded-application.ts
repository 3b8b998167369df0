// One application on one switching processor: its rules, its budget, and how often it has failed. What it
// does is counted in its share of main memory, where `weir apps` finds it.
//
// It is switched off when it has failed as often as the configuration allows within ten seconds: each
// exception counts once, each overrun as many times as the budget fits into the time it took, so that a
// loop of a second ends it at once. What it has matched goes on without it then, or is dropped.
// Invariant: once switched off it runs no more before it is set up anew (another revision of its plan).

import type { Application } from '../apps/contract.ts';
import type { ApplicationPlan } from '../base/application-plan.ts';
import {
  APPLICATION_CRASHED,
  APPLICATION_FAILED,
  APPLICATION_HUNG,
  type ApplicationShare,
  SHARE_FAILURES,
  SHARE_LONGEST,
  SHARE_OVERRUNS,
  SHARE_STATE,
  TALLY_BUSY,
} from '../memory/application-memory.ts';
import type { Host } from './application-host.ts';
import { RULE_WORDS } from './application-rules.ts';
import { textOf } from './thrown.ts';

/** Failures that lie further apart have nothing to do with each other. */
const WINDOW_MS = 10_000;
const DEFAULT_TICK_MS = 100;
const LONGEST_TICK_MS = 60_000;

/** Told when an application runs or is switched off: seldom, and worth a line in the log. */
export type Report = (message: string, isGood?: boolean) => void;

export class LoadedApplication {
  readonly plan: ApplicationPlan;
  readonly application: Application;
  readonly host: Host;
  readonly share: ApplicationShare;
  /** Milliseconds between two ticks; 0: it has none. */
  readonly tickMs: number;
  /** Its place, counted from 1: shown in main memory while it runs. */
  readonly mark: number;
  /** Whether its packets are dropped when it is off. */
  readonly dropsWhenOff: boolean;
  isRunning = true;
  /** It stands for one that is being loaded, so that what is to be dropped without it is dropped. */
  isPlaceholder = false;
  tickedAt: number;
  private readonly rules: Int32Array;
  private readonly report: Report;
  private readonly budget: number;
  private readonly failureLimit: number;
  private windowStartedAt: number;
  private windowFailures = 0;

  constructor(
    plan: ApplicationPlan,
    application: Application,
    host: Host,
    share: ApplicationShare,
    rules: Int32Array,
    report: Report,
    nowMs: number,
  ) {
    this.plan = plan;
    this.application = application;
    this.host = host;
    this.share = share;
    this.rules = rules;
    this.report = report;
    this.mark = plan.slot + 1;
    this.dropsWhenOff = plan.whenOff === 'drop';
    this.budget = plan.budgetMicroseconds;
    this.failureLimit = plan.failures;
    this.windowStartedAt = nowMs;
    this.tickedAt = nowMs;
    const asked = Math.trunc(Number(application.tickMs ?? DEFAULT_TICK_MS)) || DEFAULT_TICK_MS;
    const tickMs = Math.min(Math.max(asked, 1), LONGEST_TICK_MS);
    this.tickMs = typeof application.onTick === 'function' ? tickMs : 0;
  }

  /** Whether it wants to see a packet. `port` is the destination's, 0 for ICMP. @hot */
  matches(protocol: number, destination: number, port: number): boolean {
    const { rules } = this;
    for (let at = 0; at < rules.length; at = (at + RULE_WORDS) | 0) {
      if (rules[at] !== 0 && rules[at] !== protocol) continue;
      if (((destination ^ rules[at + 1]) & rules[at + 2]) !== 0) continue;
      if (port >= rules[at + 3] && port <= rules[at + 4]) return true;
    }
    return false;
  }

  /** It has had so much CPU time for a burst or a tick. @hot */
  account(microseconds: number, nowMs: number): void {
    const { share } = this;
    share.add(TALLY_BUSY, microseconds);
    if (microseconds > share.word(SHARE_LONGEST)) share.setWord(SHARE_LONGEST, microseconds);
    if (microseconds > this.budget) this.overran(microseconds, nowMs);
  }

  private overran(microseconds: number, nowMs: number): void {
    const { share, budget } = this;
    share.setWord(SHARE_OVERRUNS, share.word(SHARE_OVERRUNS) + 1);
    const what = `took ${microseconds} µs, ${budget} µs are its budget`;
    share.setError(what);
    this.fail(Math.trunc(microseconds / budget), what, nowMs);
  }

  /** Its code has thrown, or returned what is no verdict. */
  threw(error: unknown, nowMs: number): void {
    const { share } = this;
    share.setWord(SHARE_FAILURES, share.word(SHARE_FAILURES) + 1);
    const what = textOf(error);
    share.setError(what);
    this.fail(1, what, nowMs);
  }

  private fail(weight: number, what: string, nowMs: number): void {
    if (!this.isRunning) return;
    const age = (nowMs - this.windowStartedAt) | 0;
    if (age > WINDOW_MS || age < 0) {
      this.windowStartedAt = nowMs;
      this.windowFailures = 0;
    }
    this.windowFailures += weight;
    if (this.windowFailures >= this.failureLimit) this.switchOff(APPLICATION_FAILED, what);
  }

  /**
   * It has kept the processor waiting without using CPU time, which is what `account` sees. The machine may
   * have stood still, so that once is forgiven.
   */
  stoodStill(milliseconds: number, nowMs: number): void {
    if (!this.isRunning) return;
    const { share } = this;
    share.setWord(SHARE_OVERRUNS, share.word(SHARE_OVERRUNS) + 1);
    const what = `kept the processor waiting for ${milliseconds} ms: nothing in it may wait`;
    share.setError(what);
    this.fail(Math.ceil(this.failureLimit / 2), what, nowMs);
  }

  /** @param state APPLICATION_* */
  switchOff(state: number, why: string): void {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.host.close();
    this.share.setWord(SHARE_STATE, state);
    this.share.setError(why);
    this.report(`application ${this.plan.name} is switched off: ${why}`);
  }

  /** What another processor that ended in it has left here for us: a state, or 0. @hot */
  toldState(): number {
    const state = this.share.word(SHARE_STATE);
    return state === APPLICATION_HUNG || state === APPLICATION_CRASHED ? state : 0;
  }
}
