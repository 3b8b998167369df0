// The shape and the making of what `GET /v1/routes` answers and `weir routes --json` prints: the routes in
// force, each with where it comes from, and how the following of the kernel is. An interface to the outside,
// so names do not change lightly.

import { RANGE_CAPACITY } from '../tables/routing-table.ts';
import { formatAddress } from '../wire/ipv4.ts';
import { type OriginRoute, type RouteOrigin, routeKey } from './compile-routes.ts';
import type { KernelMirror } from './kernel-mirror.ts';
import type { KernelResolution, LeftOut } from './kernel-resolution.ts';
import type { RoutePublication } from './route-publication.ts';
import type { RoutingDaemon } from './routing-daemon.ts';
import type { RoutingStatus } from './status-shape.ts';

/** IPv6 routes shown as examples: weir counts them, and forwards none. */
const IPV6_SHOWN = 20;

export interface WayView {
  readonly interface: string;
  /** null: destinations are on the link. */
  readonly gateway: string | null;
  readonly weight: number;
}

export interface RouteView {
  /** A network, or 'default'. */
  readonly to: string;
  /** Empty where the route refuses. */
  readonly ways: readonly WayView[];
  readonly refuses: 'blackhole' | 'unreachable' | 'prohibit' | null;
  readonly origin: RouteOrigin;
  /** Who put it into the kernel; null for routes from elsewhere. */
  readonly protocol: string | null;
  /** null for the networks of interfaces, which nothing overrules. */
  readonly metric: number | null;
  /** false: another route to the same network wins. */
  readonly inForce: boolean;
}

export interface KernelView {
  readonly table: number;
  /** IPv4 routes of the kernel, and those of them that are routes of the switch. */
  readonly routes: number;
  readonly taken: number;
  /** Why the others are not, with how many. */
  readonly leftOut: Readonly<Partial<Record<LeftOut, number>>>;
  readonly ipv6Routes: number;
  readonly ipv6Examples: readonly string[];
  readonly links: number;
  readonly addresses: number;
  readonly neighbors: number;
  readonly dumps: number;
  readonly lastDumpMs: number;
  readonly events: number;
  readonly overflows: number;
  readonly publications: number;
  /** Why the kernel's latest routes are not in force; null: they are. */
  readonly error: string | null;
}

export interface RoutesView {
  /** Of the routing table: it changes with every flip. */
  readonly generation: number;
  readonly count: number;
  readonly tableUse: number;
  /** null: the kernel is not followed. */
  readonly kernel: KernelView | null;
  readonly routes: readonly RouteView[];
}

export interface RouteSources {
  readonly interfaceNames: readonly string[];
  /** In the order in which they win. */
  readonly routes: readonly OriginRoute[];
  readonly generation: number;
  readonly rangeWords: number;
  readonly daemon: RoutingDaemon;
}

/** @param limit routes at the most; the counts are of all */
export function buildRoutesView(
  sources: RouteSources,
  limit = Number.POSITIVE_INFINITY,
): RoutesView {
  const seen = new Set<number>();
  const routes: [number, RouteView][] = [];
  for (const route of sources.routes) {
    const key = routeKey(route.prefix, route.length);
    const inForce = !seen.has(key);
    seen.add(key);
    if (routes.length < limit) routes.push([key, viewOf(route, inForce, sources.interfaceNames)]);
  }
  routes.sort(([one], [other]) => one - other);
  return {
    generation: sources.generation,
    count: seen.size,
    tableUse: sources.rangeWords / RANGE_CAPACITY,
    kernel: kernelView(sources.daemon),
    routes: routes.map(([, view]) => view),
  };
}

function viewOf(route: OriginRoute, inForce: boolean, names: readonly string[]): RouteView {
  const { prefix, length, origin, protocol, metric } = route;
  return {
    to: length === 0 ? 'default' : `${formatAddress(prefix)}/${length}`,
    ways: waysOf(route, names),
    refuses: 'refuses' in route ? route.refuses : null,
    origin,
    protocol: protocol ?? null,
    metric: metric < 0 ? null : metric,
    inForce,
  };
}

function waysOf(route: OriginRoute, names: readonly string[]): WayView[] {
  if ('refuses' in route) return [];
  const ways = 'ways' in route ? route.ways : [{ ...route, weight: 1 }];
  return ways.map(({ interfaceNumber, gateway, weight }) => ({
    interface: names[interfaceNumber] ?? 'control',
    gateway: gateway === 0 ? null : formatAddress(gateway),
    weight,
  }));
}

/** What the status says of routes. */
export function routingStatus(publication: RoutePublication, daemon: RoutingDaemon): RoutingStatus {
  const { kernel, error } = daemon;
  return {
    routes: publication.routeCount,
    flips: publication.generation,
    fromKernel: kernel === undefined ? null : (daemon.routes()?.size ?? 0),
    error: error ?? kernel?.error ?? null,
  };
}

function kernelView(daemon: RoutingDaemon): KernelView | null {
  const { kernel, rules, publications, error } = daemon;
  if (kernel === undefined) return null;
  const { mirror, host, dumps, lastDumpMs, events, overflows } = kernel;
  const leftOut = mirror === undefined ? {} : leftOutOf(mirror, rules);
  return {
    table: daemon.followedTable,
    routes: mirror?.count ?? 0,
    taken: daemon.routes()?.size ?? 0,
    leftOut,
    ipv6Routes: mirror?.ipv6Count ?? 0,
    ipv6Examples: mirror?.ipv6Routes(IPV6_SHOWN) ?? [],
    ...host,
    dumps,
    lastDumpMs: Math.round(lastDumpMs),
    events,
    overflows,
    publications,
    error: error ?? kernel.error ?? null,
  };
}

function leftOutOf(mirror: KernelMirror, rules: KernelResolution) {
  const counts: Partial<Record<LeftOut, number>> = {};
  for (const key of mirror.keys()) {
    const held = mirror.at(key);
    const best = rules.best(held);
    let isTaken = false;
    for (const route of held) {
      const resolved = rules.resolve(route);
      const why = typeof resolved === 'string' ? resolved : 'metric-higher';
      if (why === 'metric-higher' && !isTaken && best?.metric === route.priority) isTaken = true;
      else counts[why] = (counts[why] ?? 0) + 1;
    }
  }
  return counts;
}
