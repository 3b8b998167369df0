import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAddress, decodeNeighbor, hostDumpRequest, RTM_GETLINK } from './host-messages.ts';
import {
  AF_INET,
  AF_INET6,
  decodeRoute,
  encodeRoute,
  type KernelRoute,
  NLM_F_REQUEST,
  ROUTE_TYPES,
  RTM_NEWROUTE,
  routeDumpRequest,
} from './route-messages.ts';

const HEADER_SIZE = 16;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const decodeHex = (hex: string) => decodeRoute(viewOf(Buffer.from(hex, 'hex')));
const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? '' : bytes.join('.'));

/** In one line: what `ip route` would say of it. */
function line(route: KernelRoute | undefined): string {
  if (route === undefined) return 'none';
  const ways = route.ways.map(
    (way) => `via ${text(way.gateway)} dev ${way.interfaceIndex} weight ${way.weight}`,
  );
  const { type, length, protocol, scope, priority, mtu, table } = route;
  const head = `${type} ${text(route.destination)}/${length} table ${table} proto ${protocol}`;
  return `${head} scope ${scope} metric ${priority} mtu ${mtu} ${ways.join(', ')}`.trim();
}

// As Linux 6.18 wrote them into a dump of `ip route add …`.
const FROM_KERNEL: readonly [string, string, string][] = [
  [
    'default via 10.1.0.1 mtu 1400',
    '02000000fe0300010000000008000f00fe0000000c0008000800020078050000080005000a0100010800040003000000',
    'unicast 0.0.0.0/0 table 254 proto 3 scope 0 metric 0 mtu 1400 via 10.1.0.1 dev 3 weight 1',
  ],
  [
    'a connected network',
    '02180000fe02fd010000000008000f00fe000000080001000a010000080007000a0100090800040003000000',
    'unicast 10.1.0.0/24 table 254 proto 2 scope 253 metric 0 mtu 0 via  dev 3 weight 1',
  ],
  [
    '192.0.2.0/24 via 10.1.0.254 metric 32 proto bird',
    '02180000fe0c00010000000008000f00fe00000008000100c00002000800060020000000080005000a0100fe0800040003000000',
    'unicast 192.0.2.0/24 table 254 proto 12 scope 0 metric 32 mtu 0 via 10.1.0.254 dev 3 weight 1',
  ],
  [
    'blackhole 198.51.100.0/24',
    '02180000fe0300060000000008000f00fe00000008000100c6336400',
    'blackhole 198.51.100.0/24 table 254 proto 3 scope 0 metric 0 mtu 0',
  ],
  [
    'prohibit 198.51.100.8/29',
    '021d0000fe0300080000000008000f00fe00000008000100c6336408',
    'prohibit 198.51.100.8/29 table 254 proto 3 scope 0 metric 0 mtu 0',
  ],
  [
    '203.0.113.0/24 nexthop via 10.1.0.2 weight 3 nexthop via 10.1.0.3 weight 1',
    '02180000fe0300010000000008000f00fe00000008000100cb007100240009001000000203000000080005000a0100021000000003000000080005000a010003',
    'unicast 203.0.113.0/24 table 254 proto 3 scope 0 metric 0 mtu 0 via 10.1.0.2 dev 3 weight 3, via 10.1.0.3 dev 3 weight 1',
  ],
  [
    '10.77.0.0/16 via inet6 2001:db8::1',
    '02100000fe0300010000000008000f00fe000000080001000a4d0000160012000a0020010db800000000000000000000000100000800040003000000',
    'unicast 10.77.0.0/16 table 254 proto 3 scope 0 metric 0 mtu 0 via 32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1 dev 3 weight 1',
  ],
  [
    '-6 2001:db8:1::/48 via 2001:db8::1 metric 7',
    '0a300000fe0300010000000008000f00fe0000001400010020010db800010000000000000000000008000600070000001400050020010db8000000000000000000000001080004000300000024000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000',
    'unicast 32.1.13.184.0.1.0.0.0.0.0.0.0.0.0.0/48 table 254 proto 3 scope 0 metric 7 mtu 0 via 32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1 dev 3 weight 1',
  ],
];

describe('a route of the kernel', () => {
  it.each(FROM_KERNEL)('%s', (_command, hex, expected) => {
    expect(line(decodeHex(hex))).toBe(expected);
  });

  it('is none when it is malformed', () => {
    const good = FROM_KERNEL[2][1];
    expect(decodeHex(good.slice(0, 22))).toBeUndefined();
    // A prefix longer than its address, a family that is neither, a type that is not known, a clone.
    expect(decodeHex(`0221${good.slice(4)}`)).toBeUndefined();
    expect(decodeHex(`07${good.slice(2)}`)).toBeUndefined();
    expect(decodeHex(`${good.slice(0, 14)}63${good.slice(16)}`)).toBeUndefined();
    expect(decodeHex(`${good.slice(0, 16)}00020000${good.slice(24)}`)).toBeUndefined();
    // A prefix without its address.
    expect(decodeHex(good.slice(0, 40))).toBeUndefined();
  });

  it('keeps what came before an attribute that is cut off', () => {
    const [, multipath] = FROM_KERNEL[5];
    expect(decodeHex(multipath.slice(0, -8))?.ways).toEqual([]);
    const oneWay = multipath.replace('24000900', '22000900');
    expect(decodeHex(oneWay)?.ways.map(({ gateway }) => text(gateway))).toEqual(['10.1.0.2']);
  });
});

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** Any route that can be written, of one family. */
function anyRoute(family: number): fc.Arbitrary<KernelRoute> {
  const size = family === AF_INET ? 4 : 16;
  const way = fc.record({
    interfaceIndex: fc.integer({ min: 1, max: 0x7fff_ffff }),
    gateway: fc.option(bytesOf(size), { nil: undefined }),
    weight: fc.integer({ min: 1, max: 256 }),
    flags: fc.constant(0),
    isEncapsulated: fc.constant(false),
  });
  return fc
    .record({
      family: fc.constant(family),
      destination: bytesOf(size),
      length: fc.nat(size * 8),
      typeOfService: fc.nat(255),
      table: fc.integer({ min: 1, max: 0xffff_ffff }),
      protocol: fc.nat(255),
      scope: fc.nat(255),
      type: fc.constantFrom(...ROUTE_TYPES),
      priority: fc.nat(0xffff_ffff),
      ways: fc.array(way, { maxLength: 5 }),
      nexthopId: fc.constant(0),
      preferredSource: fc.option(bytesOf(size), { nil: undefined }),
      mtu: fc.nat(65535),
    })
    .map((route) => ({
      ...route,
      destination: route.length === 0 ? new Uint8Array(size) : route.destination,
      // A single way has no weight of its own.
      ways: route.ways.length === 1 ? [{ ...route.ways[0], weight: 1 }] : route.ways,
    }));
}

describe('a route that we write', () => {
  it('is read as it was written, in both families', () => {
    fc.assert(
      fc.property(fc.oneof(anyRoute(AF_INET), anyRoute(AF_INET6)), (route) => {
        const message = encodeRoute(route, RTM_NEWROUTE, NLM_F_REQUEST, 7);
        const view = viewOf(message);
        expect(view.getUint32(0, true)).toBe(message.length);
        expect(view.getUint16(4, true)).toBe(RTM_NEWROUTE);
        expect(view.getUint32(8, true)).toBe(7);
        expect(decodeRoute(viewOf(message.subarray(HEADER_SIZE)))).toEqual(route);
      }),
    );
  });

  it('is asked for by family and table', () => {
    const hex = Buffer.from(routeDumpRequest(AF_INET, 254, 5)).toString('hex');
    expect(hex).toBe(
      '240000001a0001030500000000000000' + '020000000000000000000000' + '08000f00fe000000',
    );
  });
});

describe('what is malformed', () => {
  const decoders = [decodeRoute, decodeAddress, decodeNeighbor];

  it('never makes a decoder throw, nor read what is not the message', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(16), (bytes, margin) => {
        // Within a larger buffer, whose other bytes would show.
        const buffer = new Uint8Array(bytes.length + 2 * margin).fill(0xff);
        buffer.set(bytes, margin);
        const within = new DataView(buffer.buffer, margin, bytes.length);
        for (const decode of decoders) {
          expect(decode(within)).toEqual(decode(viewOf(bytes)));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('nor do real messages with a byte changed or cut at any place', () => {
    for (const [, hex] of FROM_KERNEL) {
      const bytes = Buffer.from(hex, 'hex');
      for (let at = 0; at < bytes.length; at++) {
        decodeRoute(viewOf(bytes.subarray(0, at)));
        for (const value of [0, 1, 3, 0x7f, 0xff]) {
          const changed = Uint8Array.from(bytes);
          changed[at] = value;
          const ways = decodeRoute(viewOf(changed))?.ways ?? [];
          expect(ways.length).toBeLessThan(5);
        }
      }
    }
  });
});

describe('what else there is on a host', () => {
  it('addresses', () => {
    const hex = '0218800003000000' + '080001000a010009' + '080002000a010009' + '07000300763000ff';
    expect(decodeAddress(viewOf(Buffer.from(hex, 'hex')))).toMatchObject({
      family: AF_INET,
      interfaceIndex: 3,
      prefixLength: 24,
      address: Uint8Array.of(10, 1, 0, 9),
    });
  });

  it('neighbors, with and without a MAC address', () => {
    const head = '020000000300000002000001' + '080001000a010001';
    const known = viewOf(Buffer.from(`${head}0a0002000200 0a0100010000`.replace(' ', ''), 'hex'));
    expect(decodeNeighbor(known)).toMatchObject({
      interfaceIndex: 3,
      state: 2,
      address: Uint8Array.of(10, 1, 0, 1),
      linkAddress: Uint8Array.of(2, 0, 10, 1, 0, 1),
    });
    expect(decodeNeighbor(viewOf(Buffer.from(head, 'hex')))?.linkAddress).toBeUndefined();
  });

  it('is asked for by its kind', () => {
    const hex = Buffer.from(hostDumpRequest(RTM_GETLINK, 0, 1)).toString('hex');
    expect(hex).toBe(`20000000120001030100000000000000${'00'.repeat(16)}`);
  });
});
