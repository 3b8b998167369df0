// As much of the Protocol Buffers wire format (protobuf.dev, "Encoding") as the messages of ORCA
// need: reading and writing of fields one after the other. Messages come from other machines, so
// every read is checked against the end of the message, and nothing is allocated by a length that
// has not been checked.
//
// Invariant: a reader never reads outside its message; what is malformed ends in MalformedMessage,
// which the decoders (orca.ts) catch.

import { Buffer } from 'node:buffer';

/** Thrown inside of decoders, never to their callers. */
export class MalformedMessage extends Error {}

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const MOST_VARINT_BYTES = 10;
const LARGEST_FIELD = 0x1fff_ffff;

/** Reads the fields of one message in their order. */
export class ProtobufReader {
  private readonly bytes: Buffer;
  private position = 0;
  /** Number and wire type of the field that `next` has found. */
  field = 0;
  wireType = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Goes to the next field, whose value must then be read or skipped. @returns false at the end */
  next(): boolean {
    if (this.position === this.bytes.length) return false;
    const tag = this.varint();
    this.wireType = tag & 7;
    this.field = Math.floor(tag / 8);
    if (this.field === 0 || this.field > LARGEST_FIELD) throw new MalformedMessage('field number');
    return true;
  }

  /** Whether the present field is this one with this wire type; another wire type is another field. */
  is(field: number, wireType: number): boolean {
    return this.field === field && this.wireType === wireType;
  }

  /** An unsigned number; above 2^53 the nearest that a double can hold. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < MOST_VARINT_BYTES; i++) {
      if (this.position === this.bytes.length) throw new MalformedMessage('varint without end');
      const byte = this.bytes[this.position++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new MalformedMessage('varint of more than ten bytes');
  }

  double(): number {
    return this.take(8).readDoubleLE(0);
  }

  /** A part of the message: a nested one, or a text. It shares memory with the whole. */
  delimited(): Buffer {
    return this.take(this.varint());
  }

  /** @param mostBytes longer ones are malformed */
  text(mostBytes: number): string {
    const bytes = this.delimited();
    if (bytes.length > mostBytes) throw new MalformedMessage(`a text of ${bytes.length} bytes`);
    return bytes.toString('utf8');
  }

  skip(): void {
    if (this.wireType === VARINT) this.varint();
    else if (this.wireType === FIXED64) this.take(8);
    else if (this.wireType === LENGTH_DELIMITED) this.delimited();
    else if (this.wireType === FIXED32) this.take(4);
    // Groups ended with proto2; none of these messages ever had one.
    else throw new MalformedMessage(`wire type ${this.wireType}`);
  }

  private take(length: number): Buffer {
    if (length > this.bytes.length - this.position) throw new MalformedMessage('longer than it is');
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }
}

/** Writes fields into one message. */
export class ProtobufWriter {
  private readonly parts: Buffer[] = [];

  double(field: number, value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return this.tag(field, FIXED64).push(bytes);
  }

  /** @param value a whole number from 0 to 2^53 - 1 */
  varint(field: number, value: number): this {
    return this.tag(field, VARINT).push(varintBytes(value));
  }

  delimited(field: number, value: Uint8Array | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value);
    return this.tag(field, LENGTH_DELIMITED).push(varintBytes(bytes.length)).push(bytes);
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }

  private tag(field: number, wireType: number): this {
    return this.push(varintBytes(field * 8 + wireType));
  }

  private push(bytes: Buffer): this {
    this.parts.push(bytes);
    return this;
  }
}

function varintBytes(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}
