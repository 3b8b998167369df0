// What a server says about its load (B1 of the seeds), after it has been received, authenticated
// and checked: the form in which the resource manager hands it to the master (B2), whatever its
// source was. Every figure is optional, because each source knows different ones; a figure that is
// there is finite, not negative and within the range named here (report-limits.ts).

/** Where a report comes from. */
export const LOAD_SOURCES = ['agent', 'orca', 'agent-check', 'node-exporter'] as const;
export type LoadSource = (typeof LOAD_SOURCES)[number];

/** Figures of one server, or of one service on it. */
export interface LoadFigures {
  /** Busy share of all its CPUs: 1 is all of them; what is above 1 waits (ORCA allows it). */
  readonly cpuUtilization?: number;
  /** Used share of its memory, 0 to 1. */
  readonly memoryUtilization?: number;
  /** The application's own measure of how busy it is: 1 is full, more is overload. */
  readonly applicationUtilization?: number;
  /** Share of time, 0 to 1, in which some task waited for a CPU, for memory, for I/O (PSI, ten seconds). */
  readonly cpuPressure?: number;
  readonly memoryPressure?: number;
  readonly ioPressure?: number;
  /** Clients being served now: established connections on the service's port. */
  readonly clients?: number;
  readonly connectionsPerSecond?: number;
  readonly requestsPerSecond?: number;
  readonly errorsPerSecond?: number;
  /** Mean time that a request took. */
  readonly executionTimeMs?: number;
}

export type LoadFigure = keyof LoadFigures;

/** What a server asks for, beside figures: the words of HAProxy's agent-check. */
export interface LoadWish {
  /** Percent of the configured weight. */
  readonly weightPercent?: number;
  /** An absolute weight, 0 to 256. */
  readonly weight?: number;
  readonly administrative?: 'ready' | 'drain' | 'maint';
  readonly operational?: 'up' | 'down';
  /** Why it is down, in the server's words. */
  readonly reason?: string;
  /** Most connections that it wants at once. */
  readonly connectionLimit?: number;
}

/** One report about one backend. */
export interface LoadReport {
  /** 'service/backend', as everywhere in control. */
  readonly backend: string;
  readonly source: LoadSource;
  /** Who said it: the agent's name, or the address and port that were asked. */
  readonly identity: string;
  /** Rises with each report about this backend, in the order in which they were accepted. */
  readonly sequence: number;
  /** Milliseconds of CLOCK_MONOTONIC, not wrapped, at which this process accepted it. */
  readonly receivedAtMs: number;
  readonly figures: LoadFigures;
  readonly wish?: LoadWish;
}

/** Takes what a resource manager has accepted: the defined interface between it and the master. */
export interface ReportSink {
  accept(report: LoadReport): void;
}
