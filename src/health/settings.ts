// What an operator can set about the health of a backend, in the form the health checker works with:
// durations in milliseconds, percentages as numbers from 0 to 100. The configuration's keys are the
// same words in kebab-case (docs/reference/health.md); control maps one to the other.
// Invariant: DEFAULT_HEALTH and DEFAULT_PASSIVE name every key that has a default, and settings that
// `healthFaults` (settings-faults.ts) finds no fault with can be checked with.

/** Checks over the network that begin per second: a fifth of a CPU by tcp, half of one by http. With more targets each waits longer. */
export const MAX_CHECKS_PER_SECOND = 1_000;

/** How a backend is asked. 'none': it is not asked; only passive observation can take it down. */
export const HEALTH_TYPES = [
  'none',
  'tcp',
  'http',
  'https',
  'dns',
  'udp',
  'grpc',
  'script',
] as const;
export type HealthType = (typeof HEALTH_TYPES)[number];

/** DNS record types that can be asked for. */
export const DNS_RECORDS = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT'] as const;
export type DnsRecord = (typeof DNS_RECORDS)[number];

/** The active check of one backend. The port stands in the target, not here. */
export interface HealthSettings {
  readonly type: HealthType;
  /** From the beginning of one check to the beginning of the next. */
  readonly intervalMs: number;
  /** The same while the state is about to change: something failed, or passed, but not often enough. */
  readonly fastIntervalMs: number;
  /** A check without an answer by then has failed (type udp without `expect`: has passed). */
  readonly timeoutMs: number;
  /** Each interval is longer or shorter by a random part of at most so many percent (0 … 50). */
  readonly jitter: number;
  /** So many checks in a row must pass before a backend that is down comes up. */
  readonly rise: number;
  /** So many in a row must fail before it goes down. */
  readonly fall: number;
  /** Flap damping: so long a backend stays down at least that went down again soon after it came up. */
  readonly holdMs: number;
  /** Each further time doubles the hold, up to this. */
  readonly holdMaxMs: number;

  /** http, https. */
  readonly method: string;
  readonly path: string;
  /** Status codes that pass: '200-399', '200,204', '200-299,404'. */
  readonly status: string;
  /** Value of the Host header; without it the address and the port that are checked. */
  readonly host?: string;
  /** Text that the body must contain, or a regular expression between slashes: '/ready|ok/i'. */
  readonly body?: string;
  /** https: name for SNI, and for the certificate when `verify` is set. */
  readonly serverName?: string;
  /** https: whether the certificate must be one that this machine trusts, for this name. */
  readonly verify: boolean;

  /** dns: the name that is asked for, the record type, and an address that must be in the answer. */
  readonly query?: string;
  readonly record: DnsRecord;
  readonly expectAddress?: string;

  /** udp: what is sent (one of the two; nothing: an empty datagram) and what the answer must contain. */
  readonly send?: string;
  readonly sendHex?: string;
  readonly expect?: string;
  readonly expectHex?: string;

  /** grpc: the service whose health is asked for; '' is the server as a whole. */
  readonly grpcService: string;

  /** script: the program, by its path, and its arguments. */
  readonly command: readonly string[];
}

/** What the data plane's counters can say about a backend without asking it. */
export interface PassiveSettings {
  /** Suspicious: at least so many connections begun within the window and none answered. 0: off. */
  readonly unanswered: number;
  /** Suspicious: at least so many percent of the connections refused or reset by it. 0: off. */
  readonly resets: number;
  readonly windowMs: number;
  /** So long a backend stays out at least when suspicion took it down. */
  readonly holdMs: number;
}

export const DEFAULT_HEALTH: HealthSettings = {
  type: 'tcp',
  intervalMs: 2_000,
  fastIntervalMs: 500,
  timeoutMs: 1_000,
  jitter: 10,
  rise: 2,
  fall: 3,
  holdMs: 5_000,
  holdMaxMs: 300_000,
  method: 'GET',
  path: '/',
  status: '200-399',
  verify: false,
  record: 'A',
  grpcService: '',
  command: [],
};

/** No active check: for a backend that has `passive-health` alone. */
export const NO_ACTIVE_CHECK: HealthSettings = { ...DEFAULT_HEALTH, type: 'none' };

export const DEFAULT_PASSIVE: PassiveSettings = {
  unanswered: 5,
  resets: 50,
  windowMs: 5_000,
  holdMs: 10_000,
};
