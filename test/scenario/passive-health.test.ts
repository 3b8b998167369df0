// Health without asking: what the packets of clients say about the servers. One server refuses connections,
// one swallows them; both must be taken out by what the switching processors count, without any check, and
// be used again when they are well.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { HttpLoad } from '../../src/lab/clients.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { type LabServer, startNodeWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { blackHole, openAgain, untilBackend } from '../support/operated-switch.ts';
import { describeOnBestKind, print, switchConfiguration } from '../support/scenario.ts';

const PASSIVE = { unanswered: 5, resets: 50, window: '2s', hold: '4s' };

describeOnBestKind('passive health', ['nft'], (kind) => {
  let network: LabNetwork;
  let servers: LabServer[];
  let weir: WeirProcess;
  let load: HttpLoad;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 4 });
    servers = await Promise.all(
      network.servers.map((host) => startNodeWebServer(host, { port: 8080 })),
    );
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const { virtualAddress: address } = network;
    const web = { name: 'web', address, protocol: 'tcp', port: 80, backends };
    const settings = { 'passive-health': PASSIVE, distribution: { 'slow-start': '0s' } };
    weir = await WeirProcess.start(
      network.switchNamespace,
      switchConfiguration(network, { kind, services: [{ ...web, ...settings }] }),
    );
    load = new HttpLoad(network.client, {
      host: address,
      port: 80,
      connections: 40,
      mode: 'new',
      pauseMs: 100,
    });
  });

  afterAll(() => cleanAll());

  const isDown = ({ state, weight }: { state: string; weight: { published: number } }) =>
    state === 'down' && weight.published === 0;
  const isUp = ({ state, weight }: { state: string; weight: { published: number } }) =>
    state === 'up' && weight.published > 0;

  it('takes out a server that refuses, and tries it again', async () => {
    await servers[0].process.stop();
    const downMs = await untilBackend(weir, 'web/b1', 'down', isDown);
    const { body } = await weir.api('GET', '/v1/backends/web/b1');
    print('passive-health', { refused: { downMs, why: body.why } });
    expect(body.why).toMatch(/refused|reset/);
    servers[0] = await startNodeWebServer(network.servers[0], { port: 8080 });
    await untilBackend(weir, 'web/b1', 'up', isUp);
  });

  it('takes out a server that nothing reaches, and tries it again', async () => {
    blackHole(network.servers[1]);
    const downMs = await untilBackend(weir, 'web/b2', 'down', isDown);
    const { body } = await weir.api('GET', '/v1/backends/web/b2');
    print('passive-health', { blackHoled: { downMs, why: body.why } });
    expect(body.why).toMatch(/answered/);
    openAgain(network.servers[1]);
    await untilBackend(weir, 'web/b2', 'up', isUp);
    const report = await load.stop();
    expect(report.perServer.b3).toBeGreaterThan(0);
  });
});
