// Steps 216 and 220 of Fig. 6: rewrites a packet as its connection's record says (C4). Towards the
// server the destination changes, towards the client the source; with direct server return nothing
// above the MAC address does. The checksums follow by one precomputed difference each (RFC 1624), so
// that the payload is not read; a checksum that was wrong stays wrong, for the receiver to see.

import { type ConnectionTable, DIRECTION_TO_SERVER } from '../tables/connection-table.ts';
import * as checksum from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';

/** What taking one off the time to live adds to the sum of the IP header: minus 0x0100. */
const TIME_TO_LIVE_DIFFERENCE = 0xfeff;

/** Takes one off the time to live, which is not 0. @hot */
export function lowerTimeToLive(view: DataView, network: number): void {
  const word = view.getInt32(network + 8);
  const sum = checksum.apply(word & 0xffff, TIME_TO_LIVE_DIFFERENCE);
  view.setInt32(network + 8, ((word - 0x01000000) & 0xffff0000) | sum);
}

/**
 * Rewrites addresses, port, time to live and checksums of a packet of a NAT connection. `entry` is its
 * direction of the connection's record; its time to live is not 0. @hot
 */
export function rewrite(
  view: DataView,
  connections: ConnectionTable,
  entry: number,
  network: number,
  transport: number,
): void {
  // Time to live, protocol, checksum.
  const word = view.getInt32(network + 8);
  const difference = connections.transportDifference(entry);
  if (((word >>> 16) & 0xff) === ipv4.PROTOCOL_TCP) {
    const before = tcp.checksum(view, transport);
    tcp.setChecksum(view, transport, checksum.apply(before, difference));
  } else {
    const before = udp.checksum(view, transport);
    udp.setChecksum(view, transport, checksum.applyUdp(before, difference));
  }
  const address = connections.newAddress(entry);
  const port = connections.newPort(entry);
  // Source and destination port stand at the same offsets in TCP and UDP.
  if ((entry & 1) === DIRECTION_TO_SERVER) {
    ipv4.setDestination(view, network, address);
    tcp.setDestinationPort(view, transport, port);
  } else {
    ipv4.setSource(view, network, address);
    tcp.setSourcePort(view, transport, port);
  }
  const header = connections.addressDifference(entry) + TIME_TO_LIVE_DIFFERENCE;
  const after = checksum.apply(word & 0xffff, header);
  view.setInt32(network + 8, ((word - 0x01000000) & 0xffff0000) | after);
}
