// ICMP through the whole switch: echo, and errors carried to the end that must hear of them, with
// everything that they embed translated to what that end has sent.

import { describe, expect, it } from 'vitest';
import { type PacketBuilder, packet } from '../../test/support/packet-builder.ts';
import {
  B1,
  CLIENT,
  EXT,
  INT,
  play,
  type Row,
  SwitchBench,
  VIP,
} from '../../test/support/switch-bench.ts';
import {
  ACK,
  CLIENT_PORT,
  fromServer,
  handshake,
  icmpFromClient,
  icmpFromServer,
  query,
  request,
  SYN,
  toClient,
  toServer,
} from '../../test/support/switch-packets.ts';

const ROUTER = '10.1.0.254';
const FRAGMENTATION_NEEDED = { type: 3, code: 4, sequence: 1400 };
const PORT_UNREACHABLE = { type: 3, code: 3 };

/** What the client has sent, and what of it the server got. */
const sentByClient = () =>
  packet()
    .ipv4({ source: CLIENT, destination: VIP })
    .tcp({ ...ACK, sourcePort: CLIENT_PORT });
const gotByServer = () =>
  packet()
    .ipv4({ source: CLIENT, destination: B1 })
    .tcp({ ...ACK, sourcePort: CLIENT_PORT, destinationPort: 8080 });
/** What the server has sent, and what of it went on to the client. */
const sentByServer = () =>
  packet()
    .ipv4({ source: B1, destination: CLIENT })
    .tcp({ ...ACK, sourcePort: 8080, destinationPort: CLIENT_PORT })
    .payload('page');
const gotByClient = () =>
  packet()
    .ipv4({ source: VIP, destination: CLIENT })
    .tcp({ ...ACK, sourcePort: 80, destinationPort: CLIENT_PORT })
    .payload('page');
const askedByClient = () =>
  packet()
    .ipv4({ source: CLIENT, destination: VIP })
    .udp({ sourcePort: CLIENT_PORT })
    .payload('who?');
const askedOfServer = () =>
  packet()
    .ipv4({ source: CLIENT, destination: B1 })
    .udp({ sourcePort: CLIENT_PORT, destinationPort: 5353 })
    .payload('who?');
/** The header and eight bytes: what every error has to carry. */
const head = (inside: PacketBuilder) => inside.bytes().slice(0, 28);
const asked = (bench: SwitchBench) => bench.pass(query().payload('who?'));

const ECHO: Row[] = [
  {
    name: 'to a service',
    packetIn: icmpFromClient({ identifier: 7, sequence: 9 }, { timeToLive: 3 }).payload('odd'),
    reason: 'echo-answered',
    packetOut: [
      {
        egress: EXT,
        frame: toClient({ timeToLive: 64 })
          .icmp({ type: 0, identifier: 7, sequence: 9 })
          .payload('odd'),
      },
    ],
  },
  {
    name: "to an interface's address",
    packetIn: icmpFromClient({}, { destination: '10.1.0.1' }),
    reason: 'echo-answered',
    packetOut: [
      { egress: EXT, frame: toClient({ source: '10.1.0.1', timeToLive: 64 }).icmp({ type: 0 }) },
    ],
  },
  {
    name: 'to somebody else',
    packetIn: icmpFromClient({}, { destination: '10.2.0.11' }),
    reason: 'not-ours',
  },
  { name: 'reply', packetIn: icmpFromClient({ type: 0 }), reason: 'icmp-ignored' },
  { name: 'timestamp request', packetIn: icmpFromClient({ type: 13 }), reason: 'icmp-ignored' },
];

const ERRORS: Row[] = [
  {
    name: 'fragmentation needed, from a router of the clients, to the server',
    given: handshake,
    packetIn: icmpFromClient(
      { ...FRAGMENTATION_NEEDED, embedded: head(gotByClient()) },
      { source: ROUTER },
    ),
    reason: 'icmp-error',
    packetOut: [
      {
        egress: INT,
        frame: toServer({ source: ROUTER }).icmp({
          ...FRAGMENTATION_NEEDED,
          // Of TCP's checksum nothing is there to be changed.
          embedded: head(sentByServer()),
        }),
      },
    ],
  },
  {
    name: 'the same with the whole packet inside',
    given: handshake,
    packetIn: icmpFromClient(
      { ...FRAGMENTATION_NEEDED, embedded: gotByClient() },
      { source: ROUTER },
    ),
    reason: 'icmp-error',
    packetOut: [
      {
        egress: INT,
        frame: toServer({ source: ROUTER }).icmp({
          ...FRAGMENTATION_NEEDED,
          embedded: sentByServer(),
        }),
      },
    ],
  },
  {
    name: 'a redirect, which is for hosts of the network that it comes from',
    given: handshake,
    packetIn: icmpFromClient(
      { type: 5, code: 1, embedded: head(gotByClient()) },
      { source: ROUTER },
    ),
    reason: 'icmp-ignored',
  },
  {
    name: 'port unreachable, from the server, to the client, in the name of the service',
    given: asked,
    packetIn: icmpFromServer({ ...PORT_UNREACHABLE, embedded: askedOfServer() }),
    ingress: INT,
    reason: 'icmp-error',
    packetOut: [
      { egress: EXT, frame: toClient().icmp({ ...PORT_UNREACHABLE, embedded: askedByClient() }) },
    ],
  },
  {
    name: 'time exceeded, from a router of the servers, in its own name',
    given: handshake,
    packetIn: icmpFromServer({ type: 11, embedded: gotByServer() }, { source: '10.2.0.254' }),
    ingress: INT,
    reason: 'icmp-error',
    packetOut: [
      {
        egress: EXT,
        frame: toClient({ source: '10.2.0.254' }).icmp({ type: 11, embedded: sentByClient() }),
      },
    ],
  },
  {
    name: 'to a server that answers clients directly: as it came',
    given: (bench) => bench.pass(request({ ...SYN, destinationPort: 81 })),
    packetIn: icmpFromClient(
      {
        ...FRAGMENTATION_NEEDED,
        embedded: packet()
          .ipv4({ source: VIP, destination: CLIENT })
          .tcp({ ...ACK, sourcePort: 81, destinationPort: CLIENT_PORT }),
      },
      { source: ROUTER },
    ),
    reason: 'icmp-error',
    packetOut: [
      {
        egress: INT,
        frame: toServer({ source: ROUTER, destination: VIP, timeToLive: 64 }).icmp({
          ...FRAGMENTATION_NEEDED,
          embedded: packet()
            .ipv4({ source: VIP, destination: CLIENT })
            .tcp({ ...ACK, sourcePort: 81, destinationPort: CLIENT_PORT }),
        }),
      },
    ],
  },
];

const error = (embedded: PacketBuilder | Uint8Array, checksum?: number) =>
  icmpFromServer({
    ...PORT_UNREACHABLE,
    embedded,
    ...(checksum === undefined ? {} : { checksum }),
  });

const NO_ERRORS: Row[] = [
  {
    name: 'about no connection',
    packetIn: error(gotByServer()),
    ingress: INT,
    reason: 'icmp-ignored',
  },
  {
    name: 'to another than the embedded packet came from',
    given: handshake,
    packetIn: fromServer({ destination: '10.1.0.44' }).icmp({
      ...PORT_UNREACHABLE,
      embedded: gotByServer(),
    }),
    ingress: INT,
    reason: 'icmp-ignored',
  },
  {
    name: 'about an ICMP message',
    packetIn: error(packet().ipv4({ source: CLIENT, destination: B1 }).icmp()),
    ingress: INT,
    reason: 'icmp-ignored',
  },
  {
    name: 'with a damaged checksum',
    given: handshake,
    packetIn: error(gotByServer(), 1),
    ingress: INT,
    reason: 'bad-transport-checksum',
  },
  {
    name: 'whose embedded packet is cut in its first eight bytes',
    given: handshake,
    packetIn: error(gotByServer().bytes().slice(0, 27)),
    ingress: INT,
    reason: 'bad-icmp',
  },
  {
    name: 'whose embedded header is cut',
    packetIn: error(gotByServer().bytes().slice(0, 19)),
    ingress: INT,
    reason: 'bad-icmp',
  },
  {
    name: 'whose embedded header claims options beyond the packet',
    packetIn: error(packet().ipv4({ headerLength: 60 }).udp()),
    ingress: INT,
    reason: 'bad-icmp',
  },
  {
    name: 'about a later fragment',
    packetIn: error(packet().ipv4({ fragmentOffset: 8 }).udp()),
    ingress: INT,
    reason: 'bad-icmp',
  },
  {
    name: 'about IPv6',
    packetIn: error(packet().ipv4({ version: 6 }).udp()),
    ingress: INT,
    reason: 'bad-icmp',
  },
  {
    name: 'at the end of its time to live',
    given: handshake,
    packetIn: icmpFromServer({ ...PORT_UNREACHABLE, embedded: gotByServer() }, { timeToLive: 1 }),
    ingress: INT,
    reason: 'ttl-expired',
  },
];

describe('ICMP', () => {
  it.each(ECHO)('echo $name', async (row) => play(await SwitchBench.create(), row));
  it.each(ERRORS)('error: $name', async (row) => play(await SwitchBench.create(), row));
  it.each(NO_ERRORS)('no error $name', async (row) => play(await SwitchBench.create(), row));

  it('answers only so many echo requests in a second', async () => {
    const configuration = { 'rate-limits': { 'echo-replies': 2 } };
    const bench = await SwitchBench.create({ configuration });
    const reasons = () => bench.pass(icmpFromClient({})).reasons[0];
    expect([reasons(), reasons(), reasons()]).toEqual([
      'echo-answered',
      'echo-answered',
      'echo-rate-limited',
    ]);
    bench.advance(500);
    expect([reasons(), reasons()]).toEqual(['echo-answered', 'echo-rate-limited']);
  });

  it('does not change a connection by an error (RFC 5927)', async () => {
    const bench = await SwitchBench.create();
    handshake(bench);
    bench.pass(error(gotByServer()), INT);
    expect(bench.pass(request(ACK)).reasons).toEqual(['connection']);
  });
});
