// A local sender (a container behind a veth, a virtual machine behind a tap) leaves the TCP or UDP
// checksum to hardware that is not there: the field holds only the sum of the pseudo-header. AF_PACKET
// marks such frames TP_STATUS_CSUMNOTREADY, and whoever sends them on must finish the work, or every
// receiver drops them. It is the classic fault of packet sockets, so it is done here, on receive,
// before anybody sees the frame: RFC 9293 §3.1, RFC 768, RFC 8200 §8.1.
// Invariant: bytes other than those two are never changed, and nothing outside the frame is read.

import { complement, fold, pseudoHeaderSum, sum } from '../../wire/checksum.ts';

const TYPE_IPV4 = 0x0800;
const TYPE_IPV6 = 0x86dd;
const TYPE_VLAN = 0x8100;
const TYPE_SERVICE_VLAN = 0x88a8;
const ETHERNET_SIZE = 14;
const TYPE_OFFSET = 12;
const VLAN_SIZE = 4;
const IPV4_SIZE = 20;
const IPV6_SIZE = 40;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const TCP_SIZE = 20;
const UDP_SIZE = 8;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
/** More than one fragment, or not the first: "more fragments" and the offset. */
const FRAGMENT_MASK = 0x3fff;

/** Writes the checksum of one segment or datagram. @hot */
function complete(
  view: DataView,
  transport: number,
  length: number,
  protocol: number,
  pseudoHeader: number,
): number {
  const isTcp = protocol === PROTOCOL_TCP;
  if (!isTcp && protocol !== PROTOCOL_UDP) return 0;
  if (length < (isTcp ? TCP_SIZE : UDP_SIZE)) return 0;
  const field = (transport + (isTcp ? TCP_CHECKSUM : UDP_CHECKSUM)) | 0;
  view.setUint16(field, 0);
  const checksum = complement(sum(view, transport, length, pseudoHeader));
  // To UDP, zero means "none"; a computed zero is sent in its other form.
  view.setUint16(field, checksum === 0 && !isTcp ? 0xffff : checksum);
  return 1;
}

/** @hot */
function completeIpv4(view: DataView, ip: number, left: number): number {
  if (left < IPV4_SIZE) return 0;
  const headerLength = (view.getUint8(ip) & 0x0f) << 2;
  const totalLength = view.getUint16(ip + 2);
  if (headerLength < IPV4_SIZE || totalLength > left || totalLength < headerLength) return 0;
  if ((view.getUint16(ip + 6) & FRAGMENT_MASK) !== 0) return 0;
  const protocol = view.getUint8(ip + 9);
  const length = (totalLength - headerLength) | 0;
  const source = view.getInt32(ip + 12);
  const destination = view.getInt32(ip + 16);
  const pseudoHeader = pseudoHeaderSum(source, destination, protocol, length);
  return complete(view, (ip + headerLength) | 0, length, protocol, pseudoHeader);
}

/** Extension headers are left alone: local senders do not put them before TCP. @hot */
function completeIpv6(view: DataView, ip: number, left: number): number {
  if (left < IPV6_SIZE) return 0;
  const length = view.getUint16(ip + 4);
  if (length > left - IPV6_SIZE) return 0;
  const protocol = view.getUint8(ip + 6);
  const addresses = sum(view, (ip + 8) | 0, 32, 0);
  return complete(
    view,
    (ip + IPV6_SIZE) | 0,
    length,
    protocol,
    fold(addresses + protocol + length),
  );
}

/**
 * Completes the TCP or UDP checksum of the Ethernet frame at `offset`.
 * @returns 1 when it was written; 0 when the frame is none that has such a checksum. @hot
 */
export function completeChecksum(view: DataView, offset: number, length: number): number {
  if (length < ETHERNET_SIZE) return 0;
  let typeAt = (offset + TYPE_OFFSET) | 0;
  let left = (length - ETHERNET_SIZE) | 0;
  let type = view.getUint16(typeAt);
  while ((type === TYPE_VLAN || type === TYPE_SERVICE_VLAN) && left >= VLAN_SIZE) {
    typeAt = (typeAt + VLAN_SIZE) | 0;
    left = (left - VLAN_SIZE) | 0;
    type = view.getUint16(typeAt);
  }
  if (type === TYPE_IPV4) return completeIpv4(view, (typeAt + 2) | 0, left);
  if (type === TYPE_IPV6) return completeIpv6(view, (typeAt + 2) | 0, left);
  return 0;
}
