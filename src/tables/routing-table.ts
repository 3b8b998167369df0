// The routing table: which way a packet leaves, by the longest prefix that holds its destination.
// The packet filter asks it when a connection begins, for what it forwards without one, and for what it
// sends itself; the answer is a next hop, whose MAC address the neighbor table knows.
//
// Two buffers of ROUTING_TABLE_SIZE bytes. Control alone writes, and only the standby one
// (routing-builder.ts); publishing is raising the generation (memory/double-buffer.ts). A reader may
// trust the buffer that the generation named at the start of its turn until it shows that it has seen
// a newer one; a next hop number means nothing in another buffer, so none is kept in a connection.
//
// All addresses are cut into ranges that have one answer each, however the prefixes lie over each other
// (DXR: Zec, Rizzo, Mikuc, "DXR: towards a billion routing lookups per second in software", 2012). A
// lookup reads the root by the upper 16 bits of the address; where that does not decide, a binary search
// over the ranges of these 65,536 addresses does. `base` is the index in `words` of the buffer's first
// word. Sections, in words from there:
//
//   header      64                 0 routes  1 next hops  2 words of ranges  3 members
//   next hops   4 × MAX_NEXT_HOPS  0 interface number  1 gateway (0: the destination is on the link)
//                                  2 kind (HOP_…); of a group 0 is its first member, 1 how many,
//                                  3 is 1 where their weights differ
//   members     2 × MAX_MEMBERS    0 weight  1 next hop number
//   root        65536              an entry per upper half of an address
//   ranges      the rest           blocks: how many ranges, then as many words, in order:
//                                  lower half of the first address << 16 | entry (never a block)
//
//   entry:  0 no route   > 0 next hop number + 1   < 0 minus the word (from base) of a block
//
// A prefix up to /16 costs no range, a longer one two at the most: 600,000 random ones fit.

import { finish, mix } from '../base/hash.ts';
import { INTERFACE_SIZE, ROUTING_TABLE_SIZE } from '../memory/layout.ts';

export const NO_ROUTE = -1;

export const MAX_NEXT_HOPS = 32768;
export const NEXT_HOP_WORDS = 4;
/** Ways of all groups together. */
export const MAX_MEMBERS = 65536;
export const MEMBER_WORDS = 2;
export const ROOT_WORDS = 65536;
const INTERFACE_WORDS = INTERFACE_SIZE / 4;
/** Hashes that lots are drawn from have 31 bits. */
const HASHES = 2 ** 31;
/** Less than every lot: the logarithm of the smallest is some -22. */
const ALL_LOTS = -64;

// Sections: words from `base`.
export const NEXT_HOPS = 64;
export const MEMBERS = NEXT_HOPS + NEXT_HOP_WORDS * MAX_NEXT_HOPS;
export const ROOT = MEMBERS + MEMBER_WORDS * MAX_MEMBERS;
export const RANGES = ROOT + ROOT_WORDS;
/** Words of all blocks together. */
export const RANGE_CAPACITY = ROUTING_TABLE_SIZE / 4 - RANGES;

// Words of the header.
export const ROUTING_ROUTES = 0;
export const ROUTING_NEXT_HOPS = 1;
export const ROUTING_RANGE_WORDS = 2;
export const ROUTING_MEMBERS = 3;

// Words of a next hop.
export const NEXT_HOP_INTERFACE = 0;
export const NEXT_HOP_GATEWAY = 1;
export const NEXT_HOP_KIND = 2;
export const NEXT_HOP_IS_WEIGHTED = 3;

// Words of a member.
export const MEMBER_WEIGHT = 0;
export const MEMBER_NEXT_HOP = 1;

// Kinds of next hops.
/** A neighbor: the gateway, or the destination itself. */
export const HOP_NEIGHBOR = 0;
/** Several ways, of which the hash of a flow chooses one (`chooseMember`). */
export const HOP_GROUP = 1;
/** Packets vanish. */
export const HOP_BLACKHOLE = 2;
/** Senders are told that the host cannot be reached. */
export const HOP_UNREACHABLE = 3;
/** Senders are told that it is forbidden. */
export const HOP_PROHIBIT = 4;

/** Number of the next hop on the way to an address, or NO_ROUTE. @hot */
export function lookupRoute(words: Int32Array, base: number, destination: number): number {
  const entry = words[base + ROOT + (destination >>> 16)];
  if (entry >= 0) return (entry - 1) | 0;
  const low = destination & 0xffff;
  let first = (base - entry + 1) | 0;
  let count = words[first - 1];
  // The range at `first` never begins behind the address, that at `first + count` always does.
  while (count > 1) {
    const half = count >>> 1;
    if (words[first + half] >>> 16 <= low) {
      first = (first + half) | 0;
      count = (count - half) | 0;
    } else {
      count = half;
    }
  }
  return ((words[first] & 0xffff) - 1) | 0;
}

/** One of HOP_…. @hot */
export function nextHopKind(words: Int32Array, base: number, nextHop: number): number {
  return words[base + NEXT_HOPS + nextHop * NEXT_HOP_WORDS + NEXT_HOP_KIND];
}

/**
 * The way that a flow takes out of a group: a next hop that is a neighbor. Each way draws a lot for the flow,
 * and the longest wins (rendezvous hashing: Thaler, Ravishankar, "Using name-based mappings to increase hit
 * rates", 1998; with weights as in Efraimidis, Spirakis, "Weighted random sampling with a reservoir", 2006).
 * So a flow keeps its way while that is there, whatever ways come, go or change their weights beside
 * it, but for its share of what is new. A way whose link is down takes part only when all are.
 * @param linkWords word of the first interface's INTERFACE_LINK_UP
 * @hot
 */
export function chooseMember(
  words: Int32Array,
  base: number,
  group: number,
  flowHash: number,
  linkWords: number,
): number {
  const record = base + NEXT_HOPS + group * NEXT_HOP_WORDS;
  const count = words[record + NEXT_HOP_GATEWAY];
  const isWeighted = words[record + NEXT_HOP_IS_WEIGHTED];
  let member = base + MEMBERS + words[record + NEXT_HOP_INTERFACE] * MEMBER_WORDS;
  let best = words[member + MEMBER_NEXT_HOP];
  let bestLot = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const hop = words[member + MEMBER_NEXT_HOP];
    const interfaceNumber = nextHopInterface(words, base, hop);
    const hash = mix(mix(flowHash, interfaceNumber), nextHopGateway(words, base, hop));
    // Between 0 and 1, neither of them.
    let lot = ((finish(hash) >>> 1) + 0.5) / HASHES;
    // A logarithm is negative, and the nearer to 0 the heavier the way. Where all weigh the same it costs
    // time and changes nothing.
    if (isWeighted !== 0) lot = Math.log(lot) / words[member + MEMBER_WEIGHT];
    if (words[linkWords + interfaceNumber * INTERFACE_WORDS] === 0) lot += ALL_LOTS;
    if (lot > bestLot) {
      bestLot = lot;
      best = hop;
    }
    member = (member + MEMBER_WORDS) | 0;
  }
  return best;
}

/** Number of the interface that leads to a next hop that is a neighbor. @hot */
export function nextHopInterface(words: Int32Array, base: number, nextHop: number): number {
  return words[base + NEXT_HOPS + nextHop * NEXT_HOP_WORDS + NEXT_HOP_INTERFACE];
}

/** Address of the gateway, or 0 when destinations are on the link. @hot */
export function nextHopGateway(words: Int32Array, base: number, nextHop: number): number {
  return words[base + NEXT_HOPS + nextHop * NEXT_HOP_WORDS + NEXT_HOP_GATEWAY];
}

/** The address to ask the neighbor table for: the gateway's, or the destination's own. @hot */
export function nextHopAddress(
  words: Int32Array,
  base: number,
  nextHop: number,
  destination: number,
): number {
  const gateway = nextHopGateway(words, base, nextHop);
  return gateway === 0 ? destination : gateway;
}

/** The words that a buffer uses, from `base` on, in two pieces: [from, to) and [from, to). */
export function usedWords(words: Int32Array, base: number): [number, number][] {
  const hops = NEXT_HOPS + words[base + ROUTING_NEXT_HOPS] * NEXT_HOP_WORDS;
  const members = MEMBERS + words[base + ROUTING_MEMBERS] * MEMBER_WORDS;
  const ranges = RANGES + words[base + ROUTING_RANGE_WORDS];
  return [
    [0, hops],
    [MEMBERS, members],
    [ROOT, ranges],
  ];
}
