// Capture files against literal bytes in all four magics, every fault with its offset, and one
// property: what is written is read back, whatever the format.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex } from '../../test/support/bytes.ts';
import { WeirError } from '../base/errors.ts';
import { PcapReader, PcapWriter, pcapFileSink, readPcapFile } from './pcap-file.ts';

const HEADER_LITTLE = 'd4c3b2a1 0200 0400 00000000 00000000 00000400 01000000';
const HEADER_BIG = 'a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001';
const RECORD_LITTLE = '01000000 02000000 03000000 05000000 aabbcc';
const RECORD_BIG = '00000001 00000002 00000003 00000005 aabbcc';

function fault(text: string): string {
  try {
    const reader = new PcapReader(hex(text));
    while (reader.next());
  } catch (error) {
    expect(error).toBeInstanceOf(WeirError);
    expect((error as WeirError).code).toBe('ERR_PCAP_FORMAT');
    return (error as WeirError).message;
  }
  throw new Error('no fault found');
}

describe('reading', () => {
  it.each([
    ['microseconds, little-endian', HEADER_LITTLE + RECORD_LITTLE, 2000],
    ['microseconds, big-endian', HEADER_BIG + RECORD_BIG, 2000],
    [
      'nanoseconds, little-endian',
      HEADER_LITTLE.replace('d4c3b2a1', '4d3cb2a1') + RECORD_LITTLE,
      2,
    ],
    ['nanoseconds, big-endian', HEADER_BIG.replace('a1b2c3d4', 'a1b23c4d') + RECORD_BIG, 2],
  ])('%s', (_name, text, nanoseconds) => {
    const reader = new PcapReader(hex(text));
    for (let round = 0; round < 2; round++) {
      expect(reader.next()).toBe(true);
      expect(reader.seconds).toBe(1);
      expect(reader.nanoseconds).toBe(nanoseconds);
      expect(reader.capturedLength).toBe(3);
      expect(reader.originalLength).toBe(5);
      expect([...reader.bytes.subarray(reader.dataOffset, reader.dataOffset + 3)]).toEqual([
        0xaa, 0xbb, 0xcc,
      ]);
      expect(reader.next()).toBe(false);
      reader.rewind();
    }
  });

  it('reads a header with no record behind it', () => {
    expect(new PcapReader(hex(HEADER_LITTLE)).next()).toBe(false);
  });

  it.each([
    ['nothing', '', 'byte 0: ends within'],
    ['a cut header', HEADER_LITTLE.slice(0, 30), 'byte 13: ends within'],
    ['no magic', HEADER_LITTLE.replace('d4c3', '0000'), 'byte 0: no capture magic (0x0000b2a1)'],
    ['pcapng', HEADER_LITTLE.replace('d4c3b2a1', '0a0d0d0a'), 'byte 0: this is pcapng'],
    ['another version', HEADER_LITTLE.replace('0200', '0300'), 'byte 4: version 3'],
    ['another link type', `${HEADER_LITTLE.slice(0, -8)}71000000`, 'byte 20: link type 113'],
    ['a cut record header', `${HEADER_LITTLE}0100`, 'byte 24: ends within'],
    ['a cut record', (HEADER_LITTLE + RECORD_LITTLE).slice(0, -2), 'byte 40: record of 3 bytes'],
    ['an absurd length', `${HEADER_LITTLE}0000000000000000 01000400 01000400`, 'byte 32: a record'],
    ['a long fraction', `${HEADER_LITTLE}0000000040420f00 00000000 00000000`, 'byte 28: 1000000'],
  ])('refuses %s', (_name, text, message) => {
    expect(fault(text)).toContain(message);
  });
});

describe('writing', () => {
  it('writes the literal bytes', () => {
    const chunks: number[] = [];
    const writer = new PcapWriter((bytes) => chunks.push(...bytes));
    writer.write(hex('00aabbcc00'), 1, 3, 1000.002);
    writer.flush();
    writer.flush();
    const record = RECORD_LITTLE.replace('05000000', '03000000');
    expect(chunks).toEqual([...hex(HEADER_LITTLE + record)]);
  });

  it('is read back as it was written, in every format', () => {
    const frame = fc.uint8Array({ minLength: 0, maxLength: 1800 });
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.boolean(),
        fc.array(frame, { maxLength: 300 }),
        (nanosecond, littleEndian, frames) => {
          const chunks: Buffer[] = [];
          const writer = new PcapWriter((bytes) => chunks.push(Buffer.from(bytes)), {
            nanosecond,
            littleEndian,
          });
          for (const [at, bytes] of frames.entries())
            writer.write(bytes, 0, bytes.length, at * 1500);
          writer.flush();
          const reader = new PcapReader(Buffer.concat(chunks));
          expect([reader.nanosecond, reader.littleEndian]).toEqual([nanosecond, littleEndian]);
          for (const [at, bytes] of frames.entries()) {
            expect(reader.next()).toBe(true);
            const end = reader.dataOffset + reader.capturedLength;
            expect(Buffer.compare(reader.bytes.subarray(reader.dataOffset, end), bytes)).toBe(0);
            expect(reader.seconds * 1e9 + reader.nanoseconds).toBe(at * 15e8);
          }
          expect(reader.next()).toBe(false);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('goes through a file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-pcap-'));
    const path = join(folder, 'x.pcap');
    const { sink, close } = pcapFileSink(path);
    const writer = new PcapWriter(sink);
    const bytes = new Uint8Array(1500).fill(7);
    for (let i = 0; i < 400; i++) writer.write(bytes, 0, bytes.length, i);
    writer.flush();
    close();
    const reader = readPcapFile(path);
    let records = 0;
    while (reader.next()) records++;
    rmSync(folder, { recursive: true });
    expect(records).toBe(400);
  });
});
