// A load client that misses nothing: N connections, each asking again and again, in sequence. It
// speaks HTTP/1.1 on bare sockets, because a client library would open a new connection behind our
// back where one has broken, and the broken ones are what we want to count.
// It runs as a process of its own in a client's namespace and writes one JSON line per interval to
// standard output, and a last one at the end or on SIGTERM (http-load-report.ts holds their shape).
// A connection is *broken* when it ends by error or by the other side without an announcement; a
// request *fails* when it is not answered in full and with 2xx in time; a connection has *moved* when
// two answers on it came from different servers, which must never be.
// Run as: http-load.js '{"host":"10.1.0.100", …}' (HttpLoadOptions as JSON).

import { connect, type Socket } from 'node:net';
import {
  emptyLoadReport,
  type HttpLoadOptions,
  LatencyHistogram,
  type LoadReport,
} from './http-load-report.ts';

/** Connections that may be on their way at once, so that the server's backlog is not what we test. */
const CONNECTING_LIMIT = 128;
const RETRY_DELAY_MS = 50;
const HEAD_END = Buffer.from('\r\n\r\n');

const given = JSON.parse(process.argv[2] ?? '{}') as HttpLoadOptions;
const settings = {
  host: given.host,
  port: given.port ?? 80,
  path: given.path ?? '/',
  connections: given.connections ?? 10,
  mode: given.mode ?? 'keep-alive',
  pauseMs: given.pauseMs ?? 0,
  timeoutMs: given.timeoutMs ?? 5000,
  intervalMs: given.intervalMs ?? 1000,
  durationMs: given.durationMs ?? 0,
  requests: given.requests ?? 0,
};

const keepAlive = settings.mode === 'keep-alive';
const requestText = [
  `GET ${settings.path} HTTP/1.1`,
  `Host: ${settings.host}`,
  `Connection: ${keepAlive ? 'keep-alive' : 'close'}`,
  '\r\n',
].join('\r\n');

const startMs = performance.now();
const report: LoadReport = emptyLoadReport();
const latencies = new LatencyHistogram();
const open = new Set<LoadConnection>();
let connecting = 0;
let stopping = false;
let finished = false;
let issued = 0;
let lastAnswerMs = startMs;

interface Answer {
  status: number;
  server: string;
  closes: boolean;
  /** Bytes of head and body together. */
  length: number;
}

/** Reads an answer from the start of the bytes received; undefined while it is not complete. */
function parseAnswer(bytes: Buffer): Answer | undefined {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return undefined;
  const head = bytes.toString('latin1', 0, end);
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0);
  const bodyLength = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
  if (status === 0 || Number.isNaN(bodyLength))
    return { status: 0, server: '', closes: true, length: end };
  const length = end + HEAD_END.length + bodyLength;
  if (bytes.length < length) return undefined;
  const body = () =>
    bytes
      .toString('latin1', end + HEAD_END.length, length)
      .trim()
      .slice(0, 40);
  const server = /\r\nx-backend: *([^\r]+)/i.exec(head)?.[1] ?? body();
  return { status, server, closes: /\r\nconnection: *close/i.test(head), length };
}

function countFailure(reason: string): void {
  report.failures[reason] = (report.failures[reason] ?? 0) + 1;
}

function mayIssue(): boolean {
  return !stopping && (settings.requests === 0 || issued < settings.requests);
}

type State = 'connecting' | 'idle' | 'waiting' | 'ended';

/** One TCP connection, from its SYN to its end. `onEnd` is told whether it ended as it should. */
class LoadConnection {
  readonly #socket: Socket;
  readonly #onEnd: (well: boolean) => void;
  #state: State = 'connecting';
  #received: Buffer = Buffer.alloc(0);
  #sentMs = 0;
  #server = '';
  #moved = false;
  #timer: NodeJS.Timeout;

  constructor(onEnd: (well: boolean) => void) {
    this.#onEnd = onEnd;
    connecting += 1;
    this.#socket = connect({ host: settings.host, port: settings.port, noDelay: true });
    this.#timer = setTimeout(() => this.#end('timeout'), settings.timeoutMs);
    this.#socket.on('connect', () => {
      connecting -= 1;
      report.connectionsOpened += 1;
      report.open += 1;
      this.#state = 'idle';
      this.#request();
    });
    this.#socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#end(error.code ?? 'error'));
    this.#socket.on('close', () => this.#end('closed'));
  }

  /** The load is over: a request on its way is waited for, anything else ends now. */
  finish(): void {
    if (this.#state !== 'waiting') this.#end(undefined);
  }

  #request(): void {
    if (this.#state !== 'idle') return;
    clearTimeout(this.#timer);
    if (!mayIssue()) {
      this.#end(undefined);
      return;
    }
    issued += 1;
    this.#state = 'waiting';
    this.#sentMs = performance.now();
    this.#timer = setTimeout(() => this.#end('timeout'), settings.timeoutMs);
    this.#socket.write(requestText);
  }

  #receive(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    const answer = parseAnswer(this.#received);
    if (answer === undefined) return;
    const whole = answer.status !== 0 && answer.length === this.#received.length;
    if (this.#state !== 'waiting' || !whole) {
      this.#end('malformed');
      return;
    }
    clearTimeout(this.#timer);
    this.#received = Buffer.alloc(0);
    this.#state = 'idle';
    this.#account(answer);
    if (answer.closes || !keepAlive || stopping) this.#end(undefined);
    else if (settings.pauseMs === 0) this.#request();
    else this.#timer = setTimeout(() => this.#request(), settings.pauseMs);
  }

  #account(answer: Answer): void {
    const now = performance.now();
    latencies.record(now - this.#sentMs);
    report.longestSilenceMs = Math.max(report.longestSilenceMs, now - lastAnswerMs);
    lastAnswerMs = now;
    if (answer.status < 200 || answer.status > 299) {
      report.failedRequests += 1;
      countFailure(`status ${answer.status}`);
      return;
    }
    report.requests += 1;
    report.perServer[answer.server] = (report.perServer[answer.server] ?? 0) + 1;
    if (this.#server !== '' && this.#server !== answer.server && !this.#moved) {
      this.#moved = true;
      report.movedConnections += 1;
    }
    this.#server = answer.server;
  }

  /** `reason` undefined: as it should be. */
  #end(reason: string | undefined): void {
    const before = this.#state;
    if (before === 'ended') return;
    this.#state = 'ended';
    clearTimeout(this.#timer);
    this.#socket.destroy();
    if (before === 'connecting') connecting -= 1;
    else report.open -= 1;
    if (reason !== undefined) {
      if (before === 'connecting') report.connectErrors += 1;
      else report.brokenConnections += 1;
      if (before === 'waiting') report.failedRequests += 1;
      countFailure(before === 'connecting' ? `connect ${reason}` : reason);
    }
    this.#onEnd(reason === undefined);
  }
}

/** Whether another connection would find a request left for it. */
function mayOpen(): boolean {
  return (
    mayIssue() && (keepAlive || settings.requests === 0 || issued + connecting < settings.requests)
  );
}

/** Keeps one place of the N filled with a connection, until the load is over. */
function fillPlace(): void {
  if (!mayOpen()) {
    finishIfDone();
    return;
  }
  if (connecting >= CONNECTING_LIMIT) {
    setTimeout(fillPlace, 1);
    return;
  }
  const connection: LoadConnection = new LoadConnection((well) => {
    open.delete(connection);
    if (well && keepAlive) setImmediate(fillPlace);
    else setTimeout(fillPlace, well ? settings.pauseMs : RETRY_DELAY_MS);
  });
  open.add(connection);
}

function printReport(final: boolean): void {
  report.final = final;
  report.elapsedMs = performance.now() - startMs;
  report.latencyMs.median = latencies.percentile(0.5);
  report.latencyMs.p99 = latencies.percentile(0.99);
  report.latencyMs.maximum = latencies.maximum;
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function finishIfDone(): void {
  if (finished || open.size > 0 || mayIssue()) return;
  finished = true;
  clearInterval(interval);
  clearTimeout(durationTimer);
  const silence = performance.now() - lastAnswerMs;
  if (!stopping) report.longestSilenceMs = Math.max(report.longestSilenceMs, silence);
  printReport(true);
}

function stop(): void {
  if (stopping) return;
  stopping = true;
  for (const connection of [...open]) connection.finish();
  setImmediate(finishIfDone);
}

const interval = setInterval(() => printReport(false), settings.intervalMs);
const durationTimer = settings.durationMs > 0 ? setTimeout(stop, settings.durationMs) : undefined;
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
// The first line tells the lab that from now on a signal ends the load in good order.
printReport(false);
for (let place = 0; place < settings.connections; place += 1) fillPlace();
