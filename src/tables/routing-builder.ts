// Writes a list of routes into the standby buffer of the routing table. Runs in the control processor
// whenever the kernel's routes or the configuration change; byte map and rules for readers:
// routing-table.ts.
//
// Prefixes are taken in the order of their first addresses, the shorter before the longer ones within, so
// that those that hold the present address form a stack and its top is the answer: ranges come out in
// order, each once. Next hops are numbered in the same order. So equal routes give equal words, in
// whatever order they are listed, and `isSameTable` tells whether anything would change.
//
// Invariant: only the given buffer is touched; when the routes do not fit it is left unfinished,
// which is harmless as long as it is not published.

import { assert } from '../base/assert.ts';
import { WeirError } from '../base/errors.ts';
import { atOnce } from '../base/pieces.ts';
import * as table from './routing-table.ts';

/** One way out: an interface and the router on it. */
export interface Way {
  readonly interfaceNumber: number;
  /** Address of the gateway as int32, or 0 when destinations are on the link. */
  readonly gateway: number;
}

/** One of several ways. */
export interface WeightedWay extends Way {
  /** Its share of the flows relative to the others: 1 and up. */
  readonly weight: number;
}

/** Where a route leads. A way with interface number -1 leads nowhere, as if there were no route. */
export type Target =
  | Way
  | { readonly ways: readonly WeightedWay[] }
  | { readonly refuses: 'blackhole' | 'unreachable' | 'prohibit' };

export type Route = Target & {
  /** Address of the prefix as int32; bits beyond `length` do not count. */
  readonly prefix: number;
  /** 0 … 32. */
  readonly length: number;
};

export interface RoutingReport {
  readonly routes: number;
  readonly nextHops: number;
  /** Words of ranges, of table.RANGE_CAPACITY. */
  readonly rangeWords: number;
  /** Routes left out because an earlier one has the same prefix and length. */
  readonly duplicates: readonly Route[];
}

const KINDS = {
  blackhole: table.HOP_BLACKHOLE,
  unreachable: table.HOP_UNREACHABLE,
  prohibit: table.HOP_PROHIBIT,
};
const ADDRESSES = 2 ** 32;
/** Routes, and words of the root, of one piece: some milliseconds. */
const PIECE = 4096;

/**
 * Writes the whole buffer that begins at `words[base]`. The order of `routes` only decides between
 * equal prefixes: the first wins. In pieces: a million routes take their time.
 * @throws WeirError ERR_TABLE_FULL when there are too many next hops or ranges
 */
export function* routingTableInPieces(
  words: Int32Array,
  base: number,
  routes: readonly Route[],
): Generator<void, RoutingReport> {
  const { kept, duplicates } = yield* withoutDuplicates(routes);
  // Ranges need no clearing: none is read that was not written.
  words.fill(0, base, base + table.ROOT);
  const hops = new NextHops(words, base);
  const ranges = new Ranges(kept.size);
  yield* ranges.find(kept, hops);
  const rangeWords = yield* ranges.write(words, base);
  words[base + table.ROUTING_ROUTES] = kept.size;
  words[base + table.ROUTING_NEXT_HOPS] = hops.count;
  words[base + table.ROUTING_RANGE_WORDS] = rangeWords;
  words[base + table.ROUTING_MEMBERS] = hops.memberCount;
  return { routes: kept.size, nextHops: hops.count, rangeWords, duplicates };
}

/** The same at once. */
export function writeRoutingTable(
  words: Int32Array,
  base: number,
  routes: readonly Route[],
): RoutingReport {
  return atOnce(routingTableInPieces(words, base, routes));
}

/** Whether two buffers, written by `writeRoutingTable`, say the same. */
export function isSameTable(words: Int32Array, one: number, other: number): boolean {
  const bytes = Buffer.from(words.buffer, words.byteOffset, words.byteLength);
  return table.usedWords(words, one).every(([from, to]) => {
    const piece = (base: number) => bytes.subarray((base + from) * 4, (base + to) * 4);
    return piece(one).equals(piece(other));
  });
}

/** The bits of an address that a prefix of `length` compares. */
export function prefixMask(length: number): number {
  return length === 0 ? 0 : (-1 << (32 - length)) | 0;
}

/** One safe integer per prefix; in their order shorter ones come before those that they hold. */
function keyOf({ prefix, length }: Route): number {
  assert(Number.isInteger(length) && length >= 0 && length <= 32, 'length');
  return ((prefix & prefixMask(length)) >>> 0) * 64 + length;
}

function* withoutDuplicates(routes: readonly Route[]) {
  const kept = new Map<number, Route>();
  const duplicates: Route[] = [];
  for (let i = 0; i < routes.length; i++) {
    const key = keyOf(routes[i]);
    if (kept.has(key)) duplicates.push(routes[i]);
    else kept.set(key, routes[i]);
    if (i % PIECE === PIECE - 1) yield;
  }
  return { kept, duplicates };
}

/** The next hops and groups of a table, each kept once. */
class NextHops {
  private readonly words: Int32Array;
  private readonly base: number;
  private readonly ways = new Map<number, number>();
  private readonly others = new Map<string, number>();
  count = 0;
  memberCount = 0;

  constructor(words: Int32Array, base: number) {
    this.words = words;
    this.base = base;
  }

  /** The entry that stands for a target. */
  entryOf(target: Target): number {
    if ('ways' in target) return this.groupOf(target.ways) + 1;
    if ('refuses' in target) {
      return this.named(target.refuses, 0, 0, KINDS[target.refuses]) + 1;
    }
    return target.interfaceNumber < 0 ? 0 : this.wayOf(target) + 1;
  }

  private wayOf({ interfaceNumber, gateway }: Way): number {
    const key = interfaceNumber * ADDRESSES + (gateway >>> 0);
    const known = this.ways.get(key);
    if (known !== undefined) return known;
    const number = this.add(interfaceNumber, gateway, table.HOP_NEIGHBOR);
    this.ways.set(key, number);
    return number;
  }

  private groupOf(all: readonly WeightedWay[]): number {
    const ways = distinctWays(all);
    assert(ways.length > 0 && ways.every(({ weight }) => weight > 0), 'a group has ways');
    if (ways.length === 1) return this.wayOf(ways[0]);
    const name = ways
      .map((way) => `${way.interfaceNumber} ${way.gateway | 0} ${way.weight}`)
      .join();
    const known = this.others.get(name);
    if (known !== undefined) return known;
    if (this.memberCount + ways.length > table.MAX_MEMBERS) {
      throw full(`${table.MAX_MEMBERS} ways of routes with several`, 'name more', 'use fewer ways');
    }
    const hops = ways.map((way) => this.wayOf(way));
    const first = this.memberCount;
    ways.forEach(({ weight }, i) => {
      const member = this.base + table.MEMBERS + (first + i) * table.MEMBER_WORDS;
      this.words[member + table.MEMBER_WEIGHT] = weight;
      this.words[member + table.MEMBER_NEXT_HOP] = hops[i];
    });
    this.memberCount += ways.length;
    const number = this.named(name, first, ways.length, table.HOP_GROUP);
    const record = this.base + table.NEXT_HOPS + number * table.NEXT_HOP_WORDS;
    const isWeighted = ways.some(({ weight }) => weight !== ways[0].weight);
    this.words[record + table.NEXT_HOP_IS_WEIGHTED] = isWeighted ? 1 : 0;
    return number;
  }

  private named(name: string, first: number, second: number, kind: number): number {
    const known = this.others.get(name);
    if (known !== undefined) return known;
    const number = this.add(first, second, kind);
    this.others.set(name, number);
    return number;
  }

  private add(first: number, second: number, kind: number): number {
    if (this.count === table.MAX_NEXT_HOPS) {
      throw full(`${table.MAX_NEXT_HOPS} next hops`, 'name more', 'use fewer gateways');
    }
    const number = this.count;
    this.count++;
    const record = this.base + table.NEXT_HOPS + number * table.NEXT_HOP_WORDS;
    this.words[record + table.NEXT_HOP_INTERFACE] = first;
    this.words[record + table.NEXT_HOP_GATEWAY] = second;
    this.words[record + table.NEXT_HOP_KIND] = kind;
    return number;
  }
}

/** Each way once, with the weight of all that are the same, in an order that only depends on what they are. */
function distinctWays(ways: readonly WeightedWay[]): WeightedWay[] {
  const distinct = new Map<number, WeightedWay>();
  for (const way of ways) {
    const key = way.interfaceNumber * ADDRESSES + (way.gateway >>> 0);
    const weight = way.weight + (distinct.get(key)?.weight ?? 0);
    distinct.set(key, { ...way, weight });
  }
  return [...distinct].sort(([one], [other]) => one - other).map(([, way]) => way);
}

function full(capacity: string, wanted: string, advice: string): WeirError {
  const message = `the routing table holds ${capacity}, the routes ${wanted}`;
  return new WeirError('ERR_TABLE_FULL', message, advice);
}

/** The ranges of all addresses: first addresses in order, and the entry from each on. */
class Ranges {
  private readonly starts: Float64Array;
  private readonly entries: Uint16Array;
  private count = 0;

  constructor(routes: number) {
    this.starts = new Float64Array(routes * 2 + 2);
    this.entries = new Uint16Array(routes * 2 + 2);
  }

  *find(routes: ReadonlyMap<number, Route>, hops: NextHops): Generator<void, void> {
    this.begin(0, 0);
    /** Ends (first address behind) and entries of the prefixes that hold the present address. */
    const ends = [ADDRESSES];
    const entries = [0];
    const closeUpTo = (address: number): void => {
      while (ends.length > 1 && ends[ends.length - 1] <= address) {
        const end = ends.pop() as number;
        entries.pop();
        if (end < ADDRESSES) this.begin(end, entries[entries.length - 1]);
      }
    };
    const keys = Float64Array.from(routes.keys()).sort();
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      const length = key % 64;
      const start = (key - length) / 64;
      closeUpTo(start);
      const entry = hops.entryOf(routes.get(key) as Route);
      this.begin(start, entry);
      ends.push(start + 2 ** (32 - length));
      entries.push(entry);
      if (i % PIECE === PIECE - 1) yield;
    }
    closeUpTo(ADDRESSES);
  }

  /** From `start` on the answer is `entry`; replaces what was said of the same address. */
  private begin(start: number, entry: number): void {
    const { starts, entries } = this;
    if (this.count > 0 && starts[this.count - 1] === start) this.count--;
    if (this.count > 0 && entries[this.count - 1] === entry) return;
    starts[this.count] = start;
    entries[this.count] = entry;
    this.count++;
  }

  /** Writes root and blocks. @returns words of blocks */
  *write(words: Int32Array, base: number): Generator<void, number> {
    const { starts, entries, count } = this;
    let used = 0;
    let i = 0;
    for (let high = 0; high < table.ROOT_WORDS; high++) {
      const from = high * 0x10000;
      if (high % PIECE === PIECE - 1) yield;
      while (i + 1 < count && starts[i + 1] <= from) i++;
      let last = i;
      while (last + 1 < count && starts[last + 1] < from + 0x10000) last++;
      if (last === i) {
        words[base + table.ROOT + high] = entries[i];
        continue;
      }
      const ranges = last - i + 1;
      if (used + ranges + 1 > table.RANGE_CAPACITY) throw this.tooMany();
      words[base + table.ROOT + high] = -(table.RANGES + used);
      let at = base + table.RANGES + used;
      words[at++] = ranges;
      words[at++] = entries[i];
      for (let j = i + 1; j <= last; j++) words[at++] = ((starts[j] - from) << 16) | entries[j];
      used += ranges + 1;
      i = last;
    }
    return used;
  }

  private tooMany(): WeirError {
    return full(
      `${table.RANGE_CAPACITY} words for prefixes longer than /16`,
      `are ${this.count} ranges of addresses, each a word, and a word for each /16 with several`,
      'summarize long prefixes, or import fewer routes (a default route is often enough)',
    );
  }
}
