// What the control host sends, packet by packet: it is switched like a client's, routed like a packet of
// weir's own, or answered by ICMP; and its programs as clients and backends of services. What comes in
// for it: control-stage.test.ts.

import { beforeEach, describe, expect, it } from 'vitest';
import { HOST, HOST_MAC_TEXT, PEER_MAC_TEXT } from '../../test/support/host-end.ts';
import {
  CONTROL,
  CONTROL_CONFIGURATION,
  fromHost,
  toHost,
} from '../../test/support/host-packets.ts';
import { type Ipv4Spec, packet, type TcpFlag } from '../../test/support/packet-builder.ts';
import { expectSameFields } from '../../test/support/packet-fields.ts';
import {
  B1,
  CLIENT,
  EXT,
  EXT_MAC,
  INT,
  INT_MAC,
  macOf,
  play,
  type Row,
  SwitchBench,
  service,
  VIP,
} from '../../test/support/switch-bench.ts';
import { fromClient, request, SYN } from '../../test/support/switch-packets.ts';
import { FRAME_DATA_MAX, INTERFACE_MTU } from '../memory/layout.ts';

let bench: SwitchBench;
beforeEach(async () => {
  bench = await SwitchBench.create({ configuration: { control: CONTROL_CONFIGURATION } });
});

const udp = { sourcePort: 5000, destinationPort: 6000 };

describe('what the control host sends', () => {
  const toClientFromHost = (ip: Ipv4Spec = {}) =>
    packet()
      .ethernet({ source: EXT_MAC, destination: macOf(CLIENT) })
      .ipv4({ source: CONTROL, destination: CLIENT, ...ip });
  const rows: Row[] = [
    {
      name: 'is routed, its time to live as it was',
      packetIn: fromHost(CLIENT, { timeToLive: 1 }).udp(udp).payload('x'.repeat(30)),
      ingress: HOST,
      reason: 'from-control',
      packetOut: [
        {
          egress: EXT,
          frame: toClientFromHost({ timeToLive: 1 }).udp(udp).payload('x'.repeat(30)),
        },
      ],
    },
    {
      name: 'fragments and other protocols too',
      packetIn: fromHost(CLIENT, { fragmentOffset: 800, protocol: 17 }).payload('x'.repeat(40)),
      ingress: HOST,
      reason: 'from-control',
      packetOut: [
        {
          egress: EXT,
          frame: toClientFromHost({ fragmentOffset: 800, protocol: 17 }).payload('x'.repeat(40)),
        },
      ],
    },
    {
      name: 'but not in the name of another',
      packetIn: fromHost(CLIENT, { source: '10.1.0.77' }).udp(udp),
      ingress: HOST,
      reason: 'bad-ip-source',
    },
    {
      name: 'nor fragments in the name of an interface that is not its own',
      packetIn: fromHost(CLIENT, { source: '10.2.0.1', moreFragments: true }).udp(udp),
      ingress: HOST,
      reason: 'bad-ip-source',
    },
    {
      name: 'but not on a VLAN, which it would choose for itself',
      packetIn: packet()
        .ethernet({ source: HOST_MAC_TEXT, destination: PEER_MAC_TEXT })
        .vlan(7)
        .ipv4({ source: CONTROL, destination: CLIENT })
        .udp(udp),
      ingress: HOST,
      reason: 'unknown-ethertype',
    },
    {
      name: 'IPv6 stays here: a router solicitation',
      packetIn: packet()
        .ethernet({ source: HOST_MAC_TEXT, destination: '33:33:00:00:00:02', type: 0x86dd })
        .payload('x'.repeat(48)),
      ingress: HOST,
      reason: 'unknown-ethertype',
    },
    {
      name: 'a broadcast stays here',
      packetIn: packet()
        .ethernet({ source: HOST_MAC_TEXT, destination: 'ff:ff:ff:ff:ff:ff' })
        .ipv4({ source: CONTROL, destination: '10.1.0.255' })
        .udp(udp),
      ingress: HOST,
      reason: 'not-for-us',
    },
    {
      name: 'to a group stays here',
      packetIn: fromHost('224.0.0.5', { protocol: 89 }).payload('hello'),
      ingress: HOST,
      reason: 'not-ours',
    },
    {
      name: 'UDP to an address of ours that is not its own ends here',
      packetIn: fromHost('10.2.0.1').udp(udp),
      ingress: HOST,
      reason: 'invalid-service',
    },
    {
      name: 'an echo request to weir is answered',
      packetIn: fromHost('10.2.0.1').icmp({ type: 8 }).payload('ping'),
      ingress: HOST,
      reason: 'echo-answered',
      packetOut: [
        {
          egress: HOST,
          frame: toHost({ source: '10.2.0.1' }).icmp({ type: 0 }).payload('ping'),
        },
      ],
    },
    {
      name: 'to nowhere is answered: network unreachable',
      packetIn: fromHost('203.0.113.5').udp(udp).payload('data'),
      ingress: HOST,
      reason: 'unreachable-answered',
      packetOut: [
        {
          egress: HOST,
          frame: toHost({
            source: '203.0.113.5',
            identification: 0,
            typeOfService: 0xc0,
          }).icmp({
            type: 3,
            code: 0,
            embedded: packet()
              .ipv4({ source: CONTROL, destination: '203.0.113.5' })
              .udp(udp)
              .payload('data'),
          }),
        },
      ],
    },
    {
      name: 'a later fragment to nowhere is not: it does not say what it is',
      packetIn: fromHost('203.0.113.5', { fragmentOffset: 800, protocol: 17 }).payload('rest'),
      ingress: HOST,
      reason: 'no-route',
    },
    {
      name: 'an error to nowhere is not',
      packetIn: fromHost('203.0.113.5').icmp({
        type: 3,
        code: 1,
        embedded: packet().ipv4({}).udp(),
      }),
      ingress: HOST,
      reason: 'no-route',
    },
  ];
  it.each(rows)('$name', (row) => play(bench, row));

  it('is told of a smaller MTU on the way, and by whom', () => {
    bench.setInterface(EXT, INTERFACE_MTU, 1000);
    const long = fromHost(CLIENT, { dontFragment: true }).udp(udp).payload('x'.repeat(1100));
    const { reasons, sent } = bench.pass(long, HOST);
    expect(reasons).toEqual(['unreachable-answered']);
    const view = new DataView(sent[0].bytes.buffer, sent[0].bytes.byteOffset);
    const icmp = 34;
    expect([view.getUint8(icmp), view.getUint8(icmp + 1)]).toEqual([3, 4]);
    expect(view.getUint16(icmp + 6)).toBe(1000);
    expect(Array.from(sent[0].bytes.slice(26, 30))).toEqual([10, 1, 0, 10]);
    // 576 bytes at most (RFC 1812).
    expect(sent[0].bytes.length).toBe(14 + 576);
  });

  it('is not told more often than resets are sent', async () => {
    const rates = { resets: 1, 'echo-replies': 1 };
    await bench.publish({ control: CONTROL_CONFIGURATION, 'rate-limits': rates });
    const lost = fromHost('203.0.113.5').udp(udp);
    expect(bench.pass(lost, HOST).reasons).toEqual(['unreachable-answered']);
    expect(bench.pass(lost, HOST).reasons).toEqual(['no-route']);
  });

  it('is left out when it is no frame, and what comes after it is not', () => {
    bench.hosts[0].inject(new Uint8Array(FRAME_DATA_MAX + 1));
    bench.hosts[0].inject(new Uint8Array(13));
    const { reasons } = bench.pass(fromHost(CLIENT).udp(udp), HOST);
    expect(reasons.sort()).toEqual(['frame-too-long', 'from-control']);
    expect(bench.pass(fromHost(CLIENT).udp(udp), HOST).reasons).toEqual(['from-control']);
  });

  it('waits for ARP, and leaves then', () => {
    const { reasons, sent } = bench.pass(fromHost('10.1.0.33').udp(udp), HOST);
    expect(reasons).toEqual(['waiting']);
    expect(sent.map(({ egress }) => egress)).toEqual([EXT]);
    const mac = macOf('10.1.0.33');
    const reply = packet().ethernet({ source: mac, destination: EXT_MAC }).arp({
      operation: 'reply',
      senderMac: mac,
      senderAddress: '10.1.0.33',
      targetMac: EXT_MAC,
      targetAddress: '10.1.0.1',
    });
    expect(bench.pass(reply).reasons.sort()).toEqual(['arp-learned', 'from-control']);
  });
});

describe('services and the control host', () => {
  const port = 50_000;

  it('its programs are clients of services', () => {
    const syn = fromHost(VIP).tcp({ ...SYN, sourcePort: port, destinationPort: 80 });
    // As a client that speaks to the address of a service that it has itself would not come here.
    const { reasons, sent } = bench.pass(syn, HOST);
    expect([reasons, sent.map(({ egress }) => egress)]).toEqual([['new-connection'], [INT]]);
    const server = Array.from(sent[0].bytes.slice(30, 34)).join('.');
    const answer = (flags: readonly TcpFlag[]) =>
      packet()
        .ethernet({ source: macOf(server), destination: INT_MAC })
        .ipv4({ source: server, destination: CONTROL })
        .tcp({ sourcePort: 8080, destinationPort: port, flags });
    const answerAtHost = (flags: readonly TcpFlag[]) =>
      toHost({ source: VIP, timeToLive: 63 })
        .tcp({ sourcePort: 80, destinationPort: port, flags })
        .bytes();
    const back = bench.pass(answer(['SYN', 'ACK']), INT);
    expect([back.reasons, back.sent.map(({ egress }) => egress)]).toEqual([['connection'], [HOST]]);
    expectSameFields(back.sent[0].bytes, answerAtHost(['SYN', 'ACK']));
    // By what the connection remembers, now, and after a packet that went to a neighbor.
    bench.pass(request(SYN));
    const again = bench.pass(answer(['ACK']), INT);
    expect([again.reasons, again.sent[0].egress]).toEqual([['connection'], HOST]);
    expectSameFields(again.sent[0].bytes, answerAtHost(['ACK']));
  });

  it('its programs are clients of services with direct server return', async () => {
    const backends = [{ name: 'b1', address: B1, port: 90 }];
    const services = [service('direct', { port: 90, forwarding: 'dsr', backends })];
    await bench.publish({ control: CONTROL_CONFIGURATION, services });
    const answer = (more: Ipv4Spec = {}, destinationPort = port) =>
      packet()
        .ethernet({ source: macOf(B1), destination: INT_MAC })
        .ipv4({ source: VIP, destination: CONTROL, ...more })
        .tcp({ sourcePort: 90, destinationPort, flags: ['SYN', 'ACK'] });
    // Nobody has asked yet: then nobody may speak in our name.
    expect(bench.pass(answer(), INT).reasons).toEqual(['bad-ip-source']);
    const syn = fromHost(VIP).tcp({ ...SYN, sourcePort: port, destinationPort: 90 });
    expect(bench.pass(syn, HOST).reasons).toEqual(['new-connection']);
    const { reasons, sent } = bench.pass(answer(), INT);
    expect([reasons, sent.map(({ egress }) => egress)]).toEqual([['to-control'], [HOST]]);
    expect(bench.pass(answer({}, port + 1), INT).reasons).toEqual(['bad-ip-source']);
    const source = '10.2.0.1';
    expect(bench.pass(answer({ source }), INT).reasons).toEqual(['bad-ip-source']);
  });

  it('its programs are backends', async () => {
    const backends = [{ name: 'here', address: CONTROL, port: 8080 }];
    const services = [service('local', { port: 90, backends })];
    await bench.publish({ control: CONTROL_CONFIGURATION, services });
    const syn = request({ ...SYN, destinationPort: 90 });
    const { reasons, sent } = bench.pass(syn);
    expect([reasons, sent.map(({ egress }) => egress)]).toEqual([['new-connection'], [HOST]]);
    const answer = fromHost(CLIENT).tcp({
      sourcePort: 8080,
      destinationPort: 40_000,
      flags: ['SYN', 'ACK'],
    });
    const back = bench.pass(answer, HOST);
    expect([back.reasons, back.sent.map(({ egress }) => egress)]).toEqual([['connection'], [EXT]]);
    expect(Array.from(back.sent[0].bytes.slice(26, 30)).join('.')).toBe(VIP);
  });
});

describe('without a control host', () => {
  it('nothing of all this is so', async () => {
    const plain = await SwitchBench.create();
    expect(plain.pass(fromClient({ destination: CONTROL }).udp(udp)).reasons).toEqual(['not-ours']);
    expect(plain.pass(fromHost(CLIENT).udp(udp), HOST).reasons).toEqual(['bad-ip-source']);
  });
});
