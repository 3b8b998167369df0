// Goal: the packet is found behind any number of tags, and never looked for behind the frame's end.
// Method: literal frames, and every truncation of each.

import { describe, expect, it } from 'vitest';
import { hex, viewOf } from '../../test/support/bytes.ts';
import { packet } from '../../test/support/packet-builder.ts';
import { TYPE_ARP, TYPE_IPV4 } from './ethernet.ts';
import * as vlan from './vlan.ts';

const MACS = '0200 0000 0002 0200 0000 0001';

describe('vlan', () => {
  it.each([
    ['no tag', '0800', 14, TYPE_IPV4],
    ['one tag', '8100 6005 0806', 18, TYPE_ARP],
    ['one service tag', '88a8 0005 0800', 18, TYPE_IPV4],
    ['two tags', '88a8 0005 8100 0006 0800', 22, TYPE_IPV4],
    ['two tags of the same type', '8100 0005 8100 0006 0800', 22, TYPE_IPV4],
    ['three tags, the third not followed', '88a8 0005 8100 0006 8100 0007 0800', 22, 0x8100],
    ['an 802.3 length in the place of a type', '0026', 14, 0x26],
  ])('finds the payload behind %s, and at no truncation', (_name, tail, offset, type) => {
    const bytes = hex(MACS + tail);
    const view = viewOf(bytes, 3, 40);
    expect(vlan.payloadOffset(view, 3, 3 + bytes.length)).toBe(3 + offset);
    expect(vlan.payloadType(view, 3 + offset)).toBe(type);
    for (let size = 0; size < offset; size++) {
      expect(vlan.payloadOffset(view, 3, 3 + size), `${size} bytes`).toBe(-1);
    }
    expect(vlan.payloadOffset(view, 3, 3 + offset)).toBe(3 + offset);
  });

  it('reads nothing behind the end: poison that looks like a tag changes nothing', () => {
    const view = viewOf(hex(`${MACS} 8100 0005 8100 0006 8100`));
    expect(vlan.payloadOffset(view, 0, 16)).toBe(-1);
    expect(vlan.payloadOffset(view, 0, 18)).toBe(-1);
    expect(vlan.payloadOffset(view, 0, 22)).toBe(22);
  });

  it('reads the first tag', () => {
    const view = viewOf(hex(`${MACS} 8100 7abc 0800`), 1);
    expect(vlan.identifier(view, 1)).toBe(0xabc);
    expect(vlan.priority(view, 1)).toBe(3);
  });

  it('agrees with the packet builder', () => {
    const frame = packet().ethernet().vlan(5, { tagType: 0x88a8 }).vlan(4095, { priority: 7 });
    const view = viewOf(frame.ipv4().udp().bytes());
    expect(vlan.payloadOffset(view, 0, view.byteLength)).toBe(22);
    expect(vlan.payloadType(view, 22)).toBe(TYPE_IPV4);
    expect(vlan.identifier(view, 0)).toBe(5);
    expect(vlan.identifier(view, 4)).toBe(4095);
    expect(vlan.priority(view, 4)).toBe(7);
  });
});
