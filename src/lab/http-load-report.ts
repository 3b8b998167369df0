// What the load client (http-load.ts) is told and what it tells: the two sides are different
// processes, so the shape of what goes between them stands here, once.
// All counts run from the start of the load, never reset.

export interface HttpLoadOptions {
  host: string;
  /** Default 80. */
  port?: number;
  /** Default '/'. */
  path?: string;
  /** Connections held open, or in mode 'new' busy at the same time. Default 10. */
  connections?: number;
  /** Many requests on each connection, or a new connection for each. Default 'keep-alive'. */
  mode?: 'keep-alive' | 'new';
  /** Pause of each connection between an answer and the next request. Default 0. */
  pauseMs?: number;
  /** An answer that takes longer has failed, and its connection is given up. Default 5000. */
  timeoutMs?: number;
  /** Between two reports. Default 1000. */
  intervalMs?: number;
  /** 0: until stopped. Default 0. */
  durationMs?: number;
  /** Requests in all; 0: no limit. Default 0. */
  requests?: number;
}

export interface LoadReport {
  /** The last report of all? */
  final: boolean;
  elapsedMs: number;
  /** Connections open now. */
  open: number;
  connectionsOpened: number;
  /** Connections that could not be made. */
  connectErrors: number;
  /** Connections that ended by error, by timeout, or by the other side unannounced. */
  brokenConnections: number;
  /** Connections on which answers came from more than one server. */
  movedConnections: number;
  /** Requests answered in full with 2xx. */
  requests: number;
  /** Requests sent and not answered so; not those whose connection could not be made. */
  failedRequests: number;
  /** Failures and connect errors, by errno name or by 'timeout', 'closed', 'status 502' …. */
  failures: Record<string, number>;
  /** Requests answered, by server. */
  perServer: Record<string, number>;
  latencyMs: { median: number; p99: number; maximum: number };
  /** The longest time in which no answer at all came. */
  longestSilenceMs: number;
}

export function emptyLoadReport(): LoadReport {
  return {
    final: false,
    elapsedMs: 0,
    open: 0,
    connectionsOpened: 0,
    connectErrors: 0,
    brokenConnections: 0,
    movedConnections: 0,
    requests: 0,
    failedRequests: 0,
    failures: {},
    perServer: {},
    latencyMs: { median: 0, p99: 0, maximum: 0 },
    longestSilenceMs: 0,
  };
}

const SMALLEST_MS = 0.01;
const GROWTH = 1.05;
const BUCKETS = 400;

/** Latencies in buckets that grow by 5 %, from 10 µs to beyond an hour. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;
  #maximum = 0;

  record(milliseconds: number): void {
    const ratio = Math.max(milliseconds, SMALLEST_MS) / SMALLEST_MS;
    const bucket = Math.min(BUCKETS - 1, Math.floor(Math.log(ratio) / Math.log(GROWTH)));
    this.#counts[bucket] += 1;
    this.#total += 1;
    this.#maximum = Math.max(this.#maximum, milliseconds);
  }

  get maximum(): number {
    return this.#maximum;
  }

  /** The latency that this part (0 to 1) of all stays under, to 5 %; 0 when there are none. */
  percentile(part: number): number {
    if (this.#total === 0) return 0;
    let left = Math.ceil(this.#total * part);
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      left -= this.#counts[bucket];
      if (left <= 0) return Math.min(this.#maximum, SMALLEST_MS * GROWTH ** (bucket + 1));
    }
    return this.#maximum;
  }
}
