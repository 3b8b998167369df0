// Transmission Control Protocol, the header: RFC 9293 §3.1. Read by the packet filter to find the
// connection and to follow its state; ports and checksum are written by a rewrite, the whole header
// by a reset. Sequence and acknowledgment numbers are int32 and wrap: compare by `(a - b) | 0`.
// Invariant: after `isComplete` no accessor here leaves the segment.

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const SEQUENCE_NUMBER = 4;
const ACKNOWLEDGMENT_NUMBER = 8;
const DATA_OFFSET = 12;
const FLAGS = 13;
const WINDOW = 14;
const CHECKSUM = 16;
const URGENT_POINTER = 18;

export const PROTOCOL = 6;
/** Without options. */
export const HEADER_SIZE = 20;

export const FLAG_FIN = 0x01;
export const FLAG_SYN = 0x02;
export const FLAG_RST = 0x04;
export const FLAG_PSH = 0x08;
export const FLAG_ACK = 0x10;
export const FLAG_URG = 0x20;
export const FLAG_ECE = 0x40;
export const FLAG_CWR = 0x80;

/** Whether the header, options included, of the segment at `offset` lies within `end`. @hot */
export function isComplete(view: DataView, offset: number, end: number): boolean {
  if (end - offset < HEADER_SIZE) return false;
  const size = dataOffset(view, offset);
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

/** @hot */
export function sequenceNumber(view: DataView, offset: number): number {
  return view.getInt32(offset + SEQUENCE_NUMBER);
}

/** @hot */
export function setSequenceNumber(view: DataView, offset: number, value: number): void {
  view.setInt32(offset + SEQUENCE_NUMBER, value);
}

/** Means something only with FLAG_ACK. @hot */
export function acknowledgmentNumber(view: DataView, offset: number): number {
  return view.getInt32(offset + ACKNOWLEDGMENT_NUMBER);
}

/** @hot */
export function setAcknowledgmentNumber(view: DataView, offset: number, value: number): void {
  view.setInt32(offset + ACKNOWLEDGMENT_NUMBER, value);
}

/** Bytes from the start of the header to the data: the header with its options. @hot */
export function dataOffset(view: DataView, offset: number): number {
  return (view.getUint8(offset + DATA_OFFSET) >>> 4) << 2;
}

/** `bytes` is a multiple of 4 from 20 to 60; the reserved bits become zero. @hot */
export function setDataOffset(view: DataView, offset: number, bytes: number): void {
  view.setUint8(offset + DATA_OFFSET, (bytes >>> 2) << 4);
}

/** The control bits, CWR to FIN: test them with `FLAG_…`. @hot */
export function flags(view: DataView, offset: number): number {
  return view.getUint8(offset + FLAGS);
}

/** @hot */
export function setFlags(view: DataView, offset: number, value: number): void {
  view.setUint8(offset + FLAGS, value);
}

/** As it stands in the header: not scaled. @hot */
export function window(view: DataView, offset: number): number {
  return view.getUint16(offset + WINDOW);
}

/** @hot */
export function setWindow(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + WINDOW, value);
}

/** @hot */
export function checksum(view: DataView, offset: number): number {
  return view.getUint16(offset + CHECKSUM);
}

/** @hot */
export function setChecksum(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + CHECKSUM, value);
}

/** @hot */
export function urgentPointer(view: DataView, offset: number): number {
  return view.getUint16(offset + URGENT_POINTER);
}

/** @hot */
export function setUrgentPointer(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + URGENT_POINTER, value);
}

/**
 * How far the segment moves the sequence number: its data, and one each for SYN and FIN (RFC 9293
 * §3.4, SEG.LEN). `end` is the end of the packet, not of the frame, which may be padded. @hot
 */
export function segmentLength(view: DataView, offset: number, end: number): number {
  const control = flags(view, offset);
  const syn = (control & FLAG_SYN) >>> 1;
  const fin = control & FLAG_FIN;
  return (end - offset - dataOffset(view, offset) + syn + fin) | 0;
}
