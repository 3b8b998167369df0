// Tables of packets through the whole switch (Fig. 6): known and new connections, NAT both ways, direct
// server return, what is refused, and what cannot be sent on. Malformed headers: read-headers.test.ts.

import { describe, expect, it } from 'vitest';
import { type PacketBuilder, packet } from '../../test/support/packet-builder.ts';
import { decodeFrame } from '../../test/support/packet-fields.ts';
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
import {
  ACK,
  answer,
  answerAtClient,
  CLIENT_PORT,
  fromClient,
  fromServer,
  handshake,
  query,
  queryAtServer,
  reply,
  replyAtClient,
  request,
  requestAtServer,
  SYN,
  SYN_ACK,
  toServer,
} from '../../test/support/switch-packets.ts';
import { INTERFACE_LINK_UP, INTERFACE_MTU } from '../memory/layout.ts';

const OPTIONS = Uint8Array.of(0x94, 0x04, 0x00, 0x00);
const syn = (bench: SwitchBench) => bench.pass(request(SYN));
const asked = (bench: SwitchBench) => bench.pass(query().payload('who?'));

/** The TCP checksum of a frame, wrong by so much: as far after a rewrite as before. */
function off(frame: PacketBuilder, by: number): number {
  return (Number(decodeFrame(frame.bytes()).tcp?.checksum) + by) % 0xffff;
}

const FORWARDED: Row[] = [
  {
    name: 'SYN of a new connection',
    packetIn: request(SYN),
    reason: 'new-connection',
    packetOut: [{ egress: INT, frame: requestAtServer(SYN) }],
  },
  {
    name: 'SYN with options, ECN and data',
    packetIn: request({ ...SYN, flags: ['SYN', 'ECE', 'CWR'], options: OPTIONS }).payload('early'),
    reason: 'new-connection',
    packetOut: [
      {
        egress: INT,
        frame: requestAtServer({
          ...SYN,
          flags: ['SYN', 'ECE', 'CWR'],
          options: OPTIONS,
        }).payload('early'),
      },
    ],
  },
  {
    name: 'SYN sent again',
    given: syn,
    packetIn: request(SYN),
    reason: 'connection',
    packetOut: [{ egress: INT, frame: requestAtServer(SYN) }],
  },
  {
    name: 'SYN-ACK of the server',
    given: syn,
    packetIn: answer(SYN_ACK),
    ingress: INT,
    reason: 'connection',
    packetOut: [{ egress: EXT, frame: answerAtClient(SYN_ACK) }],
  },
  {
    name: 'data of the client',
    given: handshake,
    packetIn: request({ ...ACK, flags: ['PSH', 'ACK'] }).payload('GET / HTTP/1.1'),
    reason: 'connection',
    packetOut: [
      {
        egress: INT,
        frame: requestAtServer({ ...ACK, flags: ['PSH', 'ACK'] }).payload('GET / HTTP/1.1'),
      },
    ],
  },
  {
    name: 'data of the server, an odd number of bytes',
    given: handshake,
    packetIn: answer(ACK).payload('odd'),
    ingress: INT,
    reason: 'connection',
    packetOut: [{ egress: EXT, frame: answerAtClient(ACK).payload('odd') }],
  },
  {
    name: 'reset of the server',
    given: handshake,
    packetIn: answer({ flags: ['RST'], sequence: 9001 }),
    ingress: INT,
    reason: 'connection',
    packetOut: [{ egress: EXT, frame: answerAtClient({ flags: ['RST'], sequence: 9001 }) }],
  },
  {
    name: 'IP options, TOS and identification pass unchanged',
    packetIn: request(SYN, { options: OPTIONS, typeOfService: 0xb9, identification: 0x1234 }),
    reason: 'new-connection',
    packetOut: [
      {
        egress: INT,
        frame: requestAtServer(SYN, {
          options: OPTIONS,
          typeOfService: 0xb9,
          identification: 0x1234,
        }),
      },
    ],
  },
  {
    name: 'time to live 2 is the least that goes on',
    packetIn: request(SYN, { timeToLive: 2 }),
    reason: 'new-connection',
    packetOut: [{ egress: INT, frame: requestAtServer(SYN, { timeToLive: 1 }) }],
  },
  {
    name: 'a damaged checksum of a known connection stays damaged',
    given: handshake,
    packetIn: request({ ...ACK, checksum: off(request(ACK), 77) }),
    reason: 'connection',
    packetOut: [
      { egress: INT, frame: requestAtServer({ ...ACK, checksum: off(requestAtServer(ACK), 77) }) },
    ],
  },
  {
    name: 'padding of a short frame',
    packetIn: request(SYN).padTo(60),
    reason: 'new-connection',
    packetOut: [{ egress: INT, frame: requestAtServer(SYN).padTo(60) }],
  },
  {
    name: 'bytes behind the packet are not carried over',
    packetIn: request(SYN).padTo(200),
    reason: 'new-connection',
    packetOut: [{ egress: INT, frame: requestAtServer(SYN).padTo(60) }],
  },
  {
    name: 'UDP query',
    packetIn: query().payload('who?'),
    reason: 'new-connection',
    packetOut: [{ egress: INT, frame: queryAtServer().payload('who?') }],
  },
  {
    name: 'UDP answer',
    given: asked,
    packetIn: reply().payload('me!'),
    ingress: INT,
    reason: 'connection',
    packetOut: [{ egress: EXT, frame: replyAtClient().payload('me!') }],
  },
  {
    name: 'UDP without a checksum stays without',
    packetIn: query({ checksum: 0 }).payload('who?'),
    reason: 'new-connection',
    packetOut: [{ egress: INT, frame: queryAtServer({ checksum: 0 }).payload('who?') }],
  },
  {
    name: 'UDP datagram shorter than its packet',
    packetIn: fromClient({ totalLength: 20 + 8 + 4 + 3 })
      .udp({ sourcePort: CLIENT_PORT, destinationPort: 53 })
      .payload('who?')
      .padTo(60),
    reason: 'new-connection',
    packetOut: [
      {
        egress: INT,
        frame: toServer({ totalLength: 20 + 8 + 4 + 3 })
          .udp({ sourcePort: CLIENT_PORT, destinationPort: 5353 })
          .payload('who?')
          .padTo(60),
      },
    ],
  },
];

const DIRECT: Row[] = [
  {
    name: 'only the MAC addresses change, not even the time to live',
    packetIn: request({ ...SYN, destinationPort: 81 }, { timeToLive: 1 }),
    reason: 'new-connection',
    packetOut: [
      {
        egress: INT,
        frame: packet()
          .ethernet({ source: INT_MAC, destination: macOf(B1) })
          .ipv4({ source: CLIENT, destination: VIP, timeToLive: 1 })
          .tcp({ ...SYN, sourcePort: CLIENT_PORT, destinationPort: 81 }),
      },
    ],
  },
];

const tagged = (mac: string, from: string) =>
  packet().ethernet({ source: from, destination: mac }).vlan(7, { priority: 5 });

const TAGGED: Row[] = [
  {
    name: 'a VLAN tag goes along',
    packetIn: tagged(EXT_MAC, macOf(CLIENT))
      .ipv4({ source: CLIENT, destination: VIP })
      .tcp({ ...SYN, sourcePort: CLIENT_PORT }),
    reason: 'new-connection',
    packetOut: [
      {
        egress: INT,
        frame: tagged(macOf(B1), INT_MAC)
          .ipv4({ source: CLIENT, destination: B1, timeToLive: 63 })
          .tcp({ ...SYN, sourcePort: CLIENT_PORT, destinationPort: 8080 }),
      },
    ],
  },
  {
    name: 'two tags',
    packetIn: packet()
      .ethernet({ source: macOf(CLIENT), destination: EXT_MAC })
      .vlan(9, { tagType: 0x88a8 })
      .vlan(7)
      .ipv4({ source: CLIENT, destination: VIP })
      .udp({ sourcePort: CLIENT_PORT, destinationPort: 53 }),
    reason: 'new-connection',
    packetOut: [
      {
        egress: INT,
        frame: packet()
          .ethernet({ source: INT_MAC, destination: macOf(B1) })
          .vlan(9, { tagType: 0x88a8 })
          .vlan(7)
          .ipv4({ source: CLIENT, destination: B1, timeToLive: 63 })
          .udp({ sourcePort: CLIENT_PORT, destinationPort: 5353 }),
      },
    ],
  },
];

const NOT_FORWARDED: Row[] = [
  {
    name: 'time to live 0, even to a direct server',
    packetIn: request({ ...SYN, destinationPort: 81 }, { timeToLive: 0 }),
    reason: 'ttl-expired',
  },
  {
    name: 'UDP to a port of no service',
    packetIn: query({ destinationPort: 54 }),
    reason: 'invalid-service',
  },
  {
    name: 'UDP of a server in no connection',
    packetIn: reply(),
    ingress: INT,
    reason: 'unknown-connection',
  },
  {
    name: 'UDP service without a weight',
    packetIn: query({ destinationPort: 82 }),
    reason: 'no-backend',
  },
  {
    name: 'an address that is not ours',
    packetIn: request(SYN, { destination: '10.1.0.77' }),
    reason: 'not-ours',
  },
  {
    name: 'a SYN that claims to come from our own address',
    packetIn: request({ ...SYN, sourcePort: 80 }, { source: VIP }),
    reason: 'bad-ip-source',
  },
  {
    name: 'time to live 1, new',
    packetIn: request(SYN, { timeToLive: 1 }),
    reason: 'ttl-expired',
  },
  {
    name: 'time to live 0, known',
    given: handshake,
    packetIn: request(ACK, { timeToLive: 0 }),
    reason: 'ttl-expired',
  },
  {
    name: 'new connection with a damaged checksum',
    packetIn: request({ ...SYN, checksum: 0x1234 }),
    reason: 'bad-transport-checksum',
  },
  {
    name: 'new UDP connection with a damaged checksum',
    packetIn: query({ checksum: 0x1234 }),
    reason: 'bad-transport-checksum',
  },
  {
    name: 'the way out is down',
    given: (bench) => bench.setInterface(INT, INTERFACE_LINK_UP, 0),
    packetIn: request(SYN),
    reason: 'interface-down',
  },
  {
    name: 'longer than the next link takes',
    given: (bench) => bench.setInterface(INT, INTERFACE_MTU, 1400),
    packetIn: request(SYN).payload('x'.repeat(1361)),
    reason: 'frame-too-long',
  },
];

async function expectRows(rows: Row[]): Promise<void> {
  for (const row of rows) await play(await SwitchBench.create(), row);
}

describe('packet filter', () => {
  it.each(FORWARDED)('NAT: $name', (row) => expectRows([row]));
  it.each(DIRECT)('direct server return: $name', (row) => expectRows([row]));
  it.each(TAGGED)('VLAN: $name', (row) => expectRows([row]));
  it.each(NOT_FORWARDED)('dropped: $name', (row) => expectRows([row]));

  it('sends exactly as much as the next link takes', async () => {
    const bench = await SwitchBench.create();
    bench.setInterface(INT, INTERFACE_MTU, 1400);
    await play(bench, {
      name: '',
      packetIn: request(SYN).payload('x'.repeat(1360)),
      reason: 'new-connection',
      packetOut: [{ egress: INT, frame: requestAtServer(SYN).payload('x'.repeat(1360)) }],
    });
  });

  it('has no route to a client behind nobody', async () => {
    const bench = await SwitchBench.create();
    await play(bench, {
      name: '',
      given: () => bench.pass(query({}, { source: '192.0.2.1' })),
      packetIn: reply({}, { destination: '192.0.2.1' }),
      ingress: INT,
      reason: 'no-route',
    });
  });

  it('tells a server by its address and port, not a client that uses its address', async () => {
    const bench = await SwitchBench.create();
    const { reasons } = bench.pass(
      fromServer().tcp({ ...SYN, sourcePort: 9, destinationPort: 9 }),
      INT,
    );
    expect(reasons).toEqual(['not-ours']);
  });
});
