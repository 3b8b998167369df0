// A query as it stands in a datagram (RFC 1035 §4.1, RFC 6891): checked and taken apart once, before the
// answer is written over it. One per server, overwritten by each query.
// Invariant: nothing is read beyond the datagram, whatever it says; after `read` returned a code of 0 the
// question's name is a whole one, of at most 255 bytes and without compression.

import { LABEL_MAX, LABELS_MAX, NAME_MAX } from '../../wire/dns-names.ts';
import { TYPE_OPT } from '../../wire/dns-records.ts';

export const HEADER_SIZE = 12;
export const FLAG_RESPONSE = 0x8000;

/** Response codes (RFC 1035 §4.1.1, RFC 6891 §9). */
export const NO_ERROR = 0;
export const FORMAT_ERROR = 1;
export const SERVER_FAILURE = 2;
export const NAME_ERROR = 3;
export const NOT_IMPLEMENTED = 4;
export const REFUSED = 5;
export const BAD_VERSION = 16;
/** Not to be answered at all: it is a response itself, or has no header. */
export const SILENCE = -1;

/** Records behind the question that are looked at: OPT, and perhaps a signature. */
const ADDITIONAL_MAX = 8;
const POINTER_BITS = 0xc0;

export class Question {
  /** Offset of each label of the name; the first `labelCount` count. */
  readonly labels = new Int32Array(LABELS_MAX + 1);
  labelCount = 0;
  /** The byte behind the name, and the one behind the question. */
  nameEnd = 0;
  end = 0;
  type = 0;
  class = 0;
  hasEdns = false;
  /** Bytes of a datagram that the asker takes. */
  ednsSize = 0;
  /** The second half of OPT's time to live: the DO bit. */
  ednsFlags = 0;

  /** Takes the query between `start` and `end` apart. @returns a response code, or SILENCE. @hot */
  read(view: DataView, start: number, end: number): number {
    this.hasEdns = false;
    this.ednsFlags = 0;
    if (end - start < HEADER_SIZE) return SILENCE;
    const flags = view.getUint16(start + 2);
    if ((flags & FLAG_RESPONSE) !== 0) return SILENCE;
    if ((flags & 0x7800) !== 0) return NOT_IMPLEMENTED;
    if (view.getUint16(start + 4) !== 1) return FORMAT_ERROR;
    if (view.getInt32(start + 6) !== 0) return FORMAT_ERROR;
    if (!this.readName(view, (start + HEADER_SIZE) | 0, end)) return FORMAT_ERROR;
    const behind = this.nameEnd;
    if (behind + 4 > end) return FORMAT_ERROR;
    this.type = view.getUint16(behind);
    this.class = view.getUint16(behind + 2);
    this.end = (behind + 4) | 0;
    if (this.type === TYPE_OPT) return FORMAT_ERROR;
    return this.readAdditional(view, end, view.getUint16(start + 10));
  }

  /** @hot */
  private readName(view: DataView, start: number, end: number): boolean {
    let at = start;
    let count = 0;
    while (at < end) {
      const length = view.getUint8(at);
      if (length === 0) {
        this.labelCount = count;
        this.nameEnd = (at + 1) | 0;
        return true;
      }
      // A pointer has nowhere to point to but the header.
      if (length > LABEL_MAX) return false;
      this.labels[count] = at;
      count = (count + 1) | 0;
      at = (at + length + 1) | 0;
      if (at - start >= NAME_MAX) return false;
    }
    return false;
  }

  /** @hot */
  private readAdditional(view: DataView, end: number, count: number): number {
    if (count > ADDITIONAL_MAX) return FORMAT_ERROR;
    let at = this.end;
    let version = 0;
    for (let i = 0; i < count; i = (i + 1) | 0) {
      const fixed = skipName(view, at, end);
      if (fixed < 0 || fixed + 10 > end) return FORMAT_ERROR;
      if (view.getUint16(fixed) === TYPE_OPT) {
        // RFC 6891 §6.1.1: one, and its name is the root.
        if (this.hasEdns || fixed - at !== 1) return FORMAT_ERROR;
        this.hasEdns = true;
        this.ednsSize = view.getUint16(fixed + 2);
        version = view.getUint8(fixed + 5);
        this.ednsFlags = view.getUint16(fixed + 6);
      }
      at = (fixed + 10 + view.getUint16(fixed + 8)) | 0;
      if (at > end) return FORMAT_ERROR;
    }
    return version === 0 ? NO_ERROR : BAD_VERSION;
  }
}

/** The byte behind a name that may end in a pointer; -1: it does not end before `end`. @hot */
function skipName(view: DataView, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const length = view.getUint8(at);
    if (length === 0) return (at + 1) | 0;
    if ((length & POINTER_BITS) === POINTER_BITS) return (at + 2) | 0;
    if (length > LABEL_MAX) return -1;
    at = (at + length + 1) | 0;
  }
  return -1;
}
