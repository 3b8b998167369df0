// The shape of what `GET /v1/backends` answers, and `weir backends --json` prints: each backend with its
// weight, why it has it, its health, its last report, its connections and its drain. An interface to the
// outside, so names and units here do not change lightly.
// Units last in names. Points in time are ISO 8601 (`…At`); everything else in milliseconds is a
// duration up to the moment of the answer ('sinceMs: 5000' is: for five seconds now). Parts are 0 to 1.

/**
 * What a backend is in, the first that applies: taken out by an operator's drain or by its own report
 * ('draining', then 'drained' or 'maintenance'), then by its health ('down', 'unchecked'), else 'up'.
 */
export const BACKEND_STATES = [
  'up',
  'down',
  'unchecked',
  'draining',
  'drained',
  'maintenance',
] as const;
export type BackendState = (typeof BACKEND_STATES)[number];

/** What happens at a drain's deadline to the connections that are still open. */
export const DRAIN_ENDS = ['keep', 'reset'] as const;
export type DrainEnd = (typeof DRAIN_ENDS)[number];

/** `GET /v1/backends` */
export interface BackendsView {
  readonly backends: readonly BackendView[];
  /** What operators have changed at run time: it is not in the file. */
  readonly changes: readonly RuntimeChange[];
}

/** `GET /v1/backends/SERVICE/BACKEND` */
export interface BackendView {
  readonly service: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  readonly labels: readonly string[];
  /** Used only while no other backend of its service can be. */
  readonly isFallback: boolean;
  readonly state: BackendState;
  readonly weight: WeightView;
  /** Why its weight is what it is: one line. */
  readonly why: string;
  /** The same, step by step, in the order in which the steps were taken. */
  readonly reasons: readonly ReasonView[];
  /** null: it has no health check. */
  readonly health: HealthView | null;
  /** null: no report has been accepted, or none is asked for. */
  readonly report: ReportView | null;
  readonly connections: BackendConnectionsView;
  readonly rates: RatesView;
  /** null: no operator drains it. */
  readonly drain: DrainView | null;
}

export interface WeightView {
  /** What the file says. */
  readonly configured: number;
  /** What `weir weight` says instead; null: nothing. */
  readonly operator: number | null;
  /** Its weight now, in the units of `configured`; it need not be an integer. */
  readonly now: number;
  /** The same as it stands in the configuration table, 0 to 65535: only its ratio to the others counts. */
  readonly published: number;
  /** Part of its service's new connections to come that it is given. */
  readonly share: number;
}

/** One step from the configured weight to the present one. */
export interface ReasonView {
  readonly code: string;
  /** In plain words, with the figures. */
  readonly text: string;
  /** The same figures for programs, as src/distribution/reasons.ts names them. */
  readonly [figure: string]: unknown;
}

export interface HealthView {
  readonly status: 'up' | 'down' | 'unchecked';
  readonly cause: string;
  /** How long it has had this status. */
  readonly sinceMs: number;
  readonly lastCheck: LastCheckView | null;
  readonly checks: number;
  readonly failures: number;
  /** Changes of status that came too fast one after the other. */
  readonly flaps: number;
  /** For how long it is still held down because of them; null: it is not. */
  readonly heldForMs: number | null;
}

export interface LastCheckView {
  readonly ok: boolean;
  readonly durationMs: number;
  readonly detail: string;
  readonly ageMs: number;
}

/** The last report that was accepted; figures as in src/load/load-report.ts. */
export interface ReportView {
  readonly source: string;
  /** Who said it: the agent's name, or the address and port that were asked. */
  readonly identity: string;
  readonly ageMs: number;
  readonly figures: Readonly<Record<string, number>>;
  /** What the server asks for beside: weight, drain, connection limit … */
  readonly wish?: Readonly<Record<string, number | string>>;
}

export interface BackendConnectionsView {
  /** What schedulers and limits count: closing ones included, until their timeout. */
  readonly active: number;
  /** Of these, the ones that neither side has begun to close. */
  readonly open: number;
  /** Ever, from the start of weir. */
  readonly total: number;
  /** Most that it is given; null: no limit. */
  readonly limit: number | null;
}

/** Over the last seconds. 'in' is towards the backend, 'out' is what it answered (0 with direct server return). */
export interface RatesView {
  readonly connectionsPerSecond: number;
  readonly packetsInPerSecond: number;
  readonly packetsOutPerSecond: number;
  readonly bytesInPerSecond: number;
  readonly bytesOutPerSecond: number;
}

/** A drain, from the command to its end and for as long as it is not taken back. */
export interface DrainView {
  readonly state: 'draining' | 'drained';
  /** Who asked for it, as the client of the control socket says. */
  readonly by: string;
  readonly since: string;
  readonly forMs: number;
  /** null: it waits for as long as it takes. */
  readonly deadline: string | null;
  /** Time left; 0 when the deadline has passed. */
  readonly deadlineInMs: number | null;
  readonly atDeadline: DrainEnd;
  /** The deadline has passed, and what is still open is being ended. */
  readonly isEnding: boolean;
  /** Some processor may still give it new connections: the new weights are not in force everywhere. */
  readonly takesNewConnections: boolean;
  /** Connections that were open when it began. */
  readonly atStart: number;
  /** Connections that began since then, before the new weights were in force. */
  readonly begunSince: number;
  readonly waitingFor: DrainWaitingView;
  /** Connections that have ended since it began. */
  readonly gone: number;
  /** `gone` as a part of all that it had and has to wait for; 1 when there is nothing. */
  readonly progress: number;
  /** Connections ended per second over the last half minute; null before it has been measured. */
  readonly gonePerSecond: number | null;
  /** How long the rest takes at that rate; null: no estimate would be honest. */
  readonly etaMs: number | null;
  readonly drainedAt: string | null;
  /** Connections that go on though it is drained: `atDeadline` is 'keep' and the deadline has passed. */
  readonly kept: number;
  /** All this in one line. */
  readonly text: string;
}

/** What a drain still waits for. */
export interface DrainWaitingView {
  readonly tcp: number;
  /** A UDP conversation is over when nothing has been seen of it for `timeouts.udp`. */
  readonly udp: number;
  /** By state of the connection (docs/reference/control-socket.md); null: not counted. */
  readonly states: Readonly<Record<string, number>> | null;
  /** Time since the last packet of the one that has been idle longest; null: not known. */
  readonly idlestMs: number | null;
  /** Age of the oldest one; null: not known. */
  readonly oldestMs: number | null;
}

/** A change that an operator made at run time. It survives reloads, and ends with weir or when it is taken back. */
export interface RuntimeChange {
  readonly service: string;
  readonly backend: string;
  readonly kind: 'weight' | 'drain';
  /** The weight that was set; null for drains. */
  readonly weight: number | null;
  /** In one line: 'weight 3, the file says 1'. */
  readonly text: string;
  readonly by: string;
  readonly at: string;
  /** false: the running configuration has no such backend; the change waits for its return. */
  readonly isConfigured: boolean;
}

/** What `POST …/drain`, `…/undrain` and `…/weight` answer. */
export interface BackendChangeView {
  /** null: it is not configured any more, and its change has been taken back. */
  readonly backend: BackendView | null;
  /** What the operator ought to know about it, a line each. */
  readonly warnings: readonly string[];
}
