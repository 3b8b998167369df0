// What becomes of the connections of a server that is found dead is the operator's choice: kept for when
// it comes back, reset so that their clients try again at once, or given to another server, which only
// makes sense where one request is as good as another, as in DNS over UDP.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { HttpLoad } from '../../src/lab/clients.ts';
import { waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { type LabServer, startDnsServer, startNodeWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { UdpTalk, untilState } from '../support/operated-switch.ts';
import { describeOnBestKind, print, switchConfiguration } from '../support/scenario.ts';

const CONNECTIONS = 12;
const KEEP_PORT = 80;
const RESET_PORT = 81;
const PORTS = { port: KEEP_PORT, morePorts: [RESET_PORT] };
const CHECK = { interval: '300ms', 'fast-interval': '200ms', timeout: '300ms', hold: '1s' };
const HTTP = { ...CHECK, type: 'http', path: '/health' };
const DNS = { ...CHECK, type: 'dns', query: 'server.lab', record: 'TXT' };

describeOnBestKind('connections of dead servers', ['dnsmasq'], (kind) => {
  let network: LabNetwork;
  let web: LabServer[];
  let dns: LabServer[];
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, management: true });
    web = await Promise.all(network.servers.map((host) => startNodeWebServer(host, PORTS)));
    dns = await Promise.all(network.servers.map((host) => startDnsServer(host)));
    const { virtualAddress: address } = network;
    const common = { address, protocol: 'tcp', 'panic-threshold': 0, health: HTTP };
    const names = network.servers.map(({ name, address }) => ({ name, address }));
    const services = [
      { ...common, name: 'keep', port: KEEP_PORT, 'on-down': 'keep', backends: names },
      { ...common, name: 'reset', port: RESET_PORT, 'on-down': 'reset', backends: names },
      {
        ...common,
        name: 'dns',
        protocol: 'udp',
        port: 53,
        health: DNS,
        'on-down': 'rebalance',
        backends: names,
      },
    ];
    const config = switchConfiguration(network, { kind, services });
    weir = await WeirProcess.start(network.switchNamespace, config);
  });

  afterAll(() => cleanAll());

  const load = (port: number) =>
    new HttpLoad(network.client, {
      host: network.virtualAddress,
      port,
      connections: CONNECTIONS,
      pauseMs: 50,
      timeoutMs: 60_000,
      intervalMs: 100,
    });

  it('are kept, reset or given to others, as the service says', async () => {
    const all = ['keep', 'reset', 'dns'].flatMap((name) => [`${name}/b1`, `${name}/b2`]);
    await untilState(weir, all, 'up');
    const kept = load(KEEP_PORT);
    const reset = load(RESET_PORT);
    const talk = new UdpTalk(network.client, {
      host: network.virtualAddress,
      port: 53,
      conversations: CONNECTIONS,
      intervalMs: 100,
    });
    const isBusy = (each: HttpLoad) => each.latest?.open === CONNECTIONS;
    await waitUntil('all connections are open', () => isBusy(kept) && isBusy(reset));
    await waitUntil('all conversations go on', () => talk.rows.length > CONNECTIONS * 5);
    const portsOfB1 = talk.rows.filter(([, , server]) => server === 'b1').map(([, port]) => port);
    expect(new Set(portsOfB1).size).toBeGreaterThan(0);

    process.kill(web[0].process.pid, 'SIGSTOP');
    process.kill(dns[0].process.pid, 'SIGSTOP');
    await untilState(weir, ['keep/b1', 'reset/b1', 'dns/b1'], 'down');
    await waitUntil('half of the connections are reset', () => {
      return (reset.latest?.failures.ECONNRESET ?? 0) >= CONNECTIONS / 2;
    });
    // Whoever was reset connects again, and finds the other server.
    await waitUntil('all have a connection again', () => isBusy(reset));
    const movedAt = Date.now() + 1000;
    await waitUntil('conversations go on elsewhere', () => {
      const rows = talk.since(movedAt, false).filter(([, port]) => portsOfB1.includes(port));
      return rows.length > 50 && rows.every(([, , server]) => server === 'b2');
    });
    expect(kept.latest).toMatchObject({ open: CONNECTIONS, brokenConnections: 0 });

    process.kill(web[0].process.pid, 'SIGCONT');
    process.kill(dns[0].process.pid, 'SIGCONT');
    await untilState(weir, ['keep/b1', 'reset/b1', 'dns/b1'], 'up');
    const before = kept.latest!.perServer.b1;
    await waitUntil('kept connections go on', () => kept.latest!.perServer.b1 > before + 50);
    const reports = { kept: await kept.stop(), reset: await reset.stop() };
    print('connections of dead servers', {
      kept: reports.kept.perServer,
      reset: reports.reset.failures,
    });
    expect(reports.kept).toMatchObject({ brokenConnections: 0, failures: {} });
    expect(reports.reset.failures).toEqual({ ECONNRESET: CONNECTIONS / 2 });
    await talk.process.stop();
  });
});
