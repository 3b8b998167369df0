// Goal: messages are read and written byte for byte, and only those about IPv4 over Ethernet are
// accepted. Method: literal frames, every truncation, each constant field spoilt, writing over poison.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesAt, hex, isPoisonOutside, poisonedView, viewOf } from '../../test/support/bytes.ts';
import { packet } from '../../test/support/packet-builder.ts';
import { expectSameFields } from '../../test/support/packet-fields.ts';
import * as arp from './arp.ts';
import { formatMac } from './ethernet.ts';
import { formatAddress } from './ipv4.ts';

const SENDER = 0x0a000001;
const TARGET = 0xc0a80102 | 0;

const REQUEST = hex(`
  ffff ffff ffff f2fe dcba 9876 0806
  0001 0800 06 04 0001
  f2fe dcba 9876 0a00 0001
  0000 0000 0000 c0a8 0102
  0000 0000 0000 0000 0000 0000 0000 0000 0000`);

const REPLY = hex(`
  f200 8000 0001 f2fe dcba 9876 0806
  0001 0800 06 04 0002
  f2fe dcba 9876 0a00 0001
  f200 8000 0001 c0a8 0102
  0000 0000 0000 0000 0000 0000 0000 0000 0000`);

describe('reading', () => {
  it('reads a literal reply', () => {
    const view = viewOf(REPLY, 2);
    // Proxies answer from another MAC address than the one they tell: only the message counts.
    for (let at = 0; at < 12; at++) view.setUint8(2 + at, 0xa5);
    const message = 2 + 14;
    expect(arp.isComplete(view, message, 2 + 60)).toBe(true);
    expect(arp.operation(view, message)).toBe(arp.OPERATION_REPLY);
    expect(arp.senderHigh(view, message)).toBe(0xf2fe);
    expect(arp.senderLow(view, message)).toBe(0xdcba9876 | 0);
    expect(arp.senderAddress(view, message)).toBe(SENDER);
    expect(arp.targetHigh(view, message)).toBe(0xf200);
    expect(arp.targetLow(view, message)).toBe(0x80000001 | 0);
    expect(arp.targetAddress(view, message)).toBe(TARGET);
  });

  it('is complete at no truncation', () => {
    const view = viewOf(REQUEST);
    for (let size = 0; size < arp.MESSAGE_SIZE; size++) {
      expect(arp.isComplete(view, 14, 14 + size)).toBe(false);
    }
    expect(arp.isComplete(view, 14, 14 + arp.MESSAGE_SIZE)).toBe(true);
  });

  it.each([
    ['another hardware', { hardwareType: 6 }],
    ['another protocol', { protocolType: 0x86dd }],
    ['another length of hardware addresses', { hardwareLength: 8 }],
    ['another length of protocol addresses', { protocolLength: 16 }],
  ])('does not accept %s', (_name, wrong) => {
    const view = viewOf(packet().ethernet().arp(wrong).bytes());
    expect(arp.isComplete(view, 14, view.byteLength)).toBe(false);
    const right = viewOf(packet().ethernet().arp().bytes());
    expect(arp.isComplete(right, 14, right.byteLength)).toBe(true);
  });
});

describe('writing', () => {
  it('writes a literal request over poison, and nothing else', () => {
    const view = poisonedView(80);
    arp.writeRequest(view, 4, 0xf2fe, 0xdcba9876 | 0, SENDER, TARGET);
    expect(bytesAt(view, 4, arp.FRAME_SIZE)).toEqual(REQUEST);
    expect(isPoisonOutside(view, 4, arp.FRAME_SIZE)).toBe(true);
  });

  it('writes a literal reply over poison, and nothing else', () => {
    const view = poisonedView(80);
    arp.writeReply(view, 4, 0xf2fe, 0xdcba9876 | 0, SENDER, 0xf200, 0x80000001 | 0, TARGET);
    expect(bytesAt(view, 4, arp.FRAME_SIZE)).toEqual(REPLY);
    expect(isPoisonOutside(view, 4, arp.FRAME_SIZE)).toBe(true);
  });

  it('agrees with the packet builder on any addresses', () => {
    const high = fc.nat(0xffff);
    const int32 = fc.integer();
    fc.assert(
      fc.property(high, int32, int32, high, int32, int32, (mh, ml, sender, th, tl, target) => {
        const view = poisonedView(arp.FRAME_SIZE);
        arp.writeReply(view, 0, mh, ml, sender, th, tl, target);
        const senderMac = formatMac(mh, ml);
        const targetMac = formatMac(th, tl);
        const expected = packet()
          .ethernet({ source: senderMac, destination: targetMac })
          .arp({
            operation: 'reply',
            senderMac,
            senderAddress: formatAddress(sender),
            targetMac,
            targetAddress: formatAddress(target),
          })
          .padTo(arp.FRAME_SIZE);
        expectSameFields(bytesAt(view, 0, arp.FRAME_SIZE), expected.bytes());
      }),
    );
  });
});
