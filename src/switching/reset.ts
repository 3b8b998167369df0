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
/** Bytes of `writeOwnReset` up to the end of the IP packet. */
export const OWN_RESET_SIZE = ethernet.HEADER_SIZE + ipv4.HEADER_SIZE + tcp.HEADER_SIZE;
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
  const { source, destination, ports } = context;
  const hasAck = (flags & tcp.FLAG_ACK) !== 0;
  writeSegment(view, network, destination, source, (ports << 16) | (ports >>> 16));
  const transport = (network + ipv4.HEADER_SIZE) | 0;
  tcp.setSequenceNumber(view, transport, hasAck ? acknowledgment : 0);
  tcp.setAcknowledgmentNumber(view, transport, hasAck ? 0 : (sequence + occupied) | 0);
  tcp.setFlags(view, transport, hasAck ? tcp.FLAG_RST : tcp.FLAG_RST | tcp.FLAG_ACK);
  setChecksum(view, transport, destination, source);
  return padFrame(view, context.offset, (transport + tcp.HEADER_SIZE - context.offset) | 0);
}

/**
 * Writes a reset of our own accord into a fresh frame, its MAC addresses left out. The sequence number
 * must be the one that the receiver waits for (RFC 9293 §3.10.7.4): else it asks back, or ignores it.
 * @param ports source port << 16 | destination port
 * @returns the length of the frame to send. @hot
 */
export function writeOwnReset(
  view: DataView,
  frame: number,
  source: number,
  destination: number,
  ports: number,
  sequence: number,
): number {
  ethernet.setType(view, frame, ethernet.TYPE_IPV4);
  const network = (frame + ethernet.HEADER_SIZE) | 0;
  writeSegment(view, network, source, destination, ports);
  const transport = (network + ipv4.HEADER_SIZE) | 0;
  tcp.setSequenceNumber(view, transport, sequence);
  tcp.setAcknowledgmentNumber(view, transport, 0);
  tcp.setFlags(view, transport, tcp.FLAG_RST);
  setChecksum(view, transport, source, destination);
  return padFrame(view, frame, OWN_RESET_SIZE);
}

/** The IP header and, of TCP's, what all resets have alike. @hot */
function writeSegment(
  view: DataView,
  network: number,
  source: number,
  destination: number,
  ports: number,
): void {
  ipv4.setVersionAndHeaderLength(view, network, ipv4.HEADER_SIZE);
  ipv4.setTypeOfService(view, network, 0);
  ipv4.setTotalLength(view, network, ipv4.HEADER_SIZE + tcp.HEADER_SIZE);
  ipv4.setIdentification(view, network, 0);
  view.setUint16(network + 6, FLAGS_DONT_FRAGMENT);
  ipv4.setTimeToLive(view, network, TIME_TO_LIVE);
  ipv4.setProtocol(view, network, ipv4.PROTOCOL_TCP);
  ipv4.setSource(view, network, source);
  ipv4.setDestination(view, network, destination);
  ipv4.setHeaderChecksum(view, network, ipv4.computeHeaderChecksum(view, network));

  const transport = (network + ipv4.HEADER_SIZE) | 0;
  tcp.setSourcePort(view, transport, ports >>> 16);
  tcp.setDestinationPort(view, transport, ports & 0xffff);
  tcp.setDataOffset(view, transport, tcp.HEADER_SIZE);
  tcp.setWindow(view, transport, 0);
  tcp.setUrgentPointer(view, transport, 0);
}

/** @hot */
function setChecksum(view: DataView, transport: number, source: number, destination: number): void {
  tcp.setChecksum(view, transport, 0);
  const length = tcp.HEADER_SIZE;
  const pseudo = checksum.pseudoHeaderSum(source, destination, ipv4.PROTOCOL_TCP, length);
  const folded = checksum.sum(view, transport, tcp.HEADER_SIZE, pseudo);
  tcp.setChecksum(view, transport, checksum.complement(folded));
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
