// Routes as rtnetlink tells them, both families: decoding RTM_NEWROUTE and RTM_DELROUTE, building them, and
// the request for a dump. Pure. Invariant: no bytes, however malformed, make a decoder throw or leave its
// message; what is not understood is undefined. uapi linux/rtnetlink.h, RFC 3549 §3.1.1.
//
// rtmsg: 0 family u8 │ 1 destination length u8 │ 2 source length u8 │ 3 type of service u8 │ 4 table u8 │
//        5 protocol u8 │ 6 scope u8 │ 7 type u8 │ 8 flags u32, then attributes
// rtnexthop (in RTA_MULTIPATH): 0 length u16 │ 2 flags u8 │ 3 weight - 1 u8 │ 4 interface index i32, then
//        attributes

import { Attributes, MessageBuilder } from './netlink-attributes.ts';

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const TABLE_MAIN = 254;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_APPEND = 0x800;
/** NLM_F_ROOT | NLM_F_MATCH */
export const NLM_F_DUMP = 0x300;

const RTMSG_SIZE = 12;
const NEXTHOP_SIZE = 8;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTA_ENCAP = 22;
const RTA_NH_ID = 30;
const RTAX_MTU = 2;

/** Cached and cloned entries of IPv6, which are no routes. */
const RTM_F_CLONED = 0x200;
export const RTNH_F_DEAD = 1;

/** `rtm_type` by its number; what is not here is of no concern to packets that are sent on. */
export const ROUTE_TYPES = [
  'unspec',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
] as const;
export type RouteType = (typeof ROUTE_TYPES)[number];

/** One way of a route. */
export interface KernelWay {
  /** Index of the kernel's device; 0: none. */
  readonly interfaceIndex: number;
  /** Bytes of the gateway's address (4 or 16, of its own family with RTA_VIA); undefined: on the link. */
  readonly gateway: Uint8Array | undefined;
  /** 1 … 256. */
  readonly weight: number;
  /** RTNH_F_…. */
  readonly flags: number;
  /** Sent in a tunnel of the kernel's. */
  readonly isEncapsulated: boolean;
}

export interface KernelRoute {
  /** AF_INET or AF_INET6. */
  readonly family: number;
  /** Bytes of the destination's prefix, 4 or 16; zeros for the default route. */
  readonly destination: Uint8Array;
  readonly length: number;
  readonly typeOfService: number;
  readonly table: number;
  /** Who made it: RTPROT_…. */
  readonly protocol: number;
  readonly scope: number;
  readonly type: RouteType;
  /** The lower wins. */
  readonly priority: number;
  /** Empty for routes that lead nowhere. */
  readonly ways: readonly KernelWay[];
  /** Number of the nexthop object that it uses; 0: none. */
  readonly nexthopId: number;
  /** Bytes of the source address that the host itself would use; undefined: none is named. */
  readonly preferredSource: Uint8Array | undefined;
  /** Largest packet, 0: that of the interface. */
  readonly mtu: number;
}

/** The payload of RTM_NEWROUTE or RTM_DELROUTE; undefined when it is malformed or no route. */
export function decodeRoute(payload: DataView): KernelRoute | undefined {
  if (payload.byteLength < RTMSG_SIZE) return undefined;
  const family = payload.getUint8(0);
  const size = addressSize(family);
  const length = payload.getUint8(1);
  const type = ROUTE_TYPES[payload.getUint8(7)];
  if (size === 0 || length > size * 8 || type === undefined) return undefined;
  if ((payload.getUint32(8, true) & RTM_F_CLONED) !== 0) return undefined;
  const attributes = new Attributes(payload, RTMSG_SIZE);
  const destination = addressOf(attributes, RTA_DST, size);
  if (destination === undefined && length > 0) return undefined;
  return {
    family,
    destination: destination ?? new Uint8Array(size),
    length,
    typeOfService: payload.getUint8(3),
    table: attributes.number(RTA_TABLE) ?? payload.getUint8(4),
    protocol: payload.getUint8(5),
    scope: payload.getUint8(6),
    type,
    priority: attributes.number(RTA_PRIORITY) ?? 0,
    ways: waysOf(payload, attributes),
    nexthopId: attributes.number(RTA_NH_ID) ?? 0,
    preferredSource: addressOf(attributes, RTA_PREFSRC, size),
    mtu: attributes.nested(RTA_METRICS)?.number(RTAX_MTU) ?? 0,
  };
}

function addressSize(family: number): number {
  if (family === AF_INET) return 4;
  return family === AF_INET6 ? 16 : 0;
}

/** A copy, so that the message's buffer can be used again. */
function addressOf(attributes: Attributes, type: number, size: number): Uint8Array | undefined {
  const bytes = attributes.bytes(type);
  return bytes === undefined || bytes.length !== size ? undefined : bytes.slice();
}

function waysOf(payload: DataView, attributes: Attributes): KernelWay[] {
  const range = attributes.range(RTA_MULTIPATH);
  if (range === undefined) {
    if (!attributes.has(RTA_OIF) && !attributes.has(RTA_GATEWAY)) return [];
    return [
      wayOf(attributes, attributes.number(RTA_OIF) ?? 0, 1, payload.getUint32(8, true) & 0xff),
    ];
  }
  const ways: KernelWay[] = [];
  let [at] = range;
  const [, end] = range;
  while (at + NEXTHOP_SIZE <= end) {
    const length = payload.getUint16(at, true);
    if (length < NEXTHOP_SIZE || at + length > end) break;
    const index = payload.getInt32(at + 4, true);
    const weight = payload.getUint8(at + 3) + 1;
    const own = new Attributes(payload, at + NEXTHOP_SIZE, at + length);
    ways.push(wayOf(own, index, weight, payload.getUint8(at + 2)));
    at += (length + 3) & ~3;
  }
  return ways;
}

function wayOf(
  attributes: Attributes,
  interfaceIndex: number,
  weight: number,
  flags: number,
): KernelWay {
  // RTA_VIA: a gateway of another family than the route's, its family in the first two bytes.
  const gateway = attributes.bytes(RTA_GATEWAY)?.slice() ?? attributes.bytes(RTA_VIA)?.slice(2);
  return { interfaceIndex, gateway, weight, flags, isEncapsulated: attributes.has(RTA_ENCAP) };
}

/** Asks for all routes of one family in one table (strict checking must be on for the table to count). */
export function routeDumpRequest(family: number, table: number, sequence: number): Uint8Array {
  const fixed = new Uint8Array(RTMSG_SIZE);
  fixed[0] = family;
  return new MessageBuilder()
    .append(fixed)
    .attribute(RTA_TABLE, table)
    .message(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, sequence);
}

/** A message that adds, changes or removes a route, as `flags` and `type` (RTM_…) say. */
export function encodeRoute(
  route: KernelRoute,
  type: number,
  flags: number,
  sequence: number,
): Uint8Array {
  const fixed = new Uint8Array(RTMSG_SIZE);
  fixed.set([route.family, route.length, 0, route.typeOfService]);
  const kind = ROUTE_TYPES.indexOf(route.type);
  fixed.set([route.table < 256 ? route.table : 0, route.protocol, route.scope, kind], 4);
  const builder = new MessageBuilder().append(fixed);
  if (route.length > 0) builder.attribute(RTA_DST, route.destination);
  builder.attribute(RTA_TABLE, route.table);
  if (route.priority !== 0) builder.attribute(RTA_PRIORITY, route.priority);
  if (route.preferredSource !== undefined) builder.attribute(RTA_PREFSRC, route.preferredSource);
  if (route.nexthopId !== 0) builder.attribute(RTA_NH_ID, route.nexthopId);
  else if (route.ways.length === 1) appendWay(builder, route.ways[0], true);
  else if (route.ways.length > 1) {
    const all = new MessageBuilder();
    for (const way of route.ways) all.append(nexthop(way));
    builder.attribute(RTA_MULTIPATH, all.bytes());
  }
  if (route.mtu !== 0) {
    builder.attribute(RTA_METRICS, new MessageBuilder().attribute(RTAX_MTU, route.mtu).bytes());
  }
  return builder.message(type, flags, sequence);
}

function appendWay(builder: MessageBuilder, way: KernelWay, withIndex: boolean): void {
  if (withIndex && way.interfaceIndex !== 0) builder.attribute(RTA_OIF, way.interfaceIndex);
  if (way.gateway !== undefined) builder.attribute(RTA_GATEWAY, way.gateway);
}

function nexthop(way: KernelWay): Uint8Array {
  const inside = new MessageBuilder();
  appendWay(inside, way, false);
  const attributes = inside.bytes();
  const whole = new Uint8Array(NEXTHOP_SIZE + attributes.length);
  const view = new DataView(whole.buffer);
  view.setUint16(0, whole.length, true);
  view.setUint8(2, way.flags);
  view.setUint8(3, way.weight - 1);
  view.setInt32(4, way.interfaceIndex, true);
  whole.set(attributes, NEXTHOP_SIZE);
  return whole;
}
