// The routing daemon with a real routing program: BIRD on the switch's host learns networks over BGP from
// BIRD on servers, through weir itself (by a control address, on weir0), puts them into the kernel's
// table, and weir routes packets by them. Routes come and go
// by the ten thousand, events are lost, control is killed, and too many routes arrive: what was in force
// stays until something better is.

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { execute, ipBatch, topFolder, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { Bird } from '../support/bird.ts';
import {
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const FOLLOWED_WITHIN_MS = 20_000;
const LEARNED = '203.0.113.0/24';
const BEHIND = '203.0.113.5';
/** Behind both routers, and how many flows go there. */
const SPREAD = '198.18.0.0/16';
const FLOWS = 500;
/** On the servers' network. */
const CONTROL_ADDRESS = '10.2.0.9';
/** More than fit into the socket of a control processor that stands still. */
const BURST = 8000;
/** Routes with so many ways each, in all more than the table has place for ways (65,536). */
const TOO_MANY = 4200;
const WAYS = 16;

// biome-ignore lint/suspicious/noExplicitAny: the shape is that of control/route-view.ts as JSON.
type Json = any;

describeOnBestKind('routing', ['bird', 'birdc', 'curl'], (kind) => {
  const scenario = `routing on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;
  let birds: Bird[];

  beforeAll(async () => {
    network = new LabNetwork({ backends: 3 });
    const [b1, b2, b3] = network.servers;
    await startWebServer(b3, { port: 8080 });
    for (const { namespace } of [b1, b2]) ipBatch([`addr add ${BEHIND}/32 dev lo`], namespace);
    const backends = [{ name: b3.name, address: b3.address, port: 8080 }];
    const address = network.virtualAddress;
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    const configuration = switchConfiguration(network, { kind, services });
    weir = await WeirProcess.start(network.switchNamespace, {
      ...configuration,
      routing: { follow: true },
      forwarding: [
        { from: network.switchInterfaces[0].name, to: network.switchInterfaces[1].name },
      ],
      control: { addresses: [`${CONTROL_ADDRESS}/24`] },
    });
  });

  afterAll(() => cleanAll());

  function startBirds(): Bird[] {
    const [b1, b2] = network.servers;
    const as = (i: number) => 65_001 + i;
    const own = CONTROL_ADDRESS;
    const routers = [b1, b2];
    return [
      new Bird({
        namespace: network.switchNamespace,
        address: own,
        as: as(0),
        neighbors: routers.map((host, i) => ({ address: host.address, as: as(i + 1) })),
        fillsKernel: true,
      }),
      ...routers.map(
        (host, i) =>
          new Bird({
            namespace: host.namespace,
            address: host.address,
            as: as(i + 1),
            neighbors: [{ address: own, as: as(0) }],
            announces: [LEARNED, `198.51.${100 + i}.0/24`],
          }),
      ),
    ];
  }

  const routes = async (): Promise<Json> => (await weir.api('GET', '/v1/routes')).body;
  const inForce = async (to: string): Promise<Json> =>
    (await routes()).routes.find((each: Json) => each.to === to && each.inForce);
  const gateways = async (to: string): Promise<string[]> =>
    ((await inForce(to))?.ways ?? []).map(({ gateway }: Json) => gateway).sort();

  /** Asks the service from an address that only the learned route leads back to. */
  function isAnswered(): boolean {
    const [{ namespace }] = network.servers;
    const url = `http://${network.virtualAddress}/`;
    const args = ['-s', '--max-time', '2', '--interface', BEHIND, url];
    return execute('curl', args, { namespace, mayFail: true }).status === 0;
  }

  /** What the kernel routes through a router, by its own tool, without metrics that others win over. */
  function throughRouters(): string[] {
    const { stdout } = execute('ip', ['-j', '-4', 'route'], { namespace: network.switchNamespace });
    const taken = (JSON.parse(stdout || '[]') as Json[]).filter(
      ({ gateway, nexthops, type }) => gateway ?? nexthops ?? type,
    );
    return taken.map((each) => each.dst).sort();
  }

  async function expectFollowed(): Promise<Json> {
    let expected: string[] = [];
    let view: Json;
    await waitUntil(
      'weir has the routes of the kernel',
      async () => {
        // The kernel may still be learning.
        expected = throughRouters();
        view = await routes();
        const mine = view.routes.filter(({ origin }: Json) => origin === 'kernel');
        const names = mine.map(({ to }: Json) => to.replace(/\/32$/, '')).sort();
        return names.join() === expected.join() && view.kernel.error === null;
      },
      FOLLOWED_WITHIN_MS,
      () => `${weir.logEnd(5)}\n${expected.length} expected; ${JSON.stringify(view?.kernel)}`,
    );
    return view;
  }

  it('what BIRD learns over BGP is in force, with all its ways', async () => {
    expect(isAnswered()).toBe(false);
    birds = startBirds();
    await birds[0].established(2);
    await expectFollowed();
    const [b1, b2] = network.servers;
    const arrives = (to: string, ways: number) =>
      waitUntil(to, async () => (await gateways(to)).length === ways, FOLLOWED_WITHIN_MS);
    await arrives('198.51.100.0/24', 1);
    await arrives('198.51.101.0/24', 1);
    await arrives(LEARNED, 2);
    expect(await gateways('198.51.100.0/24')).toEqual([b1.address]);
    expect(await gateways('198.51.101.0/24')).toEqual([b2.address]);
    expect(await gateways(LEARNED)).toEqual([b1.address, b2.address].sort());
    expect(await inForce(LEARNED)).toMatchObject({
      origin: 'kernel',
      protocol: 'bird',
      metric: 32,
    });
    const page = execute(process.execPath, [
      `${topFolder()}/bin/weir`,
      'routes',
      '--socket',
      weir.socketPath,
    ]).stdout;
    expect(page).toMatch(
      /203\.0\.113\.0\/24 +via 10\.2\.0\.1[12] on int0 weight 1, .*kernel \(bird\), metric 32/,
    );
  });

  it('and what it withdraws is not: packets take the way that is left', async () => {
    await birds[2].stop();
    const [b1] = network.servers;
    await waitUntil(
      'one way is left',
      async () => (await gateways(LEARNED)).join() === b1.address,
      FOLLOWED_WITHIN_MS,
      () => weir.logEnd(),
    );
    expect(isAnswered()).toBe(true);
    await expectFollowed();
  });

  it('flows are spread over several ways by their weights, all over the one that is left', async () => {
    const { client, switchInterfaces, switchNamespace } = network;
    const routers = network.servers.slice(0, 2);
    ipBatch([`route add ${SPREAD} via ${switchInterfaces[0].address}`], client.namespace);
    const follow = (text: string) => ipBatch([`route ${text}`], switchNamespace);
    const received = () =>
      routers.map(({ namespace }) => {
        const { stdout } = execute('ip', ['-s', '-j', 'link', 'show', 'up'], { namespace });
        const links = (JSON.parse(stdout) as Json[]).filter((each) => each.link_type === 'ether');
        return links.reduce((sum, each) => sum + each.stats64.rx.packets, 0) as number;
      });
    /** Sends a datagram of each flow; what each router has received then. */
    async function shares(): Promise<number[]> {
      const before = received();
      const script = `
        const socket = require('node:dgram').createSocket('udp4');
        let left = ${FLOWS};
        for (let i = 0; i < ${FLOWS}; i++) {
          socket.send('x', 9, '198.18.' + (i >> 7) + '.' + (1 + (i & 127)), () => --left || socket.close());
        }`;
      execute(process.execPath, ['-e', script], { namespace: client.namespace });
      const now = () => received().map((packets, i) => packets - before[i]);
      await waitUntil('they arrive', () => now()[0] + now()[1] >= FLOWS, FOLLOWED_WITHIN_MS);
      return now().map((packets) => packets / FLOWS);
    }
    const ways = routers.map(({ address }, i) => `nexthop via ${address} weight ${3 - 2 * i}`);
    follow(`add ${SPREAD} proto static ${ways.join(' ')}`);
    await waitUntil('both ways', async () => (await gateways(SPREAD)).length === 2, 10_000);
    const spread = await shares();
    // BGP and ARP are among them.
    expect(spread[0]).toBeGreaterThan(0.65);
    expect(spread[0]).toBeLessThan(0.87);
    expect(spread[1]).toBeGreaterThan(0.15);
    follow(`replace ${SPREAD} proto static via ${routers[1].address}`);
    await waitUntil('one way', async () => (await gateways(SPREAD)).length === 1, 10_000);
    const single = await shares();
    print(scenario, { weights: '3:1', spread, single });
    expect(single[1]).toBeGreaterThanOrEqual(1);
    expect(single[0]).toBeLessThan(0.1);
    follow(`del ${SPREAD}`);
  });

  it('the configuration overrules the kernel unless its metric is higher', async () => {
    const original = readFileSync(weir.configFile, 'utf8');
    const route = (metric: number) => [{ to: LEARNED, type: 'prohibit', metric }];
    for (const [metric, origin] of [
      [0, 'configuration'],
      [32, 'configuration'],
      [33, 'kernel'],
    ] as const) {
      weir.writeConfig({ ...parse(original), routes: route(metric) });
      expect((await weir.api('POST', '/v1/reload')).body).toMatchObject({ applied: true });
      expect((await inForce(LEARNED)).origin).toBe(origin);
    }
    weir.writeConfig(parse(original));
    expect((await weir.api('POST', '/v1/reload')).body).toMatchObject({ applied: true });
  });

  /** Many routes at once, and away again. */
  const many = (verb: string, count: number, way = (i: number) => `via 10.2.0.${11 + (i % 200)}`) =>
    ipBatch(
      Array.from({ length: count }, (_, i) => {
        const network = `100.${64 + (i >> 14)}.${(i >> 6) & 255}.${(i & 63) * 4}/30`;
        return `route ${verb} ${network} proto static ${verb === 'del' ? '' : way(i)}`;
      }),
      network.switchNamespace,
    );

  it('control that is killed changes nothing while it is away, nor when it comes back', async () => {
    many('add', 1000);
    const { generation } = await expectFollowed();
    const old = weir.kill('SIGKILL', 'control')[0];
    expect(isAnswered()).toBe(true);
    await weir.waitForRestart('control', old);
    await weir.waitForState('ready');
    const view = await expectFollowed();
    expect(view.generation).toBe(generation);
    expect(view.kernel.dumps).toBe(1);
    expect(isAnswered()).toBe(true);
    // And goes on following.
    many('del', 1000);
    await expectFollowed();
  });

  it('events that were lost are made up for', async () => {
    const control = weir.pid('control')!;
    process.kill(control, 'SIGSTOP');
    try {
      many('add', BURST);
      expect(isAnswered()).toBe(true);
    } finally {
      process.kill(control, 'SIGCONT');
    }
    const { kernel, count } = await expectFollowed();
    print(scenario, { routes: count, ...kernel, leftOut: undefined, ipv6Examples: undefined });
    expect(kernel.overflows).toBeGreaterThan(0);
    many('del', BURST);
    await expectFollowed();
  });

  it('routes that do not fit leave the last in force', async () => {
    const ways = (i: number) => {
      const hops = Array.from({ length: WAYS }, (_, n) => {
        // All different, lest they share.
        const weight = n === 0 ? 1 + (i & 127) : n === 1 ? 1 + (i >> 7) : 1;
        return `nexthop via 10.2.0.${11 + n} weight ${weight}`;
      });
      // The kernel finds what routes have in common by metric and device: all alike would take it minutes.
      return `metric ${i % 5000} ${hops.join(' ')}`;
    };
    many('add', TOO_MANY, ways);
    await waitUntil(
      'it is said',
      async () => /ways of routes with several/.test((await weir.status())?.routing.error ?? ''),
      FOLLOWED_WITHIN_MS,
      () => weir.logEnd(),
    );
    expect(isAnswered()).toBe(true);
    expect(await gateways(LEARNED)).toEqual([network.servers[0].address]);
    expect(weir.log()).toContain("the kernel's routes are not in force");
    many('del', TOO_MANY);
    await expectFollowed();
    expect((await weir.status()).routing.error).toBeNull();
  });

  it('and every packet is accounted for', async () => {
    const status = await weir.status();
    expect(status.routing.fromKernel).toBeGreaterThan(1);
    const { pid } = status.processes.control;
    expect(pid).toBeGreaterThan(0);
    await expectBalanced(weir);
  });
});
