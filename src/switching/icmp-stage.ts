// ICMP in the data plane (RFC 792): answers echo requests to our addresses and services, and carries
// errors about packets of known connections to the end that must hear of them, with the packet that
// they embed translated back to what that end has sent (RFC 5508 §4.2). Without this, path MTU
// discovery would be blind behind a service address.
// Invariants: nothing is answered or translated whose ICMP checksum is wrong; an error never changes
// the state of a connection (RFC 5927); we never send an error of our own about an error.

import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import {
  type ConnectionTable,
  DIRECTION_TO_SERVER,
  NOT_FOUND,
} from '../tables/connection-table.ts';
import * as checksum from '../wire/checksum.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { writeEchoReply } from './echo.ts';
import type { PacketContext } from './packet-context.ts';
import { RateLimiter } from './rate-limiter.ts';
import { isForwardable } from './read-headers.ts';
import * as reasons from './reasons.ts';
import type { Transmitter } from './transmitter.ts';
import { NO_WAY_OUT, type WayOut } from './way-out.ts';

/** Bytes of the embedded transport header that every error carries (RFC 792). */
const EMBEDDED_TRANSPORT_SIZE = 8;
/** Where an echo request has its identifier. */
const ECHO_IDENTIFIER = 4;
/** Bytes of an embedded TCP header up to the end of its checksum. */
const EMBEDDED_TCP_CHECKSUM_END = 18;

export class IcmpStage {
  private readonly memory: MainMemory;
  private readonly connections: ConnectionTable;
  private readonly transmitter: Transmitter;
  private readonly wayOut: WayOut;
  readonly echoLimiter = new RateLimiter();

  constructor(
    memory: MainMemory,
    connections: ConnectionTable,
    transmitter: Transmitter,
    wayOut: WayOut,
  ) {
    this.memory = memory;
    this.connections = connections;
    this.transmitter = transmitter;
    this.wayOut = wayOut;
  }

  /** A complete ICMP message whose headers are in the context. @returns a reason. @hot */
  process(context: PacketContext, configuration: number, nowMs: number): number {
    const { view, words } = this.memory;
    const message = context.transportOffset;
    const length = (context.packetEnd - message) | 0;
    const type = icmpv4.type(view, message);
    if (type === icmpv4.TYPE_ECHO) {
      const own = table.findOwnAddress(words, configuration, context.destination);
      if (own === table.NOT_FOUND || table.isControlAddress(words, own)) return reasons.NOT_OURS;
      if (!this.isIntact(context, length)) return reasons.BAD_TRANSPORT_CHECKSUM;
      if (!this.echoLimiter.allow(nowMs)) return reasons.ECHO_RATE_LIMITED;
      writeEchoReply(view, context);
      const refused = this.transmitter.send(
        context.ingress,
        context.offset,
        context.lengthToSend(),
      );
      if (refused !== reasons.CONTINUE) return refused;
      context.hasLeft = 1;
      return reasons.ECHO_ANSWERED;
    }
    // A redirect comes from a router to a host on its own network (RFC 1122 §3.2.2.2): we are in between.
    if (!icmpv4.isError(type) || type === icmpv4.TYPE_REDIRECT) return reasons.ICMP_IGNORED;
    if (!this.isIntact(context, length)) return reasons.BAD_TRANSPORT_CHECKSUM;
    return this.forwardError(context, nowMs);
  }

  /** @hot */
  private isIntact(context: PacketContext, length: number): boolean {
    const { view } = this.memory;
    const { networkOffset, transportOffset } = context;
    const protocol = ipv4.PROTOCOL_ICMP;
    return checksum.transportChecksumIsValid(
      view,
      networkOffset,
      transportOffset,
      length,
      protocol,
    );
  }

  /**
   * The embedded packet is one that we sent on. Its reverse is looked up: the error goes the way that
   * answers to that packet would go. @hot
   */
  private forwardError(context: PacketContext, nowMs: number): number {
    const { view } = this.memory;
    const embedded = icmpv4.embeddedPacketOffset(context.transportOffset);
    if (!this.isEmbeddedReadable(embedded, context.packetEnd)) return reasons.BAD_ICMP;
    const protocol = ipv4.protocol(view, embedded);
    const transport = (embedded + ipv4.headerLength(view, embedded)) | 0;
    const isEcho = protocol === ipv4.PROTOCOL_ICMP;
    if (!isEcho && protocol !== ipv4.PROTOCOL_TCP && protocol !== ipv4.PROTOCOL_UDP) {
      return reasons.ICMP_IGNORED;
    }
    if (isEcho && icmpv4.type(view, transport) !== icmpv4.TYPE_ECHO) return reasons.ICMP_IGNORED;
    // Of an echo request of a translated source the identifier, as source-nat.ts has recorded it.
    const ports = isEcho ? icmpv4.identifier(view, transport) << 16 : view.getInt32(transport);
    const source = ipv4.source(view, embedded);
    const destination = ipv4.destination(view, embedded);
    const reversed = (ports << 16) | (ports >>> 16);
    const entry = this.connections.lookup(destination, source, reversed, protocol);
    if (entry === NOT_FOUND || context.destination !== source) return reasons.ICMP_IGNORED;
    const isDirect = this.connections.forwarding(entry) === table.FORWARDING_DSR;
    if (!isForwardable(view, context.networkOffset, isDirect)) return reasons.TTL_EXPIRED;
    context.record = entry >> 1;
    context.direction = entry & 1;
    let towards = this.connections.newAddress(entry);
    if (!isDirect) {
      this.translate(context, embedded, transport, protocol, entry);
      towards = ipv4.destination(view, context.networkOffset);
    }
    if (this.wayOut.find(context, towards, nowMs) === NO_WAY_OUT) return context.reason;
    return this.wayOut.send(context, reasons.ICMP_ERROR, nowMs);
  }

  /** An IPv4 header, no later fragment, and the first eight bytes behind it. @hot */
  private isEmbeddedReadable(embedded: number, end: number): boolean {
    const { view } = this.memory;
    if (end - embedded < ipv4.HEADER_SIZE) return false;
    const headerLength = ipv4.headerLength(view, embedded);
    if (ipv4.version(view, embedded) !== 4 || headerLength < ipv4.HEADER_SIZE) return false;
    if (ipv4.fragmentOffset(view, embedded) !== 0) return false;
    return end - embedded >= headerLength + EMBEDDED_TRANSPORT_SIZE;
  }

  /** Puts the other side's address and port into the outer and the embedded packet. @hot */
  private translate(
    context: PacketContext,
    embedded: number,
    transport: number,
    protocol: number,
    entry: number,
  ): void {
    const { view } = this.memory;
    const address = this.connections.newAddress(entry);
    const port = this.connections.newPort(entry);
    const network = context.networkOffset;
    if (context.direction === DIRECTION_TO_SERVER) {
      // About a packet of the server's: it knows itself by its own address and port.
      this.replaceEmbedded(embedded, transport, protocol, false, address, port, context.packetEnd);
      ipv4.setDestination(view, network, address);
    } else {
      const server = ipv4.destination(view, embedded);
      this.replaceEmbedded(embedded, transport, protocol, true, address, port, context.packetEnd);
      // A server that complains does so in the service's name; a router in its own.
      if (ipv4.source(view, network) === server) ipv4.setSource(view, network, address);
    }
    ipv4.setTimeToLive(view, network, (ipv4.timeToLive(view, network) - 1) | 0);
    ipv4.setHeaderChecksum(view, network, 0);
    ipv4.setHeaderChecksum(view, network, ipv4.computeHeaderChecksum(view, network));
    const message = context.transportOffset;
    icmpv4.setChecksum(view, message, 0);
    const sum = checksum.sum(view, message, (context.packetEnd - message) | 0, 0);
    icmpv4.setChecksum(view, message, checksum.complement(sum));
  }

  /** @hot */
  private replaceEmbedded(
    embedded: number,
    transport: number,
    protocol: number,
    isDestination: boolean,
    address: number,
    port: number,
    end: number,
  ): void {
    const { view } = this.memory;
    const isEcho = protocol === ipv4.PROTOCOL_ICMP;
    const source = isEcho ? (transport + ECHO_IDENTIFIER) | 0 : transport;
    const portOffset = isDestination ? (transport + 2) | 0 : source;
    const oldAddress = isDestination
      ? ipv4.destination(view, embedded)
      : ipv4.source(view, embedded);
    const oldPort = view.getUint16(portOffset);
    if (isDestination) ipv4.setDestination(view, embedded, address);
    else ipv4.setSource(view, embedded, address);
    view.setUint16(portOffset, port);
    const header = ipv4.headerChecksum(view, embedded);
    ipv4.setHeaderChecksum(view, embedded, checksum.update32(header, oldAddress, address));
    const ports = checksum.difference16(oldPort, port);
    if (isEcho) {
      const sum = icmpv4.checksum(view, transport);
      icmpv4.setChecksum(view, transport, checksum.apply(sum, ports));
      return;
    }
    const addresses = checksum.difference32(oldAddress, address);
    const difference = checksum.addDifferences(addresses, ports);
    if (protocol === ipv4.PROTOCOL_TCP) {
      // TCP's checksum lies beyond the eight bytes that an error is sure to carry.
      if (end - transport < EMBEDDED_TCP_CHECKSUM_END) return;
      tcp.setChecksum(view, transport, checksum.apply(tcp.checksum(view, transport), difference));
      return;
    }
    udp.setChecksum(view, transport, checksum.applyUdp(udp.checksum(view, transport), difference));
  }
}
