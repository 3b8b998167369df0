// The resource manager's end of the feed (feed-protocol.ts): masters connect here, prove that they have
// the key, and get every report from then on, beginning with the newest of each backend. Several masters
// can be connected. A report's age is sent, not a time: the clocks of two hosts are different.
// For a master that reads slowly, no reports wait but the newest of each backend, which is all that it
// needs; one that does not read at all for STUCK_MS is cut off.
// Invariant: at most MOST_CONNECTIONS connections; for each at most LARGEST_BACKLOG_BYTES and a line. Who has not
// proved the key keeps nobody out: the longest waiting of them goes when one more comes.

import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { LoadReport, ReportSink } from '../load/load-report.ts';
import { BoundedLog } from './bounded-log.ts';
import {
  asciiJson,
  type Challenges,
  FEED_VERSION,
  FeedSession,
  HANDSHAKE_MS,
  HEARTBEAT_MS,
  isChallenge,
  isSame,
  LineReader,
  LONGEST_HANDSHAKE_LINE,
  newChallenge,
  parseObject,
  proofOf,
} from './feed-protocol.ts';
import type { ManagerLog } from './settings.ts';

/** Masters and those who try to be one. */
export const MOST_CONNECTIONS = 32;
export const LARGEST_BACKLOG_BYTES = 64 * 1024;
export const STUCK_MS = 5000;
const RETRY_MS = 2000;
/** What is older is of no use to a master that connects. */
const OLDEST_MS = 600_000;

export interface FeedServerOptions {
  readonly listen: { readonly address: string; readonly port: number };
  /** Keys that are good now: two while one is being replaced by the next. */
  readonly keys: readonly Uint8Array[];
  readonly log: ManagerLog;
  /** Monotonic milliseconds: the clock of the reports. */
  now(): number;
}

export interface FeedServerStatistics {
  /** Masters that have proved the key. */
  readonly masters: number;
  readonly refused: number;
  readonly cutOff: number;
}

interface Peer {
  readonly socket: Socket;
  readonly challenge: string;
  session?: FeedSession;
  /** Backends whose newest report it has not been sent yet. */
  readonly waiting: Set<string>;
  /** Since when nothing of its backlog could be sent; undefined while there is none. */
  stuckSinceMs?: number;
}

export class FeedServer implements ReportSink {
  private readonly options: FeedServerOptions;
  private readonly log: ManagerLog;
  private readonly boot = randomBytes(8).toString('hex');
  private readonly newest = new Map<string, LoadReport>();
  private readonly peers = new Set<Peer>();
  private keys: readonly Uint8Array[];
  private server: Server | undefined;
  private heartbeat: NodeJS.Timeout | undefined;
  private retry: NodeJS.Timeout | undefined;
  private isStopped = false;
  private hasComplained = false;
  private refused = 0;
  private cutOff = 0;

  constructor(options: FeedServerOptions) {
    this.options = options;
    this.log = new BoundedLog(options.log, () => options.now());
    this.keys = options.keys;
  }

  /** Resolves after the first attempt to listen; a failed one is logged and made again. */
  start(): Promise<void> {
    this.heartbeat ??= setInterval(() => this.beat(), HEARTBEAT_MS);
    return new Promise((resolve) => {
      const { address, port } = this.options.listen;
      const server = createServer((socket) => this.greet(socket));
      // Those that are being ended count until they are gone.
      server.maxConnections = 2 * MOST_CONNECTIONS;
      server.on('error', (error) => {
        this.failed(error.message);
        resolve();
      });
      server.listen({ host: address, port }, () => {
        this.server = server;
        this.hasComplained = false;
        this.log.info(`masters are served at TCP ${address}:${this.port}`);
        resolve();
      });
    });
  }

  stop(): void {
    this.isStopped = true;
    clearInterval(this.heartbeat);
    clearTimeout(this.retry);
    this.server?.close();
    for (const { socket } of this.peers) socket.destroy();
  }

  /** The port that it has; undefined while it does not listen. */
  get port(): number | undefined {
    const address = this.server?.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  /** Other keys, for connections to come; forgets backends that are not among these. */
  update(keys: readonly Uint8Array[], backends: ReadonlySet<string>): void {
    this.keys = keys;
    for (const backend of this.newest.keys()) {
      if (!backends.has(backend)) this.newest.delete(backend);
    }
  }

  /** Sends a report to all masters. Reports are about the backends of the settings, so bounded. */
  accept(report: LoadReport): void {
    this.newest.set(report.backend, report);
    for (const peer of this.peers) {
      if (peer.session === undefined) continue;
      peer.waiting.add(report.backend);
      this.sendWaiting(peer);
    }
  }

  statistics(): FeedServerStatistics {
    const masters = [...this.peers].filter(({ session }) => session !== undefined).length;
    return { masters, refused: this.refused, cutOff: this.cutOff };
  }

  private failed(message: string): void {
    if (this.isStopped) return;
    const { address, port } = this.options.listen;
    const what = `masters cannot be served at TCP ${address}:${port}: ${message}`;
    if (!this.hasComplained) this.log.warning(what);
    this.hasComplained = true;
    this.retry = setTimeout(() => void this.start(), RETRY_MS);
  }

  /** @returns whether there is room for one more */
  private makeRoom(): boolean {
    if (this.peers.size < MOST_CONNECTIONS) return true;
    for (const peer of this.peers) {
      if (peer.session !== undefined) continue;
      this.refuse(peer, 'others wait, and it has not proved the key');
      this.peers.delete(peer);
      return true;
    }
    return false;
  }

  private greet(socket: Socket): void {
    if (!this.makeRoom()) {
      socket.destroy();
      return;
    }
    const peer: Peer = { socket, challenge: newChallenge(), waiting: new Set() };
    const lines = new LineReader();
    const limit = setTimeout(() => this.refuse(peer, 'it does not speak'), HANDSHAKE_MS);
    this.peers.add(peer);
    socket.setEncoding('latin1');
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(limit);
      this.peers.delete(peer);
      if (peer.session !== undefined) this.log.info(`master ${nameOf(socket)} is gone`);
    });
    socket.on('data', (piece) => {
      const isGood = lines.push(
        String(piece),
        () => LONGEST_HANDSHAKE_LINE,
        (line) => {
          clearTimeout(limit);
          this.answer(peer, line);
        },
      );
      if (!isGood) this.refuse(peer, 'its first line is too long');
    });
    socket.on('drain', () => {
      delete peer.stuckSinceMs;
      this.sendWaiting(peer);
    });
    const { challenge } = peer;
    socket.write(`${JSON.stringify({ weir: 'feed', version: FEED_VERSION, challenge })}\n`);
  }

  /** A master says one line, its proof, and nothing else. */
  private answer(peer: Peer, line: string): void {
    // Lines behind one that was refused may have come with it.
    if (peer.socket.destroyed) return;
    const said = parseObject(line);
    if (peer.session !== undefined || !isChallenge(said?.challenge)) {
      this.refuse(peer, 'it does not speak as a master does');
      return;
    }
    const challenges: Challenges = [peer.challenge, said.challenge];
    const key = this.keys.find((each) => isSame(proofOf('master', each, challenges), said.proof));
    if (key === undefined) {
      this.refuse(peer, 'it does not have the key');
      return;
    }
    peer.session = new FeedSession(key, challenges);
    this.log.info(`master ${nameOf(peer.socket)} is connected`);
    peer.socket.write(`${JSON.stringify({ proof: proofOf('manager', key, challenges) })}\n`);
    for (const backend of this.newest.keys()) peer.waiting.add(backend);
    this.sendWaiting(peer);
  }

  private refuse(peer: Peer, why: string): void {
    if (peer.socket.destroyed) return;
    this.refused++;
    this.log.warning(`a connection of ${nameOf(peer.socket)} is refused: ${why}`);
    peer.socket.destroy();
  }

  private ageMs(report: LoadReport): number {
    return Math.max(0, Math.round(this.options.now() - report.receivedAtMs));
  }

  private reportLine(report: LoadReport): string {
    const { receivedAtMs: _, ...content } = report;
    const ageMs = this.ageMs(report);
    return asciiJson({ report: content, boot: this.boot, ageMs });
  }

  /** Once per second: a sign of life, and the end for who does not read. */
  private beat(): void {
    const nowMs = this.options.now();
    for (const peer of this.peers) {
      if (peer.stuckSinceMs === undefined) this.send(peer, '{"heartbeat":1}');
      else if (nowMs - peer.stuckSinceMs > STUCK_MS) {
        this.cutOff++;
        this.log.warning(`master ${nameOf(peer.socket)} does not read: it is cut off`);
        peer.socket.destroy();
      }
    }
  }

  private sendWaiting(peer: Peer): void {
    for (const backend of peer.waiting) {
      if (peer.socket.writableLength >= LARGEST_BACKLOG_BYTES) return;
      peer.waiting.delete(backend);
      const report = this.newest.get(backend);
      if (report !== undefined && this.ageMs(report) < OLDEST_MS) {
        this.send(peer, this.reportLine(report));
      }
    }
  }

  private send(peer: Peer, json: string): void {
    const { socket, session } = peer;
    if (session === undefined || socket.destroyed) return;
    const isRead = socket.write(session.sign(json), 'latin1');
    if (!isRead) peer.stuckSinceMs ??= this.options.now();
  }
}

function nameOf(socket: Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}
