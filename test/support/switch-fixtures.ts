// Valid frames of every kind that the switch bench knows, for the fuzz tests and for the scenario that
// sends malformed ones over real interfaces. `side` is the interface that they arrive on.

import { packet } from './packet-builder.ts';
import { B1, CLIENT, EXT, EXT_MAC, INT, macOf, VIP } from './switch-bench.ts';
import {
  ACK,
  answer,
  CLIENT_PORT,
  icmpFromClient,
  icmpFromServer,
  query,
  reply,
  request,
  SYN,
  SYN_ACK,
} from './switch-packets.ts';

export interface Fixture {
  readonly name: string;
  readonly side: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const OPTIONS = Uint8Array.of(0x94, 0x04, 0x00, 0x00);
const DATA = 'GET / HTTP/1.1\r\nHost: weir\r\n\r\n';
const embedded = () =>
  packet()
    .ipv4({ source: CLIENT, destination: B1 })
    .tcp({ ...ACK, sourcePort: CLIENT_PORT, destinationPort: 8080 });
const embeddedBack = () =>
  packet()
    .ipv4({ source: VIP, destination: CLIENT })
    .tcp({ ...ACK, sourcePort: 80, destinationPort: CLIENT_PORT });
const askedOfServer = () =>
  packet()
    .ipv4({ source: CLIENT, destination: B1 })
    .udp({ sourcePort: CLIENT_PORT, destinationPort: 5353 })
    .payload('who?');
const tagged = () =>
  packet()
    .ethernet({ source: macOf(CLIENT), destination: EXT_MAC })
    .vlan(7)
    .ipv4({ source: CLIENT, destination: VIP });
/** Whoever is believed in ARP can be lied about: a host that nobody else is. */
const ASKER = '10.1.0.33';
const arp = (operation: 'request' | 'reply', targetAddress: string) =>
  packet()
    .ethernet({ source: macOf(ASKER), destination: 'ff:ff:ff:ff:ff:ff' })
    .arp({ operation, senderMac: macOf(ASKER), senderAddress: ASKER, targetAddress })
    .padTo(60);

export const FIXTURES: readonly Fixture[] = [
  { name: 'SYN', side: EXT, bytes: request(SYN).bytes() },
  { name: 'SYN with options', side: EXT, bytes: request({ ...SYN, options: OPTIONS }).bytes() },
  { name: 'SYN-ACK', side: INT, bytes: answer(SYN_ACK).bytes() },
  { name: 'ACK', side: EXT, bytes: request(ACK).padTo(60).bytes() },
  {
    name: 'request',
    side: EXT,
    bytes: request({ ...ACK, flags: ['PSH', 'ACK'] })
      .payload(DATA)
      .bytes(),
  },
  {
    name: 'answer',
    side: INT,
    bytes: answer({ ...ACK, flags: ['PSH', 'ACK'] })
      .payload(DATA)
      .bytes(),
  },
  { name: 'FIN', side: EXT, bytes: request({ ...ACK, flags: ['FIN', 'ACK'] }).bytes() },
  { name: 'reset', side: INT, bytes: answer({ flags: ['RST'], sequence: 9001 }).bytes() },
  {
    name: 'IP options',
    side: EXT,
    bytes: request(ACK, { options: OPTIONS }).payload(DATA).bytes(),
  },
  { name: 'full frame', side: INT, bytes: answer(ACK).payload('x'.repeat(1460)).bytes() },
  { name: 'query', side: EXT, bytes: query().payload('who?').bytes() },
  {
    name: 'query without a checksum',
    side: EXT,
    bytes: query({ checksum: 0 }).payload('who?').bytes(),
  },
  { name: 'reply', side: INT, bytes: reply().payload('me!').padTo(60).bytes() },
  {
    name: 'to a direct server',
    side: EXT,
    bytes: request({ ...SYN, destinationPort: 81 }).bytes(),
  },
  { name: 'to no service', side: EXT, bytes: request({ ...SYN, destinationPort: 99 }).bytes() },
  {
    name: 'tagged',
    side: EXT,
    bytes: tagged()
      .tcp({ ...ACK, sourcePort: CLIENT_PORT })
      .bytes(),
  },
  {
    name: 'fragment',
    side: EXT,
    bytes: request(ACK, { moreFragments: true }).payload(DATA).bytes(),
  },
  {
    name: 'echo request',
    side: EXT,
    bytes: icmpFromClient({ identifier: 7 }).payload(DATA).bytes(),
  },
  {
    name: 'port unreachable',
    side: INT,
    bytes: icmpFromServer({ type: 3, code: 3, embedded: askedOfServer() }).bytes(),
  },
  {
    name: 'time exceeded',
    side: INT,
    bytes: icmpFromServer({ type: 11, embedded: embedded() }, { source: '10.2.0.254' }).bytes(),
  },
  {
    name: 'fragmentation needed',
    side: EXT,
    bytes: icmpFromClient(
      { type: 3, code: 4, sequence: 1400, embedded: embeddedBack() },
      { source: '10.1.0.254' },
    ).bytes(),
  },
  { name: 'who has our address', side: EXT, bytes: arp('request', VIP).bytes() },
  { name: 'announcement', side: EXT, bytes: arp('request', ASKER).bytes() },
  { name: 'ARP answer', side: EXT, bytes: arp('reply', '10.1.0.1').bytes() },
];
