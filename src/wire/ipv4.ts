// Internet Protocol version 4, the header: RFC 791. Read by the packet filter right behind the
// Ethernet header and VLAN tags; addresses, time to live and checksum are written by a rewrite.
// Addresses are int32 inside the program: text only at its edges (configuration, API, traces).
//
// Invariant: once `isComplete` has returned COMPLETE, no accessor here leaves the packet, and
// `offset + totalLength` is where its data ends. A frame may be longer: short ones are padded.
// Options are allowed, and passed through unread.

import { fold, sum } from './checksum.ts';

const VERSION_AND_HEADER_LENGTH = 0;
const TYPE_OF_SERVICE = 1;
const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
const FLAGS_AND_FRAGMENT_OFFSET = 6;
const TIME_TO_LIVE = 8;
const PROTOCOL = 9;
const HEADER_CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;

/** Without options. */
export const HEADER_SIZE = 20;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

/** Bits of `flags`. */
export const FLAG_DONT_FRAGMENT = 0x2;
export const FLAG_MORE_FRAGMENTS = 0x1;

const MORE_FRAGMENTS_IN_PLACE = 0x2000;
const FRAGMENT_OFFSET_MASK = 0x1fff;

/** What `isComplete` finds: zero is good, every other value a reason to drop the packet. */
export const COMPLETE = 0;
/** The bytes end before the header does, or before the packet does. */
export const TRUNCATED = 1;
export const BAD_VERSION = 2;
/** Less than the 20 bytes that every header has. */
export const BAD_HEADER_LENGTH = 3;
/** Less than the header. */
export const BAD_TOTAL_LENGTH = 4;

/**
 * COMPLETE (zero!) if a whole packet lies between `offset` and `end`, else what is wrong with it:
 * a number and not a boolean, so that the caller can name the reason of a drop. @hot
 */
export function isComplete(view: DataView, offset: number, end: number): number {
  const available = (end - offset) | 0;
  if (available < HEADER_SIZE) return TRUNCATED;
  if (version(view, offset) !== 4) return BAD_VERSION;
  const header = headerLength(view, offset);
  if (header < HEADER_SIZE) return BAD_HEADER_LENGTH;
  const total = totalLength(view, offset);
  if (total < header) return BAD_TOTAL_LENGTH;
  // The header is no longer than the packet, so this covers a cut anywhere in either.
  if (total > available) return TRUNCATED;
  return COMPLETE;
}

/** @hot */
export function version(view: DataView, offset: number): number {
  return view.getUint8(offset + VERSION_AND_HEADER_LENGTH) >>> 4;
}

/** Bytes of the header with its options, 0 … 60. @hot */
export function headerLength(view: DataView, offset: number): number {
  return (view.getUint8(offset + VERSION_AND_HEADER_LENGTH) & 0x0f) << 2;
}

/** Writes version 4 and the header's length: a multiple of 4 from 20 to 60, in bytes. @hot */
export function setVersionAndHeaderLength(view: DataView, offset: number, bytes: number): void {
  view.setUint8(offset + VERSION_AND_HEADER_LENGTH, 0x40 | (bytes >>> 2));
}

/** The whole byte, today DSCP (upper 6 bits, RFC 2474) and ECN (lower 2, RFC 3168). @hot */
export function typeOfService(view: DataView, offset: number): number {
  return view.getUint8(offset + TYPE_OF_SERVICE);
}

/** @hot */
export function setTypeOfService(view: DataView, offset: number, value: number): void {
  view.setUint8(offset + TYPE_OF_SERVICE, value);
}

/** Bytes of the packet, header and data. @hot */
export function totalLength(view: DataView, offset: number): number {
  return view.getUint16(offset + TOTAL_LENGTH);
}

/** @hot */
export function setTotalLength(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + TOTAL_LENGTH, value);
}

/** @hot */
export function identification(view: DataView, offset: number): number {
  return view.getUint16(offset + IDENTIFICATION);
}

/** @hot */
export function setIdentification(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + IDENTIFICATION, value);
}

/** Three bits: FLAG_DONT_FRAGMENT, FLAG_MORE_FRAGMENTS, and a reserved one. @hot */
export function flags(view: DataView, offset: number): number {
  return view.getUint16(offset + FLAGS_AND_FRAGMENT_OFFSET) >>> 13;
}

/** Where the data of this fragment belongs, in bytes (on the wire: in units of eight). @hot */
export function fragmentOffset(view: DataView, offset: number): number {
  return (view.getUint16(offset + FLAGS_AND_FRAGMENT_OFFSET) & FRAGMENT_OFFSET_MASK) << 3;
}

/** `bytes` is a multiple of eight; `flagBits` as `flags` returns them. @hot */
export function setFlagsAndFragmentOffset(
  view: DataView,
  offset: number,
  flagBits: number,
  bytes: number,
): void {
  view.setUint16(offset + FLAGS_AND_FRAGMENT_OFFSET, (flagBits << 13) | (bytes >>> 3));
}

/** Whether this is a part of a packet, the first one included. @hot */
export function isFragment(view: DataView, offset: number): boolean {
  const field = view.getUint16(offset + FLAGS_AND_FRAGMENT_OFFSET);
  return (field & (MORE_FRAGMENTS_IN_PLACE | FRAGMENT_OFFSET_MASK)) !== 0;
}

/** Whether this is the part that has the TCP or UDP header; false of a whole packet. @hot */
export function isFirstFragment(view: DataView, offset: number): boolean {
  const field = view.getUint16(offset + FLAGS_AND_FRAGMENT_OFFSET);
  return (field & (MORE_FRAGMENTS_IN_PLACE | FRAGMENT_OFFSET_MASK)) === MORE_FRAGMENTS_IN_PLACE;
}

/** @hot */
export function timeToLive(view: DataView, offset: number): number {
  return view.getUint8(offset + TIME_TO_LIVE);
}

/** @hot */
export function setTimeToLive(view: DataView, offset: number, value: number): void {
  view.setUint8(offset + TIME_TO_LIVE, value);
}

/** @hot */
export function protocol(view: DataView, offset: number): number {
  return view.getUint8(offset + PROTOCOL);
}

/** @hot */
export function setProtocol(view: DataView, offset: number, value: number): void {
  view.setUint8(offset + PROTOCOL, value);
}

/**
 * Time to live and protocol as the one word that the checksum sees: what to hand to
 * `checksum.update16` when the time to live is lowered. @hot
 */
export function timeToLiveAndProtocol(view: DataView, offset: number): number {
  return view.getUint16(offset + TIME_TO_LIVE);
}

/** @hot */
export function headerChecksum(view: DataView, offset: number): number {
  return view.getUint16(offset + HEADER_CHECKSUM);
}

/** @hot */
export function setHeaderChecksum(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + HEADER_CHECKSUM, value);
}

/** @hot */
export function source(view: DataView, offset: number): number {
  return view.getInt32(offset + SOURCE);
}

/** @hot */
export function setSource(view: DataView, offset: number, value: number): void {
  view.setInt32(offset + SOURCE, value);
}

/** @hot */
export function destination(view: DataView, offset: number): number {
  return view.getInt32(offset + DESTINATION);
}

/** @hot */
export function setDestination(view: DataView, offset: number, value: number): void {
  view.setInt32(offset + DESTINATION, value);
}

/** The header's checksum computed anew, whatever stands in its field. @hot */
export function computeHeaderChecksum(view: DataView, offset: number): number {
  const before = sum(view, offset, HEADER_CHECKSUM, 0);
  const behind = headerLength(view, offset) - SOURCE;
  return ~sum(view, offset + SOURCE, behind, before) & 0xffff;
}

/** Whether the header, options included, arrived as it was sent. @hot */
export function isHeaderChecksumValid(view: DataView, offset: number): boolean {
  const length = headerLength(view, offset);
  if (length !== HEADER_SIZE) return sum(view, offset, length, 0) === 0xffff;
  // Nearly every header has no options: five words need no loop. Each adds at most 2^17 - 2.
  const a = view.getInt32(offset);
  const b = view.getInt32(offset + 4);
  const c = view.getInt32(offset + 8);
  const d = view.getInt32(offset + 12);
  const e = view.getInt32(offset + 16);
  const upper = (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16) + (e >>> 16);
  const lower = (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff) + (e & 0xffff);
  return fold(upper + lower) === 0xffff;
}

/**
 * Writes a header without options, not a fragment, with its checksum. `dataLength` is that of what
 * follows, in bytes. @hot
 */
export function writeHeader(
  view: DataView,
  offset: number,
  sourceAddress: number,
  destinationAddress: number,
  protocolNumber: number,
  hops: number,
  dataLength: number,
): void {
  setVersionAndHeaderLength(view, offset, HEADER_SIZE);
  setTypeOfService(view, offset, 0);
  setTotalLength(view, offset, HEADER_SIZE + dataLength);
  // RFC 6864 §4.1: a packet that may not be fragmented needs no identification.
  setIdentification(view, offset, 0);
  setFlagsAndFragmentOffset(view, offset, FLAG_DONT_FRAGMENT, 0);
  setTimeToLive(view, offset, hops);
  setProtocol(view, offset, protocolNumber);
  setSource(view, offset, sourceAddress);
  setDestination(view, offset, destinationAddress);
  setHeaderChecksum(view, offset, computeHeaderChecksum(view, offset));
}

const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const ADDRESS_TEXT = new RegExp(`^${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}$`);

/**
 * The int32 of an address such as `10.0.0.1`. Four decimal numbers and nothing else: forms that
 * other programs read differently (`010.0.0.1`, `10.1`) throw, as does anything that is no address.
 */
export function parseAddress(text: string): number {
  const octets = ADDRESS_TEXT.exec(text);
  if (octets === null) throw new RangeError(`not an IPv4 address: ${JSON.stringify(text)}`);
  return (
    (Number(octets[1]) << 24) |
    (Number(octets[2]) << 16) |
    (Number(octets[3]) << 8) |
    Number(octets[4])
  );
}

/** The usual text of an address, four decimal numbers. */
export function formatAddress(address: number): string {
  return [address >>> 24, (address >>> 16) & 0xff, (address >>> 8) & 0xff, address & 0xff].join(
    '.',
  );
}
