// Packets between the servers' side and the outside that no service claims, as they go into a switch and as they
// come out, for the tests of forwarding and of source translation.

import { expect } from 'vitest';
import { type Ipv4Spec, type PacketBuilder, packet } from './packet-builder.ts';
import { decodeFrame, expectSameFields } from './packet-fields.ts';
import { B2, CLIENT, EXT_MAC, INT, INT_MAC, macOf, SwitchBench } from './switch-bench.ts';

export const OUTER = '10.1.0.3';
export const FAR = '192.0.2.9';
const ROUTES = [
  { to: '198.51.100.0/24', type: 'unreachable' },
  { to: '203.0.113.0/24', type: 'prohibit' },
  { to: '100.64.0.0/10', type: 'blackhole' },
];
export const PLAIN = [
  { from: 'int0', to: 'ext0' },
  { from: 'ext0', to: 'int0' },
];
export const NAT = [{ from: 'int0', to: 'ext0', source: OUTER, 'source-ports': '2000-2003' }];

export const bench = (forwarding: object[] = [], more = {}) =>
  SwitchBench.create({ configuration: { forwarding, routes: ROUTES, ...more } });

/** From a server, to the switch; and from the switch to the client's side, one hop further. */
export const out = (ip: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: macOf(B2), destination: INT_MAC })
    .ipv4({ source: B2, destination: CLIENT, timeToLive: 64, ...ip });
export const sentOut = (ip: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: EXT_MAC, destination: macOf(CLIENT) })
    .ipv4({ source: B2, destination: CLIENT, timeToLive: 63, ...ip });
export const back = (ip: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: macOf(CLIENT), destination: EXT_MAC })
    .ipv4({ source: CLIENT, destination: B2, timeToLive: 64, ...ip });
export const sentBack = (ip: Ipv4Spec = {}) =>
  packet()
    .ethernet({ source: INT_MAC, destination: macOf(B2) })
    .ipv4({ source: CLIENT, destination: B2, timeToLive: 63, ...ip });
export const udp = (built: PacketBuilder, sourcePort = 5000, destinationPort = 53) =>
  built.udp({ sourcePort, destinationPort }).payload('datagram');

/** What an ICMP error is about. */
export const ABOUT = packet().ipv4({ source: CLIENT, destination: B2 }).udp({ sourcePort: 1 });

/** What comes out when this goes in, and under which reason. */
export async function pass(on: SwitchBench, frame: PacketBuilder, ingress = INT) {
  const { reasons, sent } = on.pass(frame, ingress);
  return { reason: reasons.join(), sent };
}

export function expectSent(
  outcome: Awaited<ReturnType<typeof pass>>,
  egress: number,
  frame: PacketBuilder,
) {
  expect(outcome.sent).toHaveLength(1);
  expect(outcome.sent[0].egress).toBe(egress);
  expectSameFields(outcome.sent[0].bytes, frame.bytes());
}

/** The error that the switch has sent about a packet: its type and code, and what it embeds. */
export function errorOf({ sent }: Awaited<ReturnType<typeof pass>>) {
  const { ipv4, icmp, ethernet } = decodeFrame(sent[0].bytes);
  return { egress: sent[0].egress, ethernet, ipv4, icmp, bytes: sent[0].bytes };
}
