// The control processor's packets by an interface of the kernel's on the internal switch (37₀ of Fig. 7),
// which is known outside by a virtual address: what is for that, and belongs to no service and no connection,
// gets the real address for its destination and goes to it; what comes from the real address gets the
// virtual one for its source and is routed, whoever began. Each packet is translated by itself and nothing is
// remembered (docs/decisions/0024), so that no process that dies takes anything with it.
//
// To the network it is a router: the time to live is taken down, errors are told of the packet as it came.
// Invariants: the real address is believed only where its network is; nobody on a network may speak in the
// name of an address of ours; of two addresses of a pair, each side of the switch sees only its own.

import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import { type ConnectionTable, NOT_FOUND } from '../tables/connection-table.ts';
import * as pairs from '../tables/control-pairs.ts';
import { isBroadcastOn } from '../tables/forwarding-table.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { isTranslatable, replaceDestination, replaceSource } from './address-translation.ts';
import { isHost } from './forwarding-stage.ts';
import type { PacketContext } from './packet-context.ts';
import { isForwardable } from './read-headers.ts';
import * as reasons from './reasons.ts';
import { lowerTimeToLive } from './rewrite.ts';
import type { RouterErrors } from './router-errors.ts';
import { NO_WAY_OUT, type WayOut } from './way-out.ts';

export class ControlInterfaceStage {
  private readonly memory: MainMemory;
  private readonly connections: ConnectionTable;
  private readonly wayOut: WayOut;
  private readonly errors: RouterErrors;

  constructor(
    memory: MainMemory,
    connections: ConnectionTable,
    wayOut: WayOut,
    errors: RouterErrors,
  ) {
    this.memory = memory;
    this.connections = connections;
    this.wayOut = wayOut;
    this.errors = errors;
  }

  /**
   * A sound packet that no service and no connection has claimed.
   * @param otherwise the reason under which it ends if it concerns no pair of addresses: NOT_OURS; of ICMP
   *   also ICMP_IGNORED; FRAGMENT or UNKNOWN_PROTOCOL when only its IP header has been read
   * @returns a reason or WAITING. @hot
   */
  claim(context: PacketContext, otherwise: number, configuration: number, nowMs: number): number {
    const { words } = this.memory;
    const { source, destination } = context;
    const to = pairs.findByVirtual(words, configuration, destination);
    const from = pairs.findByReal(words, configuration, source);
    if (to === 0 && from === 0) return otherwise;
    if (this.isForged(context, configuration)) return reasons.BAD_IP_SOURCE;
    if (from !== 0 && pairs.interfaceOfReal(words, from) !== context.ingress) {
      return reasons.BAD_IP_SOURCE;
    }
    if (to === 0 && !this.mayBeSentTo(destination, configuration)) return otherwise;
    // Fragments of one packet take one way of several.
    if (otherwise === reasons.FRAGMENT || otherwise === reasons.UNKNOWN_PROTOCOL) {
      context.protocol = ipv4.protocol(this.memory.view, context.networkOffset);
      context.ports = 0;
    }
    return this.translate(context, from, to, otherwise, configuration, nowMs);
  }

  /**
   * For a virtual address, whatever its source is: the answer of a server that answers directly. @hot
   */
  give(context: PacketContext, otherwise: number, configuration: number, nowMs: number): number {
    const to = pairs.findByVirtual(this.memory.words, configuration, context.destination);
    return to === 0 ? otherwise : this.translate(context, 0, to, otherwise, configuration, nowMs);
  }

  /**
   * A segment that no connection knows. If it is the control host's and goes to a service, or belongs to a
   * connection with one, it is made to come from the virtual address, by which connections know the host, so
   * that servers answer by way of the switch.
   * @returns CONTINUE: it has been made so; NOT_OURS: it is not the host's, or for no service; BAD_IP_SOURCE.
   * @hot
   */
  speakAsVirtual(context: PacketContext, configuration: number): number {
    const { view, words } = this.memory;
    const { destination, ports, protocol, networkOffset, packetEnd } = context;
    const from = pairs.findByReal(words, configuration, context.source);
    if (from === 0) return reasons.NOT_OURS;
    if (pairs.interfaceOfReal(words, from) !== context.ingress) return reasons.BAD_IP_SOURCE;
    const virtual = pairs.otherAddress(words, from);
    if (
      this.connections.lookup(virtual, destination, ports, protocol) === NOT_FOUND &&
      table.findService(words, configuration, destination, ports & 0xffff, protocol) === NOT_FOUND
    ) {
      return reasons.NOT_OURS;
    }
    context.realSource = context.source;
    context.source = virtual;
    replaceSource(view, networkOffset, packetEnd, virtual);
    return reasons.CONTINUE;
  }

  /** Takes that back, for an answer to the control host over the network that it came from. @hot */
  speakAsReal(context: PacketContext): void {
    context.source = context.realSource;
    context.realSource = 0;
    replaceSource(this.memory.view, context.networkOffset, context.packetEnd, context.source);
  }

  /** Whether no host may send from there; headers have been read, so that groups and loopback are out. @hot */
  private isForged(context: PacketContext, configuration: number): boolean {
    const { words } = this.memory;
    const { ingress, source } = context;
    if (!isHost(source) || table.isOwnAddress(words, configuration, source) !== 0) return true;
    return isBroadcastOn(words, configuration, ingress, source);
  }

  /** Not to our own addresses: what services and the switch itself have no use for ends as others' does. @hot */
  private mayBeSentTo(destination: number, configuration: number): boolean {
    if (!isHost(destination)) return false;
    return table.isOwnAddress(this.memory.words, configuration, destination) === 0;
  }

  /** Everything is asked before anything is changed: errors tell of the packet as it came. @hot */
  private translate(
    context: PacketContext,
    from: number,
    to: number,
    otherwise: number,
    configuration: number,
    nowMs: number,
  ): number {
    const { view, words } = this.memory;
    const { networkOffset, packetEnd } = context;
    const towards = to === 0 ? context.destination : pairs.otherAddress(words, to);
    if (!isTranslatable(view, networkOffset, packetEnd)) return reasons.FRAGMENT;
    if (!this.isAboutOurs(context, from, to)) return reasons.ICMP_IGNORED;
    if (this.wayOut.route(context, towards) < 0) {
      return this.errors.noWay(context, configuration, context.reason, nowMs);
    }
    if (isBroadcastOn(words, configuration, context.egress, towards)) return otherwise;
    if (!isForwardable(view, networkOffset, false)) {
      return this.errors.timeExceeded(context, configuration, nowMs);
    }
    if (!this.wayOut.fits(context)) {
      return this.errors.fragmentationNeeded(context, configuration, nowMs);
    }
    if (this.wayOut.find(context, towards, nowMs) === NO_WAY_OUT) {
      return this.errors.noWay(context, configuration, context.reason, nowMs);
    }
    const { source, destination } = context;
    const virtual = from === 0 ? source : pairs.otherAddress(words, from);
    this.replace(context, virtual, towards);
    lowerTimeToLive(view, networkOffset);
    const counted = to === 0 ? reasons.FROM_CONTROL_INTERFACE : reasons.TO_CONTROL_INTERFACE;
    const reason = this.wayOut.send(context, counted, nowMs);
    if (reason !== reasons.NEIGHBOR_UNRESOLVED) return reason;
    this.replace(context, source, destination);
    return this.errors.noWay(context, configuration, reason, nowMs);
  }

  /** Of a packet to one's own virtual address, or another one of the control host's, both change. @hot */
  private replace(context: PacketContext, source: number, destination: number): void {
    const { view } = this.memory;
    const { networkOffset, packetEnd } = context;
    if (ipv4.source(view, networkOffset) !== source) {
      replaceSource(view, networkOffset, packetEnd, source);
    }
    if (ipv4.destination(view, networkOffset) !== destination) {
      replaceDestination(view, networkOffset, packetEnd, destination);
    }
  }

  /**
   * Of an ICMP error: whether it is about a packet of the conversation that it claims to belong to. That it
   * can be read, and is undamaged, icmp-stage.ts has seen; but for redirects, which pass no router. @hot
   */
  private isAboutOurs(context: PacketContext, from: number, to: number): boolean {
    const { view } = this.memory;
    const { networkOffset, source, destination } = context;
    if (context.protocol !== ipv4.PROTOCOL_ICMP || ipv4.isFragment(view, networkOffset)) {
      return true;
    }
    const message = (networkOffset + ipv4.headerLength(view, networkOffset)) | 0;
    const type = icmpv4.type(view, message);
    if (!icmpv4.isError(type)) return true;
    if (type === icmpv4.TYPE_REDIRECT) return false;
    const embedded = icmpv4.embeddedPacketOffset(message);
    if (to !== 0 && ipv4.source(view, embedded) !== destination) return false;
    return from === 0 || ipv4.destination(view, embedded) === source;
  }
}
