// The lab's traffic, over real interfaces: what the generator sends is what a real kernel receives, what
// is dropped on the way is counted as lost and nothing else is, frames out of order are told from lost
// ones, and real servers take the TCP client for a host. The kernel forwards here; there is no weir.

import { execPath } from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { macAddress } from '../../src/lab/addressing.ts';
import { badChecksums, countPackets, startCapture } from '../../src/lab/capture.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { execute, start, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import { startNginx } from '../../src/lab/servers.ts';
import {
  offerUdp,
  startReceiver,
  startTcpClient,
  startTraffic,
  type TrafficOptions,
} from '../../src/lab/traffic.ts';
import { GROUP, NUMBER, RUN, runField } from '../../src/lab/traffic-packet.ts';
import { packet } from '../support/packet-builder.ts';
import { sendFrames } from '../support/raw-sending.ts';
import { print } from '../support/scenario.ts';

const programs = ['ip', 'ethtool', 'nft', 'nginx', 'tcpdump', 'tshark'];
const reason = skipReason({ programs, bpf: true });
if (reason !== undefined) process.stdout.write(`traffic.test.ts is skipped: ${reason}\n`);

/** UDP port of the sink that is a socket. */
const SOCKET_PORT = 7000;
const LISTENER = `
  const socket = require('node:dgram').createSocket('udp4');
  let packets = 0;
  socket.on('message', () => { packets += 1; });
  socket.bind(${SOCKET_PORT}, () => {
    socket.setRecvBufferSize(8 << 20);
    console.log('0');
    setInterval(() => console.log(packets), 50);
  });`;

describe.skipIf(reason !== undefined)('the lab traffic', () => {
  let network: LabNetwork;
  let server: string;
  let traffic: TrafficOptions;

  /** Runs a shell command where the switch would be. */
  function onRouter(command: string): string {
    return execute('sh', ['-c', command], { namespace: network.switchNamespace }).stdout;
  }

  beforeAll(() => {
    network = new LabNetwork({ backends: 1 });
    server = network.servers[0].address;
    const [external, internal] = network.switchInterfaces;
    // The kernel routes between both sides. GRO makes the veth poll, so it takes redirected frames.
    // Neighbors are known from the beginning, so that no packet waits or is dropped for an answer.
    onRouter(`ethtool -K ext0 gro on
      ip addr add ${external.address}/24 dev ext0
      ip addr add ${internal.address}/24 dev int0
      ip route add 10.64.0.0/16 via ${network.client.address}
      ip neigh add ${network.client.address} lladdr ${macAddress(network.client.address)} dev ext0
      ip neigh add ${server} lladdr ${macAddress(server)} dev int0
      sysctl -q -w net.ipv4.ip_forward=1`);
    traffic = {
      namespace: network.client.namespace,
      interface: 'eth0',
      destination: server,
      destinationMac: external.macAddress,
      destinationPort: 9,
      rate: 20_000,
      seconds: 5,
      packets: 5000,
    };
  });

  afterAll(() => cleanAll());

  it('is received by a real socket, every packet, with good checksums', async () => {
    const [host] = network.servers;
    const listener = start(execPath, ['-e', LISTENER], {
      namespace: host.namespace,
      pipeOutput: true,
    });
    let heard = '';
    listener.child.stdout!.on('data', (text) => {
      heard += text;
    });
    await waitUntil('the listener listens', () => heard !== '');
    const capture = await startCapture(host.namespace, 'eth0', `udp port ${SOCKET_PORT}`);
    const options = { ...traffic, destinationPort: SOCKET_PORT, packets: 1000, checksum: true };
    const report = await startTraffic(options).report;
    print('generated packets with checksums, to a socket', report);
    expect(report.packets).toBe(1000);
    await waitUntil('all are heard', () => heard.trimEnd().endsWith('\n1000'));
    await capture.stop();
    await listener.stop();
    expect(countPackets(capture.file, 'udp')).toBe(1000);
    expect(badChecksums(capture.file)).toEqual([]);
  });

  it('ends when it is told to', async () => {
    const run = startTraffic({ ...traffic, packets: undefined, seconds: 60 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { packets, seconds } = await run.stop();
    expect(packets).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(30);
  });

  it('is all received where nothing is dropped', async () => {
    const receiver = await startReceiver({
      namespace: network.internalNamespace,
      interface: 'up0',
      latency: true,
    });
    for (const order of ['random', 'sequential'] as const) {
      const result = await offerUdp({ ...traffic, order, flows: 1024 }, receiver);
      print(`offered in ${order} order`, result);
      expect(result).toMatchObject({
        offeredPackets: 5000,
        packets: 5000,
        bytes: 300_000,
        lost: 0,
        duplicates: 0,
        reordered: 0,
        missing: 0,
      });
      expect(result.latency!.count).toBe(5000);
      expect(result.latency!.p50).toBeGreaterThan(0);
      expect(result.longestGapNs).toBeGreaterThan(0);
    }
    await receiver.stop();
  });

  it('is lost where every tenth is dropped, exactly', async () => {
    onRouter(`nft add table ip lossy
      nft add chain ip lossy forward '{ type filter hook forward priority 0; }'
      nft add rule ip lossy forward udp dport 9 numgen inc mod 10 0 counter drop`);
    const receiver = await startReceiver({
      namespace: network.internalNamespace,
      interface: 'up0',
    });
    const result = await offerUdp({ ...traffic, flows: 1 }, receiver);
    const dropped = Number(/counter packets (\d+)/.exec(onRouter('nft list table ip lossy'))![1]);
    onRouter('nft delete table ip lossy');
    print('every tenth dropped', { ...result, dropped });
    expect(dropped).toBe(500);
    expect(result).toMatchObject({ lost: dropped, reordered: 0, duplicates: 0, lossRatio: 0.1 });
    // The same found from the numbers alone; the very last may be the one that is dropped.
    expect(result.missing).toBeGreaterThanOrEqual(dropped - 1);
    expect(result.missing).toBeLessThanOrEqual(dropped);
    await receiver.stop();
  });

  it('is told apart: out of order, doubled and missing', async () => {
    const receiver = await startReceiver({
      namespace: network.switchNamespace,
      interface: 'ext0',
      mode: 'generic',
    });
    const frames = [0, 1, 2, 4, 3, 5, 5, 9].map((number) => {
      const bytes = packet()
        .ethernet({ destination: traffic.destinationMac })
        .ipv4({ source: '10.64.0.1', destination: server })
        .udp({ sourcePort: 1024, destinationPort: 9 })
        .payload(new Uint8Array(18))
        .bytes();
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      view.setInt32(RUN, runField(1), true);
      view.setUint32(NUMBER, number, true);
      view.setUint16(GROUP, 3, true);
      return bytes;
    });
    expect(await sendFrames(network.client, frames)).toBe(frames.length);
    const counts = { packets: 8, duplicates: 1, reordered: 1, missing: 3 };
    expect(await receiver.read()).toMatchObject(counts);
    await receiver.reset();
    const nothing = { packets: 0, duplicates: 0, reordered: 0, missing: 0, longestGapNs: 0 };
    expect(await receiver.read()).toMatchObject(nothing);
    await receiver.stop();
  });

  it('is TCP connections that a real server takes to their end', async () => {
    const [host] = network.servers;
    const web = await startNginx(host, { port: 80 });
    const { rate: _rate, packets: _packets, ...place } = traffic;
    for (const request of [undefined, 'GET / HTTP/1.0\r\n\r\n']) {
      const capture = await startCapture(host.namespace, 'eth0', 'tcp port 80');
      const options = { ...place, destinationPort: 80, rate: 500, seconds: 1, patienceMs: 1000 };
      const client = await startTcpClient({ ...options, request });
      const report = await client.report;
      await capture.stop();
      print(`TCP connections, ${request ?? 'ended at once'}`, report);
      const { opened, accepted, finished, reset, payloadBytes } = report;
      expect(opened).toBeGreaterThan(0);
      // Sent again counts again, so there may be more.
      expect(accepted).toBeGreaterThanOrEqual(opened);
      expect(finished).toBeGreaterThanOrEqual(opened);
      expect(reset).toBe(0);
      // The kernel's own may be 0xffff, once in 65,536 segments, which tshark takes for bad.
      const ours = badChecksums(capture.file).filter(({ destination }) => destination === server);
      expect(ours).toEqual([]);
      if (request === undefined) expect(payloadBytes).toBe(0);
      else {
        const answers = countPackets(capture.file, 'http.response.code == 200');
        expect(answers).toBeGreaterThanOrEqual(opened);
      }
      expect(report.finishLatency.p50).toBeGreaterThan(report.connectLatency.p50);
    }
    // Nothing is left open at the server.
    const left = network.run(host, 'ss', ['-Htn', 'state', 'connected', 'exclude', 'time-wait']);
    expect(left.stdout).toBe('');
    await web.stop();
  });

  it('says why a program could not run', async () => {
    const wrong = { ...traffic, interface: 'nowhere0' };
    await expect(startTraffic(wrong).report).rejects.toThrow(
      /packet-generator has ended.*nowhere0/s,
    );
    const place = { namespace: network.switchNamespace, interface: 'nowhere0' };
    await expect(startReceiver(place)).rejects.toThrow(/packet-receiver has ended.*nowhere0/s);
  });
});
