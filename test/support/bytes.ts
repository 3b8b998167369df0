// Bytes for tests: literal packets from hexadecimal text, and memory filled with 0xa5, so that a
// writer that leaves a byte out, or writes one too many, is seen.

/** What memory holds before a writer under test has run. */
export const POISON = 0xa5;

/** The bytes that hexadecimal text stands for; blanks and line ends are only for the reader. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hexadecimal: ${text}`);
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

/** The bytes as hexadecimal text, in pairs. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/..(?!$)/g, '$& ');
}

/** A view of `size` bytes of poison. */
export function poisonedView(size: number): DataView {
  return new DataView(new Uint8Array(size).fill(POISON).buffer);
}

/** A view of poison with `bytes` laid into it at `offset`, and `behind` bytes of poison after. */
export function viewOf(bytes: Uint8Array, offset = 0, behind = 0): DataView {
  const view = poisonedView(offset + bytes.length + behind);
  new Uint8Array(view.buffer).set(bytes, offset);
  return view;
}

/** A copy of `length` bytes at `offset`. */
export function bytesAt(view: DataView, offset: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, length).slice();
}

/** Whether every byte outside `offset … offset + length` still is poison. */
export function isPoisonOutside(view: DataView, offset: number, length: number): boolean {
  const all = new Uint8Array(view.buffer);
  return all.every((byte, at) => (at >= offset && at < offset + length) || byte === POISON);
}

/**
 * The Internet checksum of some bytes (RFC 1071), the plain way: in floating point, word by word.
 * Packet builder and decoder use it, so that src/wire is held against something that is not itself.
 */
export function plainChecksum(...pieces: Uint8Array[]): number {
  const bytes = Buffer.concat(pieces);
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = Math.floor(total / 0x10000) + (total % 0x10000);
  return 0xffff - total;
}

/** The pseudo-header of TCP and UDP; `addresses` are source and destination, eight bytes. */
export function pseudoHeader(addresses: Uint8Array, protocol: number, length: number): Uint8Array {
  return Buffer.concat([addresses, Uint8Array.of(0, protocol, length >>> 8, length & 0xff)]);
}
