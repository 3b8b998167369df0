// The routing daemon (58 of Fig. 3): follows the kernel's routes, so that any routing program of the host
// (BIRD, FRR, `ip route`) routes the switch too. It resolves them to ways through our interfaces
// (kernel-resolution.ts) and has them published together with the configuration's (compile-routes.ts), at
// most so often, and only when something has changed.
//
// All of them are resolved in pieces, beside what is known so far, because there may be a million.
//
// Invariant: what was published stays until something that is known to be true is published in its place:
// not while a dump is under way, not when routes do not fit, not when the kernel cannot be asked.

import type { Log } from '../base/log.ts';
import { inPieces } from '../base/pieces.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { connectedRoutes, type OriginRoute, type RouteMap } from './compile-routes.ts';
import type { Configuration } from './config/schema.ts';
import { routesMax } from './kernel-mirror.ts';
import { KernelResolution } from './kernel-resolution.ts';
import { KernelSource } from './kernel-source.ts';

/** Changes that come together are published together. */
const SETTLE_MS = 30;
/** Between two publications; with many routes, so that control spends a quarter of its time on them. */
const INTERVAL_MS = 200;
const INTERVAL_FACTOR = 3;
const RETRY_MS = 1000;
/** Routes that are resolved before others have their turn: some milliseconds. */
const PIECE = 2048;
/** Longest wait for the first dump before a publication. */
const FIRST_DUMP_MS = 5000;

export interface RoutingDaemonSettings {
  readonly log: Pick<Log, 'info' | 'warning' | 'error'>;
  /** Publishes `routes()`, in turn with other publications. Rejects when they are not in force. */
  publish(): Promise<void>;
}

export class RoutingDaemon {
  private readonly settings: RoutingDaemonSettings;
  private source: KernelSource | undefined;
  private table = 0;
  private resolution = new KernelResolution([], new Set());
  /** What the resolution was made of, to tell whether it must be another. */
  private resolvedBy = '';
  /** Undefined before all were resolved for the first time. */
  private resolved: Map<number, OriginRoute> | undefined;
  /** While all are resolved: those that are so far, the latest attempt, and when it ends. */
  private resolving: Map<number, OriginRoute> | undefined;
  private underWay: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;
  private isDirty = false;
  private isPublishing = false;
  private notBefore = 0;
  /** Publications of routes that were asked for by changes of the kernel's. */
  publications = 0;
  /** Why the kernel's latest routes are not in force; undefined: they are. */
  error: string | undefined;

  constructor(settings: RoutingDaemonSettings) {
    this.settings = settings;
  }

  /** The kernel as it is followed; undefined: it is not. */
  get kernel(): KernelSource | undefined {
    return this.source;
  }

  /** Number of the kernel's table that is followed. */
  get followedTable(): number {
    return this.table;
  }

  /** Resolves the kernel's routes for display, by what the last configuration says. */
  get rules(): KernelResolution {
    return this.resolution;
  }

  /**
   * The kernel's routes through our interfaces; undefined: they are to be followed and are not known, so
   * that what is in force should stay.
   */
  routes(): RouteMap | undefined {
    if (this.source === undefined) return new Map();
    const { mirror } = this.source;
    return mirror === undefined || mirror.isOverfull ? undefined : this.resolved;
  }

  /** Before a configuration is published: begins, ends or changes what is followed. */
  async follow(configuration: Configuration): Promise<void> {
    const connected = connectedRoutes(configuration);
    const own = configuration.interfaces.flatMap(({ addresses }) => addresses);
    own.push(...(configuration.control?.addresses ?? []));
    own.push(...configuration.controlPairs.map(({ virtual }) => virtual));
    const addresses = own.map((cidr) => parseAddress(cidr.split('/')[0]));
    const resolvedBy = JSON.stringify([connected, addresses]);
    const isOther = resolvedBy !== this.resolvedBy;
    this.resolvedBy = resolvedBy;
    if (isOther) this.resolution = new KernelResolution(connected, new Set(addresses));
    const { follow, table } = configuration.routing;
    if (this.source !== undefined && (!follow || table !== this.table)) this.stop();
    if (this.source === undefined) {
      if (follow) await this.begin(table);
    } else if (isOther) await this.resolveAll();
  }

  /** Ends following; what is published stays. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isDirty = false;
    this.source?.stop();
    this.source = undefined;
    this.resolved = undefined;
    this.resolving = undefined;
    this.underWay = Promise.resolve();
    this.error = undefined;
  }

  private async begin(table: number): Promise<void> {
    this.table = table;
    const { log } = this.settings;
    const source = new KernelSource({
      table,
      log,
      onDumped: async () => {
        await this.resolveAll();
        if (this.source === source) this.changed();
      },
      onChanged: (key) => {
        this.resolveOne(key);
        this.changed();
      },
    });
    this.source = source;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FIRST_DUMP_MS);
    });
    try {
      await Promise.race([source.start().then(() => this.underWay), late]);
    } catch (error) {
      this.stop();
      log.error(`the kernel's routes cannot be followed: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
    log.info(`following table ${table} of the kernel: ${source.mirror?.count ?? 0} routes`);
  }

  /** Ends when all are resolved, be it by a later call. */
  private resolveAll(): Promise<void> {
    const keys = this.source?.mirror?.keys();
    if (keys === undefined) return this.underWay;
    this.resolving = new Map();
    this.underWay = inPieces(this.resolveInPieces(this.resolving, keys)).then((isLatest) =>
      isLatest ? undefined : this.underWay,
    );
    return this.underWay;
  }

  /** @returns false when meanwhile another attempt was begun, or following has ended */
  private *resolveInPieces(
    resolving: Map<number, OriginRoute>,
    keys: Iterable<number>,
  ): Generator<void, boolean> {
    let count = 0;
    for (const key of keys) {
      this.resolveInto(resolving, key);
      count += 1;
      if (count % PIECE === 0) yield;
      if (this.resolving !== resolving) return false;
    }
    this.resolved = resolving;
    this.resolving = undefined;
    return true;
  }

  private resolveOne(key: number): void {
    if (this.resolved !== undefined) this.resolveInto(this.resolved, key);
    if (this.resolving !== undefined) this.resolveInto(this.resolving, key);
  }

  private resolveInto(routes: Map<number, OriginRoute>, key: number): void {
    const best = this.resolution.best(this.source?.mirror?.at(key) ?? []);
    if (best === undefined) routes.delete(key);
    else routes.set(key, best);
  }

  private changed(): void {
    this.isDirty = true;
    if (this.timer !== undefined || this.isPublishing) return;
    const inMs = Math.max(SETTLE_MS, this.notBefore - performance.now());
    this.timer = setTimeout(() => this.publish(), inMs);
  }

  private async publish(): Promise<void> {
    this.timer = undefined;
    if (this.routes() === undefined) {
      // Not known yet: when they are, it is said again that they have changed.
      if (this.source?.mirror?.isOverfull !== true) return;
      const most = routesMax().toLocaleString('en');
      this.fail(
        `the kernel has more routes than weir keeps (${most}): the last ones stay in force`,
      );
      return;
    }
    this.isDirty = false;
    this.isPublishing = true;
    const began = performance.now();
    let restMs = 0;
    try {
      await this.settings.publish();
      this.publications += 1;
      if (this.error !== undefined)
        this.settings.log.info("the kernel's routes are in force again");
      this.error = undefined;
    } catch (error) {
      this.fail((error as Error).message);
      restMs = RETRY_MS;
      this.isDirty = true;
    }
    this.isPublishing = false;
    const tookMs = performance.now() - began;
    this.notBefore = performance.now() + Math.max(INTERVAL_MS, tookMs * INTERVAL_FACTOR, restMs);
    if (this.isDirty && this.source !== undefined) this.changed();
  }

  private fail(message: string): void {
    if (this.error !== message) {
      this.settings.log.error(`the kernel's routes are not in force: ${message}`);
    }
    this.error = message;
  }
}
