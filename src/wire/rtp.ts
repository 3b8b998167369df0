// The Real-time Transport Protocol and its control protocol, RFC 3550 (§5.1 and §6.4.1), and what else may
// stand where one of them is expected: RFC 7983 tells STUN, DTLS and RTP apart by the first byte, RFC 5761
// §4 tells RTCP from RTP by the second. T.38's UDPTL (ITU-T T.38 §9.1) begins with a sequence number of
// 16 bits and has nothing to be known by. Read by the media relay; nothing here is ever rewritten.
// Invariant: after `isRtp` no accessor here leaves the datagram.

export const HEADER_SIZE = 12;
/** Header of an RTCP packet with the source's identifier. */
export const RTCP_HEADER_SIZE = 8;
/** Sequence number, type and length of the primary packet. */
export const UDPTL_SIZE = 4;

const VERSION_MASK = 0xc0;
const VERSION_2 = 0x80;
/** With the marker bit, which is part of RTCP's packet type: 192 … 223. */
const RTCP_TYPES_MASK = 0xe0;
const RTCP_TYPES = 0xc0;
const DTLS_FIRST = 20;
const DTLS_LAST = 63;

/** Whether `length` bytes at `offset` can be an RTP packet. @hot */
export function isRtp(view: DataView, offset: number, length: number): boolean {
  return length >= HEADER_SIZE && (view.getUint8(offset) & VERSION_MASK) === VERSION_2;
}

/** Whether `length` bytes at `offset` can be RTCP, also on a port that RTP uses too. @hot */
export function isRtcp(view: DataView, offset: number, length: number): boolean {
  if (length < RTCP_HEADER_SIZE) return false;
  if ((view.getUint8(offset) & VERSION_MASK) !== VERSION_2) return false;
  return (view.getUint8(offset + 1) & RTCP_TYPES_MASK) === RTCP_TYPES;
}

/** Whether it can be a record of DTLS, which keys SRTP (RFC 5764). @hot */
export function isDtls(view: DataView, offset: number, length: number): boolean {
  if (length < 1) return false;
  const first = view.getUint8(offset);
  return first >= DTLS_FIRST && first <= DTLS_LAST;
}

/** Sequence number of an RTP packet, 0 … 65535. @hot */
export function sequenceNumber(view: DataView, offset: number): number {
  return view.getUint16(offset + 2);
}

/** Time of the first sample, in units of the media's clock, int32. @hot */
export function timestamp(view: DataView, offset: number): number {
  return view.getInt32(offset + 4);
}

/** Synchronization source (SSRC) of an RTP packet, int32. @hot */
export function source(view: DataView, offset: number): number {
  return view.getInt32(offset + 8);
}

/** Synchronization source of the sender of an RTCP packet, int32. @hot */
export function rtcpSource(view: DataView, offset: number): number {
  return view.getInt32(offset + 4);
}

/** Sequence number of a UDPTL packet, 0 … 65535. @hot */
export function udptlSequenceNumber(view: DataView, offset: number): number {
  return view.getUint16(offset);
}
