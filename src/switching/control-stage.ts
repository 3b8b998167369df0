// The control host's packets (C1, step 204 of Fig. 6 and Fig. 8). What comes in for a control address and
// belongs to no service and no connection is punted: it goes to the host's own programs as it is, TCP,
// UDP, ICMP, fragments and every other protocol alike. What comes from there and is for nobody here is
// routed like any packet of ours; where that cannot be, the host is told by ICMP, as by a router.
// Invariants: only what has a control address as its source is routed (RFC 1812 §5.3.8), and nobody on a
// network may speak in the name of an address of ours; its time to live is not taken down, because it
// begins here.

import { CONTROL_INTERFACE, INTERFACE_MTU } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import { mayBeAnswered, writeIcmpError } from './icmp-error.ts';
import type { PacketContext } from './packet-context.ts';
import { RateLimiter } from './rate-limiter.ts';
import * as reasons from './reasons.ts';
import { NO_WAY_OUT, type WayOut } from './way-out.ts';

const CODE_NETWORK_UNREACHABLE = 0;

export class ControlStage {
  private readonly memory: MainMemory;
  private readonly wayOut: WayOut;
  readonly limiter = new RateLimiter();

  constructor(memory: MainMemory, wayOut: WayOut) {
    this.memory = memory;
    this.wayOut = wayOut;
  }

  /** Whether a packet may have the source that it has, where it came in. @hot */
  mayBeFrom(context: PacketContext, configuration: number): boolean {
    const { words } = this.memory;
    const entry = table.findOwnAddress(words, configuration, context.source);
    if (context.ingress !== CONTROL_INTERFACE) return entry === table.NOT_FOUND;
    return entry !== table.NOT_FOUND && table.isControlAddress(words, entry);
  }

  /**
   * A sound packet that no service, no connection and nothing else of the switch has claimed.
   * @param otherwise the reason under which it ends if it does not concern the control host either
   * @returns a reason or WAITING. @hot
   */
  claim(context: PacketContext, otherwise: number, configuration: number, nowMs: number): number {
    const { words } = this.memory;
    const entry = table.findOwnAddress(words, configuration, context.destination);
    if (context.ingress === CONTROL_INTERFACE) {
      if (entry !== table.NOT_FOUND) return otherwise;
      if (!this.mayBeFrom(context, configuration)) return reasons.BAD_IP_SOURCE;
      return this.route(context, nowMs);
    }
    if (entry === table.NOT_FOUND || !table.isControlAddress(words, entry)) return otherwise;
    if (!this.mayBeFrom(context, configuration)) return reasons.BAD_IP_SOURCE;
    return this.wayOut.sendToControl(context, reasons.TO_CONTROL);
  }

  /**
   * A packet that the control host may have whatever its source is, if it is for it and from a network.
   * @param otherwise the reason under which it ends if it is not. @hot
   */
  give(context: PacketContext, configuration: number, otherwise: number): number {
    const { words } = this.memory;
    if (context.ingress === CONTROL_INTERFACE) return otherwise;
    const entry = table.findOwnAddress(words, configuration, context.destination);
    if (entry === table.NOT_FOUND || !table.isControlAddress(words, entry)) return otherwise;
    return this.wayOut.sendToControl(context, reasons.TO_CONTROL);
  }

  /** Step 224 for a packet of the host's own. @hot */
  private route(context: PacketContext, nowMs: number): number {
    const { destination } = context;
    if (isGroup(destination)) return reasons.NOT_OURS;
    const way = this.wayOut.find(context, destination, nowMs);
    const reason =
      way === NO_WAY_OUT ? context.reason : this.wayOut.send(context, reasons.FROM_CONTROL, nowMs);
    if (context.hasLeft !== 0 || reason === reasons.WAITING) return reason;
    return this.answer(context, reason, nowMs);
  }

  /**
   * Says why a packet could not be sent, if that can be said. In the name of the address that was asked
   * for: an interface's own may be the host's, which believes nothing that comes from itself. @hot
   */
  private answer(context: PacketContext, reason: number, nowMs: number): number {
    const { view, words } = this.memory;
    let code = CODE_NETWORK_UNREACHABLE;
    let mtu = 0;
    if (reason === reasons.FRAME_TOO_LONG) {
      code = icmpv4.CODE_FRAGMENTATION_NEEDED;
      mtu = words[this.memory.interfaceWord(context.egress, INTERFACE_MTU)];
    } else if (reason === reasons.NEIGHBOR_UNRESOLVED) {
      code = icmpv4.CODE_HOST_UNREACHABLE;
    } else if (!isRefusedByRoute(reason)) {
      return reason;
    }
    if (!mayBeAnswered(view, context) || !this.limiter.allow(nowMs)) return reason;
    const type = icmpv4.TYPE_DESTINATION_UNREACHABLE;
    writeIcmpError(view, context, type, code, mtu, context.destination);
    return this.wayOut.sendToControl(context, reasons.UNREACHABLE_ANSWERED);
  }
}

/** A blackhole says nothing: that is its purpose. @hot */
function isRefusedByRoute(reason: number): boolean {
  return (
    reason === reasons.NO_ROUTE ||
    reason === reasons.ROUTE_UNREACHABLE ||
    reason === reasons.ROUTE_PROHIBITED
  );
}

/** 224.0.0.0/4 and 240.0.0.0/4, broadcasts: no host's address. @hot */
function isGroup(address: number): boolean {
  return address >>> 28 >= 14;
}

/** Faults of a header that are none to a host that is not asked to switch the packet. @hot */
export function isHostsToJudge(fault: number): boolean {
  return fault === reasons.FRAGMENT || fault === reasons.UNKNOWN_PROTOCOL;
}

/** Of ICMP: what the switch itself has no use for. @hot */
export function isNotOurIcmp(reason: number): boolean {
  return reason === reasons.NOT_OURS || reason === reasons.ICMP_IGNORED;
}
