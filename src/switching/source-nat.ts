// Connections that begin behind us and whose source is translated to an address of ours (RFC 3022). In the
// connection table the sides are the other way round: who answers is the client, our address and port are
// the service, who began is the server; so that everything that knows connections carries these too, the
// short way included. Echo requests have their identifier in the place of ports (RFC 5508 §3).
//
// A port is kept where it is free and in the range; else the search begins at the hash of the inner address
// and port, so that one socket has mostly one outer port, whomever it talks to (RFC 4787 §4.1).
// Invariant: no two records have the same outer port towards one end point.

import { finish, mix } from '../base/hash.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import {
  type ConnectionTable,
  INDEX_FULL,
  NOT_FOUND,
  PUBLISHED,
  RACE,
  TUPLE_IN_USE,
} from '../tables/connection-table.ts';
import * as forwarding from '../tables/forwarding-table.ts';
import * as checksum from '../wire/checksum.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import type { ConnectionPackets } from './connection-packets.ts';
import type { PacketContext } from './packet-context.ts';
import * as reasons from './reasons.ts';
import type { WayOut } from './way-out.ts';

/** Ports tried for one connection. */
const ATTEMPTS = 64;
/** No record is free. */
const NOT_RESERVED = -100;
const DIRECTION_OUTWARDS = 1;

export class SourceNat {
  private readonly memory: MainMemory;
  private readonly connections: ConnectionTable;
  private readonly packets: ConnectionPackets;
  private readonly wayOut: WayOut;

  constructor(
    memory: MainMemory,
    connections: ConnectionTable,
    packets: ConnectionPackets,
    wayOut: WayOut,
  ) {
    this.memory = memory;
    this.connections = connections;
    this.packets = packets;
    this.wayOut = wayOut;
  }

  /**
   * The first packet of a connection: TCP, UDP, or an echo request with `context.ports` set to its
   * identifier << 16. Records it and sends the packet on. @returns a reason or WAITING. @hot
   */
  begin(context: PacketContext, rule: number, configuration: number, nowMs: number): number {
    const entry = this.record(context, rule, configuration, nowMs);
    if (entry < 0) return entry === NOT_FOUND ? reasons.SOURCE_NAT_FULL : reasons.INSERT_RACE;
    return this.forward(context, entry, reasons.SOURCE_NAT, nowMs);
  }

  /**
   * An echo request or reply of a recorded one.
   * @returns CONTINUE when it is none, else a reason or WAITING. @hot
   */
  forwardEcho(context: PacketContext, nowMs: number): number {
    if (context.protocol !== ipv4.PROTOCOL_ICMP) return reasons.CONTINUE;
    const { view } = this.memory;
    const type = icmpv4.type(view, context.transportOffset);
    if (type !== icmpv4.TYPE_ECHO && type !== icmpv4.TYPE_ECHO_REPLY) return reasons.CONTINUE;
    const identifier = icmpv4.identifier(view, context.transportOffset);
    context.ports = type === icmpv4.TYPE_ECHO ? identifier << 16 : identifier;
    const { source, destination, ports, protocol } = context;
    const entry = this.connections.lookup(source, destination, ports, protocol);
    if (entry === NOT_FOUND) return reasons.CONTINUE;
    return this.forward(context, entry, reasons.CONNECTION, nowMs);
  }

  /** @hot */
  private forward(context: PacketContext, entry: number, reason: number, nowMs: number): number {
    context.record = entry >> 1;
    context.direction = entry & 1;
    context.backend = this.connections.backend(entry);
    if (context.protocol !== ipv4.PROTOCOL_ICMP) {
      return this.packets.forward(context, entry, reason, nowMs);
    }
    const refused = this.packets.refuseRouted(context, entry, nowMs);
    if (refused !== reasons.CONTINUE) return refused;
    const length = (context.packetEnd - context.networkOffset) | 0;
    this.connections.updateUdp(entry, nowMs, length);
    this.rewriteEcho(context, entry);
    return this.wayOut.send(context, reason, nowMs);
  }

  /** As `rewrite` does for TCP and UDP; the message's checksum does not cover the addresses. @hot */
  private rewriteEcho(context: PacketContext, entry: number): void {
    const { view } = this.memory;
    const { networkOffset, transportOffset } = context;
    const { connections } = this;
    const address = connections.newAddress(entry);
    if ((entry & 1) === DIRECTION_OUTWARDS) ipv4.setSource(view, networkOffset, address);
    else ipv4.setDestination(view, networkOffset, address);
    const before = ipv4.timeToLiveAndProtocol(view, networkOffset);
    ipv4.setTimeToLive(view, networkOffset, (ipv4.timeToLive(view, networkOffset) - 1) | 0);
    const after = ipv4.timeToLiveAndProtocol(view, networkOffset);
    const header = checksum.apply(
      ipv4.headerChecksum(view, networkOffset),
      connections.addressDifference(entry),
    );
    ipv4.setHeaderChecksum(view, networkOffset, checksum.update16(header, before, after));
    icmpv4.setIdentifier(view, transportOffset, connections.newPort(entry));
    const sum = icmpv4.checksum(view, transportOffset);
    const difference = connections.transportDifference(entry);
    icmpv4.setChecksum(view, transportOffset, checksum.apply(sum, difference));
  }

  /** @returns the entry of the packet's direction; NOT_FOUND: nothing is free; else a race. @hot */
  private record(
    context: PacketContext,
    rule: number,
    configuration: number,
    nowMs: number,
  ): number {
    const { words } = this.memory;
    const { source, destination, ports, protocol } = context;
    const outer = forwarding.translatedSource(words, rule);
    const first = forwarding.firstTranslatedPort(words, rule);
    const count = forwarding.translatedPortCount(words, rule);
    const inner = ports >>> 16;
    const hash = finish(mix(mix(protocol, source), inner)) >>> 1;
    const isKept = inner >= first && inner < first + count;
    let offset = isKept ? (inner - first) | 0 : hash % count;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const port = (first + offset) | 0;
      offset = attempt === 0 && isKept ? hash % count : (offset + 1) % count;
      const reply = (ports << 16) | port;
      if (this.connections.lookup(destination, outer, reply, protocol) !== NOT_FOUND) continue;
      if (table.findService(words, configuration, outer, port, protocol) !== table.NOT_FOUND) {
        continue;
      }
      const result = this.publish(context, configuration, outer, port, nowMs);
      if (result === PUBLISHED) return (context.record << 1) | DIRECTION_OUTWARDS;
      if (result === INDEX_FULL || result === NOT_RESERVED) return NOT_FOUND;
      if (result === RACE) return RACE;
      if (result === TUPLE_IN_USE) {
        // Another processor was faster with the same connection.
        const entry = this.connections.lookup(source, destination, ports, protocol);
        return entry === NOT_FOUND ? RACE : entry;
      }
    }
    return NOT_FOUND;
  }

  /** @returns as `ConnectionTable.publish`, or NOT_RESERVED. @hot */
  private publish(
    context: PacketContext,
    configuration: number,
    outer: number,
    port: number,
    nowMs: number,
  ): number {
    const { connections } = this;
    const { words } = this.memory;
    const { source, destination, ports, protocol } = context;
    const record = connections.reserve();
    if (record === NOT_FOUND) return NOT_RESERVED;
    const inner = ports >>> 16;
    const service = forwarding.sourceNatService(words, configuration);
    const backend = forwarding.sourceNatBackend(words, configuration);
    connections.setOwner(record, table.FORWARDING_SOURCE_NAT, service, backend);
    connections.setClientKey(record, destination, outer, (ports << 16) | port, protocol);
    connections.setServerKey(record, source, destination, ports, protocol);
    const outwards = checksum.difference32(source, outer);
    const portOutwards = checksum.difference16(inner, port);
    const inwards = checksum.difference32(outer, source);
    const portInwards = checksum.difference16(port, inner);
    const isEcho = protocol === ipv4.PROTOCOL_ICMP;
    const sumOutwards = isEcho ? portOutwards : checksum.addDifferences(outwards, portOutwards);
    const sumInwards = isEcho ? portInwards : checksum.addDifferences(inwards, portInwards);
    const entry = record << 1;
    connections.setRewrite(entry | DIRECTION_OUTWARDS, outer, port, outwards, sumOutwards);
    connections.setRewrite(entry, source, inner, inwards, sumInwards);
    context.record = record;
    return connections.publish(record, nowMs);
  }
}
