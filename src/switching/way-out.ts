// Step 224 of Fig. 6: the way out of a packet. Finds the next hop in the routing table and its MAC
// address in the neighbor table (C5), writes both MAC addresses and sends the frame; or holds it while
// ARP asks. What it found fits one word, which a connection remembers together with the routing
// generation:
//
//   neighbor's recycle count (12 bits) | egress interface + 1 (8 bits) | neighbor's index (12 bits)
//
// Invariant: a remembered word is used only under the routing generation it was found in, and only
// while the neighbor's place has not been given to another.

import { finish, mix } from '../base/hash.ts';
import {
  CONTROL_INTERFACE,
  FRAME_DATA_MAX,
  INTERFACE_LINK_UP,
  INTERFACE_MTU,
  MAX_INTERFACES,
} from '../memory/layout.ts';
import { HOST_MAC } from '../memory/packet-storage.ts';
import type { MainMemory } from '../memory/region.ts';
import * as pairs from '../tables/control-pairs.ts';
import {
  type NeighborTable,
  NOT_FOUND,
  SEND,
  SEND_AND_PROBE,
  UNREACHABLE,
  WAIT_AND_PROBE,
} from '../tables/neighbor-table.ts';
import * as routes from '../tables/routing-table.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { replaceDestination } from './address-translation.ts';
import type { ArpStage } from './arp-stage.ts';
import type { PacketContext } from './packet-context.ts';
import * as reasons from './reasons.ts';
import type { Transmitter } from './transmitter.ts';
import type { WaitingPackets } from './waiting-packets.ts';

/** The word of a connection that has no way out yet. */
export const NO_WAY_OUT = 0;

const INDEX_MASK = 0xfff;
const EGRESS_SHIFT = 12;
const EGRESS_MASK = 0xff;
const RECYCLED_SHIFT = 20;

/** The way to the control host, which has no neighbors to ask for. */
export const CONTROL_WAY_OUT = (CONTROL_INTERFACE + 1) << EGRESS_SHIFT;
const HOST_MAC_HIGH = (HOST_MAC[0] << 8) | HOST_MAC[1];
const HOST_MAC_LOW = (HOST_MAC[2] << 24) | (HOST_MAC[3] << 16) | (HOST_MAC[4] << 8) | HOST_MAC[5];

/** Index of the neighbor that a way out leads to. @hot */
export function neighborOf(word: number): number {
  return word & INDEX_MASK;
}

export class WayOut {
  private readonly memory: MainMemory;
  private readonly neighbors: NeighborTable;
  private readonly transmitter: Transmitter;
  private readonly waiting: WaitingPackets;
  private readonly arp: ArpStage;
  private readonly macHighOf: Int32Array;
  private readonly macLowOf: Int32Array;
  /** Word indexes of the active tables: set when they change. */
  private routing = 0;
  private configuration = 0;

  constructor(
    memory: MainMemory,
    neighbors: NeighborTable,
    transmitter: Transmitter,
    waiting: WaitingPackets,
    arp: ArpStage,
    macHighOf: Int32Array,
    macLowOf: Int32Array,
  ) {
    this.memory = memory;
    this.neighbors = neighbors;
    this.transmitter = transmitter;
    this.waiting = waiting;
    this.arp = arp;
    this.macHighOf = macHighOf;
    this.macLowOf = macLowOf;
  }

  /** The active tables have changed. */
  useTables(configuration: number, routing: number): void {
    this.configuration = configuration;
    this.routing = routing;
  }

  /**
   * Notes a way out that was found before. False: it is void by now, or its link is down, so that another
   * should be looked for. @hot
   */
  recall(context: PacketContext, word: number): boolean {
    if (word === CONTROL_WAY_OUT) {
      context.egress = CONTROL_INTERFACE;
      return true;
    }
    const neighbor = neighborOf(word);
    if (((this.neighbors.recycled(neighbor) ^ (word >>> RECYCLED_SHIFT)) & INDEX_MASK) !== 0) {
      return false;
    }
    const egress = (((word >>> EGRESS_SHIFT) & EGRESS_MASK) - 1) | 0;
    if (this.memory.words[this.memory.interfaceWord(egress, INTERFACE_LINK_UP)] === 0) return false;
    context.egress = egress;
    context.neighbor = neighbor;
    return true;
  }

  /**
   * Finds the way to `destination` and notes it in the context.
   * @returns the word to remember, or NO_WAY_OUT: then `context.reason` says why. @hot
   */
  find(context: PacketContext, destination: number, nowMs: number): number {
    const hop = this.route(context, destination);
    if (hop < 0) return NO_WAY_OUT;
    const { egress } = context;
    if (egress === CONTROL_INTERFACE) return CONTROL_WAY_OUT;
    const address = routes.nextHopAddress(this.memory.words, this.routing, hop, destination);
    const neighbor = this.neighbors.findOrCreate(egress, address, nowMs);
    if (neighbor === NOT_FOUND) {
      context.reason = reasons.NEIGHBOR_UNRESOLVED;
      return NO_WAY_OUT;
    }
    context.neighbor = neighbor;
    const recycled = this.neighbors.recycled(neighbor);
    return (recycled << RECYCLED_SHIFT) | ((egress + 1) << EGRESS_SHIFT) | neighbor;
  }

  /**
   * Where the way to `destination` leads, without asking for the neighbor; notes the interface.
   * @returns the next hop, or -1: then `context.reason` says why there is none. @hot
   */
  route(context: PacketContext, destination: number): number {
    const { words } = this.memory;
    const { routing } = this;
    let hop = routes.lookupRoute(words, routing, destination);
    if (hop < 0) {
      context.reason = reasons.NO_ROUTE;
      return -1;
    }
    let kind = routes.nextHopKind(words, routing, hop);
    if (kind === routes.HOP_GROUP) {
      const links = this.memory.interfaceWord(0, INTERFACE_LINK_UP);
      hop = routes.chooseMember(words, routing, hop, flowHash(context), links);
      kind = routes.nextHopKind(words, routing, hop);
    }
    if (kind !== routes.HOP_NEIGHBOR) {
      context.reason = refusalOf(kind);
      return -1;
    }
    const egress = routes.nextHopInterface(words, routing, hop);
    if (egress < 0 || egress >= MAX_INTERFACES) {
      context.reason = reasons.NO_ROUTE;
      return -1;
    }
    context.egress = egress;
    return hop;
  }

  /** Whether the packet is no longer than the interface that was noted takes. @hot */
  fits(context: PacketContext): boolean {
    const { egress, networkOffset, packetEnd } = context;
    const mtu = this.memory.words[this.memory.interfaceWord(egress, INTERFACE_MTU)];
    return packetEnd - networkOffset <= mtu;
  }

  /**
   * Sends the frame the way that `find` noted. `reason` is what the packet is counted under if it
   * leaves now or later.
   * @returns that reason, WAITING, or why it could not be sent: then the frame is still ours. @hot
   */
  send(context: PacketContext, reason: number, nowMs: number): number {
    const result = this.sendNow(context, nowMs);
    if (result === reasons.CONTINUE) return reason;
    if (result !== reasons.WAITING) return result;
    const { egress, neighbor, offset } = context;
    const held = this.waiting.hold(offset, context.lengthToSend(), egress, neighbor, reason, nowMs);
    if (held === reasons.WAITING) context.hasLeft = 1;
    return held;
  }

  /**
   * The same, but does not hold the frame while its neighbor is asked for: for what is our own.
   * @returns CONTINUE: it has left; WAITING: it could leave soon; or why not. @hot
   */
  sendNow(context: PacketContext, nowMs: number): number {
    const { words, view } = this.memory;
    if (context.egress === CONTROL_INTERFACE) {
      if (!pairs.hasControlPairs(words, this.configuration)) return this.toHost(context);
      const refused = this.turnToReal(context, nowMs);
      if (refused !== reasons.CONTINUE) return refused;
    }
    const { egress, neighbor, offset } = context;
    const length = context.lengthToSend();
    if (words[this.memory.interfaceWord(egress, INTERFACE_LINK_UP)] === 0) {
      return reasons.INTERFACE_DOWN;
    }
    const packetLength = (context.packetEnd - context.networkOffset) | 0;
    if (packetLength > words[this.memory.interfaceWord(egress, INTERFACE_MTU)]) {
      return reasons.FRAME_TOO_LONG;
    }
    const action = this.neighbors.use(neighbor, nowMs);
    if (action === SEND || action === SEND_AND_PROBE) {
      if (action === SEND_AND_PROBE) this.probe(context, this.neighbors.isProbeUnicast !== 0);
      if (this.neighbors.readMac(neighbor) !== 0) {
        ethernet.setDestination(view, offset, this.neighbors.macHigh, this.neighbors.macLow);
        ethernet.setSource(view, offset, this.macHighOf[egress], this.macLowOf[egress]);
        const refused = this.transmitter.send(egress, offset, length);
        if (refused !== reasons.CONTINUE) return refused;
        context.hasLeft = 1;
        return reasons.CONTINUE;
      }
    }
    if (action === UNREACHABLE) return reasons.NEIGHBOR_UNRESOLVED;
    if (action === WAIT_AND_PROBE) this.probe(context, false);
    return reasons.WAITING;
  }

  /**
   * Sends a packet to the control host, whatever its headers say.
   * @returns `reason`, or why it could not be sent. @hot
   */
  sendToControl(context: PacketContext, reason: number): number {
    const refused = this.toHost(context);
    return refused === reasons.CONTINUE ? reason : refused;
  }

  /**
   * A packet for the control host's virtual address that a service, a connection or an application sends:
   * gives it the real one, and finds the way there. @returns CONTINUE, or why it cannot be sent. @hot
   */
  private turnToReal(context: PacketContext, nowMs: number): number {
    const { view, words } = this.memory;
    const { networkOffset, packetEnd } = context;
    const virtual = ipv4.destination(view, networkOffset);
    const pair = pairs.findByVirtual(words, this.configuration, virtual);
    // A reload may have taken it away.
    if (pair === 0) return reasons.NO_ROUTE;
    const real = pairs.otherAddress(words, pair);
    if (this.find(context, real, nowMs) === NO_WAY_OUT) return context.reason;
    if (context.egress === CONTROL_INTERFACE) return reasons.NO_ROUTE;
    replaceDestination(view, networkOffset, packetEnd, real);
    return reasons.CONTINUE;
  }

  /** The packet alone goes there, without VLAN tags and padding. @hot */
  private toHost(context: PacketContext): number {
    const { view, words } = this.memory;
    if (words[this.memory.interfaceWord(CONTROL_INTERFACE, INTERFACE_LINK_UP)] === 0) {
      return reasons.INTERFACE_DOWN;
    }
    const frame = (context.networkOffset - ethernet.HEADER_SIZE) | 0;
    const length = (context.packetEnd - frame) | 0;
    // Only an application can fill a frame's headroom too: packet storage has no room for that.
    if (length > FRAME_DATA_MAX) return reasons.FRAME_TOO_LONG;
    ethernet.setDestination(view, frame, HOST_MAC_HIGH, HOST_MAC_LOW);
    const high = this.macHighOf[CONTROL_INTERFACE];
    ethernet.setSource(view, frame, high, this.macLowOf[CONTROL_INTERFACE]);
    ethernet.setType(view, frame, ethernet.TYPE_IPV4);
    const refused = this.transmitter.send(CONTROL_INTERFACE, frame, length);
    if (refused === reasons.CONTINUE) context.hasLeft = 1;
    return refused;
  }

  /** @hot */
  private probe(context: PacketContext, toKnown: boolean): void {
    const { egress, neighbor } = context;
    const target = this.neighbors.address(neighbor);
    this.arp.ask(egress, target, this.configuration, neighbor, toKnown);
  }
}

/** The same for all packets of one direction of a flow: they shall go one way of several. @hot */
function flowHash(context: PacketContext): number {
  const { source, destination, ports, protocol } = context;
  return finish(mix(mix(mix(protocol, source), destination), ports));
}

/** @hot */
function refusalOf(kind: number): number {
  if (kind === routes.HOP_BLACKHOLE) return reasons.ROUTE_BLACKHOLE;
  return kind === routes.HOP_PROHIBIT ? reasons.ROUTE_PROHIBITED : reasons.ROUTE_UNREACHABLE;
}
