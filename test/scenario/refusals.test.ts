// Scenario 8: what the switch refuses, and how it stands being asked too much. A port without a service and
// a segment without a connection are answered with the reset of RFC 9293 §3.10.7.1, as tshark reads it;
// UDP with silence. A flood of SYNs from made-up addresses, as many as one CPU can make, does not stop 50
// clients. A full table refuses new connections, keeps the established, and counts both.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { readFields, startCapture } from '../../src/lab/capture.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, dig, HttpLoad } from '../../src/lab/clients.ts';
import { execute, startLabProgram } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { privileges } from '../../src/lab/privileges.ts';
import { startWebServer } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { packet } from '../support/packet-builder.ts';
import { sendFrames } from '../support/raw-sending.ts';
import {
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const FLOOD_SECONDS = 3;
const CLIENTS = 50;
const SMALL_TABLE = 1024;
const OVER = 76;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const counts = (status: { totals: { reasons: Record<string, { count: number }> } }) =>
  Object.fromEntries(
    Object.entries(status.totals.reasons).map(([name, { count }]) => [name, count]),
  );

describeOnBestKind('refusals', ['nginx', 'curl', 'dig', 'dumpcap', 'tshark'], (kind) => {
  let network: LabNetwork;
  let config: object;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, xdpRedirect: true });
    for (const server of network.servers) await startWebServer(server, { port: 8080 });
    const backends = network.servers.map(({ name, address }) => ({ name, address, port: 8080 }));
    const address = network.virtualAddress;
    const services = [{ name: 'web', address, protocol: 'tcp', port: 80, backends }];
    // The way to the addresses that a flood makes up is the client, who throws away what comes.
    const routes = [{ to: 'default', via: network.client.address }];
    config = { ...switchConfiguration(network, { kind, services }), routes };
  });
  afterAll(() => cleanAll());

  async function withWeir(
    changes: object,
    body: (weir: WeirProcess) => Promise<void>,
  ): Promise<void> {
    const weir = await WeirProcess.start(network.switchNamespace, { ...config, ...changes });
    try {
      await body(weir);
    } finally {
      await weir.stop();
    }
  }

  it('answer TCP with a correct reset and UDP not at all', async () => {
    await withWeir({}, async (weir) => {
      const { client, virtualAddress } = network;
      const capture = await startCapture(client.namespace, 'eth0', 'tcp or udp or icmp');
      const connect = `require('node:net').connect(99, '${virtualAddress}')
        .on('error', ({ code }) => console.log(code)).on('connect', () => console.log('connected'))`;
      const refused = execute(process.execPath, ['-e', connect], { namespace: client.namespace });
      expect(refused.stdout.trim()).toBe('ECONNREFUSED');
      const stray = packet()
        .ethernet({
          source: `02:00:0a:01:00:0a`,
          destination: network.switchInterfaces[0].macAddress,
        })
        .ipv4({ source: client.address, destination: virtualAddress })
        .tcp({
          sourcePort: 7777,
          destinationPort: 80,
          flags: ['ACK'],
          sequence: 1_000_000,
          acknowledgment: 3_000_000_000,
        })
        .payload('lost');
      expect(await sendFrames(client, [stray.bytes()])).toBe(1);
      const [answer] = dig(client, virtualAddress, ['x'], { port: 5353, timeoutSeconds: 1 });
      expect(answer.status).toBe('NO ANSWER');
      await capture.stop();

      const fields = ['tcp.flags.ack', 'tcp.seq_raw', 'tcp.ack_raw', 'tcp.len', 'ip.ttl'];
      const from = `ip.src == ${virtualAddress} && tcp.flags.reset == 1 && tcp.checksum.status == 1`;
      const isNothing = ['0', 'False'];
      const [unknownPort] = readFields(capture.file, fields, `${from} && tcp.srcport == 99`);
      const syn = 'tcp.flags.syn == 1 && tcp.dstport == 99';
      const [[sequence]] = readFields(capture.file, ['tcp.seq_raw'], syn);
      expect(isNothing).not.toContain(unknownPort[0]);
      expect(unknownPort.slice(1)).toEqual(['0', String((Number(sequence) + 1) >>> 0), '0', '64']);
      const [unknown] = readFields(capture.file, fields, `${from} && tcp.srcport == 80`);
      expect(isNothing).toContain(unknown[0]);
      expect(unknown.slice(1)).toEqual(['3000000000', '0', '0', '64']);
      expect(readFields(capture.file, ['frame.number'], 'udp && udp.srcport == 5353')).toEqual([]);
      expect(readFields(capture.file, ['frame.number'], 'icmp')).toEqual([]);
      const status = await expectBalanced(weir);
      expect(counts(status)).toMatchObject({
        'reset-invalid-service': 1,
        'reset-unknown-connection': 1,
        'invalid-service': 1,
      });
    });
  });

  const { bpfProblem } = privileges();
  if (bpfProblem !== undefined) print(`flood, on ${kind}`, { skipped: bpfProblem });
  it.skipIf(bpfProblem !== undefined)(
    'do not hit the well-behaved in a flood of SYNs',
    async () => {
      await withWeir({}, async (weir) => {
        const { client, virtualAddress: host } = network;
        // Without an XDP program the switch's end of the cable takes such frames only with GRO.
        execute('ethtool', ['-K', 'ext0', 'gro', 'on'], { namespace: network.switchNamespace });
        const intervalMs = 100;
        const kept = new HttpLoad(client, {
          host,
          connections: CLIENTS,
          pauseMs: 50,
          timeoutMs: 30_000,
          intervalMs,
        });
        const fresh = new HttpLoad(client, {
          host,
          connections: 10,
          mode: 'new',
          pauseMs: 100,
          timeoutMs: 15_000,
          intervalMs,
        });
        await sleep(1500);
        const before = { ...kept.latest! };
        const freshBefore = { ...fresh.latest! };
        const options = {
          interface: 'eth0',
          protocol: 'tcp-syn',
          destination: host,
          destinationMac: network.switchInterfaces[0].macAddress,
          destinationPort: 80,
          flows: 2 ** 31,
          seconds: FLOOD_SECONDS,
          repeat: 250_000,
        };
        const flood = startLabProgram('packet-generator', [JSON.stringify(options)], {
          namespace: client.namespace,
          pipeOutput: true,
        });
        let made = '';
        flood.child.stdout!.on('data', (bytes) => {
          made += bytes;
        });
        expect(await flood.exited).toBe(0);
        const during = { ...kept.latest! };
        const freshDuring = { ...fresh.latest! };
        await sleep(2500);
        const [after, freshAfter] = await Promise.all([kept.stop(), fresh.stop()]);
        // What the flood left unfinished at the servers comes to its end.
        const status = await expectBalanced(weir);
        const { packets, seconds } = JSON.parse(made);
        print(`SYN flood, on ${kind}`, {
          floodPerSecond: Math.round(packets / seconds),
          takenIn: counts(status)['flood-guard'] ?? 0,
          begun: counts(status)['new-connection'],
          requestsPerSecondBefore: Math.round(before.requests / (before.elapsedMs / 1000)),
          requestsPerSecondDuring: Math.round((during.requests - before.requests) / seconds),
          broken: after.brokenConnections,
          slowestMs: Math.round(after.latencyMs.maximum),
          newDuring: freshDuring.requests - freshBefore.requests,
          newAfter: freshAfter.requests - freshDuring.requests,
          newFailed: freshAfter.connectErrors + freshAfter.failedRequests,
        });
        expect(packets).toBeGreaterThan(0);
        expect(during.requests - before.requests).toBeGreaterThan(0);
        expect(after).toMatchObject({
          brokenConnections: 0,
          failedRequests: 0,
          movedConnections: 0,
        });
        expect(after.requests).toBeGreaterThan(during.requests);
        expect(counts(status)['flood-guard']).toBeGreaterThan(0);
        expect(status.connections.live).toBeLessThan(status.connections.capacity / 2);
        expect(curl(client, `http://${host}/`).status).toBe(200);
      });
    },
  );

  it('keep what is established when the table is full', async () => {
    const limits = { connections: SMALL_TABLE, frames: 8192 };
    await withWeir({ limits }, async (weir) => {
      const { client, virtualAddress: host } = network;
      const connections = SMALL_TABLE + OVER;
      const load = new HttpLoad(client, { host, connections, pauseMs: 300, timeoutMs: 20_000 });
      await sleep(3500);
      const refused = curl(client, `http://${host}/`, [], 3);
      const status = await weir.status();
      const report = await load.stop();
      print(`full table, on ${kind}`, {
        open: report.connectionsOpened,
        refused: report.connectErrors,
        failures: report.failures,
        requests: report.requests,
        connections: status.connections,
        reasons: counts(status),
      });
      expect(refused.exitCode).not.toBe(0);
      expect(status.connections.live).toBe(SMALL_TABLE);
      expect(report.connectionsOpened).toBe(SMALL_TABLE);
      expect(report).toMatchObject({ brokenConnections: 0, failedRequests: 0 });
      expect(report.failures['connect ECONNREFUSED']).toBeGreaterThanOrEqual(OVER);
      expect(counts(status)['reset-table-full']).toBeGreaterThanOrEqual(OVER);
      // Half-open ones make room for others, established ones never.
      const { inserted, evicted } = status.connections;
      expect(inserted - evicted).toBe(SMALL_TABLE);
      await expectBalanced(weir);
    });
  });
});
