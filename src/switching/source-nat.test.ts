// Connections that begin behind the switch and have their source translated: there and back, with their ports,
// ends and errors, and when the configuration changes under them. Without translation: forwarding-stage.test.ts.

import { describe, expect, it } from 'vitest';
import {
  back,
  bench,
  errorOf,
  expectSent,
  NAT,
  OUTER,
  out,
  pass,
  sentBack,
  sentOut,
  udp,
} from '../../test/support/forwarded-packets.ts';
import { type PacketBuilder, packet } from '../../test/support/packet-builder.ts';
import { decodeFrame } from '../../test/support/packet-fields.ts';
import {
  B2,
  CLIENT,
  EXT,
  INT,
  macOf,
  SwitchBench,
  service,
} from '../../test/support/switch-bench.ts';
import { INTERFACE_MTU } from '../memory/layout.ts';

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

  // The first byte of these ports would be the type of an echo reply, and of an echo.
  it.each([123, 0x0805])('UDP from port %i, which is no echo', async (sourcePort) => {
    const on = await bench(NAT);
    const first = await pass(on, udp(out(), sourcePort, 123));
    expect(first.reason).toBe('source-nat');
    const { sourcePort: port } = decodeFrame(first.sent[0].bytes).udp as { sourcePort: number };
    expectSent(first, EXT, udp(sentOut({ source: OUTER }), port, 123));
    const reply = await pass(on, udp(back({ destination: OUTER }), 123, port), EXT);
    expectSent(reply, INT, udp(sentBack(), 123, sourcePort));
    expect((await pass(on, udp(out(), sourcePort, 123))).reason).toBe('connection');
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

  it('says how long packets may be, of what has begun too', async () => {
    const on = await bench(NAT);
    const long = (ip: PacketBuilder) => ip.udp({ sourcePort: 2001, destinationPort: 53 });
    expect((await pass(on, long(out()).payload('short'))).reason).toBe('source-nat');
    on.setInterface(EXT, INTERFACE_MTU, 600);
    const outcome = await pass(on, long(out()).payload('z'.repeat(700)));
    expect(outcome.reason).toBe('forwarding-refused');
    expect(outcome.sent).toHaveLength(1);
    expect(outcome.sent[0].egress).toBe(INT);
    const { icmp, bytes } = errorOf(outcome);
    expect(icmp).toMatchObject({ type: 3, code: 4 });
    // Of the packet as its sender knows it.
    expect([...bytes.subarray(42, 70)]).toEqual([
      ...long(out()).payload('z'.repeat(700)).bytes().subarray(14, 42),
    ]);
  });

  it('neither fragments nor other protocols, nor ICMP that asks for no echo', async () => {
    const on = await bench(NAT);
    for (const type of [0, 13]) {
      const stray = out().icmp({ type, identifier: 9 }).payload('data');
      expect(await pass(on, stray)).toEqual({ reason: 'icmp-ignored', sent: [] });
    }
    const fragment = out({ protocol: 17, moreFragments: true }).payload('x'.repeat(40));
    expect((await pass(on, fragment)).reason).toBe('fragment');
    expect((await pass(on, out({ protocol: 47 }).payload('x'.repeat(40)))).reason).toBe(
      'unknown-protocol',
    );
  });

  it('keeps those that are not idle, echoes too', async () => {
    const on = await bench(NAT, { timeouts: { udp: 5 } });
    const both = [
      () => udp(out()),
      () => out().icmp({ type: 8, identifier: 77, sequence: 3 }).payload('abcdefgh'),
    ];
    for (const packetOf of both) expect((await pass(on, packetOf())).reason).toBe('source-nat');
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 35; i++) on.advance(100);
      for (const packetOf of both) expect((await pass(on, packetOf())).reason).toBe('connection');
    }
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

  const portOf = (outcome: Awaited<ReturnType<typeof pass>>) =>
    decodeFrame(outcome.sent[0].bytes).udp?.sourcePort as number;

  it('datagrams without a checksum stay without one', async () => {
    for (const way of ['short', 'long']) {
      const on = await bench(NAT);
      if (way === 'long') on.goTheLongWay();
      const plain = (ip: PacketBuilder, ports: [number, number]) =>
        ip.udp({ sourcePort: ports[0], destinationPort: ports[1], checksum: 0 }).payload('data');
      for (let round = 0; round < 2; round++) {
        const sent = await pass(on, plain(out(), [2001, 53]));
        expectSent(sent, EXT, plain(sentOut({ source: OUTER }), [2001, 53]));
        const reply = await pass(on, plain(back({ destination: OUTER }), [53, 2001]), EXT);
        expectSent(reply, INT, plain(sentBack(), [53, 2001]));
      }
    }
  });

  it('gives away no port of a service at the same address', async () => {
    const taken = [2000, 2001, 2003].map((port) =>
      service(`s${port}`, { address: OUTER, protocol: 'udp', port }),
    );
    const on = await bench(NAT, { services: taken });
    expect(portOf(await pass(on, udp(out(), 2001)))).toBe(2002);
    expect((await pass(on, udp(out({ source: '10.2.0.21' }), 2001))).reason).toBe(
      'source-nat-full',
    );
    // The service is there for those outside meanwhile.
    const asked = await pass(on, udp(back({ destination: OUTER }), 9, 2001), EXT);
    expect(asked.reason).toBe('new-connection');
  });

  it('errors about TCP reach the host that began, with the next MTU', async () => {
    const on = await bench(NAT);
    const syn = (ip: PacketBuilder, sourcePort: number) =>
      ip.tcp({ sourcePort, destinationPort: 80, flags: ['SYN'], sequence: 9 });
    const { sent } = await pass(on, syn(out(), 5000));
    const port = decodeFrame(sent[0].bytes).tcp?.sourcePort as number;
    const seen = packet().ipv4({ source: OUTER, destination: CLIENT, timeToLive: 63 });
    const known = packet().ipv4({ source: B2, destination: CLIENT, timeToLive: 63 });
    // As much of it as is certain to be there, and all of it.
    for (const size of [28, 40]) {
      const about = (ip: PacketBuilder, by: PacketBuilder, sourcePort: number) =>
        ip
          .icmp({ type: 3, code: 4, sequence: 1400 })
          .payload(syn(by, sourcePort).bytes().subarray(0, size));
      const router = { source: '10.1.0.254' };
      const error = about(back({ ...router, destination: OUTER }), seen, port);
      const outcome = await pass(on, error, EXT);
      expect(outcome.reason).toBe('icmp-error');
      expectSent(outcome, INT, about(sentBack(router), known, 5000));
      // Nobody is told anything that is about nobody's packet.
      const stray = about(back({ ...router, destination: OUTER }), seen, port ^ 1);
      expect((await pass(on, stray, EXT)).reason).toBe('icmp-ignored');
    }
  });

  it('errors of the host that began go out in the outer name', async () => {
    const on = await bench(NAT);
    const port = portOf(await pass(on, udp(out())));
    const inside = udp(
      packet().ipv4({ source: CLIENT, destination: B2, timeToLive: 63 }),
      53,
      5000,
    );
    const outcome = await pass(on, out().icmp({ type: 3, code: 3, embedded: inside }));
    const outside = udp(
      packet().ipv4({ source: CLIENT, destination: OUTER, timeToLive: 63 }),
      53,
      port,
    );
    expect(outcome.reason).toBe('icmp-error');
    expectSent(
      outcome,
      EXT,
      sentOut({ source: OUTER }).icmp({ type: 3, code: 3, embedded: outside }),
    );
  });

  it('what has begun goes on when its entry is changed or taken away, and nothing else begins', async () => {
    const on = await bench(NAT);
    const ping = (ip: PacketBuilder, type: number, identifier: number) =>
      ip.icmp({ type, identifier, sequence: 3 }).payload('abcdefgh');
    const port = portOf(await pass(on, udp(out())));
    const request = await pass(on, ping(out(), 8, 77));
    const { identifier } = decodeFrame(request.sent[0].bytes).icmp as { identifier: number };
    const other = [{ ...NAT[0], source: '10.1.0.4' }];
    for (const forwarding of [other, []]) {
      await on.publish({ forwarding });
      expectSent(await pass(on, udp(out())), EXT, udp(sentOut({ source: OUTER }), port));
      const reply = await pass(on, udp(back({ destination: OUTER }), 53, port), EXT);
      expectSent(reply, INT, udp(sentBack(), 53, 5000));
      const echo = await pass(on, ping(back({ destination: OUTER }), 0, identifier), EXT);
      expectSent(echo, INT, ping(sentBack(), 0, 77));
    }
    expect((await pass(on, udp(out(), 5001))).reason).toBe('not-ours');
    await on.publish({ forwarding: other });
    const begun = await pass(on, udp(out(), 5001));
    expect(decodeFrame(begun.sent[0].bytes).ipv4?.source).toBe('10.1.0.4');
  });

  it('replies find their way on another processor, and one that has taken over', async () => {
    const on = await SwitchBench.create({
      queues: [[0, 1], [0]],
      configuration: { forwarding: NAT },
    });
    const port = portOf(await pass(on, udp(out())));
    const reply = () => on.pass(udp(back({ destination: OUTER }), 53, port), EXT, 1);
    expect(reply().reasons).toEqual(['connection']);
    on.restart(0);
    expect((await pass(on, udp(out()))).reason).toBe('connection');
    on.restart(1);
    expect(reply().reasons).toEqual(['connection']);
  });

  it('hosts behind do not reach each other by the outer address, nor by ports that are given away', async () => {
    const on = await bench(NAT);
    const port = portOf(await pass(on, udp(out())));
    const inside = udp(out({ source: '10.2.0.21', destination: OUTER }), 5000, port);
    expect(await pass(on, inside)).toEqual({ reason: 'invalid-service', sent: [] });
  });
});
