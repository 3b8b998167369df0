// A new configuration under load, by `weir reload` and by SIGHUP: servers are added, weighted anew and
// removed while connections are busy, and no connection breaks or moves. New connections follow the
// new weights at once; those to a removed server go on to their end. A file that is wrong, or that
// changes what is fixed at start, changes nothing.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { HttpLoad } from '../../src/lab/clients.ts';
import { type CommandResult, execute, topFolder, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { rateOver, sleep, underLoad } from '../support/killed-switch.ts';
import {
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const KEPT_CONNECTIONS = 100;
/** Requests come all the time, and there is time left for those of new connections. */
const PAUSE_MS = 10;
const NEW_CONNECTIONS = 2000;
const ALLOWED_DEVIATION = 0.01;
const EXIT_REFUSED = 2;

/** Weights by server; one without a weight is not configured. */
type Weights = Record<string, number>;

const AT_START: Weights = { b1: 5, b2: 3, b3: 2 };

describeOnBestKind('reload', [], (kind) => {
  const scenario = `reload on ${kind}`;
  let network: LabNetwork;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 4, queues: 2 });
    await Promise.all(network.servers.map((host) => startWebServer(host, { port: 8080 })));
    weir = await WeirProcess.start(network.switchNamespace, configuration(AT_START));
  });

  afterAll(() => cleanAll());

  // biome-ignore lint/suspicious/noExplicitAny: parts of it are spoiled on purpose.
  function configuration(weights: Weights): any {
    const backends = network.servers
      .filter(({ name }) => name in weights)
      .map(({ name, address }) => ({ name, address, port: 8080, weight: weights[name] }));
    const address = network.virtualAddress;
    // A server that is added, or weighted more, would get its share only by and by.
    const distribution = { 'slow-start': 0 };
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, distribution, backends }];
    return switchConfiguration(network, { kind, processors: 2, services });
  }

  const configurationStatus = async () => (await weir.status()).configuration;

  function command(): CommandResult {
    const program = join(topFolder(), 'bin', 'weir');
    const args = [program, 'reload', '--socket', weir.socketPath];
    return execute(process.execPath, args, { mayFail: true });
  }

  async function reload(weights: Weights): Promise<string> {
    const { generation } = await configurationStatus();
    weir.writeConfig(configuration(weights));
    const { status, stdout, stderr } = command();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`configuration ${generation + 1} is in force`);
    return stdout;
  }

  async function reloadBySignal(weights: Weights): Promise<void> {
    const { generation } = await configurationStatus();
    weir.writeConfig(configuration(weights));
    weir.kill('SIGHUP', 'supervisor');
    await waitUntil(
      'the new configuration is in force',
      async () => (await configurationStatus()).generation === generation + 1,
      5000,
      () => weir.log(),
    );
  }

  const busy = (action: (load: HttpLoad) => Promise<void>) =>
    underLoad(network, KEPT_CONNECTIONS, action, PAUSE_MS);

  /** New connections go by these weights. @returns each server's share */
  async function expectShares(weights: Weights): Promise<Record<string, number>> {
    const load = { host: network.virtualAddress, connections: 20, requests: NEW_CONNECTIONS };
    const report = await new HttpLoad(network.client, { ...load, mode: 'new' }).finished();
    expect(report).toMatchObject({ requests: NEW_CONNECTIONS, failures: {}, brokenConnections: 0 });
    const sum = Object.values(weights).reduce((a, b) => a + b);
    const shares: Record<string, number> = {};
    for (const { name } of network.servers) {
      shares[name] = (report.perServer[name] ?? 0) / NEW_CONNECTIONS;
      const expected = (weights[name] ?? 0) / sum;
      expect(Math.abs(shares[name] - expected), name).toBeLessThan(ALLOWED_DEVIATION);
      if (expected === 0) expect(shares[name], name).toBe(0);
    }
    return shares;
  }

  it('adds, re-weights and removes servers, and no connection notices', async () => {
    const shares: Record<string, object> = {};
    const answeredByRemoved: number[] = [];
    const report = await busy(async (load) => {
      const answers = (name: string) => load.latest!.perServer[name] ?? 0;
      shares.before = await expectShares(AT_START);

      const four = { ...AT_START, b4: 10 };
      expect(await reload(four)).toMatch(/backend b4.*added/);
      shares.added = await expectShares(four);

      const weighted = { b1: 1, b2: 6, b3: 2, b4: 1 };
      await reloadBySignal(weighted);
      shares.weighted = await expectShares(weighted);

      const { b2: _, ...three } = weighted;
      expect(await reload(three)).toMatch(/backend b2.*removed/);
      shares.removed = await expectShares(three);
      // The removed server keeps the connections that it has.
      await sleep(200);
      answeredByRemoved.push(answers('b2'));
      await sleep(500);
      answeredByRemoved.push(answers('b2'));

      const none = { ...three, b4: 0 };
      await reloadBySignal(none);
      shares.drained = await expectShares(none);
    });
    expect(answeredByRemoved[1]).toBeGreaterThan(answeredByRemoved[0]);
    const { requests, longestSilenceMs } = report;
    print(scenario, { shares, requests, longestSilenceMs, answeredByRemoved });
    await reload(AT_START);
  });

  /** Tries a file in both ways; nothing may come of it but `texts` on the terminal. */
  async function expectRefused(file: object, texts: (string | RegExp)[]): Promise<void> {
    const before = await configurationStatus();
    const rates: number[] = [];
    await busy(async (load) => {
      rates.push(await rateOver(load, 400));
      weir.writeConfig(file);
      const { status, stdout, stderr } = command();
      expect({ status, stdout }).toEqual({ status: EXIT_REFUSED, stdout: '' });
      for (const text of texts) expect(stderr).toMatch(text);
      expect(stderr).toContain(`refused: configuration ${before.generation} stays in force`);
      weir.kill('SIGHUP', 'supervisor');
      const refused = before.reloadsRefused + 2;
      await waitUntil('the signal was refused, too', async () => {
        return (await configurationStatus()).reloadsRefused === refused;
      });
      rates.push(await rateOver(load, 400));
      await expectShares(AT_START);
    });
    const { generation, appliedAt } = await configurationStatus();
    expect({ generation, appliedAt }).toEqual({
      generation: before.generation,
      appliedAt: before.appliedAt,
    });
    print(scenario, { refused: texts.map(String), rates });
  }

  it('shows all faults of an invalid file, and goes on by the old one', async () => {
    const file = configuration(AT_START);
    file.services[0].port = 99_999;
    file.services[0].backends[1].wieght = 7;
    file.limitz = {};
    await expectRefused(file, [
      /weir\.yaml:\d+:\d+: error: services\[0\]\.port/,
      /weir\.yaml:\d+:\d+: error: services\[0\]\.backends\[1\].*wieght[\s\S]*hint.*weight/,
      /weir\.yaml:\d+:\d+: error: .*limitz[\s\S]*hint.*limits/,
    ]);
  });

  it('refuses what is fixed at start, and says what', async () => {
    const file = configuration({ b4: 1 });
    file.interfaces[0].queues = 1;
    file.processors.switching = 1;
    await expectRefused(file, [
      /interfaces\[0\]\.queues.*processors\.switching cannot change while weir runs: restart weir/,
    ]);
  });

  it('refuses a file that is not there', async () => {
    const { generation } = await configurationStatus();
    execute('mv', [weir.configFile, `${weir.configFile}.away`]);
    const { status, stderr } = command();
    execute('mv', [`${weir.configFile}.away`, weir.configFile]);
    expect(status).toBe(EXIT_REFUSED);
    expect(stderr).toMatch(/cannot be read: ENOENT/);
    expect((await configurationStatus()).generation).toBe(generation);
  });

  it('has accounted for every packet', async () => {
    const { configuration: running, services } = await expectBalanced(weir);
    print(scenario, { running, connectionsTotal: services[0].connectionsTotal });
    expect(await weir.stop()).toBe(0);
  });
});
