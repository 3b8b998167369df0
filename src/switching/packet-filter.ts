// The packet filter: Fig. 6. Decides what becomes of one packet and does it, as a function of main
// memory, the frame and the time. In the order of the figure, but for one thing: the connection is
// looked up (212) before the service (206), because nearly every packet belongs to a known connection
// and its record says all there is to know. So a connection outlives its service, under the default
// timeouts (docs/decisions/0004); what begins then is answered as the figure says.
//
//   204  headers read and checked                    read-headers.ts
//   212  known connection: rewrite as recorded (220), forward (224)
//   206  no valid service: reset, or silent discard for UDP (208)
//   210  new connection: choose a backend (214), record it (218), rewrite (216), forward (224)
//   208  neither: reset or discard
//
// Invariant: every packet is counted under exactly one reason, when it is decided.

import { mix } from '../base/hash.ts';
import type { Counters } from '../memory/counters.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import { CONTROL_INTERFACE, HEADER_HASH_SEED } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import {
  type ConnectionTable,
  DIRECTION_TO_CLIENT,
  DIRECTION_TO_SERVER,
  NOT_FOUND,
} from '../tables/connection-table.ts';
import { icmpErrorsPerSecond } from '../tables/forwarding-table.ts';
import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import * as vlan from '../wire/vlan.ts';
import type { ArpStage } from './arp-stage.ts';
import { ConnectionPackets } from './connection-packets.ts';
import { isHostsToJudge, isNotOurIcmp } from './control-stage.ts';
import type { FloodGuard } from './flood-guard.ts';
import { IcmpStage } from './icmp-stage.ts';
import type { KnownPackets } from './known-packets.ts';
import { BEGUN, NewConnection } from './new-connection.ts';
import type { PacketContext } from './packet-context.ts';
import { RateLimiter } from './rate-limiter.ts';
import { isForwardable, readHeaders } from './read-headers.ts';
import * as reasons from './reasons.ts';
import { writeReset } from './reset.ts';
import { RouterErrors } from './router-errors.ts';
import type { Transmitter } from './transmitter.ts';
import { UnclaimedStage } from './unclaimed-stage.ts';
import type { WayOut } from './way-out.ts';

/** What a filter works with; all of one switching processor. */
export interface FilterParts {
  readonly memory: MainMemory;
  readonly processor: number;
  readonly context: PacketContext;
  readonly connections: ConnectionTable;
  readonly guard: FloodGuard;
  readonly counters: Counters;
  readonly pool: FramePool;
  readonly known: KnownPackets;
  readonly transmitter: Transmitter;
  readonly wayOut: WayOut;
  readonly arp: ArpStage;
  readonly macHighOf: Int32Array;
  readonly macLowOf: Int32Array;
}

export class PacketFilter {
  private readonly memory: MainMemory;
  private readonly context: PacketContext;
  private readonly connections: ConnectionTable;
  private readonly guard: FloodGuard;
  private readonly counters: Counters;
  private readonly transmitter: Transmitter;
  private readonly arp: ArpStage;
  private readonly icmp: IcmpStage;
  private readonly unclaimed: UnclaimedStage;
  private readonly packets: ConnectionPackets;
  private readonly errors: RouterErrors;
  private readonly newConnection: NewConnection;
  /** The short way, for most of them. */
  readonly known: KnownPackets;
  private readonly pool: FramePool;
  private readonly resetLimiter = new RateLimiter();
  private readonly macHighOf: Int32Array;
  private readonly macLowOf: Int32Array;
  private configuration = 0;

  constructor(parts: FilterParts) {
    const { memory, processor, connections, transmitter, wayOut } = parts;
    this.memory = memory;
    this.context = parts.context;
    this.connections = connections;
    this.guard = parts.guard;
    this.counters = parts.counters;
    this.pool = parts.pool;
    this.known = parts.known;
    this.transmitter = transmitter;
    this.arp = parts.arp;
    this.macHighOf = parts.macHighOf;
    this.macLowOf = parts.macLowOf;
    // Of one switch no two processors may draw the same; of two switches, nobody may foretell it.
    const seed = mix(memory.header(HEADER_HASH_SEED), processor + 1);
    this.newConnection = new NewConnection(memory, processor, connections, seed);
    this.icmp = new IcmpStage(memory, connections, transmitter, wayOut);
    const errors = new RouterErrors(memory, transmitter, parts.macHighOf, parts.macLowOf);
    this.errors = errors;
    this.packets = new ConnectionPackets(memory, connections, wayOut, errors);
    this.unclaimed = new UnclaimedStage(memory, connections, this.packets, wayOut, errors);
  }

  /** Other tables are active now: word index of the configuration table, generation of the routes. */
  useTables(configuration: number, routingGeneration: number, nowMs: number): void {
    const { words } = this.memory;
    this.configuration = configuration;
    this.known.useRoutes(routingGeneration);
    this.resetLimiter.setRate(table.resetsPerSecond(words, configuration), nowMs);
    this.packets.useTables(configuration, routingGeneration);
    this.unclaimed.control.limiter.setRate(table.resetsPerSecond(words, configuration), nowMs);
    this.errors.limiter.setRate(icmpErrorsPerSecond(words, configuration), nowMs);
    this.icmp.echoLimiter.setRate(table.echoRepliesPerSecond(words, configuration), nowMs);
  }

  /**
   * A burst of frames that came in on `ingress`. Those that do not leave are given back to the pool. @hot
   */
  processBurst(
    ingress: number,
    offsets: Int32Array,
    lengths: Int32Array,
    count: number,
    nowMs: number,
  ): void {
    const { known, pool } = this;
    let forwarded = 0;
    let bytes = 0;
    known.begin(ingress, offsets, lengths, count);
    for (let i = 0; i < count; i = (i + 1) | 0) {
      const offset = offsets[i];
      const length = lengths[i];
      bytes = (bytes + length) | 0;
      const reason = known.forward(i, offset, length, nowMs);
      if (reason === reasons.CONNECTION) {
        forwarded = (forwarded + 1) | 0;
      } else if (reason !== reasons.CONTINUE) {
        this.counters.count(reason);
        pool.give(offset);
      } else if (this.process(ingress, offset, length, nowMs) === 0) {
        pool.give(offset);
      }
    }
    this.counters.received(ingress, count, bytes);
    this.counters.countSeveral(reasons.CONNECTION, forwarded);
  }

  /**
   * One frame that came in on `ingress`.
   * @returns 1: the frame has left; 0: it is still the caller's, who gives it back. @hot
   */
  process(ingress: number, offset: number, length: number, nowMs: number): number {
    const { context } = this;
    context.begin(offset, length, ingress);
    const reason = this.decide(context, nowMs);
    context.reason = reason;
    if (reason >= 0) this.counters.count(reason);
    return context.hasLeft;
  }

  /** Ethernet: what kind of packet it is and whether it is for us. @returns a reason or WAITING. @hot */
  private decide(context: PacketContext, nowMs: number): number {
    const { view } = this.memory;
    const { offset, ingress } = context;
    const end = (offset + context.length) | 0;
    if (!ethernet.isComplete(view, offset, end)) return reasons.TRUNCATED;
    const payload = vlan.payloadOffset(view, offset, end);
    if (payload < 0) return reasons.TRUNCATED;
    // The control host is on no VLAN: by a tag its programs would choose where the frame goes.
    if (ingress === CONTROL_INTERFACE && payload - offset !== ethernet.HEADER_SIZE) {
      return reasons.UNKNOWN_ETHERTYPE;
    }
    context.networkOffset = payload;
    const isToUs =
      ethernet.destinationLow(view, offset) === this.macLowOf[ingress] &&
      ethernet.destinationHigh(view, offset) === this.macHighOf[ingress];
    const type = vlan.payloadType(view, payload);
    if (type === ethernet.TYPE_IPV4) {
      return isToUs ? this.decideIpv4(context, nowMs) : reasons.NOT_FOR_US;
    }
    if (type !== ethernet.TYPE_ARP) return reasons.UNKNOWN_ETHERTYPE;
    if (!isToUs && !ethernet.isGroup(view, offset)) return reasons.NOT_FOR_US;
    return this.arp.process(context, this.configuration, nowMs);
  }

  /** @hot */
  private decideIpv4(context: PacketContext, nowMs: number): number {
    const { configuration, unclaimed } = this;
    const fault = readHeaders(this.memory.view, context); // 204
    if (fault !== reasons.CONTINUE) {
      return isHostsToJudge(fault) ? unclaimed.claim(context, fault, configuration, nowMs) : fault;
    }
    if (context.protocol !== ipv4.PROTOCOL_ICMP) return this.decideByConnection(context, nowMs);
    const reason = this.icmp.process(context, configuration, nowMs);
    return isNotOurIcmp(reason) ? unclaimed.claim(context, reason, configuration, nowMs) : reason;
  }

  /** @hot */
  private decideByConnection(context: PacketContext, nowMs: number): number {
    const { source, destination, ports, protocol } = context;
    const entry = this.connections.lookup(source, destination, ports, protocol); // 212
    if (entry !== NOT_FOUND) return this.decideKnown(context, entry, nowMs);
    return this.decideUnknown(context, nowMs);
  }

  /** A packet of a known connection, unless it is a SYN that begins the next one of its name. @hot */
  private decideKnown(context: PacketContext, entry: number, nowMs: number): number {
    context.record = entry >> 1;
    context.direction = entry & 1;
    const isFirst = (context.tcpFlags & (tcp.FLAG_SYN | tcp.FLAG_ACK)) === tcp.FLAG_SYN;
    if (isFirst && context.direction === this.beginningSide(entry)) {
      if (this.connections.isReusableBySyn(context.record) && this.mayBegin(context)) {
        this.connections.remove(context.record);
        return this.decideUnknown(context, nowMs);
      }
    }
    context.service = this.connections.service(entry);
    context.backend = this.connections.backend(entry);
    return this.packets.forward(context, entry, reasons.CONNECTION, nowMs);
  }

  /** The direction of whoever began the connection. @hot */
  private beginningSide(entry: number): number {
    const isOutwards = this.connections.forwarding(entry) === table.FORWARDING_SOURCE_NAT;
    return isOutwards ? DIRECTION_TO_CLIENT : DIRECTION_TO_SERVER;
  }

  /** A damaged segment must not end an old connection, nor one that cannot go on. @hot */
  private mayBegin(context: PacketContext): boolean {
    const { view } = this.memory;
    const isDirect = this.connections.forwarding(context.record << 1) === table.FORWARDING_DSR;
    if (!isForwardable(view, context.networkOffset, isDirect)) return false;
    return this.isTransportIntact(context);
  }

  /** A packet of no connection, unless it is one of the control host's under its other name. @hot */
  private decideUnknown(context: PacketContext, nowMs: number): number {
    const { configuration } = this;
    if (context.realSource === 0) {
      // Nobody else may speak in our name (RFC 1812 §5.3.8): the answers would come to ourselves.
      if (!this.unclaimed.control.mayBeFrom(context, configuration)) {
        if (!this.isDirectAnswer(context)) return reasons.BAD_IP_SOURCE;
        return this.unclaimed.give(context, reasons.BAD_IP_SOURCE, configuration, nowMs);
      }
      const reason = this.unclaimed.controlInterface.speakAsVirtual(context, configuration);
      if (reason === reasons.CONTINUE) return this.decideByConnection(context, nowMs);
      if (reason !== reasons.NOT_OURS) return reason;
    }
    return this.decideByService(context, nowMs);
  }

  /** Begins a connection with a service (210), or is refused (208). @hot */
  private decideByService(context: PacketContext, nowMs: number): number {
    const { words } = this.memory;
    const { configuration } = this;
    const { destination, ports, protocol, tcpFlags } = context;
    const port = ports & 0xffff;
    context.service = table.findService(words, configuration, destination, port, protocol); // 206
    if (context.service === table.NOT_FOUND) return this.refuseUnclaimed(context, nowMs);
    const isTcp = protocol === ipv4.PROTOCOL_TCP;
    if (isTcp && (tcpFlags & (tcp.FLAG_SYN | tcp.FLAG_ACK)) !== tcp.FLAG_SYN) {
      // Adopted at the rate of resets: one is what a backend answers that knows nothing of it.
      if (this.isAdopted(context) && this.resetLimiter.allow(nowMs)) {
        return this.begin(context, nowMs);
      }
      return this.refuse(context, reasons.RESET_UNKNOWN_CONNECTION, nowMs);
    }
    if (isTcp && !this.isAdmitted(context)) return reasons.FLOOD_GUARD;
    return this.begin(context, nowMs);
  }

  /** Whether it answers, with direct server return, a connection that somebody has here. @hot */
  private isDirectAnswer(context: PacketContext): boolean {
    const { source, destination, ports, protocol } = context;
    const reversed = (ports << 16) | (ports >>> 16);
    const entry = this.connections.lookup(destination, source, reversed, protocol);
    if (entry === NOT_FOUND) return false;
    return this.connections.forwarding(entry) === table.FORWARDING_DSR;
  }

  /**
   * Whether a segment from the midst of a connection begins one here. Not with direct server return: a
   * server that knows nothing of it answers with a reset, which must pass here to end it again. @hot
   */
  private isAdopted(context: PacketContext): boolean {
    const { words } = this.memory;
    const { service, tcpFlags } = context;
    const flags = table.serviceFlags(words, this.configuration, service);
    if ((flags & table.SERVICE_ADOPTS_CONNECTIONS) === 0) return false;
    const others = tcp.FLAG_SYN | tcp.FLAG_FIN | tcp.FLAG_RST;
    if ((tcpFlags & (others | tcp.FLAG_ACK)) !== tcp.FLAG_ACK) return false;
    return table.serviceForwarding(words, this.configuration, service) !== table.FORWARDING_DSR;
  }

  /** Before anything that costs: a flood of first SYNs stops here. @hot */
  private isAdmitted(context: PacketContext): boolean {
    const sequence = tcp.sequenceNumber(this.memory.view, context.transportOffset);
    return this.guard.admits(context.source, context.destination, context.ports, sequence);
  }

  /** The first packet of a connection (210 … 218). @hot */
  private begin(context: PacketContext, nowMs: number): number {
    const { view, words } = this.memory;
    if (!this.isTransportIntact(context)) return reasons.BAD_TRANSPORT_CHECKSUM;
    const forwarding = table.serviceForwarding(words, this.configuration, context.service);
    const isDirect = forwarding === table.FORWARDING_DSR;
    if (!isForwardable(view, context.networkOffset, isDirect)) return reasons.TTL_EXPIRED;
    const refused = this.newConnection.begin(context, this.configuration, nowMs);
    if (refused === BEGUN) {
      context.direction = DIRECTION_TO_SERVER;
      return this.packets.forward(context, context.record << 1, reasons.NEW_CONNECTION, nowMs);
    }
    if (context.protocol === ipv4.PROTOCOL_TCP) {
      if (refused === reasons.TABLE_FULL) {
        return this.refuseOrDrop(context, reasons.RESET_TABLE_FULL, refused, nowMs);
      }
      if (refused === reasons.NO_BACKEND) {
        return this.refuseOrDrop(context, reasons.RESET_NO_BACKEND, refused, nowMs);
      }
      if (refused === reasons.SERVICE_LIMIT || refused === reasons.BACKEND_LIMIT) {
        return this.refuseOrDrop(context, reasons.RESET_LIMIT, refused, nowMs);
      }
    }
    return refused;
  }

  /** A packet for no service: ours, a server's, or a stray. @hot */
  private refuseUnclaimed(context: PacketContext, nowMs: number): number {
    const { words } = this.memory;
    const { configuration } = this;
    const { source, destination, ports, protocol } = context;
    const claimed = this.unclaimed.claim(context, reasons.NOT_OURS, configuration, nowMs);
    if (claimed !== reasons.NOT_OURS) return claimed;
    if (table.isOwnAddress(words, configuration, destination) !== 0) {
      return this.refuse(context, reasons.RESET_INVALID_SERVICE, nowMs);
    }
    const port = ports >>> 16;
    if (table.isBackendEndpoint(words, configuration, source, port, protocol) !== 0) {
      return this.refuse(context, reasons.RESET_UNKNOWN_CONNECTION, nowMs);
    }
    return reasons.NOT_OURS;
  }

  /** Step 208: a reset for TCP, silent discard for UDP. @hot */
  private refuse(context: PacketContext, reset: number, nowMs: number): number {
    if (context.protocol === ipv4.PROTOCOL_TCP) {
      return this.refuseOrDrop(context, reset, reasons.RESET_RATE_LIMITED, nowMs);
    }
    return reset === reasons.RESET_INVALID_SERVICE
      ? reasons.INVALID_SERVICE
      : reasons.UNKNOWN_CONNECTION;
  }

  /** Answers with a reset while there may be more of them, else drops for `otherwise`. @hot */
  private refuseOrDrop(
    context: PacketContext,
    reset: number,
    otherwise: number,
    nowMs: number,
  ): number {
    if ((context.tcpFlags & tcp.FLAG_RST) !== 0) return reasons.RESET_RECEIVED;
    if (!this.isTransportIntact(context)) return reasons.BAD_TRANSPORT_CHECKSUM;
    if (!this.resetLimiter.allow(nowMs)) return otherwise;
    if (context.realSource !== 0) this.unclaimed.controlInterface.speakAsReal(context);
    const length = writeReset(this.memory.view, context);
    const refused = this.transmitter.send(context.ingress, context.offset, length);
    if (refused !== reasons.CONTINUE) return refused;
    context.hasLeft = 1;
    return reset;
  }

  /** @hot */
  private isTransportIntact(context: PacketContext): boolean {
    const { view } = this.memory;
    const { networkOffset, transportOffset, packetEnd, protocol } = context;
    // A datagram may end before its packet does; what follows it is not summed.
    const length =
      protocol === ipv4.PROTOCOL_UDP
        ? udp.length(view, transportOffset)
        : (packetEnd - transportOffset) | 0;
    return checksum.transportChecksumIsValid(
      view,
      networkOffset,
      transportOffset,
      length,
      protocol,
    );
  }
}
