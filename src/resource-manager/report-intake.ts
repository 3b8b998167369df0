// What becomes of a datagram that says it is an agent's report. In this order, cheap before dear:
// the flood gate; size, envelope, agent, signature, figures (openReport in src/load); whether it is new;
// whether its clock is near ours; how often the agent reports; whether it may speak for its backends.
//
// What is new: within one start of an agent its sequence rises; another boot id counts only when its
// clock is later than that of the last report accepted. So nothing that was recorded can be sent again
// while this process lives; after its start, what is younger than MAX_SKEW_MS can, until the agent's next.
// Invariant: a rejected report changes nothing but counters. Memory is bounded by the agents configured.

import {
  isRejection,
  type Rejection,
  type RejectionReason,
  rejection,
} from '../load/rejections.ts';
import { type AgentReport, type BackendLoad, openReport } from '../load/signed-report.ts';
import { FloodGate } from './flood-gate.ts';
import {
  noRejections,
  type RejectionCounts,
  type RejectionJournal,
  STRANGERS,
} from './rejection-journal.ts';
import type { AgentSettings } from './settings.ts';
import { TokenBucket } from './token-bucket.ts';

/** How far an agent's clock may be from ours. */
export const MAX_SKEW_MS = 30_000;

export interface IntakeOptions {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since 1970. */
  wallNow(): number;
  accept(agent: string, load: BackendLoad): void;
}

/** What is known about one agent. */
export interface AgentState {
  settings: AgentSettings;
  backends: ReadonlySet<string>;
  bucket: TokenBucket;
  bootId: string | undefined;
  sequence: number;
  wallClockMs: number;
  accepted: number;
  lastAcceptedAtMs: number | undefined;
  readonly rejected: RejectionCounts;
}

export class ReportIntake {
  private readonly options: IntakeOptions;
  private readonly journal: RejectionJournal;
  private agents = new Map<string, AgentState>();
  private reportsPerSecond = 0;
  private gate: FloodGate;

  constructor(options: IntakeOptions, journal: RejectionJournal) {
    this.options = options;
    this.journal = journal;
    this.gate = new FloodGate(0, options.now());
  }

  /** Takes over settings. Agents that stay keep their sequence, boot id and counts. */
  update(agents: readonly AgentSettings[], reportsPerSecond: number): void {
    const nowMs = this.options.now();
    const isOtherRate = reportsPerSecond !== this.reportsPerSecond;
    const next = new Map<string, AgentState>();
    for (const settings of agents) {
      const before = this.agents.get(settings.name);
      const state = before ?? newState(settings, reportsPerSecond, nowMs);
      state.settings = settings;
      state.backends = new Set(settings.backends);
      if (isOtherRate) state.bucket = new TokenBucket(reportsPerSecond, reportsPerSecond, nowMs);
      next.set(settings.name, state);
    }
    if (isOtherRate || next.size !== this.agents.size) {
      this.gate = new FloodGate(reportsPerSecond * next.size, nowMs);
    }
    this.agents = next;
    this.reportsPerSecond = reportsPerSecond;
  }

  states(): IterableIterator<AgentState> {
    return this.agents.values();
  }

  /** Takes a datagram. @param address of its sender */
  receive(datagram: Uint8Array, address: string): void {
    if (!this.gate.pass(address, this.options.now())) {
      const detail = `more datagrams than are looked at, one of them from ${address}`;
      this.journal.rejected(STRANGERS, rejection('flood', detail));
      return;
    }
    const report = openReport(datagram, (name) => this.agents.get(name)?.settings.keys);
    if (isRejection(report)) {
      this.reject(report, address);
      return;
    }
    const state = this.agents.get(report.agent)!;
    const refused = this.judge(report, state);
    if (refused === undefined) this.accept(report, state);
    else this.reject(rejection(refused.reason, refused.detail, report.agent), address);
  }

  private judge(
    report: AgentReport,
    state: AgentState,
  ): { reason: RejectionReason; detail: string } | undefined {
    const { sequence, wallClockMs } = report;
    if (report.bootId === state.bootId) {
      const detail = `sequence ${sequence}, the last was ${state.sequence}`;
      if (sequence === state.sequence) return { reason: 'replayed', detail };
      if (sequence < state.sequence) return { reason: 'old-sequence', detail };
    } else if (state.bootId !== undefined && wallClockMs <= state.wallClockMs) {
      const detail = 'of another start of the agent, and not later than its last report';
      return { reason: 'old-sequence', detail };
    }
    const skewMs = wallClockMs - this.options.wallNow();
    if (Math.abs(skewMs) > MAX_SKEW_MS) {
      const seconds = Math.round(Math.abs(skewMs) / 1000);
      const detail = `its clock is ${seconds} s ${skewMs > 0 ? 'ahead' : 'behind'}`;
      return { reason: 'clock-skew', detail };
    }
    if (!state.bucket.take(this.options.now())) {
      return { reason: 'too-often', detail: `more than ${this.reportsPerSecond} per second` };
    }
    const foreign = report.backends.find(({ backend }) => !state.backends.has(backend));
    if (foreign === undefined) return undefined;
    return { reason: 'wrong-backend', detail: `it may not speak for '${foreign.backend}'` };
  }

  private accept(report: AgentReport, state: AgentState): void {
    state.bootId = report.bootId;
    state.sequence = report.sequence;
    state.wallClockMs = report.wallClockMs;
    state.accepted++;
    state.lastAcceptedAtMs = this.options.now();
    this.journal.accepted(agentSubject(report.agent));
    for (const load of report.backends) this.options.accept(report.agent, load);
  }

  private reject(rejected: Rejection, address: string): void {
    const state = rejected.agent === undefined ? undefined : this.agents.get(rejected.agent);
    if (state !== undefined) state.rejected[rejected.rejected]++;
    const subject = state === undefined ? STRANGERS : agentSubject(state.settings.name);
    const detail = `${rejected.detail}, from ${address}`;
    this.journal.rejected(subject, rejection(rejected.rejected, detail));
  }
}

/** An agent's name in the log and the journal. */
export function agentSubject(name: string): string {
  return `agent ${name}`;
}

function newState(settings: AgentSettings, perSecond: number, nowMs: number): AgentState {
  return {
    settings,
    backends: new Set(),
    bucket: new TokenBucket(perSecond, perSecond, nowMs),
    bootId: undefined,
    sequence: 0,
    wallClockMs: 0,
    accepted: 0,
    lastAcceptedAtMs: undefined,
    rejected: noRejections(),
  };
}
