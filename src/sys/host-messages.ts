// What rtnetlink tells of the host beside its routes: addresses and neighbors of its links, both families.
// Links themselves: netlink.ts. Pure; malformed messages give undefined. uapi linux/if_addr.h, neighbour.h.
//
// ifaddrmsg: 0 family u8 │ 1 prefix length u8 │ 2 flags u8 │ 3 scope u8 │ 4 interface index u32
// ndmsg:     0 family u8 │ 4 interface index i32 │ 8 state u16 │ 10 flags u8 │ 11 type u8

import { Attributes, MessageBuilder } from './netlink-attributes.ts';
import { NLM_F_DUMP, NLM_F_REQUEST } from './route-messages.ts';

export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

const IFADDRMSG_SIZE = 8;
const IFINFOMSG_SIZE = 16;
const NDMSG_SIZE = 12;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const NDA_DST = 1;
const NDA_LLADDR = 2;

/** Neighbors that need no address of the link, such as groups; and those that are nothing yet. */
export const NUD_NOARP = 0x40;
export const NUD_NONE = 0;

export interface KernelAddress {
  readonly family: number;
  readonly interfaceIndex: number;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly prefixLength: number;
}

export interface KernelNeighbor {
  readonly family: number;
  readonly interfaceIndex: number;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** 6 bytes on Ethernet; undefined while it is not known. */
  readonly linkAddress: Uint8Array | undefined;
  /** NUD_…. */
  readonly state: number;
}

/** The payload of RTM_NEWADDR or RTM_DELADDR. */
export function decodeAddress(payload: DataView): KernelAddress | undefined {
  if (payload.byteLength < IFADDRMSG_SIZE) return undefined;
  const attributes = new Attributes(payload, IFADDRMSG_SIZE);
  // Of a point-to-point link IFA_ADDRESS is the other end's.
  const address = (attributes.bytes(IFA_LOCAL) ?? attributes.bytes(IFA_ADDRESS))?.slice();
  if (address === undefined || (address.length !== 4 && address.length !== 16)) return undefined;
  return {
    family: payload.getUint8(0),
    interfaceIndex: payload.getUint32(4, true),
    address,
    prefixLength: payload.getUint8(1),
  };
}

/** The payload of RTM_NEWNEIGH, or of its counterpart that removes. */
export function decodeNeighbor(payload: DataView): KernelNeighbor | undefined {
  if (payload.byteLength < NDMSG_SIZE) return undefined;
  const attributes = new Attributes(payload, NDMSG_SIZE);
  const address = attributes.bytes(NDA_DST)?.slice();
  if (address === undefined || (address.length !== 4 && address.length !== 16)) return undefined;
  return {
    family: payload.getUint8(0),
    interfaceIndex: payload.getInt32(4, true),
    address,
    linkAddress: attributes.bytes(NDA_LLADDR)?.slice(),
    state: payload.getUint16(8, true),
  };
}

const REQUEST_SIZES: Readonly<Record<number, number>> = {
  [RTM_GETLINK]: IFINFOMSG_SIZE,
  [RTM_GETADDR]: IFADDRMSG_SIZE,
  [RTM_GETNEIGH]: NDMSG_SIZE,
};

/** Asks for all links, addresses or neighbors (`type`: RTM_GET…) of a family; 0: of all. */
export function hostDumpRequest(type: number, family: number, sequence: number): Uint8Array {
  const fixed = new Uint8Array(REQUEST_SIZES[type]);
  fixed[0] = family;
  return new MessageBuilder().append(fixed).message(type, NLM_F_REQUEST | NLM_F_DUMP, sequence);
}
