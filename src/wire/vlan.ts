// VLAN tags (IEEE 802.1Q; two of them, 802.1ad). The packet filter asks here where the packet in a
// frame begins; the tags themselves are passed through untouched, since a rewrite changes what lies
// before them (MAC addresses) and behind them.
//
//   6 destination │ 6 source │ 2 tag type │ 2 tag control │ … │ 2 type │ packet
//
// Each tag is four bytes put in front of the type field, so the type of what follows always stands
// in the two bytes before it, however many tags there are.

import { HEADER_SIZE, TYPE_VLAN, TYPE_VLAN_SERVICE } from './ethernet.ts';

export const TAG_SIZE = 4;
const TAG_COUNT_MAX = 2;
const TYPE_SIZE = 2;

/**
 * Offset of what the frame at `offset` carries, past no, one or two tags; -1 if the frame ends
 * before that. Behind two tags a third is not looked for: it is then the payload's type. @hot
 */
export function payloadOffset(view: DataView, offset: number, end: number): number {
  let payload = (offset + HEADER_SIZE) | 0;
  if (payload > end) return -1;
  for (let tag = 0; tag < TAG_COUNT_MAX; tag++) {
    if (!isTagType(payloadType(view, payload))) return payload;
    payload = (payload + TAG_SIZE) | 0;
    if (payload > end) return -1;
  }
  return payload;
}

/** The type of what lies at the offset that `payloadOffset` found. @hot */
export function payloadType(view: DataView, payload: number): number {
  return view.getUint16(payload - TYPE_SIZE);
}

/** Whether a type field announces a tag and not a packet. @hot */
export function isTagType(type: number): boolean {
  return type === TYPE_VLAN || type === TYPE_VLAN_SERVICE;
}

/** The VLAN identifier (0 … 4095) of the first tag of a frame that has one. @hot */
export function identifier(view: DataView, offset: number): number {
  return view.getUint16(offset + HEADER_SIZE) & 0x0fff;
}

/** The priority code point (0 … 7) of the first tag of a frame that has one. @hot */
export function priority(view: DataView, offset: number): number {
  return view.getUint16(offset + HEADER_SIZE) >>> 13;
}
