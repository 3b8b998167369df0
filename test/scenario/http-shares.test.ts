// HTTP through the switch with real clients (curl, wrk, and the lab's own, which counts exactly)
// against three nginx of unequal weights, with one, two and three switching processors. No request
// may fail, and connections must be shared by weight however many processors share them out. With
// Maglev, an address and port must lead to one server, whichever processor is asked.

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, HttpLoad, wrk } from '../../src/lab/clients.ts';
import type { LoadReport } from '../../src/lab/http-load-report.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { type LabServer, startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import {
  askFromPorts,
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const WEIGHTS = [5, 3, 2];
const PROCESSORS = [1, 2, 3];
const CONNECTIONS = 3500;
const MAGLEV_PORT = 81;
const ALLOWED_DEVIATION = 0.01;

describeOnKinds('HTTP by weight', ['nginx', 'curl', 'wrk'], (kind) => {
  let network: LabNetwork;
  let servers: LabServer[];
  let weir: WeirProcess | undefined;
  let requests = 0;
  /** Client port → server, as the first number of processors found it. */
  let maglevOwners: Record<string, string | null> | undefined;

  beforeAll(async () => {
    // Three queues on each interface, so that each processor has a queue of its own.
    network = new LabNetwork({ backends: WEIGHTS.length, queues: Math.max(...PROCESSORS) });
    servers = await Promise.all(network.servers.map((host) => startNginx(host, { port: 8080 })));
  });

  afterEach(async () => {
    await weir?.stop();
    weir = undefined;
  });

  afterAll(() => cleanAll());

  function services() {
    const common = { address: network.virtualAddress, protocol: 'tcp' };
    const backends = network.servers.map(({ name, address }, index) => ({
      name,
      address,
      port: 8080,
      weight: WEIGHTS[index],
    }));
    return [
      { ...common, name: 'web', port: 80, backends },
      { ...common, name: 'sticky', port: MAGLEV_PORT, scheduler: 'maglev', backends },
    ];
  }

  function expectNoFailure(report: LoadReport, count: number): void {
    expect(report.failures).toEqual({});
    expect(report).toMatchObject({
      requests: count,
      failedRequests: 0,
      connectErrors: 0,
      brokenConnections: 0,
      movedConnections: 0,
    });
    requests += report.requests;
  }

  function expectShares(counts: number[], total: number): number[] {
    const sum = WEIGHTS.reduce((a, b) => a + b);
    const shares = counts.map((count) => count / total);
    shares.forEach((share, index) => {
      expect(Math.abs(share - WEIGHTS[index] / sum)).toBeLessThan(ALLOWED_DEVIATION);
    });
    return shares;
  }

  it.each(PROCESSORS)('shares connections by weight with %i processors', async (processors) => {
    const config = switchConfiguration(network, { kind, processors, services: services() });
    weir = await WeirProcess.start(network.switchNamespace, config);
    const host = network.virtualAddress;

    const load = { host, connections: 20, requests: CONNECTIONS };
    const single = await new HttpLoad(network.client, { ...load, mode: 'new' }).finished();
    expectNoFailure(single, CONNECTIONS);
    const shares = expectShares(
      network.servers.map(({ name }) => single.perServer[name] ?? 0),
      CONNECTIONS,
    );
    // The switch counts what the client saw.
    const seen = (await weir.status()).services[0];
    expect(seen.connectionsTotal).toBe(CONNECTIONS);
    for (const backend of seen.backends) {
      expect(backend.connectionsTotal).toBe(single.perServer[backend.name]);
    }

    const kept = await new HttpLoad(network.client, { ...load, mode: 'keep-alive' }).finished();
    expectNoFailure(kept, CONNECTIONS);
    const measured = wrk(network.client, `http://${host}/`, { seconds: 1, connections: 32 });
    expect(measured.badAnswers).toBe(0);
    expect(measured.socketErrors).toEqual({ connect: 0, read: 0, write: 0, timeout: 0 });
    requests += measured.requests;
    for (let round = 0; round < 5; round += 1) {
      const answer = curl(network.client, `http://${host}/`);
      expect(answer).toMatchObject({ exitCode: 0, status: 200, error: '' });
      expect(`${answer.headers['x-backend']}\n`).toBe(answer.body);
      requests += 1;
    }

    expectMaglevAgreement();

    const status = await expectBalanced(weir);
    for (const each of status.processes.switching) expect(each.received).toBeGreaterThan(0);
    print(`http-shares on ${kind}`, {
      processors,
      shares,
      wrkRequestsPerSecond: measured.requestsPerSecond,
      received: status.processes.switching.map(({ received }: { received: number }) => received),
    });
  });

  /** Every connection from a port reaches the server that it reached under other processors. */
  function expectMaglevAgreement(): void {
    const host = network.virtualAddress;
    const range = { firstPort: 20_000, ports: 300, rounds: 2 };
    const answers = askFromPorts(network.client, {
      protocol: 'tcp',
      host,
      port: MAGLEV_PORT,
      ...range,
    });
    const owners: Record<string, string | null> = {};
    for (const [port, [first, second]] of Object.entries(answers)) {
      expect(first, `port ${port}`).toMatch(/^b[123]$/);
      expect(second, `port ${port}`).toBe(first);
      owners[port] = first;
    }
    expect(Object.keys(owners).length).toBe(range.ports);
    expect(new Set(Object.values(owners)).size).toBe(WEIGHTS.length);
    maglevOwners ??= owners;
    expect(owners).toEqual(maglevOwners);
    requests += range.ports * range.rounds;
  }

  it('has answered at least 20 000 requests, all of them', () => {
    print(`http-shares on ${kind}`, { requests });
    expect(requests).toBeGreaterThanOrEqual(20_000);
    expect(servers.every((server) => server.process.isRunning())).toBe(true);
  });
});
