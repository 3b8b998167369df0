// The control host by an interface of the kernel's (37₀) in conversation with itself, with hosts of its own
// network, and with services, whose connections know it by its virtual address.

import { beforeEach, describe, expect, it } from 'vitest';
import {
  about,
  answered,
  asked,
  atHost,
  REAL,
  REAL_2,
  startWithPairs as start,
  datagram as udp,
  VIRTUAL,
  VIRTUAL_2,
} from '../../test/support/control-pair-packets.ts';
import { type Ipv4Spec, packet } from '../../test/support/packet-builder.ts';
import { decodeFrame, expectSameFields } from '../../test/support/packet-fields.ts';
import {
  B1,
  B2,
  EXT,
  EXT_MAC,
  INT,
  INT_MAC,
  macOf,
  type SwitchBench,
  VIP,
} from '../../test/support/switch-bench.ts';
import { SYN, SYN_ACK } from '../../test/support/switch-packets.ts';

let bench: SwitchBench;
beforeEach(async () => {
  bench = await start();
});

function expectDropped(frame: ReturnType<typeof asked>, ingress: number, reason: string) {
  expect(bench.pass(frame, ingress)).toEqual({ reasons: [reason], sent: [] });
}

describe('to itself', () => {
  const own = (source: string, destination: string, isAtHost: boolean) =>
    isAtHost
      ? packet()
          .ethernet({ source: INT_MAC, destination: macOf(destination) })
          .ipv4({ source, destination, timeToLive: 63 })
      : packet()
          .ethernet({ source: macOf(source), destination: INT_MAC })
          .ipv4({ source, destination, timeToLive: 64 });

  it('both addresses change, and answers find the way back', () => {
    const { reasons, sent } = bench.pass(udp(own(REAL, VIRTUAL, false)), INT);
    expect(reasons).toEqual(['to-control-interface']);
    expectSameFields(sent[0].bytes, udp(own(VIRTUAL, REAL, true)).bytes());
    const other = bench.pass(udp(own(REAL_2, VIRTUAL, false)), INT);
    expectSameFields(other.sent[0].bytes, udp(own(VIRTUAL_2, REAL, true)).bytes());
  });

  it('an error says to each side what it knows', () => {
    const error = own(REAL, VIRTUAL_2, false).icmp({ type: 3, embedded: about(VIRTUAL_2, REAL) });
    const { sent } = bench.pass(error, INT);
    const wanted = own(VIRTUAL, REAL_2, true).icmp({ type: 3, embedded: about(REAL_2, VIRTUAL) });
    expectSameFields(sent[0].bytes, wanted.bytes());
  });

  it('hosts of its own network are answered by way of the switch, if it sends that way', () => {
    const fromServer = packet()
      .ethernet({ source: macOf(B2), destination: INT_MAC })
      .ipv4({ source: B2, destination: VIRTUAL, timeToLive: 64 });
    const inwards = bench.pass(udp(fromServer), INT);
    expectSameFields(inwards.sent[0].bytes, udp(atHost({ source: B2 })).bytes());
    const outwards = bench.pass(udp(answered({ destination: B2 })), INT);
    const wanted = packet()
      .ethernet({ source: INT_MAC, destination: macOf(B2) })
      .ipv4({ source: VIRTUAL, destination: B2, timeToLive: 63 });
    expectSameFields(outwards.sent[0].bytes, udp(wanted).bytes());
  });
});

describe('services', () => {
  const port = 50_000;
  const request = (spec = {}, ip: Ipv4Spec = {}) =>
    answered({ destination: VIP, ...ip }).tcp({ sourcePort: port, destinationPort: 80, ...spec });

  /** The server that a connection of the control host's was given to. */
  function begin(): string {
    const { reasons, sent } = bench.pass(request(SYN), INT);
    expect(reasons).toEqual(['new-connection']);
    const server = decodeFrame(sent[0].bytes).ipv4!.destination;
    const wanted = packet()
      .ethernet({ source: INT_MAC, destination: macOf(server) })
      .ipv4({ source: VIRTUAL, destination: server, timeToLive: 63 })
      .tcp({ ...SYN, sourcePort: port, destinationPort: 8080 });
    expectSameFields(sent[0].bytes, wanted.bytes());
    return server;
  }

  const replyOf = (server: string, spec: object) =>
    packet()
      .ethernet({ source: macOf(server), destination: INT_MAC })
      .ipv4({ source: server, destination: VIRTUAL, timeToLive: 64 })
      .tcp({ sourcePort: 8080, destinationPort: port, ...spec });

  it.each(['the short way', 'the long way'])('it is a client of them, by %s', (way) => {
    if (way === 'the long way') bench.goTheLongWay();
    const server = begin();
    const { reasons, sent } = bench.pass(replyOf(server, SYN_ACK), INT);
    expect(reasons).toEqual(['connection']);
    const wanted = packet()
      .ethernet({ source: INT_MAC, destination: macOf(REAL) })
      .ipv4({ source: VIP, destination: REAL, timeToLive: 63 })
      .tcp({ ...SYN_ACK, sourcePort: 80, destinationPort: port });
    expectSameFields(sent[0].bytes, wanted.bytes());
    const next = bench.pass(request({ flags: ['ACK'], sequence: 1001 }), INT);
    expect(next.reasons).toEqual(['connection']);
    expect(decodeFrame(next.sent[0].bytes).ipv4).toMatchObject({ source: VIRTUAL });
    const error = packet()
      .ethernet({ source: macOf(server), destination: INT_MAC })
      .ipv4({ source: server, destination: VIRTUAL, timeToLive: 64 })
      .icmp({ type: 3, code: 1, embedded: aboutRequest(VIRTUAL, server, 8080) });
    const told = bench.pass(error, INT);
    expect(told.reasons).toEqual(['icmp-error']);
    const atControl = packet()
      .ethernet({ source: INT_MAC, destination: macOf(REAL) })
      .ipv4({ source: VIP, destination: REAL, timeToLive: 63 })
      .icmp({ type: 3, code: 1, embedded: aboutRequest(REAL, VIP, 80) });
    expectSameFields(told.sent[0].bytes, atControl.bytes());
  });

  function aboutRequest(source: string, destination: string, destinationPort: number) {
    const ip = packet().ipv4({ source, destination });
    return ip.tcp({ ...SYN, sourcePort: port, destinationPort });
  }

  it('a server that answers directly is heard, by the connection that it answers', () => {
    expect(bench.pass(request({ ...SYN, destinationPort: 81 }), INT).reasons).toEqual([
      'new-connection',
    ]);
    const direct = (source: string, sourcePort: number) =>
      packet()
        .ethernet({ source: macOf(B1), destination: EXT_MAC })
        .ipv4({ source, destination: VIRTUAL, timeToLive: 64 })
        .tcp({ ...SYN_ACK, sourcePort, destinationPort: port });
    const { reasons, sent } = bench.pass(direct(VIP, 81), EXT);
    expect(reasons).toEqual(['to-control-interface']);
    expect(decodeFrame(sent[0].bytes).ipv4).toMatchObject({ source: VIP, destination: REAL });
    expectDropped(direct(VIP, 80), EXT, 'bad-ip-source');
  });

  it('begins another connection by the port of one that has ended', () => {
    const server = begin();
    bench.pass(replyOf(server, { flags: ['RST', 'ACK'], acknowledgment: 1001 }), INT);
    bench.advance(1000);
    expect(bench.pass(request({ ...SYN, sequence: 777_777 }), INT).reasons).toEqual([
      'new-connection',
    ]);
  });

  it('a reset says so to the control host, by the address that it knows itself by', () => {
    const { reasons, sent } = bench.pass(request({ ...SYN, destinationPort: 82 }), INT);
    expect(reasons).toEqual(['reset-no-backend']);
    const { ethernet, ipv4, tcp } = decodeFrame(sent[0].bytes);
    expect([ethernet!.destination, ipv4!.source, ipv4!.destination]).toEqual([
      macOf(REAL),
      VIP,
      REAL,
    ]);
    expect(tcp!.destinationPort).toBe(port);
  });

  it('damaged segments begin nothing, and those without hops neither', () => {
    expectDropped(request({ ...SYN, checksum: 1 }), INT, 'bad-transport-checksum');
    expectDropped(request(SYN, { timeToLive: 1 }), INT, 'ttl-expired');
  });

  it('connections that are ended are told to it as well', async () => {
    const server = begin();
    bench.pass(replyOf(server, SYN_ACK), INT);
    bench.pass(request({ flags: ['ACK'], sequence: 1001, acknowledgment: 9001 }), INT);
    await bench.endConnections('web/b1', 'web/b2');
    const resets = [];
    for (let i = 0; i < 200; i++) {
      bench.advance(10);
      resets.push(...bench.collect().map(({ bytes }) => decodeFrame(bytes)));
    }
    const ends = resets.filter(({ tcp }) => tcp?.flags.includes('RST'));
    expect(ends.map(({ ipv4 }) => ipv4!.destination).sort()).toEqual([server, REAL].sort());
  });

  it('a service has its port of a virtual address, the control host all others', async () => {
    const backends = [{ name: 'b1', address: B1, port: 8080 }];
    const service = { name: 's', address: VIRTUAL, protocol: 'tcp', port: 80, backends };
    bench = await start({ services: [service] });
    const to = (destinationPort: number) => asked().tcp({ ...SYN, destinationPort });
    expect(bench.pass(to(80), EXT).reasons).toEqual(['new-connection']);
    expect(bench.pass(to(81), EXT).reasons).toEqual(['to-control-interface']);
  });

  it('it is a backend by its real address, and a client of that service too', async () => {
    const backends = [{ name: 'own', address: REAL, port: 8080 }];
    const service = { name: 's', address: VIP, protocol: 'tcp', port: 80, backends };
    bench = await start({ services: [service] });
    const { sent } = bench.pass(request(SYN), INT);
    expect(decodeFrame(sent[0].bytes).ipv4).toMatchObject({ source: VIRTUAL, destination: REAL });
    const reply = answered({ destination: VIRTUAL });
    const back = bench.pass(
      reply.tcp({ ...SYN_ACK, sourcePort: 8080, destinationPort: port }),
      INT,
    );
    expect(back.reasons).toEqual(['connection']);
    expect(decodeFrame(back.sent[0].bytes).ipv4).toMatchObject({ source: VIP, destination: REAL });
  });
});
