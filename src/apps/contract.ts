// What a network application is to weir, and weir to it (elements 65 and 63 of Fig. 10): a module that
// runs on the switching processors and has the packets in its hands where the interfaces put them. This
// file and packet.ts are all that an application needs to know; docs/guides/network-applications.md goes
// through it by example, docs/reference/applications.md has the rules.
//
//   a packet comes in (Fig. 13)                      a frame of the application's own goes out (Fig. 12)
//   341  weir gives free frames to the interface     321  take: a free frame, or -1
//   342  weir asks whether there are packets         322  the application writes a packet into it
//   344  weir takes them: their frames are ours      323  send: the frame is the interface's …
//   345  weir checks headers and checksums           324  … which is told at the end of the turn
//   346  onPacket: the application's part            325  weir looks whether it has been sent
//   347  weir gives the frame back, by the verdict   326  weir gives the frame back
//
// Rules: everything runs on the processor's one thread, between two polls of the interfaces. What takes
// long delays every packet, so that there is a budget; what waits (files, promises, timers) has no place but
// in the module itself and in `setup`: there is no event loop while packets are switched. What
// onPacket allocates must be collected, which stops the switch: better nothing.

import type { Match } from '../base/application-plan.ts';
import type { Packet } from './packet.ts';
import type { ServiceView } from './service-view.ts';

/** Goes on through the switch, rewritten or not, as if there were no application. */
export const PASS = 0;
export const DROP = 1;
/** Has served its purpose. */
export const CONSUME = 2;
/** Goes back to the host that sent it, on the interface where it came in. */
export const REPLY = 3;
/** Goes to its IP destination by the routing table, past services and connections. */
export const FORWARD = 4;
/** Its frame is the application's now: it sends it or gives it back later. */
export const KEEP = 5;

export type { Match } from '../base/application-plan.ts';
export type { Packet } from './packet.ts';
export type { ServiceView } from './service-view.ts';

/** One or several: a packet is seen that meets one of them. */
export type Matches = Match | readonly Match[];

/** What the configuration says under `options`, as plain values. */
export type Options = Readonly<Record<string, unknown>>;

/** A module's default export, or what it exports under these names. */
export interface Application {
  /** For people only: the name that counts is the one in the configuration. */
  readonly name?: string;
  readonly match: Matches | ((options: Options) => Matches);
  /** Milliseconds between two ticks, 1 … 60,000. Default 100. */
  readonly tickMs?: number;
  /**
   * Once, before the first packet, in every processor that runs it, and again after a reload that changes
   * something about it. It may wait: packets go on as before until it is done, for ten seconds at most.
   * What it throws is shown by `weir apps`, and the application does not run.
   */
  setup?(host: ApplicationHost): void | Promise<void>;
  /**
   * One packet that matches, its headers and checksums checked. `packet` is the same object every time.
   * @param nowMs milliseconds of a clock that never goes back, an int32 that wraps: compare by (a - b) | 0
   * @returns a verdict: what one of the packet's methods `pass`, `drop`, `reply` … has returned. @hot
   */
  onPacket(packet: Packet, nowMs: number): number;
  /** Every `tickMs` or a little later, also without packets. @hot */
  onTick?(nowMs: number): void;
}

/** What weir gives to an application. */
export interface ApplicationHost {
  /** Number of this switching processor, and how many there are. */
  readonly processor: number;
  readonly processors: number;
  readonly options: Options;
  /** Main memory, in which all frames are. Whoever writes beside its own frames breaks the switch. */
  readonly view: DataView;
  readonly bytes: Uint8Array;
  /** The application's table in main memory: 262,144 words, shared by all processors, zero at first. */
  readonly table: Int32Array;
  /** A random word, the same in all processors and for as long as weir runs: for hashes. */
  readonly seed: number;

  /** A service that the configuration lists under `services`. Throws when it is none of them. */
  service(name: string): ServiceView;

  /** Names a counter that `weir apps` shows: 1 … 24 characters. Throws when there are 16 already. */
  counter(name: string): number;
  /** Adds to a counter. @hot */
  count(counter: number, amount: number): void;

  /**
   * Step 321: a free frame. Its first byte is the first of the Ethernet header, which `send` writes.
   * @returns its offset in `view`, or -1: none is free, or the application has as many as it may. @hot
   */
  take(): number;
  /**
   * Part of step 322: writes IP and UDP headers before data that stands at `offset` + UDP_DATA.
   * @returns the length of the frame, for `send`. @hot
   */
  writeUdp(
    offset: number,
    source: number,
    sourcePort: number,
    destination: number,
    destinationPort: number,
    dataLength: number,
  ): number;
  /**
   * Steps 323 and 324: sends an IPv4 packet, whose header begins 14 bytes behind `offset`, by the routing
   * table. What does not wait for it: a neighbor whose MAC address is not known yet is asked for.
   * @param length bytes of the frame, the Ethernet header included
   * @returns 1: the frame is the interface's; 0: it is still the application's, which tries again later or
   * gives it back. @hot
   */
  send(offset: number, length: number, nowMs: number): number;
  /** Gives back a frame that was taken or kept. @returns 0 when it is none of the application's. @hot */
  give(offset: number): number;
}

/** Where a datagram's data begins in a frame without VLAN tags and IP options. */
export const UDP_DATA = 42;
