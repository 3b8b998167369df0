// Step 208 of Fig. 6: turns a received TCP segment, in place, into the reset that answers it, and
// sends it back where it came from. RFC 9293 §3.10.7.1: if the segment has an ACK, the reset takes its
// sequence number from there and carries no ACK; otherwise it has sequence number zero and
// acknowledges everything the segment occupied. A reset is never answered.
// Invariant: the answer is never longer than what it answers is allowed to be on Ethernet (60 bytes).

import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import type { PacketContext } from './packet-context.ts';

const ETHERNET_FRAME_MIN = 60;
const TIME_TO_LIVE = 64;
const FLAGS_DONT_FRAGMENT = 0x4000;

/**
 * Writes the reset over the segment. The caller has seen that the segment bears no RST.
 * @returns the length of the frame to send. @hot
 */
export function writeReset(view: DataView, context: PacketContext): number {
  const network = context.networkOffset;
  const received = context.transportOffset;
  const flags = context.tcpFlags;
  const occupied = tcp.segmentLength(view, received, context.packetEnd);
  const sequence = tcp.sequenceNumber(view, received);
  const acknowledgment = tcp.acknowledgmentNumber(view, received);
  swapMacAddresses(view, context.offset);
  ipv4.setVersionAndHeaderLength(view, network, ipv4.HEADER_SIZE);
  ipv4.setTypeOfService(view, network, 0);
  ipv4.setTotalLength(view, network, ipv4.HEADER_SIZE + tcp.HEADER_SIZE);
  ipv4.setIdentification(view, network, 0);
  view.setUint16(network + 6, FLAGS_DONT_FRAGMENT);
  ipv4.setTimeToLive(view, network, TIME_TO_LIVE);
  ipv4.setProtocol(view, network, ipv4.PROTOCOL_TCP);
  ipv4.setSource(view, network, context.destination);
  ipv4.setDestination(view, network, context.source);
  ipv4.setHeaderChecksum(view, network, ipv4.computeHeaderChecksum(view, network));

  const transport = (network + ipv4.HEADER_SIZE) | 0;
  tcp.setSourcePort(view, transport, context.ports & 0xffff);
  tcp.setDestinationPort(view, transport, context.ports >>> 16);
  if ((flags & tcp.FLAG_ACK) !== 0) {
    tcp.setSequenceNumber(view, transport, acknowledgment);
    tcp.setAcknowledgmentNumber(view, transport, 0);
    tcp.setFlags(view, transport, tcp.FLAG_RST);
  } else {
    tcp.setSequenceNumber(view, transport, 0);
    tcp.setAcknowledgmentNumber(view, transport, (sequence + occupied) | 0);
    tcp.setFlags(view, transport, tcp.FLAG_RST | tcp.FLAG_ACK);
  }
  tcp.setDataOffset(view, transport, tcp.HEADER_SIZE);
  tcp.setWindow(view, transport, 0);
  tcp.setUrgentPointer(view, transport, 0);
  tcp.setChecksum(view, transport, 0);
  const pseudo = checksum.pseudoHeaderSum(
    context.destination,
    context.source,
    ipv4.PROTOCOL_TCP,
    tcp.HEADER_SIZE,
  );
  const folded = checksum.sum(view, transport, tcp.HEADER_SIZE, pseudo);
  tcp.setChecksum(view, transport, checksum.complement(folded));
  return padFrame(view, context.offset, (transport + tcp.HEADER_SIZE - context.offset) | 0);
}

/** Sends the frame back to the host it came from. @hot */
export function swapMacAddresses(view: DataView, offset: number): void {
  const high = ethernet.sourceHigh(view, offset);
  const low = ethernet.sourceLow(view, offset);
  ethernet.setSource(
    view,
    offset,
    ethernet.destinationHigh(view, offset),
    ethernet.destinationLow(view, offset),
  );
  ethernet.setDestination(view, offset, high, low);
}

/** Fills a short frame with zeros up to Ethernet's least length. @returns its length. @hot */
function padFrame(view: DataView, offset: number, length: number): number {
  for (let i = length; i < ETHERNET_FRAME_MIN; i++) view.setUint8(offset + i, 0);
  return length < ETHERNET_FRAME_MIN ? ETHERNET_FRAME_MIN : length;
}
