// The control host by an interface of the kernel's (37₀), packet by packet: what comes in for its virtual
// address, what it sends from its real one, and what is neither. Its conversations with itself, with its own
// network and with services: control-interface-services.test.ts.

import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  about,
  answered,
  asked,
  atClient,
  atHost,
  CONTROL_BY_INTERFACE as CONTROL,
  PAIRS,
  REAL,
  REAL_2,
  startWithPairs as start,
  datagram as udp,
  VIRTUAL,
  VIRTUAL_2,
} from '../../test/support/control-pair-packets.ts';
import { type Ipv4Spec, type PacketBuilder, packet } from '../../test/support/packet-builder.ts';
import { decodeFrame, expectSameFields } from '../../test/support/packet-fields.ts';
import {
  B1,
  B2,
  CLIENT,
  EXT,
  EXT_MAC,
  INT,
  INT_MAC,
  macOf,
  SwitchBench,
  VIP,
} from '../../test/support/switch-bench.ts';
import { SYN } from '../../test/support/switch-packets.ts';
import { INTERFACE_MTU } from '../memory/layout.ts';

/** Long enough to have a checksum where it has none. */
const REST = 'rest of it '.repeat(4);
const INWARDS = 'to-control-interface';
const OUTWARDS = 'from-control-interface';

const lookAlike = (ip: PacketBuilder) => ip.payload(`\u0003${REST}`);

let bench: SwitchBench;
/** Nothing is remembered of what is translated: most tests can do with one switch. */
let shared: SwitchBench;
beforeAll(async () => {
  shared = await start();
});
beforeEach(() => {
  bench = shared;
});

/** Exactly this comes out when that goes in. */
function expectPassed(frame: PacketBuilder, ingress: number, reason: string, out: PacketBuilder) {
  const { reasons, sent } = bench.pass(frame, ingress);
  expect(reasons).toEqual([reason]);
  expect(sent.map(({ egress }) => egress)).toEqual([ingress === EXT ? INT : EXT]);
  expectSameFields(sent[0].bytes, out.bytes());
}

function expectDropped(frame: PacketBuilder, ingress: number, reason: string) {
  expect(bench.pass(frame, ingress)).toEqual({ reasons: [reason], sent: [] });
}

/** The ICMP error that the switch answers a packet with. */
function errorAbout(frame: PacketBuilder, ingress: number) {
  const { reasons, sent } = bench.pass(frame, ingress);
  expect(sent.map(({ egress }) => egress)).toEqual([ingress]);
  const { ethernet, ipv4, icmp } = decodeFrame(sent[0].bytes);
  const { bytes } = sent[0];
  const embedded = Array.from(bytes.slice(54, 62)).join('.').split('.');
  return {
    reason: reasons.join(),
    to: [ethernet!.destination, ipv4!.destination],
    from: ipv4!.source,
    icmp: [icmp!.type, icmp!.code],
    mtu: Buffer.from(bytes).readUInt16BE(40),
    embedded: [embedded.slice(0, 4).join('.'), embedded.slice(4).join('.')],
  };
}

describe('both ways, whoever begins', () => {
  it.each<[string, Ipv4Spec, (built: PacketBuilder) => PacketBuilder]>([
    ['TCP, a first segment', {}, (ip) => ip.tcp({ ...SYN, destinationPort: 22 }).padTo(60)],
    ['TCP in its midst', {}, (ip) => ip.tcp({ flags: ['ACK'], sequence: 7 }).payload('x')],
    ['UDP', {}, (ip) => udp(ip)],
    ['UDP without a checksum', {}, (ip) => udp(ip, { checksum: 0 })],
    ['an echo request', {}, (ip) => ip.icmp({ type: 8, identifier: 7 }).payload('ping')],
    ['an echo reply', {}, (ip) => ip.icmp({ type: 0, identifier: 7 }).payload('ping')],
    ['another protocol', { protocol: 47 }, (ip) => ip.payload('gre')],
    ['IP options', { options: Uint8Array.of(0x94, 4, 0, 0) }, (ip) => udp(ip)],
    ['the first fragment of a datagram', { moreFragments: true }, (ip) => udp(ip)],
    ['a later one', { fragmentOffset: 1480, protocol: 17 }, (ip) => ip.payload(REST)],
    ['the first fragment of an echo', { moreFragments: true }, (ip) => ip.icmp({ type: 8 })],
    ['a later one of it', { fragmentOffset: 8, protocol: 1 }, (ip) => ip.payload(REST)],
    ['a later one that looks like an error', { fragmentOffset: 8, protocol: 1 }, lookAlike],
    ['a later one of a segment', { fragmentOffset: 24, protocol: 6 }, (ip) => ip.payload(REST)],
  ])('%s', (_name, ip, body) => {
    expectPassed(body(asked(ip)), EXT, INWARDS, body(atHost(ip)));
    expectPassed(body(answered(ip)), INT, OUTWARDS, body(atClient(ip)));
  });

  it('a checksum that is wrong stays as wrong', () => {
    for (const [protocol, built] of [
      [6, (ip: PacketBuilder) => ip.tcp({ ...SYN, checksum: 0x1234 })],
      [17, (ip: PacketBuilder) => udp(ip, { checksum: 0x1234 })],
    ] as const) {
      const { sent } = bench.pass(built(asked()), EXT);
      const is = Buffer.from(sent[0].bytes).readUInt16BE(34 + (protocol === 6 ? 16 : 6));
      // Two to four words of the pseudo-header differ: by so much the sum has moved.
      const difference = 0x0a02 + 0x0009 - (0x0a01 + 0x0032);
      expect((0x1234 - difference + 0xffff) % 0xffff).toBe(is % 0xffff);
      expect(() => expectSameFields(sent[0].bytes, built(atHost()).bytes())).toThrow();
    }
  });

  it('with an address of a network behind routers', () => {
    const ip = { destination: VIRTUAL_2 };
    const { reasons, sent } = bench.pass(udp(asked(ip)), EXT);
    expect(reasons).toEqual([INWARDS]);
    const { ethernet, ipv4 } = decodeFrame(sent[0].bytes);
    expect([ethernet!.destination, ipv4!.destination]).toEqual([macOf(REAL_2), REAL_2]);
  });

  it('by a VLAN tag, which goes as it came', () => {
    const tagged = (source: string, destination: string, ip: Ipv4Spec) =>
      udp(packet().ethernet({ source, destination }).vlan(7).ipv4(ip));
    expectPassed(
      tagged(macOf(CLIENT), EXT_MAC, { source: CLIENT, destination: VIRTUAL, timeToLive: 64 }),
      EXT,
      INWARDS,
      tagged(INT_MAC, macOf(REAL), { source: CLIENT, destination: REAL, timeToLive: 63 }),
    );
  });

  it('ARP for a virtual address is answered where its network is, for a real one never', () => {
    const question = (targetAddress: string) =>
      packet()
        .ethernet({ source: macOf(CLIENT), destination: 'ff:ff:ff:ff:ff:ff' })
        .arp({ senderMac: macOf(CLIENT), senderAddress: CLIENT, targetAddress });
    expect(bench.pass(question(VIRTUAL), EXT).reasons).toEqual(['arp-answered']);
    expect(bench.pass(question(REAL), EXT).sent).toEqual([]);
    expect(bench.pass(question(VIRTUAL), INT).sent).toEqual([]);
    // Of no network here: routers may ask anywhere.
    expect(bench.pass(question(VIRTUAL_2), INT).reasons).toEqual(['arp-answered']);
  });

  it('waits for ARP', async () => {
    bench = await SwitchBench.create({ configuration: { control: CONTROL } });
    const { reasons, sent } = bench.pass(udp(asked()), EXT);
    expect([reasons, sent.map(({ egress }) => egress)]).toEqual([['waiting'], [INT]]);
    bench.know(REAL);
    const [late] = bench.settle();
    expectSameFields(late.bytes, udp(atHost()).bytes());
    expect(bench.count(INWARDS)).toBe(1);
  });
});

describe('ICMP errors', () => {
  it('from a router outside, about what the control host has sent', () => {
    for (const code of [1, 4]) {
      const error = (ip: PacketBuilder, source: string) =>
        ip.icmp({ type: 3, code, sequence: 1300, embedded: about(source, '192.0.2.7') });
      expectPassed(error(asked(), VIRTUAL), EXT, INWARDS, error(atHost(), REAL));
    }
  });

  it('from the control host, about what was sent to it', () => {
    const error = (ip: PacketBuilder, destination: string) =>
      ip.icmp({ type: 3, code: 3, embedded: about(CLIENT, destination) });
    expectPassed(error(answered(), REAL), INT, OUTWARDS, error(atClient(), VIRTUAL));
  });

  it.each<[string, (source: string) => PacketBuilder | Uint8Array]>([
    ['TCP, of which only eight bytes are there', (source) => cut(tcpAbout(source), 28)],
    ['TCP, all of it', tcpAbout],
    ['an echo', (source) => packet().ipv4({ source, destination: CLIENT }).icmp({ type: 8 })],
    [
      'UDP without a checksum',
      (source) => udp(packet().ipv4({ source, destination: CLIENT }), { checksum: 0 }),
    ],
    ['IP options', (source) => optionsAbout(source)],
  ])('about %s', (_name, embedded) => {
    const error = (ip: PacketBuilder, source: string) =>
      ip.icmp({ type: 11, embedded: embedded(source) });
    expectPassed(error(asked(), VIRTUAL), EXT, INWARDS, error(atHost(), REAL));
  });

  it('about what the control host has not sent, damaged or cut short: go no further', () => {
    const error = (embedded: PacketBuilder | Uint8Array, rest = {}) =>
      asked().icmp({ type: 3, code: 1, embedded, ...rest });
    expectDropped(error(about(CLIENT, VIRTUAL)), EXT, 'icmp-ignored');
    expectDropped(error(about(REAL, CLIENT)), EXT, 'icmp-ignored');
    expectDropped(error(about(VIRTUAL, CLIENT), { checksum: 1 }), EXT, 'bad-transport-checksum');
    expectDropped(error(cut(about(VIRTUAL, CLIENT), 19)), EXT, 'bad-icmp');
    expectDropped(error(cut(optionsAbout(VIRTUAL), 30)), EXT, 'bad-icmp');
    const wrong = answered().icmp({ type: 3, code: 3, embedded: about(CLIENT, '10.2.0.7') });
    expectDropped(wrong, INT, 'icmp-ignored');
    // Redirects are for the network that they are said on.
    const redirect = asked().icmp({ type: 5, code: 1, embedded: about(VIRTUAL, CLIENT) });
    expectDropped(redirect, EXT, 'icmp-ignored');
    expectDropped(asked().icmp({ type: 5 }), EXT, 'icmp-ignored');
    // Nobody has verified one that comes in fragments.
    const split = asked({ moreFragments: true });
    expectDropped(split.icmp({ type: 3, embedded: about(VIRTUAL, CLIENT) }), EXT, 'fragment');
  });

  function tcpAbout(source: string) {
    return packet()
      .ipv4({ source, destination: CLIENT })
      .tcp({ flags: ['ACK'], sequence: 5 });
  }
  function optionsAbout(source: string) {
    const options = new Uint8Array(12).fill(1);
    return udp(packet().ipv4({ source, destination: CLIENT, options }));
  }
  function cut(built: PacketBuilder, length: number): Uint8Array {
    return built.bytes().slice(0, length);
  }
});

describe('a sender is told why its packet goes no further, of the packet as it came', () => {
  const toClient = { to: [macOf(CLIENT), CLIENT], from: '10.1.0.1', embedded: [CLIENT, VIRTUAL] };
  const toHost = { to: [macOf(REAL), REAL], from: '10.2.0.1' };

  it('time to live', () => {
    const ended = { icmp: [11, 0], reason: 'time-exceeded-answered' };
    const inwards = errorAbout(udp(asked({ timeToLive: 1 })), EXT);
    expect(inwards).toMatchObject({ ...toClient, ...ended });
    const outwards = errorAbout(udp(answered({ timeToLive: 1 })), INT);
    expect(outwards).toMatchObject({ ...toHost, ...ended, embedded: [REAL, CLIENT] });
  });

  it('the next link', async () => {
    bench = await start();
    const long = 'x'.repeat(1200);
    const needed = { icmp: [3, 4], mtu: 1100, reason: 'forwarding-refused' };
    bench.setInterface(INT, INTERFACE_MTU, 1100);
    const inwards = errorAbout(asked({ dontFragment: true }).udp().payload(long), EXT);
    expect(inwards).toMatchObject({ ...toClient, ...needed });
    bench.setInterface(INT, INTERFACE_MTU, 1500);
    bench.setInterface(EXT, INTERFACE_MTU, 1100);
    const outwards = errorAbout(answered({ dontFragment: true }).udp().payload(long), INT);
    expect(outwards).toMatchObject({ ...toHost, ...needed, embedded: [REAL, CLIENT] });
  });

  it('no route', () => {
    const lost = errorAbout(udp(answered({ destination: '203.0.113.9' })), INT);
    expect(lost).toMatchObject({ ...toHost, icmp: [3, 0], embedded: [REAL, '203.0.113.9'] });
  });

  it('a control host that does not answer ARP', async () => {
    bench = await SwitchBench.create({ configuration: { control: CONTROL } });
    bench.pass(udp(asked()), EXT);
    for (let i = 0; i < 40; i++) bench.advance(100);
    bench.collect();
    expect(bench.count('neighbor-unresolved')).toBe(1);
    expect(errorAbout(udp(asked()), EXT)).toMatchObject({ ...toClient, icmp: [3, 1] });
    const own = udp(answered({ destination: VIRTUAL }));
    expect(errorAbout(own, INT)).toMatchObject({ ...toHost, embedded: [REAL, VIRTUAL] });
  });
});

describe('who speaks in a name that is not its own', () => {
  it.each<[string, PacketBuilder, number]>([
    ['outside, the virtual address', udp(asked({ source: VIRTUAL })), EXT],
    ['outside, the real address, to the virtual one', udp(asked({ source: REAL })), EXT],
    ['outside, the real address, to a server', udp(asked({ source: REAL, destination: B1 })), EXT],
    [
      'outside, the real address, to a service',
      asked({ source: REAL, destination: VIP }).tcp({ ...SYN, destinationPort: 80 }),
      EXT,
    ],
    ['outside, the real address, an echo', asked({ source: REAL }).icmp({ type: 8 }), EXT],
    [
      'outside, the virtual address, a fragment',
      asked({ source: VIRTUAL_2, moreFragments: true, protocol: 17 }).payload('12345678'),
      EXT,
    ],
    ['outside, a broadcast', udp(asked({ source: '10.1.0.255' })), EXT],
    ['outside, a link-local address', udp(asked({ source: '169.254.1.1' })), EXT],
    ['inside, the virtual address', udp(answered({ source: VIRTUAL })), INT],
    ['inside, an address of the switch', udp(answered({ source: VIP, destination: VIRTUAL })), INT],
  ])('%s', (_name, frame, ingress) => {
    expectDropped(frame, ingress, 'bad-ip-source');
  });

  it('fragments that hide a checksum, or write over it', () => {
    const tiny = (ip: Ipv4Spec) => asked({ protocol: 6, ...ip }).payload('8 bytes!');
    expectDropped(tiny({ moreFragments: true }), EXT, 'fragment');
    expectDropped(tiny({ fragmentOffset: 8 }), EXT, 'fragment');
    expectDropped(tiny({ fragmentOffset: 16, moreFragments: true }), EXT, 'fragment');
    const empty = asked({ protocol: 1, moreFragments: true }).padTo(60);
    expectDropped(empty, EXT, 'fragment');
  });

  it('malformed packets end where all do', () => {
    expectDropped(udp(asked({ headerChecksum: 1 })), EXT, 'bad-ip-checksum');
    expectDropped(asked().tcp({ ...SYN, dataOffset: 8 }), EXT, 'bad-tcp-header');
    expectDropped(udp(asked(), { length: 99 }), EXT, 'bad-udp-length');
  });
});

describe('what is not translated', () => {
  it("the switch's own addresses, groups, and other hosts", () => {
    expect(
      bench.pass(answered({ destination: '10.2.0.1' }).icmp({ type: 8 }), INT).reasons,
    ).toEqual(['echo-answered']);
    const { reasons, sent } = bench.pass(answered({ destination: '10.1.0.1' }).tcp(SYN), INT);
    expect(reasons).toEqual(['reset-invalid-service']);
    expect(decodeFrame(sent[0].bytes).ipv4).toMatchObject({ destination: REAL });
    expectDropped(udp(answered({ destination: '224.0.0.5' })), INT, 'not-ours');
    expectDropped(udp(answered({ destination: '10.1.0.255' })), INT, 'not-ours');
    expectDropped(udp(asked({ destination: REAL })), EXT, 'not-ours');
    expectDropped(udp(answered({ source: B2 })), INT, 'not-ours');
  });

  it('nothing at all, when a reload has taken the pairs away', async () => {
    bench = await start();
    await bench.publish({});
    expectDropped(udp(asked()), EXT, 'not-ours');
    expectDropped(udp(answered()), INT, 'not-ours');
    await bench.publish({ control: { via: 'interface', pairs: [PAIRS[1]] } });
    expectDropped(udp(asked()), EXT, 'not-ours');
    expect(bench.pass(udp(asked({ destination: VIRTUAL_2 })), EXT).reasons).toEqual([INWARDS]);
  });
});
