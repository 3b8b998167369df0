// The closed loop, put together: counters, health checks, load sources and operators' changes on the one
// side, the master in the middle, the configuration table on the other. The control processor owns one; what
// is published, and when a reload comes in between, is the control processor's.
//
// Invariant: what control must not forget stands in main memory before anybody is told that it is in force.

import { monotonicMsUnwrapped } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import {
  HealthChecker,
  type HealthMemory,
  type HealthState,
  type HealthTarget,
  type PassiveCounts,
} from '../health/checker.ts';
import { runtimeBuffer } from '../memory/double-buffer.ts';
import { HEADER_RUNTIME_LENGTH_A, RUNTIME_STATE_SIZE } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { BackendObserver } from './backend-observer.ts';
import type { BackendView, RuntimeChange } from './backend-view.ts';
import {
  backendViews,
  findBackendView,
  hasOtherBackend,
  type ViewSources,
} from './backend-views.ts';
import type { Decisions, Ids } from './compile-configuration.ts';
import { compileHealthTargets } from './compile-health.ts';
import type { Configuration } from './config/schema.ts';
import { DistributionLoop } from './distribution-loop.ts';
import type { DrainCounts } from './drain.ts';
import { DrainWatch } from './drain-watch.ts';
import { ExpectedHealth } from './expected-health.ts';
import { LoadSources, type LoadStatistics, type PreparedSources } from './load-sources.ts';
import { Master } from './master.ts';
import { MemoryText } from './memory-text.ts';
import type { OperatorChanges } from './operator-changes.ts';
import { readRuntimeState, writeRuntimeState } from './runtime-state.ts';

export interface FeedbackOptions {
  readonly memory: MainMemory;
  readonly log: Pick<Log, 'info' | 'warning'>;
  readonly configurationFile: string;
  /** Puts decisions about the running configuration into force. */
  publish(decisions: Decisions): Promise<void>;
  /** Whether some switching processor has not taken over the last flip. */
  isFlipUnderWay(): boolean;
  inTurn<Result>(task: () => Promise<Result>): Promise<Result>;
}

export class Feedback {
  readonly master: Master;
  private readonly options: FeedbackOptions;
  private readonly observer: BackendObserver;
  private readonly drainWatch: DrainWatch;
  private readonly checker: HealthChecker;
  private readonly health: ExpectedHealth;
  private readonly sources: LoadSources;
  private readonly loop: DistributionLoop;
  private readonly place: MemoryText;
  private configuration: Configuration | undefined;
  private ids: Ids = { services: new Map(), backends: new Map() };
  private previousHealth: ReadonlyMap<string, HealthMemory> = new Map();
  /** A publication has failed: the table does not say what the master has decided. */
  private isUnpublished = false;
  private hadRoom = true;

  constructor(options: FeedbackOptions) {
    const { memory, log, configurationFile } = options;
    this.options = options;
    this.observer = new BackendObserver(memory);
    this.drainWatch = new DrainWatch(memory);
    this.checker = new HealthChecker({
      now: monotonicMsUnwrapped,
      random: Math.random,
      onChange: (state, before) => this.onHealth(state, before),
    });
    this.health = new ExpectedHealth(this.checker);
    this.master = new Master({ observer: this.observer, log, health: this.health });
    this.sources = new LoadSources({ sink: this.master, log, configurationFile });
    this.loop = new DistributionLoop({
      log,
      pass: (nowMs) => this.pass(nowMs),
      inTurn: (task) => options.inTurn(task),
    });
    const buffer = runtimeBuffer(memory);
    this.place = new MemoryText(memory, buffer, HEADER_RUNTIME_LENGTH_A, RUNTIME_STATE_SIZE);
  }

  /** Takes over what a killed predecessor knew; before the first configuration. */
  restore(): void {
    const { operator, master, health } = readRuntimeState(this.place.readBytes());
    this.master.operator = operator;
    this.master.restore(master);
    this.sources.restore(master.reports);
    this.previousHealth = health;
    // Where nothing is known of health, those that are there are used until their checks say otherwise.
    if (health.size > 0) this.master.awaitChecks();
  }

  /** Reads what a configuration needs beside itself. @throws WeirError; nothing has changed then */
  prepare(configuration: Configuration, isLenient = false): PreparedSources {
    return this.sources.prepare(configuration, isLenient);
  }

  /** The decisions for a configuration that is about to be published. */
  decideFor(configuration: Configuration, ids: Ids): Decisions {
    this.configuration = configuration;
    this.ids = ids;
    this.health.expect(this.targetsOf(configuration), monotonicMsUnwrapped());
    this.master.useConfiguration(configuration, ids);
    return this.master.decide(monotonicMsUnwrapped()).decisions;
  }

  /** A configuration could not be published: the one before goes on. */
  goBack(configuration: Configuration, ids: Ids): void {
    this.decideFor(configuration, ids);
    this.isUnpublished = true;
  }

  /** The configuration is in force: checks and sources follow it. */
  async follow(configuration: Configuration, prepared: PreparedSources): Promise<void> {
    const targets = this.targetsOf(configuration);
    this.checker.setTargets(targets);
    this.health.follow(targets);
    this.previousHealth = new Map();
    await this.sources.apply(prepared);
    this.save();
  }

  /** From now on it beats. */
  async start(): Promise<void> {
    await this.sources.start();
    this.loop.start();
  }

  async stop(): Promise<void> {
    this.loop.stop();
    this.sources.stop();
    await this.checker.stop();
  }

  /** Puts an operator's change of one backend into force. Resolves when it is. */
  async change(backend: string, operator: OperatorChanges): Promise<void> {
    const before = this.master.operator;
    this.master.operator = operator;
    this.stepDrains(monotonicMsUnwrapped());
    try {
      await this.loop.request();
    } catch (error) {
      this.master.operator = this.master.operator.withThoseOf(backend, before);
      throw error;
    }
  }

  /** Of all backends, or of those of one service. */
  views(service?: string): BackendView[] {
    return backendViews(this.viewSources(), service);
  }

  hasOther(service: string, name: string): boolean {
    return hasOtherBackend(this.viewSources(), service, name);
  }

  view(service: string, name: string): BackendView | undefined {
    return findBackendView(this.viewSources(), service, name);
  }

  changes(): RuntimeChange[] {
    const { operator, roster } = this.master;
    const changed = new Set(operator.backends);
    const configured = new Map<string, number>();
    for (const { backends } of changed.size === 0 ? [] : roster) {
      for (const { key, configuration } of backends) {
        if (changed.has(key)) configured.set(key, configuration.weight);
      }
    }
    return operator.list((key) => configured.get(key));
  }

  /** What the load sources have accepted and rejected. */
  loadStatistics(): LoadStatistics {
    return this.sources.statistics();
  }

  private viewSources(): ViewSources {
    return {
      master: this.master,
      observer: this.observer,
      health: (key) => this.health.state(key),
      nowMs: monotonicMsUnwrapped(),
    };
  }

  /** One beat. @returns whether the table was flipped */
  private async pass(nowMs: number): Promise<boolean> {
    if (this.configuration === undefined) return false;
    this.observer.observe(nowMs);
    for (const { configuration, backends } of this.master.roster) {
      if (configuration['passive-health'] === undefined) continue;
      for (const { key, id } of backends) this.checker.observe(key, this.passiveCounts(id));
    }
    this.stepDrains(nowMs);
    const { decisions, changed } = this.master.decide(nowMs);
    this.save();
    if (!changed && !this.isUnpublished) return false;
    this.isUnpublished = true;
    await this.options.publish(decisions);
    this.isUnpublished = false;
    return true;
  }

  private passiveCounts(id: number): PassiveCounts {
    const { connections, answered, refused, resetsApart } = this.observer.look(id).reading;
    return {
      begun: connections,
      answered: answered - refused,
      refused,
      resets: resetsApart,
    };
  }

  private stepDrains(nowMs: number): void {
    const { operator } = this.master;
    const drained = operator.backends.filter((key) => operator.drain(key) !== undefined);
    const ids = drained.flatMap((key) => this.ids.backends.get(key) ?? []);
    for (const key of drained) {
      const counts = this.drainCounts(key, ids, nowMs);
      if (counts === undefined) continue;
      this.master.operator = this.master.operator.withDrainStep(key, counts, nowMs);
    }
  }

  /** @param drained numbers of all backends that are drained */
  private drainCounts(
    key: string,
    drained: readonly number[],
    nowMs: number,
  ): DrainCounts | undefined {
    const id = this.ids.backends.get(key);
    const found = id === undefined ? undefined : this.drainWatch.look(drained, nowMs).get(id);
    if (id === undefined || found === undefined) return undefined;
    const [service, backend] = key.split('/');
    const output = this.master.output(service)?.backends.find((each) => each.name === backend);
    const isAny = found.tcp + found.udp > 0;
    return {
      tcp: found.tcp,
      udp: found.udp,
      begun: this.observer.begun(id),
      takesNewConnections: (output?.weight ?? 1) > 0 || this.options.isFlipUnderWay(),
      states: found.states,
      ...(isAny && { idlestMs: found.idlestMs, oldestMs: found.oldestMs }),
    };
  }

  private onHealth(state: HealthState, before: HealthState): void {
    const { key, status, cause } = state;
    const line = `${key} is ${status}: ${cause}`;
    if (status === 'down') this.options.log.warning(line);
    else if (before.status !== status) this.options.log.info(line);
    this.loop.request().catch(() => {});
  }

  private targetsOf(configuration: Configuration): HealthTarget[] {
    return compileHealthTargets(configuration, (key) => this.previousHealth.get(key));
  }

  /** Writes what must not be forgotten. */
  private save(): void {
    const { master } = this;
    const hasRoom = writeRuntimeState(this.place, {
      operator: master.operator,
      services: master.roster,
      memory: (service) => master.memory(service),
      report: (key) => master.report(key),
      health: (key) => this.healthMemory(key),
    });
    if (!hasRoom && this.hadRoom) {
      this.options.log.warning(
        'what servers report in words does not fit into main memory: should control be killed, the ' +
          'reports are waited for anew',
      );
    }
    this.hadRoom = hasRoom;
  }

  /** Who is used although no check has said anything yet is used by the next control processor, too. */
  private healthMemory(key: string): HealthMemory | undefined {
    const status = this.health.status(key);
    if (status === undefined) return undefined;
    if (status !== 'unchecked') return this.health.memory(key);
    if (this.master.healthOf(key) !== 'up') return undefined;
    const sinceMs = this.health.state(key)?.sinceMs ?? 0;
    return { status: 'up', sinceMs, flaps: 0, flapLevel: 0 };
  }
}
