// Servers that fail in front of a real client: killed, hung, black-holed, flapping, most of them, all of
// them. What must hold: no new connection goes to a dead server once interval × fall is over, one that
// comes back is used again without anybody's doing, and when there is nobody left a client is told so at
// once. Times are printed; what is asserted is far above them, for the machine may be busy.

import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BackendView } from '../../src/control/backend-view.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, HttpLoad } from '../../src/lab/clients.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { type LabServer, startNodeWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { sleep } from '../support/killed-switch.ts';
import {
  blackHole,
  connectionsGiven,
  openAgain,
  untilBackend,
  untilState,
  viewBackends,
} from '../support/operated-switch.ts';
import { describeOnBestKind, print, switchConfiguration } from '../support/scenario.ts';

const SERVERS = 4;
const INTERVAL_MS = 500;
const FALL = 3;
/** Interval × fall, the timeout of the last check, a period of the master, and a busy machine. */
const DEAD_AFTER_MS = INTERVAL_MS * FALL + 500 + 1000 + 3000;
/** Services have ports of their own on the servers too: a client may use one port of its own for two of them. */
const WEB_PORT = 80;
const PANIC_PORT = 81;
const FALLBACK_PORT = 82;
const FLAPPING_PORT = 83;
const PORTS = { port: WEB_PORT, morePorts: [PANIC_PORT, FALLBACK_PORT, FLAPPING_PORT] };
const FLAPPING_FOR_MS = 20_000;

const HEALTH = {
  type: 'http',
  path: '/health',
  body: 'ok',
  interval: `${INTERVAL_MS}ms`,
  'fast-interval': '200ms',
  timeout: '400ms',
  rise: 2,
  fall: FALL,
  hold: '1s',
};
const FLAPPING_HEALTH = {
  type: 'tcp',
  interval: '100ms',
  'fast-interval': '100ms',
  timeout: '100ms',
  rise: 1,
  fall: 1,
  hold: '2s',
  'hold-max': '1m',
};
const SOON = { 'slow-start': '0s' };

describeOnBestKind('health', ['nft'], (kind) => {
  let network: LabNetwork;
  let servers: LabServer[];
  let weir: WeirProcess;

  function services() {
    const { virtualAddress: address } = network;
    const backends = network.servers.map(({ name, address }) => ({ name, address }));
    const common = { address, protocol: 'tcp', health: HEALTH, distribution: SOON };
    const last = (name: string, port: number, more: object) => ({ ...common, name, port, ...more });
    return [
      last('web', WEB_PORT, { 'panic-threshold': 0, backends }),
      last('panic', PANIC_PORT, { 'panic-threshold': 50, backends }),
      last('spare', FALLBACK_PORT, {
        'panic-threshold': 0,
        backends: backends.map((each, i) => ({ ...each, fallback: i === SERVERS - 1 })),
      }),
      last('flap', FLAPPING_PORT, {
        'panic-threshold': 0,
        health: FLAPPING_HEALTH,
        backends: backends.slice(0, 2),
      }),
    ];
  }

  beforeAll(async () => {
    network = new LabNetwork({ backends: SERVERS, management: true });
    servers = await Promise.all(network.servers.map((host) => startNodeWebServer(host, PORTS)));
    const config = switchConfiguration(network, { kind, services: services() });
    weir = await WeirProcess.start(network.switchNamespace, config);
  });

  afterAll(() => cleanAll());

  const names = () => network.servers.map(({ name }) => `web/${name}`);
  const allUp = () => untilState(weir, names(), 'up');

  async function restart(index: number): Promise<void> {
    servers[index] = await startNodeWebServer(network.servers[index], PORTS);
  }

  /** The connections that each backend of a service has ever been given. */
  function totals(service: string): Promise<number[]> {
    return Promise.all(
      network.servers.map(({ name }) => connectionsGiven(weir, `${service}/${name}`)),
    );
  }

  /** Which servers answer so many new connections. */
  async function askMany(port: number, requests = 200) {
    const host = network.virtualAddress;
    const options = { host, port, mode: 'new', requests, connections: 8 } as const;
    return new HttpLoad(network.client, options).finished();
  }

  /** Up is what the health checks say; used is what is in force after the next flip. */
  const used = async (keys: string[]) => {
    for (const key of keys)
      await untilBackend(weir, key, 'used', ({ weight }) => weight.share > 0.2);
  };

  it('finds all servers alive and uses them', async () => {
    await allUp();
    await used(names());
    const report = await askMany(WEB_PORT);
    expect(report.failures).toEqual({});
    expect(Object.keys(report.perServer).sort()).toEqual(network.servers.map(({ name }) => name));
  });

  /** A server fails under load. Finds out when the last new connection was given to it. */
  async function failing(index: number, fail: () => void): Promise<void> {
    const key = `web/${network.servers[index].name}`;
    const options = { host: network.virtualAddress, mode: 'new', connections: 8 } as const;
    const load = new HttpLoad(network.client, { ...options, pauseMs: 20, timeoutMs: 1000 });
    await untilBackend(weir, key, 'used', (view) => view.connections.total > 0);
    await sleep(1000);
    const failedAt = performance.now();
    fail();
    let last = await connectionsGiven(weir, key);
    let lastMs = 0;
    let downMs: number | undefined;
    while (performance.now() - failedAt < DEAD_AFTER_MS + 3000) {
      const view = (await viewBackends(weir))[key];
      const ms = Math.round(performance.now() - failedAt);
      const given = await connectionsGiven(weir, key);
      if (given > last) lastMs = ms;
      last = given;
      if (view.state === 'down') downMs ??= ms;
      await sleep(50);
    }
    const { requests, failures } = await load.stop();
    const { health } = (await viewBackends(weir))[key];
    print('health', { failed: key, downMs, lastConnectionMs: lastMs, requests, failures, health });
    expect(downMs).toBeLessThan(DEAD_AFTER_MS);
    expect(lastMs).toBeLessThan(DEAD_AFTER_MS);
    const report = await askMany(WEB_PORT);
    expect(report.failures).toEqual({});
    expect(report.perServer).not.toHaveProperty(network.servers[index].name);
  }

  async function expectBack(index: number): Promise<void> {
    const { name } = network.servers[index];
    await untilBackend(weir, `web/${name}`, 'up again', ({ state }) => state === 'up');
    await used([`web/${name}`]);
    const report = await askMany(WEB_PORT);
    expect(report.failures).toEqual({});
    expect(report.perServer[name]).toBeGreaterThan(0);
  }

  it('gives a killed server no connection, and uses it again when it is back', async () => {
    await failing(0, () => servers[0].process.child.kill('SIGKILL'));
    await restart(0);
    await expectBack(0);
  });

  it('gives a hung server no connection, and uses it again when it goes on', async () => {
    await failing(1, () => process.kill(servers[1].process.pid, 'SIGSTOP'));
    process.kill(servers[1].process.pid, 'SIGCONT');
    await expectBack(1);
  });

  it('gives a server that nothing reaches no connection, and uses it when it can', async () => {
    await failing(2, () => blackHole(network.servers[2]));
    openAgain(network.servers[2]);
    await expectBack(2);
  });

  it('does not follow a server that flaps once a second', async () => {
    await allUp();
    const [flapping] = network.servers;
    const load = new HttpLoad(network.client, {
      host: network.virtualAddress,
      port: FLAPPING_PORT,
      mode: 'new',
      connections: 2,
      pauseMs: 20,
      timeoutMs: 1000,
    });
    let isOpen = true;
    const flap = setInterval(() => {
      if (isOpen) blackHole(flapping, `tcp dport ${FLAPPING_PORT} reject with tcp reset`);
      else openAgain(flapping);
      isOpen = !isOpen;
    }, 500);
    const changes: string[] = [];
    let heldTotal: number | undefined;
    let givenWhileHeld = 0;
    const end = performance.now() + FLAPPING_FOR_MS;
    let view = (await viewBackends(weir))[`flap/${flapping.name}`];
    while (performance.now() < end) {
      view = (await viewBackends(weir))[`flap/${flapping.name}`];
      if (changes.at(-1) !== view.state) changes.push(view.state);
      // Two periods of the master after it went down the last weight is in force everywhere.
      const isHeld = view.health!.heldForMs !== null && view.health!.sinceMs > 2500;
      const given = await connectionsGiven(weir, `flap/${flapping.name}`);
      if (isHeld) givenWhileHeld += given - (heldTotal ?? given);
      heldTotal = isHeld ? given : undefined;
      await sleep(50);
    }
    clearInterval(flap);
    openAgain(flapping);
    const report = await load.stop();
    print('health', { flapping: changes, health: view.health, failures: report.failures });
    expect(givenWhileHeld).toBe(0);
    // Unhindered it would be forty.
    expect(changes.length).toBeLessThanOrEqual(14);
    expect(view.health!.flaps).toBeGreaterThan(0);
    await untilBackend(weir, `flap/${flapping.name}`, 'up', ({ state }) => state === 'up', 90_000);
  });

  it('uses all, dead or not, when more than half are dead', async () => {
    await allUp();
    for (const index of [0, 1, 2]) servers[index].process.child.kill('SIGKILL');
    await untilState(weir, ['panic/b1', 'panic/b2', 'panic/b3'], 'down');
    const isPanic = ({ reasons }: BackendView) => reasons.some(({ code }) => code === 'panic');
    await untilBackend(weir, 'panic/b1', 'used in panic', isPanic);
    print('health', { panic: (await viewBackends(weir))['panic/b1'].why });
    const before = await totals('panic');
    const report = await askMany(PANIC_PORT, 100);
    const given = (await totals('panic')).map((total, index) => total - before[index]);
    print('health', { panic: given, perServer: report.perServer, failures: report.failures });
    for (const count of given) expect(count).toBeGreaterThan(0);
    // Without a panic threshold it is the one that is left.
    await untilBackend(weir, 'web/b4', 'the only one', ({ weight }) => weight.share === 1);
    const web = await askMany(WEB_PORT);
    expect(web.failures).toEqual({});
    expect(Object.keys(web.perServer)).toEqual(['b4']);
  });

  it('uses the fallback only when no other is alive', async () => {
    await untilBackend(weir, 'spare/b4', 'used', ({ weight }) => weight.share === 1);
    expect(Object.keys((await askMany(FALLBACK_PORT)).perServer)).toEqual(['b4']);
    await restart(0);
    await untilBackend(weir, 'spare/b1', 'the only one', ({ weight }) => weight.share === 1);
    const report = await askMany(FALLBACK_PORT);
    expect(report.failures).toEqual({});
    expect(Object.keys(report.perServer)).toEqual(['b1']);
  });

  it('refuses at once when all are dead, and recovers alone', async () => {
    for (const { process } of servers) process.child.kill('SIGKILL');
    await untilState(weir, names(), 'down');
    await untilBackend(weir, 'web/b4', 'unused', ({ weight }) => weight.share === 0);
    const answer = curl(network.client, `http://${network.virtualAddress}/`);
    print('health', { allDead: answer.error, seconds: answer.seconds });
    // 7: refused. It is told so, and does not have to wait until it gives up.
    expect(answer.exitCode).toBe(7);
    expect(answer.seconds).toBeLessThan(2);
    await Promise.all(servers.map((_, index) => restart(index)));
    await allUp();
    await used(names());
    const report = await askMany(WEB_PORT);
    expect(report.failures).toEqual({});
    expect(Object.keys(report.perServer).length).toBe(SERVERS);
  });
});
