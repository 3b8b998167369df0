// Direct server return: the switch changes nothing but the MAC addresses of what clients send, and the
// servers, which bear the service's address on their loopback, answer clients directly. The switch must
// never see an answer, and the servers must receive the very packets that the client sent.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { badChecksums, readFields, startCapture } from '../../src/lab/capture.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, HttpLoad } from '../../src/lab/clients.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const CONNECTIONS = 600;
const SERVERS = 3;
/** All that a switch could change of a packet. */
const FIELDS = [
  'ip.id',
  'ip.src',
  'ip.dst',
  'ip.ttl',
  'ip.flags',
  'ip.dsfield',
  'ip.checksum',
  'tcp.srcport',
  'tcp.dstport',
  'tcp.seq_raw',
  'tcp.ack_raw',
  'tcp.checksum',
];

describeOnKinds('direct server return', ['nginx', 'curl', 'dumpcap', 'tshark'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: SERVERS, dsr: true });
    await Promise.all(network.servers.map((host) => startNginx(host)));
    const backends = network.servers.map(({ name, address }) => ({ name, address }));
    const common = { address: network.virtualAddress, protocol: 'tcp', port: 80 };
    const services = [{ ...common, name: 'web', forwarding: 'dsr', backends }];
    const config = switchConfiguration(network, { kind, services });
    weir = await WeirProcess.start(network.switchNamespace, config);
  });

  afterAll(() => cleanAll());

  it('hands the servers what the client sent, untouched', async () => {
    const filter = `tcp and dst host ${network.virtualAddress}`;
    const hosts = [network.client, ...network.servers];
    const captures = await Promise.all(
      hosts.map(({ namespace }) => startCapture(namespace, 'eth0', filter)),
    );
    const seen = new Set<string>();
    for (let round = 0; round < 2 * SERVERS; round += 1) {
      const answer = curl(network.client, `http://${network.virtualAddress}/`);
      expect(answer).toMatchObject({ exitCode: 0, status: 200 });
      seen.add(answer.body.trim());
    }
    expect([...seen].sort()).toEqual(['b1', 'b2', 'b3']);
    await Promise.all(captures.map((capture) => capture.stop()));
    const [sent, ...received] = captures.map(({ file }) => readFields(file, FIELDS));
    const sorted = (rows: string[][]) => rows.map((row) => row.join(' ')).sort();
    expect(sent.length).toBeGreaterThan(2 * SERVERS * 4);
    expect(sorted(received.flat())).toEqual(sorted(sent));
    for (const { file } of captures) expect(badChecksums(file)).toEqual([]);
    // As the client's kernel sends them, and to the service's own address.
    for (const row of received.flat()) {
      expect(row.slice(1, 4)).toEqual([network.client.address, network.virtualAddress, '64']);
    }
    print(`direct-server-return on ${kind}`, { packetsCompared: sent.length });
  });

  it('never sees an answer', async () => {
    const { client, virtualAddress: host } = network;
    const options = { host, connections: 10, requests: CONNECTIONS, mode: 'new' } as const;
    const report = await new HttpLoad(client, options).finished();
    expect(report.failures).toEqual({});
    expect(report).toMatchObject({ requests: CONNECTIONS, failedRequests: 0, connectErrors: 0 });
    const status = await expectBalanced(weir);
    const [service] = status.services;
    expect(service.connectionsTotal).toBe(CONNECTIONS + 2 * SERVERS);
    for (const backend of service.backends) {
      expect(backend.packetsIn).toBeGreaterThan(CONNECTIONS / SERVERS);
      expect(backend).toMatchObject({ packetsOut: 0, bytesOut: 0 });
    }
    // From the servers' side nothing came in but ARP; to the clients' side nothing went but ARP.
    const [external, internal] = status.interfaces;
    const { reasons, verdicts } = status.totals;
    const arp = (reasons['arp-learned']?.count ?? 0) + (reasons['arp-answered']?.count ?? 0);
    expect(internal.receivedPackets).toBeLessThanOrEqual(arp);
    expect(external.sentPackets).toBeLessThanOrEqual(arp + status.neighbors.length);
    // The servers' broadcast questions for the client's address reach the switch too.
    expect(verdicts.dropped).toBe(reasons['arp-ignored']?.count ?? 0);
    const packetsIn = service.backends.map(({ packetsIn: count }: { packetsIn: number }) => count);
    expect(packetsIn.reduce((sum: number, count: number) => sum + count)).toBe(verdicts.forwarded);
    print(`direct-server-return on ${kind}`, { packetsIn, fromServers: internal.receivedPackets });
  });
});
