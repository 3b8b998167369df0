// Writes a list of routes into the standby buffer of the routing table. Runs in the control processor
// whenever the kernel's routes or the configuration change; byte map and rules for readers:
// routing-table.ts.
//
// Prefixes are written from the shortest to the longest, each over what was there, so the longest
// wins wherever several hold an address, and a chunk begins as a copy of the entry it refines.
//
// Invariant: only the given buffer is touched; when the routes do not fit it is left unfinished,
// which is harmless as long as it is not published.

import { assert } from '../base/assert.ts';
import { WeirError } from '../base/errors.ts';
import * as table from './routing-table.ts';

export interface Route {
  /** Address of the prefix as int32; bits beyond `length` do not count. */
  readonly prefix: number;
  /** 0 … 32. */
  readonly length: number;
  /** Where it leads, or -1: nowhere (a blackhole or unreachable route that hides shorter ones). */
  readonly interfaceNumber: number;
  /** Address of the gateway as int32, or 0 when destinations are on the link. */
  readonly gateway: number;
}

export interface RoutingReport {
  readonly routes: number;
  readonly nextHops: number;
  readonly chunks: number;
  /** Routes left out because an earlier one has the same prefix and length. */
  readonly duplicates: readonly Route[];
}

/**
 * Writes the whole buffer that begins at `words[base]`. The order of `routes` only decides between
 * equal prefixes: the first wins.
 * @throws WeirError ERR_TABLE_FULL when there are too many next hops or long prefixes
 */
export function writeRoutingTable(
  words: Int32Array,
  base: number,
  routes: readonly Route[],
): RoutingReport {
  const { kept, duplicates } = withoutDuplicates(routes);
  kept.sort((a, b) => a.length - b.length);
  // Chunks need no clearing: each is written wholly when it is taken.
  words.fill(0, base, base + table.CHUNKS);
  const builder = new Builder(words, base);
  for (const route of kept) builder.add(route);
  words[base + table.ROUTING_ROUTES] = kept.length;
  words[base + table.ROUTING_NEXT_HOPS] = builder.nextHopCount;
  words[base + table.ROUTING_CHUNKS] = builder.chunkCount;
  return {
    routes: kept.length,
    nextHops: builder.nextHopCount,
    chunks: builder.chunkCount,
    duplicates,
  };
}

/** The bits of an address that a prefix of `length` compares. */
export function prefixMask(length: number): number {
  return length === 0 ? 0 : (-1 << (32 - length)) | 0;
}

function withoutDuplicates(routes: readonly Route[]): { kept: Route[]; duplicates: Route[] } {
  const kept: Route[] = [];
  const duplicates: Route[] = [];
  const seen = new Set<number>();
  for (const route of routes) {
    assert(Number.isInteger(route.length) && route.length >= 0 && route.length <= 32, 'length');
    // One safe integer per (prefix, length).
    const key = ((route.prefix & prefixMask(route.length)) >>> 0) * 64 + route.length;
    (seen.has(key) ? duplicates : kept).push(route);
    seen.add(key);
  }
  return { kept, duplicates };
}

class Builder {
  private readonly words: Int32Array;
  private readonly base: number;
  private readonly numbers = new Map<string, number>();
  chunkCount = 0;

  constructor(words: Int32Array, base: number) {
    this.words = words;
    this.base = base;
  }

  get nextHopCount(): number {
    return this.numbers.size;
  }

  /** Writes one route; no longer one has been written before. */
  add(route: Route): void {
    const { words, base } = this;
    const { length } = route;
    const prefix = route.prefix & prefixMask(length);
    const entry = this.entryOf(route);
    const root = base + table.ROOT + (prefix >>> 16);
    if (length <= 16) {
      words.fill(entry, root, root + (1 << (16 - length)));
      return;
    }
    const middle = base + this.chunkAt(root) + ((prefix >>> 8) & 0xff);
    if (length <= 24) {
      words.fill(entry, middle, middle + (1 << (24 - length)));
      return;
    }
    const last = base + this.chunkAt(middle) + (prefix & 0xff);
    words.fill(entry, last, last + (1 << (32 - length)));
  }

  /** The entry that stands for a route's next hop, which gets a number when it is new. */
  private entryOf({ interfaceNumber, gateway }: Route): number {
    if (interfaceNumber < 0) return 0;
    const name = `${interfaceNumber} ${gateway | 0}`;
    const known = this.numbers.get(name);
    if (known !== undefined) return known + 1;
    const number = this.numbers.size;
    if (number === table.MAX_NEXT_HOPS) {
      throw new WeirError(
        'ERR_TABLE_FULL',
        `the routing table holds ${table.MAX_NEXT_HOPS} next hops, the routes name more`,
        'use fewer gateways',
      );
    }
    this.numbers.set(name, number);
    const record = this.base + table.NEXT_HOPS + number * table.NEXT_HOP_WORDS;
    this.words[record + table.NEXT_HOP_INTERFACE] = interfaceNumber;
    this.words[record + table.NEXT_HOP_GATEWAY] = gateway;
    return number + 1;
  }

  /** Word (from base) of the chunk behind an entry, taken and filled when there is none yet. */
  private chunkAt(index: number): number {
    const { words, base } = this;
    const entry = words[index];
    if (entry < 0) return -entry;
    if (this.chunkCount === table.CHUNK_CAPACITY) {
      throw new WeirError(
        'ERR_TABLE_FULL',
        `the routing table has room for prefixes longer than /16 in ${table.CHUNK_CAPACITY} blocks` +
          ' (one for each /16, and one for each /24, that holds a longer prefix); the routes need more',
        'summarize long prefixes, or import fewer routes (a default route is often enough)',
      );
    }
    const chunk = table.CHUNKS + this.chunkCount * table.CHUNK_WORDS;
    this.chunkCount++;
    words.fill(entry, base + chunk, base + chunk + table.CHUNK_WORDS);
    words[index] = -chunk;
    return chunk;
  }
}
