// The master (element 54 of Fig. 4): turns raw load into a distribution (B3). It holds what is known of every
// backend: the newest report, its health, what operators have changed, what the switching processors have
// counted, and asks the pure synthesis (src/distribution) what follows from it. distribution-loop.ts publishes
// what it decides; backend-views.ts tells people why.
//
// Invariants: it decides from what it holds and the time that it is given, and nothing else. What it must not
// forget when it dies is JSON (`memory`, `restore`). Reports about backends that are not configured are
// not kept, so what it holds is bounded by the configuration.

import type { Log } from '../base/log.ts';
import type { BackendInput, BackendOutput, ServiceMemory } from '../distribution/synthesis.ts';
import { type ServiceOutput, synthesize } from '../distribution/synthesis.ts';
import type { HealthState, HealthStatus } from '../health/checker.ts';
import type { LoadReport, ReportSink } from '../load/load-report.ts';
import type { BackendObserver } from './backend-observer.ts';
import type { BackendDecision, Decisions, Ids } from './compile-configuration.ts';
import type { Configuration } from './config/schema.ts';
import { drainEndsConnections } from './drain.ts';
import { headline } from './headline.ts';
import { OperatorChanges } from './operator-changes.ts';
import { isSpokenFor, speakersOf } from './report-speakers.ts';
import { type Roster, type RosterBackend, type RosterService, rosterOf } from './roster.ts';

export interface MasterParts {
  readonly observer: BackendObserver;
  readonly log: Pick<Log, 'info' | 'warning'>;
  readonly health: {
    /** What the health checks say; undefined: the backend is not checked. */
    state(key: string): HealthState | undefined;
    status(key: string): HealthStatus | undefined;
  };
}

/** What is kept beyond the death of control. */
export interface MasterMemory {
  readonly services: Readonly<Record<string, ServiceMemory>>;
  /** Their times are of CLOCK_MONOTONIC, which the successor has too. */
  readonly reports: readonly LoadReport[];
}

/** As many changes of weights are named in one line of the log; the others are counted. */
const NAMED_IN_A_LINE = 10;

export class Master implements ReportSink {
  private readonly parts: MasterParts;
  /** What runs. */
  roster: Roster = [];
  private ids: Ids = { services: new Map(), backends: new Map() };
  private readonly reports = new Map<string, LoadReport>();
  private readonly outputs = new Map<string, ServiceOutput>();
  private memories = new Map<string, ServiceMemory>();
  private ending: ReadonlySet<string> = new Set();
  /** Backends that were there when weir started: they are used until their checks say otherwise. */
  private trusted: ReadonlySet<string> | undefined;
  /** What operators have changed. */
  operator = OperatorChanges.fromJSON(undefined);

  constructor(parts: MasterParts) {
    this.parts = parts;
  }

  /** What runs from now on; what is known of services and backends that keep their names is kept. */
  useConfiguration(configuration: Configuration, ids: Ids): void {
    this.roster = rosterOf(configuration, ids);
    this.ids = ids;
    this.parts.observer.follow(ids.backends.values());
    this.trusted ??= new Set(ids.backends.keys());
    const services = new Set(configuration.services.map(({ name }) => name));
    this.forgetReports(configuration);
    for (const name of this.outputs.keys()) if (!services.has(name)) this.outputs.delete(name);
    for (const name of this.memories.keys()) if (!services.has(name)) this.memories.delete(name);
  }

  /**
   * Who has not passed a check waits for one, although it is there already: what was known when control
   * was killed is known again. Before the first configuration.
   */
  awaitChecks(): void {
    this.trusted = new Set();
  }

  /**
   * Reports of sources that the configuration does not name any more are forgotten with what they asked
   * for: a server that wanted to be drained could not take that back.
   */
  private forgetReports(configuration: Configuration): void {
    const speakers = speakersOf(configuration);
    for (const [key, report] of this.reports) {
      if (!isSpokenFor(speakers, report)) this.reports.delete(key);
    }
  }

  /** A report of the resource manager. */
  accept(report: LoadReport): void {
    if (this.ids.backends.has(report.backend)) this.reports.set(report.backend, report);
  }

  /** The newest report about a backend. */
  report(key: string): LoadReport | undefined {
    return this.reports.get(key);
  }

  /** What was decided last about a service. */
  output(service: string): ServiceOutput | undefined {
    return this.outputs.get(service);
  }

  /** What a successor must know of a service; undefined: nothing has been decided about it. */
  memory(service: string): ServiceMemory | undefined {
    return this.memories.get(service);
  }

  /** Goes on where a killed control processor stopped; before the first decision. */
  restore({ services, reports }: MasterMemory): void {
    this.memories = new Map(Object.entries(services));
    for (const report of reports) this.reports.set(report.backend, report);
  }

  /**
   * Decides anew about everything.
   * @param nowMs of CLOCK_MONOTONIC, not wrapped
   * @returns the decisions, and whether they differ from the ones before
   */
  decide(nowMs: number): { decisions: Decisions; changed: boolean } {
    const decisions = new Map<string, BackendDecision>();
    const ending = new Set<string>();
    let changed = false;
    for (const service of this.roster) {
      const before = this.outputs.get(service.name);
      const output = synthesize(
        service.settings,
        service.backends.map((backend) => this.input(backend)),
        this.memories.get(service.name),
        nowMs,
      );
      this.outputs.set(service.name, output);
      this.memories.set(service.name, output.next);
      if (output.changed) changed = true;
      this.logChange(service, before, output);
      // One output for each input, in the same order.
      service.backends.forEach(({ key }, n) => {
        const backend = output.backends[n];
        const endsConnections = this.endsConnections(service, key, backend, nowMs);
        if (endsConnections !== this.ending.has(key)) changed = true;
        if (endsConnections) ending.add(key);
        const { weight, connectionLimit } = backend;
        decisions.set(key, { weight, endsConnections, connectionLimit });
      });
    }
    this.ending = ending;
    return { decisions, changed };
  }

  private input({ configuration, name, key, id }: RosterBackend): BackendInput {
    const { observer } = this.parts;
    return {
      name,
      configuredWeight: configuration.weight,
      operatorWeight: this.operator.weight(key),
      isFallback: configuration.fallback,
      health: this.healthOf(key),
      administrative: this.operator.drain(key) === undefined ? 'ready' : 'drain',
      activeConnections: observer.active(id),
      begunConnections: observer.begun(id),
      report: this.reports.get(key),
      answerTimeMs: observer.answerTimeMs(id),
    };
  }

  /** A newcomer of a reload has to pass a check first; who was there at the start has not. */
  healthOf(key: string): BackendInput['health'] {
    const status = this.parts.health.status(key) ?? 'up';
    return status === 'unchecked' && this.trusted?.has(key) ? 'up' : status;
  }

  /** Whether the connections of a backend are not to go on: its drain is over, or it is dead. */
  private endsConnections(
    { configuration }: RosterService,
    key: string,
    { weight }: BackendOutput,
    nowMs: number,
  ): boolean {
    const drain = this.operator.drain(key);
    if (drain !== undefined && drainEndsConnections(drain.order, nowMs)) return true;
    if (configuration['on-down'] === 'keep') return false;
    // In a panic also who seems dead is used: what it has goes on.
    return weight === 0 && this.parts.health.status(key) === 'down';
  }

  /** One line per decision that changes anything. */
  private logChange(
    { name, backends }: RosterService,
    before: ServiceOutput | undefined,
    now: ServiceOutput,
  ): void {
    const { log } = this.parts;
    if (now.isPanic && before?.isPanic !== true) {
      log.warning(`${name}: too few healthy backends, all are used (panic-threshold)`);
    } else if (!now.isPanic && before?.isPanic === true) {
      log.info(`${name}: enough healthy backends again`);
    }
    if (now.usesFallback !== (before?.usesFallback ?? false)) {
      log.warning(`${name}: the fallback ${now.usesFallback ? 'takes over' : 'is relieved'}`);
    }
    if (before === undefined || !now.changed) return;
    const olds = before.backends;
    let byName: Map<string, BackendOutput> | undefined;
    const moved = now.backends.flatMap((backend, n) => {
      let old: BackendOutput | undefined = olds[n];
      if (old?.name !== backend.name) {
        byName ??= new Map(olds.map((each) => [each.name, each]));
        old = byName.get(backend.name);
      }
      return old === undefined || !hasMoved(old, backend) ? [] : [{ old, backend, n }];
    });
    if (moved.length === 0) return;
    const named = moved.slice(0, NAMED_IN_A_LINE).map(({ old, backend, n }) => {
      const why = headline(backend.reasons, this.parts.health.state(backends[n].key));
      return `${backend.name} ${shown(old)} → ${shown(backend)} (${why})`;
    });
    const more = moved.length - named.length;
    log.info(`${name}: ${named.join(', ')}${more > 0 ? `, and ${more} more` : ''}`);
  }
}

/** All whole numbers of a service may change with their scale, and no weight with them. */
function hasMoved(old: BackendOutput, now: BackendOutput): boolean {
  const isTurn = old.weight === 0 || now.weight === 0;
  return old.weight !== now.weight && (isTurn || old.exactWeight !== now.exactWeight);
}

function shown({ exactWeight }: BackendOutput): string {
  return String(Math.round(exactWeight * 100) / 100);
}
