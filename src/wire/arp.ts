// Address Resolution Protocol, RFC 826, for IPv4 over Ethernet only: any other kind is not complete
// for us. The packet filter learns neighbors from these messages and answers those that ask for an
// address of the switch; housekeeping sends the requests.
// `offset` is that of the ARP message, behind the Ethernet header; the writers alone take that of
// the frame, since they write all of it: header, message, and zeros up to Ethernet's least size.
// Invariant: after `isComplete` no accessor here leaves the message.

import * as ethernet from './ethernet.ts';

const HARDWARE_TYPE = 0;
const PROTOCOL_TYPE = 2;
const HARDWARE_LENGTH = 4;
const PROTOCOL_LENGTH = 5;
const OPERATION = 6;
const SENDER_HARDWARE = 8;
const SENDER_PROTOCOL = 14;
const TARGET_HARDWARE = 18;
const TARGET_PROTOCOL = 24;

const HARDWARE_TYPE_ETHERNET = 1;
/** Six bytes of MAC address and four of IPv4 address: both length fields at once. */
const LENGTHS = 0x0604;

export const MESSAGE_SIZE = 28;
/** What the writers write: the least Ethernet frame, without its check sequence. */
export const FRAME_SIZE = 60;

export const OPERATION_REQUEST = 1;
export const OPERATION_REPLY = 2;

/** Whether a whole message about IPv4 over Ethernet lies between `offset` and `end`. @hot */
export function isComplete(view: DataView, offset: number, end: number): boolean {
  return (
    end - offset >= MESSAGE_SIZE &&
    view.getUint16(offset + HARDWARE_TYPE) === HARDWARE_TYPE_ETHERNET &&
    view.getUint16(offset + PROTOCOL_TYPE) === ethernet.TYPE_IPV4 &&
    view.getUint8(offset + HARDWARE_LENGTH) === LENGTHS >>> 8 &&
    view.getUint8(offset + PROTOCOL_LENGTH) === (LENGTHS & 0xff)
  );
}

/** @hot */
export function operation(view: DataView, offset: number): number {
  return view.getUint16(offset + OPERATION);
}

/** First two bytes of the sender's MAC address. @hot */
export function senderHigh(view: DataView, offset: number): number {
  return view.getUint16(offset + SENDER_HARDWARE);
}

/** Last four bytes of the sender's MAC address, an int32. @hot */
export function senderLow(view: DataView, offset: number): number {
  return view.getInt32(offset + SENDER_HARDWARE + 2);
}

/** The sender's IPv4 address; zero in a probe (RFC 5227), from which nothing is learned. @hot */
export function senderAddress(view: DataView, offset: number): number {
  return view.getInt32(offset + SENDER_PROTOCOL);
}

/** First two bytes of the target's MAC address; means nothing in a request. @hot */
export function targetHigh(view: DataView, offset: number): number {
  return view.getUint16(offset + TARGET_HARDWARE);
}

/** Last four bytes of the target's MAC address, an int32. @hot */
export function targetLow(view: DataView, offset: number): number {
  return view.getInt32(offset + TARGET_HARDWARE + 2);
}

/** The IPv4 address that is asked for, or whose owner is answered. @hot */
export function targetAddress(view: DataView, offset: number): number {
  return view.getInt32(offset + TARGET_PROTOCOL);
}

/**
 * Writes a broadcast frame of FRAME_SIZE bytes at `frame`: "who has `target`? Tell `sender`". With
 * both addresses equal it is an announcement (RFC 5227 §3). @hot
 */
export function writeRequest(
  view: DataView,
  frame: number,
  macHigh: number,
  macLow: number,
  sender: number,
  target: number,
): void {
  ethernet.setDestination(view, frame, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW);
  writeSender(view, frame, OPERATION_REQUEST, macHigh, macLow, sender);
  writeTarget(view, frame, 0, 0, target);
}

/**
 * Writes a frame of FRAME_SIZE bytes at `frame`, to the target alone: "`sender` is at this MAC
 * address". @hot
 */
export function writeReply(
  view: DataView,
  frame: number,
  macHigh: number,
  macLow: number,
  sender: number,
  targetMacHigh: number,
  targetMacLow: number,
  target: number,
): void {
  ethernet.setDestination(view, frame, targetMacHigh, targetMacLow);
  writeSender(view, frame, OPERATION_REPLY, macHigh, macLow, sender);
  writeTarget(view, frame, targetMacHigh, targetMacLow, target);
}

/** All that stands before the target, but for the frame's destination. @hot */
function writeSender(
  view: DataView,
  frame: number,
  operationNumber: number,
  macHigh: number,
  macLow: number,
  sender: number,
): void {
  const offset = (frame + ethernet.HEADER_SIZE) | 0;
  ethernet.setSource(view, frame, macHigh, macLow);
  ethernet.setType(view, frame, ethernet.TYPE_ARP);
  view.setUint16(offset + HARDWARE_TYPE, HARDWARE_TYPE_ETHERNET);
  view.setUint16(offset + PROTOCOL_TYPE, ethernet.TYPE_IPV4);
  view.setUint16(offset + HARDWARE_LENGTH, LENGTHS);
  view.setUint16(offset + OPERATION, operationNumber);
  view.setUint16(offset + SENDER_HARDWARE, macHigh);
  view.setInt32(offset + SENDER_HARDWARE + 2, macLow);
  view.setInt32(offset + SENDER_PROTOCOL, sender);
}

/** The target, and the zeros behind it: a frame's old content must not leak into padding. @hot */
function writeTarget(
  view: DataView,
  frame: number,
  macHigh: number,
  macLow: number,
  target: number,
): void {
  const offset = (frame + ethernet.HEADER_SIZE) | 0;
  view.setUint16(offset + TARGET_HARDWARE, macHigh);
  view.setInt32(offset + TARGET_HARDWARE + 2, macLow);
  view.setInt32(offset + TARGET_PROTOCOL, target);
  const end = (frame + FRAME_SIZE) | 0;
  for (let at = (offset + MESSAGE_SIZE) | 0; at < end; at++) view.setUint8(at, 0);
}
