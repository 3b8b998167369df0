// Writes the ICMP error (RFC 792) that answers an IPv4 packet, before that packet in its frame: the new
// headers go into the headroom, and the head of the packet becomes what the error embeds, where it lies.
// As much is embedded as fits into the 576 bytes that every host takes (RFC 1812 §4.3.2.3).
// Invariant: at least 42 bytes of the frame lie before the packet; the headroom sees to that.

import { assert } from '../base/assert.ts';
import { FRAME_HEADROOM } from '../memory/layout.ts';
import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import type { PacketContext } from './packet-context.ts';

const ERROR_SIZE_MAX = 576;
const TIME_TO_LIVE = 64;
/** Precedence "internetwork control" (RFC 1812 §4.3.2.5). */
const TYPE_OF_SERVICE = 0xc0;
/** What is put before the packet: Ethernet, IPv4 and ICMP header. */
const HEADERS_SIZE = ethernet.HEADER_SIZE + ipv4.HEADER_SIZE + icmpv4.HEADER_SIZE;

assert(FRAME_HEADROOM >= HEADERS_SIZE, 'the headroom is too small for the headers of an error');

/** Whether an error of ours may be about this packet (RFC 1122 §3.2.2). @hot */
export function mayBeAnswered(view: DataView, context: PacketContext): boolean {
  const { networkOffset } = context;
  if (ipv4.fragmentOffset(view, networkOffset) !== 0) return false;
  if (ipv4.protocol(view, networkOffset) !== ipv4.PROTOCOL_ICMP) return true;
  const message = (networkOffset + ipv4.headerLength(view, networkOffset)) | 0;
  return message < context.packetEnd && !icmpv4.isError(icmpv4.type(view, message));
}

/**
 * Writes an error to the packet's sender. The context is the error's afterwards; its MAC addresses are
 * left out.
 * @param rest the second word of the ICMP header: of "fragmentation needed" the next hop's MTU
 * @param source the address in whose name it is said, as int32
 * @returns the length of the frame to send, from `context.offset`. @hot
 */
export function writeIcmpError(
  view: DataView,
  context: PacketContext,
  type: number,
  code: number,
  rest: number,
  source: number,
): number {
  const embedded = context.networkOffset;
  const most = ERROR_SIZE_MAX - ipv4.HEADER_SIZE - icmpv4.HEADER_SIZE;
  const packetLength = (context.packetEnd - embedded) | 0;
  const length = packetLength > most ? most : packetLength;
  const frame = (embedded - HEADERS_SIZE) | 0;
  const network = (frame + ethernet.HEADER_SIZE) | 0;
  const message = (network + ipv4.HEADER_SIZE) | 0;
  ethernet.setType(view, frame, ethernet.TYPE_IPV4);
  ipv4.setVersionAndHeaderLength(view, network, ipv4.HEADER_SIZE);
  ipv4.setTypeOfService(view, network, TYPE_OF_SERVICE);
  ipv4.setTotalLength(view, network, (ipv4.HEADER_SIZE + icmpv4.HEADER_SIZE + length) | 0);
  ipv4.setIdentification(view, network, 0);
  view.setUint16(network + 6, 0);
  ipv4.setTimeToLive(view, network, TIME_TO_LIVE);
  ipv4.setProtocol(view, network, ipv4.PROTOCOL_ICMP);
  ipv4.setSource(view, network, source);
  ipv4.setDestination(view, network, context.source);
  ipv4.setHeaderChecksum(view, network, 0);
  ipv4.setHeaderChecksum(view, network, ipv4.computeHeaderChecksum(view, network));
  icmpv4.setType(view, message, type);
  icmpv4.setCode(view, message, code);
  icmpv4.setChecksum(view, message, 0);
  view.setInt32(message + 4, rest);
  const sum = checksum.sum(view, message, (icmpv4.HEADER_SIZE + length) | 0, 0);
  icmpv4.setChecksum(view, message, checksum.complement(sum));
  context.offset = frame;
  context.networkOffset = network;
  context.packetEnd = (embedded + length) | 0;
  return (context.packetEnd - frame) | 0;
}
