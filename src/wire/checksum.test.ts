// Goal: the sums are those of RFC 1071, and an incremental change (RFC 1624) gives the very bytes
// that computing anew gives. Method: the RFCs' own examples, a naive sum, random packets and edits.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex, viewOf } from '../../test/support/bytes.ts';
import * as checksum from './checksum.ts';

/** The definition, word by word in floating point: slow, and with nothing to overflow. */
function naiveSum(bytes: Uint8Array, initial = 0): number {
  let total = initial;
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = Math.floor(total / 0x10000) + (total % 0x10000);
  return total;
}

/** Words with the edges of ones-complement arithmetic as likely as all others together. */
const word16 = fc.oneof(fc.constantFrom(0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff), fc.nat(0xffff));
const word32 = fc.oneof(
  fc.constantFrom(0, -1, 0xffff, 0xffff0000 | 0, -0x80000000, 0x7fffffff, 1),
  fc.integer(),
);
/** Covered words, the first not zero, as a version or a protocol number sees to in real headers. */
const covered = fc
  .array(word16, { minLength: 6, maxLength: 40 })
  .map((words) => Uint16Array.from([0x4500, ...words]));

function toBytes(words: Uint16Array): Uint8Array {
  return Uint8Array.from([...words].flatMap((word) => [word >>> 8, word & 0xff]));
}

function checksumOf(words: Uint16Array): number {
  return ~naiveSum(toBytes(words)) & 0xffff;
}

describe('sum', () => {
  it('is that of the example in RFC 1071 §3', () => {
    const view = viewOf(hex('0001 f203 f4f5 f6f7'));
    expect(checksum.sum(view, 0, 8, 0)).toBe(0xddf2);
    expect(checksum.complement(0xddf2)).toBe(0x220d);
  });

  it('takes an odd last byte as the upper half of a word', () => {
    expect(checksum.sum(viewOf(hex('01')), 0, 1, 0)).toBe(0x0100);
    expect(checksum.sum(viewOf(hex('0001 02')), 0, 3, 0)).toBe(0x0201);
    expect(checksum.sum(viewOf(hex('')), 0, 0, 0x1234)).toBe(0x1234);
  });

  it('reads nothing outside the given bytes', () => {
    const bytes = hex('0001 f203 f4f5 f6f7 01');
    for (let length = 0; length <= bytes.length; length++) {
      const view = viewOf(bytes.subarray(0, length), 5, 8);
      expect(checksum.sum(view, 5, length, 0)).toBe(naiveSum(bytes.subarray(0, length)));
    }
  });

  it('does not overflow over 64 kB of 0xff', () => {
    const view = viewOf(new Uint8Array(0x10000).fill(0xff));
    expect(checksum.sum(view, 0, 0x10000, 0xffff)).toBe(0xffff);
    expect(checksum.sum(view, 0, 0xffff, 0)).toBe(naiveSum(new Uint8Array(0xffff).fill(0xff)));
  });

  it('equals the naive sum of any bytes at any offset, and chains at any even place', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(7),
        word16,
        fc.nat(),
        (bytes, offset, initial, place) => {
          const view = viewOf(bytes, offset, 3);
          const expected = naiveSum(bytes, initial);
          expect(checksum.sum(view, offset, bytes.length, initial)).toBe(expected);
          const cut = (place % (bytes.length + 1)) & ~1;
          const first = checksum.sum(view, offset, cut, initial);
          expect(checksum.sum(view, offset + cut, bytes.length - cut, first)).toBe(expected);
        },
      ),
    );
  });
});

describe('pseudoHeaderSum', () => {
  it('equals the sum of the pseudo-header written out', () => {
    fc.assert(
      fc.property(word32, word32, fc.nat(255), word16, (source, destination, protocol, length) => {
        const view = new DataView(new ArrayBuffer(12));
        view.setInt32(0, source);
        view.setInt32(4, destination);
        view.setUint16(8, protocol);
        view.setUint16(10, length);
        expect(checksum.pseudoHeaderSum(source, destination, protocol, length)).toBe(
          naiveSum(new Uint8Array(view.buffer)),
        );
      }),
    );
  });
});

describe('incremental change', () => {
  it('is that of the example in RFC 1624 §4, where the older RFC 1141 went wrong', () => {
    expect(checksum.update16(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  it('of one word equals computing anew', () => {
    fc.assert(
      fc.property(covered, fc.nat(), word16, (words, place, value) => {
        const at = 1 + (place % (words.length - 1));
        const before = checksumOf(words);
        const old = words[at]!;
        words[at] = value;
        expect(checksum.update16(before, old, value)).toBe(checksumOf(words));
      }),
      { numRuns: 2000 },
    );
  });

  it('of two words at once equals computing anew', () => {
    fc.assert(
      fc.property(covered, fc.nat(), word32, (words, place, value) => {
        const at = 1 + (place % (words.length - 2));
        const before = checksumOf(words);
        const old = (words[at]! << 16) | words[at + 1]!;
        words[at] = value >>> 16;
        words[at + 1] = value & 0xffff;
        expect(checksum.update32(before, old, value)).toBe(checksumOf(words));
      }),
      { numRuns: 2000 },
    );
  });

  it('by one difference, added up from an address and a port, equals computing anew', () => {
    fc.assert(
      fc.property(covered, word32, word16, (words, address, port) => {
        const before = checksumOf(words);
        const difference = checksum.addDifferences(
          checksum.difference32((words[1]! << 16) | words[2]!, address),
          checksum.difference16(words[4]!, port),
        );
        words[1] = address >>> 16;
        words[2] = address & 0xffff;
        words[4] = port;
        expect(difference).toBeGreaterThanOrEqual(0);
        expect(difference).toBeLessThanOrEqual(0xffff);
        expect(checksum.apply(before, difference)).toBe(checksumOf(words));
      }),
      { numRuns: 2000 },
    );
  });

  it('leaves a checksum wrong that was wrong', () => {
    fc.assert(
      fc.property(covered, fc.integer({ min: 1, max: 0xfffe }), word16, (words, error, value) => {
        const wrong = checksum.fold(checksumOf(words) + error);
        const after = checksum.update16(wrong, words[2]!, value);
        words[2] = value;
        expect(checksum.fold(naiveSum(toBytes(words)) + after)).not.toBe(0xffff);
      }),
    );
  });
});

describe('applyUdp', () => {
  it('leaves "no checksum" alone', () => {
    fc.assert(fc.property(word16, (difference) => checksum.applyUdp(0, difference) === 0));
  });

  it('sends a computed zero as 0xffff', () => {
    const difference = checksum.difference16(0x5555, 0x3285);
    expect(checksum.apply(0xdd2f, difference)).toBe(0);
    expect(checksum.applyUdp(0xdd2f, difference)).toBe(0xffff);
  });

  it('equals computing anew, 0xffff on the wire before or after', () => {
    const onWire = (words: Uint16Array) => checksumOf(words) || 0xffff;
    let edges = 0;
    fc.assert(
      fc.property(covered, word32, fc.boolean(), fc.boolean(), (words, address, from, to) => {
        // The last word is chosen so that the sum is 0xffff, the checksum zero.
        const last = words.length - 1;
        if (from) {
          words[last] = 0;
          words[last] = checksumOf(words);
        }
        const before = onWire(words);
        let difference = checksum.difference32((words[1]! << 16) | words[2]!, address);
        words[1] = address >>> 16;
        words[2] = address & 0xffff;
        if (to) {
          const old = words[last - 1]!;
          words[last - 1] = 0;
          words[last - 1] = checksumOf(words);
          const second = checksum.difference16(old, words[last - 1]!);
          difference = checksum.addDifferences(difference, second);
        }
        if (before === 0xffff || onWire(words) === 0xffff) edges++;
        expect(checksum.applyUdp(before, difference)).toBe(onWire(words));
      }),
      { numRuns: 2000 },
    );
    expect(edges).toBeGreaterThan(500);
  });
});

describe('transportChecksumIsValid', () => {
  // Computed by hand: 10.0.0.1 to 10.0.0.2, ports 1000 and 2000, data "hi!" (an odd length).
  const ip = hex('4500 001f 0000 4000 4011 26cc 0a00 0001 0a00 0002');
  const datagram = hex('03e8 07d0 000b 0000 6869 21');

  it('is true of a right checksum, of none in UDP, and false after any flipped bit', () => {
    const bytes = new Uint8Array([...ip, ...datagram]);
    const view = viewOf(bytes, 2, 4);
    expect(checksum.transportChecksumIsValid(view, 2, 22, 11, 17)).toBe(true);
    const pseudo = naiveSum(hex('0a00 0001 0a00 0002 0011 000b'));
    view.setUint16(22 + 6, ~naiveSum(datagram, pseudo) & 0xffff);
    expect(view.getUint16(22 + 6)).toBe(0x56b4);
    expect(checksum.transportChecksumIsValid(view, 2, 22, 11, 17)).toBe(true);
    for (let bit = 0; bit < 11 * 8; bit++) {
      const at = 22 + (bit >>> 3);
      const mask = 1 << (bit & 7);
      view.setUint8(at, view.getUint8(at) ^ mask);
      expect(checksum.transportChecksumIsValid(view, 2, 22, 11, 17)).toBe(false);
      view.setUint8(at, view.getUint8(at) ^ mask);
    }
    view.setUint8(2 + 12, 11);
    expect(checksum.transportChecksumIsValid(view, 2, 22, 11, 17)).toBe(false);
  });

  it('has no pseudo-header for ICMP, and no "none" for TCP', () => {
    const echo = viewOf(hex('0800 f7fd 0001 0001'));
    expect(checksum.transportChecksumIsValid(echo, 0, 0, 8, 1)).toBe(true);
    const zeros = viewOf(new Uint8Array([...ip, ...new Uint8Array(20)]));
    expect(checksum.transportChecksumIsValid(zeros, 0, 20, 20, 6)).toBe(false);
  });
});
