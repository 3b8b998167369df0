// The weir agent: runs on a server, looks once per interval how busy it is, and tells whoever is to
// know: the resource managers by signed reports, other balancers when they ask by ORCA or
// agent-check. What the application says about itself (application-load.ts) comes before what Linux
// says about the machine.
//
// Invariant: one report is one look; all who ask between two looks get the same figures. Another configuration
// is taken over whole or not at all; ports and connections that it does not change stay open.

import { setTimeout as sleep } from 'node:timers/promises';
import { Log } from '../base/log.ts';
import { readKeyFile } from '../load/key-file.ts';
import type { LoadFigures } from '../load/load-report.ts';
import type { BackendLoad } from '../load/signed-report.ts';
import { AgentCheckServer } from './agent-check-server.ts';
import { ApplicationLoad } from './application-load.ts';
import type { AgentConfiguration } from './configuration.ts';
import { ConnectionLoad } from './connection-load.ts';
import type { AcceptCount } from './listening.ts';
import { LocalEndpoint } from './local-endpoint.ts';
import { MachineLoad } from './machine-load.ts';
import { OrcaServer } from './orca-server.ts';
import { ReportSender } from './report-sender.ts';

interface Listener {
  readonly name: string;
  /** The same for one that would be no other. */
  readonly key: string;
  start(): Promise<number>;
  stop(): Promise<void>;
}

/** What is sent to whom, and what it is made of. */
interface Sending {
  readonly sender: ReportSender;
  readonly key: string;
}

/** Looks, reports and answers from `start` to `stop`. */
export class Agent {
  private configuration: AgentConfiguration;
  private readonly log = new Log('agent');
  private readonly count: AcceptCount = { accepted: 0 };
  private machine: MachineLoad;
  private connections: ConnectionLoad;
  private readonly application: ApplicationLoad;
  private listeners: readonly Listener[];
  private sending: Sending | undefined;
  private readonly stopping = new AbortController();
  private reports: readonly BackendLoad[];
  private loop: Promise<void> | undefined;
  private readonly spoke = new Map<string, boolean>();

  /** @throws WeirError when the key file cannot be used */
  constructor(configuration: AgentConfiguration) {
    this.configuration = configuration;
    this.machine = new MachineLoad({ controlGroup: configuration['control-group'] });
    this.connections = this.makeConnections(configuration);
    const backends = backendsOf(configuration);
    this.application = new ApplicationLoad(backends, configuration.application.expiry);
    this.reports = backends.map((backend) => ({ backend, figures: {} }));
    this.sending = this.makeSending(configuration);
    this.listeners = this.makeListeners(configuration);
  }

  /** What is reported about each backend, as of the last look. */
  current(): readonly BackendLoad[] {
    return this.reports;
  }

  /** Opens the ports and begins. @throws SystemError when a port cannot be opened; then none is open */
  async start(): Promise<void> {
    try {
      await this.open(this.listeners);
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.loop = this.run();
  }

  /**
   * Takes over another configuration, and its key file as it is now.
   * @throws WeirError when the key cannot be used or a port not be opened; then nothing has changed
   */
  async update(configuration: AgentConfiguration): Promise<void> {
    const before = this.configuration;
    const sending = this.makeSending(configuration);
    await this.updateListeners(configuration);
    if (sending?.key !== this.sending?.key) {
      this.sending?.sender.stop();
      this.sending = sending;
    } else sending?.sender.stop();
    this.configuration = configuration;
    if (configuration['control-group'] !== before['control-group']) {
      this.machine = new MachineLoad({ controlGroup: configuration['control-group'] });
    }
    if (portsOf(configuration).join() !== portsOf(before).join()) {
      this.connections = this.makeConnections(configuration);
    }
    const backends = backendsOf(configuration);
    this.application.follow(backends, configuration.application.expiry);
    const known = new Map(this.reports.map((report) => [report.backend, report]));
    this.reports = backends.map((backend) => known.get(backend) ?? { backend, figures: {} });
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.loop;
    this.sending?.sender.stop();
    // Those that never started have nothing to close.
    await Promise.all(this.listeners.map((listener) => listener.stop().catch(() => undefined)));
  }

  /** Looks twice, an interval apart, because much is a difference. @returns what the second look saw */
  async once(): Promise<readonly BackendLoad[]> {
    await this.look();
    await sleep(this.configuration.interval);
    await this.look();
    return this.reports;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    await this.look();
    let nextMs = performance.now() + this.configuration.interval;
    while (!signal.aborted) {
      const waitMs = Math.max(0, nextMs - performance.now());
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await this.look();
      this.sending?.sender.send(this.reports);
      const { interval } = this.configuration;
      // After a pause (a suspended machine) reports are not made up for.
      nextMs = Math.max(nextMs + interval, performance.now() + interval / 2);
    }
  }

  private async look(): Promise<void> {
    await this.connections.sample();
    const nowMs = performance.now();
    const machine = this.machine.sample(nowMs);
    this.reports = this.configuration.services.map(({ backend, port }) => {
      const connections = port === undefined ? {} : this.connections.figures(port);
      const application = this.application.report(backend, nowMs);
      this.tellOfApplication(backend, application !== undefined);
      const figures: LoadFigures = { ...machine, ...connections, ...application?.figures };
      const wish =
        application === undefined ? this.application.lastWish(backend) : application.wish;
      return wish === undefined ? { backend, figures } : { backend, figures, wish };
    });
  }

  private tellOfApplication(backend: string, speaks: boolean): void {
    if ((this.spoke.get(backend) ?? false) === speaks) return;
    this.spoke.set(backend, speaks);
    if (speaks) this.log.info(`the application of ${backend} reports`);
    else this.log.warning(`the application of ${backend} does not report any more`);
  }

  /** Closes the ports that are not wanted any more and opens the new ones. @throws SystemError; then it was for nothing */
  private async updateListeners(configuration: AgentConfiguration): Promise<void> {
    const wanted = this.makeListeners(configuration);
    const has = (list: readonly Listener[], key: string) => list.some((each) => each.key === key);
    const ending = this.listeners.filter(({ key }) => !has(wanted, key));
    const beginning = wanted.filter(({ key }) => !has(this.listeners, key));
    await Promise.all(ending.map((listener) => listener.stop()));
    try {
      await this.open(beginning);
    } catch (error) {
      const again = this.makeListeners(this.configuration).filter(({ key }) => has(ending, key));
      const kept = this.listeners.filter(({ key }) => !has(ending, key));
      this.listeners = [...kept, ...again];
      await this.open(again);
      throw error;
    }
    const kept = this.listeners.filter(({ key }) => has(wanted, key));
    this.listeners = [...kept, ...beginning];
  }

  /** @throws SystemError when one cannot be opened; then none of them is open */
  private async open(listeners: readonly Listener[]): Promise<void> {
    try {
      for (const listener of listeners) {
        const port = await listener.start();
        this.log.info(`${listener.name} on port ${port}`);
      }
    } catch (error) {
      // Those that never started have nothing to close.
      await Promise.all(listeners.map((listener) => listener.stop().catch(() => undefined)));
      throw error;
    }
  }

  private makeConnections(configuration: AgentConfiguration): ConnectionLoad {
    return new ConnectionLoad({
      ports: portsOf(configuration),
      ownAccepted: () => this.count.accepted,
      now: () => performance.now(),
    });
  }

  private makeSending(configuration: AgentConfiguration): Sending | undefined {
    const { name, 'report-to': to, 'key-file': keyFile } = configuration;
    if (to.length === 0 || keyFile === undefined) return undefined;
    const { keys, warnings } = readKeyFile(keyFile);
    for (const warning of warnings) this.log.warning(warning);
    const sender = new ReportSender({
      agent: name,
      key: keys[0],
      to,
      keepsRunning: true,
      onChange: (destination, problem) => {
        if (problem === undefined) this.log.info(`reports go to ${destination} again`);
        else this.log.warning(`reports do not get to ${destination}: ${problem}`);
      },
    });
    return { sender, key: JSON.stringify([name, to, keys[0].toString('hex')]) };
  }

  private makeListeners({ services, application, interval }: AgentConfiguration): Listener[] {
    const listeners: Listener[] = [];
    const add = (name: string, what: unknown, listener: Omit<Listener, 'name' | 'key'>) =>
      listeners.push({
        name,
        key: JSON.stringify([name, what]),
        start: () => listener.start(),
        stop: () => listener.stop(),
      });
    if (application.enabled) {
      const endpoint = new LocalEndpoint({
        port: application.port,
        post: (body) => this.application.post(body, performance.now()),
        report: () => ({ agent: this.configuration.name, backends: this.reports }),
        count: this.count,
      });
      add('the endpoint for applications', application.port, endpoint);
    }
    for (const { backend, orca, 'agent-check': agentCheck } of services) {
      const load = (): BackendLoad =>
        this.reports.find((report) => report.backend === backend) ?? { backend, figures: {} };
      if (orca !== undefined) {
        const server = new OrcaServer(orca, () => load().figures, interval, this.count);
        add(`orca of ${backend}`, [orca, interval], server);
      }
      if (agentCheck !== undefined) {
        const server = new AgentCheckServer(agentCheck, load, this.count);
        add(`agent-check of ${backend}`, agentCheck, server);
      }
    }
    return listeners;
  }
}

function backendsOf({ services }: AgentConfiguration): string[] {
  return services.map(({ backend }) => backend);
}

/** Of the services, each once. */
function portsOf({ services }: AgentConfiguration): number[] {
  return [...new Set(services.flatMap(({ port }) => (port === undefined ? [] : [port])))];
}
