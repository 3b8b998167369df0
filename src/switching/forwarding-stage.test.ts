// What no service claims, from one interface to another: as a router does it, and what the sender is told when it
// cannot be done. With translation of the source: source-nat.test.ts.

import { describe, expect, it } from 'vitest';
import {
  ABOUT,
  back,
  bench,
  errorOf,
  expectSent,
  FAR,
  NAT,
  out,
  PLAIN,
  pass,
  sentBack,
  sentOut,
  udp,
} from '../../test/support/forwarded-packets.ts';
import type { PacketBuilder } from '../../test/support/packet-builder.ts';
import { B1, B2, EXT, INT, INT_MAC, macOf, VIP } from '../../test/support/switch-bench.ts';
import { INTERFACE_MTU } from '../memory/layout.ts';

describe('forwarding is off', () => {
  it('by default, and in the direction that is not named', async () => {
    expect(await pass(await bench(), udp(out()))).toEqual({ reason: 'not-ours', sent: [] });
    const oneWay = await bench([PLAIN[0]]);
    expect((await pass(oneWay, udp(back()), EXT)).reason).toBe('not-ours');
    expect((await pass(oneWay, udp(out()))).reason).toBe('forwarded');
    // Back where it came from, which no entry names.
    const around = udp(out({ destination: '10.2.0.99' }));
    for (const forwarding of [[PLAIN[0]], NAT]) {
      expect(await pass(await bench(forwarding), around)).toEqual({ reason: 'not-ours', sent: [] });
    }
  });

  it('for addresses of ours, groups, and in our name', async () => {
    const on = await bench(PLAIN);
    for (const destination of ['224.0.0.5', '255.255.255.255', '127.0.0.1', '169.254.1.1']) {
      expect((await pass(on, udp(out({ destination })))).reason, destination).toBe('not-ours');
    }
    expect((await pass(on, udp(out({ destination: '10.1.0.1' })))).reason).toBe('invalid-service');
    // Broadcasts of the networks that we are in, of today and of old.
    for (const destination of ['10.1.0.255', '10.1.0.0']) {
      expect(await pass(on, udp(out({ destination })))).toEqual({ reason: 'not-ours', sent: [] });
    }
    const forged = ['127.0.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '169.254.1.1'];
    for (const source of [...forged, VIP, '10.2.0.255', '10.2.0.0']) {
      expect((await pass(on, udp(out({ source })))).reason, source).toBe('bad-ip-source');
      const late = out({ source, protocol: 17, fragmentOffset: 8 }).payload('x'.repeat(28));
      expect((await pass(on, late)).reason, source).toBe('bad-ip-source');
    }
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
        ipv4: { source: '10.2.0.1', destination: B2, protocol: 1, typeOfService: 0xc0 },
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
