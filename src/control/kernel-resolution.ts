// What a route of the kernel means for the switch: through which of our interfaces it leads, if any. It does
// where its gateway stands on a network that one of our interfaces is connected to, through whatever device
// the kernel itself would send (the pseudo-network device, a management interface, a dummy): the kernel's
// devices are the host's, ours are the switch's. Routes without a gateway are the host's own links, and left
// out. Pure.

import { RTNH_F_DEAD } from '../sys/route-messages.ts';
import { prefixMask, type Target } from '../tables/routing-builder.ts';
import { type ConnectedRoute, interfaceTowards, type OriginRoute } from './compile-routes.ts';
import {
  HIDDEN_GATEWAY,
  type MirrorRoute,
  type MirrorWay,
  NO_IPV4_GATEWAY,
} from './kernel-mirror.ts';

/** Why a route of the kernel is no route of the switch. */
export const LEFT_OUT = {
  'on-link': 'has no gateway: a network of the host itself',
  'host-only': "of a kind that concerns the host's own packets",
  'other-network': 'its gateway is on no network of our interfaces',
  'own-gateway': 'its gateway is an address of ours',
  'not-ipv4': 'its gateway is not an IPv4 address',
  'nexthop-object': 'its ways are not told (net.ipv4.nexthop_compat_mode is 0)',
  encapsulated: 'goes through a tunnel of the kernel',
  'type-of-service': 'holds for a type of service only',
  dead: 'all its ways are down',
  'metric-higher': 'another one to the same network has a lower metric',
} as const;
export type LeftOut = keyof typeof LEFT_OUT;

const PROTOCOLS: Readonly<Record<number, string>> = {
  0: 'unspec',
  1: 'redirect',
  2: 'kernel',
  3: 'boot',
  4: 'static',
  9: 'ra',
  12: 'bird',
  16: 'dhcp',
  186: 'bgp',
  187: 'isis',
  188: 'ospf',
  189: 'rip',
  192: 'eigrp',
};

/** As `ip route` names who made a route. */
export function protocolName(protocol: number): string {
  return PROTOCOLS[protocol] ?? String(protocol);
}

export class KernelResolution {
  private readonly connected: readonly ConnectedRoute[];
  private readonly ownAddresses: ReadonlySet<number>;
  /** Forgotten with the ways, which the mirror shares between routes. */
  private readonly targets = new WeakMap<readonly MirrorWay[], Target | LeftOut>();

  /** @param ownAddresses those of our interfaces, as int32 */
  constructor(connected: readonly ConnectedRoute[], ownAddresses: ReadonlySet<number>) {
    this.connected = connected;
    this.ownAddresses = ownAddresses;
  }

  /** The one route to a prefix that the switch takes: of those that it can, the lowest metric. */
  best(routes: readonly MirrorRoute[]): OriginRoute | undefined {
    let best: OriginRoute | undefined;
    for (const route of routes) {
      if (best !== undefined && route.priority >= best.metric) continue;
      const resolved = this.resolve(route);
      if (typeof resolved !== 'string') best = resolved;
    }
    return best;
  }

  /** A route of the switch, or why it is none. */
  resolve(route: MirrorRoute): OriginRoute | LeftOut {
    const { typeOfService, type, ways, priority } = route;
    if (typeOfService !== 0) return 'type-of-service';
    const prefix = route.prefix & prefixMask(route.length);
    const protocol = protocolName(route.protocol);
    const head = {
      prefix,
      length: route.length,
      metric: priority,
      origin: 'kernel',
      protocol,
    } as const;
    if (type === 'blackhole' || type === 'unreachable' || type === 'prohibit') {
      return { ...head, refuses: type };
    }
    if (type !== 'unicast') return 'host-only';
    const target = this.targetOf(ways);
    return typeof target === 'string' ? target : { ...head, ...target };
  }

  private targetOf(ways: readonly MirrorWay[]): Target | LeftOut {
    const known = this.targets.get(ways);
    if (known !== undefined) return known;
    const target = this.findTarget(ways);
    this.targets.set(ways, target);
    return target;
  }

  private findTarget(ways: readonly MirrorWay[]): Target | LeftOut {
    const found = ways.map((way) => this.wayOf(way));
    const usable = found.filter((way) => typeof way !== 'string');
    if (usable.length === 0) return found.find((way) => typeof way === 'string') ?? 'on-link';
    if (usable.length > 1) return { ways: usable };
    const [{ interfaceNumber, gateway }] = usable;
    return { interfaceNumber, gateway };
  }

  private wayOf({ gateway, weight, flags, isEncapsulated }: MirrorWay) {
    if (isEncapsulated) return 'encapsulated';
    if (gateway === 0) return 'on-link';
    if (gateway === NO_IPV4_GATEWAY) return 'not-ipv4';
    if (gateway === HIDDEN_GATEWAY) return 'nexthop-object';
    if ((flags & RTNH_F_DEAD) !== 0) return 'dead';
    if (this.ownAddresses.has(gateway)) return 'own-gateway';
    const interfaceNumber = interfaceTowards(this.connected, gateway);
    if (interfaceNumber < 0) return 'other-network';
    return { interfaceNumber, gateway, weight };
  }
}
