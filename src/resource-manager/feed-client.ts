// The master's end of the feed (feed-protocol.ts): connects to a resource manager on another host, and
// hands its reports to the same sink that one in the same process would. While there is no connection
// it tries again, later after each failure; without reports the master's own expiry leads back to the
// configured weights, so nothing is decided here.
// Invariant: a report reaches the sink only if the manager has proved the key, the line was signed for
// this session, the figures are within their limits and the backend is one of ours; its time is
// our clock's, less the age that the manager gives, and its sequence rises with each report.

import { connect, type Socket } from 'node:net';
import { LOAD_SOURCES, type LoadReport, type ReportSink } from '../load/load-report.ts';
import { isRejection, printable, type Rejection, rejection } from '../load/rejections.ts';
import { checkContent, checkNumber, isPlainObject } from '../load/report-limits.ts';
import { BoundedLog } from './bounded-log.ts';
import {
  type Challenges,
  FEED_VERSION,
  FeedSession,
  HANDSHAKE_MS,
  HEARTBEAT_MS,
  isChallenge,
  isSame,
  LineReader,
  LONGEST_HANDSHAKE_LINE,
  LONGEST_LINE,
  newChallenge,
  parseObject,
  proofOf,
} from './feed-protocol.ts';
import { pauseMs } from './poll-loop.ts';
import { noRejections, occurred, type RejectionCounts } from './rejection-journal.ts';
import type { ManagerLog } from './settings.ts';

/** Without a line for so long, the manager counts as gone. */
export const SILENCE_MS = 3.5 * HEARTBEAT_MS;
const RETRY_MS = 500;
/** Reports are older than this only if something is wrong; they are of no use either. */
const OLDEST_MS = 3_600_000;
const LONGEST_IDENTITY = 100;

export interface FeedClientOptions {
  readonly address: string;
  readonly port: number;
  readonly key: Uint8Array;
  /** Backends that reports are taken about; of others they are left out. */
  readonly backends: Iterable<string>;
  readonly sink: ReportSink;
  readonly log: ManagerLog;
  /** Monotonic milliseconds: the clock of `receivedAtMs`. */
  now(): number;
  random?(): number;
}

export interface FeedClientStatistics {
  /** connected: the manager has proved the key and is heard. */
  readonly state: 'connecting' | 'connected' | 'stale';
  /** Why it is not connected. */
  readonly error: string | null;
  readonly accepted: number;
  /** Reports about backends that are not ours, and those that were here before. */
  readonly leftOut: number;
  readonly rejected: Readonly<Record<string, number>>;
  /** Since the manager's last line; null before the first. */
  readonly lastHeardAgeMs: number | null;
}

export class FeedClient {
  private readonly options: FeedClientOptions;
  private readonly log: BoundedLog;
  private readonly rejected: RejectionCounts = noRejections();
  /** Of each backend: the manager's boot and sequence last seen, and our sequence. */
  private readonly seen = new Map<string, { boot: string; sequence: number; own: number }>();
  private backends: ReadonlySet<string>;
  private socket: Socket | undefined;
  private session: FeedSession | undefined;
  private timer: NodeJS.Timeout | undefined;
  private state: FeedClientStatistics['state'] = 'connecting';
  private error: string | null = null;
  private failures = 0;
  private accepted = 0;
  private leftOut = 0;
  private heardAtMs: number | undefined;
  private isStopped = false;

  constructor(options: FeedClientOptions) {
    this.options = options;
    this.backends = new Set(options.backends);
    this.log = new BoundedLog(options.log, () => options.now());
  }

  start(): void {
    this.open();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.socket?.destroy();
  }

  /** Takes reports about these backends from now on. */
  update(backends: Iterable<string>): void {
    this.backends = new Set(backends);
    for (const backend of this.seen.keys()) {
      if (!this.backends.has(backend)) this.seen.delete(backend);
    }
  }

  statistics(): FeedClientStatistics {
    const { state, error, accepted, leftOut, heardAtMs } = this;
    const age = heardAtMs === undefined ? null : Math.round(this.options.now() - heardAtMs);
    const rejected = occurred(this.rejected);
    return { state, error, accepted, leftOut, rejected, lastHeardAgeMs: age };
  }

  private get manager(): string {
    return `the resource manager at ${this.options.address}:${this.options.port}`;
  }

  private open(): void {
    const { address, port } = this.options;
    const socket = connect({ host: address, port });
    const lines = new LineReader();
    const handshake = new Handshake(this.options.key);
    let isOver = false;
    const end = (why: string): void => {
      if (isOver) return;
      isOver = true;
      socket.destroy();
      this.lost(why);
    };
    this.socket = socket;
    this.session = undefined;
    this.endAfter(HANDSHAKE_MS, () => end('it does not answer'));
    socket.setEncoding('latin1');
    socket.on('error', (error) => end(error.message));
    socket.on('close', () => end('the connection was closed'));
    socket.on('data', (piece) => {
      const isGood = lines.push(
        String(piece),
        () => (this.session === undefined ? LONGEST_HANDSHAKE_LINE : LONGEST_LINE),
        (line) => {
          const fault = isOver ? undefined : this.hear(line, handshake, socket);
          if (fault !== undefined) end(fault);
          else if (!isOver && this.session) this.endAfter(SILENCE_MS, () => end('it is silent'));
        },
      );
      if (!isGood) end('its lines are too long');
    });
  }

  private endAfter(delayMs: number, end: () => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(end, delayMs);
  }

  private lost(why: string): void {
    clearTimeout(this.timer);
    if (this.isStopped) return;
    if (this.state !== 'stale') this.log.warning(`${this.manager}: ${why}; trying again`);
    this.state = 'stale';
    this.error = why;
    this.session = undefined;
    const random = (this.options.random ?? Math.random)();
    this.timer = setTimeout(() => this.open(), pauseMs(RETRY_MS, this.failures++, random));
  }

  /** @returns why the connection is to be ended */
  private hear(line: string, handshake: Handshake, socket: Socket): string | undefined {
    if (this.session === undefined) {
      const next = handshake.hear(line);
      if (next.fault !== undefined) return next.fault;
      if (next.say !== undefined) socket.write(`${next.say}\n`);
      if (next.session !== undefined) this.connected(next.session);
      return undefined;
    }
    const json = this.session.open(line);
    const said = json === undefined ? undefined : parseObject(json);
    if (said === undefined) return 'a line has no good signature';
    this.heardAtMs = this.options.now();
    if (said.report !== undefined) this.takeReport(said);
    return undefined;
  }

  private connected(session: FeedSession): void {
    this.session = session;
    this.failures = 0;
    this.state = 'connected';
    this.error = null;
    this.log.info(`${this.manager} is connected`);
  }

  private takeReport(said: Record<string, unknown>): void {
    const report = checkReport(said);
    if (isRejection(report)) {
      if (this.rejected[report.rejected]++ === 0) {
        const { rejected, detail } = report;
        this.log.warning(`a report of ${this.manager} is rejected: ${rejected}: ${detail}`);
      }
      return;
    }
    const { boot, ageMs, ...content } = report;
    const before = this.seen.get(content.backend);
    const isKnown = before?.boot === boot && content.sequence <= before.sequence;
    if (isKnown || !this.backends.has(content.backend)) {
      this.leftOut++;
      return;
    }
    const own = (before?.own ?? 0) + 1;
    this.seen.set(content.backend, { boot, sequence: content.sequence, own });
    this.accepted++;
    const receivedAtMs = this.options.now() - ageMs;
    this.options.sink.accept({ ...content, sequence: own, receivedAtMs });
  }
}

interface HandshakeStep {
  readonly fault?: string;
  readonly say?: string;
  readonly session?: FeedSession;
}

/** The master's half of the handshake, one of the manager's lines after the other. */
class Handshake {
  private readonly key: Uint8Array;
  private readonly challenge = newChallenge();
  private challenges: Challenges | undefined;

  constructor(key: Uint8Array) {
    this.key = key;
  }

  hear(line: string): HandshakeStep {
    const said = parseObject(line);
    if (this.challenges === undefined) {
      if (said?.weir !== 'feed' || !isChallenge(said.challenge)) {
        return { fault: 'it is not a resource manager of weir' };
      }
      if (said.version !== FEED_VERSION) return { fault: 'it speaks another version of the feed' };
      this.challenges = [said.challenge, this.challenge];
      const proof = proofOf('master', this.key, this.challenges);
      return { say: JSON.stringify({ challenge: this.challenge, proof }) };
    }
    const expected = proofOf('manager', this.key, this.challenges);
    if (!isSame(expected, said?.proof)) return { fault: 'it does not have the key' };
    return { session: new FeedSession(this.key, this.challenges) };
  }
}

type FeedReport = Omit<LoadReport, 'receivedAtMs'> & { boot: string; ageMs: number };

/** Even who has the key may be broken: what the sink gets is checked here again. */
function checkReport(said: Record<string, unknown>): FeedReport | Rejection {
  const { report, boot } = said;
  if (!isPlainObject(report) || typeof boot !== 'string' || boot.length > 64) {
    return rejection('malformed', 'it is not built as a report of a feed is');
  }
  const { backend, identity, sequence } = report;
  const source = LOAD_SOURCES.find((each) => each === report.source);
  if (typeof backend !== 'string' || typeof identity !== 'string' || source === undefined) {
    return rejection('malformed', 'backend, identity or source is missing');
  }
  const ageMs = checkNumber('ageMs', said.ageMs, OLDEST_MS);
  if (typeof ageMs !== 'number') return ageMs;
  const number = checkNumber('sequence', sequence, Number.MAX_SAFE_INTEGER);
  if (typeof number !== 'number') return number;
  const content = checkContent(report.figures, report.wish);
  if (isRejection(content)) return content;
  const who = printable(identity).slice(0, LONGEST_IDENTITY);
  return { backend, identity: who, source, sequence: number, boot, ageMs, ...content };
}
