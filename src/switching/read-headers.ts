// Step 204 of Fig. 6: reads the headers of an IPv4 packet into the context and checks them, once.
// After it returned CONTINUE no accessor of a wire module can leave the packet: the network header,
// the TCP, UDP or ICMP header and the lengths that they state lie within the frame.
// RFC 1812 §5.2.2 (what to check), RFC 791, RFC 9293 §3.1, RFC 768, RFC 792.

import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import type { PacketContext } from './packet-context.ts';
import * as reasons from './reasons.ts';

/** Smallest time to live that can be forwarded: one is taken away, and zero may not leave. */
const FORWARDABLE_TIME_TO_LIVE = 2;

/** Reads Ethernet's payload at `context.networkOffset`. @returns a reason, or CONTINUE. @hot */
export function readHeaders(view: DataView, context: PacketContext): number {
  const network = context.networkOffset;
  const frameEnd = (context.offset + context.length) | 0;
  const fault = ipv4.isComplete(view, network, frameEnd);
  if (fault !== ipv4.COMPLETE) return networkFault(fault);
  if (!ipv4.isHeaderChecksumValid(view, network)) return reasons.BAD_IP_CHECKSUM;
  const source = ipv4.source(view, network);
  if (isMartian(source)) return reasons.BAD_IP_SOURCE;
  context.source = source;
  context.destination = ipv4.destination(view, network);
  context.packetEnd = (network + ipv4.totalLength(view, network)) | 0;
  if (ipv4.isFragment(view, network)) return reasons.FRAGMENT;
  context.transportOffset = (network + ipv4.headerLength(view, network)) | 0;
  context.protocol = ipv4.protocol(view, network);
  return readTransport(view, context);
}

/** @hot */
function readTransport(view: DataView, context: PacketContext): number {
  const transport = context.transportOffset;
  const end = context.packetEnd;
  switch (context.protocol) {
    case ipv4.PROTOCOL_TCP:
      if (!tcp.isComplete(view, transport, end)) return reasons.BAD_TCP_HEADER;
      context.tcpFlags = tcp.flags(view, transport);
      if (!areFlagsSane(context.tcpFlags)) return reasons.BAD_TCP_FLAGS;
      break;
    case ipv4.PROTOCOL_UDP:
      if (!udp.isComplete(view, transport, end)) return reasons.BAD_UDP_LENGTH;
      context.tcpFlags = 0;
      break;
    case ipv4.PROTOCOL_ICMP:
      if (!icmpv4.isComplete(view, transport, end)) return reasons.BAD_ICMP;
      context.ports = 0;
      return reasons.CONTINUE;
    default:
      return reasons.UNKNOWN_PROTOCOL;
  }
  // TCP and UDP begin alike: source port, destination port.
  context.ports = view.getInt32(transport);
  return reasons.CONTINUE;
}

/**
 * Whether the packet may be sent on: its time to live is taken down by one (RFC 1812 §5.3.1), but not
 * when it is direct, that is sent on below the network layer. @hot
 */
export function isForwardable(view: DataView, networkOffset: number, isDirect: boolean): boolean {
  const least = isDirect ? 1 : FORWARDABLE_TIME_TO_LIVE;
  return ipv4.timeToLive(view, networkOffset) >= least;
}

/** @hot */
function networkFault(fault: number): number {
  switch (fault) {
    case ipv4.BAD_VERSION:
      return reasons.BAD_IP_VERSION;
    case ipv4.BAD_HEADER_LENGTH:
      return reasons.BAD_IP_HEADER_LENGTH;
    case ipv4.BAD_TOTAL_LENGTH:
      return reasons.BAD_IP_TOTAL_LENGTH;
    default:
      return reasons.TRUNCATED;
  }
}

/** Source addresses no host may send from: 0/8, 127/8, 224/4, 240/4 (RFC 1812 §5.3.7). @hot */
export function isMartian(address: number): boolean {
  const first = address >>> 24;
  return first === 0 || first === 127 || first >= 224;
}

/**
 * Whether a sender may combine these flags (RFC 9293): every segment but the first SYN and some
 * resets carries ACK; SYN goes with neither FIN nor RST; FIN and PSH never stand without ACK. @hot
 */
export function areFlagsSane(flags: number): boolean {
  if ((flags & tcp.FLAG_SYN) !== 0) return (flags & (tcp.FLAG_FIN | tcp.FLAG_RST)) === 0;
  return (flags & (tcp.FLAG_ACK | tcp.FLAG_RST)) !== 0;
}
