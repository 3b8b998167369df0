// One gRPC call whose answer is a stream of messages, over HTTP/2 without TLS: the little of gRPC that
// ORCA needs, on node:http2. It stays open until the server ends it, something is wrong, or close().
// A server that is silent is asked by an HTTP/2 PING now and then whether it is still there.
// Source: gRPC over HTTP/2; RFC 9113.
// Invariant: onEnd is called exactly once, unless close() came first; nothing is called after either.

import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { frameGrpcMessage, GrpcMessageReader } from '../load/grpc-message.ts';
import { isRejection, printable, type Rejection } from '../load/rejections.ts';

const STATUS_UNIMPLEMENTED = 12;

export interface StreamOptions {
  readonly address: string;
  readonly port: number;
  /** '/package.Service/Method' */
  readonly path: string;
  /** The request message, encoded. */
  readonly request: Uint8Array;
  /** To connect, and to answer a PING. */
  readonly timeoutMs: number;
  /** After this time without a message the server is asked by a PING. */
  readonly silenceMs: number;
  readonly largestMessageBytes: number;
  onMessage(message: Buffer): void;
  /** @param isUnimplemented the server has no such method: asking soon again is of no use */
  onEnd(reason: string, isUnimplemented: boolean): void;
}

export class GrpcStream {
  private readonly options: StreamOptions;
  private readonly session: ClientHttp2Session;
  private hasEnded = false;
  private watch: NodeJS.Timeout;

  constructor(options: StreamOptions) {
    this.options = options;
    const { address, port, timeoutMs, silenceMs } = options;
    // Small limits on what the other side can make us keep: 1 MB for all of the session.
    this.session = connect(`http://${address}:${port}`, {
      settings: { enablePush: false },
      maxSessionMemory: 1,
      maxHeaderListPairs: 64,
    });
    this.watch = setTimeout(() => this.end(`no connection within ${timeoutMs} ms`), timeoutMs);
    this.session.on('connect', () => this.watchFor(silenceMs));
    this.session.on('error', (error) => this.end(error.message));
    this.session.on('goaway', () => this.end('the server closes the connection'));
    this.session.on('close', () => this.end('the connection was closed'));
    this.request();
  }

  /** Ends it without onEnd. */
  close(): void {
    this.hasEnded = true;
    clearTimeout(this.watch);
    this.session.destroy();
  }

  private request(): void {
    const { path, request, largestMessageBytes } = this.options;
    const reader = new GrpcMessageReader(largestMessageBytes);
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', (error) => this.end(error.message));
    stream.on('response', (headers) => this.judgeHeaders(headers));
    stream.on('trailers', (trailers) => this.endWithStatus(trailers));
    stream.on('data', (chunk: Buffer) => this.take(reader.push(chunk)));
    stream.on('close', () => this.end('the server ended the stream'));
    stream.end(frameGrpcMessage(request));
  }

  private take(messages: Buffer[] | Rejection): void {
    if (isRejection(messages)) {
      this.end(messages.detail);
      return;
    }
    for (const message of messages) {
      // Whoever takes a message may close the stream.
      if (this.hasEnded) return;
      this.watchFor(this.options.silenceMs);
      this.options.onMessage(message);
    }
  }

  private judgeHeaders(headers: IncomingHttpHeaders & { ':status'?: number }): void {
    // A call that fails at once has its status here and no trailers.
    if (headers['grpc-status'] !== undefined) this.endWithStatus(headers);
    else if (headers[':status'] !== 200) this.end(`HTTP status ${headers[':status']}`);
    else if (!String(headers['content-type']).startsWith('application/grpc')) {
      this.end(`it answers '${printable(String(headers['content-type']))}', not gRPC`);
    }
  }

  private endWithStatus(headers: IncomingHttpHeaders): void {
    const status = Number(headers['grpc-status']);
    if (status === 0) this.end('the server ended the stream');
    else if (status === STATUS_UNIMPLEMENTED) {
      this.end(`the server has no ${this.options.path} (UNIMPLEMENTED)`, true);
    } else {
      const text = printable(percentDecoded(String(headers['grpc-message'] ?? '')));
      this.end(`gRPC status ${status}${text === '' ? '' : `: ${text}`}`);
    }
  }

  private watchFor(delayMs: number): void {
    if (this.hasEnded) return;
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.ping(), delayMs);
  }

  private ping(): void {
    const { timeoutMs, silenceMs } = this.options;
    this.watch = setTimeout(() => this.end(`no answer to a PING in ${timeoutMs} ms`), timeoutMs);
    const isSent = this.session.ping((error) => {
      if (error === null) this.watchFor(silenceMs);
    });
    if (!isSent) this.end('the connection was closed');
  }

  private end(reason: string, isUnimplemented = false): void {
    if (this.hasEnded) return;
    this.close();
    this.options.onEnd(reason, isUnimplemented);
  }
}

/** As gRPC writes its messages into a header. */
function percentDecoded(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits) =>
    String.fromCharCode(parseInt(digits, 16)),
  );
}
