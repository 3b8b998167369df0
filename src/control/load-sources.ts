// Where the master's reports come from (B1, B2): a resource manager inside this process, or the feed of one on
// another host; servers that are asked are asked from here in both cases. Made from the configuration, and
// changed with it; both hand what they accept to the same sink.
//
// Invariant: what can fail (key files) is read by `prepare`, before anything is changed.

import { dirname, resolve } from 'node:path';
import { monotonicMsUnwrapped } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { readKeyFile } from '../load/key-file.ts';
import type { LoadReport, ReportSink } from '../load/load-report.ts';
import { FeedClient, type FeedClientStatistics } from '../resource-manager/feed-client.ts';
import {
  ResourceManager,
  type ResourceManagerStatistics,
} from '../resource-manager/resource-manager.ts';
import type {
  AgentSettings,
  PolledSettings,
  ResourceManagerSettings,
} from '../resource-manager/settings.ts';
import { backendKey } from './compile-configuration.ts';
import type { Configuration, ServiceConfiguration } from './config/schema.ts';

type BackendOfService = ServiceConfiguration['backends'][number];

export interface LoadSourcesOptions {
  readonly sink: ReportSink;
  readonly log: Pick<Log, 'info' | 'warning'>;
  /** The configuration file: key files with relative paths are beside it. */
  readonly configurationFile: string;
}

/** What a configuration asks for, with its keys: ready to be applied. */
export interface PreparedSources {
  readonly settings: ResourceManagerSettings;
  readonly remote?: RemoteManager;
}

interface RemoteManager {
  readonly address: string;
  readonly port: number;
  readonly key: Uint8Array;
  readonly backends: ReadonlySet<string>;
}

/** `GET /v1/load`: what has come of the load sources since control started. */
export interface LoadStatistics {
  readonly manager: ResourceManagerStatistics;
  /** null: no resource manager on another host is configured. */
  readonly feed: FeedClientStatistics | null;
}

/** Which source says how much load a backend has, with everything that its service and it say. */
export function sourceOf(
  service: ServiceConfiguration,
  backend: BackendOfService,
): { source: string; port?: number } | undefined {
  const source = backend.load?.source ?? service.load?.source;
  if (source === undefined) return undefined;
  return { source, port: backend.load?.port ?? service.load?.port };
}

export class LoadSources {
  private readonly options: LoadSourcesOptions;
  private readonly manager: ResourceManager;
  private feed: FeedClient | undefined;
  private remote: RemoteManager | undefined;

  constructor(options: LoadSourcesOptions) {
    this.options = options;
    const { sink, log } = options;
    this.manager = new ResourceManager(
      { agents: [], reportsPerSecond: 1, polled: [] },
      { sink, log, now: monotonicMsUnwrapped, wallNow: Date.now },
    );
  }

  /**
   * Reads what the configuration names.
   * @param isLenient leave out whose key cannot be read, and say so, instead of failing
   * @throws WeirError ERR_CONFIG_UNREADABLE or ERR_CONFIG_INVALID of a key file
   */
  prepare(configuration: Configuration, isLenient = false): PreparedSources {
    const { listen, agents, remote } = configuration['resource-manager'];
    const settings: ResourceManagerSettings = {
      agents: [],
      reportsPerSecond: configuration['resource-manager']['reports-per-second'],
      polled: configuration.services.flatMap(polledOf),
    };
    if (remote !== undefined) {
      const keys = this.readKeys(remote['key-file'], isLenient);
      if (keys.length === 0) return { settings };
      const backends = configuration.services.flatMap((service) =>
        service.backends.map(({ name }) => backendKey(service.name, name)),
      );
      const { address, port } = remote;
      return { settings, remote: { address, port, key: keys[0], backends: new Set(backends) } };
    }
    const known = agents.map(
      (agent): AgentSettings => ({
        name: agent.name,
        keys: this.readKeys(agent['key-file'], isLenient),
        backends: agent.backends,
      }),
    );
    const usable = known.filter(({ keys }) => keys.length > 0);
    return { settings: { ...settings, agents: usable, ...(listen && { listen }) } };
  }

  /** Takes over what was prepared; what has not changed goes on. */
  async apply({ settings, remote }: PreparedSources): Promise<void> {
    if (!isSame(remote, this.remote)) {
      this.feed?.stop();
      this.feed = undefined;
      if (remote !== undefined) this.feed = this.connect(remote);
    } else if (remote !== undefined) {
      this.feed?.update(remote.backends);
    }
    this.remote = remote;
    await this.manager.update(settings);
  }

  /** Reports that a killed predecessor had. Before the first configuration. */
  restore(reports: readonly LoadReport[]): void {
    this.manager.remember(reports);
  }

  async start(): Promise<void> {
    await this.manager.start();
  }

  stop(): void {
    this.feed?.stop();
    this.manager.stop();
  }

  /** The manager in this process, and the feed of the one on another host, if there is one. */
  statistics(): LoadStatistics {
    return { manager: this.manager.statistics(), feed: this.feed?.statistics() ?? null };
  }

  private connect({ address, port, key, backends }: RemoteManager): FeedClient {
    const { sink, log } = this.options;
    const now = monotonicMsUnwrapped;
    const feed = new FeedClient({ address, port, key, backends, sink, log, now });
    feed.start();
    return feed;
  }

  private readKeys(path: string, isLenient: boolean): readonly Uint8Array[] {
    const { log, configurationFile } = this.options;
    try {
      const { keys, warnings } = readKeyFile(resolve(dirname(configurationFile), path));
      for (const warning of warnings) log.warning(warning);
      return keys;
    } catch (error) {
      if (!isLenient) throw error;
      log.warning((error as Error).message);
      return [];
    }
  }
}

/** Whether it is the same manager with the same key. */
function isSame(one: RemoteManager | undefined, other: RemoteManager | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  if (one.address !== other.address || one.port !== other.port) return false;
  return Buffer.compare(one.key, other.key) === 0;
}

function polledOf(service: ServiceConfiguration): PolledSettings[] {
  return service.backends.flatMap((backend): PolledSettings[] => {
    const { load } = service;
    const found = sourceOf(service, backend);
    if (found === undefined || found.source === 'agent' || found.port === undefined) return [];
    const path = backend.load?.path ?? load?.path;
    const send = backend.load?.send ?? load?.send;
    return [
      {
        backend: backendKey(service.name, backend.name),
        source: found.source as PolledSettings['source'],
        address: backend.address,
        port: found.port,
        intervalMs: backend.load?.interval ?? load?.interval ?? 1000,
        timeoutMs: backend.load?.timeout ?? load?.timeout ?? 1000,
        ...(path !== undefined && { path }),
        ...(send !== undefined && { send }),
      },
    ];
  });
}
