// Gives a network interface what an administrator would with `ip`: a MAC address, an MTU, addresses,
// routes, another namespace; and brings it up. By route netlink (RFC 3549; uapi linux/rtnetlink.h,
// if_link.h, if_addr.h), one request after the other, each answered by the kernel before `send` returns.
// Invariants: what is there already is not a fault, so all of it can be done again; nothing is taken from
// another interface: a route that one has already stays before the new one.

import { constants } from 'node:os';
import { systemError } from './advice.ts';
import { NetlinkSocket } from './netlink.ts';

const { EEXIST } = constants.errno;
const NLMSG_ERROR = 2;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_CREATE = 0x400;
const NLM_F_REPLACE = 0x100;
const NLM_F_EXCL = 0x200;
const NLM_F_APPEND = 0x800;
const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;

const IFLA_ADDRESS = 1;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const ADDR_GEN_MODE_NONE = 1;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PREFSRC = 7;
const RTNH_F_ONLINK = 4;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RTN_UNICAST = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const IFF_UP = 1;
const HEADER_SIZE = 16;

/** An IPv4 address as four bytes, with the length of its network's prefix. */
export interface LinkAddress {
  readonly address: Uint8Array;
  readonly prefixLength: number;
}

export interface LinkSettings {
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  /** Frames that wait for whoever reads them. */
  readonly queueLength: number;
  readonly addresses: readonly LinkAddress[];
  /** Networks that lie behind the interface: all by one gateway, on no network, `gateway`. */
  readonly routes: readonly LinkAddress[];
  readonly gateway: Uint8Array;
}

/** nlattr: length u16, type u16, value, padded to four bytes. */
function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + value.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

function number32(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Sends one request to the kernel. @returns the errno that it answers; 0: done. */
function ask(
  socket: NetlinkSocket,
  type: number,
  flags: number,
  parts: readonly Uint8Array[],
): number {
  const body = concatenate(parts);
  const message = new Uint8Array(HEADER_SIZE + body.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_ACK | flags, true);
  message.set(body, HEADER_SIZE);
  socket.send(message);
  let errno = 0;
  socket.readAll((answer, payload) => {
    if (answer === NLMSG_ERROR) errno = -payload.getInt32(0, true);
  });
  return errno;
}

/** The same, but throws what the kernel has against it. */
function request(
  socket: NetlinkSocket,
  type: number,
  flags: number,
  parts: readonly Uint8Array[],
  call: string,
  subject: string,
): void {
  const errno = ask(socket, type, flags, parts);
  if (errno !== 0) throw systemError(`netlink(${call})`, errno, subject);
}

/**
 * Adds a route behind those to the same network that there are.
 * @returns whether there is one of another interface, which goes before it
 */
function addRoute(socket: NetlinkSocket, parts: readonly Uint8Array[], subject: string): boolean {
  const errno = ask(socket, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, parts);
  if (errno === 0) return false;
  const behind =
    errno === EEXIST ? ask(socket, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, parts) : errno;
  // It is there, alone or first, from the time before.
  if (behind === EEXIST) return false;
  if (behind !== 0) throw systemError('netlink(RTM_NEWROUTE)', behind, subject);
  return true;
}

/** ifinfomsg */
function linkMessage(index: number, flags: number, change: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return bytes;
}

/** Opens a socket in this thread's namespace for what `action` asks of the kernel. */
function withSocket<Result>(action: (socket: NetlinkSocket) => Result): Result {
  const socket = new NetlinkSocket(0);
  try {
    return action(socket);
  } finally {
    socket.close();
  }
}

/** Moves an interface of this namespace into the one that `namespaceFd` stands for. @throws SystemError */
export function moveLink(index: number, namespaceFd: number, subject: string): void {
  withSocket((socket) => {
    const parts = [linkMessage(index, 0, 0), attribute(IFLA_NET_NS_FD, number32(namespaceFd))];
    request(socket, RTM_NEWLINK, 0, parts, 'RTM_NEWLINK', subject);
  });
}

/**
 * Gives an interface of this thread's namespace its settings and brings it up.
 * @returns the routes that come behind another interface's to the same network, which is used instead
 * @throws SystemError
 */
export function setUpLink(
  index: number,
  settings: LinkSettings,
  subject: string,
): readonly LinkAddress[] {
  return withSocket((socket) => {
    const { mac, mtu, queueLength, addresses, routes, gateway } = settings;
    quietIpv6(socket, index, subject);
    const link = [
      linkMessage(index, IFF_UP, IFF_UP),
      attribute(IFLA_ADDRESS, mac),
      attribute(IFLA_MTU, number32(mtu)),
      attribute(IFLA_TXQLEN, number32(queueLength)),
    ];
    request(socket, RTM_NEWLINK, 0, link, 'RTM_NEWLINK', subject);
    const flags = NLM_F_CREATE | NLM_F_REPLACE;
    for (const address of addresses) {
      const parts = addressParts(index, address);
      request(socket, RTM_NEWADDR, flags, parts, 'RTM_NEWADDR', subject);
    }
    return routes.filter((route) =>
      addRoute(socket, routeParts(index, route, gateway, addresses[0].address), subject),
    );
  });
}

/** No IPv6 address of its own accord: nothing behind the device speaks it. Best effort. */
function quietIpv6(socket: NetlinkSocket, index: number, subject: string): void {
  const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(ADDR_GEN_MODE_NONE));
  const family = attribute(IFLA_AF_SPEC, attribute(AF_INET6, mode));
  try {
    request(socket, RTM_NEWLINK, 0, [linkMessage(index, 0, 0), family], 'RTM_NEWLINK', subject);
  } catch {
    // A kernel without IPv6.
  }
}

/** ifaddrmsg: family u8, prefix length u8, flags u8, scope u8, index u32. */
function addressParts(index: number, { address, prefixLength }: LinkAddress): Uint8Array[] {
  const head = new Uint8Array(8);
  head[0] = AF_INET;
  head[1] = prefixLength;
  new DataView(head.buffer).setUint32(4, index, true);
  return [head, attribute(IFA_LOCAL, address), attribute(IFA_ADDRESS, address)];
}

/** rtmsg: family, destination length, source length, tos, table, protocol, scope, type, flags u32. */
function routeParts(
  index: number,
  { address, prefixLength }: LinkAddress,
  gateway: Uint8Array,
  source: Uint8Array,
): Uint8Array[] {
  const head = new Uint8Array(12);
  head.set([AF_INET, prefixLength, 0, 0]);
  head.set([RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST], 4);
  new DataView(head.buffer).setUint32(8, RTNH_F_ONLINK, true);
  const parts = [head, attribute(RTA_OIF, number32(index)), attribute(RTA_GATEWAY, gateway)];
  if (prefixLength > 0) parts.push(attribute(RTA_DST, address));
  parts.push(attribute(RTA_PREFSRC, source));
  return parts;
}
