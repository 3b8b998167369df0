// The kernel's routes as the routing daemon knows them: filled by a dump, kept by events. One entry per
// prefix; under it all routes to it, because the kernel can hold several that differ in metric or type of
// service, or that were appended. IPv6, which weir does not forward, is beside it (kernel-mirror-ipv6.ts).
//
// Invariant: at most `routesMax` routes are kept of each family; with more the mirror is `isOverfull` for
// good, and says nothing that packets should be sent by. What is remembered beside the routes is bounded by
// their number: who changes routes for ever makes it no larger.

import { getHeapStatistics } from 'node:v8';
import type { KernelRoute, RouteType } from '../sys/route-messages.ts';
import { AF_INET, NLM_F_APPEND, NLM_F_REPLACE, RTM_DELROUTE } from '../sys/route-messages.ts';
import { routeKey } from './compile-routes.ts';
import { Ipv6Mirror } from './kernel-mirror-ipv6.ts';

/** The whole Internet has a million. */
const ROUTES_MAX = 1_500_000;
/** What a route takes at the most of the heap: in two mirrors while all are read again, resolved, published. */
const ROUTE_BYTES = 1536;
/** Ways that are remembered to be shared, even where there are fewer routes. */
const SHARED_MIN = 1024;

/** Routes that are kept in a process with so large a heap: too many must be a message, not its end. */
export function routesMax(heapLimit = getHeapStatistics().heap_size_limit): number {
  return Math.min(ROUTES_MAX, Math.floor(heapLimit / ROUTE_BYTES));
}

/** One way of an IPv4 route. */
export interface MirrorWay {
  readonly interfaceIndex: number;
  /** As int32; 0: none, the destination is on the link; NO_IPV4_GATEWAY, HIDDEN_GATEWAY: not known. */
  readonly gateway: number;
  readonly weight: number;
  readonly flags: number;
  readonly isEncapsulated: boolean;
}

/** One that is not of IPv4. */
export const NO_IPV4_GATEWAY = -1;
/** In a nexthop object, of which the kernel tells the number alone. */
export const HIDDEN_GATEWAY = -2;
const HIDDEN_WAYS: readonly MirrorWay[] = [
  { interfaceIndex: 0, gateway: HIDDEN_GATEWAY, weight: 1, flags: 0, isEncapsulated: false },
];

/** An IPv4 route, as little of it as weir needs: there may be a hundred thousand. */
export interface MirrorRoute {
  readonly prefix: number;
  readonly length: number;
  readonly typeOfService: number;
  readonly priority: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: RouteType;
  /** The same object for all routes with the same ways. */
  readonly ways: readonly MirrorWay[];
}

export class KernelMirror {
  readonly #most: number;
  readonly #routes = new Map<number, MirrorRoute | MirrorRoute[]>();
  readonly #ways = new Map<string, readonly MirrorWay[]>();
  readonly #ipv6: Ipv6Mirror;
  #count = 0;
  /** An event could not be told from one that the dump had seen: only another dump can say. */
  isDoubtful = false;
  /** Routes were left out because there are too many. */
  isOverfull = false;

  constructor(most = routesMax()) {
    this.#most = most;
    this.#ipv6 = new Ipv6Mirror(most);
  }

  /** Overfull, and by now all routes might fit: another dump can tell. */
  get mayFitAgain(): boolean {
    return this.isOverfull && this.#count < this.#most;
  }

  /** IPv4 routes. */
  get count(): number {
    return this.#count;
  }

  get ipv6Count(): number {
    return this.#ipv6.count;
  }

  /** All IPv4 routes. */
  *routes(): Generator<MirrorRoute> {
    for (const held of this.#routes.values()) {
      if (Array.isArray(held)) yield* held;
      else yield held;
    }
  }

  /** IPv6 routes as texts, the first so many. */
  ipv6Routes(count: number): string[] {
    return this.#ipv6.texts(count);
  }

  /** The keys of all prefixes (`routeKey`). */
  keys(): IterableIterator<number> {
    return this.#routes.keys();
  }

  /** All routes to one prefix, in no order. */
  at(key: number): readonly MirrorRoute[] {
    const held = this.#routes.get(key);
    if (held === undefined) return [];
    return Array.isArray(held) ? held : [held];
  }

  /**
   * A route of a dump, or of an event with its netlink flags.
   * @returns the key of the prefix that has changed, or undefined
   */
  apply(type: number, flags: number, route: KernelRoute): number | undefined {
    if (route.family !== AF_INET) {
      if (!this.#ipv6.apply(type, flags, route)) this.isDoubtful = true;
      return undefined;
    }
    const mirrored = this.#mirrored(route);
    const key = routeKey(mirrored.prefix, mirrored.length);
    const held = this.at(key);
    if (type === RTM_DELROUTE) return this.#remove(key, held, mirrored) ? key : undefined;
    const equal = held.findIndex((each) => isEqual(each, mirrored));
    if (equal >= 0) return this.#refresh(key, held, equal, mirrored);
    if (this.#count >= this.#most) {
      this.isOverfull = true;
      return undefined;
    }
    const others = (flags & NLM_F_REPLACE) !== 0 ? withoutFirstLike(held, mirrored) : held;
    const alike = others.some((each) => isAlike(each, mirrored));
    // Told apart only by the order of the kernel's own list.
    if (alike && (flags & NLM_F_APPEND) === 0) this.isDoubtful = true;
    this.#set(key, held.length, [...others, mirrored]);
    return key;
  }

  /** The same route again: at most the state of its links is another. */
  #refresh(key: number, held: readonly MirrorRoute[], at: number, route: MirrorRoute) {
    if (held[at].ways === route.ways) return undefined;
    this.#set(key, held.length, held.with(at, route));
    return key;
  }

  #remove(key: number, held: readonly MirrorRoute[], route: MirrorRoute): boolean {
    const left = held.filter((each) => !isEqual(each, route));
    if (left.length === held.length) {
      // Something else is there with its metric, which the event knew nothing of.
      if (held.some((each) => isAlike(each, route))) this.isDoubtful = true;
      return false;
    }
    this.#set(key, held.length, left);
    return true;
  }

  #set(key: number, before: number, routes: readonly MirrorRoute[]): void {
    this.#count += routes.length - before;
    if (routes.length === 0) this.#routes.delete(key);
    else this.#routes.set(key, routes.length === 1 ? routes[0] : [...routes]);
  }

  #mirrored(route: KernelRoute): MirrorRoute {
    const { length, typeOfService, priority, protocol, scope, type } = route;
    const prefix = int32Of(route.destination);
    return {
      prefix,
      length,
      typeOfService,
      priority,
      protocol,
      scope,
      type,
      ways: this.#shared(route),
    };
  }

  #shared({ ways, nexthopId }: KernelRoute): readonly MirrorWay[] {
    if (ways.length === 0 && nexthopId !== 0) return HIDDEN_WAYS;
    let name = '';
    for (const way of ways) {
      const { interfaceIndex, gateway, weight, flags, isEncapsulated } = way;
      name += `${interfaceIndex} ${gatewayOf(gateway)} ${weight} ${flags} ${isEncapsulated};`;
    }
    const known = this.#ways.get(name);
    if (known !== undefined) return known;
    const made = ways.map(({ gateway, ...way }) => ({ ...way, gateway: gatewayOf(gateway) }));
    // Of most of them no route is left, or they are soon remembered again.
    if (this.#ways.size > SHARED_MIN + 2 * this.#count) this.#ways.clear();
    this.#ways.set(name, made);
    return made;
  }
}

function gatewayOf(gateway: Uint8Array | undefined): number {
  if (gateway === undefined) return 0;
  return gateway.length === 4 ? int32Of(gateway) : NO_IPV4_GATEWAY;
}

function int32Of(bytes: Uint8Array): number {
  return (bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3];
}

/** Whether the kernel takes both for the same place in its table: one may replace the other. */
function isAlike(one: MirrorRoute, other: MirrorRoute): boolean {
  return one.priority === other.priority && one.typeOfService === other.typeOfService;
}

function isEqual(one: MirrorRoute, other: MirrorRoute): boolean {
  return (
    isAlike(one, other) &&
    one.type === other.type &&
    one.protocol === other.protocol &&
    one.scope === other.scope &&
    isSameWays(one.ways, other.ways)
  );
}

/** Flags aside: they say how the link is at the moment. */
function isSameWays(some: readonly MirrorWay[], others: readonly MirrorWay[]): boolean {
  if (some === others) return true;
  return (
    some.length === others.length &&
    some.every((way, i) => {
      const { interfaceIndex, gateway, weight } = others[i];
      return (
        way.interfaceIndex === interfaceIndex && way.gateway === gateway && way.weight === weight
      );
    })
  );
}

function withoutFirstLike(held: readonly MirrorRoute[], route: MirrorRoute): MirrorRoute[] {
  const first = held.findIndex((each) => isAlike(each, route));
  return held.filter((_, i) => i !== first);
}
