// Routes of IPv6 for scenarios of the routing daemon: as `ip -6 -j route` prints them and as our mirror has
// them, in one form to be compared; and random changes, written by our own encoder into the kernel.

import type { Prng } from '../../src/base/prng.ts';
import type { KernelMirror } from '../../src/control/kernel-mirror.ts';
import { NetlinkSocket } from '../../src/sys/netlink.ts';
import {
  AF_INET6,
  encodeRoute,
  type KernelRoute,
  type KernelWay,
  NLM_F_APPEND,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  TABLE_MAIN,
} from '../../src/sys/route-messages.ts';
import { ipJson } from './kernel-routes.ts';

const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const PROTOCOL_STATIC = 4;

interface IpWay {
  gateway?: string;
  dev: string;
}

interface IpRoute extends IpWay {
  type?: string;
  dst: string;
  metric: number;
  nexthops?: IpWay[];
}

/** One line for each route of the main table, as the kernel's own tool sees it; sorted. */
export function ipv6RoutesByIp(): string[] {
  return ipJson<IpRoute>('-6 route show table main')
    .map(({ type, dst, metric, nexthops, ...way }) => {
      const [address, length = '128'] = (dst === 'default' ? '::/0' : dst).split('/');
      const ways = (nexthops ?? [way]).map(
        ({ gateway, dev }) => `${gateway === undefined ? '' : `via ${inFull(gateway)} `}dev ${dev}`,
      );
      const head = `${type === undefined ? '' : `${type} `}${inFull(address)}/${length}`;
      return [head, ...ways.sort(), `metric ${metric}`].join(' ');
    })
    .sort();
}

/** The same of a mirror. */
export function ipv6RoutesByMirror(
  mirror: KernelMirror,
  links: ReadonlyMap<number, string>,
): string[] {
  return mirror
    .ipv6Routes(Number.POSITIVE_INFINITY)
    .map((text) => text.replace(/dev (\d+)/g, (_, index) => `dev ${links.get(Number(index))}`))
    .sort();
}

/** Eight words in hexadecimal, none left out. */
function inFull(address: string): string {
  const [head, tail] = address.split('::').map((part) => part.split(':').filter(Boolean));
  if (tail === undefined) return head.join(':');
  return [...head, ...new Array<string>(8 - head.length - tail.length).fill('0'), ...tail].join(
    ':',
  );
}

/** Changes routes to some twenty networks at random, in all the ways in which the kernel lets it. */
export class Ipv6Churn {
  private readonly socket = new NetlinkSocket(0);
  private readonly random: Prng;
  private readonly interfaceIndex: number;

  /** @param interfaceIndex of a device in 2001:db8::/64, where the gateways are */
  constructor(random: Prng, interfaceIndex: number) {
    this.random = random;
    this.interfaceIndex = interfaceIndex;
  }

  /** One change; the kernel may refuse it. */
  change(): void {
    const count = 1 + this.random.below(3);
    const ways = Array.from({ length: count }, () => this.way());
    const route: KernelRoute = {
      family: AF_INET6,
      destination: Uint8Array.of(0x20, 1, 13, 0xb8, 0, 1 + this.random.below(20), ...new Array(10)),
      length: 48,
      typeOfService: 0,
      table: TABLE_MAIN,
      protocol: PROTOCOL_STATIC,
      scope: 0,
      type: 'unicast',
      priority: 100 + this.random.below(2),
      ways,
      nexthopId: 0,
      preferredSource: undefined,
      mtu: 0,
    };
    const whole = { ...route, ways: [] };
    const kind = this.random.below(6);
    // By a metric of their own: a dump of the kernel's leaves out what stands beside several ways (6.18).
    const refusal: KernelRoute = { ...whole, type: 'blackhole', priority: 90 };
    if (kind === 0) this.send(refusal, RTM_NEWROUTE, NLM_F_CREATE);
    else if (kind === 1) this.send(whole, RTM_DELROUTE, 0);
    else if (kind === 2) this.send({ ...route, ways: [ways[0]] }, RTM_DELROUTE, 0);
    else {
      const how = [NLM_F_EXCL, NLM_F_APPEND, NLM_F_REPLACE][kind - 3];
      this.send(route, RTM_NEWROUTE, NLM_F_CREATE | how);
    }
  }

  private way(): KernelWay {
    const host = 1 + this.random.below(6);
    return {
      interfaceIndex: this.interfaceIndex,
      gateway: Uint8Array.of(0x20, 1, 13, 0xb8, ...new Array(11), host),
      weight: 1,
      flags: 0,
      isEncapsulated: false,
    };
  }

  private send(route: KernelRoute, type: number, flags: number): void {
    this.socket.send(encodeRoute(route, type, NLM_F_REQUEST | flags, 1));
  }

  close(): void {
    this.socket.close();
  }
}
