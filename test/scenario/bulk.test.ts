// Much data through the switch, both ways: a file of 200 MB must arrive byte by byte, and in a smaller
// transfer everything that client and server receive is captured and judged by tshark, which may
// not find one bad checksum. That it would find one is shown on the same capture with two bits changed.

import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { badChecksums, type Capture, countPackets, startCapture } from '../../src/lab/capture.ts';
import { cleanAll, makeScratchFolder } from '../../src/lab/clean-up.ts';
import { execute } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const LARGE_BYTES = 200_000_000;
const SMALL_BYTES = 8_000_000;
const LARGEST_SEGMENT_BYTES = 1460;
const CURL_SECONDS = 100;

const PCAP_HEADER_BYTES = 24;
const PCAP_RECORD_BYTES = 16;
const ETHERNET_BYTES = 14;
const TTL_OFFSET = 8;

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest('hex');
}

/** Where each frame of a capture file begins, and its length. */
function framesOf(bytes: Buffer): { start: number; length: number }[] {
  const frames = [];
  for (let at = PCAP_HEADER_BYTES; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    frames.push({ start: at + PCAP_RECORD_BYTES, length });
    at += PCAP_RECORD_BYTES + length;
  }
  return frames;
}

describeOnKinds('bulk transfer', ['nginx', 'curl', 'dumpcap', 'tshark'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;
  /** On the client's disk, and what the server serves and keeps. */
  let sent: string;
  let served: string;
  let url: string;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 1 });
    const [server] = network.servers;
    sent = makeScratchFolder('sent');
    served = join(makeScratchFolder('served'), 'files');
    mkdirSync(served);
    await startNginx(server, { port: 8080, folder: served, upload: true });
    const backends = [{ name: server.name, address: server.address, port: 8080 }];
    const web = { name: 'web', address: network.virtualAddress, protocol: 'tcp', port: 80 };
    const config = switchConfiguration(network, { kind, services: [{ ...web, backends }] });
    weir = await WeirProcess.start(network.switchNamespace, config);
    url = `http://${network.virtualAddress}/files`;
  });

  afterAll(() => cleanAll());

  /** Runs curl and gives the mean speed in bytes per second. */
  function transfer(args: string[]): number {
    const report = ['--write-out', '%{http_code} %{speed_download} %{speed_upload}'];
    const common = ['--silent', '--show-error', '--max-time', String(CURL_SECONDS), ...report];
    const { stdout } = execute('curl', [...common, ...args], {
      namespace: network.client.namespace,
      timeoutMs: (CURL_SECONDS + 10) * 1000,
    });
    const [status, down, up] = stdout.split(' ').map(Number);
    expect([200, 201]).toContain(status);
    return Math.max(down, up);
  }

  const upload = (file: string, name: string) => transfer(['-T', file, `${url}/${name}`]);
  const download = (name: string, file: string) => transfer(['-o', file, `${url}/${name}`]);

  it('carries 200 MB there and back, byte by byte', async () => {
    const content = randomBytes(LARGE_BYTES);
    const original = join(sent, 'large');
    writeFileSync(original, content);
    const hash = createHash('sha256').update(content).digest('hex');
    const up = upload(original, 'large');
    expect(await sha256(join(served, 'large'))).toBe(hash);
    const down = download('large', join(sent, 'large-again'));
    expect(await sha256(join(sent, 'large-again'))).toBe(hash);
    print(`bulk on ${kind}`, { megabytesPerSecond: { up: up / 1e6, down: down / 1e6 } });
    const [backend] = (await weir.status()).services[0].backends;
    expect(backend.bytesIn).toBeGreaterThan(LARGE_BYTES);
    expect(backend.bytesOut).toBeGreaterThan(LARGE_BYTES);
  });

  /** Captures a smaller transfer both ways, as the client and as the server see it. */
  async function captureTransfer(): Promise<Capture[]> {
    const original = join(sent, 'small');
    writeFileSync(original, randomBytes(SMALL_BYTES));
    const captures = await Promise.all([
      startCapture(network.client.namespace, 'eth0', 'ip'),
      startCapture(network.servers[0].namespace, 'eth0', 'ip'),
    ]);
    upload(original, 'small');
    download('small', join(sent, 'small-again'));
    await Promise.all(captures.map((capture) => capture.stop()));
    expect(await sha256(join(sent, 'small-again'))).toBe(await sha256(original));
    return captures;
  }

  it('sends no packet with a bad checksum, and tshark would see one', async () => {
    const [atClient, atServer] = await captureTransfer();
    const received: Record<string, number> = {};
    for (const [host, capture, port] of [
      ['client', atClient, 80],
      ['server', atServer, 8080],
    ] as const) {
      expect(capture.dropped).toBe(0);
      expect(badChecksums(capture.file)).toEqual([]);
      const direction = host === 'client' ? `tcp.srcport == ${port}` : `tcp.dstport == ${port}`;
      received[host] = countPackets(capture.file, `${direction} && tcp.len > 0`);
      expect(received[host]).toBeGreaterThanOrEqual(SMALL_BYTES / LARGEST_SEGMENT_BYTES);
    }
    print(`bulk on ${kind}`, { segmentsJudged: received });

    const bytes = readFileSync(atServer.file);
    const frames = framesOf(bytes);
    const segment = frames.findIndex(({ length }) => length > 1000);
    const header = frames.length - 1;
    // The last bit of a segment's data; the time to live of another packet, which only the IPv4
    // checksum covers.
    bytes[frames[segment].start + frames[segment].length - 1] ^= 1;
    bytes[frames[header].start + ETHERNET_BYTES + TTL_OFFSET] ^= 1;
    const changed = join(sent, 'changed.pcap');
    writeFileSync(changed, bytes);
    const found = badChecksums(changed).map(({ frameNumber }) => frameNumber - 1);
    expect(found).toEqual([segment, header]);
  });

  it('accounts for every packet', async () => {
    const status = await expectBalanced(weir);
    print(`bulk on ${kind}`, { reasons: status.totals.reasons });
  });
});
