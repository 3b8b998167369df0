// The choice of a backend through the real switch, with real connections and two processors: each
// scheduler shares them out after its kind, a client keeps its backend where that is asked for, rules by
// content lead where they say, and limits hold. How fair a scheduler is to the last percent is shown
// elsewhere (http-shares, and the unit tests); here it is that each does its kind of work at all.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, dig, HttpLoad } from '../../src/lab/clients.ts';
import { execute, ipBatch, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startDnsServer, startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { dnsName, QUESTION_OFFSET } from '../support/dns-question.ts';
import { sleep } from '../support/killed-switch.ts';
import { viewBackends } from '../support/operated-switch.ts';
import {
  askFromPorts,
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const WEIGHTS = [3, 2, 1];
const CONNECTIONS = 480;
const PROCESSORS = 2;
/** Each service has a port of its own on the servers: else a client that uses a port of its own towards two
 * services at once would be, for a server that both lead to, one connection. */
const FIRST_PORT = 8001;
const STICKY_PORT = 90;
const CONTENT_PORT = 91;
const FULL_PORT = 92;
const SMALL_PORT = 93;
const BACKEND_LIMIT = 5;
const SERVICE_LIMIT = 8;
/** Processors do not wait for each other: what begins in the same moment may pass a limit together. */
const AT_THE_SAME_MOMENT = 4;
const EXPEDITED = 46;

const EQUAL = [1 / 3, 1 / 3, 1 / 3];
const BY_WEIGHT = [1 / 2, 1 / 3, 1 / 6];
/** Those that count open connections find hardly any when each is of one request. */
const LOOSE = 0.25;
/** What each does with connections from one address and many ports, and how far it may be from it. */
const SCHEDULERS: [short: string, shares: number[] | 'one server', tolerance: number][] = [
  ['rr', EQUAL, 0.02],
  ['wrr', BY_WEIGHT, 0.02],
  ['lc', EQUAL, LOOSE],
  ['wlc', BY_WEIGHT, LOOSE],
  ['sed', BY_WEIGHT, LOOSE],
  ['nq', BY_WEIGHT, LOOSE],
  ['sh', 'one server', 0],
  ['mh', BY_WEIGHT, 0.1],
  ['p2c', BY_WEIGHT, LOOSE],
  ['random', BY_WEIGHT, 0.1],
];
/** What those that count open connections do with connections that stay, and how far each may be from it. */
const KEPT_CONNECTIONS = 60;
const BY_OPEN_CONNECTIONS: [short: string, counts: number[], tolerance: number][] = [
  ['lc', [20, 20, 20], 2],
  ['wlc', [30, 20, 10], 2],
  ['sed', [30, 20, 10], 2],
  ['nq', [30, 20, 10], 2],
  ['p2c', [30, 20, 10], 8],
];
/** Further addresses of the client: two of each of these networks of 16. */
const NETWORKS = ['10.1.0.32', '10.1.0.48', '10.1.0.64', '10.1.0.80'];
const MARKED_ADDRESS = '10.1.0.200';

function inNetwork(network: string, number: number): string {
  const [a, b, c, d] = network.split('.').map(Number);
  return [a, b, c, d + number].join('.');
}

describeOnBestKind('schedulers', ['nginx', 'curl', 'dnsmasq', 'dig', 'nft'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;

  function services() {
    const { virtualAddress: address } = network;
    const names = network.servers.map(({ name, address }) => ({ name, address }));
    const backends = names;
    const weighted = backends.map((each, i) => ({ ...each, weight: WEIGHTS[i] }));
    const labelled = backends.map((each, i) => ({ ...each, labels: i === 1 ? ['gpu'] : [] }));
    const tcp = { address, protocol: 'tcp' };
    const asked = dnsName('server.lab').toString('hex');
    return [
      ...SCHEDULERS.map(([scheduler], i) => ({
        ...tcp,
        name: `by-${scheduler}`,
        port: FIRST_PORT + i,
        scheduler,
        backends: weighted,
      })),
      { ...tcp, name: 'sticky', port: STICKY_PORT, persistence: { mask: 28 }, backends },
      {
        ...tcp,
        name: 'content',
        port: CONTENT_PORT,
        rules: [
          { name: 'named', clients: [`${NETWORKS[0]}/28`], backend: 'b3' },
          { name: 'labelled', clients: [`${NETWORKS[1]}/28`], requires: ['gpu'] },
          { name: 'marked', dscp: [EXPEDITED], backend: 'b1' },
          { name: 'ports', 'client-ports': '20000-20099', backend: 'b2' },
        ],
        backends: labelled,
      },
      {
        ...tcp,
        name: 'full',
        port: FULL_PORT,
        backends: backends.map((each) => ({ ...each, 'connection-limit': BACKEND_LIMIT })),
      },
      { ...tcp, name: 'small', port: SMALL_PORT, 'connection-limit': SERVICE_LIMIT, backends },
      {
        address,
        protocol: 'udp',
        name: 'dns',
        port: 53,
        rules: [
          { name: 'name', payload: { offset: QUESTION_OFFSET, value: asked }, backend: 'b2' },
        ],
        backends: names,
      },
    ];
  }

  beforeAll(async () => {
    network = new LabNetwork({ backends: WEIGHTS.length, queues: PROCESSORS });
    const ofSchedulers = SCHEDULERS.map((_, i) => FIRST_PORT + i);
    const morePorts = [...ofSchedulers, CONTENT_PORT, FULL_PORT, SMALL_PORT];
    await Promise.all(
      network.servers.map((host) => startNginx(host, { port: STICKY_PORT, morePorts })),
    );
    await Promise.all(
      network.servers.map((host, i) => {
        const own = `192.0.2.${i + 1}`;
        return startDnsServer(host, { 'one.lab': own });
      }),
    );
    const { client } = network;
    const more = [...NETWORKS.flatMap((each) => [1, 2].map((n) => inNetwork(each, n)))];
    ipBatch(
      [...more, MARKED_ADDRESS].map((each) => `addr add ${each}/24 dev eth0`),
      client.namespace,
    );
    const marking = `ip saddr ${MARKED_ADDRESS} ip dscp set ${EXPEDITED}`;
    const input = `table ip marking { chain out { type route hook output priority -150; ${marking}; }\n}`;
    execute('nft', ['-f', '-'], { namespace: client.namespace, input: `${input}\n` });
    const config = switchConfiguration(network, {
      kind,
      processors: PROCESSORS,
      services: services(),
    });
    weir = await WeirProcess.start(network.switchNamespace, config);
  });

  afterAll(() => cleanAll());

  it.each(SCHEDULERS)('%s shares out after its kind', async (scheduler, expected, tolerance) => {
    const port = FIRST_PORT + SCHEDULERS.findIndex(([short]) => short === scheduler);
    const host = network.virtualAddress;
    const load = { host, port, connections: 8, mode: 'new', requests: CONNECTIONS } as const;
    const report = await new HttpLoad(network.client, load).finished();
    const shares = network.servers.map(({ name }) => (report.perServer[name] ?? 0) / CONNECTIONS);
    print('schedulers', { scheduler, shares, elapsedMs: report.elapsedMs });
    expect(report).toMatchObject({ requests: CONNECTIONS, failures: {} });
    if (expected === 'one server') {
      expect(Math.max(...shares)).toBe(1);
      return;
    }
    shares.forEach((share, i) => {
      expect(Math.abs(share - expected[i]), `${scheduler} ${i}`).toBeLessThanOrEqual(tolerance);
    });
  });

  it.each(BY_OPEN_CONNECTIONS)('%s evens out what is open', async (scheduler, expected, most) => {
    const port = FIRST_PORT + SCHEDULERS.findIndex(([short]) => short === scheduler);
    const host = network.virtualAddress;
    const common = { host, port, intervalMs: 100, pauseMs: 50 };
    const load = new HttpLoad(network.client, { ...common, connections: KEPT_CONNECTIONS });
    await waitUntil('all are open', () => load.latest?.open === KEPT_CONNECTIONS);
    const { services: all } = await weir.status();
    const { backends } = all.find(({ name }: { name: string }) => name === `by-${scheduler}`);
    const open = backends.map((each: { connectionsOpen: number }) => each.connectionsOpen);
    await load.stop();
    print('schedulers', { scheduler, open });
    for (const [i, wanted] of expected.entries()) {
      expect(Math.abs(open[i] - wanted), `${scheduler} ${i}`).toBeLessThanOrEqual(most);
    }
  });

  /** Which server answers a request from one of the client's addresses. */
  function ask(address: string, port: number): string {
    const url = `http://${network.virtualAddress}:${port}/`;
    const answer = curl(network.client, url, ['--interface', address]);
    expect(answer, answer.error).toMatchObject({ exitCode: 0, status: 200 });
    return answer.body.trim();
  }

  it('keeps the clients of a network with one server', () => {
    const owners = NETWORKS.map((each) => {
      const answers = [1, 2, 1, 2].map((number) => ask(inNetwork(each, number), STICKY_PORT));
      expect(new Set(answers).size, `${each}: ${answers}`).toBe(1);
      return answers[0];
    });
    print('schedulers', { persistence: owners });
    expect(new Set(owners).size).toBeGreaterThan(1);
  });

  it('follows rules by client network, label, DSCP and client port', () => {
    const many = [1, 2, 1, 2, 1, 2];
    const ofNetwork = (i: number) => many.map((n) => ask(inNetwork(NETWORKS[i], n), CONTENT_PORT));
    expect(new Set(ofNetwork(0))).toEqual(new Set(['b3']));
    expect(new Set(ofNetwork(1))).toEqual(new Set(['b2']));
    expect(new Set(many.map(() => ask(MARKED_ADDRESS, CONTENT_PORT)))).toEqual(new Set(['b1']));
    expect(new Set(ofNetwork(2)).size).toBe(3);
    const answers = askFromPorts(network.client, {
      protocol: 'tcp',
      host: network.virtualAddress,
      port: CONTENT_PORT,
      firstPort: 20_095,
      ports: 20,
      rounds: 1,
    });
    const within = Object.entries(answers).filter(([port]) => Number(port) < 20_100);
    expect(within.map(([, [server]]) => server)).toEqual(new Array(5).fill('b2'));
    const beyond = Object.entries(answers).filter(([port]) => Number(port) >= 20_100);
    expect(new Set(beyond.map(([, [server]]) => server)).size).toBe(3);
  });

  it('follows rules by the first bytes of a datagram', () => {
    const { client, virtualAddress: host } = network;
    const ports = { firstPort: 21_000, ports: 40, rounds: 2 };
    const answers = askFromPorts(client, { protocol: 'udp', host, port: 53, ...ports });
    expect(new Set(Object.values(answers).flat())).toEqual(new Set(['b2']));
    // Another name meets no rule. dig has its ports from elsewhere: none is one of those above.
    const found = dig(client, host, new Array<string>(30).fill('one.lab'));
    const others = new Set(found.map((each) => each.answers[0]));
    expect(others).toEqual(new Set(['192.0.2.1', '192.0.2.2', '192.0.2.3']));
  });

  it.each([
    ['full', FULL_PORT, BACKEND_LIMIT * WEIGHTS.length],
    ['small', SMALL_PORT, SERVICE_LIMIT],
  ])('holds the limit of connections: %s', async (service, port, limit) => {
    const load = new HttpLoad(network.client, {
      host: network.virtualAddress,
      port,
      connections: limit + 10,
      pauseMs: 50,
      intervalMs: 100,
    });
    await waitUntil('as many are open as may be', () => (load.latest?.open ?? 0) >= limit);
    await sleep(1500);
    const { open, connectErrors, brokenConnections } = load.latest!;
    const views = Object.values(await viewBackends(weir)).filter(
      (each) => each.service === service,
    );
    const counts = views.map(({ connections }) => connections.open);
    print('schedulers', { service, limit, open, counts, connectErrors });
    expect(open).toBeGreaterThanOrEqual(limit);
    expect(open).toBeLessThanOrEqual(limit + AT_THE_SAME_MOMENT);
    expect(counts.reduce((a, b) => a + b)).toBe(open);
    if (service === 'full') expect(Math.min(...counts)).toBe(BACKEND_LIMIT);
    expect(connectErrors).toBeGreaterThan(10);
    expect(brokenConnections).toBe(0);
    const report = await load.stop();
    expect(Object.keys(report.failures)).toEqual(['connect ECONNREFUSED']);
  });

  it('accounts for every packet', async () => {
    await expectBalanced(weir);
  });
});
