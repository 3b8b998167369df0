// Attributes of netlink messages, read and written: what stands behind the fixed part of each message.
// Pure. Invariant: a reader never leaves the bytes it was given, whatever they say; what is cut off or
// too short for its type is as if it were not there. uapi linux/netlink.h.
//
// attribute: 0 length u16 (with these four bytes) │ 2 type u16, the two highest bits are flags │ 4 value,
// padded to 4 bytes. Numbers are in host order (little-endian on all that weir runs on), addresses in
// network order.

const ATTRIBUTE_HEADER_SIZE = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const TYPE_MASK = 0x3fff;

/** The attributes between two offsets of a message's payload, by type; of several the last. */
export class Attributes {
  private readonly view: DataView;
  /** For each type: offset and length of its value. */
  private readonly places = new Map<number, readonly [number, number]>();

  constructor(view: DataView, from: number, to = view.byteLength) {
    this.view = view;
    const end = Math.min(to, view.byteLength);
    let at = from;
    while (at + ATTRIBUTE_HEADER_SIZE <= end) {
      const length = view.getUint16(at, true);
      if (length < ATTRIBUTE_HEADER_SIZE || at + length > end) return;
      const type = view.getUint16(at + 2, true) & TYPE_MASK;
      this.places.set(type, [at + ATTRIBUTE_HEADER_SIZE, length - ATTRIBUTE_HEADER_SIZE]);
      at += (length + 3) & ~3;
    }
  }

  has(type: number): boolean {
    return this.places.has(type);
  }

  /** An unsigned number of 32 bits; undefined where there is none. */
  number(type: number): number | undefined {
    const [at, length] = this.places.get(type) ?? [0, 0];
    return length < 4 ? undefined : this.view.getUint32(at, true);
  }

  /** The bytes of a value; undefined where there is none. Valid as long as the message is. */
  bytes(type: number): Uint8Array | undefined {
    const place = this.places.get(type);
    if (place === undefined) return undefined;
    return new Uint8Array(this.view.buffer, this.view.byteOffset + place[0], place[1]);
  }

  /** A text, up to its first zero byte. */
  text(type: number): string | undefined {
    const bytes = this.bytes(type);
    if (bytes === undefined) return undefined;
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Attributes within a value. */
  nested(type: number): Attributes | undefined {
    const place = this.places.get(type);
    if (place === undefined) return undefined;
    return new Attributes(this.view, place[0], place[0] + place[1]);
  }

  /** Where a value stands in the message: [from, to). */
  range(type: number): readonly [number, number] | undefined {
    const place = this.places.get(type);
    return place === undefined ? undefined : [place[0], place[0] + place[1]];
  }
}

/** Builds one message: header, fixed part, attributes. */
export class MessageBuilder {
  private readonly parts: Uint8Array[] = [];
  private size = 0;

  /** Appends bytes, padded to 4. */
  append(bytes: Uint8Array): this {
    const padded = new Uint8Array((bytes.length + 3) & ~3);
    padded.set(bytes);
    this.parts.push(padded);
    this.size += padded.length;
    return this;
  }

  attribute(type: number, value: Uint8Array | number): this {
    const bytes = typeof value === 'number' ? uint32(value) : value;
    const whole = new Uint8Array(ATTRIBUTE_HEADER_SIZE + bytes.length);
    const view = new DataView(whole.buffer);
    view.setUint16(0, whole.length, true);
    view.setUint16(2, type, true);
    whole.set(bytes, ATTRIBUTE_HEADER_SIZE);
    return this.append(whole);
  }

  bytes(): Uint8Array {
    const whole = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** The message with its header (nlmsghdr): type RTM_…, flags NLM_F_…. */
  message(type: number, flags: number, sequence: number): Uint8Array {
    const body = this.bytes();
    const whole = new Uint8Array(16 + body.length);
    const view = new DataView(whole.buffer);
    view.setUint32(0, whole.length, true);
    view.setUint16(4, type, true);
    view.setUint16(6, flags, true);
    view.setUint32(8, sequence, true);
    whole.set(body, 16);
    return whole;
  }
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
