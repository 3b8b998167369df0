// Packets for which a switch has every reason that one packet can meet, over and over: the fixtures of
// the switch bench (conversations that begin, go on and end), malformed ones of each kind, requests that
// are refused, and connections that are new each time. Nothing is made while it runs: what changes is
// written into the same bytes, so that whoever counts garbage counts the switch's.

import * as ipv4 from '../../src/wire/ipv4.ts';
import { HOST, HOST_MAC_TEXT, PEER_MAC_TEXT } from './host-end.ts';
import type { Ipv4Spec, PacketBuilder } from './packet-builder.ts';
import { packet } from './packet-builder.ts';
import { B1, B2, CLIENT, EXT, EXT_MAC, INT, macOf, service, VIP } from './switch-bench.ts';
import { FIXTURES } from './switch-fixtures.ts';
import {
  ACK,
  answer,
  CLIENT_PORT,
  fromClient,
  fromServer,
  icmpFromClient,
  query,
  reply,
  request,
  SYN,
} from './switch-packets.ts';

export interface MixedPacket {
  readonly side: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Each time from another port. */
  readonly isNew: boolean;
}

/** Nobody answers ARP there. */
const SILENT_BACKEND = { name: 'silent', address: '10.2.0.77', port: 8080 };
const STRANGER = '192.0.2.1';

/** One of each way to choose a backend, from this port on. */
const SCHEDULERS = ['rr', 'lc', 'wlc', 'sed', 'nq', 'sh', 'mh', 'p2c', 'random'];
const SCHEDULER_PORT = 2000;
const LIMITED_PORT = 2100;
/** Servers have a port for each service: else their replies could not be told apart. */
const backendsAt = (port: number, more = {}) =>
  [B1, B2].map((address, i) => ({ name: `b${i + 1}`, address, port, weight: i + 1, ...more }));
/** New clients' ports come in order: each rule has had enough time to forget when it comes again. */
const RULES = Array.from({ length: 10 }, (_, n) => ({
  name: `r${n}`,
  'client-ports': `${1024 + n * 5000}-${1023 + (n + 1) * 5000}`,
  dscp: [0],
  payload: { value: '77', mask: 'ff' },
  backend: `b${1 + (n & 1)}`,
}));
const chosenBy = (scheduler: string, n: number) =>
  service(scheduler, {
    protocol: 'udp',
    port: SCHEDULER_PORT + n,
    scheduler,
    backends: backendsAt(SCHEDULER_PORT + n, { 'connection-limit': 100_000 }),
    'connection-limit': 100_000,
    ...(n < 2 ? {} : { persistence: { timeout: '1s' }, rules: n < 4 ? RULES : [] }),
  });
const limited = (n: number, protocol: 'tcp' | 'udp', ofService: boolean) =>
  service(`limited-${n}`, {
    protocol,
    port: LIMITED_PORT + n,
    backends: backendsAt(LIMITED_PORT + n, ofService ? {} : { 'connection-limit': 1 }),
    ...(ofService ? { 'connection-limit': 1 } : {}),
  });

/** What the mix asks for beside the default services of the switch bench. */
export const MIX_SERVICES = [
  ...SCHEDULERS.map(chosenBy),
  limited(0, 'tcp', true),
  limited(1, 'tcp', false),
  limited(2, 'udp', true),
  limited(3, 'udp', false),
  service('silent', { port: 83, backends: [SILENT_BACKEND] }),
  service('silent-udp', { protocol: 'udp', port: 83, backends: [SILENT_BACKEND] }),
];

/** Refused in each way that a route can refuse. */
export const MIX_ROUTES = [
  { to: '192.0.2.128/26', type: 'blackhole' },
  { to: '192.0.2.192/27', type: 'unreachable' },
  { to: '192.0.2.224/27', type: 'prohibit' },
];
/** From the servers' side with translated sources, to it without. */
export const MIX_FORWARDING = [
  { from: 'int0', to: 'ext0', source: '10.1.0.3', 'source-ports': '2000-3999' },
  { from: 'ext0', to: 'int0' },
];
/** No port of a service's. */
const INNER_PORT = 700;
const REFUSED = ['192.0.2.129', '192.0.2.193', '192.0.2.225'];

/** The control host's; its programs speak to everybody. */
const CONTROL = '10.1.0.50';
export const MIX_CONTROL = { addresses: [`${CONTROL}/24`] };
/** The same by an interface of the kernel's. */
export const MIX_REAL = '10.2.0.9';
export const MIX_CONTROL_PAIRS = {
  via: 'interface',
  pairs: [{ virtual: CONTROL, real: MIX_REAL }],
};
const fromReal = (destination: string) => fromServer({ destination }, MIX_REAL);
const fromHost = (destination: string, more: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: HOST_MAC_TEXT, destination: PEER_MAC_TEXT })
    .ipv4({ source: CONTROL, destination, ...more });

const NETWORK = 14;
const TRANSPORT = NETWORK + ipv4.HEADER_SIZE;
const TCP_SEQUENCE_LOW = TRANSPORT + 6;
const FIRST_PORT = 1024;
/** Source port and sequence number together, so that the checksum stays right. */
const PORT_AND_SEQUENCE = 61_024;
const NEW_PORTS = 50_000;

/** The packet with some bytes of its IP header changed, and the checksum made right again. */
function damaged(built: PacketBuilder, change: (view: DataView) => void): Uint8Array<ArrayBuffer> {
  const bytes = built.bytes();
  const view = new DataView(bytes.buffer);
  change(view);
  ipv4.setHeaderChecksum(view, NETWORK, ipv4.computeHeaderChecksum(view, NETWORK));
  return bytes;
}

const newSyn = (ip: Ipv4Spec, destinationPort: number) =>
  request(
    { ...SYN, sourcePort: FIRST_PORT, sequence: PORT_AND_SEQUENCE - FIRST_PORT, destinationPort },
    ip,
  );
const newQuery = (destinationPort: number) =>
  query({ sourcePort: FIRST_PORT, destinationPort, checksum: 0 }).payload('who?');
const outwards = (ip: Ipv4Spec = {}) => fromServer(ip, B2);
const inwards = (ip: Ipv4Spec = {}) => fromClient({ destination: B2, ...ip });
const foreignArp = packet()
  .ethernet({ source: macOf('10.1.0.200'), destination: 'ff:ff:ff:ff:ff:ff' })
  .arp({
    senderMac: macOf('10.1.0.200'),
    senderAddress: '10.1.0.200',
    targetAddress: '10.1.0.201',
  });
const arpFromB1 = (operation: 'request' | 'reply') =>
  packet()
    .ethernet({ source: macOf(B1), destination: 'ff:ff:ff:ff:ff:ff' })
    .arp({ operation, senderMac: macOf(B1), senderAddress: B1, targetAddress: '10.2.0.99' });

const SINGLE: readonly (readonly [number, PacketBuilder | Uint8Array<ArrayBuffer>])[] = [
  [EXT, request({ ...SYN, destinationPort: 99 }, { timeToLive: 3 })],
  [EXT, request({ ...ACK, sourcePort: 7 })],
  [EXT, request({ flags: ['RST'], sourcePort: 7 })],
  [EXT, request({ ...SYN, destinationPort: 82 })],
  [EXT, query({ destinationPort: 82 })],
  [EXT, query({ destinationPort: 54 })],
  [INT, reply({ destinationPort: 7 })],
  [EXT, request(SYN, { destination: '10.1.0.77' })],
  [EXT, request({ ...SYN, sourcePort: 80 }, { source: VIP })],
  [EXT, request(SYN, { source: '127.0.0.1' })],
  [EXT, request({ ...SYN, sourcePort: 9 }, { timeToLive: 1 })],
  [EXT, request({ ...SYN, sourcePort: 9, checksum: 0x1234 })],
  [EXT, request({ ...SYN, flags: ['SYN', 'FIN'] })],
  [EXT, query({}, { source: STRANGER })],
  [INT, reply({}, { destination: STRANGER })],
  [EXT, inwards().udp({ destinationPort: INNER_PORT })],
  [EXT, inwards({ protocol: 47 }).payload('x'.repeat(40))],
  [EXT, inwards({ timeToLive: 1 }).udp({ destinationPort: INNER_PORT })],
  [INT, outwards({ destination: STRANGER }).udp({ sourcePort: INNER_PORT })],
  [INT, outwards().icmp({ type: 8, identifier: 5 })],
  ...REFUSED.flatMap(
    (host) =>
      [
        [EXT, query({}, { source: host })],
        [INT, reply({}, { destination: host })],
      ] as [number, PacketBuilder][],
  ),
  [EXT, icmpFromClient({ type: 13 })],
  [EXT, request(SYN).bytes().slice(0, 30)],
  [EXT, fromClient({ protocol: 47 }).payload('x'.repeat(40))],
  [EXT, damaged(request(SYN), (view) => view.setUint8(NETWORK, 0x65))],
  [EXT, damaged(request(SYN), (view) => view.setUint8(NETWORK, 0x41))],
  [EXT, damaged(request(SYN), (view) => view.setUint16(NETWORK + 2, 10))],
  [EXT, damaged(request(SYN), (view) => view.setUint8(TRANSPORT + 12, 0x10))],
  [EXT, damaged(query(), (view) => view.setUint16(TRANSPORT + 4, 4))],
  [EXT, request(SYN, { headerChecksum: 0x1234 })],
  [EXT, fromClient({ protocol: 1 }).payload('abc')],
  [
    EXT,
    packet()
      .ethernet({ source: macOf(CLIENT), destination: macOf(B1) })
      .ipv4()
      .tcp(),
  ],
  [EXT, packet().ethernet({ destination: EXT_MAC, type: 0x86dd }).payload('x'.repeat(50))],
  [EXT, packet().ethernet({ destination: EXT_MAC, type: 0x0806 }).payload('x'.repeat(46))],
  [EXT, foreignArp],
  [EXT, request(ACK, { destination: CONTROL, moreFragments: true })],
  [HOST, fromHost(CLIENT, { fragmentOffset: 1480, protocol: 17 }).payload('x'.repeat(100))],
  [HOST, fromHost(STRANGER).udp({ sourcePort: 7, destinationPort: 7 })],
  [INT, arpFromB1('request')],
  [INT, arpFromB1('reply')],
  [INT, answer({ ...ACK, destinationPort: CLIENT_PORT }).payload('x'.repeat(700))],
];

/** All of them, in the order in which they come. */
export const MIX: readonly MixedPacket[] = [
  ...FIXTURES.map(({ side, bytes }) => ({ side, bytes, isNew: false })),
  ...SINGLE.map(([side, each]) => ({
    side,
    bytes: each instanceof Uint8Array ? each : each.bytes(),
    isNew: false,
  })),
  ...[
    newSyn({}, 80),
    newQuery(53),
    newSyn({}, 83),
    newQuery(83),
    ...SCHEDULERS.map((_, n) => newQuery(SCHEDULER_PORT + n)),
    ...[0, 1].map((n) => newSyn({}, LIMITED_PORT + n)),
    ...[2, 3].map((n) => newQuery(LIMITED_PORT + n)),
  ].map((each) => ({
    side: EXT,
    bytes: each.bytes(),
    isNew: true,
  })),
  {
    side: INT,
    bytes: outwards().udp({ sourcePort: FIRST_PORT, destinationPort: 53, checksum: 0 }).bytes(),
    isNew: true,
  },
];

const ofPair = (side: number, each: PacketBuilder) => ({
  side,
  bytes: each.bytes(),
  isNew: false,
});

/** What there is more of where the control host is reached by an interface of the kernel's. */
export const MIX_OF_PAIRS: readonly MixedPacket[] = [
  ofPair(EXT, query({}, { destination: CONTROL })),
  ofPair(
    EXT,
    icmpFromClient(
      { type: 3, code: 1, embedded: packet().ipv4({ source: CONTROL, destination: CLIENT }).udp() },
      { destination: CONTROL },
    ),
  ),
  ofPair(INT, fromReal(CLIENT).udp({ sourcePort: 9, destinationPort: 9 })),
  ofPair(INT, fromReal(VIP).udp({ sourcePort: 9, destinationPort: 53 })),
];

/** Gives a packet that shall be new its next port: `number` counts from 0. */
export function makeNew({ bytes }: MixedPacket, number: number): void {
  const port = FIRST_PORT + (number % NEW_PORTS);
  bytes[TRANSPORT] = port >> 8;
  bytes[TRANSPORT + 1] = port;
  if (bytes[NETWORK + 9] !== ipv4.PROTOCOL_TCP) return;
  const sequence = PORT_AND_SEQUENCE - port;
  bytes[TCP_SEQUENCE_LOW] = sequence >> 8;
  bytes[TCP_SEQUENCE_LOW + 1] = sequence;
}
