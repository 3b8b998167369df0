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

/** How many times as many reports as are taken a server may send before it is cut off. */
const BORNE_FACTOR = 10;
const BORNE_AT_ONCE = 1000;
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
    const rate = this.reportsPerSecond;
    const taken = new TokenBucket(rate, rate, this.context.now());
    const borne = new TokenBucket(BORNE_FACTOR * rate, BORNE_AT_ONCE, this.context.now());
    this.stream = new GrpcStream({
      address,
      port,
      path: STREAM_CORE_METRICS,
      request: encodeOrcaRequest(intervalMs),
      timeoutMs,
      largestMessageBytes: MAX_ORCA_REPORT_BYTES,
      silenceMs: Math.max(3 * intervalMs, SHORTEST_SILENCE_MS),
      onMessage: (message) => {
        const nowMs = this.context.now();
        const detail = `more than ${rate} reports per second`;
        if (!borne.take(nowMs)) this.fail(`it sends far ${detail}`);
        else if (taken.take(nowMs)) this.take(message);
        else this.context.rejected(rejection('too-often', detail));
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
