// Step 204 as a table of malformed packets: each is dropped, under the reason that names its fault.

import { describe, it } from 'vitest';
import { packet } from '../../test/support/packet-builder.ts';
import {
  CLIENT,
  EXT_MAC,
  macOf,
  play,
  type Row,
  SwitchBench,
  VIP,
} from '../../test/support/switch-bench.ts';
import {
  fromClient,
  icmpFromClient,
  query,
  request,
  SYN,
} from '../../test/support/switch-packets.ts';

const syn = request(SYN);
const cut = (length: number) => syn.bytes().slice(0, length);
const toUs = () => packet().ethernet({ source: macOf(CLIENT), destination: EXT_MAC });

const ETHERNET: Row[] = [
  { name: 'no bytes at all', packetIn: new Uint8Array(0), reason: 'truncated' },
  { name: 'half an Ethernet header', packetIn: cut(13), reason: 'truncated' },
  { name: 'no packet', packetIn: cut(14), reason: 'truncated' },
  {
    name: 'a VLAN tag and nothing behind it',
    packetIn: toUs().vlan(7).bytes().slice(0, 17),
    reason: 'truncated',
  },
  {
    name: 'another MAC address',
    packetIn: packet()
      .ethernet({ destination: '02:00:00:00:00:99' })
      .ipv4({ source: CLIENT, destination: VIP })
      .tcp(SYN),
    reason: 'not-for-us',
  },
  {
    name: 'an IPv4 packet to all',
    packetIn: packet()
      .ethernet({ destination: 'ff:ff:ff:ff:ff:ff' })
      .ipv4({ source: CLIENT, destination: VIP })
      .tcp(SYN),
    reason: 'not-for-us',
  },
  {
    name: 'a MAC address that differs in its first bytes only',
    packetIn: packet()
      .ethernet({ destination: EXT_MAC.replace('02:', '06:') })
      .ipv4({ source: CLIENT, destination: VIP })
      .tcp(SYN),
    reason: 'not-for-us',
  },
  { name: 'IPv6', packetIn: toUs().payload('').bytes(), reason: 'unknown-ethertype' },
  {
    name: 'a third VLAN tag',
    packetIn: toUs().vlan(1).vlan(2).vlan(3).ipv4({ destination: VIP }).tcp(SYN),
    reason: 'unknown-ethertype',
  },
];

const IP: Row[] = [
  { name: 'cut in the IP header', packetIn: cut(14 + 19), reason: 'truncated' },
  { name: 'cut in the TCP header', packetIn: cut(14 + 20 + 19), reason: 'truncated' },
  { name: 'version 6', packetIn: request(SYN, { version: 6 }), reason: 'bad-ip-version' },
  {
    name: 'header of 16 bytes',
    packetIn: request(SYN, { headerLength: 16 }),
    reason: 'bad-ip-header-length',
  },
  {
    name: 'header longer than the packet',
    packetIn: request(SYN, { headerLength: 60, totalLength: 40 }),
    reason: 'bad-ip-total-length',
  },
  {
    name: 'total length below the header',
    packetIn: request(SYN, { totalLength: 19 }),
    reason: 'bad-ip-total-length',
  },
  {
    name: 'total length beyond the frame',
    packetIn: request(SYN, { totalLength: 41 }),
    reason: 'truncated',
  },
  {
    name: 'header checksum',
    packetIn: request(SYN, { headerChecksum: 0x1234 }),
    reason: 'bad-ip-checksum',
  },
  ...['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'].map(
    (source): Row => ({
      name: `source ${source}`,
      packetIn: request(SYN, { source }),
      reason: 'bad-ip-source',
    }),
  ),
  {
    name: 'first fragment',
    packetIn: request(SYN, { moreFragments: true }),
    reason: 'fragment',
  },
  {
    name: 'last fragment',
    packetIn: request(SYN, { fragmentOffset: 1480 }),
    reason: 'fragment',
  },
  {
    name: 'neither TCP, UDP nor ICMP',
    packetIn: fromClient({ protocol: 47 }).payload('x'.repeat(40)),
    reason: 'unknown-protocol',
  },
];

const TRANSPORT: Row[] = [
  {
    name: 'TCP header of 19 bytes',
    packetIn: fromClient({ protocol: 6 }).payload('x'.repeat(19)),
    reason: 'bad-tcp-header',
  },
  {
    name: 'data offset 16',
    packetIn: request({ ...SYN, dataOffset: 16 }),
    reason: 'bad-tcp-header',
  },
  {
    name: 'data offset beyond the packet, within the frame',
    packetIn: request({ ...SYN, dataOffset: 24 }).padTo(80),
    reason: 'bad-tcp-header',
  },
  ...(
    [[], ['FIN'], ['PSH'], ['URG'], ['SYN', 'FIN'], ['SYN', 'RST'], ['FIN', 'PSH', 'URG']] as const
  ).map(
    (flags): Row => ({
      name: `flags ${flags.join('+') || 'none'}`,
      packetIn: request({ flags }),
      reason: 'bad-tcp-flags',
    }),
  ),
  {
    name: 'UDP header of 7 bytes',
    packetIn: fromClient({ protocol: 17 }).payload('x'.repeat(7)),
    reason: 'bad-udp-length',
  },
  { name: 'UDP length 7', packetIn: query({ length: 7 }), reason: 'bad-udp-length' },
  {
    name: 'UDP length beyond the packet, within the frame',
    packetIn: query({ length: 9 }).padTo(60),
    reason: 'bad-udp-length',
  },
  {
    name: 'ICMP of 7 bytes',
    packetIn: fromClient({ protocol: 1 }).payload('x'.repeat(7)),
    reason: 'bad-icmp',
  },
  {
    name: 'echo request with a damaged checksum',
    packetIn: icmpFromClient({ checksum: 1 }),
    reason: 'bad-transport-checksum',
  },
];

describe('malformed packets', () => {
  it.each(ETHERNET)('Ethernet: $name', async (row) => play(await SwitchBench.create(), row));
  it.each(IP)('IPv4: $name', async (row) => play(await SwitchBench.create(), row));
  it.each(TRANSPORT)('transport: $name', async (row) => play(await SwitchBench.create(), row));
});
