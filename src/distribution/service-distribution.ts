// What goes into the synthesis of one service's distribution and what comes out of it: the types
// that the master, the admin interface and `weir why` share. All of it is plain data: the memory is
// JSON, so that it survives the death of the control processor.
//
// Invariant: nothing here holds a time of a clock that a restart would make meaningless, but
// `atMs`, which is only ever subtracted from a later one.

import type { LoadReport } from '../load/load-report.ts';

/** One backend as the master knows it at this moment. */
export interface BackendInput {
  /** Its name within the service. */
  readonly name: string;
  /** 0 to 65535; 0 takes no new connection. */
  readonly configuredWeight: number;
  /** `weir weight`: stands for the configured one, and feedback works from it. */
  readonly operatorWeight?: number;
  /** Used only when no other backend can be. */
  readonly isFallback: boolean;
  /** 'unchecked': not yet known; counts as not healthy, but is used when nobody is known to be. */
  readonly health: 'up' | 'down' | 'unchecked';
  /** What the operator asked for, or the newest report. */
  readonly administrative: 'ready' | 'drain' | 'maintenance';
  /** The newest report, however old. */
  readonly report?: LoadReport;
  /** Now, over all switching processors. */
  readonly activeConnections: number;
  /** Ever, over all switching processors: rises. */
  readonly begunConnections: number;
  /** Mean time to the server's first answer, as the data plane measured it lately. */
  readonly answerTimeMs?: number;
}

/** One step of the way from a report to a weight, in words for people and a code for programs. */
export interface Reason {
  readonly code: string;
  readonly text: string;
  /** The figures that the text names. */
  readonly [figure: string]: string | number | boolean;
}

export interface BackendOutput {
  readonly name: string;
  /** For the table: 0 to 65535; 0 takes no new connection. */
  readonly weight: number;
  /** The same in units of configured weights, such as 0.62. */
  readonly exactWeight: number;
  /** 0 to 1: its part of the service's new connections to come. */
  readonly share: number;
  /** Why, in order. */
  readonly reasons: readonly Reason[];
  /** The most connections at once that the server asked for. */
  readonly connectionLimit?: number;
}

export interface ServiceOutput {
  readonly backends: readonly BackendOutput[];
  /** So few backends are healthy that all are used. */
  readonly isPanic: boolean;
  /** No other backend can take connections: the fallback ones do. */
  readonly usesFallback: boolean;
  /** Whether a weight or a connection limit differs from what the memory says was published. */
  readonly changed: boolean;
  /** To be handed to the next synthesis. */
  readonly next: ServiceMemory;
}

/** Figures of a backend's reports, smoothed, each only if its reports have it. */
export interface LoadEstimate {
  /** What it carried of the service's connections when the reports were made (herd-guard.ts). */
  readonly carried: number;
  /** 1 is full (load-figures.ts). */
  readonly utilization?: number;
  /** Utilisation per connection carried (even-load.ts), and what the last report taught it from. */
  readonly slope?: number;
  readonly last?: { readonly utilization: number; readonly carried: number };
  /** Mean distance of one report's utilisation from the next one's. */
  readonly noise?: number;
  /** Requests, or else connections, per second. */
  readonly rate?: number;
  readonly timeMs?: number;
}

/** What is kept about one backend from one synthesis to the next. */
export interface BackendMemory {
  readonly name: string;
  /** Published: the integer weight and the connection limit (0: none). */
  readonly weight: number;
  readonly connectionLimit: number;
  /** The weight in units of configured ones. */
  readonly exactWeight: number;
  /** The configured weight, or the operator's. */
  readonly baseWeight: number;
  readonly isTaking: boolean;
  /** For how long it has been taking connections. */
  readonly takingMs: number;
  /** What feedback makes of the weight: 1 leaves it. */
  readonly feedback: number;
  /** What the server's own wish makes of it: 1 leaves it. */
  readonly wish: number;
  /** While it rises slowly: from which weight, and for how long it has. */
  readonly slowStart?: { readonly fromWeight: number; readonly elapsedMs: number };
  /** Assignments (herd-guard.ts). */
  readonly begunConnections: number;
  readonly begunStock: number;
  readonly weightStock: number;
  /** The newest report that is in the estimate. */
  readonly report?: { readonly sequence: number; readonly receivedAtMs: number };
  readonly estimate?: LoadEstimate;
}

/** What is kept about a service: plain JSON. */
export interface ServiceMemory {
  /** When it was made; a later time of an earlier clock may stand here. */
  readonly atMs: number;
  /** New connections of the whole service, the mean of about the last ten seconds. */
  readonly begunPerSecond: number;
  readonly backends: readonly BackendMemory[];
}
