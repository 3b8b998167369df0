// Load feedback with everything real: three Node servers whose requests cost CPU time, each with a quota of
// its own, the library for applications in them and a weir agent beside them; one of them is loaded by
// another program as well. In one run, with the same requests, it is loaded under fixed weights first and
// with feedback then: requests must move away from it within seconds and come back when it is alone again,
// and the slowest requests must be faster than with fixed weights.
// With WEIR_RECORD=FILE the whole run is written down.

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { BackendView } from '../../src/control/backend-view.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { OpenLoad } from '../../src/lab/open-load-client.ts';
import {
  failuresOf,
  percentile,
  type RequestSample,
  shares,
  within,
} from '../../src/lab/open-load-samples.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { WorkServer, writeKeyFile } from '../../src/lab/work-servers.ts';
import { sleep } from '../support/killed-switch.ts';
import { FeedbackRecord } from '../support/load-feedback.ts';
import { untilBackend, viewBackends } from '../support/operated-switch.ts';
import { describeOnBestKind, print, switchConfiguration } from '../support/scenario.ts';

const AGENT_PORT = 7360;
const PORT = 8080;
/** Of one CPU. A request costs about 4 ms of it, with what Node does around it. */
const CPU_SHARE = 0.2;
const WORK_MS = 2;
const REQUESTS_PER_SECOND = 80;
/** What the other program wants of its server. Without feedback that is more than the server has. */
const HOG_PART = 0.7;
const LOADED_MS = process.env.WEIR_RECORD ? 20_000 : 13_000;
/** The first seconds, in which feedback finds out what has happened, belong to neither side's best. */
const SETTLED_AFTER_MS = 7000;
const TIMEOUT_MS = 20_000;
/** A third is what it has when it is like the others. */
const RELIEVED_SHARE = 0.25;
const FEEDBACK = { algorithm: 'even-load', blackout: '2s', 'slow-start': '2s' };

interface Time {
  fromMs: number;
  toMs: number;
}

describeOnBestKind('load feedback', [], (kind) => {
  let network: LabNetwork;
  let servers: WorkServer[];
  let weir: WeirProcess;
  let load: OpenLoad;
  let record: FeedbackRecord;

  function configuration(keyFiles: string[], distribution: object): object {
    const { virtualAddress: address } = network;
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: PORT }));
    const source = { source: 'agent' };
    const web = { name: 'web', address, protocol: 'tcp', port: 80, distribution, load: source };
    return {
      ...switchConfiguration(network, { kind, services: [{ ...web, backends }] }),
      'resource-manager': {
        listen: { address: network.managementAddress, port: AGENT_PORT },
        agents: network.servers.map(({ name }, i) => ({
          name,
          'key-file': keyFiles[i],
          backends: [`web/${name}`],
        })),
      },
    };
  }

  let keyFiles: string[];

  beforeAll(async () => {
    network = new LabNetwork({ management: true });
    keyFiles = network.servers.map(({ name }) => writeKeyFile(name));
    const config = configuration(keyFiles, { algorithm: 'static' });
    weir = await WeirProcess.start(network.switchNamespace, config);
    const reportTo = `${network.managementAddress}:${AGENT_PORT}`;
    servers = await Promise.all(
      network.servers.map((host, i) => {
        const agent = { backend: `web/${host.name}`, reportTo, keyFile: keyFiles[i] };
        return WorkServer.start(host, { workMs: WORK_MS, cpuShare: CPU_SHARE, port: PORT, agent });
      }),
    );
    const options = { host: network.virtualAddress, rate: REQUESTS_PER_SECOND };
    load = new OpenLoad(network.client, { ...options, timeoutMs: TIMEOUT_MS });
    record = new FeedbackRecord(weir, load, ['b1', 'b2', 'b3']);
  });

  afterEach((context) => {
    if (context.task.result?.state !== 'fail') return;
    process.stdout.write(`${weir.logEnd(40)}\n${servers[0].agent?.log()}\n`);
  });

  afterAll(() => {
    record.stop();
    cleanAll();
  });

  const part = (fromMs: number, toMs: number) => within(load.samples, fromMs, toMs);
  const figures = (samples: readonly RequestSample[]) => ({
    requests: samples.length,
    medianMs: Math.round(percentile(samples, 0.5)),
    p99Ms: Math.round(percentile(samples, 0.99)),
    failures: failuresOf(samples),
    shares: shares(samples, ['b1', 'b2', 'b3']),
  });

  /** The first server is loaded for a while by something else. @returns when */
  async function loadTheFirst(): Promise<Time> {
    await servers[0].startHog(HOG_PART);
    record.note(`another program on b1 wants ${HOG_PART * 100} % of it`);
    const fromMs = Date.now();
    await sleep(LOADED_MS);
    await servers[0].stopHogs();
    record.note('the other program has ended');
    return { fromMs, toMs: Date.now() };
  }

  /** Waits until what has piled up is gone. Who still waits for an answer is not among the samples. */
  async function untilCalm(): Promise<void> {
    const isCalm = (): boolean => {
      const now = Date.now();
      const recent = part(now - 3000, now - 1000);
      const expected = 2 * REQUESTS_PER_SECOND * 0.85;
      return recent.length > expected && percentile(recent, 0.9) < 500;
    };
    await waitUntil('requests are fast', isCalm, 60_000);
  }

  const view = async (name: string) => (await viewBackends(weir))[`web/${name}`];

  let fixed: Time;

  it('hears from every agent', async () => {
    for (const { name } of network.servers) {
      const hasReport = (view: { report: unknown }) => view.report !== null;
      await untilBackend(weir, `web/${name}`, 'reported', hasReport);
    }
    const views = await viewBackends(weir);
    for (const { name } of network.servers) {
      const { report } = views[`web/${name}`];
      expect(report).toMatchObject({ source: 'agent', identity: name });
      expect(report!.figures.cpuUtilization).toBeGreaterThan(0);
    }
  });

  it('with fixed weights a loaded server keeps its share, and its requests pile up', async () => {
    record.phase = 'fixed';
    await untilCalm();
    fixed = await loadTheFirst();
    await untilCalm();
    const found = figures(part(fixed.fromMs, fixed.toMs));
    print('load-feedback', { fixedWeights: found });
    for (const share of Object.values(found.shares)) expect(share).toBeGreaterThan(0.25);
  });

  it('with feedback requests move away from it, come back, and are faster', async () => {
    weir.writeConfig(configuration(keyFiles, FEEDBACK));
    expect((await weir.api('POST', '/v1/reload')).status).toBe(200);
    record.phase = 'feedback';
    record.note('load feedback is on');
    // Alone, all three are alike, and so are their shares.
    await sleep(4000);
    await untilBackend(
      weir,
      'web/b1',
      'like the others',
      ({ weight }) => weight.share > 0.28,
      60_000,
    );
    await untilCalm();

    const loading = loadTheFirst();
    const isRelieved = ({ weight }: BackendView) => weight.share < RELIEVED_SHARE;
    const movedMs = await untilBackend(weir, 'web/b1', 'relieved', isRelieved, LOADED_MS);
    print('load-feedback', { movedAwayAfterMs: movedMs, why: (await view('b1')).why });
    const loaded = await loading;
    const lowest = (await view('b1')).weight.share;
    const isBack = ({ weight }: BackendView) => weight.share > 0.28;
    const backMs = await untilBackend(weir, 'web/b1', 'used again', isBack, 60_000);
    print('load-feedback', { shareWhileLoaded: lowest, backAfterMs: backMs });
    await sleep(3000);
    await load.stop();
    record.stop();
    record.write();

    const of = ({ fromMs, toMs }: Time) => figures(part(fromMs + SETTLED_AFTER_MS, toMs));
    const feedback = of(loaded);
    const withoutFeedback = of(fixed);
    print('load-feedback', { loaded: { feedback, withoutFeedback } });
    const p99Ms = { feedback: feedback.p99Ms, fixedWeights: withoutFeedback.p99Ms };
    print('load-feedback', { p99Ms });
    expect(feedback.failures).toEqual({});
    expect(feedback.shares.b1).toBeLessThan(RELIEVED_SHARE);
    expect(feedback.p99Ms).toBeLessThan(withoutFeedback.p99Ms);
  });
});
