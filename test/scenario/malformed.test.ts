// Scenario 9: malformed frames over real interfaces. Every truncation of every kind of frame and tens of
// thousands of damaged ones, from a client and from a server, while another client is served. No process
// dies, every packet is accounted for, and what reaches the servers and clients is well-formed.
// A million more go through the filter in test/fuzz/filter.test.ts, where each is looked at by itself.

import { env } from 'node:process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { readFields, startCapture } from '../../src/lab/capture.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, HttpLoad } from '../../src/lab/clients.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { startDnsServer, startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { readPcapFile } from '../../src/netif/pcap-file.ts';
import { faultOfOutput } from '../support/forwarding-oracle.ts';
import { mutate } from '../support/frame-mutator.ts';
import { decodeFrame } from '../support/packet-fields.ts';
import { sendFrames } from '../support/raw-sending.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';
import { EXT, EXT_MAC, INT, INT_MAC, macOf } from '../support/switch-bench.ts';
import { FIXTURES } from '../support/switch-fixtures.ts';

const SEED = Number(env.WEIR_SEED ?? 20_261_120);
const FROM_CLIENT = 40_000;
const FROM_SERVER = 10_000;
/** The client that is served meanwhile: nothing may be said in ARP about it. */
const GOOD_CLIENT = '10.1.0.11';

/**
 * Fixtures of one side, each cut at every length, then so many damaged ones; from their sender's own MAC
 * address, or the lab's bridges would take the sender for somebody else.
 */
function malformed(random: Prng, side: number, count: number, host: LabHost): Uint8Array[] {
  const mac = Buffer.from(macOf(host.address).replaceAll(':', ''), 'hex');
  const fixtures = FIXTURES.filter((fixture) => fixture.side === side);
  const whole = fixtures.map(({ bytes }) => bytes);
  const frames: Uint8Array[] = [];
  for (const bytes of whole) {
    for (let length = 14; length < Math.min(bytes.length, 100); length++) {
      frames.push(bytes.slice(0, length));
    }
  }
  while (frames.length < count) {
    const frame = mutate(random, whole[random.below(whole.length)], whole);
    // Lies in ARP are not malformed: whoever is on the link can tell them.
    if (frame.length < 14 || decodeFrame(frame).arp?.senderAddress === GOOD_CLIENT) continue;
    frames.push(frame);
  }
  for (const frame of frames) frame.set(mac, 6);
  return frames;
}

/** What is wrong with the frames that the switch sent, of those in a capture. */
function faultsIn(file: string, egress: number): { frames: number; faults: string[] } {
  const mac = egress === EXT ? EXT_MAC : INT_MAC;
  let frames = 0;
  const faults: string[] = [];
  const capture = readPcapFile(file);
  while (capture.next()) {
    const { dataOffset, capturedLength } = capture;
    const bytes = capture.bytes.subarray(dataOffset, dataOffset + capturedLength);
    const fields = decodeFrame(bytes);
    if (fields.ethernet?.source !== mac) continue;
    frames++;
    const fault = faultOfOutput(fields, { egress, bytes });
    if (fault !== '') faults.push(`${fault}: ${Buffer.from(bytes).toString('hex')}`);
  }
  return { frames, faults };
}

const programs = ['nginx', 'dnsmasq', 'curl', 'dumpcap', 'tshark'];

describeOnKinds('malformed frames', programs, (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, clients: 2 });
    const [first] = network.servers;
    for (const server of network.servers) await startWebServer(server, { port: 8080 });
    await startDnsServer(first, { 'www.lab': '10.9.9.9' }, 5353);
    const address = network.virtualAddress;
    const backends = network.servers.map((server) => ({
      name: server.name,
      address: server.address,
      port: 8080,
    }));
    const dns = [{ name: 'b1', address: first.address, port: 5353 }];
    const services = [
      { name: 'web', address, protocol: 'tcp', port: 80, backends },
      { name: 'dns', address, protocol: 'udp', port: 53, backends: dns },
    ];
    const config = switchConfiguration(network, { kind, services });
    weir = await WeirProcess.start(network.switchNamespace, config);
  });
  afterAll(() => cleanAll());

  it('kill nothing, confuse nobody, and are never passed on', async () => {
    const random = new Prng(SEED);
    const [bad, good] = network.clients;
    const [server] = network.servers;
    expect(good.address).toBe(GOOD_CLIENT);
    const captures = await Promise.all([
      startCapture(network.internalNamespace, 'up0', `inbound and ether src ${INT_MAC}`),
      startCapture(bad.namespace, 'eth0', `inbound and ether src ${EXT_MAC}`),
    ]);
    const url = `http://${network.virtualAddress}/`;
    const host = network.virtualAddress;
    const load = new HttpLoad(good, { host, connections: 10, pauseMs: 20 });
    const [fromClient, fromServer] = await Promise.all([
      sendFrames(bad, malformed(random, EXT, FROM_CLIENT, bad)),
      sendFrames(server, malformed(random, INT, FROM_SERVER, server)),
    ]);
    expect(fromClient).toBeGreaterThan(FROM_CLIENT * 0.9);
    expect(fromServer).toBeGreaterThan(FROM_SERVER * 0.9);
    const report = await load.stop();
    for (const capture of captures) await capture.stop();
    for (let i = 0; i < 5; i++) expect(curl(good, url).status).toBe(200);

    const atServers = faultsIn(captures[0].file, INT);
    const atClients = faultsIn(captures[1].file, EXT);
    const status = await expectBalanced(weir);
    const reasons = Object.entries<{ count: number }>(status.totals.reasons);
    print(`malformed frames, on ${kind}, seed ${SEED}`, {
      sent: fromClient + fromServer,
      received: status.totals.received,
      atServers: atServers.frames,
      atClients: atClients.frames,
      served: report.requests,
      reasons: Object.fromEntries(reasons.map(([name, { count }]) => [name, count])),
    });
    expect(atServers.faults).toEqual([]);
    expect(atClients.faults).toEqual([]);
    expect(atServers.frames).toBeGreaterThan(1000);
    const badHeaders = readFields(
      captures[0].file,
      ['frame.number'],
      'ip.checksum.status == 0 && !icmp',
    );
    expect(badHeaders).toEqual([]);
    expect(status.totals.received).toBeGreaterThan((fromClient + fromServer) * 0.5);
    const { brokenConnections, connectErrors, failedRequests, requests } = report;
    expect({ brokenConnections, connectErrors, failedRequests }).toEqual({
      brokenConnections: 0,
      connectErrors: 0,
      failedRequests: 0,
    });
    expect(requests).toBeGreaterThan(0);
    expect(weir.log()).not.toMatch(/ended|died|restart/i);
  });
});
