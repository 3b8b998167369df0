// What scenarios of the routing daemon share: the kernel's routes as `ip -j route` prints them and as our
// mirror has them, in one form to be compared; and a stream of random changes, written by our own encoder
// into the kernel of this network namespace.

import { execFileSync } from 'node:child_process';
import type { Prng } from '../../src/base/prng.ts';
import type { KernelMirror, MirrorRoute } from '../../src/control/kernel-mirror.ts';
import { NetlinkSocket } from '../../src/sys/netlink.ts';
import {
  AF_INET,
  encodeRoute,
  type KernelRoute,
  type KernelWay,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  RTNH_F_DEAD,
  TABLE_MAIN,
} from '../../src/sys/route-messages.ts';
import { formatAddress } from '../../src/wire/ipv4.ts';

const NLM_F_CREATE = 0x400;
const PROTOCOL_STATIC = 4;

interface IpWay {
  gateway?: string;
  dev?: string;
  weight?: number;
  via?: { host: string };
  flags?: string[];
}

interface IpRoute extends IpWay {
  type?: string;
  dst: string;
  tos?: string;
  metric?: number;
  nexthops?: IpWay[];
}

/** What `ip -j …` prints; the arguments stand in one text. */
export function ipJson<Result>(args: string): Result[] {
  const options = { encoding: 'utf8', maxBuffer: 256 << 20 } as const;
  // Without anything to print, some versions print nothing.
  return JSON.parse(execFileSync('ip', ['-j', ...args.split(' ')], options) || '[]') as Result[];
}

/** One line for each route of a table, as the kernel's own tool sees it; sorted. */
export function routesByIp(table = TABLE_MAIN): string[] {
  return ipJson<IpRoute>(`-4 route show table ${table}`).map(lineOfIp).sort();
}

function lineOfIp(route: IpRoute): string {
  const { type = 'unicast', dst, metric = 0 } = route;
  const nothing = type !== 'unicast' || (route.dev === undefined && route.nexthops === undefined);
  const ways = route.nexthops ?? (nothing ? [] : [{ ...route, weight: 1 }]);
  const texts = ways.map(
    (way) => `${way.gateway ?? way.via?.host ?? '-'} ${way.dev} ${way.weight}${stateOfIp(way)}`,
  );
  const prefix = dst === 'default' ? '0.0.0.0/0' : dst.includes('/') ? dst : `${dst}/32`;
  return `${type} ${prefix} metric ${metric} ${texts.join(', ')}`.trim();
}

function stateOfIp({ flags }: IpWay): string {
  return flags?.includes('dead') ? ' dead' : '';
}

/** The same of a mirror. */
export function routesByMirror(mirror: KernelMirror, links: ReadonlyMap<number, string>): string[] {
  return Array.from(mirror.routes(), (route) => lineOfMirror(route, links)).sort();
}

function lineOfMirror(route: MirrorRoute, links: ReadonlyMap<number, string>): string {
  const { prefix, length, priority, type, ways } = route;
  // A blackhole by a nexthop object has the loopback as its way.
  const used = type === 'unicast' ? ways : [];
  const texts = used.map(({ gateway, interfaceIndex, weight, flags }) => {
    const via = gateway === 0 ? '-' : formatAddress(gateway);
    const state = (flags & RTNH_F_DEAD) === 0 ? '' : ' dead';
    return `${via} ${links.get(interfaceIndex)} ${weight}${state}`;
  });
  return `${type} ${formatAddress(prefix)}/${length} metric ${priority} ${texts.join(', ')}`.trim();
}

/** Changes routes at random: adds, replaces and removes, several ways, refusals, metrics. */
export class RouteChurn {
  private readonly socket = new NetlinkSocket(0);
  private readonly random: Prng;
  private readonly interfaceIndex: number;
  /** Those that are there, by prefix and metric, and their names, to choose one. */
  private readonly present = new Map<string, KernelRoute>();
  private names: string[] = [];
  private sequence = 0;

  /** @param interfaceIndex of a device in 10.1.0.0/24, where the gateways are */
  constructor(random: Prng, interfaceIndex: number) {
    this.random = random;
    this.interfaceIndex = interfaceIndex;
  }

  /** Routes that are there. */
  get count(): number {
    return this.present.size;
  }

  /** One change. */
  change(): void {
    const { random } = this;
    const kind = random.below(10);
    const name = this.names[random.below(this.names.length || 1)];
    const old = name === undefined ? undefined : this.present.get(name);
    if (kind < 4 && name !== undefined && old !== undefined) {
      this.remove(name, old);
    } else if (kind < 6 && old !== undefined) {
      this.send({ ...old, ...this.target() }, RTM_NEWROUTE, NLM_F_REPLACE);
    } else {
      this.add();
    }
  }

  /** Another route. */
  add(): void {
    const { random } = this;
    const length = 16 + random.below(17);
    const address = ((100 << 24) | (random.next() & 0xff_ffff)) & (-1 << (32 - length));
    const priority = random.below(3) * 10;
    const name = `${address}/${length} ${priority}`;
    const destination = Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address);
    const route = { ...this.base(), ...this.target(), destination, length, priority };
    if (!this.present.has(name)) this.names.push(name);
    this.present.set(name, route);
    this.send(route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  }

  private remove(name: string, route: KernelRoute): void {
    this.present.delete(name);
    const last = this.names.pop() as string;
    if (last !== name) this.names[this.names.indexOf(name)] = last;
    this.send({ ...route, ways: [], type: 'unspec' }, RTM_DELROUTE, 0);
  }

  private base(): KernelRoute {
    return {
      family: AF_INET,
      destination: new Uint8Array(4),
      length: 0,
      typeOfService: 0,
      table: TABLE_MAIN,
      protocol: PROTOCOL_STATIC,
      scope: 0,
      type: 'unicast',
      priority: 0,
      ways: [],
      nexthopId: 0,
      preferredSource: undefined,
      mtu: 0,
    };
  }

  private target(): Pick<KernelRoute, 'type' | 'ways'> {
    const kind = this.random.below(8);
    if (kind === 0) return { type: 'blackhole', ways: [] };
    if (kind === 1) return { type: 'prohibit', ways: [] };
    const count = kind === 2 ? 2 + this.random.below(3) : 1;
    const first = this.random.below(100);
    const ways = Array.from({ length: count }, (_, i) => this.way(20 + first + i, count));
    return { type: 'unicast', ways };
  }

  private way(host: number, of: number): KernelWay {
    return {
      interfaceIndex: this.interfaceIndex,
      gateway: Uint8Array.of(10, 1, 0, host),
      weight: of === 1 ? 1 : 1 + this.random.below(5),
      flags: 0,
      isEncapsulated: false,
    };
  }

  private send(route: KernelRoute, type: number, flags: number): void {
    this.sequence += 1;
    this.socket.send(encodeRoute(route, type, NLM_F_REQUEST | flags, this.sequence));
  }

  close(): void {
    this.socket.close();
  }
}
