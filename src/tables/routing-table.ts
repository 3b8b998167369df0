// The routing table: which way a packet leaves, by the longest prefix that holds its destination.
// The packet filter asks it when a connection begins and for what it sends itself; the answer is a
// next hop, whose MAC address the neighbor table knows.
//
// Two buffers of ROUTING_TABLE_SIZE bytes. Control alone writes, and only the standby one
// (routing-builder.ts); publishing is raising the generation (memory/double-buffer.ts). A reader may
// trust the buffer that the generation named at the start of its turn until it shows that it has seen
// a newer one; a next hop number means nothing in another buffer, so none is kept in a connection.
//
// A lookup is at most three array reads: the root by the upper 16 bits of the address, a chunk by the
// next 8, a chunk by the last 8. `base` is the index in `words` of the buffer's first word.
// Sections, in words from there:
//
//   header      64                 0 routes  1 next hops  2 chunks
//   next hops   4 × MAX_NEXT_HOPS  0 interface number  1 gateway (0: the destination is on the link)
//   root        65536              an entry per upper half of an address
//   chunks      256 × CHUNK_CAPACITY
//
//   entry:  0 no route   > 0 next hop number + 1   < 0 minus the word (from base) of a chunk
//
// Prefixes up to /16 cost no chunk; those up to /24 share one chunk per /16 and those beyond one more
// per /24. This is the table of a server or a site, not of the whole Internet.

import { ROUTING_TABLE_SIZE } from '../memory/layout.ts';

export const NO_ROUTE = -1;

export const MAX_NEXT_HOPS = 4096;
export const NEXT_HOP_WORDS = 4;
export const CHUNK_WORDS = 256;
export const ROOT_WORDS = 65536;

// Sections: words from `base`.
export const NEXT_HOPS = 64;
export const ROOT = NEXT_HOPS + NEXT_HOP_WORDS * MAX_NEXT_HOPS;
export const CHUNKS = ROOT + ROOT_WORDS;
/** Chunks that fit: 5823. */
export const CHUNK_CAPACITY = Math.floor((ROUTING_TABLE_SIZE / 4 - CHUNKS) / CHUNK_WORDS);

// Words of the header.
export const ROUTING_ROUTES = 0;
export const ROUTING_NEXT_HOPS = 1;
export const ROUTING_CHUNKS = 2;

// Words of a next hop.
export const NEXT_HOP_INTERFACE = 0;
export const NEXT_HOP_GATEWAY = 1;

/** Number of the next hop on the way to an address, or NO_ROUTE. @hot */
export function lookupRoute(words: Int32Array, base: number, destination: number): number {
  let entry = words[base + ROOT + (destination >>> 16)];
  if (entry < 0) {
    entry = words[base - entry + ((destination >>> 8) & 0xff)];
    if (entry < 0) entry = words[base - entry + (destination & 0xff)];
  }
  return (entry - 1) | 0;
}

/** Number of the interface that leads to a next hop. @hot */
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
