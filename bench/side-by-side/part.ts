// One part of the benchmarks: a group of measures that are taken together (parts/). A part runs all
// contenders in turn within each round, beginning with another one each time, so that what the machine
// does meanwhile falls on all of them alike.

import type { BenchNetwork } from './bench-network.ts';
import type { Contender, RunningContender, Wanted } from './contender.ts';
import type { Condition } from './result.ts';

/** Everything but the contender and the value: what names a series. */
export interface Measure {
  readonly measure: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly condition?: Condition;
}

export interface PartContext {
  readonly isQuick: boolean;
  /** Quicker still: only whether everything works is of interest, the figures are worth nothing. */
  readonly isTrial?: boolean;
  /** Rounds that are wanted. */
  readonly rounds: number;
  /** A network that is up, made at the first call; shared by the contenders, never used by two at once. */
  network(): Promise<BenchNetwork>;
  /** One whose switch has interfaces of several queues; it takes the place of the one before. */
  networkWithQueues?(queues: number): Promise<BenchNetwork>;
  /** Those that were selected, are available and carry the protocol, in this round's order. */
  contenders(protocol: 'udp' | 'tcp', round: number): readonly Contender[];
  /** Starts a contender, runs `use`, stops it in every case. A failure is recorded as missing. */
  withContender(
    contender: Contender,
    wanted: Wanted,
    use: (running: RunningContender, network: BenchNetwork) => Promise<void>,
  ): Promise<void>;
  /** Adds one round's value to the series of this measure and contender. */
  record(contender: string, measure: Measure, value: number): void;
  /** Something that was wanted could not be measured. */
  missing(contender: string, reason: string): void;
  /** Progress, one line; shown in place on a terminal. */
  say(text: string): void;
}

export interface Part {
  /** As on the command line. */
  readonly name: string;
  /** One line for --help and headings. */
  readonly what: string;
  readonly needsRoot: boolean;
  run(context: PartContext): Promise<void>;
}
