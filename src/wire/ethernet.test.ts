// Goal: each accessor reads and writes its own bytes and no others. Method: a literal header, and
// writing over poison.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesAt, hex, isPoisonOutside, poisonedView, viewOf } from '../../test/support/bytes.ts';
import * as ethernet from './ethernet.ts';

const HEADER = hex('fefe dcba 9876 f200 8000 0001 88a8');

describe('ethernet', () => {
  it('reads a literal header', () => {
    const view = viewOf(HEADER, 3, 3);
    expect(ethernet.destinationHigh(view, 3)).toBe(0xfefe);
    expect(ethernet.destinationLow(view, 3)).toBe(0xdcba9876 | 0);
    expect(ethernet.sourceHigh(view, 3)).toBe(0xf200);
    expect(ethernet.sourceLow(view, 3)).toBe(0x80000001 | 0);
    expect(ethernet.type(view, 3)).toBe(ethernet.TYPE_VLAN_SERVICE);
  });

  it('writes a literal header over poison, and nothing else', () => {
    const view = poisonedView(24);
    ethernet.setDestination(view, 4, 0xfefe, 0xdcba9876 | 0);
    ethernet.setSource(view, 4, 0xf200, 0x80000001 | 0);
    ethernet.setType(view, 4, ethernet.TYPE_VLAN_SERVICE);
    expect(bytesAt(view, 4, 14)).toEqual(HEADER);
    expect(isPoisonOutside(view, 4, 14)).toBe(true);
  });

  it('has the type numbers that IEEE assigned', () => {
    const { TYPE_IPV4, TYPE_ARP, TYPE_VLAN, TYPE_IPV6, TYPE_VLAN_SERVICE } = ethernet;
    expect([TYPE_IPV4, TYPE_ARP, TYPE_VLAN, TYPE_IPV6, TYPE_VLAN_SERVICE]).toEqual([
      0x0800, 0x0806, 0x8100, 0x86dd, 0x88a8,
    ]);
  });

  it('is complete with 14 bytes and at no truncation', () => {
    const view = viewOf(HEADER, 2, 20);
    for (let size = 0; size < 14; size++) {
      expect(ethernet.isComplete(view, 2, 2 + size)).toBe(false);
    }
    expect(ethernet.isComplete(view, 2, 16)).toBe(true);
    expect(ethernet.isComplete(view, 2, 17)).toBe(true);
  });

  it.each([
    ['broadcast', 'ff:ff:ff:ff:ff:ff', true],
    ['IPv4 multicast', '01:00:5e:00:00:01', true],
    ['one station', '02:00:00:00:00:01', false],
    ['one station with all other bits set', 'fe:ff:ff:ff:ff:ff', false],
  ])('knows whether %s is a group', (_name, mac, group) => {
    const view = poisonedView(14);
    ethernet.setDestination(view, 0, ethernet.parseMacHigh(mac), ethernet.parseMacLow(mac));
    expect(ethernet.isGroup(view, 0)).toBe(group);
  });
});

describe('MAC address text', () => {
  it('parses and formats literals', () => {
    expect(ethernet.parseMacHigh('02:FE:dc:ba:98:76')).toBe(0x02fe);
    expect(ethernet.parseMacLow('02:FE:dc:ba:98:76')).toBe(0xdcba9876 | 0);
    expect(ethernet.formatMac(0x02fe, 0xdcba9876 | 0)).toBe('02:fe:dc:ba:98:76');
    expect(ethernet.formatMac(0, 0)).toBe('00:00:00:00:00:00');
    expect(ethernet.formatMac(ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW)).toBe(
      'ff:ff:ff:ff:ff:ff',
    );
  });

  it('comes back from text as it went', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.integer(), (high, low) => {
        const text = ethernet.formatMac(high, low);
        return ethernet.parseMacHigh(text) === high && ethernet.parseMacLow(text) === low;
      }),
    );
  });

  it.each([
    '',
    '02:00:00:00:00',
    '02:00:00:00:00:01:02',
    '2:0:0:0:0:1',
    '02-00-00-00-00-01',
    '02:00:00:00:00:0g',
    ' 02:00:00:00:00:01',
    '02:00:00:00:00:01\n',
  ])('refuses %j', (text) => {
    expect(() => ethernet.parseMacHigh(text)).toThrow(RangeError);
    expect(() => ethernet.parseMacLow(text)).toThrow(RangeError);
  });
});
