// Answers ORCA's out-of-band requests: gRPC without TLS over node:http2, one method, a stream of
// OrcaLoadReport at the interval that the client asks for ("gRPC over HTTP2";
// xds.service.orca.v3.OpenRcaService).
//
// Invariant: memory and work are bounded: sessions, streams of each, bytes of a request, time to
// send it, how often a report is sent, and what waits for a client that does not read.

import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { frameGrpcMessage, GrpcMessageReader } from '../load/grpc-message.ts';
import type { LoadFigures } from '../load/load-report.ts';
import {
  decodeOrcaRequest,
  encodeOrcaReport,
  MAX_ORCA_REQUEST_BYTES,
  orcaOfFigures,
  STREAM_CORE_METRICS,
} from '../load/orca.ts';
import { isRejection, type Rejection } from '../load/rejections.ts';
import { type AcceptCount, type Endpoint, listen, stopListening } from './listening.ts';

export const MAX_SESSIONS = 32;
export const MAX_STREAMS = 16;
/** What a client may ask for; what it asks beyond is taken as the bound. */
export const FASTEST_INTERVAL_MS = 100;
export const SLOWEST_INTERVAL_MS = 60_000;
const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_SESSION_MS = 30_000;
/** Reports that wait for a client which does not read; the others are left out. */
const MAX_WAITING_BYTES = 65_536;
/** A client that has not read for so many reports is gone. */
const MOST_SKIPPED = 60;

const GRPC_OK = 0;
const GRPC_INVALID_ARGUMENT = 3;
const GRPC_UNIMPLEMENTED = 12;
const GRPC_UNAVAILABLE = 14;

/** Serves from `start` to `stop`. */
export class OrcaServer {
  private readonly server: Http2Server;
  private readonly endpoint: Endpoint;
  private readonly figures: () => LoadFigures;
  private readonly usualIntervalMs: number;
  private readonly sockets = new Set<Socket>();
  private readonly streams = new Set<ServerHttp2Stream>();

  /**
   * @param figures the present ones of the backend that is spoken for
   * @param usualIntervalMs for clients that name no interval
   */
  constructor(
    endpoint: Endpoint,
    figures: () => LoadFigures,
    usualIntervalMs: number,
    count: AcceptCount,
  ) {
    this.endpoint = endpoint;
    this.figures = figures;
    this.usualIntervalMs = usualIntervalMs;
    this.server = createServer({
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: 16_384 },
      maxSessionMemory: 1,
      maxSessionInvalidFrames: 10,
    });
    this.server.maxConnections = MAX_SESSIONS;
    this.server.on('connection', (socket: Socket) => {
      count.accepted++;
      this.sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.server.on('session', (session) => watchSession(session));
    this.server.on('stream', (stream, headers) => this.takeStream(stream, headers));
    this.server.on('sessionError', () => undefined);
  }

  /** @returns the port @throws SystemError when the port cannot be opened */
  start(): Promise<number> {
    return listen(this.server, this.endpoint);
  }

  async stop(): Promise<void> {
    for (const stream of this.streams) refuse(stream, GRPC_UNAVAILABLE, 'the agent stops');
    // A turn for the trailers to leave.
    await new Promise((resolve) => setImmediate(resolve));
    await stopListening(this.server, this.sockets);
  }

  private takeStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.streams.add(stream);
    stream.on('error', () => stream.destroy());
    stream.on('close', () => this.streams.delete(stream));
    const type = headers['content-type'] ?? '';
    if (headers[':method'] !== 'POST' || !/^application\/grpc(?:[+;]|$)/.test(type)) {
      stream.respond({ ':status': 415 }, { endStream: true });
    } else if (headers[':path'] !== STREAM_CORE_METRICS) {
      refuse(stream, GRPC_UNIMPLEMENTED, 'only OpenRcaService/StreamCoreMetrics is here');
    } else this.receive(stream);
  }

  private receive(stream: ServerHttp2Stream): void {
    const reader = new GrpcMessageReader(MAX_ORCA_REQUEST_BYTES);
    const timer = setTimeout(() => stream.destroy(), REQUEST_TIMEOUT_MS);
    stream.on('close', () => clearTimeout(timer));
    let hasBegun = false;
    const end = (problem: Rejection) => {
      clearTimeout(timer);
      hasBegun = true;
      refuse(stream, GRPC_INVALID_ARGUMENT, `${problem.rejected}: ${problem.detail}`);
    };
    stream.on('data', (chunk: Buffer) => {
      if (hasBegun) return;
      const messages = reader.push(chunk);
      if (isRejection(messages)) return end(messages);
      if (messages.length === 0) return;
      const request = decodeOrcaRequest(messages[0]);
      if (isRejection(request)) return end(request);
      clearTimeout(timer);
      hasBegun = true;
      this.serve(stream, this.intervalMs(request.reportIntervalMs));
    });
    stream.on('end', () => {
      if (!hasBegun) end({ rejected: 'malformed', detail: 'there is no request' });
    });
  }

  private intervalMs(askedMs: number): number {
    const wantedMs = askedMs === 0 ? this.usualIntervalMs : askedMs;
    return Math.min(SLOWEST_INTERVAL_MS, Math.max(FASTEST_INTERVAL_MS, wantedMs));
  }

  private serve(stream: ServerHttp2Stream, intervalMs: number): void {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers(trailers(GRPC_OK, '')));
    let skipped = 0;
    const send = () => {
      if (stream.writableLength <= MAX_WAITING_BYTES) {
        skipped = 0;
        stream.write(frameGrpcMessage(encodeOrcaReport(orcaOfFigures(this.figures()))));
      } else if (++skipped > MOST_SKIPPED) stream.close(constants.NGHTTP2_CANCEL);
    };
    send();
    const timer = setInterval(send, intervalMs);
    stream.on('close', () => clearInterval(timer));
  }
}

function watchSession(session: ServerHttp2Session): void {
  session.on('error', () => session.destroy());
  // A session with a stream is never idle: reports are sent on it.
  session.setTimeout(IDLE_SESSION_MS + SLOWEST_INTERVAL_MS, () => session.close());
}

function trailers(status: number, message: string) {
  return { 'grpc-status': String(status), 'grpc-message': encodeURI(message) };
}

/** Ends a stream with a status. */
function refuse(stream: ServerHttp2Stream, status: number, message: string): void {
  if (stream.destroyed || stream.closed) return;
  if (stream.headersSent) {
    stream.removeAllListeners('wantTrailers');
    stream.on('wantTrailers', () => stream.sendTrailers(trailers(status, message)));
    stream.end();
    return;
  }
  const type = { ':status': 200, 'content-type': 'application/grpc' };
  stream.respond({ ...type, ...trailers(status, message) }, { endStream: true });
  // What it still sends is not wanted.
  stream.close(constants.NGHTTP2_NO_ERROR);
}
