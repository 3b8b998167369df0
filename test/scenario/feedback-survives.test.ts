// What operators have changed and what agents have said outlast the death of the control processor, with a
// resource manager as a program of its own on another host between agent and master: the control processor is
// killed in the middle of a drain, and the resource manager is killed and comes back. No request fails.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { BackendsView, BackendView } from '../../src/control/backend-view.ts';
import { cleanAll, makeScratchFolder } from '../../src/lab/clean-up.ts';
import { HttpLoad } from '../../src/lab/clients.ts';
import { type LabProcess, start, topFolder } from '../../src/lab/command.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { writeKeyFile } from '../../src/lab/work-servers.ts';
import { runCommand, untilBackend } from '../support/operated-switch.ts';
import { describeOnBestKind, switchConfiguration } from '../support/scenario.ts';

const FEED_PORT = 7361;
const AGENT_PORT = 7360;

describeOnBestKind('what must not be forgotten', ['nginx'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;
  let manager: LabProcess;
  let managerFile: string;

  const until = (name: string, what: string, isSo: (view: BackendView) => boolean) =>
    untilBackend(weir, `web/${name}`, what, isSo);

  function startWeirCommand(host: LabHost, name: string, file: string): LabProcess {
    const args = [join(topFolder(), 'bin', 'weir'), name, '--config', file];
    const logFile = join(makeScratchFolder(name), 'log');
    return start(execPath, args, { namespace: host.namespace, logFile });
  }

  function writeFile(name: string, content: object): string {
    const file = join(makeScratchFolder(name), `${name}.yaml`);
    writeFileSync(file, stringify(content));
    return file;
  }

  beforeAll(async () => {
    network = new LabNetwork({ backends: 4, management: true });
    const [b1, b2, b3, other] = network.servers;
    await Promise.all([b1, b2, b3].map((host) => startNginx(host, { port: 8080 })));
    const agentKey = writeKeyFile('b1');
    const feedKey = writeKeyFile('feed');
    managerFile = writeFile('manager', {
      listen: { address: other.address, port: AGENT_PORT },
      agents: [{ name: 'b1', 'key-file': agentKey, backends: ['web/b1'] }],
      feed: { address: other.address, port: FEED_PORT, 'key-file': feedKey },
    });
    manager = startWeirCommand(other, 'resource-manager', managerFile);
    const agentFile = writeFile('agent', {
      name: 'b1',
      'key-file': agentKey,
      'report-to': [`${other.address}:${AGENT_PORT}`],
      services: [{ backend: 'web/b1', port: 8080 }],
    });
    startWeirCommand(b1, 'agent', agentFile);
    const backends = [b1, b2, b3].map(({ name, address }) => ({ name, address, port: 8080 }));
    const { virtualAddress: address } = network;
    const distribution = {
      algorithm: 'even-load',
      blackout: '0s',
      'slow-start': '0s',
      expiry: '3s',
    };
    const load = { source: 'agent' };
    const web = { name: 'web', address, protocol: 'tcp', port: 80, distribution, load, backends };
    weir = await WeirProcess.start(network.switchNamespace, {
      ...switchConfiguration(network, { kind, services: [web] }),
      'resource-manager': {
        remote: { address: other.address, port: FEED_PORT, 'key-file': feedKey },
      },
    });
  });

  afterAll(() => cleanAll());

  const isFresh = ({ report }: BackendView): boolean => report !== null && report.ageMs < 2500;

  it('a resource manager on another host hands reports on', async () => {
    await until('b1', 'reported', isFresh);
    const { status, body } = await weir.api('GET', '/v1/load');
    expect([status, body.feed.state]).toEqual([200, 'connected']);
  });

  it('drains and weights are still there when control has been killed, and no request fails', async () => {
    const load = new HttpLoad(network.client, {
      host: network.virtualAddress,
      port: 80,
      connections: 8,
      mode: 'new',
      requests: 100_000,
    });
    expect(runCommand(weir, ['weight', 'b3', '3']).status).toBe(0);
    expect(runCommand(weir, ['drain', 'b2', '--deadline', '10m']).status).toBe(0);
    const before = (await weir.api('GET', '/v1/backends')).body as BackendsView;
    const { restarts } = (await weir.status()).processes.control;
    weir.kill('SIGKILL', 'control');
    await expect
      .poll(async () => (await weir.status().catch(() => undefined))?.processes.control.restarts, {
        timeout: 30_000,
      })
      .toBe(restarts + 1);
    await until('b2', 'drained', ({ drain, weight }) => drain !== null && weight.published === 0);
    await until('b3', 'heavy', ({ weight }) => weight.operator === 3 && weight.published > 0);
    await until('b1', 'reported', isFresh);
    const after = (await weir.api('GET', '/v1/backends')).body as BackendsView;
    const facts = ({ changes }: BackendsView) =>
      changes.map(({ backend, kind: what, by, at }) => [backend, what, by, at]);
    expect(facts(after)).toEqual(facts(before));
    const drained = after.backends.find(({ name }) => name === 'b2')!.drain!;
    expect(drained.since).toBe(before.backends.find(({ name }) => name === 'b2')!.drain!.since);
    const report = await load.stop();
    expect(report.failures).toEqual({});
    expect(report.requests).toBeGreaterThan(100);
    expect(runCommand(weir, ['undrain', 'b2']).status).toBe(0);
    expect(runCommand(weir, ['weight', 'b3', 'default']).status).toBe(0);
  });

  it('a killed resource manager leads to the configured weight, and back when it is', async () => {
    manager.child.kill('SIGKILL');
    await until('b1', 'as configured', ({ weight, report }) => {
      return weight.now === 1 && (report === null || report.ageMs > 3000);
    });
    manager = startWeirCommand(network.servers[3], 'resource-manager', managerFile);
    await until('b1', 'reported again', isFresh);
  });
});
