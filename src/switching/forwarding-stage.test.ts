// What no service claims, from one interface to another: as a router does it, with and without translation of
// the source, and what the sender is told when it cannot be done.

import { describe, expect, it } from 'vitest';
import type { Ipv4Spec, PacketBuilder } from '../../test/support/packet-builder.ts';
import { packet } from '../../test/support/packet-builder.ts';
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
import { INTERFACE_MTU } from '../memory/layout.ts';

const OUTER = '10.1.0.3';
const FAR = '192.0.2.9';
const ROUTES = [
  { to: '198.51.100.0/24', type: 'unreachable' },
  { to: '203.0.113.0/24', type: 'prohibit' },
  { to: '100.64.0.0/10', type: 'blackhole' },
];
const PLAIN = [
  { from: 'int0', to: 'ext0' },
  { from: 'ext0', to: 'int0' },
];
const NAT = [{ from: 'int0', to: 'ext0', source: OUTER, 'source-ports': '2000-2003' }];

const bench = (forwarding: object[] = [], more = {}) =>
  SwitchBench.create({ configuration: { forwarding, routes: ROUTES, ...more } });

/** From a server, to the switch; and from the switch to the client's side, one hop further. */
const out = (ip: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: macOf(B2), destination: INT_MAC })
    .ipv4({ source: B2, destination: CLIENT, timeToLive: 64, ...ip });
const sentOut = (ip: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: EXT_MAC, destination: macOf(CLIENT) })
    .ipv4({ source: B2, destination: CLIENT, timeToLive: 63, ...ip });
const back = (ip: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: macOf(CLIENT), destination: EXT_MAC })
    .ipv4({ source: CLIENT, destination: B2, timeToLive: 64, ...ip });
const sentBack = (ip: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: INT_MAC, destination: macOf(B2) })
    .ipv4({ source: CLIENT, destination: B2, timeToLive: 63, ...ip });
const udp = (built: PacketBuilder, sourcePort = 5000, destinationPort = 53) =>
  built.udp({ sourcePort, destinationPort }).payload('datagram');

/** What an ICMP error is about. */
const ABOUT = packet().ipv4({ source: CLIENT, destination: B2 }).udp({ sourcePort: 1 });

/** What comes out when this goes in, and under which reason. */
async function pass(on: SwitchBench, frame: PacketBuilder, ingress = INT) {
  const { reasons, sent } = on.pass(frame, ingress);
  return { reason: reasons.join(), sent };
}

function expectSent(
  outcome: Awaited<ReturnType<typeof pass>>,
  egress: number,
  frame: PacketBuilder,
) {
  expect(outcome.sent).toHaveLength(1);
  expect(outcome.sent[0].egress).toBe(egress);
  expectSameFields(outcome.sent[0].bytes, frame.bytes());
}

/** The error that the switch has sent about a packet: its type and code, and what it embeds. */
function errorOf({ sent }: Awaited<ReturnType<typeof pass>>) {
  const { ipv4, icmp, ethernet } = decodeFrame(sent[0].bytes);
  return { egress: sent[0].egress, ethernet, ipv4, icmp, bytes: sent[0].bytes };
}

describe('forwarding is off', () => {
  it('by default, and in the direction that is not named', async () => {
    expect(await pass(await bench(), udp(out()))).toEqual({ reason: 'not-ours', sent: [] });
    const oneWay = await bench([PLAIN[0]]);
    expect((await pass(oneWay, udp(back()), EXT)).reason).toBe('not-ours');
    expect((await pass(oneWay, udp(out()))).reason).toBe('forwarded');
  });

  it('for addresses of ours, groups, and in our name', async () => {
    const on = await bench(PLAIN);
    for (const destination of ['224.0.0.5', '255.255.255.255', '127.0.0.1', '169.254.1.1']) {
      expect((await pass(on, udp(out({ destination })))).reason, destination).toBe('not-ours');
    }
    expect((await pass(on, udp(out({ destination: '10.1.0.1' })))).reason).toBe('invalid-service');
    expect((await pass(on, udp(out({ source: VIP })))).reason).toBe('bad-ip-source');
    const ping = out({ source: '10.2.0.1' }).icmp({ type: 8 });
    expect((await pass(on, ping)).reason).toBe('bad-ip-source');
  });

  it("for a backend's segment that has lost its connection", async () => {
    const on = await bench(PLAIN);
    const lost = out({ source: B1 }).tcp({ sourcePort: 8080, destinationPort: 7, flags: ['ACK'] });
    expect((await pass(on, lost)).reason).toBe('reset-unknown-connection');
  });
});

describe('forwarding without translation', () => {
  it.each([
    ['UDP', (ip: PacketBuilder) => udp(ip)],
    ['TCP in its midst', (ip: PacketBuilder) => ip.tcp({ flags: ['ACK'], sourcePort: 9 })],
    ['an echo request', (ip: PacketBuilder) => ip.icmp({ type: 8 }).payload('ping')],
    ['an ICMP error', (ip: PacketBuilder) => ip.icmp({ type: 3, code: 3, embedded: ABOUT })],
  ])('%s, both ways', async (_name, body) => {
    const on = await bench(PLAIN);
    const outwards = await pass(on, body(out()));
    expect(outwards.reason).toBe('forwarded');
    expectSent(outwards, EXT, body(sentOut()));
    const inwards = await pass(on, body(back()), EXT);
    expect(inwards.reason).toBe('forwarded');
    expectSent(inwards, INT, body(sentBack()));
  });

  it.each([
    ['another protocol', { protocol: 47 }],
    ['a first fragment', { protocol: 17, moreFragments: true }],
    ['a later fragment', { protocol: 17, fragmentOffset: 1480 }],
    ['IP options', { protocol: 47, options: Uint8Array.of(0x94, 4, 0, 0) }],
  ])('%s', async (_name, ip) => {
    const on = await bench(PLAIN);
    const outcome = await pass(on, out(ip).payload('y'.repeat(40)));
    expect(outcome.reason).toBe('forwarded');
    expectSent(outcome, EXT, sentOut(ip).payload('y'.repeat(40)));
  });

  it('waits for a neighbor, and then says that the host cannot be reached', async () => {
    const on = await bench(PLAIN);
    const silent = { destination: '10.1.0.77' };
    expect((await pass(on, udp(out(silent)))).reason).toBe('waiting');
    for (let i = 0; i < 40; i++) on.advance(100);
    on.collect();
    expect(on.count('neighbor-unresolved')).toBe(1);
    const outcome = await pass(on, udp(out(silent)));
    expect(outcome.reason).toBe('forwarding-refused');
    expect(errorOf(outcome)).toMatchObject({ egress: INT, icmp: { type: 3, code: 1 } });
  });
});

describe('the sender is told', () => {
  it.each([
    ['time exceeded', 'time-exceeded-answered', { timeToLive: 1 }, { type: 11, code: 0 }],
    ['no route', 'forwarding-refused', { destination: FAR }, { type: 3, code: 0 }],
    ['unreachable', 'forwarding-refused', { destination: '198.51.100.1' }, { type: 3, code: 1 }],
    ['prohibited', 'forwarding-refused', { destination: '203.0.113.1' }, { type: 3, code: 13 }],
  ])('%s', async (_name, reason, ip, icmp) => {
    for (const forwarding of [PLAIN, NAT]) {
      const on = await bench(forwarding);
      const original = udp(out(ip));
      const outcome = await pass(on, original);
      expect(outcome.reason).toBe(reason);
      const error = errorOf(outcome);
      expect(error).toMatchObject({
        egress: INT,
        ethernet: { source: INT_MAC, destination: macOf(B2) },
        ipv4: { source: '10.2.0.1', destination: B2, protocol: 1 },
        icmp,
      });
      // The packet as it came: IP header and the first bytes behind it.
      expect([...error.bytes.subarray(42, 42 + 28)]).toEqual([
        ...original.bytes().subarray(14, 42),
      ]);
    }
  });

  it('how long packets may be, whether they may be fragmented or not', async () => {
    for (const forwarding of [PLAIN, NAT]) {
      const on = await bench(forwarding);
      on.setInterface(EXT, INTERFACE_MTU, 600);
      for (const dontFragment of [true, false]) {
        const long = out({ dontFragment }).udp({ sourcePort: 7 }).payload('z'.repeat(700));
        const outcome = await pass(on, long);
        expect(outcome.reason).toBe('forwarding-refused');
        const { icmp, bytes } = errorOf(outcome);
        expect(icmp).toMatchObject({ type: 3, code: 4 });
        expect((bytes[40] << 8) | bytes[41]).toBe(600);
        expect(bytes.length).toBe(14 + 576);
      }
    }
  });

  it('nothing about blackholes, errors, later fragments and groups, nor beyond the limit', async () => {
    const on = await bench(PLAIN, { 'rate-limits': { 'icmp-errors': 2 } });
    const quiet = async (frame: PacketBuilder) => (await pass(on, frame)).reason;
    expect(await quiet(udp(out({ destination: '100.64.0.1' })))).toBe('route-blackhole');
    const error = out({ timeToLive: 1 }).icmp({ type: 3, code: 1, embedded: ABOUT });
    expect(await quiet(error)).toBe('ttl-expired');
    const late = out({ timeToLive: 1, protocol: 17, fragmentOffset: 8 }).payload('x'.repeat(28));
    expect(await quiet(late)).toBe('ttl-expired');
    const reasons: string[] = [];
    for (let i = 0; i < 4; i++) reasons.push(await quiet(udp(out({ destination: FAR }))));
    expect(reasons).toEqual(['forwarding-refused', 'forwarding-refused', 'no-route', 'no-route']);
    // Nothing is left of the limit: dropped for what they would have been told.
    expect(await quiet(udp(out({ destination: '198.51.100.1' })))).toBe('route-unreachable');
    expect(await quiet(udp(out({ destination: '203.0.113.1' })))).toBe('route-prohibited');
  });
});

describe('forwarding with translation', () => {
  it.each(['short', 'long'])('UDP, the %s way: a port of ours outwards, and back', async (way) => {
    const on = await bench(NAT);
    if (way === 'long') on.goTheLongWay();
    const first = await pass(on, udp(out()));
    expect(first.reason).toBe('source-nat');
    const port = (decodeFrame(first.sent[0].bytes).udp as { sourcePort: number }).sourcePort;
    expect(port).toBeGreaterThanOrEqual(2000);
    expect(port).toBeLessThanOrEqual(2003);
    expectSent(first, EXT, udp(sentOut({ source: OUTER }), port));
    const reply = await pass(on, udp(back({ destination: OUTER }), 53, port), EXT);
    expect(reply.reason).toBe('connection');
    expectSent(reply, INT, udp(sentBack(), 53, 5000));
    expect((await pass(on, udp(out()))).reason).toBe('connection');
    // Nobody else can answer, and nobody can begin from outside.
    const other = udp(back({ source: '10.1.0.44', destination: OUTER }), 53, port);
    expect((await pass(on, other, EXT)).reason).toBe('invalid-service');
  });

  it('keeps the port where it is free, and finds others until there are none', async () => {
    const on = await bench(NAT);
    const used = new Set<number>();
    for (const source of ['10.2.0.21', '10.2.0.22', '10.2.0.23', '10.2.0.24']) {
      const { sent, reason } = await pass(on, udp(out({ source }), 2002));
      expect(reason).toBe('source-nat');
      used.add((decodeFrame(sent[0].bytes).udp as { sourcePort: number }).sourcePort);
      if (used.size === 1) expect([...used]).toEqual([2002]);
    }
    expect([...used].sort()).toEqual([2000, 2001, 2002, 2003]);
    const fifth = udp(out({ source: '10.2.0.25' }), 2002);
    expect((await pass(on, fifth)).reason).toBe('source-nat-full');
    // Towards another end point all of them are free.
    const elsewhere = udp(out({ source: '10.2.0.25' }), 2002, 54);
    expect((await pass(on, elsewhere)).reason).toBe('source-nat');
  });

  it('TCP from its SYN to its end, and a new one of the same ports', async () => {
    const on = await bench(NAT);
    const tcp = (built: PacketBuilder, ports: [number, number], flags: ('SYN' | 'ACK' | 'RST')[]) =>
      built.tcp({ sourcePort: ports[0], destinationPort: ports[1], flags, sequence: 5 });
    const stray = await pass(on, tcp(out(), [2001, 80], ['ACK']));
    expect(stray).toEqual({ reason: 'unknown-connection', sent: [] });
    for (let round = 0; round < 2; round++) {
      const syn = await pass(on, tcp(out(), [2001, 80], ['SYN']));
      expect(syn.reason).toBe('source-nat');
      expectSent(syn, EXT, tcp(sentOut({ source: OUTER }), [2001, 80], ['SYN']));
      const answer = tcp(back({ destination: OUTER }), [80, 2001], ['SYN', 'ACK']);
      const accepted = await pass(on, answer, EXT);
      expectSent(accepted, INT, tcp(sentBack(), [80, 2001], ['SYN', 'ACK']));
      expect((await pass(on, tcp(out(), [2001, 80], ['ACK']))).reason).toBe('connection');
      const reset = tcp(back({ destination: OUTER }), [80, 2001], ['RST', 'ACK']);
      expect((await pass(on, reset, EXT)).reason).toBe('connection');
    }
  });

  it('echo requests and their replies, by the identifier', async () => {
    const on = await bench(NAT);
    const ping = (built: PacketBuilder, type: number, identifier: number) =>
      built.icmp({ type, identifier, sequence: 3 }).payload('abcdefgh');
    const request = await pass(on, ping(out(), 8, 77));
    expect(request.reason).toBe('source-nat');
    const { identifier } = decodeFrame(request.sent[0].bytes).icmp as { identifier: number };
    expectSent(request, EXT, ping(sentOut({ source: OUTER }), 8, identifier));
    const reply = await pass(on, ping(back({ destination: OUTER }), 0, identifier), EXT);
    expect(reply.reason).toBe('connection');
    expectSent(reply, INT, ping(sentBack(), 0, 77));
    const unknown = ping(back({ destination: OUTER }), 0, identifier ^ 1);
    expect((await pass(on, unknown, EXT)).reason).toBe('icmp-ignored');
    // Who traces the route comes again with the same identifier.
    const again = await pass(on, ping(out({ timeToLive: 1 }), 8, 77));
    expect(again.reason).toBe('time-exceeded-answered');
  });

  it.each(['UDP', 'echo'])(
    'errors about %s reach the host that began, as it knows it',
    async (kind) => {
      const on = await bench(NAT);
      const body = (built: PacketBuilder, port: number) =>
        kind === 'UDP'
          ? udp(built, port)
          : built.icmp({ type: 8, identifier: port }).payload('data');
      const { sent } = await pass(on, body(out(), 5000));
      const fields = decodeFrame(sent[0].bytes);
      const port = (kind === 'UDP' ? fields.udp?.sourcePort : fields.icmp?.identifier) as number;
      const seen = packet().ipv4({ source: OUTER, destination: CLIENT, timeToLive: 63 });
      const router = { source: '10.1.0.254', destination: OUTER };
      const error = back(router).icmp({ type: 11, code: 0 }).payload(body(seen, port).bytes());
      const outcome = await pass(on, error, EXT);
      expect(outcome.reason).toBe('icmp-error');
      const known = packet().ipv4({ source: B2, destination: CLIENT, timeToLive: 63 });
      expectSent(
        outcome,
        INT,
        sentBack({ source: router.source })
          .icmp({ type: 11, code: 0 })
          .payload(body(known, 5000).bytes()),
      );
    },
  );

  it('neither fragments nor other protocols', async () => {
    const on = await bench(NAT);
    const fragment = out({ protocol: 17, moreFragments: true }).payload('x'.repeat(40));
    expect((await pass(on, fragment)).reason).toBe('fragment');
    expect((await pass(on, out({ protocol: 47 }).payload('x'.repeat(40)))).reason).toBe(
      'unknown-protocol',
    );
  });

  it('answers ARP for the address, and lets idle ones go', async () => {
    const on = await bench(NAT, { timeouts: { udp: 5 } });
    const who = packet()
      .ethernet({ source: macOf(CLIENT), destination: 'ff:ff:ff:ff:ff:ff' })
      .arp({ senderMac: macOf(CLIENT), senderAddress: CLIENT, targetAddress: OUTER })
      .padTo(60);
    expect(on.pass(who).reasons).toEqual(['arp-answered']);
    await pass(on, udp(out()));
    const live = () => on.processors[0].connections.lookup(...key());
    const key = (): [number, number, number, number] => [
      (10 << 24) | (2 << 16) | 12,
      (10 << 24) | (1 << 16) | 10,
      (5000 << 16) | 53,
      17,
    ];
    expect(live()).toBeGreaterThanOrEqual(0);
    for (let i = 0; i < 200; i++) on.advance(100);
    expect(live()).toBe(-1);
  });
});
