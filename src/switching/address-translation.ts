// Puts one address of a packet in the place of another, without state: all checksums that cover it follow by
// their difference (RFC 1624), so that the payload is not read and damage stays visible. Of an ICMP error,
// the packet that it embeds is translated as well (RFC 5508 §4.2): who has sent that packet knows it by the
// other address.
// Fragments are no hindrance: what of a transport header depends on addresses stands in the first one.
// Invariant: what bears no whole checksum field is not written beyond its end.

import * as checksum from '../wire/checksum.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';

/** Bytes of a TCP and of a UDP header up to the end of the checksum. */
const TCP_CHECKSUM_END = 18;
const UDP_CHECKSUM_END = 8;

/** Gives the packet between `network` and `end` another source. @hot */
export function replaceSource(view: DataView, network: number, end: number, address: number): void {
  const old = ipv4.source(view, network);
  ipv4.setSource(view, network, address);
  follow(view, network, end, checksum.difference32(old, address));
  if (!isError(view, network, end)) return;
  // What the sender complains of was sent to it.
  const embedded = icmpv4.embeddedPacketOffset(transportOf(view, network));
  if (ipv4.destination(view, embedded) !== old) return;
  ipv4.setDestination(view, embedded, address);
  completeError(view, network, end, checksum.difference32(old, address));
}

/** Gives it another destination. @hot */
export function replaceDestination(
  view: DataView,
  network: number,
  end: number,
  address: number,
): void {
  const old = ipv4.destination(view, network);
  ipv4.setDestination(view, network, address);
  follow(view, network, end, checksum.difference32(old, address));
  if (!isError(view, network, end)) return;
  // What is complained of was sent by the receiver.
  const embedded = icmpv4.embeddedPacketOffset(transportOf(view, network));
  if (ipv4.source(view, embedded) !== old) return;
  ipv4.setSource(view, embedded, address);
  completeError(view, network, end, checksum.difference32(old, address));
}

/**
 * Whether a packet can be translated by itself. A checksum field must lie in one fragment, and in the first:
 * fragments that are made to hide it or to write over it serve attacks only (RFC 1858). An ICMP error that
 * comes in fragments has not been verified. @hot
 */
export function isTranslatable(view: DataView, network: number, end: number): boolean {
  if (!ipv4.isFragment(view, network)) return true;
  const transport = transportOf(view, network);
  const protocol = ipv4.protocol(view, network);
  const at = ipv4.fragmentOffset(view, network);
  if (protocol === ipv4.PROTOCOL_ICMP) {
    return at !== 0 || (end > transport && !icmpv4.isError(icmpv4.type(view, transport)));
  }
  let needed = 0;
  if (protocol === ipv4.PROTOCOL_TCP) needed = TCP_CHECKSUM_END;
  else if (protocol === ipv4.PROTOCOL_UDP) needed = UDP_CHECKSUM_END;
  return at === 0 ? end - transport >= needed : at >= needed;
}

/** Whether it is a whole ICMP error with the addresses of an IPv4 packet in it. @hot */
function isError(view: DataView, network: number, end: number): boolean {
  if (ipv4.protocol(view, network) !== ipv4.PROTOCOL_ICMP) return false;
  if (ipv4.isFragment(view, network)) return false;
  const message = transportOf(view, network);
  const embedded = icmpv4.embeddedPacketOffset(message);
  if (end - embedded < ipv4.HEADER_SIZE || !icmpv4.isError(icmpv4.type(view, message))) {
    return false;
  }
  if (ipv4.version(view, embedded) !== 4) return false;
  return ipv4.headerLength(view, embedded) >= ipv4.HEADER_SIZE;
}

/** The embedded packet's checksums and then the message's, which was right and is made anew. @hot */
function completeError(view: DataView, network: number, end: number, difference: number): void {
  const message = transportOf(view, network);
  follow(view, icmpv4.embeddedPacketOffset(message), end, difference);
  icmpv4.setChecksum(view, message, 0);
  const sum = checksum.sum(view, message, (end - message) | 0, 0);
  icmpv4.setChecksum(view, message, checksum.complement(sum));
}

/** An address has changed by `difference`: so do the checksums that cover it, where they are there. @hot */
function follow(view: DataView, network: number, end: number, difference: number): void {
  const header = ipv4.headerChecksum(view, network);
  ipv4.setHeaderChecksum(view, network, checksum.apply(header, difference));
  if (ipv4.fragmentOffset(view, network) !== 0) return;
  const transport = transportOf(view, network);
  const protocol = ipv4.protocol(view, network);
  if (protocol === ipv4.PROTOCOL_TCP) {
    if (end - transport < TCP_CHECKSUM_END) return;
    tcp.setChecksum(view, transport, checksum.apply(tcp.checksum(view, transport), difference));
  } else if (protocol === ipv4.PROTOCOL_UDP) {
    if (end - transport < UDP_CHECKSUM_END) return;
    udp.setChecksum(view, transport, checksum.applyUdp(udp.checksum(view, transport), difference));
  }
}

/** @hot */
function transportOf(view: DataView, network: number): number {
  return (network + ipv4.headerLength(view, network)) | 0;
}
