// What a run of the benchmarks found, as it is written to bench/results/*.json: a flat list of series,
// each the values of one measure of one contender under one condition, one value for each round. Tables,
// pictures and docs/benchmarks.md are made from this file alone; nothing in them is typed by hand.

/** Conditions in the order in which a table shows them, as in { connections: 65536 }. */
export type Condition = Readonly<Record<string, string | number>>;

export interface Series {
  /** Name of the part, as on the command line: 'packets', 'filter', 'connections' …. */
  readonly part: string;
  /** What was measured, in words: 'highest rate without loss'. */
  readonly measure: string;
  /** 'Mpps', 'ns/packet', 'us/connection', 'ms', 'GB/s', 'MiB' …. */
  readonly unit: string;
  /** Which direction is good. */
  readonly better: 'more' | 'less';
  /** A ContenderName, or what else was measured: 'filter', 'C twin'. */
  readonly contender: string;
  readonly condition: Condition;
  /** One value for each round that was measured. */
  readonly values: number[];
}

/** A measurement that was wanted and could not be had. */
export interface Missing {
  readonly part: string;
  readonly contender: string;
  readonly reason: string;
}

/** An aim of the project, and what became of it in this run. */
export interface Aim {
  readonly aim: string;
  /** What was found, in words with figures. */
  readonly found: string;
  readonly isMet: boolean | undefined;
  /** Why it was missed or not measured, found by profiling. */
  readonly reason?: string;
}

export interface Machine {
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGiB: number;
  readonly isVirtual: boolean;
  readonly kernel: string;
  readonly distribution: string;
  readonly node: string;
  /** Driver of the interfaces that packets travelled over: 'veth, native XDP, copy mode'. */
  readonly drivers: string;
  /** Versions of the peers, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** CPU time that the hypervisor took away during the run, in percent. */
  readonly stealPercent: number;
}

export interface BenchResult {
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly seconds: number;
  readonly command: string;
  /** The tree that was measured: `git describe --always --dirty`, or empty outside a clone. */
  readonly revision: string;
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly machine: Machine;
  readonly series: readonly Series[];
  readonly missing: readonly Missing[];
  readonly aims: readonly Aim[];
}
