// A backend is drained under load, over TCP and UDP, with the `weir` command as an operator would: from
// one flip of the tables on it gets no new connection, those that it has go on, the command tells how far
// it is, at the deadline what is left is kept or reset as was asked, and undrain takes it back.

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { BackendView } from '../../src/control/backend-view.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { HttpLoad } from '../../src/lab/clients.ts';
import { waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startDnsServer, startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { sleep } from '../support/killed-switch.ts';
import {
  connectionsGiven,
  runCommand,
  startCommand,
  UdpTalk,
  untilBackend,
  viewBackends,
} from '../support/operated-switch.ts';
import {
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const PROCESSORS = 2;
const CONNECTIONS = 30;
const DEADLINE_S = 4;
/** A flip comes at most a second after the command; the rest is for a busy machine. */
const FLIP_MS = 3000;

describeOnBestKind('drain', ['nginx', 'dnsmasq'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;
  let kept: HttpLoad;
  let fresh: HttpLoad;
  let talk: UdpTalk;
  /** Kept connections that a drain has ended. */
  let resets = 0;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 3, queues: PROCESSORS, management: true });
    await Promise.all(network.servers.map((host) => startNginx(host, { port: 8080 })));
    await Promise.all(network.servers.map((host) => startDnsServer(host)));
    const { virtualAddress: address } = network;
    const names = network.servers.map(({ name, address }) => ({ name, address }));
    const backends = names.map((each) => ({ ...each, port: 8080 }));
    const distribution = { 'slow-start': '0s' };
    const services = [
      { name: 'web', address, protocol: 'tcp', port: 80, distribution, backends },
      {
        name: 'dns',
        address,
        protocol: 'udp',
        port: 53,
        distribution,
        timeouts: { udp: '2s' },
        backends: names,
      },
    ];
    const config = switchConfiguration(network, { kind, processors: PROCESSORS, services });
    weir = await WeirProcess.start(network.switchNamespace, config);
    const host = network.virtualAddress;
    const often = { host, intervalMs: 100 };
    kept = new HttpLoad(network.client, { ...often, connections: CONNECTIONS, pauseMs: 50 });
    fresh = new HttpLoad(network.client, { ...often, mode: 'new', connections: 4, pauseMs: 20 });
    talk = new UdpTalk(network.client, {
      host,
      port: 53,
      conversations: CONNECTIONS,
      intervalMs: 200,
      newEveryMs: 20,
    });
    await waitUntil('all connections are open', () => kept.latest?.open === CONNECTIONS);
    await sleep(1000);
  });

  afterEach((context) => {
    if (context.task.result?.state === 'fail') process.stdout.write(weir.logEnd(40));
  });

  afterAll(() => cleanAll());

  /** Connections that stay and those that come and go are shared out together, so it is about a third. */
  function expectAboutAThird(connections: number): void {
    expect(connections).toBeGreaterThanOrEqual(CONNECTIONS / 3 - 4);
    expect(connections).toBeLessThanOrEqual(CONNECTIONS / 3 + 4);
  }

  const view = async (key: string): Promise<BackendView> => (await viewBackends(weir))[key];

  /** How many connections a backend is given in a while. */
  async function givenIn(key: string, milliseconds: number): Promise<number> {
    const before = await connectionsGiven(weir, key);
    await sleep(milliseconds);
    return (await connectionsGiven(weir, key)) - before;
  }

  /** From now on it is drained: gives the time in which it still got new connections. */
  async function untilNoneIsNew(key: string): Promise<number> {
    const begun = performance.now();
    let last = await connectionsGiven(weir, key);
    let lastMs = 0;
    while (performance.now() - begun < FLIP_MS + 500) {
      await sleep(50);
      const total = await connectionsGiven(weir, key);
      if (total > last) lastMs = Math.round(performance.now() - begun);
      last = total;
    }
    return lastMs;
  }

  it('gives no new connection after one flip, and lets the others go on', async () => {
    expect(await givenIn('web/b1', 1000)).toBeGreaterThan(0);
    const answer = runCommand(weir, ['drain', 'web/b1', '--json']);
    expect(answer.stderr).toBe('');
    const { drain } = JSON.parse(answer.stdout).backend as BackendView;
    expect(drain).toMatchObject({ state: 'draining', deadline: null });
    const lastNewMs = await untilNoneIsNew('web/b1');
    const answered = kept.latest!.perServer.b1;
    const { drain: later, state, weight, connections } = await view('web/b1');
    print('drain', { lastNewMs, drain: later?.text, waitingFor: later?.waitingFor });
    expect(lastNewMs).toBeLessThan(FLIP_MS);
    expect(state).toBe('draining');
    expect(weight.share).toBe(0);
    expectAboutAThird(later!.waitingFor.tcp);
    expect(later!.takesNewConnections).toBe(false);
    expect(connections.open).toBe(later!.waitingFor.tcp);
    await waitUntil('kept ones go on', () => kept.latest!.perServer.b1 > answered + 50);
    expect(kept.latest).toMatchObject({ brokenConnections: 0, open: CONNECTIONS });
  });

  it('comes back with undrain', async () => {
    const answer = runCommand(weir, ['undrain', 'web/b1']);
    expect(answer).toMatchObject({ status: 0, stderr: '' });
    await untilBackend(weir, 'web/b1', 'used', ({ weight }) => weight.share > 0.3);
    expect(await givenIn('web/b1', 1000)).toBeGreaterThan(0);
    expect((await view('web/b1')).drain).toBeNull();
  });

  it('resets what is left at the deadline, and not before', async () => {
    const begun = performance.now();
    const args = ['drain', 'web/b2', '--deadline', `${DEADLINE_S}s`, '--then', 'reset'];
    const command = startCommand(weir, [...args, '--wait', '--json']);
    await untilBackend(weir, 'web/b2', 'draining', ({ state }) => state === 'draining');
    expect(kept.latest).toMatchObject({ brokenConnections: 0 });
    await sleep(1500);
    const during = (await view('web/b2')).drain!;
    resets = during.waitingFor.tcp;
    expectAboutAThird(resets);
    expect(during.deadlineInMs).toBeGreaterThan(0);
    expect(during.deadlineInMs).toBeLessThan(DEADLINE_S * 1000 - 1000);
    expect(await command.exited, command.log()).toBe(0);
    const tookMs = Math.round(performance.now() - begun);
    const { state, drain, connections } = JSON.parse(command.log()) as BackendView;
    print('drain', { tookMs, text: drain?.text, failures: kept.latest!.failures });
    expect(tookMs).toBeGreaterThan(DEADLINE_S * 1000 - 500);
    expect(tookMs).toBeLessThan(DEADLINE_S * 1000 + 15_000);
    expect(state).toBe('drained');
    expect(drain).toMatchObject({ state: 'drained', progress: 1, waitingFor: { tcp: 0 } });
    expect(connections.open).toBe(0);
    // Each of them was told, connected again, and found another server.
    await waitUntil('all are open again', () => kept.latest?.open === CONNECTIONS);
    expect(kept.latest!.failures).toEqual({ ECONNRESET: resets });
    expect((await view('web/b2')).connections.open).toBe(0);
    expect(runCommand(weir, ['undrain', 'web/b2']).status).toBe(0);
  });

  it('keeps what is left at the deadline, if so asked', async () => {
    await untilBackend(weir, 'web/b2', 'used', ({ weight }) => weight.share > 0.3);
    const before = (await view('web/b3')).connections.open;
    expect(before).toBeGreaterThan(0);
    const args = ['drain', 'web/b3', '--deadline', '1s', '--then', 'keep'];
    expect(runCommand(weir, [...args, '--wait']).status).toBe(0);
    const { state, drain } = await view('web/b3');
    print('drain', { text: drain?.text, kept: drain?.kept });
    expect(state).toBe('drained');
    expect(drain!.kept).toBeGreaterThan(0);
    const answered = kept.latest!.perServer.b3;
    await waitUntil('kept ones go on', () => kept.latest!.perServer.b3 > answered + 50);
    expect(kept.latest!.failures).toEqual({ ECONNRESET: resets });
    expect(runCommand(weir, ['undrain', 'web/b3']).status).toBe(0);
  });

  it('drains UDP: conversations go on, new ones go elsewhere, the deadline ends the rest', async () => {
    const ports = talk.rows.filter((row) => row[2] === 'b1' && !row[3]).map((row) => row[1]);
    const ofB1 = new Set(ports);
    expect(ofB1.size).toBeGreaterThan(0);
    const args = ['drain', 'dns/b1', '--deadline', `${3 * DEADLINE_S}s`, '--then', 'reset'];
    expect(runCommand(weir, args).status).toBe(0);
    await untilNoneIsNew('dns/b1');
    // Those of one question are over when their timeout has passed.
    const isWaiting = ({ drain }: BackendView) => drain?.waitingFor.udp === ofB1.size;
    await untilBackend(weir, 'dns/b1', 'waiting for those that go on', isWaiting);
    const now = Date.now();
    const { drain } = await view('dns/b1');
    expect(drain).toMatchObject({ state: 'draining', waitingFor: { tcp: 0 } });
    await untilBackend(weir, 'dns/b1', 'drained', ({ state }) => state === 'drained');
    const drainedAt = Date.now();
    await sleep(2000);
    const goingOn = talk
      .since(now - 1000, false)
      .filter(([at, port]) => at < now && ofB1.has(port));
    expect(new Set(goingOn.map(([, , server]) => server))).toEqual(new Set(['b1']));
    const fromNewPorts = talk.since(now - 500, true);
    expect(fromNewPorts.length).toBeGreaterThan(20);
    expect(fromNewPorts.filter(([, , server]) => server === 'b1')).toEqual([]);
    const after = talk.since(drainedAt + 500, false).filter(([, port]) => ofB1.has(port));
    print('drain', { conversations: ofB1.size, after: after.length, text: drain?.text });
    expect(after.length).toBeGreaterThan(10);
    for (const [, , server] of after) expect(['b2', 'b3']).toContain(server);
    expect(talk.rows.filter(([, , server]) => server === '').length).toBeLessThan(20);
  });

  it('has lost nothing else', async () => {
    const reports = [await kept.stop(), await fresh.stop()];
    await talk.process.stop();
    expect(reports[0].failures).toEqual({ ECONNRESET: resets });
    expect(reports[1].failures).toEqual({});
    await expectBalanced(weir);
  });
});
