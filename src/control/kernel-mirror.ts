// The kernel's routes as the routing daemon knows them: filled by a dump, kept by events. One entry per
// prefix; under it all routes to it, because the kernel can hold several that differ in metric or type of
// service, or that were appended. IPv6 is kept to be counted and shown; weir forwards IPv4.
//
// Invariant: at most ROUTES_MAX routes are kept of each family; with more the mirror is `isOverfull` for
// good, and says nothing that packets should be sent by.

import type { KernelRoute, RouteType } from '../sys/route-messages.ts';
import { AF_INET, NLM_F_APPEND, NLM_F_REPLACE, RTM_DELROUTE } from '../sys/route-messages.ts';
import { routeKey } from './compile-routes.ts';

/** The whole Internet has a million. */
export const ROUTES_MAX = 1_500_000;

/** One way of an IPv4 route. */
export interface MirrorWay {
  readonly interfaceIndex: number;
  /** As int32; 0: none, the destination is on the link; NO_IPV4_GATEWAY: one that is not of IPv4. */
  readonly gateway: number;
  readonly weight: number;
  readonly flags: number;
  readonly isEncapsulated: boolean;
}

export const NO_IPV4_GATEWAY = -1;

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
  /** Texts of IPv6 routes, so that equal ones are one. */
  readonly #ipv6 = new Set<string>();
  #count = 0;
  /** An event could not be told from one that the dump had seen: only another dump can say. */
  isDoubtful = false;
  /** Routes were left out because there are too many. */
  isOverfull = false;

  constructor(most = ROUTES_MAX) {
    this.#most = most;
  }

  /** IPv4 routes. */
  get count(): number {
    return this.#count;
  }

  get ipv6Count(): number {
    return this.#ipv6.size;
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
    return Array.from(this.#ipv6.values()).slice(0, count);
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
      this.#applyIpv6(type, route);
      return undefined;
    }
    const mirrored = this.#mirrored(route);
    const key = routeKey(mirrored.prefix, mirrored.length);
    const held = this.at(key);
    if (type === RTM_DELROUTE) return this.#remove(key, held, mirrored) ? key : undefined;
    if (held.some((each) => isEqual(each, mirrored))) return undefined;
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

  #applyIpv6(type: number, route: KernelRoute): void {
    const text = ipv6Text(route);
    if (type === RTM_DELROUTE) this.#ipv6.delete(text);
    else if (this.#ipv6.size < this.#most) this.#ipv6.add(text);
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

  #shared({ ways }: KernelRoute): readonly MirrorWay[] {
    let name = '';
    for (const way of ways) {
      const { interfaceIndex, gateway, weight, flags, isEncapsulated } = way;
      name += `${interfaceIndex} ${gatewayOf(gateway)} ${weight} ${flags} ${isEncapsulated};`;
    }
    const known = this.#ways.get(name);
    if (known !== undefined) return known;
    const made = ways.map(({ gateway, ...way }) => ({ ...way, gateway: gatewayOf(gateway) }));
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

/** As `ip -6 route` would begin the line, with addresses in full. */
function ipv6Text(route: KernelRoute): string {
  const ways = route.ways.map(({ gateway, interfaceIndex }) => {
    return `${gateway === undefined ? '' : ` via ${hexAddress(gateway)}`} dev ${interfaceIndex}`;
  });
  const type = route.type === 'unicast' ? '' : `${route.type} `;
  const head = `${type}${hexAddress(route.destination)}/${route.length}`;
  return `${head}${ways.join('')} metric ${route.priority}`;
}

function hexAddress(bytes: Uint8Array): string {
  const words = Array.from({ length: bytes.length / 2 }, (_, i) =>
    ((bytes[i * 2] << 8) | bytes[i * 2 + 1]).toString(16),
  );
  return words.join(':');
}
