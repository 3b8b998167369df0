// Internet Control Message Protocol for IPv4, RFC 792. Echo messages are answered or switched like
// datagrams (identifier in the place of ports); an error message carries the head of the packet that
// caused it, by which the packet filter finds the connection that the error belongs to.
// Invariant: after `isComplete` no accessor here leaves the message. What is embedded in an error
// may be cut short at any byte, and must be checked by itself.

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;
const IDENTIFIER = 4;
const SEQUENCE = 6;
const NEXT_HOP_MTU = 6;

export const PROTOCOL = 1;
export const HEADER_SIZE = 8;

export const TYPE_ECHO_REPLY = 0;
export const TYPE_DESTINATION_UNREACHABLE = 3;
export const TYPE_SOURCE_QUENCH = 4;
export const TYPE_REDIRECT = 5;
export const TYPE_ECHO = 8;
export const TYPE_TIME_EXCEEDED = 11;
export const TYPE_PARAMETER_PROBLEM = 12;

/** Codes of TYPE_DESTINATION_UNREACHABLE. */
export const CODE_HOST_UNREACHABLE = 1;
export const CODE_PORT_UNREACHABLE = 3;
export const CODE_FRAGMENTATION_NEEDED = 4;
/** The first octet of the types 3, 4, 5, 11 and 12 as bits, so that `isError` is one test. */
const ERROR_TYPES =
  (1 << TYPE_DESTINATION_UNREACHABLE) |
  (1 << TYPE_SOURCE_QUENCH) |
  (1 << TYPE_REDIRECT) |
  (1 << TYPE_TIME_EXCEEDED) |
  (1 << TYPE_PARAMETER_PROBLEM);

/** Whether the eight bytes that every message has lie between `offset` and `end`. @hot */
export function isComplete(_view: DataView, offset: number, end: number): boolean {
  return end - offset >= HEADER_SIZE;
}

/** Whether messages of this type carry the head of the packet that caused them. @hot */
export function isError(messageType: number): boolean {
  return messageType < 32 && ((ERROR_TYPES >>> messageType) & 1) === 1;
}

/** @hot */
export function type(view: DataView, offset: number): number {
  return view.getUint8(offset + TYPE);
}

/** @hot */
export function setType(view: DataView, offset: number, value: number): void {
  view.setUint8(offset + TYPE, value);
}

/** @hot */
export function code(view: DataView, offset: number): number {
  return view.getUint8(offset + CODE);
}

/** @hot */
export function setCode(view: DataView, offset: number, value: number): void {
  view.setUint8(offset + CODE, value);
}

/** Covers the whole message, and no pseudo-header. @hot */
export function checksum(view: DataView, offset: number): number {
  return view.getUint16(offset + CHECKSUM);
}

/** @hot */
export function setChecksum(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + CHECKSUM, value);
}

/** Of an echo or its reply. @hot */
export function identifier(view: DataView, offset: number): number {
  return view.getUint16(offset + IDENTIFIER);
}

/** @hot */
export function setIdentifier(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + IDENTIFIER, value);
}

/** Of an echo or its reply. @hot */
export function sequence(view: DataView, offset: number): number {
  return view.getUint16(offset + SEQUENCE);
}

/** @hot */
export function setSequence(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + SEQUENCE, value);
}

/** Of CODE_FRAGMENTATION_NEEDED, RFC 1191: the largest packet that fits, in bytes. @hot */
export function nextHopMtu(view: DataView, offset: number): number {
  return view.getUint16(offset + NEXT_HOP_MTU);
}

/** @hot */
export function setNextHopMtu(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + NEXT_HOP_MTU, value);
}

/** Zeroes the four bytes whose meaning depends on the type. @hot */
export function clearRest(view: DataView, offset: number): void {
  view.setInt32(offset + REST, 0);
}

/** Where the packet that an error message is about begins: its IPv4 header. @hot */
export function embeddedPacketOffset(offset: number): number {
  return (offset + HEADER_SIZE) | 0;
}
