// What the kernel changes without a word about routes, and what it tells in ways of its own: links that go and
// come, nexthop objects, tables beside the main one, more routes than are kept, and IPv6. Our mirror against
// the kernel's own tool, `ip -j`, after each.

import { writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { parseConfiguration } from '../../src/control/config/parse.ts';
import { KernelResolution } from '../../src/control/kernel-resolution.ts';
import { KernelSource, type KernelSourceSettings } from '../../src/control/kernel-source.ts';
import { RoutingDaemon } from '../../src/control/routing-daemon.ts';
import { waitUntil } from '../../src/lab/command.ts';
import { readLink } from '../../src/sys/link.ts';
import { TABLE_MAIN } from '../../src/sys/route-messages.ts';
import { ipJson, RouteChurn, routesByIp, routesByMirror } from '../support/kernel-routes.ts';
import { Ipv6Churn, ipv6RoutesByIp, ipv6RoutesByMirror } from '../support/kernel-routes-ipv6.ts';
import { enterPrivateNetwork, ip } from '../support/private-network.ts';
import { print } from '../support/scenario.ts';

const DEADLINE_MS = 20_000;
const TABLE = 1000;
const IPV6_CHANGES = 2000;
const DAEMON_ROUTES = 5000;

const reason = enterPrivateNetwork();
if (reason !== undefined) process.stdout.write(`kernel changes: skipped: ${reason}\n`);
else {
  ip('link set lo up');
  for (const [i, [near, far]] of ['v0 v1', 'v2 v3'].map((pair) => pair.split(' ')).entries()) {
    ip(`link add ${near} type veth peer name ${far}`);
    ip(`link set ${near} up`);
    ip(`link set ${far} up`);
    ip(`addr add 10.${1 + i}.0.9/24 dev ${near}`);
  }
}

describe.skipIf(reason !== undefined)("the kernel's routes", () => {
  let source: KernelSource;

  afterEach(() => {
    source.stop();
    // Before the routes that use them, which cannot be removed by `flush` as they are shown.
    ip('nexthop flush');
    ip(`route add 192.0.2.0/24 via 10.1.0.2 table ${TABLE} proto static metric 9`);
    for (const table of [TABLE_MAIN, TABLE]) ip(`route flush table ${table} proto static`);
  });

  async function follow(more: Partial<KernelSourceSettings> = {}): Promise<void> {
    const log = { info: () => {}, warning: () => {} };
    const nothing = { onDumped: () => {}, onChanged: () => {}, doubtMs: 200 };
    source = new KernelSource({ table: TABLE_MAIN, log, ...nothing, ...more });
    await source.start();
  }

  async function expectEqual(
    expected = routesByIp(),
    mine = () => routesByMirror(source.mirror!, source.links),
  ): Promise<void> {
    const differences = () => {
      const more = new Set(mine());
      const missing = expected.filter((each) => !more.delete(each));
      return JSON.stringify({ missing, more: [...more] });
    };
    await waitUntil(
      'the mirror is equal',
      () => mine().join('\n') === expected.join('\n'),
      DEADLINE_MS,
      differences,
    );
  }

  it('whose link goes and comes back: the other way alone, then both again', async () => {
    ip('route add 192.0.2.0/24 proto static nexthop via 10.1.0.2 nexthop via 10.2.0.2');
    await follow();
    await expectEqual();
    ip('link set v2 down');
    await expectEqual();
    expect(routesByIp().join()).toContain('10.2.0.2 v2 1 dead');
    // What comes of the link's going must not be what makes good its coming back.
    const { dumps } = source;
    await waitUntil('it was read', () => source.dumps > dumps, 1000).catch(() => {});
    ip('link set v2 up');
    await expectEqual();
    expect(routesByIp().join()).not.toContain('dead');
  });

  it('with nexthop objects, which change under them', async () => {
    await follow();
    for (const [id, gateway] of ['10.1.0.3', '10.2.0.3'].entries()) {
      ip(`nexthop add id ${id + 1} via ${gateway} dev v${id * 2}`);
    }
    ip('nexthop add id 10 group 1,2/2,3');
    ip('route add 198.51.100.0/24 nhid 10 proto static');
    ip('route add 198.51.101.0/24 nhid 1 proto static');
    await expectEqual();
    ip('nexthop replace id 1 via 10.1.0.4 dev v0');
    await expectEqual();
    expect(routesByIp().filter((each) => each.includes('10.1.0.4'))).toHaveLength(2);
    ip('nexthop del id 10');
    await expectEqual();
    ip('nexthop replace id 1 blackhole');
    await expectEqual();
    expect(routesByIp().join()).toContain('blackhole 198.51.101.0/24');
    expect(routesByIp().join()).not.toContain('198.51.100.0');
    // Where the kernel does not tell what is in them, that is said.
    ip('nexthop replace id 2 via 10.2.0.5 dev v2');
    ip('route add 198.51.102.0/24 nhid 2 proto static');
    await expectEqual();
    source.stop();
    writeFileSync('/proc/sys/net/ipv4/nexthop_compat_mode', '0');
    await follow();
    const resolution = new KernelResolution([], new Set());
    const hidden = [...source.mirror!.routes()].find(
      (each) => each.prefix === 0xc6336600 - 2 ** 32,
    );
    expect(resolution.resolve(hidden!)).toBe('nexthop-object');
    writeFileSync('/proc/sys/net/ipv4/nexthop_compat_mode', '1');
  });

  it('of another table, and of no other', async () => {
    await follow({ table: TABLE });
    expect(source.mirror!.count).toBe(0);
    ip(`route add 192.0.2.0/24 via 10.1.0.2 table ${TABLE} proto static`);
    ip('route add 192.0.3.0/24 via 10.1.0.2 proto static');
    await expectEqual(routesByIp(TABLE));
    expect(source.mirror!.count).toBe(1);
  });

  it('that were too many are known again when they are fewer', async () => {
    await follow({ most: 40 });
    const routes = (verb: string, from: number, to: number) => {
      for (let i = from; i < to; i++) ip(`route ${verb} 100.${i}.0.0/16 via 10.1.0.2 proto static`);
    };
    routes('add', 0, 50);
    await waitUntil('it is overfull', () => source.mirror!.isOverfull, DEADLINE_MS);
    expect(source.mirror!.count).toBe(40);
    routes('del', 0, 30);
    await waitUntil('it is so no longer', () => !source.mirror!.isOverfull, DEADLINE_MS);
    await expectEqual();
  });

  it(`of IPv6, after ${IPV6_CHANGES} random changes`, async () => {
    for (const scope of ['all', 'default', 'v0', 'v1']) {
      writeFileSync(`/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`, '0');
    }
    ip('-6 addr add 2001:db8::9/64 dev v0 nodad');
    const seed = 20261121;
    const churn = new Ipv6Churn(new Prng(seed), readLink('v0').index);
    await follow({ doubtMs: 1000 });
    for (let i = 0; i < IPV6_CHANGES; i++) {
      churn.change();
      if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    churn.close();
    const { dumps, events } = source;
    await expectEqual(ipv6RoutesByIp(), () => ipv6RoutesByMirror(source.mirror!, source.links));
    const routes = source.mirror!.ipv6Count;
    print('kernel routes, IPv6', { seed, events, dumps, routes });
    expect(routes).toBeGreaterThan(10);
    expect(ipv6RoutesByIp().join()).toContain('blackhole');
  });

  it('are known to the switch when all of them are, by the configuration of the moment', async () => {
    const churn = new RouteChurn(new Prng(5), readLink('v0').index);
    while (churn.count < DAEMON_ROUTES) churn.add();
    churn.close();
    const log = { info: () => {}, warning: () => {}, error: () => {} };
    let publications = 0;
    const daemon = new RoutingDaemon({
      log,
      publish: async () => {
        publications += 1;
      },
    });
    const configuration = (network: string) =>
      parseConfiguration(
        JSON.stringify({
          interfaces: [{ name: 'ext0', addresses: [`${network}.0.7/24`] }],
          routing: { follow: true },
        }),
        'x.yaml',
      ).configuration!;
    const unicast = () =>
      Array.from(daemon.routes()?.values() ?? []).filter((each) => !('refuses' in each)).length;
    await daemon.follow(configuration('10.1'));
    const all = daemon.routes()!.size;
    // Some are to the same network.
    expect(all).toBeGreaterThan(DAEMON_ROUTES * 0.9);
    expect(unicast()).toBeGreaterThan(all / 2);
    // The gateways are on no network of these interfaces: all are resolved anew.
    await daemon.follow(configuration('10.2'));
    expect(unicast()).toBe(0);
    // Where only something else has changed they are not.
    const before = daemon.routes();
    await daemon.follow(configuration('10.2'));
    expect(daemon.routes()).toBe(before);
    // A second one takes the place of the first that is under way.
    await Promise.all([
      daemon.follow(configuration('10.1')),
      daemon.follow(configuration('10.2')),
      daemon.follow(configuration('10.1')),
    ]);
    expect(daemon.routes()!.size).toBe(all);
    expect(unicast()).toBeGreaterThan(all / 2);
    await waitUntil('they are published', () => publications > 0, DEADLINE_MS);
    const under = daemon.follow(configuration('10.2'));
    daemon.stop();
    await under;
    expect(daemon.routes()).toEqual(new Map());
  });

  it('and links, addresses and neighbors beside them', async () => {
    await follow();
    const counted = () => ({
      links: ipJson('link').length,
      addresses: ipJson<{ addr_info: object[] }>('addr').flatMap((link) => link.addr_info).length,
      neighbors: ipJson('neigh').length,
    });
    const expectCounted = () =>
      waitUntil(
        'they are counted',
        () => JSON.stringify(source.host) === JSON.stringify(counted()),
        DEADLINE_MS,
        () => `${JSON.stringify(source.host)}, and not ${JSON.stringify(counted())}`,
      );
    await expectCounted();
    ip('link add d0 type veth peer name d1');
    ip('addr add 10.9.0.1/24 dev d0');
    for (const host of [2, 3, 4]) ip(`neigh add 10.1.0.${host} lladdr 02:00:00:00:00:01 dev v0`);
    await expectCounted();
    ip('neigh del 10.1.0.3 dev v0');
    ip('link del d0');
    await expectCounted();
    expect(source.host.neighbors).toBeGreaterThan(1);
  });
});
