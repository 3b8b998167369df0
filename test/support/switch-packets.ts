// The packets of a conversation through the switch bench, as each side of the switch sees them: what a
// client sends to a service, what its server gets, and the way back. Every field can be changed.

import {
  type IcmpSpec,
  type Ipv4Spec,
  type PacketBuilder,
  packet,
  type TcpSpec,
  type UdpSpec,
} from './packet-builder.ts';
import { B1, CLIENT, EXT_MAC, INT, INT_MAC, macOf, type SwitchBench, VIP } from './switch-bench.ts';

export const CLIENT_PORT = 40_000;
const HOPS = 64;

/** From the client's host to the switch, up to the IPv4 header. */
export function fromClient(ip: Ipv4Spec = {}): PacketBuilder {
  return packet()
    .ethernet({ source: macOf(CLIENT), destination: EXT_MAC })
    .ipv4({ source: CLIENT, destination: VIP, timeToLive: HOPS, ...ip });
}

/** From the switch to a server: one hop further. */
export function toServer(ip: Ipv4Spec = {}, server = B1): PacketBuilder {
  return packet()
    .ethernet({ source: INT_MAC, destination: macOf(server) })
    .ipv4({ source: CLIENT, destination: server, timeToLive: HOPS - 1, ...ip });
}

/** From a server to the switch. */
export function fromServer(ip: Ipv4Spec = {}, server = B1): PacketBuilder {
  return packet()
    .ethernet({ source: macOf(server), destination: INT_MAC })
    .ipv4({ source: server, destination: CLIENT, timeToLive: HOPS, ...ip });
}

/** From the switch to the client. */
export function toClient(ip: Ipv4Spec = {}): PacketBuilder {
  return packet()
    .ethernet({ source: EXT_MAC, destination: macOf(CLIENT) })
    .ipv4({ source: VIP, destination: CLIENT, timeToLive: HOPS - 1, ...ip });
}

/** The client's segment to the service, as sent and as it reaches the server. */
export function request(tcp: TcpSpec = {}, ip: Ipv4Spec = {}): PacketBuilder {
  return fromClient(ip).tcp({ sourcePort: CLIENT_PORT, destinationPort: 80, ...tcp });
}
export function requestAtServer(tcp: TcpSpec = {}, ip: Ipv4Spec = {}, server = B1): PacketBuilder {
  return toServer(ip, server).tcp({ sourcePort: CLIENT_PORT, destinationPort: 8080, ...tcp });
}

/** The server's segment, as sent and as it reaches the client. */
export function answer(tcp: TcpSpec = {}, ip: Ipv4Spec = {}, server = B1): PacketBuilder {
  return fromServer(ip, server).tcp({ sourcePort: 8080, destinationPort: CLIENT_PORT, ...tcp });
}
export function answerAtClient(tcp: TcpSpec = {}, ip: Ipv4Spec = {}): PacketBuilder {
  return toClient(ip).tcp({ sourcePort: 80, destinationPort: CLIENT_PORT, ...tcp });
}

/** The same four for the UDP service. */
export function query(udp: UdpSpec = {}, ip: Ipv4Spec = {}): PacketBuilder {
  return fromClient(ip).udp({ sourcePort: CLIENT_PORT, destinationPort: 53, ...udp });
}
export function queryAtServer(udp: UdpSpec = {}, ip: Ipv4Spec = {}): PacketBuilder {
  return toServer(ip).udp({ sourcePort: CLIENT_PORT, destinationPort: 5353, ...udp });
}
export function reply(udp: UdpSpec = {}, ip: Ipv4Spec = {}): PacketBuilder {
  return fromServer(ip).udp({ sourcePort: 5353, destinationPort: CLIENT_PORT, ...udp });
}
export function replyAtClient(udp: UdpSpec = {}, ip: Ipv4Spec = {}): PacketBuilder {
  return toClient(ip).udp({ sourcePort: 53, destinationPort: CLIENT_PORT, ...udp });
}

export const SYN = { flags: ['SYN'], sequence: 1000 } as const satisfies TcpSpec;
export const SYN_ACK = {
  flags: ['SYN', 'ACK'],
  sequence: 9000,
  acknowledgment: 1001,
} as const satisfies TcpSpec;
export const ACK = {
  flags: ['ACK'],
  sequence: 1001,
  acknowledgment: 9001,
} as const satisfies TcpSpec;

/** An ICMP message from the client's host or a server's. */
export function icmpFromClient(icmp: IcmpSpec, ip: Ipv4Spec = {}): PacketBuilder {
  return fromClient(ip).icmp(icmp);
}
export function icmpFromServer(icmp: IcmpSpec, ip: Ipv4Spec = {}): PacketBuilder {
  return fromServer(ip).icmp(icmp);
}

/** Establishes the connection of `request` and `answer`. */
export function handshake(bench: SwitchBench): void {
  bench.pass(request(SYN));
  bench.pass(answer(SYN_ACK), INT);
  bench.pass(request(ACK));
}
