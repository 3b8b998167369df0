// UDP through the switch: dig and a client with ports of its own choice ask three dnsmasq behind one
// service. No query may be lost, and one client port must lead to one server for as long as the
// conversation lasts. Each server names itself in the TXT record of 'server.lab'.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { dig } from '../../src/lab/clients.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startDnsServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import {
  askFromPorts,
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const DIG_QUERIES = 5000;
const PORTS = 200;
const QUERIES_PER_PORT = 10;
const PROCESSORS = 2;

describeOnKinds('DNS over UDP', ['dnsmasq', 'dig'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 3, queues: PROCESSORS });
    await Promise.all(
      network.servers.map((host) => startDnsServer(host, { 'one.lab': '192.0.2.1' })),
    );
    const backends = network.servers.map(({ name, address }) => ({ name, address }));
    const dns = { name: 'dns', address: network.virtualAddress, protocol: 'udp', port: 53 };
    const services = [{ ...dns, backends }];
    const config = switchConfiguration(network, { kind, processors: PROCESSORS, services });
    weir = await WeirProcess.start(network.switchNamespace, config);
  });

  afterAll(() => cleanAll());

  it(`loses none of ${DIG_QUERIES} queries of dig, whoever answers`, () => {
    const { client, virtualAddress } = network;
    const names = new Array<string>(DIG_QUERIES).fill('server.lab');
    const perServer: Record<string, number> = {};
    for (const { status, answers } of dig(client, virtualAddress, names, { type: 'TXT' })) {
      expect(status).toBe('NOERROR');
      expect(answers.length).toBe(1);
      perServer[answers[0]] = (perServer[answers[0]] ?? 0) + 1;
    }
    print(`dns on ${kind}`, { queries: DIG_QUERIES, perServer });
    expect(Object.keys(perServer).sort()).toEqual(['b1', 'b2', 'b3']);
    expect(dig(client, virtualAddress, ['one.lab', 'none.lab'])).toEqual([
      { name: 'one.lab', status: 'NOERROR', answers: ['192.0.2.1'] },
      { name: 'none.lab', status: 'NXDOMAIN', answers: [] },
    ]);
  });

  it('leads each client port to one server, again and again', async () => {
    const before = (await weir.status()).services[0].connectionsTotal;
    const answers = askFromPorts(network.client, {
      protocol: 'udp',
      host: network.virtualAddress,
      port: 53,
      // Below the range from which dig has had its ports.
      firstPort: 20_000,
      ports: PORTS,
      rounds: QUERIES_PER_PORT,
    });
    const owners = new Map<string, number>();
    for (const [port, servers] of Object.entries(answers)) {
      expect(servers[0], `port ${port}`).toMatch(/^b[123]$/);
      expect(servers, `port ${port}`).toEqual(new Array(QUERIES_PER_PORT).fill(servers[0]));
      owners.set(servers[0]!, (owners.get(servers[0]!) ?? 0) + 1);
    }
    expect(Object.keys(answers).length).toBe(PORTS);
    expect(owners.size).toBe(3);
    const { services } = await weir.status();
    expect(services[0].connectionsTotal - before).toBe(PORTS);
    print(`dns on ${kind}`, { ports: PORTS, perServer: Object.fromEntries(owners) });
  });

  it('accounts for every query and every answer', async () => {
    const status = await expectBalanced(weir);
    const sum = (field: 'packetsIn' | 'packetsOut'): number =>
      status.services[0].backends.reduce(
        (total: number, backend: Record<string, number>) => total + backend[field],
        0,
      );
    const queries = DIG_QUERIES + 2 + PORTS * QUERIES_PER_PORT;
    expect(queries).toBeGreaterThanOrEqual(5000);
    expect(sum('packetsIn')).toBe(queries);
    expect(sum('packetsOut')).toBe(queries);
    expect(status.totals.verdicts.dropped).toBe(0);
  });
});
