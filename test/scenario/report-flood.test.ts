// An agent with the right key that sends ten thousand reports in a second: it gets no more of them in
// than its limit, the rest is counted under one reason, and clients do not notice: the latency of
// requests through the switch is taken before and during it, in the same run. Sender, clients and switch
// share the CPUs of this machine, so the same flood is also sent to where nobody listens: what it costs
// then is not the switch's.

import { readFileSync } from 'node:fs';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll, makeScratchFolder } from '../../src/lab/clean-up.ts';
import { type LabProcess, start, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { OpenLoad } from '../../src/lab/open-load-client.ts';
import { failuresOf, percentile, within } from '../../src/lab/open-load-samples.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { writeKeyFile } from '../../src/lab/work-servers.ts';
import { builtModule } from '../support/built-module.ts';
import { sleep } from '../support/killed-switch.ts';
import { viewBackends } from '../support/operated-switch.ts';
import type { ReportFlooderOptions } from '../support/report-flooder.ts';
import { describeOnBestKind, print, switchConfiguration } from '../support/scenario.ts';

const RATE = 10_000;
const LIMIT = 20;
const PORT = 7360;
const PHASE_MS = 6000;
const REQUESTS_PER_SECOND = 200;

describeOnBestKind('a flood of reports', ['nginx'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;
  let keyFile: string;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, management: true });
    await Promise.all(network.servers.map((host) => startNginx(host, { port: 8080 })));
    keyFile = writeKeyFile('b1');
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const { virtualAddress: address } = network;
    const distribution = { algorithm: 'even-load', blackout: '0s' };
    const load = { source: 'agent' };
    const web = { name: 'web', address, protocol: 'tcp', port: 80, distribution, load, backends };
    const config = {
      ...switchConfiguration(network, { kind, services: [web] }),
      'resource-manager': {
        listen: { address: network.managementAddress, port: PORT },
        'reports-per-second': LIMIT,
        agents: [{ name: 'b1', 'key-file': keyFile, backends: ['web/b1'] }],
      },
    };
    weir = await WeirProcess.start(network.switchNamespace, config);
  });

  afterAll(() => cleanAll());

  async function startFlood(address: string): Promise<LabProcess> {
    const options: ReportFlooderOptions = {
      address,
      port: PORT,
      agent: 'b1',
      key: readFileSync(keyFile, 'utf8').trim(),
      backend: 'web/b1',
      rate: RATE,
    };
    const program = fileURLToPath(builtModule('test/support/report-flooder.ts'));
    const process = start(execPath, [program, JSON.stringify(options)], {
      namespace: network.servers[0].namespace,
      logFile: `${makeScratchFolder('flood')}/log`,
    });
    await waitUntil('the flood has begun', () => process.log() !== '');
    return process;
  }

  it('is limited and counted, and clients do not notice', async () => {
    const load = new OpenLoad(network.client, {
      host: network.virtualAddress,
      rate: REQUESTS_PER_SECOND,
    });
    await sleep(1500);
    const begunAt = Date.now();
    await sleep(PHASE_MS);
    const elsewhereAt = Date.now();
    const elsewhere = await startFlood(network.servers[1].address);
    await sleep(PHASE_MS);
    await elsewhere.stop();
    const restartsBefore = (await weir.status()).processes.control.restarts;
    const floodAt = Date.now();
    const flood = await startFlood(network.managementAddress!);
    await sleep(PHASE_MS);
    const floodEnd = Date.now();
    const during = (await viewBackends(weir))['web/b1'];
    const { accepted, rejected } = (await weir.api('GET', '/v1/load')).body.manager;
    await flood.stop();
    const { sent, seconds } = JSON.parse(flood.log().trim().split('\n').at(-1)!);
    const samples = await load.stop();
    const before = within(samples, begunAt, elsewhereAt);
    const flooded = within(samples, floodAt, floodEnd);
    const figures = (part: typeof samples) => ({
      requests: part.length,
      p50: percentile(part, 0.5),
      p99: percentile(part, 0.99),
      failures: failuresOf(part),
    });
    print('report-flood', {
      sent,
      perSecond: Math.round(sent / seconds),
      accepted,
      rejected,
      before: figures(before),
      sentElsewhere: figures(within(samples, elsewhereAt, floodAt)),
      during: figures(flooded),
    });
    expect(sent / seconds).toBeGreaterThan(RATE / 4);
    expect(failuresOf(samples)).toEqual({});
    // A latency that a busy machine has now and then is no fault: one that all requests have is.
    expect(percentile(flooded, 0.5)).toBeLessThan(percentile(before, 0.5) * 5 + 5);
    expect(percentile(flooded, 0.99)).toBeLessThan(percentile(before, 0.99) * 5 + 50);
    // What is over the limit is counted, and what the kernel could not keep for control never came.
    const total: number = Object.values<number>(rejected).reduce((a, b) => a + b, 0);
    expect(accepted).toBeLessThan((seconds + 2) * LIMIT * 1.5);
    expect(accepted).toBeGreaterThan(seconds * LIMIT * 0.3);
    expect(total).toBeGreaterThan(accepted * 10);
    expect(total + accepted).toBeLessThanOrEqual(sent);
    expect(during.report).not.toBeNull();
    expect(during.report!.ageMs).toBeLessThan(2000);
    expect((await weir.status()).processes.control.restarts).toBe(restartsBefore);
    expect(weir.log().split('\n').length).toBeLessThan(100);
  });
});
