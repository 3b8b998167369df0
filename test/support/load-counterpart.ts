// The other ends of load sources that are asked: a gRPC server with ORCA's out-of-band reports, built with
// @grpc/grpc-js, or an agent as people write them for HAProxy's agent-check. Runs as a process on a server;
// what it says stands in a file, which is read anew for every answer.
// Run as: load-counterpart.js '{"role":"orca","port":9000,"file":"/tmp/…/says"}'

import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { argv, stdout } from 'node:process';
import { Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import { decodeOrcaRequest, encodeOrcaReport, STREAM_CORE_METRICS } from '../../src/load/orca.ts';

export interface LoadCounterpartOptions {
  role: 'orca' | 'agent-check';
  port: number;
  /** orca: a utilisation, 0 to 1; agent-check: a line. */
  file: string;
}

const { role, port, file } = JSON.parse(argv[2]) as LoadCounterpartOptions;
const says = (): string => readFileSync(file, 'utf8').trim();

function begun(): void {
  stdout.write(`${role} on ${port}\n`);
}

function serveAgentCheck(): void {
  createServer((socket) => {
    socket.on('error', () => {});
    socket.end(`${says()}\n`);
  }).listen(port, begun);
}

function serveOrca(): void {
  const server = new Server();
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
  const StreamCoreMetrics = (call: ServerWritableStream<Buffer, Buffer>): void => {
    const request = decodeOrcaRequest(call.request);
    if (!('reportIntervalMs' in request)) throw new Error(request.detail);
    const write = () =>
      call.write(encodeOrcaReport({ cpuUtilization: Number(says()), rpsFractional: 10, eps: 0 }));
    write();
    const timer = setInterval(write, request.reportIntervalMs);
    call.on('cancelled', () => clearInterval(timer));
  };
  server.addService({ StreamCoreMetrics: method }, { StreamCoreMetrics });
  server.bindAsync(`0.0.0.0:${port}`, ServerCredentials.createInsecure(), (error) => {
    if (error !== null) throw error;
    begun();
  });
}

if (role === 'orca') serveOrca();
else serveAgentCheck();
