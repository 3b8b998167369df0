// Partial checksums against literal packets whose right checksums were worked out by hand, and one
// property: whatever the bytes, nothing outside the frame is read or written.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesAt, hex, isPoisonOutside, toHex, viewOf } from '../../../test/support/bytes.ts';
import { transportChecksumIsValid } from '../../wire/checksum.ts';
import { completeChecksum } from './partial-checksum.ts';

const MACS = '020000000002 020000000001';
const UDP4 = '45000021 00000000 40110000 0a000001 0a000002';
const TCP4 = '45000028 00000000 40060000 0a000001 0a000002';
const TCP = '04d20050 00000001 00000000 50020400 dead0000';
const OFFSET = 10;

function completed(text: string): { view: DataView; written: number; length: number } {
  const bytes = hex(text);
  const view = viewOf(bytes, OFFSET, 20);
  const written = completeChecksum(view, OFFSET, bytes.length);
  expect(isPoisonOutside(view, OFFSET, bytes.length)).toBe(true);
  return { view, written, length: bytes.length };
}

describe('completing', () => {
  it('UDP with an odd length, and padding behind it', () => {
    const { view, written } = completed(
      `${MACS} 0800 ${UDP4} 04d20035 000dbeef 68656c6c6f 000000000000000000`,
    );
    expect(written).toBe(1);
    // 0a00+1+0a00+2 +11+d +04d2+35+d +6865+6c6c+6f00 = 5d07 → ~ = a2f8
    expect(toHex(bytesAt(view, OFFSET + 40, 2))).toBe('a2 f8');
  });

  it.each([
    ['without a tag', '0800'],
    ['with a tag', '81000005 0800'],
    ['with two tags', '88a80005 81000006 0800'],
  ])('TCP %s', (_name, type) => {
    const { view, written, length } = completed(`${MACS} ${type} ${TCP4} ${TCP}`);
    const ip = OFFSET + length - 40;
    expect(written).toBe(1);
    expect(transportChecksumIsValid(view, ip, ip + 20, 20, 6)).toBe(true);
  });

  it('TCP over IPv6', () => {
    const addresses = `20010db8${'00'.repeat(11)}01 20010db8${'00'.repeat(11)}02`;
    const { view, written, length } = completed(
      `${MACS} 86dd 60000000 0014 06 40 ${addresses} ${TCP}`,
    );
    expect(written).toBe(1);
    // 2001+0db8, twice, +1+2, +14 (length) +6, +04d2+50+1+5002+0400 = b4b4 → ~ = 4b4b
    expect(toHex(bytesAt(view, OFFSET + length - 4, 2))).toBe('4b 4b');
  });

  it('writes a computed zero as 0xffff for UDP', () => {
    // The payload is chosen so that the sum of everything else is 0xffff.
    const { view } = completed(`${MACS} 0800 45000020${UDP4.slice(8)} 04d20035 000cbeef 0000 e6b7`);
    const before = bytesAt(view, OFFSET + 40, 2);
    const payload = 0xe6b7 + ((before[0] << 8) | before[1]);
    const word = ((payload & 0xffff) + (payload >>> 16)).toString(16).padStart(4, '0');
    const again = completed(`${MACS} 0800 45000020${UDP4.slice(8)} 04d20035 000cbeef 0000 ${word}`);
    expect(toHex(bytesAt(again.view, OFFSET + 40, 2))).toBe('ff ff');
  });
});

describe('leaving alone', () => {
  it.each([
    ['a frame that ends in its Ethernet header', MACS],
    ['ARP', `${MACS} 0806 ${TCP4} ${TCP}`],
    ['ICMP', `${MACS} 0800 ${TCP4.replace('4006', '4001')} ${TCP}`],
    ['a fragment', `${MACS} 0800 ${TCP4.replace('00000000', '00002000')} ${TCP}`],
    ['a later fragment', `${MACS} 0800 ${TCP4.replace('00000000', '00000001')} ${TCP}`],
    ['a total length beyond the frame', `${MACS} 0800 ${TCP4.replace('0028', '0029')} ${TCP}`],
    ['a header length beyond the packet', `${MACS} 0800 ${TCP4.replace('45', '4f')} ${TCP}`],
    ['a segment shorter than its header', `${MACS} 0800 ${TCP4.replace('0028', '0027')} ${TCP}`],
    ['IPv6 that is cut', `${MACS} 86dd 60000000 0014 06 40 ${TCP}`],
  ])('%s', (_name, text) => {
    const { view, written, length } = completed(text);
    expect(written).toBe(0);
    expect(toHex(bytesAt(view, OFFSET, length))).toBe(toHex(hex(text)));
  });

  it('whatever the bytes are, stays inside the frame', () => {
    const types = fc.constantFrom('0800', '86dd', '81000001', '88a80001');
    const start = fc.array(types, { maxLength: 4 }).map((list) => hex(MACS + list.join('')));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 80 }), (head, tail) => {
        const bytes = Uint8Array.from([...head, ...tail]);
        // Nothing behind it: reading on would throw.
        const view = viewOf(bytes, OFFSET, 0);
        completeChecksum(view, OFFSET, bytes.length);
        expect(isPoisonOutside(view, OFFSET, bytes.length)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
