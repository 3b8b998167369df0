// What no service, no connection and not the control host has claimed, forwarded as a router does (RFC 1812),
// from one interface to another, where the configuration says so for the two of them. Without translation
// nothing is remembered: each packet is judged by itself, whatever its protocol, fragments as well. With it,
// a connection is recorded (source-nat.ts). Without a pair for them packets end as they did.
//
// weir does not fragment: what is longer than the next link takes is answered with "fragmentation needed",
// whether it may be fragmented or not, and redirects are never sent.
// Invariant: nothing is forwarded to a group, a broadcast or an address of ours, or in the name of one.

import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import * as forwarding from '../tables/forwarding-table.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import type { PacketContext } from './packet-context.ts';
import { isForwardable } from './read-headers.ts';
import * as reasons from './reasons.ts';
import { lowerTimeToLive } from './rewrite.ts';
import type { RouterErrors } from './router-errors.ts';
import type { SourceNat } from './source-nat.ts';
import { NO_WAY_OUT, type WayOut } from './way-out.ts';

export class ForwardingStage {
  private readonly memory: MainMemory;
  private readonly wayOut: WayOut;
  private readonly errors: RouterErrors;
  private readonly sourceNat: SourceNat;

  constructor(memory: MainMemory, wayOut: WayOut, errors: RouterErrors, sourceNat: SourceNat) {
    this.memory = memory;
    this.wayOut = wayOut;
    this.errors = errors;
    this.sourceNat = sourceNat;
  }

  /**
   * A sound packet that nobody has claimed.
   * @param otherwise the reason under which it ends when it is not forwarded: NOT_OURS; of ICMP also
   *   ICMP_IGNORED; FRAGMENT or UNKNOWN_PROTOCOL when only its IP header has been read
   * @returns a reason or WAITING. @hot
   */
  claim(context: PacketContext, otherwise: number, configuration: number, nowMs: number): number {
    const { view, words } = this.memory;
    const { ingress, destination } = context;
    if (!forwarding.isForwardedFrom(words, configuration, ingress)) return otherwise;
    if (!isHost(destination)) return otherwise;
    if (table.isOwnAddress(words, configuration, destination) !== 0) return otherwise;
    if (otherwise === reasons.FRAGMENT || otherwise === reasons.UNKNOWN_PROTOCOL) {
      context.protocol = ipv4.protocol(view, context.networkOffset);
      context.ports = 0;
    } else if (this.isOfBackend(context, configuration)) return otherwise;
    if (this.isForged(context, configuration)) return reasons.BAD_IP_SOURCE;
    if (this.wayOut.route(context, destination) < 0) {
      return this.errors.noWay(context, configuration, context.reason, nowMs);
    }
    const rule = forwarding.forwardingRule(words, configuration, ingress, context.egress);
    if (rule === 0) return otherwise;
    if (forwarding.isBroadcastOn(words, configuration, context.egress, destination))
      return otherwise;
    if (!isForwardable(view, context.networkOffset, false)) {
      return this.errors.timeExceeded(context, configuration, nowMs);
    }
    if (!this.wayOut.fits(context)) {
      return this.errors.fragmentationNeeded(context, configuration, nowMs);
    }
    if (forwarding.translatedSource(words, rule) !== 0) {
      return this.translate(context, rule, otherwise, configuration, nowMs);
    }
    return this.send(context, configuration, nowMs);
  }

  /** Whether no host may send from there; headers have been read, so that groups and loopback are out. @hot */
  private isForged(context: PacketContext, configuration: number): boolean {
    const { words } = this.memory;
    const { ingress, source } = context;
    if (!isHost(source) || table.isOwnAddress(words, configuration, source) !== 0) return true;
    return forwarding.isBroadcastOn(words, configuration, ingress, source);
  }

  /** A backend's segment that has lost its connection: refused, as if there were no forwarding. @hot */
  private isOfBackend(context: PacketContext, configuration: number): boolean {
    const { words } = this.memory;
    const { source, ports, protocol } = context;
    if (protocol === ipv4.PROTOCOL_ICMP) return false;
    return table.isBackendEndpoint(words, configuration, source, ports >>> 16, protocol) !== 0;
  }

  /** @hot */
  private translate(
    context: PacketContext,
    rule: number,
    otherwise: number,
    configuration: number,
    nowMs: number,
  ): number {
    const { protocol, tcpFlags } = context;
    if (otherwise === reasons.FRAGMENT || otherwise === reasons.UNKNOWN_PROTOCOL) return otherwise;
    if (protocol === ipv4.PROTOCOL_ICMP) {
      // `ports` has the identifier already; all other messages speak of nothing that is known.
      const type = icmpv4.type(this.memory.view, context.transportOffset);
      if (type !== icmpv4.TYPE_ECHO) return otherwise;
    } else if (
      protocol === ipv4.PROTOCOL_TCP &&
      (tcpFlags & (tcp.FLAG_SYN | tcp.FLAG_ACK)) !== tcp.FLAG_SYN
    ) {
      return reasons.UNKNOWN_CONNECTION;
    }
    return this.sourceNat.begin(context, rule, configuration, nowMs);
  }

  /** @hot */
  private send(context: PacketContext, configuration: number, nowMs: number): number {
    const { view } = this.memory;
    const { networkOffset, destination } = context;
    if (this.wayOut.find(context, destination, nowMs) === NO_WAY_OUT) {
      return this.errors.noWay(context, configuration, context.reason, nowMs);
    }
    lowerTimeToLive(view, networkOffset);
    const reason = this.wayOut.send(context, reasons.FORWARDED, nowMs);
    if (reason !== reasons.NEIGHBOR_UNRESOLVED) return reason;
    return this.errors.noWay(context, configuration, reason, nowMs);
  }
}

/** Not 0/8, 127/8, 169.254/16, a group or a broadcast: what may pass a router. @hot */
export function isHost(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224 && address >>> 16 !== 0xa9fe;
}
