// One server that is asked, with what is known about it: whether it answers, why not, how old its last
// report is. The three kinds of sources are started here; what they share is that they report, and that
// they say how each attempt went. A change from well to not well and back makes one log line.

import type { LoadFigures, LoadWish } from '../load/load-report.ts';
import type { Rejection } from '../load/rejections.ts';
import { startAgentCheck, type WishMemory } from './agent-check-source.ts';
import { startNodeExporter } from './node-exporter-source.ts';
import { OrcaSource } from './orca-source.ts';
import {
  type ManagerLog,
  type PolledSettings,
  type PolledSource,
  type SourceContext,
  serverName,
} from './settings.ts';

export interface SourceStatistics {
  readonly backend: string;
  readonly source: PolledSettings['source'];
  /** 'address:port' */
  readonly identity: string;
  /** waiting: it has not been asked to the end yet. */
  readonly state: 'waiting' | 'ok' | 'failing';
  /** Why it is failing. */
  readonly error: string | null;
  readonly reports: number;
  /** Attempts that failed, and streams that ended. */
  readonly failures: number;
  /** Since its last accepted report; null before the first. */
  readonly lastReportAgeMs: number | null;
}

export interface RunningSourceOptions {
  now(): number;
  random(): number;
  readonly log: ManagerLog;
  readonly reportsPerSecond: number;
  readonly wishes: WishMemory;
  /** Checks a report and hands it over. @returns whether it was accepted */
  accept(figures: LoadFigures, wish?: LoadWish): boolean;
  rejected(rejection: Rejection): void;
}

export class RunningSource {
  private readonly settings: PolledSettings;
  private readonly log: ManagerLog;
  private readonly source: PolledSource;
  private state: SourceStatistics['state'] = 'waiting';
  private error: string | null = null;
  private reports = 0;
  private failures = 0;
  private lastReportAtMs: number | undefined;
  /** What comes after that is not heard: somebody else may speak for the backend by then. */
  private isStopped = false;

  constructor(settings: PolledSettings, options: RunningSourceOptions) {
    this.settings = settings;
    this.log = options.log;
    const context: SourceContext = {
      settings,
      now: () => options.now(),
      random: () => options.random(),
      report: (figures, wish) => {
        if (this.isStopped || !options.accept(figures, wish)) return;
        this.reports++;
        this.lastReportAtMs = options.now();
      },
      rejected: (rejection) => {
        if (!this.isStopped) options.rejected(rejection);
      },
      outcome: (error) => this.outcome(error),
    };
    this.source = startSource(context, options);
  }

  stop(): void {
    this.isStopped = true;
    this.source.stop();
  }

  statistics(nowMs: number): SourceStatistics {
    const { backend, source } = this.settings;
    const { state, error, reports, failures, lastReportAtMs } = this;
    return {
      backend,
      source,
      identity: serverName(this.settings),
      state,
      error,
      reports,
      failures,
      lastReportAgeMs: lastReportAtMs === undefined ? null : Math.round(nowMs - lastReportAtMs),
    };
  }

  private outcome(error: string | undefined): void {
    if (this.isStopped) return;
    const before = this.state;
    this.state = error === undefined ? 'ok' : 'failing';
    this.error = error ?? null;
    if (error !== undefined) this.failures++;
    if (this.state === before) return;
    const name = `${this.settings.source} of ${this.settings.backend} at ${serverName(this.settings)}`;
    if (error !== undefined) this.log.warning(`${name}: ${error}`);
    else this.log.info(before === 'waiting' ? `${name} answers` : `${name} answers again`);
  }
}

function startSource(context: SourceContext, options: RunningSourceOptions): PolledSource {
  switch (context.settings.source) {
    case 'orca':
      return new OrcaSource(context, options.reportsPerSecond);
    case 'agent-check':
      return startAgentCheck(context, options.wishes);
    case 'node-exporter':
      return startNodeExporter(context);
  }
}
