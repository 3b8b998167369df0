// Steps 220 and 224 of Fig. 6 for one packet of a known connection: counts it, rewrites it as recorded, and
// sends it the way that the connection remembers, or finds that way anew. The long way; the short one for
// most packets is known-packets.ts, which does the same to them.
// Invariant: a packet whose time to live has run out changes nothing.

import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import { type ConnectionTable, DIRECTION_TO_SERVER } from '../tables/connection-table.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import type { PacketContext } from './packet-context.ts';
import { isForwardable } from './read-headers.ts';
import * as reasons from './reasons.ts';
import { rewrite } from './rewrite.ts';
import type { RouterErrors } from './router-errors.ts';
import { NO_WAY_OUT, type WayOut } from './way-out.ts';

export class ConnectionPackets {
  private readonly memory: MainMemory;
  private readonly connections: ConnectionTable;
  private readonly wayOut: WayOut;
  private readonly errors: RouterErrors;
  private configuration = 0;
  private routingGeneration = 0;

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

  /** Other tables are active now: word index of the configuration table, generation of the routes. */
  useTables(configuration: number, routingGeneration: number): void {
    this.configuration = configuration;
    this.routingGeneration = routingGeneration;
  }

  /**
   * Sends on a packet of a connection of TCP or UDP; `context.direction` is the entry's.
   * @param reason what it is counted under when it leaves
   * @returns a reason or WAITING. @hot
   */
  forward(context: PacketContext, entry: number, reason: number, nowMs: number): number {
    const { view } = this.memory;
    const { connections } = this;
    const { networkOffset, transportOffset } = context;
    const forwarding = connections.forwarding(entry);
    const isDirect = forwarding === table.FORWARDING_DSR;
    if (forwarding === table.FORWARDING_SOURCE_NAT) {
      const refused = this.refuseRouted(context, entry, nowMs);
      if (refused !== reasons.CONTINUE) return refused;
    } else if (!isForwardable(view, networkOffset, isDirect)) return reasons.TTL_EXPIRED;
    const length = (context.packetEnd - networkOffset) | 0;
    if (context.protocol === ipv4.PROTOCOL_TCP) {
      connections.updateTcp(entry, context.tcpFlags, nowMs, length);
      connections.acknowledge(entry, tcp.acknowledgmentNumber(view, transportOffset));
    } else {
      connections.updateUdp(entry, nowMs, length);
    }
    if (!isDirect) rewrite(view, connections, entry, networkOffset, transportOffset);
    if (!this.findWayOut(context, entry, isDirect, nowMs)) return context.reason;
    return this.wayOut.send(context, reason, nowMs);
  }

  /**
   * With a translated source we are a router, which owes answers; they must tell of the packet as it came.
   * @returns CONTINUE, or the reason why it goes no further. @hot
   */
  refuseRouted(context: PacketContext, entry: number, nowMs: number): number {
    const { errors, configuration } = this;
    if (!isForwardable(this.memory.view, context.networkOffset, false)) {
      return errors.timeExceeded(context, configuration, nowMs);
    }
    if (!this.findWayOut(context, entry, false, nowMs)) {
      return errors.noWay(context, configuration, context.reason, nowMs);
    }
    if (this.wayOut.fits(context)) return reasons.CONTINUE;
    return errors.fragmentationNeeded(context, configuration, nowMs);
  }

  /** The remembered way out while it is fresh, else a new one. False: `context.reason` says why. @hot */
  findWayOut(context: PacketContext, entry: number, isDirect: boolean, nowMs: number): boolean {
    const { connections, routingGeneration } = this;
    const remembered = connections.wayOut(entry);
    if (
      remembered !== NO_WAY_OUT &&
      connections.wayOutGeneration(entry) === routingGeneration &&
      this.wayOut.recall(context, remembered)
    ) {
      return true;
    }
    const isToServer = context.direction === DIRECTION_TO_SERVER;
    const towards = isToServer || isDirect ? connections.newAddress(entry) : context.destination;
    const found = this.wayOut.find(context, towards, nowMs);
    if (found === NO_WAY_OUT) return false;
    connections.setWayOut(entry, found, routingGeneration);
    return true;
  }
}
