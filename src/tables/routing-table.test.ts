import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { finish, mix } from '../base/hash.ts';
import { Prng } from '../base/prng.ts';
import { ROUTING_TABLE_SIZE } from '../memory/layout.ts';
import {
  isSameTable,
  prefixMask,
  type Route,
  type Way,
  type WeightedWay,
  writeRoutingTable,
} from './routing-builder.ts';
import * as table from './routing-table.ts';

const BASE = 128;
const GUARD = -7;
const WORDS = new Int32Array(BASE + ROUTING_TABLE_SIZE / 4 + 64 * 8);
/** Whether the links of the interfaces are up. */
const LINK_WORDS = new Int32Array(64 * 8).fill(1);
const ip = (a: number, b: number, c: number, d: number) => (a << 24) | (b << 16) | (c << 8) | d;

/** Writes over rubbish; words on both sides of the buffer must stay. */
function build(routes: readonly Route[]) {
  WORDS.fill(GUARD);
  const report = writeRoutingTable(WORDS, BASE, routes);
  expect(WORDS.subarray(0, BASE).every((word) => word === GUARD)).toBe(true);
  expect(WORDS.subarray(BASE + ROUTING_TABLE_SIZE / 4).every((word) => word === GUARD)).toBe(true);
  return report;
}

type PlainRoute = Way & { prefix: number; length: number };

function route(prefix: number, length: number, interfaceNumber: number, gateway = 0): PlainRoute {
  return { prefix, length, interfaceNumber, gateway };
}

const way = (gateway: number): Way => ({ interfaceNumber: 1, gateway });

/** Each [interface number, gateway, weight]. */
function ways(...list: number[][]): WeightedWay[] {
  return list.map(([interfaceNumber, gateway, weight]) => ({ interfaceNumber, gateway, weight }));
}

/** What the table answers: interface and gateway, or nothing. */
function answer(destination: number): readonly number[] | undefined {
  const nextHop = table.lookupRoute(WORDS, BASE, destination);
  if (nextHop === table.NO_ROUTE) return undefined;
  return [table.nextHopInterface(WORDS, BASE, nextHop), table.nextHopGateway(WORDS, BASE, nextHop)];
}

/** The same by a scan over all routes: the longest prefix wins, of equal ones the first. */
function scan(routes: readonly PlainRoute[], destination: number): readonly number[] | undefined {
  let best: PlainRoute | undefined;
  for (const each of routes) {
    if (((each.prefix ^ destination) & prefixMask(each.length)) !== 0) continue;
    if (best === undefined || each.length > best.length) best = each;
  }
  if (best === undefined || best.interfaceNumber < 0) return undefined;
  return [best.interfaceNumber, best.gateway | 0];
}

/** First and last address of a prefix, and those just outside. */
function boundaries({ prefix, length }: PlainRoute): number[] {
  const first = prefix & prefixMask(length);
  const last = first | ~prefixMask(length);
  return [first, last, (first - 1) | 0, (last + 1) | 0];
}

const FLOWS = Array.from({ length: 20_000 }, (_, i) => finish(mix(1, i)));
/** The word of an interface's link is this, and 64 for each interface before it. */
const LINKS = 8;

function setLinks(mask: number): void {
  for (let i = 0; i < LINKS; i++) LINK_WORDS[i * 64] = (mask >> i) & 1;
}

/** The gateway that each flow takes out of these ways. */
function choices(...list: number[][]): number[] {
  build([{ prefix: ip(10, 0, 0, 0), length: 8, ways: ways(...list) }]);
  WORDS.set(LINK_WORDS, WORDS.length - 64 * LINKS);
  const group = table.lookupRoute(WORDS, BASE, ip(10, 1, 2, 3));
  return FLOWS.map((hash) => {
    const hop = table.chooseMember(WORDS, BASE, group, hash, WORDS.length - 64 * LINKS);
    expect(table.nextHopKind(WORDS, BASE, hop)).toBe(table.HOP_NEIGHBOR);
    return table.nextHopGateway(WORDS, BASE, hop);
  });
}

function expectShares(chosen: readonly number[], shares: Readonly<Record<number, number>>): void {
  for (const [gateway, share] of Object.entries(shares)) {
    const part = chosen.filter((each) => each === Number(gateway)).length / chosen.length;
    expect(Math.abs(part - share), `share of ${gateway}`).toBeLessThan(0.02);
  }
}

describe('routing table', () => {
  it('knows no route when there is none', () => {
    build([]);
    for (const destination of [0, -1, ip(127, 255, 255, 255), ip(128, 0, 0, 0)]) {
      expect(table.lookupRoute(WORDS, BASE, destination)).toBe(table.NO_ROUTE);
    }
  });

  it('prefers the longest prefix, in any order of the list', () => {
    const routes = [
      route(ip(10, 1, 2, 3), 32, 5),
      route(0, 0, 1, ip(192, 168, 0, 1)),
      route(ip(10, 1, 2, 0), 24, 4),
      route(ip(10, 0, 0, 0), 8, 2),
      route(ip(10, 1, 2, 2), 31, 6),
      route(ip(10, 1, 0, 0), 16, 3),
    ];
    for (const list of [routes, [...routes].reverse()]) {
      build(list);
      expect(answer(ip(10, 1, 2, 3))).toEqual([5, 0]);
      expect(answer(ip(10, 1, 2, 2))).toEqual([6, 0]);
      expect(answer(ip(10, 1, 2, 4))).toEqual([4, 0]);
      expect(answer(ip(10, 1, 3, 0))).toEqual([3, 0]);
      expect(answer(ip(10, 2, 0, 0))).toEqual([2, 0]);
      expect(answer(ip(11, 0, 0, 0))).toEqual([1, ip(192, 168, 0, 1)]);
      expect(answer(-1)).toEqual([1, ip(192, 168, 0, 1)]);
      expect(answer(0)).toEqual([1, ip(192, 168, 0, 1)]);
    }
  });

  it('names the gateway, or the destination itself when it is on the link', () => {
    build([route(0, 0, 1, ip(192, 168, 0, 1)), route(ip(192, 168, 0, 0), 24, 1)]);
    const towards = (destination: number) => {
      const nextHop = table.lookupRoute(WORDS, BASE, destination);
      return table.nextHopAddress(WORDS, BASE, nextHop, destination);
    };
    expect(towards(ip(8, 8, 8, 8))).toBe(ip(192, 168, 0, 1));
    expect(towards(ip(192, 168, 0, 77))).toBe(ip(192, 168, 0, 77));
  });

  it('lets a route to nowhere hide a shorter one', () => {
    build([route(0, 0, 1), route(ip(10, 0, 0, 0), 9, -1), route(ip(10, 1, 2, 0), 25, 2)]);
    expect(answer(ip(10, 5, 0, 1))).toBeUndefined();
    expect(answer(ip(10, 1, 2, 1))).toEqual([2, 0]);
    expect(answer(ip(10, 1, 2, 129))).toBeUndefined();
    expect(answer(ip(10, 128, 0, 1))).toEqual([1, 0]);
  });

  it('keeps the first of equal prefixes and reports the others', () => {
    const second = route(ip(10, 0, 0, 99), 24, 2);
    const report = build([route(ip(10, 0, 0, 0), 24, 1), second, route(ip(10, 0, 0, 0), 25, 3)]);
    expect(report.duplicates).toEqual([second]);
    expect(report.routes).toBe(2);
    expect(answer(ip(10, 0, 0, 200))).toEqual([1, 0]);
  });

  it('counts next hops and ranges, and shares next hops', () => {
    const report = build([
      route(ip(10, 1, 1, 0), 24, 1, 9),
      route(ip(10, 1, 2, 0), 24, 1, 9),
      route(ip(10, 1, 2, 4), 30, 2, 9),
    ]);
    // Before, 10.1.1.0 to 10.1.2.3, the four, the rest, behind; and how many.
    expect(report).toEqual({ routes: 3, nextHops: 2, rangeWords: 6, duplicates: [] });
    expect(WORDS[BASE + table.ROUTING_ROUTES]).toBe(3);
    expect(WORDS[BASE + table.ROUTING_RANGE_WORDS]).toBe(6);
  });

  it('says the same for the same routes in any order, and something else for others', () => {
    const other = BASE + ROUTING_TABLE_SIZE / 4;
    const both = new Int32Array(other + ROUTING_TABLE_SIZE / 4);
    const routes: Route[] = [
      route(0, 0, 1, 7),
      { ...route(ip(10, 0, 0, 0), 8, 0), refuses: 'prohibit' },
      { prefix: ip(10, 1, 0, 0), length: 17, ways: ways([1, 5, 2], [2, 6, 1]) },
      route(ip(10, 1, 2, 0), 24, 2, 9),
    ];
    writeRoutingTable(both, BASE, routes);
    writeRoutingTable(both, other, [...routes].reverse());
    expect(isSameTable(both, BASE, other)).toBe(true);
    const changes: Route[] = [
      route(0, 0, 1, 8),
      { ...routes[1], refuses: 'blackhole' } as Route,
      { prefix: ip(10, 1, 0, 0), length: 17, ways: ways([1, 5, 2], [2, 6, 3]) },
      route(ip(10, 1, 2, 0), 23, 2, 9),
    ];
    for (const [i, change] of changes.entries()) {
      writeRoutingTable(both, other, routes.with(i, change));
      expect(isSameTable(both, BASE, other), `change ${i}`).toBe(false);
    }
    writeRoutingTable(both, other, routes);
    expect(isSameTable(both, BASE, other)).toBe(true);
  });

  it('tells refusals from having no route', () => {
    build([
      { prefix: ip(10, 1, 0, 0), length: 16, refuses: 'blackhole' },
      { prefix: ip(10, 2, 0, 0), length: 24, refuses: 'unreachable' },
      { prefix: ip(10, 2, 0, 7), length: 32, refuses: 'prohibit' },
    ]);
    const kind = (destination: number) =>
      table.nextHopKind(WORDS, BASE, table.lookupRoute(WORDS, BASE, destination));
    expect(kind(ip(10, 1, 9, 9))).toBe(table.HOP_BLACKHOLE);
    expect(kind(ip(10, 2, 0, 6))).toBe(table.HOP_UNREACHABLE);
    expect(kind(ip(10, 2, 0, 7))).toBe(table.HOP_PROHIBIT);
    expect(table.lookupRoute(WORDS, BASE, ip(10, 3, 0, 1))).toBe(table.NO_ROUTE);
  });

  it('spreads flows over several ways by their weights, and moves none but must move', () => {
    const three = choices([1, 101, 5], [1, 102, 3], [2, 103, 2]);
    expectShares(three, { 101: 0.5, 102: 0.3, 103: 0.2 });
    // Of the flows of one that is gone each takes one that is left, by their weights.
    const two = choices([1, 102, 3], [1, 101, 5]);
    expect(three.every((chosen, i) => chosen === 103 || chosen === two[i])).toBe(true);
    expectShares(two, { 101: 5 / 8, 102: 3 / 8 });
    // Nor does it matter that the others are numbered anew.
    const others = choices([1, 102, 3], [2, 103, 2]);
    expect(three.every((chosen, i) => chosen === 101 || chosen === others[i])).toBe(true);
    // A weight that is lowered gives flows away, and nobody else does.
    const lighter = choices([1, 101, 5], [1, 102, 1], [2, 103, 2]);
    expect(three.every((chosen, i) => chosen === 102 || chosen === lighter[i])).toBe(true);
    expectShares(lighter, { 101: 5 / 8, 102: 1 / 8, 103: 2 / 8 });
    // Where all weigh the same it is as if they were counted.
    const equal = choices([1, 101, 2], [1, 102, 2], [2, 103, 2]);
    expectShares(equal, { 101: 1 / 3, 102: 1 / 3, 103: 1 / 3 });
    const heavier = choices([1, 101, 2], [1, 102, 2], [2, 103, 3]);
    expect(equal.every((chosen, i) => heavier[i] === 103 || heavier[i] === chosen)).toBe(true);
    // One way is no group.
    build([{ prefix: ip(10, 0, 0, 0), length: 8, ways: ways([1, 101, 5]) }]);
    expect(answer(ip(10, 0, 0, 0))).toEqual([1, 101]);
  });

  it('lets a way out whose link is down, unless all are', () => {
    const all = choices([1, 101, 5], [1, 102, 3], [2, 103, 2]);
    setLinks(0b011);
    const first = choices([1, 101, 5], [1, 102, 3], [2, 103, 2]);
    expect(first.every((chosen, i) => chosen === (all[i] === 103 ? chosen : all[i]))).toBe(true);
    expectShares(first, { 101: 5 / 8, 102: 3 / 8 });
    setLinks(0);
    expect(choices([1, 101, 5], [1, 102, 3], [2, 103, 2])).toEqual(all);
    setLinks(-1);
  });

  it('takes ways that are named twice for one, in any order', () => {
    const once = choices([1, 101, 3], [2, 103, 1]);
    expect(choices([2, 103, 1], [1, 101, 1], [1, 101, 2])).toEqual(once);
    const report = build([
      { prefix: 0, length: 8, ways: ways([1, 101, 3], [2, 103, 1]) },
      { prefix: 1 << 24, length: 8, ways: ways([2, 103, 1], [1, 101, 3]) },
      { prefix: 2 << 24, length: 8, ways: ways([1, 101, 3], [1, 101, 3]) },
    ]);
    // The two neighbors and one group.
    expect(report.nextHops).toBe(3);
    expect(answer(2 << 24)).toEqual([1, 101]);
  });

  it('agrees with a scan over random tables', () => {
    // Few distinct upper bits, so that prefixes overlap.
    const address = fc
      .tuple(fc.constantFrom(0, 10, 127, 128, 255), fc.nat(3), fc.nat(3), fc.nat(255))
      .map(([a, b, c, d]) => ip(a, b * 85, c * 85, d));
    const any = fc.record({
      prefix: address,
      length: fc.nat(32),
      interfaceNumber: fc.integer({ min: -1, max: 5 }),
      gateway: fc.constantFrom(0, 1, -1),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 40 }), fc.array(address), (routes, addresses) => {
        writeRoutingTable(WORDS, BASE, routes);
        for (const destination of [...addresses, ...routes.flatMap(boundaries)]) {
          expect(answer(destination)).toEqual(scan(routes, destination));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('holds 100,000 random prefixes of any length', () => {
    const seed = 20261121;
    const random = new Prng(seed);
    const routes: PlainRoute[] = [];
    for (let i = 0; i < 100_000; i++) {
      routes.push(route(random.next(), 8 + random.below(25), random.below(8), i & 15));
    }
    const started = performance.now();
    const report = build(routes);
    const elapsed = (performance.now() - started).toFixed(1);
    const used = ((report.rangeWords / table.RANGE_CAPACITY) * 100).toFixed(1);
    console.log(`seed ${seed}: ${report.routes} routes in ${elapsed} ms, ${used} % of the ranges`);
    for (let i = 0; i < 300; i++) {
      const near = routes[random.below(routes.length)].prefix ^ random.below(512);
      for (const destination of [near, random.next()]) {
        expect(answer(destination)).toEqual(scan(routes, destination));
      }
    }
  });

  it('says what does not fit', () => {
    // No two of them side by side: two ranges each.
    const most = Math.floor(table.RANGE_CAPACITY / 2) - table.ROOT_WORDS;
    const hosts = (count: number) => Array.from({ length: count }, (_, i) => route(i * 2, 32, 1));
    expect(build(hosts(most)).routes).toBe(most);
    expect(answer((most - 1) * 2)).toEqual([1, 0]);
    expect(answer((most - 1) * 2 + 1)).toBeUndefined();
    const tooMany = hosts(most + 2 * table.ROOT_WORDS);
    expect(() => build(tooMany)).toThrow(expect.objectContaining({ code: 'ERR_TABLE_FULL' }));
    expect(() => build(tooMany)).toThrow(/words for prefixes longer than \/16/);
    const gateways = Array.from({ length: table.MAX_NEXT_HOPS + 1 }, (_, i) => route(0, 0, i, i));
    expect(() => build(gateways)).not.toThrow();
    const distinct = gateways.map((each, i) => ({ ...each, prefix: i << 16, length: 16 }));
    expect(() => build(distinct)).toThrow(/holds 32768 next hops/);
    const groups = Array.from({ length: 513 }, (_, i) => ({
      prefix: i << 16,
      length: 16,
      ways: Array.from({ length: 128 }, (_, n) => ({ ...way(n), weight: i + 1 })),
    }));
    expect(() => build(groups.slice(1))).not.toThrow();
    expect(() => build(groups)).toThrow(/holds 65536 ways of routes with several/);
  });
});
