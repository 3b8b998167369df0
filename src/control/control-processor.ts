// The control processor (element 42 of Fig. 4) without its process: what it does at start, when it is
// told to reload, and when somebody asks how things are. main.ts gives it signals and a socket.
// Invariant: publications come one after the other, each by what the one before left running. The
// configuration that runs wins over the file until a reload is asked for: a control processor that
// was killed comes back without changing anything.

import { isDeepStrictEqual } from 'node:util';
import { monotonicMs } from '../base/clock.ts';
import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ControlPlan } from '../base/process-plan.ts';
import { HEADER_RELOADS_REFUSED } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import type { ApplicationActions } from './admin-applications.ts';
import type { BackendActions } from './admin-backends.ts';
import { ApplicationPublisher } from './application-publisher.ts';
import { applicationViews } from './application-views.ts';
import type { Claims } from './claims.ts';
import type { Decisions } from './compile-configuration.ts';
import type { Fault } from './config/faults.ts';
import { formatFaults } from './config/format-faults.ts';
import { parseConfiguration } from './config/parse.ts';
import type { Configuration } from './config/schema.ts';
import { Feedback } from './feedback.ts';
import type { LoadStatistics } from './load-sources.ts';
import { MediaRelays } from './media-relays.ts';
import { backendOperations } from './operations.ts';
import { remainingChanges } from './operator-changes.ts';
import { Publisher } from './publisher.ts';
import { type Published, type ReloadResult, readConfigurationFile, reload } from './reload.ts';
import { buildRoutesView, type RoutesView, routingStatus } from './route-view.ts';
import { RoutingDaemon } from './routing-daemon.ts';
import { buildStatus, type Status } from './status.ts';

export interface ControlSettings {
  readonly memory: MainMemory;
  readonly plan: Pick<ControlPlan, 'configurationFile' | 'interfaceNames'>;
  readonly version: string;
  readonly log: Pick<Log, 'info' | 'warning' | 'error'>;
  /** What is weir's on shared interfaces, where there are any. */
  readonly claims?: Claims;
  /** Wakes the switching processors that sleep, so that they take over what was published. */
  wake(): void;
}

export class ControlProcessor {
  private readonly settings: ControlSettings;
  private readonly publisher: Publisher;
  private readonly applications: ApplicationPublisher;
  private readonly mediaRelays: MediaRelays;
  private readonly feedback: Feedback;
  private readonly routing: RoutingDaemon;
  private running: Configuration | undefined;
  /** Ends when all that was asked for so far is done; never fails. */
  private lastTask: Promise<unknown> = Promise.resolve();

  constructor(settings: ControlSettings) {
    this.settings = settings;
    this.publisher = new Publisher(settings.memory);
    const { configurationFile } = settings.plan;
    this.applications = new ApplicationPublisher(settings.memory, configurationFile);
    this.mediaRelays = new MediaRelays(settings.memory, settings.log);
    this.feedback = new Feedback({
      memory: settings.memory,
      log: settings.log,
      configurationFile: settings.plan.configurationFile,
      publish: (decisions) => this.publishDecisions(decisions),
      isFlipUnderWay: () => this.publisher.isUnderWay,
      inTurn: (task) => this.inTurn(task),
    });
    this.routing = new RoutingDaemon({
      log: settings.log,
      publish: () => this.inTurn(() => this.publishRoutes()),
    });
  }

  /**
   * Publishes what ran before, or else what the file says.
   * @throws WeirError ERR_CONFIG_UNREADABLE, ERR_CONFIG_INVALID or ERR_TABLE_FULL
   */
  start(): Promise<void> {
    return this.inTurn(async () => {
      const before = this.publisher.runningText();
      if (before !== undefined) this.feedback.restore();
      if (before === undefined) await this.startFromFile();
      else await this.startFromMemory(before);
      await this.feedback.start();
    });
  }

  /** Ends health checks and load sources; what is published stays. */
  stop(): Promise<void> {
    this.mediaRelays.stop();
    this.routing.stop();
    this.settings.claims?.stop();
    return this.feedback.stop();
  }

  /** What the load sources have said, and what was rejected. */
  loadStatistics(): LoadStatistics {
    return this.feedback.loadStatistics();
  }

  /** The routes in force, and how the kernel's are followed; `limit`: so many at the most. */
  routes(limit?: number): RoutesView {
    const { inForce, generation, rangeWords } = this.publisher.routing;
    const { interfaceNames } = this.settings.plan;
    const sources = { interfaceNames, routes: inForce, generation, rangeWords };
    return buildRoutesView({ ...sources, daemon: this.routing }, limit);
  }

  /** What can be asked and done about backends at run time. */
  backendActions(): BackendActions {
    return backendOperations(this.feedback, this.settings.log);
  }

  /** What can be asked and done about network applications at run time. */
  applicationActions(): ApplicationActions {
    const { memory, log, wake } = this.settings;
    return {
      applications: () => applicationViews(memory, this.applications.plans()),
      restartApplication: (name) =>
        this.inTurn(async () => {
          if (!this.applications.restart(name)) return false;
          log.info(`application ${name} begins again`);
          wake();
          return true;
        }),
    };
  }

  /** Reads the file again. Resolves when it is in force or was refused; the log says which. */
  reload(): Promise<ReloadResult> {
    return this.inTurn(() => this.reloadNow());
  }

  /** Everything there is to know; starting until the first publication. */
  status(): Status {
    const { memory, plan, version, claims } = this.settings;
    return buildStatus({
      memory,
      plan,
      version,
      claims,
      configuration: this.running,
      ids: this.publisher.runningIds,
      formerBackends: this.publisher.formerBackends,
      applications: applicationViews(memory, this.applications.plans()),
      generation: this.publisher.configurationGeneration,
      flips: this.publisher.generation,
      routing: routingStatus(this.publisher.routing, this.routing),
      monotonicMs: monotonicMs(),
      wallClockMs: Date.now(),
    });
  }

  private inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    const result = this.lastTask.then(task);
    this.lastTask = result.catch(() => {});
    return result;
  }

  private async startFromFile(): Promise<void> {
    const { plan, log } = this.settings;
    const text = readConfigurationFile(plan.configurationFile);
    const { configuration, faults, warnings } = parseConfiguration(text, plan.configurationFile);
    this.logFaults(faults, warnings);
    if (configuration === undefined) {
      const shown = formatFaults(faults, text).trimEnd();
      throw new WeirError('ERR_CONFIG_INVALID', `no configuration to start with:\n${shown}`, '');
    }
    this.requireSameInterfaces(configuration);
    const { generation } = await this.publish(configuration, text);
    log.info(`configuration ${generation} is in force: ${plan.configurationFile}`);
  }

  /** The file may have changed since the supervisor opened the interfaces, whose order numbers them. */
  private requireSameInterfaces({ interfaces }: Configuration): void {
    const { configurationFile, interfaceNames } = this.settings.plan;
    const names = interfaces.map(({ name }) => name);
    if (isDeepStrictEqual(names, [...interfaceNames])) return;
    throw new WeirError(
      'ERR_CONFIG_INVALID',
      `${configurationFile} names the interfaces ${names.join(', ')}, ` +
        `but weir was started with ${interfaceNames.join(', ')}`,
      'restart weir, or put back what was there',
    );
  }

  private async startFromMemory(text: string): Promise<void> {
    const { plan, log } = this.settings;
    const { configuration } = parseConfiguration(text, 'the running configuration');
    if (configuration === undefined) {
      // Published by a program with other rules than ours. Switching goes on by it meanwhile.
      log.warning('the running configuration is not valid for this version: the file is taken');
      await this.startFromFile();
      return;
    }
    this.publisher.adopt(configuration);
    const { generation } = await this.publish(configuration, text, true);
    log.info(`back: the running configuration goes on as ${generation}`);
    if (!isFileEqual(plan.configurationFile, text)) {
      log.info(`${plan.configurationFile} is different: \`weir reload\` puts it into force`);
    }
  }

  /** @param isLenient start also without a key file that cannot be read */
  private async publish(
    configuration: Configuration,
    text: string,
    isLenient = false,
  ): Promise<Published> {
    const { publisher, feedback, running } = this;
    const modules = await this.applications.prepare(configuration, isLenient);
    const prepared = feedback.prepare(configuration, isLenient);
    if (!isLenient) this.settings.claims?.check(configuration);
    await this.routing.follow(configuration);
    publisher.useKernelRoutes(this.routing.routes());
    const before = publisher.runningIds;
    let generation: number;
    try {
      generation = await publisher.publish(configuration, text, (ids) =>
        feedback.decideFor(configuration, ids),
      );
    } catch (error) {
      if (running !== undefined) {
        feedback.goBack(running, before);
        await this.routing.follow(running);
        publisher.useKernelRoutes(this.routing.routes());
      }
      throw error;
    }
    this.running = configuration;
    const changes = this.applications.moduleChanges(configuration, modules);
    this.applications.publish(configuration, publisher.runningIds, modules);
    this.settings.wake();
    await this.claim(configuration);
    await feedback.follow(configuration, prepared);
    await this.mediaRelays.follow(this.applications.plans());
    return { generation, changes };
  }

  /** What a configuration makes weir's; it is in force already, so that failing takes nothing back. */
  private async claim(configuration: Configuration): Promise<void> {
    const { claims, log } = this.settings;
    try {
      await claims?.follow(configuration, this.publisher);
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      log.error(`shared interfaces go on with what was claimed before: ${error.message}`);
    }
  }

  private async publishDecisions(decisions: Decisions): Promise<void> {
    if (this.running === undefined) return;
    await this.publisher.publishDecisions(this.running, decisions);
    this.settings.wake();
  }

  private async publishRoutes(): Promise<void> {
    if (this.running === undefined) return;
    this.publisher.useKernelRoutes(this.routing.routes());
    if (await this.publisher.publishRoutes(this.running)) this.settings.wake();
  }

  private async reloadNow(): Promise<ReloadResult> {
    const { memory, plan, log } = this.settings;
    const generation = this.publisher.configurationGeneration;
    if (this.running === undefined) {
      const refused = 'there is no running configuration yet';
      return { applied: false, generation, faults: [], warnings: [], changes: [], refused };
    }
    const result = await reload({
      path: plan.configurationFile,
      running: this.running,
      generation,
      publish: (configuration, text) => this.publish(configuration, text),
    });
    this.logFaults(result.faults, result.warnings);
    if (result.applied) {
      for (const change of result.changes) log.info(change);
      log.info(`configuration ${result.generation} is in force`);
      const remaining = remainingChanges(this.feedback.changes());
      for (const line of remaining) log.info(line);
      return { ...result, remaining };
    }
    memory.setHeader(HEADER_RELOADS_REFUSED, memory.header(HEADER_RELOADS_REFUSED) + 1);
    if (result.refused !== undefined) log.error(result.refused);
    log.error(`reload refused: configuration ${result.generation} stays in force`);
    return result;
  }

  private logFaults(faults: readonly Fault[], warnings: readonly Fault[]): void {
    for (const fault of faults) this.settings.log.error(faultLine(fault));
    for (const warning of warnings) this.settings.log.warning(faultLine(warning));
  }
}

function faultLine({ file, line, column, path, message, suggestion }: Fault): string {
  const hint = suggestion === '' ? '' : ` (${suggestion})`;
  // What the file says must not begin a log line of its own.
  const text = `${path === '' ? '' : `${path}: `}${message}${hint}`.replace(/\s*\n\s*/g, ' ');
  return `${file}:${line}:${column}: ${text}`;
}

function isFileEqual(path: string, text: string): boolean {
  try {
    return readConfigurationFile(path) === text;
  } catch {
    return false;
  }
}
