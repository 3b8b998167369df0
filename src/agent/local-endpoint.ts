// The HTTP endpoint at which applications of this machine tell the agent their load: on 127.0.0.1
// alone, so whoever can run programs here can use it, and nobody else.
//
//   POST /v1/load   {"figures":{"requestsPerSecond":120,"executionTimeMs":4.5}}   → 204, or 4xx {"error":…}
//   GET  /v1/load   what the agent reports now
//
// A page in a browser on this machine must not be able to post: browsers send Origin, programs do
// not.
//
// Invariant: a client costs at most one connection of MAX_CONNECTIONS, 16 KiB and five seconds.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Rejection, rejection } from '../load/rejections.ts';
import { type AcceptCount, listen, stopListening } from './listening.ts';

const ADDRESS = '127.0.0.1';
export const MAX_BODY_BYTES = 16_384;
export const MAX_CONNECTIONS = 256;
const REQUEST_TIMEOUT_MS = 5_000;
/** Longer than the interval of reports, so that a reporter keeps its connection. */
const IDLE_TIMEOUT_MS = 65_000;
const CHECKING_INTERVAL_MS = 1_000;

export interface LocalEndpointOptions {
  readonly port: number;
  /** Takes a post; tells why not. */
  readonly post: (body: unknown) => Rejection | undefined;
  /** What is reported now, as it is to be shown. */
  readonly report: () => object;
  readonly count: AcceptCount;
}

/** Serves from `start` to `stop`. */
export class LocalEndpoint {
  private readonly options: LocalEndpointOptions;
  private readonly server: Server;
  private readonly open = new Set<Socket>();

  constructor(options: LocalEndpointOptions) {
    this.options = options;
    this.server = createServer(
      {
        headersTimeout: REQUEST_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: IDLE_TIMEOUT_MS,
        connectionsCheckingInterval: CHECKING_INTERVAL_MS,
        maxHeaderSize: MAX_BODY_BYTES,
      },
      (request, response) => this.answer(request, response),
    );
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.on('connection', (socket: Socket) => {
      options.count.accepted++;
      this.open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.open.delete(socket));
    });
  }

  /** @returns the port @throws SystemError when the port cannot be opened */
  start(): Promise<number> {
    return listen(this.server, { address: ADDRESS, port: this.options.port });
  }

  stop(): Promise<void> {
    return stopListening(this.server, this.open);
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { url, method, headers } = request;
    if (headers.origin !== undefined) {
      reply(response, 403, { error: 'not for pages in a browser' });
    } else if (url !== '/v1/load') {
      reply(response, 404, { error: 'there is POST and GET /v1/load' });
    } else if (method === 'GET') {
      reply(response, 200, this.options.report());
    } else if (method === 'POST') {
      this.receive(request, response);
    } else {
      reply(response, 405, { error: 'POST or GET' });
    }
  }

  private receive(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = [];
    let length = 0;
    request.on('error', () => undefined);
    request.on('data', (part: Buffer) => {
      length += part.length;
      if (length <= MAX_BODY_BYTES) parts.push(part);
      else if (!response.headersSent) {
        // What still comes is not read: the connection ends with the answer.
        response.setHeader('connection', 'close');
        reply(response, 413, { error: `a body has at most ${MAX_BODY_BYTES} bytes` });
        request.pause();
        response.on('finish', () => request.destroy());
      }
    });
    request.on('end', () => {
      if (!response.headersSent) this.take(Buffer.concat(parts).toString('utf8'), response);
    });
  }

  private take(text: string, response: ServerResponse): void {
    const body = parsed(text);
    const refused =
      body === undefined
        ? rejection('malformed', 'the body is not JSON')
        : this.options.post(body.value);
    if (refused === undefined) response.writeHead(204).end();
    else reply(response, 400, { error: `${refused.rejected}: ${refused.detail}` });
  }
}

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}
