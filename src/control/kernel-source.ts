// Keeps a mirror of the kernel's routes true: a dump at first, then events; another dump when events were
// lost, when the kernel has removed routes without a word (it does when a link goes down or an address goes
// away), or when the mirror is in doubt. The mirror in use is never half filled: a dump fills a new one, and
// takes its place when it is complete.

import type { Log } from '../base/log.ts';
import {
  decodeAddress,
  decodeNeighbor,
  hostDumpRequest,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_NEWADDR,
  RTM_NEWNEIGH,
} from '../sys/host-messages.ts';
import { DumpSocket, followRoutes } from '../sys/kernel-events.ts';
import { decodeLinkMessage, type NetlinkSocket } from '../sys/netlink.ts';
import {
  AF_INET,
  AF_INET6,
  decodeRoute,
  type KernelRoute,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  routeDumpRequest,
} from '../sys/route-messages.ts';
import { KernelMirror } from './kernel-mirror.ts';

const RTM_NEWNEXTHOP = 104;
const RTM_DELNEXTHOP = 105;
/** Events that wait for the end of a dump; more are as good as lost. */
const WAITING_MAX = 200_000;
/** A change that takes routes away silently takes its time; and the next one is not far. */
const SILENT_CHANGE_MS = 100;
const DOUBT_MS = 5000;
const RETRY_MS = 1000;

export interface KernelSourceSettings {
  /** Number of the kernel's table. */
  readonly table: number;
  /** Bytes that may wait to be read. */
  readonly receiveBufferSize?: number;
  readonly log: Pick<Log, 'info' | 'warning'>;
  /** The mirror is another one: everything may have changed. */
  onDumped(): void;
  /** The routes to this prefix have changed. */
  onChanged(key: number): void;
}

/** What there is on the host beside routes, as the last dump has found it. */
export interface HostCounts {
  readonly links: number;
  readonly addresses: number;
  readonly neighbors: number;
}

export class KernelSource {
  /** Undefined before the first dump. */
  mirror: KernelMirror | undefined;
  /** Names of links by index. */
  links: ReadonlyMap<number, string> = new Map();
  host: HostCounts = { links: 0, addresses: 0, neighbors: 0 };
  dumps = 0;
  events = 0;
  overflows = 0;
  lastDumpMs = 0;
  /** Why the last dump failed; undefined: it did not. */
  error: string | undefined;
  private readonly settings: KernelSourceSettings;
  private socket: NetlinkSocket | undefined;
  /** While a dump is under way: what has come meanwhile. */
  private waiting: [type: number, flags: number, route: KernelRoute][] | undefined;
  private isDumpDue = false;
  private timer: NodeJS.Timeout | undefined;
  private timerAt = 0;
  private isStopped = false;

  constructor(settings: KernelSourceSettings) {
    this.settings = settings;
  }

  /** Begins; resolves when the first dump is complete or has failed (then it goes on trying). */
  async start(): Promise<void> {
    this.socket = followRoutes(
      (type, payload, flags) => this.onEvent(type, payload, flags),
      () => this.onLost(),
      this.settings.receiveBufferSize,
    );
    await this.dump();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = undefined;
  }

  private onLost(): void {
    this.overflows += 1;
    this.settings.log.warning(
      'routes changed faster than they could be read: reading them all again',
    );
    this.dumpSoon(0);
  }

  private onEvent(type: number, payload: DataView, flags: number): void {
    if (type === RTM_NEWROUTE || type === RTM_DELROUTE) {
      this.events += 1;
      const route = decodeRoute(payload);
      if (route === undefined || route.table !== this.settings.table) return;
      if (this.waiting === undefined) this.take(type, flags, route);
      else if (this.waiting.length < WAITING_MAX) this.waiting.push([type, flags, route]);
      else this.isDumpDue = true;
      return;
    }
    if (type === RTM_DELADDR || type === RTM_NEWNEXTHOP || type === RTM_DELNEXTHOP) {
      this.dumpSoon(SILENT_CHANGE_MS);
      return;
    }
    const link = decodeLinkMessage(type, payload);
    if (link === undefined) return;
    if (!link.gone) this.links = new Map(this.links).set(link.index, link.name);
    if (link.gone || !link.running) this.dumpSoon(SILENT_CHANGE_MS);
  }

  private take(type: number, flags: number, route: KernelRoute): void {
    const { mirror } = this;
    const key = mirror?.apply(type, flags, route);
    if (key !== undefined) this.settings.onChanged(key);
    if (mirror?.isDoubtful === true) this.dumpSoon(DOUBT_MS);
  }

  private dumpSoon(afterMs: number): void {
    if (this.isStopped) return;
    if (this.waiting !== undefined) {
      if (afterMs < DOUBT_MS) this.isDumpDue = true;
      return;
    }
    const at = performance.now() + afterMs;
    if (this.timer !== undefined && this.timerAt <= at) return;
    clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = setTimeout(() => this.dump(), afterMs);
  }

  private async dump(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isDumpDue = false;
    this.waiting = [];
    const began = performance.now();
    const mirror = new KernelMirror();
    try {
      const isWhole = await this.readAll(mirror);
      if (!isWhole) mirror.isDoubtful = true;
      this.error = undefined;
    } catch (error) {
      this.waiting = undefined;
      if (this.isStopped) return;
      this.error = (error as Error).message;
      this.settings.log.warning(this.error);
      this.dumpSoon(RETRY_MS);
      return;
    }
    if (this.isStopped) return;
    for (const [type, flags, route] of this.waiting) mirror.apply(type, flags, route);
    this.waiting = undefined;
    this.mirror = mirror;
    this.dumps += 1;
    this.lastDumpMs = performance.now() - began;
    this.settings.onDumped();
    if (this.isDumpDue) this.dumpSoon(SILENT_CHANGE_MS);
    else if (mirror.isDoubtful) this.dumpSoon(DOUBT_MS);
  }

  /** @returns whether what was read is of one moment */
  private async readAll(mirror: KernelMirror): Promise<boolean> {
    const socket = new DumpSocket();
    const { table } = this.settings;
    const links = new Map<number, string>();
    let addresses = 0;
    let neighbors = 0;
    try {
      await socket.dump(
        (sequence) => hostDumpRequest(RTM_GETLINK, 0, sequence),
        (type, payload) => {
          const link = decodeLinkMessage(type, payload);
          if (link !== undefined) links.set(link.index, link.name);
        },
      );
      for (const family of [AF_INET, AF_INET6]) {
        await socket.dump(
          (sequence) => hostDumpRequest(RTM_GETADDR, family, sequence),
          (type, payload) => {
            if (type === RTM_NEWADDR && decodeAddress(payload) !== undefined) addresses += 1;
          },
        );
        await socket.dump(
          (sequence) => hostDumpRequest(RTM_GETNEIGH, family, sequence),
          (type, payload) => {
            if (type === RTM_NEWNEIGH && decodeNeighbor(payload) !== undefined) neighbors += 1;
          },
        );
      }
      let isWhole = true;
      for (const family of [AF_INET, AF_INET6]) {
        const isFamilyWhole = await socket.dump(
          (sequence) => routeDumpRequest(family, table, sequence),
          (type, payload) => {
            const route = type === RTM_NEWROUTE ? decodeRoute(payload) : undefined;
            if (route?.table === table) mirror.apply(type, 0, route);
          },
        );
        isWhole &&= isFamilyWhole;
      }
      this.links = links;
      this.host = { links: links.size, addresses, neighbors };
      mirror.isDoubtful = false;
      return isWhole;
    } finally {
      socket.close();
    }
  }
}
