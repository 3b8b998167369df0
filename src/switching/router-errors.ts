// What a router owes the sender of a packet that it cannot send on (RFC 1812 §4.3): an ICMP error, sent back
// where the packet came from, so many a second. Only for what is forwarded without a service; redirects are
// never sent. Invariant: no error is answered, nor a fragment but the first, nor what went to a group
// (RFC 1122 §3.2.2); then, and beyond the limit, the packet is dropped for the reason that it had.

import { INTERFACE_MTU } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import { mayBeAnswered, writeIcmpError } from './icmp-error.ts';
import type { PacketContext } from './packet-context.ts';
import { RateLimiter } from './rate-limiter.ts';
import * as reasons from './reasons.ts';
import type { Transmitter } from './transmitter.ts';

const CODE_NETWORK_UNREACHABLE = 0;
/** RFC 1812 §5.2.7.1: communication administratively prohibited. */
const CODE_PROHIBITED = 13;

export class RouterErrors {
  readonly limiter = new RateLimiter();
  private readonly memory: MainMemory;
  private readonly transmitter: Transmitter;
  private readonly macHighOf: Int32Array;
  private readonly macLowOf: Int32Array;

  constructor(
    memory: MainMemory,
    transmitter: Transmitter,
    macHighOf: Int32Array,
    macLowOf: Int32Array,
  ) {
    this.memory = memory;
    this.transmitter = transmitter;
    this.macHighOf = macHighOf;
    this.macLowOf = macLowOf;
  }

  /** Its time to live has run out. @returns a reason. @hot */
  timeExceeded(context: PacketContext, configuration: number, nowMs: number): number {
    const refused = reasons.TTL_EXPIRED;
    const type = icmpv4.TYPE_TIME_EXCEEDED;
    if (!this.tell(context, configuration, type, 0, 0, nowMs)) return refused;
    return reasons.TIME_EXCEEDED_ANSWERED;
  }

  /** It is longer than `context.egress` takes. @returns a reason. @hot */
  fragmentationNeeded(context: PacketContext, configuration: number, nowMs: number): number {
    const { words } = this.memory;
    const mtu = words[this.memory.interfaceWord(context.egress, INTERFACE_MTU)];
    const code = icmpv4.CODE_FRAGMENTATION_NEEDED;
    return this.unreachable(context, configuration, code, mtu, reasons.FRAME_TOO_LONG, nowMs);
  }

  /** There is no way to its destination, for `reason`. @returns a reason. @hot */
  noWay(context: PacketContext, configuration: number, reason: number, nowMs: number): number {
    const code = codeOf(reason);
    return code < 0 ? reason : this.unreachable(context, configuration, code, 0, reason, nowMs);
  }

  /** @hot */
  private unreachable(
    context: PacketContext,
    configuration: number,
    code: number,
    rest: number,
    otherwise: number,
    nowMs: number,
  ): number {
    const type = icmpv4.TYPE_DESTINATION_UNREACHABLE;
    const isTold = this.tell(context, configuration, type, code, rest, nowMs);
    return isTold ? reasons.FORWARDING_REFUSED : otherwise;
  }

  /** Whether the error has left, in the frame of the packet. @hot */
  private tell(
    context: PacketContext,
    configuration: number,
    type: number,
    code: number,
    rest: number,
    nowMs: number,
  ): boolean {
    const { view, words } = this.memory;
    const { ingress, offset } = context;
    if (ethernet.isGroup(view, offset) || !mayBeAnswered(view, context)) return false;
    const source = table.sourceAddressFor(words, configuration, ingress, context.source);
    if (source === 0 || !this.limiter.allow(nowMs)) return false;
    const high = ethernet.sourceHigh(view, offset);
    const low = ethernet.sourceLow(view, offset);
    const length = writeIcmpError(view, context, type, code, rest, source);
    ethernet.setDestination(view, context.offset, high, low);
    ethernet.setSource(view, context.offset, this.macHighOf[ingress], this.macLowOf[ingress]);
    if (this.transmitter.send(ingress, context.offset, length) !== reasons.CONTINUE) return false;
    context.hasLeft = 1;
    return true;
  }
}

/** Code of "destination unreachable"; -1: nothing is said. @hot */
function codeOf(reason: number): number {
  if (reason === reasons.NO_ROUTE) return CODE_NETWORK_UNREACHABLE;
  if (reason === reasons.ROUTE_PROHIBITED) return CODE_PROHIBITED;
  if (reason === reasons.ROUTE_UNREACHABLE || reason === reasons.NEIGHBOR_UNRESOLVED) {
    return icmpv4.CODE_HOST_UNREACHABLE;
  }
  return -1;
}
