// Goal: each field is read and written in its own bits; no header is taken for complete that leaves
// its packet. Method: a literal segment, every truncation, bad data offsets, writing over poison,
// random headers against the independent decoder.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesAt, hex, isPoisonOutside, poisonedView, viewOf } from '../../test/support/bytes.ts';
import { packet, type TcpSpec } from '../../test/support/packet-builder.ts';
import { decodePacket } from '../../test/support/packet-fields.ts';
import * as tcp from './tcp.ts';

/** SYN, ACK and ECE with a maximum segment size, and one byte of data. */
const SEGMENT = hex('01bb ffff fedc ba98 8000 0001 6052 fff0 1234 0506 0204 05b4 21');

function segmentView(spec: TcpSpec, data = ''): DataView {
  return viewOf(packet().tcp(spec).payload(data).bytes(), 3, 70);
}

describe('tcp', () => {
  it('reads a literal segment', () => {
    const view = viewOf(SEGMENT, 1);
    expect(tcp.isComplete(view, 1, 1 + SEGMENT.length)).toBe(true);
    expect(tcp.sourcePort(view, 1)).toBe(443);
    expect(tcp.destinationPort(view, 1)).toBe(65535);
    expect(tcp.sequenceNumber(view, 1)).toBe(0xfedcba98 | 0);
    expect(tcp.acknowledgmentNumber(view, 1)).toBe(-0x7fffffff);
    expect(tcp.dataOffset(view, 1)).toBe(24);
    expect(tcp.flags(view, 1)).toBe(tcp.FLAG_SYN | tcp.FLAG_ACK | tcp.FLAG_ECE);
    expect(tcp.window(view, 1)).toBe(0xfff0);
    expect(tcp.checksum(view, 1)).toBe(0x1234);
    expect(tcp.urgentPointer(view, 1)).toBe(0x0506);
    expect(tcp.segmentLength(view, 1, 1 + SEGMENT.length)).toBe(2);
  });

  it('writes a literal header over poison, and nothing else', () => {
    const view = poisonedView(30);
    tcp.setSourcePort(view, 5, 443);
    tcp.setDestinationPort(view, 5, 65535);
    tcp.setSequenceNumber(view, 5, 0xfedcba98 | 0);
    tcp.setAcknowledgmentNumber(view, 5, -0x7fffffff);
    tcp.setDataOffset(view, 5, 24);
    tcp.setFlags(view, 5, tcp.FLAG_SYN | tcp.FLAG_ACK | tcp.FLAG_ECE);
    tcp.setWindow(view, 5, 0xfff0);
    tcp.setChecksum(view, 5, 0x1234);
    tcp.setUrgentPointer(view, 5, 0x0506);
    expect(bytesAt(view, 5, 20)).toEqual(SEGMENT.subarray(0, 20));
    expect(isPoisonOutside(view, 5, 20)).toBe(true);
  });

  it('is complete at no truncation of its header, and at every one of its data', () => {
    const view = viewOf(SEGMENT, 3, 40);
    for (let size = 0; size < 24; size++) {
      expect(tcp.isComplete(view, 3, 3 + size), `${size} bytes`).toBe(false);
    }
    expect(tcp.isComplete(view, 3, 3 + 24)).toBe(true);
    expect(tcp.isComplete(view, 3, 3 + 25)).toBe(true);
  });

  it.each([0, 4, 16])('refuses a data offset of %i bytes, less than a header', (dataOffset) => {
    expect(tcp.isComplete(segmentView({ dataOffset }), 3, 3 + 60)).toBe(false);
  });

  it.each([20, 24, 60])('takes a data offset of %i bytes if they are there', (dataOffset) => {
    const view = segmentView({ dataOffset });
    expect(tcp.isComplete(view, 3, 3 + dataOffset - 1)).toBe(false);
    expect(tcp.isComplete(view, 3, 3 + dataOffset)).toBe(true);
  });

  it.each([
    ['nothing', {}, '', 0],
    ['an acknowledgment', { flags: ['ACK', 'PSH', 'RST', 'URG', 'ECE', 'CWR'] }, '', 0],
    ['SYN', { flags: ['SYN'] }, '', 1],
    ['FIN', { flags: ['FIN', 'ACK'] }, '', 1],
    ['data', { flags: ['ACK'] }, 'hello', 5],
    ['data and FIN', { flags: ['FIN'] }, 'hello', 6],
    ['SYN with options and data', { flags: ['SYN'], options: hex('0204 05b4') }, 'hello', 6],
  ] as const)('moves the sequence number by %s', (_name, spec, data, length) => {
    const view = segmentView(spec, data);
    const end = view.byteLength - 70;
    expect(tcp.segmentLength(view, 3, end)).toBe(length);
  });

  it('agrees with the independent decoder on any header', () => {
    const bits = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'] as const;
    const spec = fc.record({
      sourcePort: fc.nat(0xffff),
      destinationPort: fc.nat(0xffff),
      sequence: fc.integer(),
      acknowledgment: fc.integer(),
      flags: fc.subarray([...bits]),
      window: fc.nat(0xffff),
      urgentPointer: fc.nat(0xffff),
      options: fc.nat(10).chain((n) => fc.uint8Array({ minLength: n * 4, maxLength: n * 4 })),
    });
    fc.assert(
      fc.property(spec, (given) => {
        const bytes = packet().ipv4().tcp(given).payload('some data').bytes();
        const view = viewOf(bytes, 3, 5);
        const fields = decodePacket(bytes).tcp!;
        expect(tcp.isComplete(view, 23, 3 + bytes.length)).toBe(true);
        expect(tcp.sourcePort(view, 23)).toBe(fields.sourcePort);
        expect(tcp.destinationPort(view, 23)).toBe(fields.destinationPort);
        expect(tcp.sequenceNumber(view, 23) >>> 0).toBe(fields.sequence);
        expect(tcp.acknowledgmentNumber(view, 23) >>> 0).toBe(fields.acknowledgment);
        expect(tcp.dataOffset(view, 23)).toBe(fields.dataOffset);
        expect(bits.filter((_bit, i) => tcp.flags(view, 23) & (1 << i))).toEqual(fields.flags);
        expect(tcp.window(view, 23)).toBe(fields.window);
        expect(tcp.checksum(view, 23)).toBe(Number(fields.checksum));
        expect(tcp.urgentPointer(view, 23)).toBe(fields.urgentPointer);
      }),
    );
  });

  it.each([
    ['FIN', tcp.FLAG_FIN],
    ['SYN', tcp.FLAG_SYN],
    ['RST', tcp.FLAG_RST],
    ['PSH', tcp.FLAG_PSH],
    ['ACK', tcp.FLAG_ACK],
    ['URG', tcp.FLAG_URG],
    ['ECE', tcp.FLAG_ECE],
    ['CWR', tcp.FLAG_CWR],
  ] as const)('has the bit of %s', (name, bit) => {
    expect(tcp.flags(segmentView({ flags: [name] }), 3)).toBe(bit);
  });
});
