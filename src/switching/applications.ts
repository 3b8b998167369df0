// Network applications on this processor (element 65 of Fig. 10): between the packet engine and the packet
// filter they see the packets of a burst that they have asked for, in the order of the configuration, and
// say what becomes of each (346 of Fig. 13). What they pass goes on to the filter; what they end is counted
// here. Without an application the filter does not come here at all.
//
// An application is somebody else's code on the one thread that switches: an exception ends the packet as
// `app-failed`; CPU time is measured once per burst; who fails or takes too long too often is switched off
// (loaded-application.ts). One that never returns is found by the supervisor, which kills the processor:
// which application it was stands in main memory, so that the next process does not run it.
// What it does later, in a promise or a timer, happens while main.ts waits, and is found by `strayed`.
// Invariant: every frame of a burst is afterwards still in it, or has been sent, held, given back, or is an
// application's; and every packet that is not in it any more is counted under exactly one reason.

import { CONSUME, DROP, FORWARD, KEEP, PASS, REPLY } from '../apps/contract.ts';
import { ActiveTables } from '../apps/service-view.ts';
import {
  TALLY_CONSUMED,
  TALLY_DROPPED,
  TALLY_FAILED,
  TALLY_FORWARDED,
  TALLY_PACKETS,
  TALLY_PASSED,
  TALLY_REPLIED,
  TALLY_TICKS,
} from '../memory/application-memory.ts';
import type { Counters } from '../memory/counters.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import { CONTROL_INTERFACE, PROCESSOR_APPLICATION } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { threadMicroseconds } from '../sys/clock.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as vlan from '../wire/vlan.ts';
import { ApplicationLoader } from './application-loader.ts';
import { ApplicationPacket, DAMAGED, FOR_THE_FILTER } from './application-packet.ts';
import type { LoadedApplication } from './loaded-application.ts';
import * as reasons from './reasons.ts';
import { applicationOf, textOf } from './thrown.ts';
import type { Transmitter } from './transmitter.ts';
import type { WayOut } from './way-out.ts';

/** The most that one burst brings (packet-engine.ts). */
const BURST_SIZE = 64;
/** In place of a protocol number: no application wants it, or it has ended. */
const NOBODYS = -1;
/** In place of a verdict, and none that an application can return: it has thrown. */
const THREW = Symbol('threw');
/** A turn that took so long, although nobody used the CPU so long, has stood still. */
const STOOD_STILL_MS = 700;

/** What the applications of a processor work with. */
export interface ApplicationParts {
  readonly memory: MainMemory;
  readonly processor: number;
  readonly pool: FramePool;
  readonly counters: Counters;
  readonly transmitter: Transmitter;
  readonly wayOut: WayOut;
  readonly macHighOf: Int32Array;
  readonly macLowOf: Int32Array;
}

export class Applications {
  readonly loader: ApplicationLoader;
  private readonly memory: MainMemory;
  private readonly pool: FramePool;
  private readonly counters: Counters;
  private readonly macHighOf: Int32Array;
  private readonly macLowOf: Int32Array;
  private readonly active = new ActiveTables();
  private readonly subject: ApplicationPacket;
  private readonly markWord: number;
  /** Those that see packets: running, or off and to have their packets dropped. */
  private applications: readonly LoadedApplication[] = [];
  private ticking: readonly LoadedApplication[] = [];
  /** The one that ran last, and the time of that turn; null: what came since is not its doing. */
  private ranLast: LoadedApplication | null = null;
  private ranAt = 0;
  /** Whether any application could want a packet: the filter asks for every burst. */
  isInUse = false;
  // Of each frame of the burst: what a rule looks at.
  private readonly protocols = new Int32Array(BURST_SIZE);
  private readonly destinations = new Int32Array(BURST_SIZE);
  private readonly ports = new Int32Array(BURST_SIZE);
  private readonly networks = new Int32Array(BURST_SIZE);

  constructor(parts: ApplicationParts) {
    const { memory, processor } = parts;
    this.memory = memory;
    this.pool = parts.pool;
    this.counters = parts.counters;
    this.macHighOf = parts.macHighOf;
    this.macLowOf = parts.macLowOf;
    this.subject = new ApplicationPacket(memory, parts.transmitter, parts.wayOut);
    this.markWord = memory.processorWord(processor, PROCESSOR_APPLICATION);
    const { pool, active } = this;
    const { wayOut } = parts;
    this.loader = new ApplicationLoader({ memory, processor, pool, wayOut, active });
    this.memory.words[this.markWord] = 0;
  }

  /** Another configuration table is active: index of its first word. */
  useTables(configuration: number): void {
    this.active.configuration = configuration;
  }

  /** Loads what the plans ask for, and lets go of what they do not ask for any more. */
  load(nowMs: number): Promise<void> {
    return this.loader.load(nowMs, () => this.refresh());
  }

  /** Before and after other code of this process has its turn, that of an application being loaded. */
  stepAside(isAside: boolean): void {
    this.memory.words[this.markWord] = isAside ? this.loader.loadingMark : 0;
    this.ranLast = null;
  }

  /**
   * Something was thrown, or rejected, where nobody catches it: in a timer or a promise of an application.
   * Whose it was stands in its stack, or there is only one who can have made it.
   */
  strayed(error: unknown, nowMs: number): void {
    const name = applicationOf(error);
    const { loaded, beingSetUp = [] } = this.loader;
    const others = [loaded, beingSetUp].flat().filter(({ plan }) => plan.version !== '');
    const culprit =
      others.find(({ plan }) => plan.name === name) ??
      (others.length === 1 ? others[0] : undefined);
    culprit?.threw(error, nowMs);
    this.refresh();
    this.loader.report(`${culprit?.plan.name ?? 'an application'} threw later: ${textOf(error)}`);
  }

  /** After an application was loaded or switched off. */
  private refresh(): void {
    const { loaded } = this.loader;
    this.applications = loaded.filter((each) => each.isRunning || each.dropsWhenOff);
    this.ticking = loaded.filter((each) => each.isRunning && each.tickMs > 0);
    this.isInUse = this.applications.length > 0;
  }

  /**
   * Shows a burst to the applications. What they pass is moved together at the start of the arrays.
   * @returns how many frames that are. @hot
   */
  processBurst(
    ingress: number,
    offsets: Int32Array,
    lengths: Int32Array,
    count: number,
    nowMs: number,
  ): number {
    const { applications, protocols } = this;
    for (let i = 0; i < count; i = (i + 1) | 0) this.look(i, ingress, offsets[i], lengths[i]);
    let ended = 0;
    for (let a = 0; a < applications.length; a = (a + 1) | 0) {
      ended = (ended + this.show(applications[a], ingress, offsets, lengths, count, nowMs)) | 0;
    }
    if (ended === 0) return count;
    let left = 0;
    for (let i = 0; i < count; i = (i + 1) | 0) {
      if (protocols[i] === NOBODYS && offsets[i] < 0) continue;
      offsets[left] = offsets[i];
      lengths[left] = lengths[i];
      left = (left + 1) | 0;
    }
    return left;
  }

  /** What a rule looks at, of one frame: nothing of what is not a whole IPv4 packet to us. @hot */
  private look(i: number, ingress: number, offset: number, length: number): void {
    const { view } = this.memory;
    const end = (offset + length) | 0;
    this.protocols[i] = NOBODYS;
    if (!ethernet.isComplete(view, offset, end)) return;
    if (
      ethernet.destinationLow(view, offset) !== this.macLowOf[ingress] ||
      ethernet.destinationHigh(view, offset) !== this.macHighOf[ingress]
    ) {
      return;
    }
    const network = vlan.payloadOffset(view, offset, end);
    if (network < 0 || vlan.payloadType(view, network) !== ethernet.TYPE_IPV4) return;
    if (ingress === CONTROL_INTERFACE && network - offset !== ethernet.HEADER_SIZE) return;
    if (ipv4.isComplete(view, network, end) !== ipv4.COMPLETE) return;
    if (ipv4.isFragment(view, network)) return;
    const protocol = ipv4.protocol(view, network);
    this.ports[i] = 0;
    if (protocol === ipv4.PROTOCOL_UDP || protocol === ipv4.PROTOCOL_TCP) {
      const transport = (network + ipv4.headerLength(view, network)) | 0;
      if (transport + 4 > end) return;
      this.ports[i] = view.getUint16(transport + 2);
    } else if (protocol !== ipv4.PROTOCOL_ICMP) return;
    this.networks[i] = network;
    this.destinations[i] = ipv4.destination(view, network);
    this.protocols[i] = protocol;
  }

  /** Shows one application what it wants of the burst. @returns how many packets ended. @hot */
  private show(
    app: LoadedApplication,
    ingress: number,
    offsets: Int32Array,
    lengths: Int32Array,
    count: number,
    nowMs: number,
  ): number {
    const { protocols, destinations, ports } = this;
    let ended = 0;
    let seen = 0;
    let startedAt = 0;
    for (let i = 0; i < count; i = (i + 1) | 0) {
      const protocol = protocols[i];
      if (protocol === NOBODYS || !app.matches(protocol, destinations[i], ports[i])) continue;
      if (seen === 0) {
        this.memory.words[this.markWord] = app.mark;
        this.ranLast = app;
        this.ranAt = nowMs;
        startedAt = threadMicroseconds();
      }
      seen = (seen + 1) | 0;
      this.subject.begin(offsets[i], lengths[i], ingress, this.networks[i]);
      if (this.isKept(app, nowMs)) {
        lengths[i] = this.subject.context.length;
        this.look(i, ingress, offsets[i], lengths[i]);
        continue;
      }
      this.counters.received(ingress, 1, lengths[i]);
      // 347, where nobody else has the frame now.
      if (this.subject.context.hasLeft === 0) this.pool.give(offsets[i]);
      protocols[i] = NOBODYS;
      offsets[i] = -1;
      ended = (ended + 1) | 0;
    }
    if (seen === 0) return 0;
    this.memory.words[this.markWord] = 0;
    app.share.add(TALLY_PACKETS, seen);
    app.account((threadMicroseconds() - startedAt) | 0, nowMs);
    if (!app.isRunning) this.refresh();
    return ended;
  }

  /** The packet in the context. @returns whether it stays in the burst; else it was counted. @hot */
  private isKept(app: LoadedApplication, nowMs: number): boolean {
    const { subject, counters } = this;
    if (!app.isRunning) {
      if (!app.dropsWhenOff) return true;
      app.share.add(TALLY_DROPPED, 1);
      counters.count(reasons.APP_DROPPED);
      return false;
    }
    const found = subject.check(this.active.configuration);
    if (found === FOR_THE_FILTER) return true;
    if (found === DAMAGED) {
      counters.count(reasons.BAD_TRANSPORT_CHECKSUM);
      return false;
    }
    const verdict = this.ask(app, nowMs);
    if (verdict === PASS) {
      app.share.add(TALLY_PASSED, 1);
      return this.takeOver(app, nowMs);
    }
    const reason = this.carryOut(app, verdict, nowMs);
    if (reason >= 0) counters.count(reason);
    return false;
  }

  /**
   * Step 346: the one place where an application's code runs for a packet, and where it may throw.
   * @returns what it has returned, whatever that is, or THREW
   */
  private ask(app: LoadedApplication, nowMs: number): unknown {
    try {
      const verdict: unknown = app.application.onPacket(this.subject.packet, nowMs);
      this.subject.noteLength();
      return verdict;
    } catch (error) {
      app.threw(error, nowMs);
      return THREW;
    }
  }

  /**
   * What an application has made of the packet: its length as it is now, if its frame has room for it.
   * @returns whether it is a packet at all. @hot
   */
  private takeOver(app: LoadedApplication, nowMs: number): boolean {
    if (this.subject.isWhole()) return true;
    this.fault(app, nowMs);
    this.counters.count(reasons.APP_FAILED);
    return false;
  }

  private fault(app: LoadedApplication, nowMs: number): void {
    app.share.add(TALLY_FAILED, 1);
    app.threw('it left no packet where the packet was, or returned what is no verdict', nowMs);
  }

  /** @returns the reason that the packet ends under, or WAITING. @hot */
  private carryOut(app: LoadedApplication, verdict: unknown, nowMs: number): number {
    const { share } = app;
    switch (verdict) {
      case DROP:
        share.add(TALLY_DROPPED, 1);
        return reasons.APP_DROPPED;
      case CONSUME:
        share.add(TALLY_CONSUMED, 1);
        return reasons.APP_CONSUMED;
      case REPLY:
      case FORWARD:
        if (!this.subject.isWhole()) break;
        return verdict === REPLY ? this.reply(app) : this.forward(app, nowMs);
      case KEEP:
        // Who has as many frames as it may, loses this one.
        if (!app.host.mayHold()) return reasons.APP_DROPPED;
        app.host.hold(this.subject.context.offset);
        this.subject.context.hasLeft = 1;
        share.add(TALLY_CONSUMED, 1);
        return reasons.APP_CONSUMED;
      case THREW:
        share.add(TALLY_FAILED, 1);
        return reasons.APP_FAILED;
    }
    this.fault(app, nowMs);
    return reasons.APP_FAILED;
  }

  /** @hot */
  private reply(app: LoadedApplication): number {
    const reason = this.subject.reply();
    if (reason === reasons.APP_REPLIED) app.share.add(TALLY_REPLIED, 1);
    return reason;
  }

  /** @hot */
  private forward(app: LoadedApplication, nowMs: number): number {
    const reason = this.subject.forward(nowMs);
    if (this.subject.context.hasLeft !== 0) app.share.add(TALLY_FORWARDED, 1);
    return reason;
  }

  /** Once in a millisecond: ticks that are due, and whether anything is to be loaded or ended. @hot */
  keepHouse(nowMs: number): void {
    this.loader.lookForPlans();
    const { applications, ticking } = this;
    for (let i = 0; i < applications.length; i = (i + 1) | 0) {
      const told = applications[i].isRunning ? applications[i].toldState() : 0;
      if (told !== 0) this.end(applications[i], told);
    }
    const { ranLast } = this;
    if (ranLast !== null && nowMs !== this.ranAt) this.lookBack(ranLast, nowMs);
    for (let i = 0; i < ticking.length; i = (i + 1) | 0) {
      const app = ticking[i];
      if (!app.isRunning || ((nowMs - app.tickedAt) | 0) < app.tickMs) continue;
      app.tickedAt = nowMs;
      this.ranLast = app;
      this.ranAt = nowMs;
      this.memory.words[this.markWord] = app.mark;
      const startedAt = threadMicroseconds();
      this.tick(app, nowMs);
      this.memory.words[this.markWord] = 0;
      app.share.add(TALLY_TICKS, 1);
      app.account((threadMicroseconds() - startedAt) | 0, nowMs);
      if (!app.isRunning) this.refresh();
    }
  }

  private tick(app: LoadedApplication, nowMs: number): void {
    try {
      app.application.onTick!(nowMs);
    } catch (error) {
      app.threw(error, nowMs);
    }
  }

  private end(app: LoadedApplication, told: number): void {
    app.switchOff(told, 'it has cost another switching processor its life');
    this.refresh();
  }

  /** At the first look at the clock after the turn in which an application ran last. @hot */
  private lookBack(app: LoadedApplication, nowMs: number): void {
    const elapsed = (nowMs - this.ranAt) | 0;
    this.ranLast = null;
    if (elapsed < STOOD_STILL_MS) return;
    app.stoodStill(elapsed, nowMs);
    if (!app.isRunning) this.refresh();
  }

  /** Milliseconds until a tick may be due at the earliest, for who wants to sleep. @hot */
  sleepLimitMs(longest: number): number {
    const { ticking } = this;
    let limit = longest;
    for (let i = 0; i < ticking.length; i = (i + 1) | 0) {
      if (ticking[i].tickMs < limit) limit = ticking[i].tickMs;
    }
    return limit;
  }
}
