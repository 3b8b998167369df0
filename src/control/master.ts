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
import type { HealthState } from '../health/checker.ts';
import type { LoadReport, ReportSink } from '../load/load-report.ts';
import type { BackendObserver } from './backend-observer.ts';
import {
  type BackendDecision,
  backendKey,
  type Decisions,
  type Ids,
} from './compile-configuration.ts';
import { compileDistribution } from './compile-health.ts';
import type { Configuration, ServiceConfiguration } from './config/schema.ts';
import { drainEndsConnections } from './drain.ts';
import { headline } from './headline.ts';
import { OperatorChanges } from './operator-changes.ts';
import { isSpokenFor, speakersOf } from './report-speakers.ts';

export interface MasterParts {
  readonly observer: BackendObserver;
  readonly log: Pick<Log, 'info' | 'warning'>;
  /** What the health checks say; undefined: the backend is not checked. */
  health(key: string): HealthState | undefined;
}

/** What is kept beyond the death of control. */
export interface MasterMemory {
  readonly services: Readonly<Record<string, ServiceMemory>>;
  /** Their times are of CLOCK_MONOTONIC, which the successor has too. */
  readonly reports: readonly LoadReport[];
}

type BackendConfiguration = ServiceConfiguration['backends'][number];

/** As many changes of weights are named in one line of the log; the others are counted. */
const NAMED_IN_A_LINE = 10;

export class Master implements ReportSink {
  private readonly parts: MasterParts;
  private configuration: Configuration | undefined;
  private ids: Ids = { services: new Map(), backends: new Map() };
  private readonly reports = new Map<string, LoadReport>();
  private readonly outputs = new Map<string, ServiceOutput>();
  private memories = new Map<string, ServiceMemory>();
  private ending = new Map<string, boolean>();
  /** Backends that were there when weir started: they are used until their checks say otherwise. */
  private trusted: ReadonlySet<string> | undefined;
  /** What operators have changed. */
  operator = OperatorChanges.fromJSON(undefined);

  constructor(parts: MasterParts) {
    this.parts = parts;
  }

  /** What runs from now on; what is known of services and backends that keep their names is kept. */
  useConfiguration(configuration: Configuration, ids: Ids): void {
    this.configuration = configuration;
    this.ids = ids;
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

  /** Plain JSON, for a successor. */
  get memory(): MasterMemory {
    return { services: Object.fromEntries(this.memories), reports: [...this.reports.values()] };
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
    const ending = new Map<string, boolean>();
    let changed = false;
    for (const service of this.configuration?.services ?? []) {
      const before = this.outputs.get(service.name);
      const output = synthesize(
        compileDistribution(service),
        service.backends.map((backend) => this.input(service, backend)),
        this.memories.get(service.name),
        nowMs,
      );
      this.outputs.set(service.name, output);
      this.memories.set(service.name, output.next);
      if (output.changed) changed = true;
      this.logChange(service, before, output);
      for (const backend of output.backends) {
        const key = backendKey(service.name, backend.name);
        const endsConnections = this.endsConnections(service, key, backend, nowMs);
        if (endsConnections !== (this.ending.get(key) ?? false)) changed = true;
        ending.set(key, endsConnections);
        const { weight, connectionLimit } = backend;
        decisions.set(key, { weight, endsConnections, connectionLimit });
      }
    }
    this.ending = ending;
    return { decisions, changed };
  }

  private input(service: ServiceConfiguration, backend: BackendConfiguration): BackendInput {
    const { name } = backend;
    const key = backendKey(service.name, name);
    const id = this.ids.backends.get(key) as number;
    const { reading, answerTimeMs } = this.parts.observer.look(id);
    const operatorWeight = this.operator.weight(key);
    const report = this.reports.get(key);
    return {
      name,
      configuredWeight: backend.weight,
      isFallback: backend.fallback,
      health: this.healthOf(key),
      administrative: this.operator.drain(key) === undefined ? 'ready' : 'drain',
      activeConnections: Math.max(0, reading.open),
      begunConnections: reading.connections,
      ...(operatorWeight !== undefined && { operatorWeight }),
      ...(report && { report }),
      ...(answerTimeMs !== undefined && { answerTimeMs }),
    };
  }

  /** A newcomer of a reload has to pass a check first; who was there at the start has not. */
  healthOf(key: string): BackendInput['health'] {
    const status = this.parts.health(key)?.status ?? 'up';
    return status === 'unchecked' && this.trusted?.has(key) ? 'up' : status;
  }

  /** Whether the connections of a backend are not to go on: its drain is over, or it is dead. */
  private endsConnections(
    service: ServiceConfiguration,
    key: string,
    { weight }: BackendOutput,
    nowMs: number,
  ): boolean {
    const drain = this.operator.drain(key);
    if (drain !== undefined && drainEndsConnections(drain.order, nowMs)) return true;
    if (service['on-down'] === 'keep') return false;
    // In a panic also who seems dead is used: what it has goes on.
    return weight === 0 && this.parts.health(key)?.status === 'down';
  }

  /** One line per decision that changes anything. */
  private logChange(
    { name }: ServiceConfiguration,
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
    const weights = new Map(before?.backends.map((backend) => [backend.name, backend]));
    const moved = now.backends.flatMap((backend) => {
      const old = weights.get(backend.name);
      return old === undefined || !hasMoved(old, backend) ? [] : [{ old, backend }];
    });
    if (moved.length === 0) return;
    const named = moved.slice(0, NAMED_IN_A_LINE).map(({ old, backend }) => {
      const health = this.parts.health(backendKey(name, backend.name));
      const why = headline(backend.reasons, health);
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
