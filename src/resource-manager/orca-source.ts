// Load reports of a server that speaks ORCA: the gRPC call xds.service.orca.v3.OpenRcaService/
// StreamCoreMetrics, by which the server sends its load at the interval that we ask for, or at a longer
// one if it says so. When the stream ends it is opened again, later after each failure.
// Source: xds/service/orca/v3/orca.proto; the messages are read in src/load/orca.ts.
// Invariant: one connection at a time; no more than `reportsPerSecond` reports pass, and a server that
// sends far more is cut off.

import {
  decodeOrcaReport,
  encodeOrcaRequest,
  figuresOfOrca,
  MAX_ORCA_REPORT_BYTES,
  STREAM_CORE_METRICS,
} from '../load/orca.ts';
import { isRejection, rejection } from '../load/rejections.ts';
import { GrpcStream } from './grpc-stream.ts';
import { pauseMs } from './poll-loop.ts';
import type { PolledSource, SourceContext } from './settings.ts';
import { TokenBucket } from './token-bucket.ts';

/** Reports too many, one after the other, after which the server is cut off. */
const MOST_SURPLUS_REPORTS = 1000;
/** A server may report less often than it was asked to (gRPC's own: every 30 s) and is well. */
const SHORTEST_SILENCE_MS = 5000;
/** Failures that a server without this method counts for: it is asked as rarely as can be. */
const UNIMPLEMENTED_FAILURES = 10;

export class OrcaSource implements PolledSource {
  private readonly context: SourceContext;
  private readonly reportsPerSecond: number;
  private stream: GrpcStream | undefined;
  private timer: NodeJS.Timeout | undefined;
  private failures = 0;

  constructor(context: SourceContext, reportsPerSecond: number) {
    this.context = context;
    this.reportsPerSecond = reportsPerSecond;
    const { intervalMs } = context.settings;
    this.timer = setTimeout(() => this.open(), intervalMs * context.random());
  }

  stop(): void {
    clearTimeout(this.timer);
    this.stream?.close();
  }

  private open(): void {
    const { address, port, intervalMs, timeoutMs } = this.context.settings;
    const bucket = new TokenBucket(
      this.reportsPerSecond,
      this.reportsPerSecond,
      this.context.now(),
    );
    let surplus = 0;
    this.stream = new GrpcStream({
      address,
      port,
      path: STREAM_CORE_METRICS,
      request: encodeOrcaRequest(intervalMs),
      timeoutMs,
      largestMessageBytes: MAX_ORCA_REPORT_BYTES,
      silenceMs: Math.max(3 * intervalMs, SHORTEST_SILENCE_MS),
      onMessage: (message) => {
        if (bucket.take(this.context.now())) {
          surplus = 0;
          this.take(message);
          return;
        }
        const detail = `more than ${this.reportsPerSecond} reports per second`;
        this.context.rejected(rejection('too-often', detail));
        if (++surplus > MOST_SURPLUS_REPORTS) this.fail(`it sends far ${detail}`);
      },
      onEnd: (reason, isUnimplemented) => this.fail(reason, isUnimplemented),
    });
  }

  private take(message: Buffer): void {
    const report = decodeOrcaReport(message);
    if (isRejection(report)) {
      this.context.rejected(report);
      this.fail(`it sends what is not a load report: ${report.detail}`);
      return;
    }
    this.failures = 0;
    const figures = figuresOfOrca(report);
    if (isRejection(figures)) {
      // The next one may be good: it stays connected.
      this.context.rejected(figures);
      this.context.outcome(`${figures.rejected}: ${figures.detail}`);
      return;
    }
    this.context.outcome();
    this.context.report(figures);
  }

  /** Closes what is open, and opens it again later. */
  private fail(reason: string, isUnimplemented = false): void {
    this.stream?.close();
    this.failures = isUnimplemented ? UNIMPLEMENTED_FAILURES : this.failures + 1;
    this.context.outcome(reason);
    const { intervalMs } = this.context.settings;
    this.timer = setTimeout(
      () => this.open(),
      pauseMs(intervalMs, this.failures, this.context.random()),
    );
  }
}
