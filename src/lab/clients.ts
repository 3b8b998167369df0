// Real clients in the namespaces of the lab: curl, wrk, dig, iperf3, and the load client of our own
// (http-load.ts) that counts broken connections exactly. Each function runs one on a host and gives
// what it found as numbers; a server that refuses is a result, not an exception.

import { createInterface } from 'node:readline';
import { WeirError } from '../base/errors.ts';
import { execute, type LabProcess, startLabProgram, waitUntil } from './command.ts';
import type { HttpLoadOptions, LoadReport } from './http-load-report.ts';
import type { LabHost } from './network.ts';

export interface CurlResult {
  /** curl's own exit code: 0, or for instance 7 for a refused connection, 28 for a timeout. */
  exitCode: number;
  /** HTTP status, 0 without an answer. */
  status: number;
  body: string;
  /** By name in lower case. */
  headers: Record<string, string>;
  seconds: number;
  error: string;
}

const WRITE_OUT_MARK = '\n@curl ';

/** One request with curl. `args` are added, for instance `['-T', file]` or `['--interface', ip]`. */
export function curl(
  host: LabHost,
  url: string,
  args: string[] = [],
  timeoutSeconds = 5,
): CurlResult {
  const options = ['--silent', '--show-error', '--include', '--noproxy', '*'];
  options.push('--max-time', String(timeoutSeconds));
  options.push('--write-out', `${WRITE_OUT_MARK}%{http_code} %{time_total} %{size_header}`);
  const { namespace } = host;
  const timeoutMs = (timeoutSeconds + 5) * 1000;
  const result = execute('curl', [...options, ...args, url], {
    namespace,
    mayFail: true,
    timeoutMs,
  });
  const cut = result.stdout.lastIndexOf(WRITE_OUT_MARK);
  const text = cut < 0 ? '' : result.stdout.slice(0, cut);
  const mark = cut < 0 ? '0 0 0' : result.stdout.slice(cut + WRITE_OUT_MARK.length);
  const [status, seconds, headerSize] = mark.split(' ').map(Number);
  const headers: Record<string, string> = {};
  for (const line of text.slice(0, headerSize).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const body = text.slice(headerSize);
  return { exitCode: result.status, status, body, headers, seconds, error: result.stderr.trim() };
}

export interface WrkOptions {
  /** Default 16. */
  connections?: number;
  /** Default 1. */
  threads?: number;
  /** Default 3. */
  seconds?: number;
  /** A new connection for each request. Default false. */
  newConnections?: boolean;
}

export interface WrkResult {
  requests: number;
  requestsPerSecond: number;
  bytesPerSecond: number;
  seconds: number;
  /** Answers that were not 2xx or 3xx. */
  badAnswers: number;
  socketErrors: { connect: number; read: number; write: number; timeout: number };
  latencyMs: { p50: number; p75: number; p90: number; p99: number };
}

const TIME_UNITS_MS: Record<string, number> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
const SIZE_UNITS: Record<string, number> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 };

function numberAfter(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? 0);
}

function percentileMs(text: string, percent: number): number {
  const match = new RegExp(`\\n\\s+${percent}%\\s+([\\d.]+)(us|ms|s|m)`).exec(text);
  return match === null ? 0 : Number(match[1]) * TIME_UNITS_MS[match[2]];
}

/** Reads what wrk prints at its end. */
export function parseWrk(text: string): WrkResult {
  const totals = /(\d+) requests in ([\d.]+)(ms|s|m),/.exec(text);
  if (totals === null) throw new WeirError('ERR_LAB', `wrk gave no result: ${text}`, '');
  const transfer = /Transfer\/sec:\s+([\d.]+)([KMG]?B)/.exec(text);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const [connect, read, write, timeout] = (errors?.slice(1) ?? [0, 0, 0, 0]).map(Number);
  return {
    requests: Number(totals[1]),
    requestsPerSecond: numberAfter(text, /Requests\/sec:\s+([\d.]+)/),
    bytesPerSecond: transfer === null ? 0 : Number(transfer[1]) * SIZE_UNITS[transfer[2]],
    seconds: (Number(totals[2]) * TIME_UNITS_MS[totals[3]]) / 1000,
    badAnswers: numberAfter(text, /Non-2xx or 3xx responses: (\d+)/),
    socketErrors: { connect, read, write, timeout },
    latencyMs: {
      p50: percentileMs(text, 50),
      p75: percentileMs(text, 75),
      p90: percentileMs(text, 90),
      p99: percentileMs(text, 99),
    },
  };
}

/** Runs wrk to its end. */
export function wrk(host: LabHost, url: string, options: WrkOptions = {}): WrkResult {
  const seconds = options.seconds ?? 3;
  const args = ['--latency', '--duration', `${seconds}s`];
  args.push('--connections', String(options.connections ?? 16));
  args.push('--threads', String(options.threads ?? 1));
  if (options.newConnections) args.push('--header', 'Connection: close');
  const timeoutMs = (seconds + 20) * 1000;
  const { stdout } = execute('wrk', [...args, url], { namespace: host.namespace, timeoutMs });
  return parseWrk(stdout);
}

export interface DnsAnswer {
  name: string;
  /** 'NOERROR', 'NXDOMAIN', … or 'NO ANSWER' when none came in time. */
  status: string;
  answers: string[];
}

export interface DigOptions {
  port?: number;
  /** Default 'A'. */
  type?: string;
  tcp?: boolean;
  /** Default 2; a query is sent once. */
  timeoutSeconds?: number;
}

/** Asks for many names with one run of dig; each query comes from a UDP port of its own. */
export function dig(
  host: LabHost,
  server: string,
  names: string[],
  options: DigOptions = {},
): DnsAnswer[] {
  const type = options.type ?? 'A';
  const timeoutSeconds = options.timeoutSeconds ?? 2;
  const input = names.map((name) => `${name} ${type}`).join('\n');
  const args = [`@${server}`, '-p', String(options.port ?? 53), '-f', '-', '-4'];
  args.push(`+timeout=${timeoutSeconds}`, '+tries=1', '+nocookie', options.tcp ? '+tcp' : '+notcp');
  const { stdout } = execute('dig', args, {
    namespace: host.namespace,
    input: `${input}\n`,
    mayFail: true,
    timeoutMs: (names.length * timeoutSeconds + 5) * 1000,
  });
  return parseDig(stdout, names);
}

/** Reads dig's full output for several names, in their order. */
export function parseDig(text: string, names: string[]): DnsAnswer[] {
  // Each query that was answered has a header; what timed out has none, so answers go by name.
  const byName = new Map<string, DnsAnswer[]>();
  for (const part of text.split(/^;; Got answer:$/m).slice(1)) {
    const name = /^;(\S+)\.\s+IN/m.exec(part)?.[1] ?? '';
    const status = /status: (\w+)/.exec(part)?.[1] ?? 'NO ANSWER';
    const section = /;; ANSWER SECTION:\n([\s\S]*?)\n\n/.exec(part)?.[1] ?? '';
    const lines = section.split('\n').filter((line) => line !== '');
    const answers = lines.map((line) => line.split(/\s+/).slice(4).join(' ').replaceAll('"', ''));
    byName.set(name, [...(byName.get(name) ?? []), { name, status, answers }]);
  }
  return names.map(
    (name) => byName.get(name)?.shift() ?? { name, status: 'NO ANSWER', answers: [] },
  );
}

export interface Iperf3Result {
  bytes: number;
  bitsPerSecond: number;
  /** Segments sent again (TCP). */
  retransmits: number;
  /** Datagrams lost (UDP). */
  lost: number;
}

/** Runs iperf3's client side; `args` are added, for instance `['--udp', '-b', '10M']`. */
export function iperf3(
  host: LabHost,
  server: string,
  seconds = 2,
  args: string[] = [],
): Iperf3Result {
  const options = ['--client', server, '--time', String(seconds), '--json', ...args];
  const timeoutMs = (seconds + 20) * 1000;
  const { stdout } = execute('iperf3', options, {
    namespace: host.namespace,
    mayFail: true,
    timeoutMs,
  });
  const result = JSON.parse(stdout);
  if (result.error !== undefined) throw new WeirError('ERR_LAB', `iperf3: ${result.error}`, '');
  const sum = result.end.sum_received ?? result.end.sum;
  return {
    bytes: sum.bytes,
    bitsPerSecond: sum.bits_per_second,
    retransmits: result.end.sum_sent?.retransmits ?? 0,
    lost: result.end.sum?.lost_packets ?? 0,
  };
}

/** A running load client. */
export class HttpLoad {
  readonly process: LabProcess;
  /** The newest report; undefined before the first. */
  latest: LoadReport | undefined;
  readonly #closed: Promise<void>;

  /** Starts the load from a host. `onReport` is told of every report, the last included. */
  constructor(host: LabHost, options: HttpLoadOptions, onReport?: (report: LoadReport) => void) {
    this.process = startLabProgram('http-load', [JSON.stringify(options)], {
      namespace: host.namespace,
      pipeOutput: true,
    });
    const lines = createInterface({ input: this.process.child.stdout! });
    lines.on('line', (line) => {
      this.latest = JSON.parse(line) as LoadReport;
      onReport?.(this.latest);
    });
    this.#closed = new Promise((resolve) => lines.once('close', resolve));
  }

  /** Waits for the end of a load that has one (`durationMs` or `requests`). */
  async finished(): Promise<LoadReport> {
    await this.process.exited;
    await this.#closed;
    if (this.latest?.final !== true) {
      throw new WeirError('ERR_LAB', 'the load client ended without its last report', '');
    }
    return this.latest;
  }

  /** Ends the load; requests on their way are waited for and counted. */
  async stop(): Promise<LoadReport> {
    const isUp = () => this.latest !== undefined || !this.process.isRunning();
    await waitUntil('the load client has started', isUp);
    this.process.child.kill('SIGTERM');
    return this.finished();
  }
}
