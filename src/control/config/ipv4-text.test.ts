import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatIpv4,
  isTextFault,
  networkContains,
  networksOverlap,
  parseInterfaceAddress,
  parseIpv4,
  parseIpv4Network,
  parseIpv4Unicast,
  prefixMask,
} from './ipv4-text.ts';

const anyAddress = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const anyNetwork = fc
  .tuple(anyAddress, fc.integer({ min: 0, max: 32 }))
  .map(([address, prefixLength]) => ({
    address: address & prefixMask(prefixLength),
    prefixLength,
  }));

describe('addresses', () => {
  it('are int32 in host order', () => {
    expect(parseIpv4('10.0.0.1')).toBe(0x0a000001);
    expect(parseIpv4('192.0.2.1')).toBe(0xc0000201 | 0);
    expect(parseIpv4('255.255.255.255')).toBe(-1);
  });

  it('read back as they were written', () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        expect(parseIpv4(formatIpv4(address))).toBe(address);
      }),
    );
  });

  it('take or refuse any text without throwing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = parseIpv4(text);
        if (!isTextFault(parsed)) expect(formatIpv4(parsed)).toBe(text);
      }),
    );
  });

  it.each([
    '0.1.2.3',
    '127.0.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '1.2.3.-4',
    ' 1.2.3.4',
  ])('of a host are not %s', (text) => {
    expect(isTextFault(parseIpv4Unicast(text))).toBe(true);
  });
});

describe('networks', () => {
  it.each([
    ['default', 0, 0],
    ['0.0.0.0/0', 0, 0],
    ['10.2.0.0/16', 0x0a020000, 16],
    ['10.2.0.1/32', 0x0a020001, 32],
  ])('%s', (text, address, prefixLength) => {
    expect(parseIpv4Network(text)).toEqual({ address, prefixLength });
  });

  it.each(['10.2.0.1/31', '10.2.0.1/32', '10.2.0.1/8'])('an interface can have %s', (text) => {
    expect(isTextFault(parseInterfaceAddress(text))).toBe(false);
  });

  it.each([
    '10.2.0.1/',
    '10.2.0.1/1/2',
    '10.2.0.1/08',
    '10.2.0.1/0',
    '10.2.0.0/8x',
    '10.255.255.255/8',
  ])('an interface cannot have %s', (text) => {
    expect(isTextFault(parseInterfaceAddress(text))).toBe(true);
  });

  it('contain what has the same first bits', () => {
    const network = { address: 0xc0000200 | 0, prefixLength: 24 };
    expect(networkContains(network, 0xc00002ff | 0)).toBe(true);
    expect(networkContains(network, 0xc0000300 | 0)).toBe(false);
    expect(networkContains({ address: 0, prefixLength: 0 }, -1)).toBe(true);
  });

  it('overlap when one holds the first address of the other', () => {
    fc.assert(
      fc.property(anyNetwork, anyNetwork, (a, b) => {
        const expected = networkContains(a, b.address) || networkContains(b, a.address);
        expect(networksOverlap(a, b)).toBe(expected);
        expect(networksOverlap(b, a)).toBe(expected);
      }),
    );
    const halves = [0, 0x80000000 | 0].map((address) => ({ address, prefixLength: 1 }));
    expect(networksOverlap(halves[0], halves[1])).toBe(false);
    expect(networksOverlap({ address: 0, prefixLength: 0 }, halves[1])).toBe(true);
  });
});
