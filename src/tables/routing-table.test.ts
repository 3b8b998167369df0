import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import { ROUTING_TABLE_SIZE } from '../memory/layout.ts';
import { prefixMask, type Route, writeRoutingTable } from './routing-builder.ts';
import * as table from './routing-table.ts';

const BASE = 128;
const GUARD = -7;
const WORDS = new Int32Array(BASE + ROUTING_TABLE_SIZE / 4 + 64);
const ip = (a: number, b: number, c: number, d: number) => (a << 24) | (b << 16) | (c << 8) | d;

/** Writes over rubbish; words on both sides of the buffer must stay. */
function build(routes: readonly Route[]) {
  WORDS.fill(GUARD);
  const report = writeRoutingTable(WORDS, BASE, routes);
  expect(WORDS.subarray(0, BASE).every((word) => word === GUARD)).toBe(true);
  expect(WORDS.subarray(WORDS.length - 64).every((word) => word === GUARD)).toBe(true);
  return report;
}

function route(prefix: number, length: number, interfaceNumber: number, gateway = 0): Route {
  return { prefix, length, interfaceNumber, gateway };
}

/** What the table answers: interface and gateway, or nothing. */
function answer(destination: number): readonly number[] | undefined {
  const nextHop = table.lookupRoute(WORDS, BASE, destination);
  if (nextHop === table.NO_ROUTE) return undefined;
  return [table.nextHopInterface(WORDS, BASE, nextHop), table.nextHopGateway(WORDS, BASE, nextHop)];
}

/** The same by a scan over all routes: the longest prefix wins, of equal ones the first. */
function scan(routes: readonly Route[], destination: number): readonly number[] | undefined {
  let best: Route | undefined;
  for (const each of routes) {
    if (((each.prefix ^ destination) & prefixMask(each.length)) !== 0) continue;
    if (best === undefined || each.length > best.length) best = each;
  }
  if (best === undefined || best.interfaceNumber < 0) return undefined;
  return [best.interfaceNumber, best.gateway | 0];
}

/** First and last address of a prefix, and those just outside. */
function boundaries({ prefix, length }: Route): number[] {
  const first = prefix & prefixMask(length);
  const last = first | ~prefixMask(length);
  return [first, last, (first - 1) | 0, (last + 1) | 0];
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

  it('counts next hops and chunks, and shares them', () => {
    const report = build([
      route(ip(10, 1, 1, 0), 24, 1, 9),
      route(ip(10, 1, 2, 0), 24, 1, 9),
      route(ip(10, 1, 2, 4), 30, 2, 9),
    ]);
    expect(report).toEqual({ routes: 3, nextHops: 2, chunks: 2, duplicates: [] });
    expect(WORDS[BASE + table.ROUTING_ROUTES]).toBe(3);
    expect(WORDS[BASE + table.ROUTING_CHUNKS]).toBe(2);
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

  it('holds 20,000 prefixes of a site', () => {
    const seed = 20261120;
    const random = new Prng(seed);
    const routes: Route[] = [];
    for (let i = 0; i < 20_000; i++) {
      const block = random.below(1500) * 43;
      const length = random.below(20) === 0 ? 25 + random.below(8) : 9 + random.below(16);
      routes.push(route((block << 16) | random.below(65536), length, random.below(8), i & 15));
    }
    const started = performance.now();
    const report = build(routes);
    const elapsed = (performance.now() - started).toFixed(1);
    console.log(`seed ${seed}: ${report.routes} routes, ${report.chunks} chunks in ${elapsed} ms`);
    for (let i = 0; i < 300; i++) {
      const near = routes[random.below(routes.length)].prefix ^ random.below(512);
      for (const destination of [near, random.next()]) {
        expect(answer(destination)).toEqual(scan(routes, destination));
      }
    }
  });

  it('says what does not fit', () => {
    const full = Array.from({ length: table.CHUNK_CAPACITY }, (_, i) => route(i << 16, 17, 1));
    expect(build(full).chunks).toBe(table.CHUNK_CAPACITY);
    expect(answer(((table.CHUNK_CAPACITY - 1) << 16) | 5)).toEqual([1, 0]);
    const tooLong = [...full, route(-1, 32, 1)];
    expect(() => build(tooLong)).toThrow(expect.objectContaining({ code: 'ERR_TABLE_FULL' }));
    expect(() => build(tooLong)).toThrow(/longer than \/16 in 5823 blocks/);
    const gateways = Array.from({ length: table.MAX_NEXT_HOPS + 1 }, (_, i) => route(0, 0, i, i));
    expect(() => build(gateways)).not.toThrow();
    const distinct = gateways.map((each, i) => ({ ...each, prefix: i << 16, length: 16 }));
    expect(() => build(distinct)).toThrow(/holds 4096 next hops/);
  });
});
