// Goal: each field is read and written in its own bits, and each kind of bad header has its own
// fault. Method: a literal header, every truncation, bad values, writing over poison, random headers
// against the independent decoder of the test support.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesAt, hex, isPoisonOutside, poisonedView, viewOf } from '../../test/support/bytes.ts';
import { type Ipv4Spec, packet } from '../../test/support/packet-builder.ts';
import { decodePacket } from '../../test/support/packet-fields.ts';
import * as icmpv4 from './icmpv4.ts';
import * as ipv4 from './ipv4.ts';
import * as tcp from './tcp.ts';
import * as udp from './udp.ts';

// 192.168.0.1 to 192.168.0.199, UDP; its checksum 0xb861 is a textbook's.
const HEADER = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');

/** A view of the packet at offset 3, with poison before and behind. */
function view(spec: Ipv4Spec, payload = 'data'): DataView {
  return viewOf(packet().ipv4(spec).payload(payload).bytes(), 3, 70);
}

describe('reading', () => {
  it('reads a literal header', () => {
    const v = viewOf(HEADER, 1);
    expect(ipv4.version(v, 1)).toBe(4);
    expect(ipv4.headerLength(v, 1)).toBe(20);
    expect(ipv4.typeOfService(v, 1)).toBe(0);
    expect(ipv4.totalLength(v, 1)).toBe(115);
    expect(ipv4.identification(v, 1)).toBe(0);
    expect(ipv4.flags(v, 1)).toBe(ipv4.FLAG_DONT_FRAGMENT);
    expect(ipv4.fragmentOffset(v, 1)).toBe(0);
    expect(ipv4.timeToLive(v, 1)).toBe(64);
    expect(ipv4.protocol(v, 1)).toBe(ipv4.PROTOCOL_UDP);
    expect(ipv4.timeToLiveAndProtocol(v, 1)).toBe(0x4011);
    expect(ipv4.headerChecksum(v, 1)).toBe(0xb861);
    expect(ipv4.source(v, 1)).toBe(0xc0a80001 | 0);
    expect(ipv4.destination(v, 1)).toBe(0xc0a800c7 | 0);
    expect(ipv4.isHeaderChecksumValid(v, 1)).toBe(true);
    expect(ipv4.computeHeaderChecksum(v, 1)).toBe(0xb861);
  });

  it('finds any flipped bit by the checksum, options included', () => {
    const v = view({ options: hex('9404 0000') });
    expect(ipv4.headerLength(v, 3)).toBe(24);
    for (let bit = 0; bit < 24 * 8; bit++) {
      // The header's length itself says how much is covered: any other is another sum.
      const at = 3 + (bit >>> 3);
      v.setUint8(at, v.getUint8(at) ^ (1 << (bit & 7)));
      expect(ipv4.isHeaderChecksumValid(v, 3), `bit ${bit}`).toBe(false);
      v.setUint8(at, v.getUint8(at) ^ (1 << (bit & 7)));
    }
    expect(ipv4.isHeaderChecksumValid(v, 3)).toBe(true);
  });

  it('agrees with the independent decoder on any header', () => {
    const spec = fc.record({
      timeToLive: fc.nat(255),
      typeOfService: fc.nat(255),
      identification: fc.nat(0xffff),
      dontFragment: fc.boolean(),
      moreFragments: fc.boolean(),
      fragmentOffset: fc.nat(0x1fff).map((units) => units * 8),
      protocol: fc.nat(255),
      options: fc.nat(10).chain((n) => fc.uint8Array({ minLength: n * 4, maxLength: n * 4 })),
      source: fc.ipV4(),
      destination: fc.ipV4(),
      headerChecksum: fc.option(fc.nat(0xffff), { nil: undefined }),
    });
    fc.assert(
      fc.property(spec, (given) => {
        const bytes = packet().ipv4(given).payload('some data').bytes();
        const v = viewOf(bytes, 3, 5);
        const fields = decodePacket(bytes).ipv4!;
        expect(ipv4.isComplete(v, 3, 3 + bytes.length)).toBe(ipv4.COMPLETE);
        const flags = ipv4.flags(v, 3);
        expect({
          version: ipv4.version(v, 3),
          headerLength: ipv4.headerLength(v, 3),
          typeOfService: ipv4.typeOfService(v, 3),
          totalLength: ipv4.totalLength(v, 3),
          identification: ipv4.identification(v, 3),
          dontFragment: (flags & ipv4.FLAG_DONT_FRAGMENT) !== 0,
          moreFragments: (flags & ipv4.FLAG_MORE_FRAGMENTS) !== 0,
          fragmentOffset: ipv4.fragmentOffset(v, 3),
          timeToLive: ipv4.timeToLive(v, 3),
          protocol: ipv4.protocol(v, 3),
          headerChecksum: `0x${ipv4.headerChecksum(v, 3).toString(16).padStart(4, '0')}`,
          headerChecksumValid: ipv4.isHeaderChecksumValid(v, 3),
          source: ipv4.formatAddress(ipv4.source(v, 3)),
          destination: ipv4.formatAddress(ipv4.destination(v, 3)),
          options: fields.options,
        }).toEqual(fields);
      }),
    );
  });
});

describe('protocol numbers', () => {
  it('are those that IANA assigned, the same in every module', () => {
    expect([ipv4.PROTOCOL_ICMP, ipv4.PROTOCOL_TCP, ipv4.PROTOCOL_UDP]).toEqual([1, 6, 17]);
    expect([icmpv4.PROTOCOL, tcp.PROTOCOL, udp.PROTOCOL]).toEqual([1, 6, 17]);
  });
});

describe('isComplete', () => {
  it.each([
    ['without options', {}],
    ['with options', { options: hex('9404 0000 0101 0101') }],
  ])('is TRUNCATED at every truncation of a packet %s', (_name, spec) => {
    const v = view(spec);
    const total = ipv4.totalLength(v, 3);
    for (let size = 0; size < total; size++) {
      expect(ipv4.isComplete(v, 3, 3 + size), `${size} bytes`).toBe(ipv4.TRUNCATED);
    }
    expect(ipv4.isComplete(v, 3, 3 + total)).toBe(ipv4.COMPLETE);
    expect(ipv4.isComplete(v, 3, 3 + total + 26), 'padded').toBe(ipv4.COMPLETE);
  });

  it.each([
    ['version 6', { version: 6 }, ipv4.BAD_VERSION],
    ['version 0', { version: 0 }, ipv4.BAD_VERSION],
    ['no header length', { headerLength: 0 }, ipv4.BAD_HEADER_LENGTH],
    ['a header of 16 bytes', { headerLength: 16 }, ipv4.BAD_HEADER_LENGTH],
    ['no total length', { totalLength: 0 }, ipv4.BAD_TOTAL_LENGTH],
    ['less than the header', { totalLength: 19 }, ipv4.BAD_TOTAL_LENGTH],
    ['less than the options', { headerLength: 60 }, ipv4.BAD_TOTAL_LENGTH],
    ['just the header', { totalLength: 20 }, ipv4.COMPLETE],
    ['one byte too much', { totalLength: 25 }, ipv4.TRUNCATED],
    ['the greatest total length', { totalLength: 0xffff }, ipv4.TRUNCATED],
  ])('of a packet with %s', (_name, spec, fault) => {
    expect(ipv4.isComplete(view(spec), 3, 3 + 24)).toBe(fault);
  });
});

describe('the edges of a header', () => {
  it('is COMPLETE with nothing behind it, and not one byte shorter', () => {
    const v = viewOf(packet().ipv4().bytes(), 3, 40);
    expect(ipv4.isComplete(v, 3, 3 + 20)).toBe(ipv4.COMPLETE);
    expect(ipv4.isComplete(v, 3, 3 + 19)).toBe(ipv4.TRUNCATED);
  });

  it('has another number for every fault, and zero for none', () => {
    const { TRUNCATED, BAD_VERSION, BAD_HEADER_LENGTH, BAD_TOTAL_LENGTH } = ipv4;
    expect(ipv4.COMPLETE).toBe(0);
    expect(new Set([0, TRUNCATED, BAD_VERSION, BAD_HEADER_LENGTH, BAD_TOTAL_LENGTH]).size).toBe(5);
  });

  it('reads the topmost bits without a sign', () => {
    const v = viewOf(hex('f5ff ffff ffff ffff ffff ffff'));
    expect(ipv4.version(v, 0)).toBe(15);
    expect(ipv4.flags(v, 0)).toBe(7);
    expect(ipv4.totalLength(v, 0)).toBe(0xffff);
    expect(ipv4.identification(v, 0)).toBe(0xffff);
    expect(ipv4.timeToLiveAndProtocol(v, 0)).toBe(0xffff);
  });
});

describe('fragments', () => {
  it.each([
    ['a whole packet', {}, false, false],
    ['one not to be fragmented', { dontFragment: true }, false, false],
    ['the first', { moreFragments: true }, true, true],
    ['one in the middle', { moreFragments: true, fragmentOffset: 8 }, true, false],
    ['the last', { fragmentOffset: 65528 }, true, false],
  ])('knows %s', (_name, spec, fragment, first) => {
    const v = view(spec);
    expect(ipv4.isFragment(v, 3)).toBe(fragment);
    expect(ipv4.isFirstFragment(v, 3)).toBe(first);
  });
});

describe('writing', () => {
  it('writes a literal header over poison, and nothing else', () => {
    const v = poisonedView(32);
    ipv4.writeHeader(v, 5, 0xc0a80001 | 0, 0xc0a800c7 | 0, ipv4.PROTOCOL_UDP, 64, 95);
    expect(bytesAt(v, 5, 20)).toEqual(HEADER);
    expect(isPoisonOutside(v, 5, 20)).toBe(true);
  });

  it('writes each field into its own bytes', () => {
    const v = poisonedView(30);
    ipv4.setVersionAndHeaderLength(v, 5, 60);
    ipv4.setTypeOfService(v, 5, 0xb8);
    ipv4.setTotalLength(v, 5, 0xfedc);
    ipv4.setIdentification(v, 5, 0xba98);
    ipv4.setFlagsAndFragmentOffset(v, 5, ipv4.FLAG_MORE_FRAGMENTS, 65528);
    ipv4.setTimeToLive(v, 5, 255);
    ipv4.setProtocol(v, 5, 132);
    ipv4.setHeaderChecksum(v, 5, 0xdead);
    ipv4.setSource(v, 5, -2);
    ipv4.setDestination(v, 5, 0x7fffffff);
    expect(bytesAt(v, 5, 20)).toEqual(hex('4fb8 fedc ba98 3fff ff84 dead ffff fffe 7fff ffff'));
    expect(isPoisonOutside(v, 5, 20)).toBe(true);
    expect(ipv4.fragmentOffset(v, 5)).toBe(65528);
    expect(ipv4.headerLength(v, 5)).toBe(60);
  });
});

describe('address text', () => {
  it.each([
    ['0.0.0.0', 0],
    ['10.0.0.1', 0x0a000001],
    ['127.255.255.255', 0x7fffffff],
    ['128.0.0.0', -0x80000000],
    ['192.168.1.2', 0xc0a80102 | 0],
    ['255.255.255.255', -1],
  ])('parses and formats %s', (text, address) => {
    expect(ipv4.parseAddress(text)).toBe(address);
    expect(ipv4.formatAddress(address)).toBe(text);
  });

  it('comes back from text as it went', () => {
    fc.assert(
      fc.property(fc.integer(), (int32) => {
        return ipv4.parseAddress(ipv4.formatAddress(int32)) === int32;
      }),
    );
  });

  it.each([
    '',
    '10',
    '10.1',
    '10.0.0',
    '10.0.0.',
    '.10.0.0',
    '10.0.0.1.',
    '10.0.0.0.1',
    '10.0.0.256',
    '10.0.0.010',
    '10.0.0.00',
    '10.0.0.0x1',
    '0x0a000001',
    '167772161',
    ' 10.0.0.1',
    '10.0.0.1 ',
    '10.0.0.1\n',
    '10.0.0.-1',
    '10.0.0.+1',
    '10.0.0.1e1',
    '10.0.0.1/32',
    '::1',
    '10..0.1',
    '10.0.0.1000',
    '1０.0.0.1',
  ])('refuses %j', (text) => {
    expect(() => ipv4.parseAddress(text)).toThrow(RangeError);
  });
});
