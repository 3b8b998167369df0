// Every source of load end to end, each against its real counterpart on a server of its own: HAProxy's
// agent-check against an agent as people write them, ORCA against a gRPC server, Debian's
// prometheus-node-exporter, and the weir agent with the right key and with a wrong one. What they say must
// stand in the view of their backend, and become its weight.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { BackendView } from '../../src/control/backend-view.ts';
import type { LoadStatistics } from '../../src/control/load-sources.ts';
import { cleanAll, makeScratchFolder } from '../../src/lab/clean-up.ts';
import { findProgram, start, topFolder, waitUntil } from '../../src/lab/command.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { writeKeyFile } from '../../src/lab/work-servers.ts';
import { builtModule } from '../support/built-module.ts';
import type { LoadCounterpartOptions } from '../support/load-counterpart.ts';
import { untilBackend, viewBackends } from '../support/operated-switch.ts';
import { describeOnBestKind, print, switchConfiguration } from '../support/scenario.ts';

const AGENT_PORT = 7360;
const SOURCE_PORT = 9000;
const EXPORTER = 'prometheus-node-exporter';

describeOnBestKind('load sources', [EXPORTER], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;
  const files: Record<string, string> = {};

  const says = (name: string, text: string): void => writeFileSync(files[name], `${text}\n`);
  const until = (name: string, what: string, isSo: (view: BackendView) => boolean) =>
    untilBackend(weir, `web/${name}`, what, isSo);

  /** Starts the other end of an asked source on a server. */
  async function startCounterpart(
    host: LabHost,
    role: LoadCounterpartOptions['role'],
    first: string,
  ) {
    const folder = makeScratchFolder(role);
    files[host.name] = join(folder, 'says');
    says(host.name, first);
    const options: LoadCounterpartOptions = { role, port: SOURCE_PORT, file: files[host.name] };
    const program = fileURLToPath(builtModule('test/support/load-counterpart.ts'));
    const process = start(execPath, [program, JSON.stringify(options)], {
      namespace: host.namespace,
      logFile: join(folder, 'log'),
    });
    await waitUntil(
      `${role} answers`,
      () => process.log() !== '',
      20_000,
      () => process.log(),
    );
  }

  function startAgent(host: LabHost, keyFile: string): void {
    const folder = makeScratchFolder('agent');
    const file = join(folder, 'agent.yaml');
    const reportTo = `${network.managementAddress}:${AGENT_PORT}`;
    const services = [{ backend: `web/${host.name}`, port: 8080 }];
    const agent = { name: host.name, 'key-file': keyFile, 'report-to': [reportTo], services };
    writeFileSync(file, stringify(agent));
    start(execPath, [join(topFolder(), 'bin', 'weir'), 'agent', '--config', file], {
      namespace: host.namespace,
      logFile: join(folder, 'log'),
    });
  }

  beforeAll(async () => {
    network = new LabNetwork({ backends: 5, management: true });
    const [b1, b2, b3, b4, b5] = network.servers;
    await startCounterpart(b1, 'agent-check', 'up ready 100%');
    await startCounterpart(b2, 'orca', '0.5');
    start(findProgram(EXPORTER)!, [`--web.listen-address=:${SOURCE_PORT}`], {
      namespace: b3.namespace,
      logFile: join(makeScratchFolder('exporter'), 'log'),
    });
    const keys = [b4, b5].map(({ name }) => writeKeyFile(name));
    startAgent(b4, keys[0]);
    startAgent(b5, writeKeyFile('wrong'));
    const sources = ['agent-check', 'orca', 'node-exporter', 'agent', 'agent'];
    const backends = network.servers.map(({ name, address }, n) => {
      const source = sources[n];
      const port = source === 'agent' ? {} : { port: SOURCE_PORT };
      return { name, address, port: 8080, load: { source, ...port } };
    });
    const { virtualAddress: address } = network;
    const distribution = { algorithm: 'even-load', blackout: '0s', 'slow-start': '0s' };
    const web = { name: 'web', address, protocol: 'tcp', port: 80, distribution, backends };
    weir = await WeirProcess.start(network.switchNamespace, {
      ...switchConfiguration(network, { kind, services: [web] }),
      'resource-manager': {
        listen: { address: network.managementAddress, port: AGENT_PORT },
        agents: [b4, b5].map(({ name }, n) => ({
          name,
          'key-file': keys[n],
          backends: [`web/${name}`],
        })),
      },
    });
  });

  afterAll(() => cleanAll());

  it('each says its figures, in its own words', async () => {
    const hasReport = ({ report }: BackendView) => report !== null;
    for (const name of ['b1', 'b2', 'b3', 'b4']) await until(name, 'reported', hasReport);
    const hasCpu = ({ report }: BackendView) => report?.figures.cpuUtilization !== undefined;
    // A rate needs two looks.
    await until('b3', 'with a rate', hasCpu);
    const views = await viewBackends(weir);
    const reports = Object.values(views).map(({ name, report }) => [name, report]);
    print('load-sources', { reports: Object.fromEntries(reports) });
    expect(views['web/b1'].report).toMatchObject({ source: 'agent-check' });
    expect(views['web/b2'].report).toMatchObject({
      source: 'orca',
      identity: `${network.servers[1].address}:${SOURCE_PORT}`,
      figures: { cpuUtilization: 0.5, requestsPerSecond: 10 },
    });
    expect(views['web/b3'].report!.figures.memoryUtilization).toBeGreaterThan(0);
    expect(views['web/b4'].report).toMatchObject({ source: 'agent', identity: 'b4' });
  });

  it('a wrong key gets nothing in, and is counted', async () => {
    const statistics = async () => (await weir.api('GET', '/v1/load')).body as LoadStatistics;
    await waitUntil('it is rejected', async () => {
      const { agents } = (await statistics()).manager;
      return (agents.find(({ name }) => name === 'b5')?.rejected['wrong-key'] ?? 0) > 2;
    });
    const { manager } = await statistics();
    expect(manager.agents.find(({ name }) => name === 'b5')!.accepted).toBe(0);
    expect(manager.agents.find(({ name }) => name === 'b4')!.accepted).toBeGreaterThan(0);
    expect((await viewBackends(weir))['web/b5']).toMatchObject({ report: null });
    expect(weir.logEnd(200).match(/b5.*(signature|key)/g)).toHaveLength(1);
  });

  it('what ORCA says moves the weight', async () => {
    // The others say what this machine is really like, which need not be idle.
    says('b2', '0.05');
    await until('b2', 'preferred', ({ weight }) => weight.now > 1.05);
    says('b2', '1.9');
    await until('b2', 'relieved', ({ weight }) => weight.now < 0.9);
    const { why } = (await viewBackends(weir))['web/b2'];
    expect(why).toMatch(/^orca .*CPU 190 %/);
  });

  it('what an agent-check asks for is done, and taken back by it alone', async () => {
    says('b1', 'weight:50%');
    await until('b1', 'halved', ({ report }) => report?.wish?.weightPercent === 50);
    says('b1', 'maxconn:7');
    await until('b1', 'limited', ({ connections }) => connections.limit === 7);
    // What is not mentioned stays.
    expect((await viewBackends(weir))['web/b1'].report!.wish!.weightPercent).toBe(50);
    says('b1', 'drain');
    await until(
      'b1',
      'draining',
      ({ state, weight }) => state === 'draining' && weight.published === 0,
    );
    const undrain = await weir.api('POST', '/v1/backends/web/b1/undrain', {});
    expect(undrain.status).toBe(409);
    says('b1', 'ready 100%');
    await until('b1', 'back', ({ state, weight }) => state === 'up' && weight.published > 0);
    says('b1', 'down #disk is full');
    await until('b1', 'down', ({ state, weight }) => state === 'down' && weight.published === 0);
    expect((await viewBackends(weir))['web/b1'].why).toContain('disk is full');
    says('b1', 'up');
    await until('b1', 'up', ({ state, weight }) => state === 'up' && weight.published > 0);
    says('b1', 'maint');
    await until('b1', 'in maintenance', ({ state }) => state === 'maintenance');
    says('b1', 'ready');
    await until('b1', 'ready', ({ state }) => state === 'up');
  });

  it('who falls silent is back at its configured weight', async () => {
    network.run(network.servers[1], 'pkill', ['-f', 'load-counterpart.js.*orca'], true);
    await until('b2', 'as configured', ({ weight }) => weight.now === 1);
  });
});
