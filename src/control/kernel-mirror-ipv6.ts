// The kernel's routes of IPv6 as the routing daemon knows them: part of the mirror (kernel-mirror.ts). weir
// forwards IPv4, so that they are only counted and shown; a text of each is all that is kept. One entry
// per prefix, as there.
//
// The kernel tells a route with several ways differently in this family: whoever adds one way hears the
// whole route again, and whoever removes one, that way alone (net/ipv6/route.c: they are siblings, held
// together by prefix and metric).
//
// Invariant: no more routes are kept than `most`; beyond it only the count is too low.

import type { KernelRoute, KernelWay } from '../sys/route-messages.ts';
import { NLM_F_REPLACE, RTM_DELROUTE } from '../sys/route-messages.ts';

interface Ipv6Route {
  readonly metric: number;
  /** What goes before its ways: type and prefix. */
  readonly head: string;
  /** Each as `ip -6 route` would print it, in their order. */
  readonly ways: readonly string[];
  /** Several routes with gateways and one metric are one route with several ways. */
  readonly hasGateway: boolean;
}

export class Ipv6Mirror {
  readonly #most: number;
  readonly #routes = new Map<string, readonly Ipv6Route[]>();
  #count = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get count(): number {
    return this.#count;
  }

  /** The first so many. */
  texts(count: number): string[] {
    const texts: string[] = [];
    for (const held of this.#routes.values()) {
      for (const route of held) {
        if (texts.length >= count) return texts;
        texts.push(textOf(route));
      }
    }
    return texts;
  }

  /**
   * A route of a dump, or of an event with its netlink flags.
   * @returns false when an event speaks of what is not known: then only another dump can tell
   */
  apply(type: number, flags: number, route: KernelRoute): boolean {
    const { prefix, ...made } = madeOf(route);
    const held = this.#routes.get(prefix) ?? [];
    if (type === RTM_DELROUTE) return this.#remove(prefix, held, made);
    if (held.some((each) => textOf(each) === textOf(made))) return true;
    const alike = held.filter((each) => each.metric === made.metric);
    const sibling = alike.find((each) => each.hasGateway === made.hasGateway);
    const isReplacing = (flags & NLM_F_REPLACE) !== 0;
    const isGrowing = made.hasGateway && sibling !== undefined && !isReplacing;
    const replaced = isReplacing ? (sibling ?? alike[0]) : isGrowing ? sibling : undefined;
    const others = held.filter((each) => each !== replaced);
    if (this.#count - held.length + others.length < this.#most) others.push(made);
    this.#set(prefix, held.length, others);
    return !isGrowing || sibling.ways.every((way) => made.ways.includes(way));
  }

  #remove(prefix: string, held: readonly Ipv6Route[], gone: Ipv6Route): boolean {
    const others = held.filter((each) => textOf(each) !== textOf(gone));
    if (others.length < held.length) {
      this.#set(prefix, held.length, others);
      return true;
    }
    const [way, ...rest] = gone.ways;
    const whole = held.find((each) => isAlike(each, gone) && each.ways.includes(way));
    if (whole === undefined || rest.length > 0) return !held.some((each) => isAlike(each, gone));
    const left = { ...whole, ways: whole.ways.filter((each) => each !== way) };
    this.#set(
      prefix,
      held.length,
      held.map((each) => (each === whole ? left : each)),
    );
    return true;
  }

  #set(prefix: string, before: number, routes: readonly Ipv6Route[]): void {
    this.#count += routes.length - before;
    if (routes.length === 0) this.#routes.delete(prefix);
    else this.#routes.set(prefix, routes);
  }
}

function isAlike(one: Ipv6Route, other: Ipv6Route): boolean {
  return one.metric === other.metric && one.head === other.head;
}

function madeOf(route: KernelRoute): Ipv6Route & { prefix: string } {
  const prefix = `${hexAddress(route.destination)}/${route.length}`;
  return {
    prefix,
    metric: route.priority,
    head: route.type === 'unicast' ? prefix : `${route.type} ${prefix}`,
    // The kernel lists the ways of one route in no order that lasts.
    ways: route.ways.map(wayText).sort(),
    hasGateway: route.ways.some(({ gateway }) => gateway !== undefined),
  };
}

function wayText({ gateway, interfaceIndex }: KernelWay): string {
  return `${gateway === undefined ? '' : `via ${hexAddress(gateway)} `}dev ${interfaceIndex}`;
}

/** As `ip -6 route` would begin the line, with addresses in full and links by number. */
function textOf({ head, ways, metric }: Ipv6Route): string {
  return [head, ...ways, `metric ${metric}`].join(' ');
}

function hexAddress(bytes: Uint8Array): string {
  const words = Array.from({ length: bytes.length / 2 }, (_, i) =>
    ((bytes[i * 2] << 8) | bytes[i * 2 + 1]).toString(16),
  );
  return words.join(':');
}
