// Measures the requests of a Node HTTP server while it serves them: how many end per second, how
// long they took, how many failed, how many are under way, and how busy the event loop was
// meanwhile. A server that answers all requests in one thread is full when its event loop has no
// idle moment, whatever the machine's CPUs do.
//
// Invariant: one number per request under way and some sums; nothing is kept of a request that has
// ended.

import type { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import type { LoadFigures } from '../load/load-report.ts';

/** What a request's answer must be able to do: that of node:http, and of what is built on it. */
interface AnswerLike extends EventEmitter {
  readonly statusCode: number;
}

/** A server of node:http, node:https, or anything with their events. */
export type WatchedServer = Pick<EventEmitter, 'prependListener' | 'off'>;

export interface RequestMeterOptions {
  /** 'event-loop', 'concurrency' (requests under way over the most at once) or 'none'. */
  readonly utilization: 'event-loop' | 'concurrency' | 'none';
  /** Requests that the application can work on at once, for 'concurrency'. */
  readonly concurrency: number;
}

/** Counts over all servers that it watches. */
export class RequestMeter {
  private readonly options: RequestMeterOptions;
  private readonly watched = new Set<WatchedServer>();
  private ended = 0;
  private failed = 0;
  private totalMs = 0;
  private underWay = 0;
  /** Requests under way, summed over time: milliseconds. */
  private underWayMs = 0;
  private changedAtMs = performance.now();
  private takenAtMs = performance.now();
  private loop = performance.eventLoopUtilization();

  constructor(options: RequestMeterOptions) {
    this.options = options;
  }

  /** Begins to count the requests of a server; a second time changes nothing. */
  watch(server: WatchedServer): void {
    if (this.watched.has(server)) return;
    this.watched.add(server);
    // Before the application's own listener, whose work is to be measured.
    server.prependListener('request', this.begin);
  }

  unwatch(): void {
    for (const server of this.watched) server.off('request', this.begin);
    this.watched.clear();
  }

  /** The figures since the last call, which begin anew with it. */
  take(): LoadFigures {
    const nowMs = performance.now();
    this.spend(nowMs);
    const elapsedMs = nowMs - this.takenAtMs;
    const figures: { -readonly [figure in keyof LoadFigures]: number } = {};
    if (this.watched.size > 0 && elapsedMs > 0) {
      figures.requestsPerSecond = (this.ended * 1000) / elapsedMs;
      figures.errorsPerSecond = (this.failed * 1000) / elapsedMs;
      if (this.ended > 0) figures.executionTimeMs = this.totalMs / this.ended;
    }
    const utilization = this.utilization(elapsedMs);
    if (utilization !== undefined) figures.applicationUtilization = utilization;
    this.takenAtMs = nowMs;
    this.ended = 0;
    this.failed = 0;
    this.totalMs = 0;
    this.underWayMs = 0;
    return figures;
  }

  private utilization(elapsedMs: number): number | undefined {
    const loop = performance.eventLoopUtilization();
    const since = performance.eventLoopUtilization(loop, this.loop);
    this.loop = loop;
    if (this.options.utilization === 'event-loop') return since.utilization;
    if (this.options.utilization === 'none' || elapsedMs <= 0) return undefined;
    return this.underWayMs / elapsedMs / this.options.concurrency;
  }

  private readonly begin = (_request: unknown, answer: AnswerLike): void => {
    const beganMs = performance.now();
    this.spend(beganMs);
    this.underWay++;
    // 'close' comes once for each, also when the client went away before the answer.
    answer.once('close', () => {
      const nowMs = performance.now();
      this.spend(nowMs);
      this.underWay--;
      this.ended++;
      this.totalMs += nowMs - beganMs;
      if (answer.statusCode >= 500) this.failed++;
    });
  };

  private spend(nowMs: number): void {
    this.underWayMs += this.underWay * (nowMs - this.changedAtMs);
    this.changedAtMs = nowMs;
  }
}
