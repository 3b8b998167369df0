// Goal: each field is read and written in its own bytes; no datagram is taken for complete that
// leaves its packet. Method: a literal datagram, every truncation, bad lengths, writing over poison.

import { describe, expect, it } from 'vitest';
import { bytesAt, hex, isPoisonOutside, poisonedView, viewOf } from '../../test/support/bytes.ts';
import { packet } from '../../test/support/packet-builder.ts';
import * as udp from './udp.ts';

const DATAGRAM = hex('c035 ffff 000b fedc 6869 21');

describe('udp', () => {
  it('reads a literal datagram', () => {
    const view = viewOf(DATAGRAM, 1);
    expect(udp.isComplete(view, 1, 1 + DATAGRAM.length)).toBe(true);
    expect(udp.sourcePort(view, 1)).toBe(0xc035);
    expect(udp.destinationPort(view, 1)).toBe(65535);
    expect(udp.length(view, 1)).toBe(11);
    expect(udp.checksum(view, 1)).toBe(0xfedc);
  });

  it('writes a literal header over poison, and nothing else', () => {
    const view = poisonedView(20);
    udp.setSourcePort(view, 5, 0xc035);
    udp.setDestinationPort(view, 5, 65535);
    udp.setLength(view, 5, 11);
    udp.setChecksum(view, 5, 0xfedc);
    expect(bytesAt(view, 5, 8)).toEqual(DATAGRAM.subarray(0, 8));
    expect(isPoisonOutside(view, 5, 8)).toBe(true);
  });

  it('takes the upper half of lengths as lengths', () => {
    const view = viewOf(new Uint8Array(0x8001));
    udp.setLength(view, 0, 0x8001);
    expect(udp.length(view, 0)).toBe(0x8001);
    expect(udp.isComplete(view, 0, 0x8001)).toBe(true);
    expect(udp.isComplete(view, 0, 0x8000)).toBe(false);
  });

  it('is complete without data', () => {
    const view = viewOf(packet().udp().bytes(), 3, 9);
    expect(udp.isComplete(view, 3, 3 + 8)).toBe(true);
    expect(udp.isComplete(view, 3, 3 + 7)).toBe(false);
  });

  it('is complete at no truncation', () => {
    const view = viewOf(DATAGRAM, 3, 40);
    for (let size = 0; size < 11; size++) {
      expect(udp.isComplete(view, 3, 3 + size), `${size} bytes`).toBe(false);
    }
    expect(udp.isComplete(view, 3, 3 + 11)).toBe(true);
    expect(udp.isComplete(view, 3, 3 + 12), 'shorter than the packet').toBe(true);
  });

  it.each([
    ['zero', 0, false],
    ['less than the header', 7, false],
    ['the header alone', 8, true],
    ['all there is', 13, true],
    ['one byte more', 14, false],
    ['the greatest there is', 0xffff, false],
  ])('of length %s', (_name, length, complete) => {
    const bytes = packet().udp({ length }).payload('hello').bytes();
    expect(udp.isComplete(viewOf(bytes, 3, 9), 3, 3 + bytes.length)).toBe(complete);
  });
});
