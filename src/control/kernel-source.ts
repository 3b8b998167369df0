// Keeps a mirror of the kernel's routes true: a dump at first, then events; another dump when events were
// lost, when the kernel may have changed routes without a word (it does when a link goes down or comes back,
// when an address goes away and when a nexthop object changes), or when the mirror is in doubt. The mirror in
// use is never half filled: a dump fills a new one, and takes its place when it is complete.

import type { Log } from '../base/log.ts';
import { hostDumpRequest, RTM_GETADDR, RTM_GETLINK, RTM_GETNEIGH } from '../sys/host-messages.ts';
import { DumpSocket, followRoutes } from '../sys/kernel-events.ts';
import type { NetlinkSocket } from '../sys/netlink.ts';
import {
  AF_INET,
  AF_INET6,
  decodeRoute,
  type KernelRoute,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  routeDumpRequest,
} from '../sys/route-messages.ts';
import { type HostCounts, HostMirror } from './host-mirror.ts';
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
  /** Routes that are kept of each family. */
  readonly most?: number;
  /** After this long in doubt all routes are read again. */
  readonly doubtMs?: number;
  readonly log: Pick<Log, 'info' | 'warning'>;
  /** The mirror is another one: everything may have changed. */
  onDumped(): void;
  /** The routes to this prefix have changed. */
  onChanged(key: number): void;
}

export class KernelSource {
  /** Undefined before the first dump. */
  mirror: KernelMirror | undefined;
  dumps = 0;
  events = 0;
  overflows = 0;
  lastDumpMs = 0;
  /** Why the last dump failed; undefined: it did not. */
  error: string | undefined;
  private readonly settings: KernelSourceSettings;
  private readonly doubtMs: number;
  private socket: NetlinkSocket | undefined;
  private hostMirror = new HostMirror();
  /** While a dump is under way: what has come meanwhile, of routes and of the rest. */
  private waiting: [type: number, flags: number, route: KernelRoute][] | undefined;
  private waitingHost: [type: number, payload: DataView][] = [];
  private isDumpDue = false;
  private timer: NodeJS.Timeout | undefined;
  private timerAt = 0;
  private isStopped = false;

  constructor(settings: KernelSourceSettings) {
    this.settings = settings;
    this.doubtMs = settings.doubtMs ?? DOUBT_MS;
  }

  /** What there is on the host beside routes. */
  get host(): HostCounts {
    return this.hostMirror.counts;
  }

  /** Names of links by index. */
  get links(): ReadonlyMap<number, string> {
    return this.hostMirror.linkNames();
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
    if (type === RTM_NEWNEXTHOP || type === RTM_DELNEXTHOP) {
      this.dumpSoon(SILENT_CHANGE_MS);
      return;
    }
    if (this.waiting !== undefined && this.waitingHost.length < WAITING_MAX) {
      this.waitingHost.push([type, copyOf(payload)]);
    }
    if (this.hostMirror.apply(type, payload)) this.dumpSoon(SILENT_CHANGE_MS);
  }

  private take(type: number, flags: number, route: KernelRoute): void {
    const { mirror } = this;
    const key = mirror?.apply(type, flags, route);
    if (key !== undefined) this.settings.onChanged(key);
    if (mirror?.isDoubtful === true || mirror?.mayFitAgain === true) this.dumpSoon(this.doubtMs);
  }

  private dumpSoon(afterMs: number): void {
    if (this.isStopped) return;
    if (this.waiting !== undefined) {
      if (afterMs < this.doubtMs) this.isDumpDue = true;
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
    this.waitingHost = [];
    const began = performance.now();
    const mirror = new KernelMirror(this.settings.most);
    const host = new HostMirror();
    try {
      const isWhole = await this.readAll(mirror, host);
      if (!isWhole) mirror.isDoubtful = true;
      this.error = undefined;
    } catch (error) {
      this.waiting = undefined;
      this.waitingHost = [];
      if (this.isStopped) return;
      this.error = (error as Error).message;
      this.settings.log.warning(this.error);
      this.dumpSoon(RETRY_MS);
      return;
    }
    if (this.isStopped) return;
    for (const [type, flags, route] of this.waiting) mirror.apply(type, flags, route);
    for (const [type, payload] of this.waitingHost) host.apply(type, payload);
    this.waiting = undefined;
    this.waitingHost = [];
    this.hostMirror = host;
    this.mirror = mirror;
    this.dumps += 1;
    this.lastDumpMs = performance.now() - began;
    this.settings.onDumped();
    if (this.isDumpDue) this.dumpSoon(SILENT_CHANGE_MS);
    else if (mirror.isDoubtful) this.dumpSoon(this.doubtMs);
  }

  /** @returns whether what was read is of one moment */
  private async readAll(mirror: KernelMirror, host: HostMirror): Promise<boolean> {
    const socket = new DumpSocket();
    const { table } = this.settings;
    const readHost = (request: number, family: number) =>
      socket.dump(
        (sequence) => hostDumpRequest(request, family, sequence),
        (type, payload) => {
          host.apply(type, payload);
        },
      );
    try {
      await readHost(RTM_GETLINK, 0);
      let isWhole = true;
      for (const family of [AF_INET, AF_INET6]) {
        await readHost(RTM_GETADDR, family);
        await readHost(RTM_GETNEIGH, family);
        const isFamilyWhole = await socket.dump(
          (sequence) => routeDumpRequest(family, table, sequence),
          (type, payload) => {
            const route = type === RTM_NEWROUTE ? decodeRoute(payload) : undefined;
            if (route?.table === table) mirror.apply(type, 0, route);
          },
        );
        isWhole &&= isFamilyWhole;
      }
      mirror.isDoubtful = false;
      return isWhole;
    } finally {
      socket.close();
    }
  }
}

/** A message is valid only while it is handed over. */
function copyOf({ buffer, byteOffset, byteLength }: DataView): DataView {
  return new DataView(buffer.slice(byteOffset, byteOffset + byteLength));
}
