// The resource manager as a program of its own (`weir resource-manager`): the same ResourceManager as in
// the control processor, with a feed for masters on other hosts as its sink. It needs no rights, and
// no other part of weir on its host.

import { FeedServer, type FeedServerStatistics } from './feed-server.ts';
import { ResourceManager, type ResourceManagerStatistics } from './resource-manager.ts';
import type { ManagerLog, ResourceManagerSettings } from './settings.ts';

export interface ProgramSettings {
  readonly manager: ResourceManagerSettings;
  readonly feed: {
    readonly address: string;
    readonly port: number;
    readonly keys: readonly Uint8Array[];
  };
}

export interface ProgramStatistics {
  readonly manager: ResourceManagerStatistics;
  readonly feed: FeedServerStatistics;
}

export class ResourceManagerProgram {
  private readonly log: ManagerLog;
  private readonly manager: ResourceManager;
  private settings: ProgramSettings;
  private feed: FeedServer;

  constructor(settings: ProgramSettings, log: ManagerLog) {
    this.log = log;
    this.settings = settings;
    this.feed = this.newFeed(settings);
    this.manager = new ResourceManager(settings.manager, {
      sink: { accept: (report) => this.feed.accept(report) },
      log,
      now: () => performance.now(),
      wallNow: () => Date.now(),
    });
  }

  async start(): Promise<void> {
    await this.feed.start();
    await this.manager.start();
  }

  /** Takes over other settings; masters stay connected unless the feed's address has changed. */
  async update(settings: ProgramSettings): Promise<void> {
    const { address, port } = this.settings.feed;
    const hasMoved = settings.feed.address !== address || settings.feed.port !== port;
    this.settings = settings;
    if (hasMoved) {
      this.feed.stop();
      this.feed = this.newFeed(settings);
      await this.feed.start();
    }
    this.feed.update(settings.feed.keys, backendsOf(settings.manager));
    await this.manager.update(settings.manager);
  }

  stop(): void {
    this.manager.stop();
    this.feed.stop();
  }

  statistics(): ProgramStatistics {
    return { manager: this.manager.statistics(), feed: this.feed.statistics() };
  }

  private newFeed({ feed }: ProgramSettings): FeedServer {
    const { address, port, keys } = feed;
    const now = () => performance.now();
    return new FeedServer({ listen: { address, port }, keys, log: this.log, now });
  }
}

function backendsOf({ agents, polled }: ResourceManagerSettings): ReadonlySet<string> {
  const reported = agents.flatMap(({ backends }) => backends);
  return new Set([...reported, ...polled.map(({ backend }) => backend)]);
}
