// The control host's packets, packet by packet: what comes in for its addresses is punted as it
// is, unless a service or a connection claims it. What it sends: control-host.test.ts.

import { beforeEach, describe, expect, it } from 'vitest';
import { HOST, HOST_MAC_TEXT, PEER_MAC_TEXT } from '../../test/support/host-end.ts';
import { CONTROL, CONTROL_CONFIGURATION, FAR, toHost } from '../../test/support/host-packets.ts';
import { type PacketBuilder, packet } from '../../test/support/packet-builder.ts';
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
  VIP,
} from '../../test/support/switch-bench.ts';
import { fromClient, icmpFromClient, request, SYN } from '../../test/support/switch-packets.ts';
import { INTERFACE_LINK_UP, STORAGE_LANE_CAPACITY } from '../memory/layout.ts';

function arpOfHost(targetAddress: string, senderAddress = CONTROL): PacketBuilder {
  return packet()
    .ethernet({ source: HOST_MAC_TEXT, destination: 'ff:ff:ff:ff:ff:ff' })
    .arp({ senderMac: HOST_MAC_TEXT, senderAddress, targetAddress });
}

let bench: SwitchBench;
beforeEach(async () => {
  bench = await SwitchBench.create({ configuration: { control: CONTROL_CONFIGURATION } });
});

const udp = { sourcePort: 5000, destinationPort: 6000 };

describe('what comes in for a control address', () => {
  const rows: Row[] = [
    {
      name: 'TCP, whatever its flags',
      packetIn: fromClient({ destination: CONTROL })
        .tcp({ ...SYN, destinationPort: 22 })
        .padTo(60),
      reason: 'to-control',
      packetOut: [{ egress: HOST, frame: toHost({}).tcp({ ...SYN, destinationPort: 22 }) }],
    },
    {
      name: 'UDP',
      packetIn: fromClient({ destination: CONTROL }).udp(udp).payload('data'),
      reason: 'to-control',
      packetOut: [{ egress: HOST, frame: toHost({}).udp(udp).payload('data') }],
    },
    {
      name: 'an echo request, to an address of an interface',
      packetIn: icmpFromClient({ type: 8 }, { destination: '10.1.0.1' }),
      reason: 'to-control',
      packetOut: [{ egress: HOST, frame: toHost({ destination: '10.1.0.1' }).icmp({ type: 8 }) }],
    },
    {
      name: 'an ICMP error about a packet of its own',
      packetIn: icmpFromClient(
        { type: 3, code: 3, embedded: packet().ipv4({ source: CONTROL }).udp(udp) },
        { destination: CONTROL },
      ),
      reason: 'to-control',
      packetOut: [
        {
          egress: HOST,
          frame: toHost({}).icmp({
            type: 3,
            code: 3,
            embedded: packet().ipv4({ source: CONTROL }).udp(udp),
          }),
        },
      ],
    },
    {
      name: 'the first fragment',
      packetIn: fromClient({ destination: CONTROL, moreFragments: true }).udp(udp),
      reason: 'to-control',
      packetOut: [{ egress: HOST, frame: toHost({ moreFragments: true }).udp(udp) }],
    },
    {
      name: 'a later fragment, also to the port of a service',
      packetIn: fromClient({ fragmentOffset: 1480, protocol: 17 }).payload('rest'),
      reason: 'to-control',
      packetOut: [
        {
          egress: HOST,
          frame: toHost({ destination: VIP, fragmentOffset: 1480, protocol: 17 }).payload('rest'),
        },
      ],
    },
    {
      name: 'another protocol',
      packetIn: fromClient({ destination: FAR, protocol: 89 }).payload('hello'),
      reason: 'to-control',
      packetOut: [
        { egress: HOST, frame: toHost({ destination: FAR, protocol: 89 }).payload('hello') },
      ],
    },
    {
      name: 'a packet with a VLAN tag, without it',
      packetIn: packet()
        .ethernet({ source: macOf(CLIENT), destination: EXT_MAC })
        .vlan(7)
        .ipv4({ source: CLIENT, destination: CONTROL })
        .udp(udp),
      reason: 'to-control',
      packetOut: [{ egress: HOST, frame: toHost({}).udp(udp) }],
    },
    {
      name: 'a port that no service has, at the address of one',
      packetIn: request({ ...SYN, destinationPort: 99 }),
      reason: 'to-control',
      packetOut: [
        {
          egress: HOST,
          frame: toHost({ destination: VIP }).tcp({
            ...SYN,
            sourcePort: 40_000,
            destinationPort: 99,
          }),
        },
      ],
    },
    {
      name: 'with options, on its last hop, and with a checksum that the kernel will judge',
      packetIn: fromClient({
        destination: CONTROL,
        timeToLive: 1,
        options: Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0),
      }).udp({ ...udp, checksum: 1 }),
      reason: 'to-control',
      packetOut: [
        {
          egress: HOST,
          frame: toHost({
            timeToLive: 1,
            options: Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0),
          }).udp({ ...udp, checksum: 1 }),
        },
      ],
    },
    {
      name: 'a redirect, for the kernel to believe or not',
      packetIn: icmpFromClient(
        { type: 5, code: 1, embedded: packet().ipv4({ source: CONTROL }).udp(udp) },
        { destination: CONTROL },
      ),
      reason: 'to-control',
      packetOut: [
        {
          egress: HOST,
          frame: toHost({}).icmp({
            type: 5,
            code: 1,
            embedded: packet().ipv4({ source: CONTROL }).udp(udp),
          }),
        },
      ],
    },
    {
      name: 'no error with a wrong checksum',
      packetIn: icmpFromClient(
        { type: 3, checksum: 1, embedded: packet().ipv4({ source: CONTROL }).udp(udp) },
        { destination: CONTROL },
      ),
      reason: 'bad-transport-checksum',
    },
    {
      name: 'not in the name of one of our addresses',
      packetIn: fromClient({ source: '10.2.0.1', destination: CONTROL }).udp(udp),
      reason: 'bad-ip-source',
    },
    {
      name: 'nor a fragment in the name of the host itself',
      packetIn: fromClient({ source: FAR, destination: CONTROL, moreFragments: true }).udp(udp),
      reason: 'bad-ip-source',
    },
    {
      name: 'nothing that is malformed',
      packetIn: fromClient({ destination: CONTROL, headerChecksum: 1 }).udp(udp),
      reason: 'bad-ip-checksum',
    },
    {
      name: 'a fragment to an address that is only an interface',
      packetIn: packet()
        .ethernet({ source: macOf(B1), destination: INT_MAC })
        .ipv4({ source: B1, destination: '10.2.0.1', moreFragments: true })
        .udp(udp),
      ingress: INT,
      reason: 'fragment',
    },
  ];
  it.each(rows)('$name', (row) => play(bench, row));

  it('a service at the same address has its port', () => {
    expect(bench.pass(request(SYN)).reasons).toEqual(['new-connection']);
  });

  it('is dropped when packet storage is full, and goes on when it is not', () => {
    const one = fromClient({ destination: CONTROL }).udp(udp).bytes();
    for (let i = 0; i < STORAGE_LANE_CAPACITY; i++) {
      bench.inject(one, EXT);
      bench.turn();
    }
    bench.inject(one, EXT);
    bench.turn();
    expect(bench.count('to-control')).toBe(STORAGE_LANE_CAPACITY);
    expect(bench.count('packet-storage-full')).toBe(1);
    expect(bench.collect().length).toBe(STORAGE_LANE_CAPACITY);
    expect(bench.pass(one).reasons).toEqual(['to-control']);
  });

  it('is dropped while the device is gone', () => {
    bench.setInterface(HOST, INTERFACE_LINK_UP, 0);
    const { reasons } = bench.pass(fromClient({ destination: CONTROL }).udp(udp));
    expect(reasons).toEqual(['interface-down']);
  });
});

describe('ARP', () => {
  it('is answered on the network of a control address, and only there', () => {
    const ask = (source: string, mac: string, side: number, targetAddress = CONTROL) =>
      bench.pass(
        packet()
          .ethernet({ source: mac, destination: 'ff:ff:ff:ff:ff:ff' })
          .arp({ senderMac: mac, senderAddress: source, targetAddress })
          .padTo(60),
        side,
      ).reasons;
    expect(ask(CLIENT, macOf(CLIENT), EXT)).toEqual(['arp-answered']);
    expect(ask(B1, macOf(B1), INT)).not.toContain('arp-answered');
    // That of a service too, everywhere as before.
    expect(ask(B1, macOf(B1), INT, VIP)).toEqual(['arp-answered']);
  });

  it("tells the host that everybody is here, but for the host's own addresses", () => {
    const { reasons, sent } = bench.pass(arpOfHost('203.0.113.5'), HOST);
    expect(reasons).toEqual(['arp-answered']);
    expect(sent[0].egress).toBe(HOST);
    expectSameFields(
      sent[0].bytes,
      packet()
        .ethernet({ source: PEER_MAC_TEXT, destination: HOST_MAC_TEXT })
        .arp({
          operation: 'reply',
          senderMac: PEER_MAC_TEXT,
          senderAddress: '203.0.113.5',
          targetMac: HOST_MAC_TEXT,
          targetAddress: CONTROL,
        })
        .bytes(),
    );
    expect(bench.pass(arpOfHost(FAR), HOST).reasons).toEqual(['arp-ignored']);
  });
});
