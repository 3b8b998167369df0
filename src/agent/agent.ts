// The weir agent: runs on a server, looks once per interval how busy it is, and tells whoever is to
// know: the resource managers by signed reports, other balancers when they ask by ORCA or
// agent-check. What the application says about itself (application-load.ts) comes before what Linux
// says about the machine.
//
// Invariant: one report is one look; all who ask between two looks get the same figures.

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
  start(): Promise<number>;
  stop(): Promise<void>;
}

/** Looks, reports and answers from `start` to `stop`. */
export class Agent {
  private readonly configuration: AgentConfiguration;
  private readonly log = new Log('agent');
  private readonly count: AcceptCount = { accepted: 0 };
  private readonly machine: MachineLoad;
  private readonly connections: ConnectionLoad;
  private readonly application: ApplicationLoad;
  private readonly listeners: readonly Listener[];
  private readonly sender: ReportSender | undefined;
  private readonly stopping = new AbortController();
  private reports: readonly BackendLoad[];
  private loop: Promise<void> | undefined;
  private readonly spoke = new Map<string, boolean>();

  /** @throws WeirError when the key file cannot be used */
  constructor(configuration: AgentConfiguration) {
    this.configuration = configuration;
    const { services, application } = configuration;
    const ports = services.flatMap(({ port }) => (port === undefined ? [] : [port]));
    this.machine = new MachineLoad({ controlGroup: configuration['control-group'] });
    this.connections = new ConnectionLoad({
      ports: [...new Set(ports)],
      ownAccepted: () => this.count.accepted,
      now: () => performance.now(),
    });
    const backends = services.map(({ backend }) => backend);
    this.application = new ApplicationLoad(backends, application.expiry);
    this.reports = backends.map((backend) => ({ backend, figures: {} }));
    this.sender = this.makeSender();
    this.listeners = this.makeListeners();
  }

  /** What is reported about each backend, as of the last look. */
  current(): readonly BackendLoad[] {
    return this.reports;
  }

  /** Opens the ports and begins. @throws SystemError when a port cannot be opened; then none is open */
  async start(): Promise<void> {
    try {
      for (const listener of this.listeners) {
        const port = await listener.start();
        this.log.info(`${listener.name} on port ${port}`);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.loop = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.loop;
    this.sender?.stop();
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
    const { interval } = this.configuration;
    const { signal } = this.stopping;
    await this.look();
    let nextMs = performance.now() + interval;
    while (!signal.aborted) {
      const waitMs = Math.max(0, nextMs - performance.now());
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await this.look();
      this.sender?.send(this.reports);
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

  private makeSender(): ReportSender | undefined {
    const { name, 'report-to': to, 'key-file': keyFile } = this.configuration;
    if (to.length === 0 || keyFile === undefined) return undefined;
    const { keys, warnings } = readKeyFile(keyFile);
    for (const warning of warnings) this.log.warning(warning);
    return new ReportSender({
      agent: name,
      key: keys[0],
      to,
      keepsRunning: true,
      onChange: (destination, problem) => {
        if (problem === undefined) this.log.info(`reports go to ${destination} again`);
        else this.log.warning(`reports do not get to ${destination}: ${problem}`);
      },
    });
  }

  private makeListeners(): Listener[] {
    const { services, application, interval } = this.configuration;
    const listeners: Listener[] = [];
    const add = (name: string, listener: Omit<Listener, 'name'>) =>
      listeners.push({
        name,
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
      add('the endpoint for applications', endpoint);
    }
    for (const [i, { backend, orca, 'agent-check': agentCheck }] of services.entries()) {
      const load = () => this.reports[i];
      if (orca !== undefined) {
        const server = new OrcaServer(orca, () => load().figures, interval, this.count);
        add(`orca of ${backend}`, server);
      }
      if (agentCheck !== undefined) {
        add(`agent-check of ${backend}`, new AgentCheckServer(agentCheck, load, this.count));
      }
    }
    return listeners;
  }
}
