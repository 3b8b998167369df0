// An interface of the switch, or the far end of its cable, goes down and comes up again under load.
// Meanwhile packets are dropped and counted under 'interface-down'; afterwards everything goes on by
// itself, on the very same connections, and no process of the switch has died of it. At last the cable
// is taken away altogether, and another one laid whose ends have the same names.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, HttpLoad } from '../../src/lab/clients.ts';
import { execute, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { receiveLimit } from '../../src/netif/af-xdp/af-xdp-queue.ts';
import { framesAtRest, restAfterKills, sleep } from '../support/killed-switch.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const DOWN_MS = 800;
/** A SYN that was lost is sent again after one second, and then after two. */
const BACK_WITHIN_MS = 8000;
const CONNECTIONS = 20;
const PROCESSORS = 2;
const FRAMES = 2048;

describeOnKinds('link', ['curl'], (kind) => {
  const scenario = `link on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;
  let pids: Map<string, number>;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, queues: PROCESSORS });
    await Promise.all(network.servers.map((host) => startWebServer(host, { port: 8080 })));
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const address = network.virtualAddress;
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    const options = { kind, processors: PROCESSORS, frames: FRAMES, services };
    weir = await WeirProcess.start(network.switchNamespace, switchConfiguration(network, options));
    pids = weir.pids();
  });

  afterAll(() => cleanAll());

  const set = (namespace: string, name: string, state: 'up' | 'down') =>
    execute('ip', ['link', 'set', name, state], { namespace });

  async function statusOf(name: string) {
    const { interfaces } = await weir.status();
    return interfaces.find((each: { name: string }) => each.name === name);
  }

  const countOf = async (reason: string): Promise<number> =>
    (await weir.status()).totals.reasons[reason]?.count ?? 0;

  /** @returns milliseconds until a new connection is served */
  async function untilServed(): Promise<number> {
    const start = performance.now();
    await waitUntil(
      'requests are answered again',
      () => curl(network.client, `http://${network.virtualAddress}/`, [], 1).status === 200,
      20_000,
      () => weir.log(),
    );
    return Math.round(performance.now() - start);
  }

  /** The switch's own ends, and the far ends of their cables. */
  const ends = () => [
    { shown: 'ext0', namespace: network.switchNamespace, name: 'ext0' },
    { shown: 'int0', namespace: network.switchNamespace, name: 'int0' },
    { shown: 'ext0', namespace: network.client.namespace, name: 'eth0' },
    { shown: 'int0', namespace: network.internalNamespace, name: 'up0' },
  ];

  it('an interface that was down goes on by itself, with the same connections', async () => {
    const host = network.virtualAddress;
    const options = { host, connections: CONNECTIONS, timeoutMs: 30_000, intervalMs: 100 };
    const load = new HttpLoad(network.client, options);
    await waitUntil('all connections are open', () => load.latest?.open === CONNECTIONS);
    for (const { shown, namespace, name } of ends()) {
      await sleep(200);
      const before = await statusOf(shown);
      expect(before.up).toBe(true);
      const dropped = await countOf('interface-down');
      set(namespace, name, 'down');
      await waitUntil(`${shown} is shown as down`, async () => !(await statusOf(shown)).up);
      await sleep(DOWN_MS);
      set(namespace, name, 'up');
      const backAfterMs = await untilServed();
      const after = await statusOf(shown);
      expect(after.up).toBe(true);
      expect(after.receivedPackets).toBeGreaterThan(before.receivedPackets);
      expect(after.sentPackets).toBeGreaterThan(before.sentPackets);
      const interfaceDown = (await countOf('interface-down')) - dropped;
      // What is to leave by it has nowhere to go; what comes is not there.
      expect(interfaceDown).toBeGreaterThan(0);
      print(scenario, { end: `${name} of ${shown}'s cable`, backAfterMs, interfaceDown });
      expect(backAfterMs).toBeLessThan(BACK_WITHIN_MS);
      const answered = load.latest!.requests;
      await waitUntil('the load goes on', () => load.latest!.requests > answered + CONNECTIONS);
    }
    const report = await load.stop();
    expect(report).toMatchObject({
      connectionsOpened: CONNECTIONS,
      brokenConnections: 0,
      movedConnections: 0,
      failedRequests: 0,
      failures: {},
    });
    expect(weir.pids()).toEqual(pids);
    const { requests, longestSilenceMs } = report;
    const { totals } = await expectBalanced(weir);
    const reasons = Object.entries<{ count: number }>(totals.reasons);
    const counts = Object.fromEntries(reasons.map(([reason, { count }]) => [reason, count]));
    print(scenario, { requests, longestSilenceMs, counts });
  });

  /** Takes the cable between client and switch away; it had both ends' addresses, so has the next. */
  function layCableAnew(): void {
    const [{ name, macAddress, queues }] = network.switchInterfaces;
    const { namespace, address } = network.client;
    const inSwitch = ['-n', network.switchNamespace];
    const shown = execute('ip', ['-n', namespace, '-json', 'link', 'show', 'eth0']).stdout;
    const clientMac: string = JSON.parse(shown)[0].address;
    execute('ip', [...inSwitch, 'link', 'delete', name]);
    const many = ['numrxqueues', String(queues), 'numtxqueues', String(queues)];
    const peer = ['peer', 'name', 'eth0', 'address', clientMac, ...many, 'netns', namespace];
    const cable = ['link', 'add', name, 'address', macAddress, ...many, 'type', 'veth', ...peer];
    execute('ip', [...inSwitch, ...cable]);
    const offloads = ['tx', 'off', 'rx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off'];
    const vlan = ['rxvlan', 'off', 'txvlan', 'off'];
    for (const [where, end] of [
      [network.switchNamespace, name],
      [namespace, 'eth0'],
    ]) {
      execute('ethtool', ['-K', end, ...offloads, ...vlan], { namespace: where, mayFail: true });
    }
    execute('ip', ['-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth0']);
    set(network.switchNamespace, name, 'up');
    set(namespace, 'eth0', 'up');
  }

  it('an interface that was deleted and made anew is switched again', async () => {
    const host = network.virtualAddress;
    const options = { host, connections: CONNECTIONS, timeoutMs: 30_000, intervalMs: 100 };
    const load = new HttpLoad(network.client, options);
    await waitUntil('all connections are open', () => load.latest?.open === CONNECTIONS);
    layCableAnew();
    const backAfterMs = await untilServed();
    const answered = load.latest!.requests;
    await waitUntil('the load goes on', () => load.latest!.requests > answered + CONNECTIONS);
    const report = await load.stop();
    expect(report).toMatchObject({ brokenConnections: 0, failedRequests: 0, failures: {} });
    expect((await statusOf('ext0')).up).toBe(true);
    // The switching processors were started again, with the new sockets.
    for (const role of ['supervisor', 'control']) expect(weir.pid(role)).toBe(pids.get(role));
    const { processes } = await restAfterKills(weir, PROCESSORS);
    const restarts = processes.switching.map((each: { restarts: number }) => each.restarts);
    const { requests, longestSilenceMs } = report;
    print(scenario, { laidAnew: 'ext0', backAfterMs, requests, longestSilenceMs, restarts });
    expect(restarts).toEqual([1, 1]);
    // What the old sockets held is given up after this time.
    await sleep(3000);
    const { bySocket, elsewhere } = framesAtRest(weir);
    print(scenario, { bySocket, elsewhere });
    expect(elsewhere).toBe(0);
    const most = receiveLimit(FRAMES, PROCESSORS, network.switchInterfaces.length, FRAMES);
    for (const count of Object.values(bySocket)) expect(count).toBeLessThanOrEqual(most);
    expect(backAfterMs).toBeLessThan(BACK_WITHIN_MS);
    expect(await weir.stop()).toBe(0);
  });
});
