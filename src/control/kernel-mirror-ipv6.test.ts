// The mirror of IPv6 without a kernel; with one: test/scenario/kernel-changes.test.ts.

import { describe, expect, it } from 'vitest';
import type { KernelRoute, KernelWay } from '../sys/route-messages.ts';
import { AF_INET6, NLM_F_REPLACE, RTM_DELROUTE, RTM_NEWROUTE } from '../sys/route-messages.ts';
import { Ipv6Mirror } from './kernel-mirror-ipv6.ts';

const address = (last: number) => Uint8Array.from({ length: 16 }, (_, i) => (i < 15 ? 0 : last));

/** A route to ::/64 through gateways ::1, ::2 …; 0: on the link. */
function route(gateways: number[], rest: Partial<KernelRoute> = {}): KernelRoute {
  const ways = gateways.map(
    (last): KernelWay => ({
      interfaceIndex: 7,
      gateway: last === 0 ? undefined : address(last),
      weight: 1,
      flags: 0,
      isEncapsulated: false,
    }),
  );
  return {
    family: AF_INET6,
    destination: address(0),
    length: 64,
    typeOfService: 0,
    table: 254,
    protocol: 4,
    scope: 0,
    type: 'unicast',
    priority: 100,
    ways,
    nexthopId: 0,
    preferredSource: undefined,
    mtu: 0,
    ...rest,
  };
}

const PREFIX = '0:0:0:0:0:0:0:0/64';
const via = (...gateways: number[]) => gateways.map((last) => `via 0:0:0:0:0:0:0:${last} dev 7`);
const text = (...gateways: number[]) => [PREFIX, ...via(...gateways), 'metric 100'].join(' ');

describe('the mirror of IPv6', () => {
  it('a route that grows by a way and shrinks by one', () => {
    const mirror = new Ipv6Mirror(10);
    expect(mirror.apply(RTM_NEWROUTE, 0, route([1]))).toBe(true);
    expect(mirror.apply(RTM_NEWROUTE, 0, route([2, 1]))).toBe(true);
    expect(mirror.texts(9)).toEqual([text(1, 2)]);
    expect(mirror.apply(RTM_DELROUTE, 0, route([1]))).toBe(true);
    expect(mirror.texts(9)).toEqual([text(2)]);
    expect(mirror.apply(RTM_DELROUTE, 0, route([2]))).toBe(true);
    expect(mirror.count).toBe(0);
  });

  it('replaces what is of its kind, and keeps other metrics and links apart', () => {
    const mirror = new Ipv6Mirror(10);
    mirror.apply(RTM_NEWROUTE, 0, route([1]));
    mirror.apply(RTM_NEWROUTE, 0, route([0]));
    mirror.apply(RTM_NEWROUTE, 0, route([1], { priority: 7 }));
    expect(mirror.apply(RTM_NEWROUTE, NLM_F_REPLACE, route([3]))).toBe(true);
    expect(mirror.texts(9).sort()).toEqual(
      [`${PREFIX} dev 7 metric 100`, text(3), `${PREFIX} ${via(1)} metric 7`].sort(),
    );
    expect(mirror.count).toBe(3);
    expect(mirror.texts(2)).toHaveLength(2);
  });

  it('says when an event speaks of what it does not know', () => {
    const mirror = new Ipv6Mirror(10);
    mirror.apply(RTM_NEWROUTE, 0, route([1, 2]));
    expect(mirror.apply(RTM_NEWROUTE, 0, route([2, 3]))).toBe(false);
    expect(mirror.texts(9)).toEqual([text(2, 3)]);
    expect(mirror.apply(RTM_DELROUTE, 0, route([9]))).toBe(false);
    expect(mirror.apply(RTM_DELROUTE, 0, route([9], { priority: 5 }))).toBe(true);
    expect(mirror.apply(RTM_NEWROUTE, 0, route([2, 3]))).toBe(true);
    expect(mirror.count).toBe(1);
  });

  it('keeps no more than it may, and changes those that it has', () => {
    const mirror = new Ipv6Mirror(2);
    for (const priority of [1, 2, 3, 4]) mirror.apply(RTM_NEWROUTE, 0, route([1], { priority }));
    expect(mirror.count).toBe(2);
    mirror.apply(RTM_NEWROUTE, NLM_F_REPLACE, route([5], { priority: 2 }));
    expect(mirror.texts(9)[1]).toBe(`${PREFIX} ${via(5)} metric 2`);
  });
});
