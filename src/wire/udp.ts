// User Datagram Protocol, RFC 768. Read by the packet filter to find the service or connection of a
// datagram; the ports and the checksum are written when the service asks for a rewrite.
// Invariant: after `isComplete` no accessor here leaves the datagram.

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const LENGTH = 4;
const CHECKSUM = 6;

export const PROTOCOL = 17;
export const HEADER_SIZE = 8;

/**
 * Whether the datagram at `offset` lies within `end`, the end of the packet. It may be shorter than
 * the packet (RFC 768 gives it a length of its own), never longer. @hot
 */
export function isComplete(view: DataView, offset: number, end: number): boolean {
  if (end - offset < HEADER_SIZE) return false;
  const size = view.getUint16(offset + LENGTH);
  return size >= HEADER_SIZE && size <= end - offset;
}

/** @hot */
export function sourcePort(view: DataView, offset: number): number {
  return view.getUint16(offset + SOURCE_PORT);
}

/** @hot */
export function setSourcePort(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + SOURCE_PORT, value);
}

/** @hot */
export function destinationPort(view: DataView, offset: number): number {
  return view.getUint16(offset + DESTINATION_PORT);
}

/** @hot */
export function setDestinationPort(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + DESTINATION_PORT, value);
}

/** Bytes of the datagram, header and data. @hot */
export function length(view: DataView, offset: number): number {
  return view.getUint16(offset + LENGTH);
}

/** @hot */
export function setLength(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + LENGTH, value);
}

/** Zero says that the sender computed none. Changed by `checksum.applyUdp`. @hot */
export function checksum(view: DataView, offset: number): number {
  return view.getUint16(offset + CHECKSUM);
}

/** @hot */
export function setChecksum(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + CHECKSUM, value);
}
