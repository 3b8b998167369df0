// Bencode, the encoding of the ng protocol (bittorrent.org/beps/bep_0003.html): integers `i42e`, byte
// strings `4:spam`, lists `l…e`, dictionaries `d…e`. Byte strings are texts of one byte per character
// (latin1) here, so that whatever they hold comes out as it went in.
// Invariant: decoding needs no more time or memory than in proportion to the bytes, which are a datagram's;
// what is not whole, or goes deeper than MOST_DEPTH, is nothing.

export type Bencoded = number | string | Bencoded[] | Dictionary;
export type Dictionary = Map<string, Bencoded>;
/** What can be encoded: objects are dictionaries, what is undefined in them is left out. */
export type Encodable =
  | number
  | string
  | readonly Encodable[]
  | { readonly [key: string]: Encodable | undefined };

const MOST_DEPTH = 16;
/** Digits of a length or a number: all that a double holds exactly. */
const MOST_DIGITS = 15;

const CODE_0 = 0x30;
const CODE_9 = 0x39;
const COLON = 0x3a;
const MINUS = 0x2d;
const DICTIONARY = 0x64;
const END = 0x65;
const INTEGER = 0x69;
const LIST = 0x6c;

class Malformed extends Error {}

class Decoder {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  value(depth: number): Bencoded {
    if (depth > MOST_DEPTH) throw new Malformed();
    const code = this.bytes[this.at];
    if (code === INTEGER) {
      this.at += 1;
      return this.number(END);
    }
    if (code === LIST) return this.list(depth);
    if (code === DICTIONARY) return this.dictionary(depth);
    return this.string();
  }

  private list(depth: number): Bencoded[] {
    this.at += 1;
    const values: Bencoded[] = [];
    while (!this.takeEnd()) values.push(this.value(depth + 1));
    return values;
  }

  /** Keys may come in any order, as senders do not sort them; of two that are the same the last counts. */
  private dictionary(depth: number): Dictionary {
    this.at += 1;
    const values: Dictionary = new Map();
    while (!this.takeEnd()) {
      const key = this.string();
      values.set(key, this.value(depth + 1));
    }
    return values;
  }

  private takeEnd(): boolean {
    if (this.bytes[this.at] !== END) return false;
    this.at += 1;
    return true;
  }

  private string(): string {
    const length = this.number(COLON);
    const start = this.at;
    if (length < 0 || length > this.bytes.length - start) throw new Malformed();
    this.at = start + length;
    return this.bytes.toString('latin1', start, this.at);
  }

  /** Decimal digits up to the byte that ends them, which is taken, too. */
  private number(end: number): number {
    const isNegative = end === END && this.bytes[this.at] === MINUS;
    if (isNegative) this.at += 1;
    let value = 0;
    let digits = 0;
    for (; this.at < this.bytes.length; this.at += 1) {
      const code = this.bytes[this.at];
      if (code < CODE_0 || code > CODE_9 || digits === MOST_DIGITS) break;
      value = value * 10 + (code - CODE_0);
      digits += 1;
    }
    if (digits === 0 || this.bytes[this.at] !== end) throw new Malformed();
    this.at += 1;
    return isNegative ? -value : value;
  }
}

/** The one value that the bytes are, or undefined. */
export function decode(bytes: Buffer): Bencoded | undefined {
  const decoder = new Decoder(bytes);
  try {
    const value = decoder.value(0);
    return decoder.isAtEnd ? value : undefined;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** As a text of one byte per character. Numbers are cut to whole ones. */
export function encode(value: Encodable): string {
  if (typeof value === 'number') return `i${Math.trunc(value)}e`;
  if (typeof value === 'string') return `${value.length}:${value}`;
  if (Array.isArray(value)) return `l${value.map(encode).join('')}e`;
  const entries = Object.entries(value as Readonly<Record<string, Encodable | undefined>>);
  const known = entries.filter((entry): entry is [string, Encodable] => entry[1] !== undefined);
  // Keys are sorted as bytes, which for latin1 is the order of texts.
  known.sort(([a], [b]) => (a < b ? -1 : 1));
  return `d${known.map(([key, each]) => encode(key) + encode(each)).join('')}e`;
}
