// Writes an answer over the query that it answers (RFC 1035 §4.1): the header is changed, the question stays
// as it is, letter by letter, so that an asker who mixes upper and lower case finds his own again (0x20);
// behind it come the records. What does not fit is left out, and TC says so (RFC 2181 §9).
// Invariant: never a byte beyond `limit`; what `finish` returns is the length of a whole message.

import { TYPE_HINFO, TYPE_OPT } from '../../wire/dns-records.ts';
import { HEADER_SIZE, type Question } from './question.ts';
import { RECORD_WORDS, SET_WORDS, type ZoneTable } from './zone-table.ts';

const CLASS_IN = 1;
const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_TRUNCATED = 0x0200;
/** Bits that are the asker's to keep: recursion desired, checking disabled. */
const ASKERS_BITS = 0x0110;
const POINTER = 0xc000;
const FIXED_SIZE = 12;
const OPT_SIZE = 11;
/** What every path takes in one piece (DNS flag day 2020). */
const EDNS_SIZE = 1232;
/** Without EDNS (RFC 1035 §4.2.1). */
const PLAIN_SIZE = 512;
/** HINFO with the text RFC8482 and nothing else: the answer to who wants everything. */
const ANY_DATA = Uint8Array.of(7, 0x52, 0x46, 0x43, 0x38, 0x34, 0x38, 0x32, 0);
const ANY_TTL = 3600;

export class Answer {
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly table: ZoneTable;
  private start = 0;
  private questionEnd = 0;
  private at = 0;
  private limit = 0;
  private answers = 0;
  private authorities = 0;
  isTruncated = false;
  /** Offset in the message of the last record's data, for a name that stands there. */
  lastData = 0;

  constructor(view: DataView, bytes: Uint8Array, table: ZoneTable) {
    this.view = view;
    this.bytes = bytes;
    this.table = table;
  }

  /** An answer to the query at `start`, in a datagram that has room for `room` bytes. @hot */
  begin(question: Question, start: number, room: number): void {
    let size = PLAIN_SIZE;
    if (question.hasEdns) {
      const asked = question.ednsSize > EDNS_SIZE ? EDNS_SIZE : question.ednsSize;
      size = ((asked > PLAIN_SIZE ? asked : PLAIN_SIZE) - OPT_SIZE) | 0;
    }
    if (size > room - OPT_SIZE) size = (room - OPT_SIZE) | 0;
    this.start = start;
    this.questionEnd = question.end;
    this.at = question.end;
    this.limit = (start + size) | 0;
    this.answers = 0;
    this.authorities = 0;
    this.isTruncated = false;
  }

  /** Room for a record, and what stands before its data. False: none, and TC is set. @hot */
  private writeFixed(owner: number, type: number, ttl: number, dataLength: number): boolean {
    const { view, at } = this;
    if (this.isTruncated || at + FIXED_SIZE + dataLength > this.limit) {
      this.isTruncated = true;
      return false;
    }
    view.setUint16(at, POINTER | owner);
    view.setUint16(at + 2, type);
    view.setUint16(at + 4, CLASS_IN);
    view.setInt32(at + 6, ttl);
    view.setUint16(at + 10, dataLength);
    this.at = (at + FIXED_SIZE + dataLength) | 0;
    this.lastData = (at + FIXED_SIZE - this.start) | 0;
    return true;
  }

  /** All records of a set. `owner`: where in the message the name stands that has them. @hot */
  writeSet(set: number, owner: number): void {
    const { table } = this;
    const base = set * SET_WORDS;
    const first = table.sets[base + 2];
    for (let i = 0; i < table.sets[base + 3]; i = (i + 1) | 0) {
      const record = (first + i) * RECORD_WORDS;
      const length = table.records[record + 1];
      if (!this.writeFixed(owner, table.sets[base], table.sets[base + 1], length)) return;
      this.copy(table.bytes, table.records[record], (this.at - length) | 0, length);
      this.answers = (this.answers + 1) | 0;
    }
  }

  /** @hot */
  private copy(from: Uint8Array, offset: number, to: number, length: number): void {
    const { bytes } = this;
    for (let i = 0; i < length; i = (i + 1) | 0) bytes[to + i] = from[offset + i];
  }

  /** An address that is not in a table: one of a backend. @hot */
  writeAddress(owner: number, type: number, ttl: number, address: number): void {
    if (!this.writeFixed(owner, type, ttl, 4)) return;
    this.view.setInt32(this.at - 4, address);
    this.answers = (this.answers + 1) | 0;
  }

  /** Sixteen bytes of `from`. @hot */
  writeIpv6(owner: number, type: number, ttl: number, from: Uint8Array, offset: number): void {
    if (!this.writeFixed(owner, type, ttl, 16)) return;
    this.copy(from, offset, (this.at - 16) | 0, 16);
    this.answers = (this.answers + 1) | 0;
  }

  /** RFC 8482: no more than has to be said to who asks for everything. @hot */
  writeAny(owner: number): void {
    if (!this.writeFixed(owner, TYPE_HINFO, ANY_TTL, ANY_DATA.length)) return;
    this.copy(ANY_DATA, 0, (this.at - ANY_DATA.length) | 0, ANY_DATA.length);
    this.answers = (this.answers + 1) | 0;
  }

  /** Who says that something is not there, and how long that holds (RFC 2308 §3). @hot */
  writeSoa(zone: number): void {
    const { table, bytes } = this;
    const apex = table.apexOf(zone);
    const nameLength = table.nameLength(apex);
    const set = table.soaOf(zone) * SET_WORDS;
    const record = table.sets[set + 2] * RECORD_WORDS;
    const length = table.records[record + 1];
    const { at } = this;
    // Two bytes of the fixed part are a pointer, in place of which the whole name is written here.
    if (this.isTruncated || at + nameLength + FIXED_SIZE - 2 + length > this.limit) {
      this.isTruncated = true;
      return;
    }
    for (let i = 0; i < nameLength; i = (i + 1) | 0) {
      bytes[at + i] = table.bytes[table.nameOffset(apex) + i];
    }
    this.at = (at + nameLength - 2) | 0;
    const kept0 = bytes[this.at];
    const kept1 = bytes[this.at + 1];
    this.writeFixed(0, table.sets[set], table.sets[set + 1], length);
    bytes[at + nameLength - 2] = kept0;
    bytes[at + nameLength - 1] = kept1;
    this.copy(table.bytes, table.records[record], (this.at - length) | 0, length);
    this.authorities = 1;
  }

  /** Takes back all records: too much was asked for too often, or does not fit. @hot */
  truncate(): void {
    this.isTruncated = true;
  }

  /** Bytes that the message has so far. @hot */
  length(): number {
    return (this.at - this.start) | 0;
  }

  /** Completes the message. @returns its length. @hot */
  finish(question: Question, code: number, isAuthoritative: boolean): number {
    const { view, start } = this;
    if (this.isTruncated) {
      this.at = this.questionEnd;
      this.answers = 0;
      this.authorities = 0;
    }
    let flags = (view.getUint16(start + 2) & ASKERS_BITS) | FLAG_RESPONSE | (code & 0x0f);
    if (isAuthoritative) flags |= FLAG_AUTHORITATIVE;
    if (this.isTruncated) flags |= FLAG_TRUNCATED;
    view.setUint16(start + 2, flags);
    view.setUint16(start + 6, this.answers);
    view.setUint16(start + 8, this.authorities);
    view.setUint16(start + 10, question.hasEdns ? 1 : 0);
    if (question.hasEdns) this.writeOpt(code >> 4, question.ednsFlags);
    return (this.at - start) | 0;
  }

  /** @hot */
  private writeOpt(codeAbove: number, flags: number): void {
    const { view, at } = this;
    view.setUint8(at, 0);
    view.setUint16(at + 1, TYPE_OPT);
    view.setUint16(at + 3, EDNS_SIZE);
    view.setUint8(at + 5, codeAbove);
    view.setUint8(at + 6, 0);
    // RFC 3225 §3: the bit that asks for signatures is given back.
    view.setUint16(at + 7, flags & 0x8000);
    view.setUint16(at + 9, 0);
    this.at = (at + OPT_SIZE) | 0;
  }

  /** An answer to what is no question: a header, and no more. @returns its length. @hot */
  headerOnly(start: number, code: number): number {
    const { view } = this;
    const kept = view.getUint16(start + 2) & (0x7800 | ASKERS_BITS);
    view.setUint16(start + 2, FLAG_RESPONSE | kept | (code & 0x0f));
    view.setInt32(start + 4, 0);
    view.setInt32(start + 8, 0);
    return HEADER_SIZE;
  }
}
