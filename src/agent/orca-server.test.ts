// The agent's ORCA server, asked by the client of @grpc/grpc-js with gRPC's own definitions; then
// by clients that do not keep to them.

import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientReadableStream, credentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import {
  STREAM_CORE_METRICS_METHOD as METHOD,
  type ReferenceReport,
  type ReferenceRequest,
} from '../../test/support/orca-reference.ts';
import { frameGrpcMessage } from '../load/grpc-message.ts';
import type { LoadFigures } from '../load/load-report.ts';
import { encodeOrcaRequest, MAX_ORCA_REQUEST_BYTES, STREAM_CORE_METRICS } from '../load/orca.ts';
import { OrcaServer } from './orca-server.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

let figures: LoadFigures = {};

async function start(): Promise<{ port: number; server: OrcaServer }> {
  const endpoint = { address: '127.0.0.1', port: 0 };
  const server = new OrcaServer(endpoint, () => figures, 200, { accepted: 0 });
  cleanUps.push(() => server.stop());
  return { port: await server.start(), server };
}

/** Asks as gRPC does, and collects. */
function ask(port: number, request: ReferenceRequest, path = METHOD.path) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const stream: ClientReadableStream<ReferenceReport> = client.makeServerStreamRequest(
    path,
    METHOD.requestSerialize,
    METHOD.responseDeserialize,
    request,
  );
  const reports: { report: ReferenceReport; atMs: number }[] = [];
  stream.on('data', (report) => reports.push({ report, atMs: performance.now() }));
  const ended = new Promise<{ code: number; details: string }>((resolve) => {
    stream.on('error', (error) => resolve(error as unknown as { code: number; details: string }));
    stream.on('status', resolve);
  });
  cleanUps.push(() => {
    stream.cancel();
    client.close();
  });
  return { reports, ended, stream };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not come');
    await sleep(10);
  }
}

describe('ORCA', () => {
  it('is answered to the client of gRPC, at the interval that it asks for', async () => {
    const { port } = await start();
    figures = { cpuUtilization: 0.5, requestsPerSecond: 120.5, clients: 7, cpuPressure: 0 };
    const fast = ask(port, { report_interval: { seconds: 0, nanos: 100_000_000 } });
    const slow = ask(port, { report_interval: { seconds: 30 } });
    const usual = ask(port, {});
    await until(() => fast.reports.length >= 10);
    expect(fast.reports[0].report).toEqual({
      cpu_utilization: 0.5,
      rps_fractional: 120.5,
      named_metrics: { 'weir.clients': 7, 'weir.cpu_pressure': 0 },
    });
    expect(slow.reports.length).toBe(1);
    // Every 200 ms, which this server calls usual: about half as many.
    expect(usual.reports.length).toBeLessThan(fast.reports.length);
    const between = fast.reports[9].atMs - fast.reports[0].atMs;
    expect(between).toBeGreaterThan(500);
    figures = { cpuUtilization: 0.75 };
    await until(() => fast.reports.at(-1)?.report.cpu_utilization === 0.75);
  });

  it('is not answered faster than its bound', async () => {
    const { port } = await start();
    const { reports } = ask(port, { report_interval: { nanos: 1 } });
    await sleep(1000);
    expect(reports.length).toBeGreaterThan(1);
    expect(reports.length).toBeLessThan(15);
  });

  it('ends with a status when the agent stops', async () => {
    const { port, server } = await start();
    const { ended, reports } = ask(port, {});
    await until(() => reports.length > 0);
    await server.stop();
    expect((await ended).code).toBe(status.UNAVAILABLE);
  });

  it('has one method, and wants a proper request', async () => {
    const { port } = await start();
    const other = ask(port, {}, '/grpc.health.v1.Health/Watch');
    expect((await other.ended).code).toBe(status.UNIMPLEMENTED);
    const negative = ask(port, { report_interval: { seconds: -1 } });
    expect(await negative.ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'malformed: seconds of the interval',
    });
  });

  it('forgets clients that go away', async () => {
    const { port, server } = await start();
    const { reports, stream } = ask(port, {});
    await until(() => reports.length > 0);
    stream.cancel();
    const streams = (server as unknown as { streams: Set<unknown> }).streams;
    await until(() => streams.size === 0);
  });
});

describe('a client that is none', () => {
  function session(port: number): ClientHttp2Session {
    const opened = connectHttp2(`http://127.0.0.1:${port}`);
    opened.on('error', () => undefined);
    cleanUps.push(() => opened.destroy());
    return opened;
  }

  /** Posts bytes to the method and gives the status of HTTP and of gRPC. */
  function post(port: number, bytes: Uint8Array, headers = {}): Promise<string> {
    return new Promise((resolve) => {
      const stream = session(port).request({
        ':method': 'POST',
        ':path': STREAM_CORE_METRICS,
        'content-type': 'application/grpc',
        ...headers,
      });
      stream.on('response', (answer) => {
        if (answer['grpc-status'] === undefined && answer[':status'] === 200) return;
        resolve(`${answer[':status']} ${answer['grpc-status'] ?? ''}`.trim());
      });
      stream.on('data', () => resolve('reports'));
      stream.on('error', () => undefined);
      stream.on('close', () => resolve('closed'));
      stream.end(bytes);
    });
  }

  it('is refused', async () => {
    const { port } = await start();
    const good = frameGrpcMessage(encodeOrcaRequest(1000));
    expect(await post(port, good)).toBe('reports');
    expect(await post(port, good, { 'content-type': 'text/plain' })).toBe('415');
    expect(await post(port, good, { ':method': 'GET' })).toBe('415');
    const invalid = `200 ${status.INVALID_ARGUMENT}`;
    expect(await post(port, Buffer.alloc(0))).toBe(invalid);
    expect(await post(port, good.subarray(0, 4))).toBe(invalid);
    expect(await post(port, Buffer.from('0100000000', 'hex'))).toBe(invalid);
    expect(await post(port, Buffer.from('00ffffffff', 'hex'))).toBe(invalid);
    const large = Buffer.alloc(MAX_ORCA_REQUEST_BYTES + 1);
    expect(await post(port, frameGrpcMessage(large))).toBe(invalid);
    expect(await post(port, frameGrpcMessage(Buffer.from('0b', 'hex')))).toBe(invalid);
    // And the server is still there.
    expect(await post(port, good)).toBe('reports');
  });

  it('cannot end the server with bytes that are no HTTP/2', async () => {
    const { port } = await start();
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const attempts = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(100_000, 0xff),
      preface,
      Buffer.concat([preface, Buffer.alloc(1000, 0x01)]),
      Buffer.concat([preface, Buffer.from('000000040000000000'.repeat(2000), 'hex')]),
    ];
    for (const bytes of attempts) {
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      socket.on('error', () => undefined);
      await sleep(50);
      socket.destroy();
    }
    expect(await post(port, frameGrpcMessage(encodeOrcaRequest(1000)))).toBe('reports');
  });

  it('that does not read costs a bounded amount of memory', async () => {
    const { port, server } = await start();
    const namedMetrics = { clients: 5, executionTimeMs: 3, requestsPerSecond: 2 };
    figures = namedMetrics;
    const stream = session(port).request({
      ':method': 'POST',
      ':path': STREAM_CORE_METRICS,
      'content-type': 'application/grpc',
    });
    stream.end(frameGrpcMessage(encodeOrcaRequest(100)));
    await sleep(1500);
    const streams = (server as unknown as { streams: Set<{ writableLength: number }> }).streams;
    expect(streams.size).toBe(1);
    for (const each of streams) expect(each.writableLength).toBeLessThan(70_000);
  });
});
