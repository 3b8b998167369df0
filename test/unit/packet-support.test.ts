// Goal: the packets that other tests build are right, and a difference between two is named by its
// field. Method: literal packets, and building and decoding held against one another.

import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../support/bytes.ts';
import { packet } from '../support/packet-builder.ts';
import { decodeFrame, expectSameFields } from '../support/packet-fields.ts';

const SYN = packet()
  .ethernet({ source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' })
  .vlan(5)
  .ipv4({ source: '10.0.0.1', destination: '10.0.0.2', timeToLive: 64 })
  .tcp({ sourcePort: 1000, destinationPort: 80, flags: ['SYN'], sequence: 1 })
  .payload('hello');

/** What comparing two frames complains about. */
function complaint(actual: Uint8Array, expected: Uint8Array): string {
  try {
    expectSameFields(actual, expected);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

describe('packet builder', () => {
  it('builds a literal frame', () => {
    expect(toHex(SYN.bytes())).toBe(
      toHex(
        hex(`020000000002 020000000001 8100 0005 0800
          4500 002d 0000 0000 4006 66c9 0a00 0001 0a00 0002
          03e8 0050 0000 0001 0000 0000 5002 ffff 53d0 0000
          68656c6c6f`),
      ),
    );
  });

  it('builds a literal UDP datagram and echo', () => {
    const udp = packet().ipv4().udp({ sourcePort: 1000, destinationPort: 2000 }).payload('hi!');
    expect(toHex(udp.bytes().subarray(20))).toBe('03 e8 07 d0 00 0b 56 b4 68 69 21');
    const echo = packet().ipv4().icmp({ identifier: 1, sequence: 1 });
    expect(toHex(echo.bytes().subarray(20))).toBe('08 00 f7 fd 00 01 00 01');
  });

  it('sends 0xffff for a UDP checksum that comes out as zero', () => {
    const udp = packet().ethernet().ipv4().udp();
    const free = decodeFrame(udp.payload(Uint8Array.of(0, 0)).bytes()).udp!.checksum;
    // With its checksum as the data's one word, the sum of the datagram is 0xffff.
    const edge = udp.payload(hex(free.slice(2))).bytes();
    expect(decodeFrame(edge).udp).toMatchObject({ checksum: '0xffff', checksumValid: true });
  });

  it('takes any length and checksum it is given', () => {
    const bytes = packet()
      .ethernet({ type: 0x1234 })
      .ipv4({ totalLength: 99, headerChecksum: 0xdead, version: 5, headerLength: 20 })
      .udp({ length: 7, checksum: 0xbeef })
      .bytes();
    expect(toHex(bytes.subarray(12, 14))).toBe('12 34');
    expect(toHex(bytes.subarray(14, 18))).toBe('55 00 00 63');
    expect(toHex(bytes.subarray(24, 26))).toBe('de ad');
    expect(toHex(bytes.subarray(38, 42))).toBe('00 07 be ef');
  });

  it('never changes: two packets may share a beginning', () => {
    const start = packet().ethernet().ipv4();
    const before = start.bytes();
    start.tcp().payload('x');
    start.udp();
    expect(start.bytes()).toEqual(before);
  });

  it('pads with zeros', () => {
    const bytes = packet().ethernet().ipv4().udp().padTo(60).bytes();
    expect(bytes.length).toBe(60);
    expect(decodeFrame(bytes).padding).toBe(toHex(new Uint8Array(18)));
    expect(decodeFrame(bytes).udp!.checksumValid).toBe(true);
  });
});

describe('packet fields', () => {
  it('decodes every layer of a frame', () => {
    expect(decodeFrame(SYN.bytes())).toEqual({
      ethernet: { destination: '02:00:00:00:00:02', source: '02:00:00:00:00:01', type: '0x0800' },
      vlans: [{ tagType: '0x8100', identifier: 5, priority: 0 }],
      ipv4: {
        version: 4,
        headerLength: 20,
        typeOfService: 0,
        totalLength: 45,
        identification: 0,
        dontFragment: false,
        moreFragments: false,
        fragmentOffset: 0,
        timeToLive: 64,
        protocol: 6,
        headerChecksum: '0x66c9',
        headerChecksumValid: true,
        source: '10.0.0.1',
        destination: '10.0.0.2',
        options: '',
      },
      tcp: {
        sourcePort: 1000,
        destinationPort: 80,
        sequence: 1,
        acknowledgment: 0,
        dataOffset: 20,
        flags: ['SYN'],
        window: 65535,
        checksum: '0x53d0',
        checksumValid: true,
        urgentPointer: 0,
        options: '',
      },
      payload: '68 65 6c 6c 6f',
      padding: '',
    });
  });

  it('decodes the packet within an ICMP error, whole or cut', () => {
    const cause = packet().ipv4({ source: '10.9.9.9' }).tcp({ sourcePort: 4242 });
    const error = (embedded: Uint8Array) =>
      decodeFrame(packet().ethernet().ipv4().icmp({ type: 3, code: 3, embedded }).bytes()).icmp!;
    expect(error(cause.bytes())).toMatchObject({
      checksumValid: true,
      embedded: { ipv4: { source: '10.9.9.9' }, tcp: { sourcePort: 4242, checksumValid: true } },
    });
    expect(error(cause.bytes().subarray(0, 28))).toMatchObject({
      embedded: { ports: { source: 4242, destination: 80 }, payload: '00 00 00 00' },
    });
  });

  it('sees wrong checksums, and none in UDP as valid', () => {
    const ip = packet().ethernet().ipv4({ headerChecksum: 1 });
    expect(decodeFrame(ip.bytes()).ipv4!.headerChecksumValid).toBe(false);
    expect(decodeFrame(ip.tcp({ checksum: 1 }).bytes()).tcp!.checksumValid).toBe(false);
    expect(decodeFrame(ip.udp({ checksum: 1 }).bytes()).udp!.checksumValid).toBe(false);
    expect(decodeFrame(ip.icmp({ checksum: 1 }).bytes()).icmp!.checksumValid).toBe(false);
    expect(decodeFrame(ip.udp({ checksum: 0 }).bytes()).udp!.checksumValid).toBe(true);
  });

  it('decodes any truncation of a frame', () => {
    const bytes = SYN.bytes();
    for (let size = 0; size < bytes.length; size++) {
      const fields = decodeFrame(bytes.subarray(0, size));
      expect(fields.ethernet === undefined).toBe(size < 14);
      expect(fields.ipv4 === undefined).toBe(size < 38);
      expect(fields.tcp === undefined).toBe(size < 58);
    }
  });
});

describe('expectSameFields', () => {
  it('is content with equal frames', () => {
    expect(complaint(SYN.bytes(), SYN.bytes())).toBe('');
    const arp = packet().ethernet().arp().padTo(60).bytes();
    expectSameFields(arp, decodeFrame(arp));
  });

  it('names each field that differs', () => {
    const one = packet()
      .ethernet()
      .ipv4({ timeToLive: 64 })
      .tcp({ flags: ['SYN', 'ACK'] });
    const two = packet().ethernet().ipv4({ timeToLive: 63, headerChecksum: 1 }).tcp();
    const message = complaint(one.bytes(), two.bytes());
    expect(message).toContain('ipv4.timeToLive: expected 63, actual 64');
    expect(message).toContain('ipv4.headerChecksumValid: expected false, actual true');
    expect(message).toContain('tcp.flags: expected none, actual SYN+ACK');
    expect(message).not.toContain('tcp.sourcePort');
  });

  it('names a header that only one has, and a payload of another length', () => {
    const message = complaint(SYN.bytes(), packet().ethernet().ipv4().udp().bytes());
    expect(message).toContain('udp.sourcePort: expected 1000, actual (absent)');
    expect(message).toContain('vlans.0.identifier: expected (absent), actual 5');
    expect(message).toContain('payload');
  });

  it('sees a byte that is in no field', () => {
    const bytes = SYN.bytes();
    // The reserved bits of TCP; its checksum is made not to matter.
    const given = packet().ethernet().ipv4().tcp({ checksum: 0 }).bytes();
    const other = given.slice();
    other[14 + 20 + 12]! |= 0x02;
    expect(complaint(other, given)).toContain('byte 46: expected 80, actual 82 (no field)');
    expect(complaint(bytes, bytes.slice())).toBe('');
  });
});
