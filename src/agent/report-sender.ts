// Sends signed reports by UDP to one or more resource managers. Nobody acknowledges a datagram; the
// next report, a second later, replaces a lost one. What can be known is known: a host that refuses
// the port answers with ICMP, and a name may not resolve. Both are told once when they begin and
// once when they end.
//
// Invariant: sequence numbers rise over all datagrams of one sender, and its boot id is its own; so a
// resource manager can tell an old datagram from a new one, also after a restart.

import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import {
  type BackendLoad,
  BOOT_ID_BYTES,
  MAX_REPORT_BACKENDS,
  reportBytes,
  signReport,
} from '../load/signed-report.ts';
import type { Endpoint } from './listening.ts';

/** A datagram of this size goes through every Ethernet and tunnel in one piece. */
const UNFRAGMENTED_BYTES = 1200;
/** After that a name is looked up again, and a broken socket is made anew. */
const RENEWAL_MS = 60_000;
const RETRY_MS = 2_000;
/** As many reports without an error mean that there is none any more. */
const GOOD_SENDS = 3;

export interface ReportSenderOptions {
  readonly agent: string;
  /** At least 16 bytes. */
  readonly key: Uint8Array;
  readonly to: readonly Endpoint[];
  /** Called when a destination begins or ceases to fail. */
  readonly onChange: (destination: string, problem: string | undefined) => void;
  /** Whether its sockets keep the process running. */
  readonly keepsRunning: boolean;
}

/** Signs and sends. */
export class ReportSender {
  readonly bootId = randomBytes(BOOT_ID_BYTES).toString('hex');
  sequence = 0;
  private readonly options: ReportSenderOptions;
  private readonly destinations: readonly Destination[];

  constructor(options: ReportSenderOptions) {
    this.options = options;
    this.destinations = options.to.map((endpoint) => new Destination(endpoint, options));
  }

  /** Sends a report about these backends now, in as many datagrams as it takes. */
  send(backends: readonly BackendLoad[]): void {
    const { agent, key } = this.options;
    for (const part of inDatagrams(agent, backends)) {
      this.sequence++;
      const { bootId, sequence } = this;
      const report = { agent, bootId, sequence, wallClockMs: Date.now(), backends: part };
      const bytes = signReport(report, key);
      for (const destination of this.destinations) destination.send(bytes);
    }
  }

  stop(): void {
    for (const destination of this.destinations) destination.close();
  }
}

/** Cuts a list so that each part fits into one packet, or has one backend. */
export function inDatagrams(agent: string, backends: readonly BackendLoad[]): BackendLoad[][] {
  const parts: BackendLoad[][] = [];
  for (const backend of backends) {
    const last = parts.at(-1);
    const isRoom =
      last !== undefined &&
      last.length < MAX_REPORT_BACKENDS &&
      reportBytes(agent, [...last, backend]) <= UNFRAGMENTED_BYTES;
    if (isRoom) last.push(backend);
    else parts.push([backend]);
  }
  return parts;
}

class Destination {
  private readonly endpoint: Endpoint;
  private readonly name: string;
  private readonly options: ReportSenderOptions;
  private socket: Socket | undefined;
  private isOpening = false;
  private isClosed = false;
  private renewAtMs = 0;
  private problem: string | undefined;
  private goodSends = 0;

  constructor(endpoint: Endpoint, options: ReportSenderOptions) {
    this.endpoint = endpoint;
    this.options = options;
    const { address, port } = endpoint;
    this.name = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  }

  send(bytes: Buffer): void {
    if (performance.now() >= this.renewAtMs && !this.isOpening) void this.open();
    this.socket?.send(bytes, (error) => {
      if (error !== null) this.failed(error);
      else if (this.problem !== undefined && ++this.goodSends >= GOOD_SENDS) this.works();
    });
  }

  close(): void {
    this.isClosed = true;
    this.socket?.close();
    this.socket = undefined;
  }

  /** A connected socket hears of ICMP errors, and looks a name up once and not for each datagram. */
  private async open(): Promise<void> {
    this.isOpening = true;
    try {
      const { address, family } = await resolve(this.endpoint.address);
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
      if (!this.options.keepsRunning) socket.unref();
      socket.on('error', (error) => this.failed(error));
      await new Promise<void>((done, fail) => {
        socket.connect(this.endpoint.port, address, (error?: Error | null) =>
          error ? fail(error) : done(),
        );
      });
      if (this.isClosed) return void socket.close();
      this.socket?.close();
      this.socket = socket;
      // An address that was given as such does not change.
      const isName = isIP(this.endpoint.address) === 0;
      this.renewAtMs = isName ? performance.now() + RENEWAL_MS : Number.POSITIVE_INFINITY;
    } catch (error) {
      this.renewAtMs = performance.now() + RETRY_MS;
      this.failed(error as Error);
    } finally {
      this.isOpening = false;
    }
  }

  private failed(error: Error): void {
    const problem = (error as NodeJS.ErrnoException).code ?? error.message;
    this.goodSends = 0;
    if (this.isClosed || problem === this.problem) return;
    this.problem = problem;
    // The network may have changed under the socket: a refusal alone does not say so.
    if (problem !== 'ECONNREFUSED') {
      this.renewAtMs = Math.min(this.renewAtMs, performance.now() + RETRY_MS);
    }
    this.options.onChange(this.name, problem);
  }

  private works(): void {
    this.problem = undefined;
    this.options.onChange(this.name, undefined);
  }
}

async function resolve(address: string): Promise<{ address: string; family: number }> {
  const family = isIP(address);
  return family === 0 ? await lookup(address) : { address, family };
}

/** '10.2.0.9:7360', 'manager.example:7360', '[2001:db8::1]:7360'; undefined when it is none. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, ipv6, host, digits] = match;
  const port = Number(digits);
  if (port < 1 || port > 65_535) return undefined;
  if (ipv6 !== undefined && isIP(ipv6) !== 6) return undefined;
  // What looks like an IPv4 address is one.
  if (host !== undefined && /^[0-9.]+$/.test(host) && isIP(host) !== 4) return undefined;
  return { address: ipv6 ?? host, port };
}
