// ORCA from a real gRPC server (@grpc/grpc-js), and from servers that are none or mean no good.

import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { decodeOrcaRequest, encodeOrcaReport, STREAM_CORE_METRICS } from '../load/orca.ts';
import { OrcaSource } from './orca-source.ts';
import type { PolledSettings } from './settings.ts';
import { recordingContext } from './source.harness.ts';

const PATIENCE = { timeout: 20_000, interval: 20 };
const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

type Call = ServerWritableStream<Buffer, Buffer>;

/** A gRPC server whose StreamCoreMetrics is `handler`. @returns its port */
function grpcServer(handler: (call: Call) => void, port = 0): Promise<[GrpcServer, number]> {
  const server = new GrpcServer({ 'grpc.max_send_message_length': -1 });
  const asIs = (bytes: Buffer) => bytes;
  const method = {
    path: STREAM_CORE_METRICS,
    requestStream: false,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService({ StreamCoreMetrics: method }, { StreamCoreMetrics: handler });
  endings.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve([server, bound]);
      else reject(error);
    });
  });
}

/** Reports as servers do: at once and then at the interval that was asked for. */
function reporter(cpuUtilization: () => number) {
  return (call: Call): void => {
    const request = decodeOrcaRequest(call.request);
    if (!('reportIntervalMs' in request)) throw new Error(request.detail);
    const write = () => {
      call.write(
        encodeOrcaReport({ cpuUtilization: cpuUtilization(), rpsFractional: 12.5, eps: 1 }),
      );
    };
    write();
    const timer = setInterval(write, request.reportIntervalMs);
    call.on('cancelled', () => clearInterval(timer));
    call.on('close', () => clearInterval(timer));
  };
}

function ask(port: number, settings: Partial<PolledSettings> = {}, reportsPerSecond = 1000) {
  const context = recordingContext(port, { source: 'orca', ...settings });
  const source = new OrcaSource(context, reportsPerSecond);
  endings.push(() => source.stop());
  return context;
}

function tcpServer(onConnection: Parameters<typeof createServer>[1]): Promise<number> {
  const server: Server = createServer(onConnection);
  endings.push(() => server.close());
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function http2Server(setUp: (server: Http2Server) => void): Promise<number> {
  const server = createHttp2Server();
  setUp(server);
  endings.push(() => server.close());
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

describe('OrcaSource', () => {
  it('gets reports at the interval that it asks for, over one stream', async () => {
    let calls = 0;
    let cpu = 0.25;
    const report = reporter(() => cpu);
    const [, port] = await grpcServer((call) => {
      calls++;
      report(call);
    });
    const { reports, outcomes } = ask(port, { intervalMs: 30 });
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(5), PATIENCE);
    expect(reports[0].figures).toEqual({
      cpuUtilization: 0.25,
      requestsPerSecond: 12.5,
      errorsPerSecond: 1,
    });
    cpu = 1.5;
    await vi.waitFor(() => expect(reports.at(-1)?.figures.cpuUtilization).toBe(1.5), PATIENCE);
    expect(calls).toBe(1);
    expect(outcomes.every((outcome) => outcome === undefined)).toBe(true);
  });

  it('says what is wrong while the server is away, and comes back with it', async () => {
    const [server, port] = await grpcServer(reporter(() => 0.5));
    const { reports, outcomes } = ask(port);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(1), PATIENCE);
    server.forceShutdown();
    await vi.waitFor(() => expect(outcomes.at(-1)).toMatch(/ECONNREFUSED/), PATIENCE);
    const count = reports.length;
    await grpcServer(
      reporter(() => 0.75),
      port,
    );
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(count + 2), PATIENCE);
    expect(reports.at(-1)?.figures.cpuUtilization).toBe(0.75);
    expect(outcomes.at(-1)).toBeUndefined();
  });

  it('shows that a server has no such method, and asks it rarely', async () => {
    const server = new GrpcServer();
    endings.push(() => server.forceShutdown());
    let asked = 0;
    const port = await new Promise<number>((resolve) => {
      const credentials = ServerCredentials.createInsecure();
      server.bindAsync('127.0.0.1:0', credentials, (_, bound) => resolve(bound));
    });
    const { outcomes } = ask(port, { intervalMs: 200 });
    await vi.waitFor(() => expect(outcomes.length).toBeGreaterThan(0), PATIENCE);
    asked = outcomes.length;
    expect(outcomes[0]).toContain('UNIMPLEMENTED');
    expect(asked).toBe(1);
  });

  it('counts figures that cannot be, and stays for the next ones', async () => {
    let calls = 0;
    const [, port] = await grpcServer((call) => {
      calls++;
      for (const cpuUtilization of [Number.NaN, -1, 1e308, Number.POSITIVE_INFINITY, 0.5]) {
        call.write(encodeOrcaReport({ cpuUtilization }));
      }
    });
    const { reports, rejections } = ask(port);
    await vi.waitFor(() => expect(reports.length).toBe(1), PATIENCE);
    const reasons = rejections.map(({ rejected }) => rejected);
    expect(reasons).toEqual(['not-a-number', 'negative', 'out-of-range', 'not-a-number']);
    expect(calls).toBe(1);
  });

  it.each([
    ['10 MB', Buffer.alloc(10_000_000), /10000000 bytes/],
    ['garbage', Buffer.from('ffffffffffffffffff', 'hex'), /not a load report/],
  ])('ends a stream with a message of %s, and opens it again', async (_, message, expected) => {
    let calls = 0;
    const [, port] = await grpcServer((call) => {
      if (calls++ === 0) call.write(message);
      else reporter(() => 0.5)(call);
    });
    const { reports, outcomes } = ask(port);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), PATIENCE);
    expect(outcomes[0]).toMatch(expected);
    expect(calls).toBe(2);
  });

  it('takes as many reports as are allowed, and cuts off who floods', async () => {
    const [, port] = await grpcServer((call) => {
      const report = encodeOrcaReport({ cpuUtilization: 0.5 });
      for (let i = 0; i < 3000; i++) call.write(report);
    });
    const { reports, rejections, outcomes } = ask(port, {}, 20);
    const flooded = () => outcomes.find((outcome) => outcome?.includes('far more than 20'));
    await vi.waitFor(() => expect(flooded()).toBeDefined(), PATIENCE);
    expect(reports.length).toBeLessThan(200);
    expect(rejections[0].rejected).toBe('too-often');
  });

  it('shows the status with which a call fails', async () => {
    const [, port] = await grpcServer((call) => {
      call.emit('error', { code: 7, details: 'not for you \u001b[31m' });
    });
    const { outcomes } = ask(port);
    await vi.waitFor(() => expect(outcomes.length).toBeGreaterThan(0), PATIENCE);
    expect(outcomes[0]).toMatch(/^gRPC status 7: not for you/);
    expect(outcomes[0]).not.toContain('\u001b');
  });

  it.each([
    ['closes at once', /./, (socket: Socket) => socket.destroy()],
    ['speaks HTTP/1', /./, (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    // Connected, but not alive: it does not answer a PING either.
    ['is silent', /PING/, () => {}],
  ])('reports nothing of a server that %s', async (_, expected, behave) => {
    const port = await tcpServer((socket) => {
      socket.on('error', () => {});
      endings.push(() => socket.destroy());
      behave(socket);
    });
    const { reports, outcomes } = ask(port, { timeoutMs: 200 });
    await vi.waitFor(() => expect(outcomes.length).toBeGreaterThan(0), PATIENCE);
    expect(outcomes[0]).toMatch(expected);
    expect(reports).toEqual([]);
  });

  it('says of a web server that it is no gRPC server', async () => {
    const port = await http2Server((server) => {
      server.on('stream', (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'text/html' });
        stream.end('<html>');
      });
    });
    const { outcomes } = ask(port);
    await vi.waitFor(() => expect(outcomes[0]).toContain("'text/html', not gRPC"), PATIENCE);
  });
});
