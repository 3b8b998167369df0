// The mirror and what is made of it, without a kernel: test/scenario/kernel-routes.test.ts holds both to
// the real one.

import { describe, expect, it } from 'vitest';
import type { KernelRoute, KernelWay } from '../sys/route-messages.ts';
import {
  AF_INET,
  AF_INET6,
  NLM_F_APPEND,
  NLM_F_REPLACE,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  RTNH_F_DEAD,
} from '../sys/route-messages.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { connectedRoutes, routeKey } from './compile-routes.ts';
import { fileText, parsed } from './control.harness.ts';
import { KernelMirror, routesMax } from './kernel-mirror.ts';
import { KernelResolution } from './kernel-resolution.ts';

const bytesOf = (address: string) => Uint8Array.from(address.split('.').map(Number));

function way(gateway: string, rest: Partial<KernelWay> = {}): KernelWay {
  const bytes = gateway === '' ? undefined : bytesOf(gateway);
  return { interfaceIndex: 7, gateway: bytes, weight: 1, flags: 0, isEncapsulated: false, ...rest };
}

function route(network: string, gateway: string, rest: Partial<KernelRoute> = {}): KernelRoute {
  const [address, length] = network.split('/');
  return {
    family: AF_INET,
    destination: bytesOf(address),
    length: Number(length),
    typeOfService: 0,
    table: 254,
    protocol: 12,
    scope: 0,
    type: 'unicast',
    priority: 32,
    ways: [way(gateway)],
    nexthopId: 0,
    preferredSource: undefined,
    mtu: 0,
    ...rest,
  };
}

const NETWORK = '192.0.2.0/24';
const KEY = routeKey(parseAddress('192.0.2.0'), 24);
const CONNECTED = connectedRoutes(parsed(fileText([])));
const RESOLUTION = new KernelResolution(CONNECTED, new Set([parseAddress('10.1.0.1')]));

/** What the switch makes of these routes, added one after the other. */
function bestOf(...routes: KernelRoute[]) {
  const mirror = new KernelMirror();
  for (const each of routes) mirror.apply(RTM_NEWROUTE, 0, each);
  return RESOLUTION.best(mirror.at(KEY));
}

describe('the mirror of the kernel', () => {
  it('names the prefix that has changed, and nothing when nothing has', () => {
    const mirror = new KernelMirror();
    const one = route(NETWORK, '10.1.0.254');
    expect(mirror.apply(RTM_NEWROUTE, 0, one)).toBe(KEY);
    expect(mirror.apply(RTM_NEWROUTE, 0, one)).toBeUndefined();
    expect(mirror.apply(RTM_DELROUTE, 0, route(NETWORK, '10.1.0.9'))).toBeUndefined();
    expect(mirror.count).toBe(1);
    expect(mirror.apply(RTM_DELROUTE, 0, one)).toBe(KEY);
    expect(mirror.count).toBe(0);
    expect(mirror.at(KEY)).toEqual([]);
  });

  it('replaces what has the same metric, and appends when it is told to', () => {
    const mirror = new KernelMirror();
    const gateways = () => mirror.at(KEY).map(({ ways }) => ways[0].gateway & 0xff);
    mirror.apply(RTM_NEWROUTE, 0, route(NETWORK, '10.1.0.2'));
    mirror.apply(RTM_NEWROUTE, 0, route(NETWORK, '10.1.0.3', { priority: 5 }));
    mirror.apply(RTM_NEWROUTE, NLM_F_REPLACE, route(NETWORK, '10.1.0.4'));
    expect(gateways().sort()).toEqual([3, 4]);
    mirror.apply(RTM_NEWROUTE, NLM_F_APPEND, route(NETWORK, '10.1.0.5'));
    expect(gateways().sort()).toEqual([3, 4, 5]);
    expect(mirror.isDoubtful).toBe(false);
    mirror.apply(RTM_NEWROUTE, 0, route(NETWORK, '10.1.0.6'));
    expect(mirror.isDoubtful).toBe(true);
  });

  it('takes over that a link has gone or come back', () => {
    const mirror = new KernelMirror();
    const flags = () => mirror.at(KEY).map(({ ways }) => ways[0].flags);
    mirror.apply(RTM_NEWROUTE, 0, route(NETWORK, '10.1.0.2'));
    const dead = route(NETWORK, '', { ways: [way('10.1.0.2', { flags: RTNH_F_DEAD })] });
    expect(mirror.apply(RTM_NEWROUTE, 0, dead)).toBe(KEY);
    expect(flags()).toEqual([RTNH_F_DEAD]);
    expect(mirror.apply(RTM_DELROUTE, 0, route(NETWORK, '10.1.0.2'))).toBe(KEY);
    expect(mirror.count).toBe(0);
  });

  it('shares the ways of routes, and remembers none for ever', () => {
    const mirror = new KernelMirror();
    const waysTo = (network: string, gateway: string) => {
      const given = route(network, gateway);
      mirror.apply(RTM_NEWROUTE, NLM_F_REPLACE, given);
      return mirror.at(routeKey(parseAddress(network.split('/')[0]), given.length))[0].ways;
    };
    const first = waysTo(NETWORK, '10.1.0.2');
    expect(waysTo('192.0.3.0/24', '10.1.0.2')).toBe(first);
    // One route that changes and changes.
    for (let i = 0; i < 3000; i++) waysTo('192.0.4.0/24', `10.1.${1 + (i >> 8)}.${i & 255}`);
    expect(mirror.count).toBe(3);
    expect(waysTo('192.0.5.0/24', '10.1.0.2')).not.toBe(first);
  });

  it('does not show a nexthop object of which nothing is told', () => {
    const mirror = new KernelMirror();
    mirror.apply(RTM_NEWROUTE, 0, route(NETWORK, '', { ways: [], nexthopId: 7 }));
    expect(RESOLUTION.resolve(mirror.at(KEY)[0])).toBe('nexthop-object');
  });

  it('counts IPv6, by the whole route', () => {
    const mirror = new KernelMirror();
    const six = { family: AF_INET6, destination: new Uint8Array(16).fill(1), length: 48 };
    for (const priority of [1, 2, 2]) {
      mirror.apply(RTM_NEWROUTE, 0, route('0.0.0.0/0', '', { ...six, priority }));
    }
    expect(mirror.ipv6Count).toBe(2);
    expect(mirror.count).toBe(0);
    expect(mirror.ipv6Routes(1)).toEqual(['101:101:101:101:101:101:101:101/48 dev 7 metric 1']);
    mirror.apply(RTM_DELROUTE, 0, route('0.0.0.0/0', '', { ...six, priority: 2 }));
    expect(mirror.ipv6Count).toBe(1);
  });

  it('may keep what its heap has room for', () => {
    expect(routesMax(512 * 2 ** 20)).toBe(349_525);
    expect(routesMax(4096 * 2 ** 20)).toBe(1_500_000);
  });

  it('keeps no more than it may, and says so for good', () => {
    const mirror = new KernelMirror(3);
    const six = { family: AF_INET6, destination: new Uint8Array(16), length: 64 };
    for (let i = 0; i < 10; i++) {
      mirror.apply(RTM_NEWROUTE, 0, route(`10.${i}.0.0/16`, '10.1.0.2'));
      mirror.apply(RTM_NEWROUTE, 0, route('0.0.0.0/0', '', { ...six, priority: i }));
    }
    expect(mirror.count).toBe(3);
    expect(mirror.ipv6Count).toBe(3);
    expect(mirror.mayFitAgain).toBe(false);
    mirror.apply(RTM_DELROUTE, 0, route('10.0.0.0/16', '10.1.0.2'));
    expect(mirror.count).toBe(2);
    expect(mirror.isOverfull).toBe(true);
    expect(mirror.mayFitAgain).toBe(true);
  });
});

describe('what the switch makes of a route of the kernel', () => {
  const head = {
    prefix: parseAddress('192.0.2.0'),
    length: 24,
    origin: 'kernel',
    protocol: 'bird',
  };

  it('a way through the interface on whose network the gateway is', () => {
    expect(bestOf(route(NETWORK, '10.2.0.254'))).toEqual({
      ...head,
      metric: 32,
      interfaceNumber: 1,
      gateway: parseAddress('10.2.0.254'),
    });
  });

  it('several ways with their weights, without those that it cannot take', () => {
    const ways = [
      way('10.1.0.2', { weight: 3 }),
      way('172.16.0.1', { weight: 9 }),
      way('10.2.0.2', { weight: 2 }),
      way('10.2.0.3', { flags: RTNH_F_DEAD }),
    ];
    expect(bestOf(route(NETWORK, '', { ways }))).toMatchObject({
      ways: [
        { interfaceNumber: 0, gateway: parseAddress('10.1.0.2'), weight: 3 },
        { interfaceNumber: 1, gateway: parseAddress('10.2.0.2'), weight: 2 },
      ],
    });
    const one = bestOf(route(NETWORK, '', { ways: ways.slice(0, 2) }));
    expect(one).toMatchObject({ interfaceNumber: 0, gateway: parseAddress('10.1.0.2') });
  });

  it.each(['blackhole', 'unreachable', 'prohibit'] as const)('a refusal: %s', (type) => {
    expect(bestOf(route(NETWORK, '', { type, ways: [] }))).toMatchObject({ refuses: type });
  });

  it('the lowest metric of those that it can take', () => {
    const other = route(NETWORK, '172.16.0.1', { priority: 0 });
    const high = route(NETWORK, '10.1.0.2', { priority: 200 });
    const low = route(NETWORK, '10.1.0.3', { priority: 100 });
    expect(bestOf(other, high, low)).toMatchObject({ metric: 100 });
    expect(bestOf(other)).toBeUndefined();
  });

  it.each([
    ['on-link', route(NETWORK, '')],
    ['host-only', route(NETWORK, '10.1.0.2', { type: 'local' })],
    ['host-only', route(NETWORK, '10.1.0.2', { type: 'throw' })],
    ['other-network', route(NETWORK, '172.16.0.1')],
    ['own-gateway', route(NETWORK, '10.1.0.1')],
    ['type-of-service', route(NETWORK, '10.1.0.2', { typeOfService: 8 })],
    ['encapsulated', route(NETWORK, '', { ways: [way('10.1.0.2', { isEncapsulated: true })] })],
    ['dead', route(NETWORK, '', { ways: [way('10.1.0.2', { flags: RTNH_F_DEAD })] })],
    ['not-ipv4', route(NETWORK, '', { ways: [way('', { gateway: new Uint8Array(16) })] })],
  ])('nothing, with the reason: %s', (why, given) => {
    const mirror = new KernelMirror();
    mirror.apply(RTM_NEWROUTE, 0, given);
    expect(RESOLUTION.resolve(mirror.at(KEY)[0])).toBe(why);
  });
});
