// Choice by content: which first packets a rule matches, that the first rule decides, and that packets that
// end where a rule would look are not read beyond their end. Method: rules that name one backend each,
// through the switch bench; the frame's last bytes in main memory stay those of the one before it.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PacketBuilder } from '../../test/support/packet-builder.ts';
import { packet } from '../../test/support/packet-builder.ts';
import {
  CLIENT,
  EXT_MAC,
  macOf,
  SwitchBench,
  service,
  VIP,
} from '../../test/support/switch-bench.ts';
import { icmpFromClient, query, request, SYN } from '../../test/support/switch-packets.ts';

const backends = [11, 12, 13].map((last) => {
  return { name: `b${last}`, address: `10.2.0.${last}`, port: 8080 };
});
const known = [CLIENT, ...backends.map(({ address }) => address)];

type Rules = readonly Record<string, unknown>[];

/** Web and a UDP service with rules; without a match, connections go to b11 alone. */
function benchOf(rules: Rules, last: Rules = [{ name: 'rest', backend: 'b11' }]) {
  const all = [...rules, ...last];
  // Payloads are for UDP only.
  const withoutPayload = all.filter((rule) => !('payload' in rule));
  const services = [
    service('web', { backends, rules: withoutPayload }),
    service('udp', { protocol: 'udp', port: 53, backends, rules: all }),
  ];
  return SwitchBench.create({ configuration: { services }, known });
}

let port = 2000;
/** The server that a first packet goes to, by the last byte of its address; or the reason why none. */
function serverOf(bench: SwitchBench, frame: PacketBuilder): number | string {
  const { reasons, sent } = bench.pass(frame);
  return reasons[0] === 'new-connection' ? sent[0].bytes[5] : reasons[0];
}
const syn = (tcp = {}, ip = {}) => request({ ...SYN, sourcePort: (port += 1), ...tcp }, ip);
const ask = (payload: Uint8Array | string, udp = {}, ip = {}) =>
  query({ sourcePort: (port += 1), ...udp }, ip).payload(payload);

describe('a rule', () => {
  it('by client network', async () => {
    const clients = ['10.1.0.64/26', '192.0.2.7/32'];
    const bench = await benchOf([{ name: 'net', clients, backend: 'b12' }]);
    const from = (source: string) => serverOf(bench, syn({}, { source }));
    expect(['10.1.0.63', '10.1.0.64', '10.1.0.127', '10.1.0.128'].map(from)).toEqual([
      11, 12, 12, 11,
    ]);
    expect(['192.0.2.6', '192.0.2.7', '192.0.2.8'].map(from)).toEqual([11, 12, 11]);
  });

  it('by client port, both ends included', async () => {
    const bench = await benchOf([
      { name: 'one', 'client-ports': '7', backend: 'b13' },
      { name: 'range', 'client-ports': '1024-2047', backend: 'b12' },
      { name: 'high', 'client-ports': '65000-65535', backend: 'b13' },
    ]);
    const from = (sourcePort: number) => serverOf(bench, syn({ sourcePort }));
    expect([6, 7, 8, 1023, 1024, 2047, 2048].map(from)).toEqual([11, 13, 11, 11, 12, 12, 11]);
    expect([64999, 65000, 65535].map(from)).toEqual([11, 13, 13]);
  });

  it('by differentiated services code point, whatever the congestion bits', async () => {
    const bench = await benchOf([{ name: 'voice', dscp: [0, 31, 32, 46, 63], backend: 'b12' }]);
    const marked = (dscp: number, ecn = 0) =>
      serverOf(bench, syn({}, { typeOfService: (dscp << 2) | ecn }));
    expect([0, 1, 30, 31, 32, 33, 46, 47, 62, 63].map((dscp) => marked(dscp))).toEqual([
      12, 11, 11, 12, 12, 11, 12, 11, 11, 12,
    ]);
    expect([marked(46, 3), marked(45, 3)]).toEqual([12, 11]);
  });

  it('by the outer VLAN of the frame', async () => {
    const bench = await benchOf([{ name: 'blue', vlan: 7, backend: 'b12' }]);
    const tagged = (...identifiers: number[]) => {
      const outer = packet().ethernet({ source: macOf(CLIENT), destination: EXT_MAC });
      const frame = identifiers
        .reduce((built, id, n) => built.vlan(id, n === 0 ? { priority: 5 } : {}), outer)
        .ipv4({ source: CLIENT, destination: VIP })
        .tcp({ ...SYN, sourcePort: (port += 1), destinationPort: 80 });
      return serverOf(bench, frame);
    };
    expect([tagged(), tagged(7), tagged(8), tagged(4095), tagged(7, 9), tagged(9, 7)]).toEqual([
      11, 12, 11, 11, 12, 11,
    ]);
  });

  it('by bytes of the payload under a mask', async () => {
    const dtls = { offset: 0, value: '16fe', mask: 'fffc' };
    const deep = { offset: 3, value: '00112233445566778899aabbccddeeff' };
    const bench = await benchOf([
      { name: 'dtls', payload: dtls, backend: 'b12' },
      { name: 'deep', payload: deep, backend: 'b13' },
    ]);
    const with_ = (hex: string) => serverOf(bench, ask(Buffer.from(hex, 'hex')));
    expect(['16fd', '16fe', '16ff', '17fe', '16', ''].map(with_)).toEqual([12, 12, 12, 11, 11, 11]);
    expect(with_(`ababab${deep.value}01`)).toBe(13);
    expect(with_(`ababab${deep.value}`)).toBe(13);
    expect(with_(`ababab${deep.value.slice(0, -2)}`)).toBe(11);
    expect(with_(`ababab${deep.value.slice(0, -2)}fe`)).toBe(11);
  });

  it('needs all of its conditions', async () => {
    const both = { clients: ['10.1.0.0/24'], 'client-ports': '100-200', dscp: [8], backend: 'b12' };
    const bench = await benchOf([{ name: 'both', ...both }]);
    const at = (source: string, sourcePort: number, typeOfService: number) =>
      serverOf(bench, syn({ sourcePort }, { source, typeOfService }));
    expect(at('10.1.0.10', 150, 32)).toBe(12);
    expect(at('10.1.1.10', 150, 32)).toBe(11);
    expect(at('10.1.0.10', 201, 32)).toBe(11);
    expect(at('10.1.0.10', 151, 36)).toBe(11);
  });

  it('that comes first decides, and without a match all backends are chosen from', async () => {
    const bench = await benchOf(
      [
        { name: 'first', 'client-ports': '1-100', backend: 'b12' },
        { name: 'second', 'client-ports': '1-200', backend: 'b13' },
      ],
      [],
    );
    const from = (sourcePort: number) => serverOf(bench, syn({ sourcePort }));
    expect([50, 100, 101, 200].map(from)).toEqual([12, 12, 13, 13]);
    expect(new Set([201, 202, 203].map(from))).toEqual(new Set([11, 12, 13]));
  });

  it('without a backend that can refuses, or lets any other take it', async () => {
    const down = backends.map((each, i) => ({ ...each, weight: i === 1 ? 0 : 1 }));
    const rules = [
      { name: 'refuse', 'client-ports': '1-100', backend: 'b12' },
      { name: 'any', 'client-ports': '101-200', backend: 'b12', otherwise: 'any' },
    ];
    const services = [service('web', { backends: down, rules })];
    const bench = await SwitchBench.create({ configuration: { services }, known });
    expect(serverOf(bench, syn({ sourcePort: 50 }))).toBe('reset-no-backend');
    expect([11, 13]).toContain(serverOf(bench, syn({ sourcePort: 150 })));
  });

  it('says nothing about ICMP, nor about connections that have begun', async () => {
    const rule = { name: 'marked', dscp: [46], backend: 'b12' };
    const bench = await benchOf([rule]);
    const { reasons } = bench.pass(icmpFromClient({ identifier: 7 }, { typeOfService: 46 << 2 }));
    expect(reasons).toEqual(['echo-answered']);
    bench.pass(request(SYN));
    const later = bench.pass(request({ ...SYN, flags: ['ACK'] }, { typeOfService: 46 << 2 }));
    expect(later.sent[0].bytes[5]).toBe(11);
  });
});

describe('a payload of any length', () => {
  it('matches as a plain comparison of bytes says', async () => {
    const bytes = (least: number, most: number) =>
      fc.uint8Array({ minLength: least, maxLength: most, max: 3 });
    const wanted = fc.record({ offset: fc.nat(8), value: bytes(1, 16), mask: bytes(16, 16) });
    const cases = fc.tuple(wanted, fc.array(bytes(0, 26), { minLength: 1, maxLength: 8 }));
    await fc.assert(
      fc.asyncProperty(cases, async ([{ offset, value, mask }, payloads]) => {
        const hex = (each: Uint8Array) => Buffer.from(each).toString('hex');
        const payload = { offset, value: hex(value), mask: hex(mask.slice(0, value.length)) };
        const bench = await benchOf([{ name: 'x', payload, backend: 'b12' }]);
        for (const each of payloads) {
          const isMatch =
            each.length >= offset + value.length &&
            value.every((byte, n) => ((byte ^ each[offset + n]) & mask[n]) === 0);
          expect(serverOf(bench, ask(each))).toBe(isMatch ? 12 : 11);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('that the datagram says to be shorter than its packet is compared up to there', async () => {
    const payload = { offset: 0, value: '01020304' };
    const bench = await benchOf([{ name: 'x', payload, backend: 'b12' }]);
    const bytes = Buffer.from('01020304', 'hex');
    expect(serverOf(bench, ask(bytes, { checksum: 0 }))).toBe(12);
    expect(serverOf(bench, ask(bytes, { checksum: 0, length: 11 }))).toBe(11);
  });
});
