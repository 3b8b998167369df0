// All routes of the switch, in the order in which they win: the networks of the interfaces, then what the
// configuration says and what the routing daemon (58 of Fig. 3) has from the kernel. Of these two, that with
// the lower metric wins where the prefix is the same; the configuration, where the metric is too. Its own
// metric is 0 unless the file says otherwise, so the kernel overrules only what is meant to be overruled.
// Pure; what comes of it is written into the standby buffer by the publisher.

import { CONTROL_INTERFACE } from '../memory/layout.ts';
import { prefixMask, type Route, type Way } from '../tables/routing-builder.ts';
import { parseAddress } from '../wire/ipv4.ts';
import type { Configuration } from './config/schema.ts';

export type RouteOrigin = 'interface' | 'configuration' | 'kernel';

/** A route with where it comes from. */
export type OriginRoute = Route & {
  readonly origin: RouteOrigin;
  /** Of two for one prefix the lower wins; -1 for the networks of interfaces. */
  readonly metric: number;
  /** Who put it into the kernel (`ip route`'s proto), for routes from there. */
  readonly protocol?: string;
};

/** The network of one of our interfaces. */
export type ConnectedRoute = OriginRoute & Way;

/** By prefix (`routeKey`), one route each. */
export type RouteMap = ReadonlyMap<number, OriginRoute>;

/** One safe integer per prefix. */
export function routeKey(prefix: number, length: number): number {
  return (prefix >>> 0) * 64 + length;
}

export function connectedRoutes(configuration: Configuration): ConnectedRoute[] {
  return configuration.interfaces.flatMap(({ addresses }, interfaceNumber) =>
    addresses.map((cidr) => {
      const prefix = prefixOf(cidr);
      return { ...prefix, interfaceNumber, gateway: 0, origin: 'interface', metric: -1 };
    }),
  );
}

/**
 * The control host's addresses, wherever their network is: behind the pseudo-network device, or virtual ones,
 * of which the way out makes real ones.
 */
function hostRoutes({ control, controlPairs }: Configuration): OriginRoute[] {
  const ofDevice = (control?.addresses ?? []).map((cidr) => cidr.split('/')[0]);
  return [...ofDevice, ...controlPairs.map(({ virtual }) => virtual)].map((address) => {
    const prefix = parseAddress(address);
    const way = { interfaceNumber: CONTROL_INTERFACE, gateway: 0 };
    return { prefix, length: 32, ...way, origin: 'interface', metric: -1 };
  });
}

/** The routes that the file names, by metric; of two for one prefix the first wins. */
export function configuredRoutes(configuration: Configuration): OriginRoute[] {
  const connected = connectedRoutes(configuration);
  const routes = configuration.routes.map(({ to, via, interface: name, type, metric }) => {
    const head = { ...prefixOf(to), origin: 'configuration' as const, metric };
    if (type !== undefined) return { ...head, refuses: type };
    const gateway = via === undefined ? 0 : parseAddress(via);
    const interfaceNumber =
      name === undefined
        ? interfaceTowards(connected, gateway)
        : configuration.interfaces.findIndex((candidate) => candidate.name === name);
    return { ...head, interfaceNumber, gateway };
  });
  return routes.sort((a, b) => a.metric - b.metric);
}

/** The interface on whose network a gateway stands, of several the longest prefix; -1: on none. */
export function interfaceTowards(connected: readonly ConnectedRoute[], gateway: number): number {
  let best = -1;
  let bestLength = -1;
  for (const { prefix, length, interfaceNumber } of connected) {
    if ((gateway & prefixMask(length)) !== prefix || length <= bestLength) continue;
    best = interfaceNumber;
    bestLength = length;
  }
  return best;
}

/** All routes; of those with the same prefix the first is the one in force. */
export function mergeRoutes(configuration: Configuration, kernel: RouteMap): OriginRoute[] {
  const configured = configuredRoutes(configuration);
  const overruling = configured.flatMap(({ prefix, length, metric }) => {
    const other = kernel.get(routeKey(prefix, length));
    return other !== undefined && other.metric < metric ? [other] : [];
  });
  // Not spread: there may be a hundred thousand.
  const routes = hostRoutes(configuration);
  const connected = connectedRoutes(configuration);
  return routes.concat(connected, overruling, configured, Array.from(kernel.values()));
}

function prefixOf(text: string): { prefix: number; length: number } {
  if (text === 'default') return { prefix: 0, length: 0 };
  const [address, length] = text.split('/');
  return { prefix: parseAddress(address) & prefixMask(Number(length)), length: Number(length) };
}
