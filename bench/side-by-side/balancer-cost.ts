// What of the figures of one round is the balancer's: its CPU time for each connection, request or
// gigabyte (cpu-time.ts says why there are two figures), and the latency that it adds to direct.
// Direct may come anywhere in a round, so a round is recorded when all of it has been measured.

import type { Contender, ContenderName } from './contender.ts';
import type { CpuUse } from './cpu-time.ts';
import type { Percentiles } from './load/percentiles.ts';
import type { PartContext } from './part.ts';
import type { Condition } from './result.ts';

export type Idle = 'busy' | 'adaptive';

/** What one contender of a round was found to need. */
export interface CostFound {
  readonly contender: string;
  readonly use: CpuUse;
  /** Connections, requests or gigabytes that it carried meanwhile. */
  readonly carried: number;
}

export interface LatencyFound {
  readonly contender: string;
  /** In microseconds; p99.9 is left out where too few were observed to have one. */
  readonly latencyUs: Percentiles;
  readonly observations: number;
}

/** Of what a cost is: 'us' for each 'connection', or 's' for each 'GB'. */
export interface CostUnit {
  readonly each: string;
  readonly shortEach: string;
  readonly unit: 'us' | 's';
}

/** How a contender under this way of waiting is called in results; only weir has a choice. */
export function seriesName(name: ContenderName, idle: Idle): string {
  return idle === 'busy' && hasIdleChoice(name) ? `${name}, busy polling` : name;
}

function hasIdleChoice(name: ContenderName): boolean {
  return name.startsWith('weir-');
}

/** The ways of waiting that a contender is measured under; a quick run leaves one out. */
export function idlesOf(name: ContenderName, isQuick: boolean): readonly Idle[] {
  if (!hasIdleChoice(name) || (isQuick && name !== 'weir-af-xdp')) return ['adaptive'];
  return ['adaptive', 'busy'];
}

/**
 * One that sleeps has one CPU and no more, on which the kernel polls for it, too, so that all that it
 * costs is found there. One that polls without end would keep the kernel's threads from that CPU, so
 * the CPU of the load does that part, as interrupts on another CPU would.
 */
export function receivesItself(idle: Idle): boolean {
  return idle === 'adaptive';
}

const DIRECT: ContenderName = 'direct';
/** Of the time; beyond it the CPUs' busy time tells of others as much as of the contender. */
const MOST_BY_OTHERS = 0.05;
/** A percentile of fewer observations is one packet's bad luck. */
const ENOUGH_FOR_P999 = 2000;

/** Costs per unit carried, in seconds; both are less what direct left and cost there. */
export function costOf(
  found: CostFound,
  direct: CostFound | undefined,
): { own: number; added: number | undefined } {
  const { use, carried } = found;
  // Noise comes by the second, the work of clients and servers by what is carried.
  const noise = direct === undefined ? 0 : direct.use.ownSeconds / direct.use.seconds;
  const own = (use.ownSeconds - noise * use.seconds) / carried;
  if (direct === undefined) return { own, added: undefined };
  return { own, added: use.machineSeconds / carried - direct.use.machineSeconds / direct.carried };
}

/** Whether the CPUs under test were the contender's own; else it is recorded why they say nothing. */
function isQuiet(context: PartContext, { contender, use }: CostFound): boolean {
  const others = use.othersSeconds / use.seconds;
  if (others <= MOST_BY_OTHERS) return true;
  const percent = (100 * others).toFixed(0);
  context.missing(contender, `CPU time: others used ${percent} % of the CPU under test meanwhile`);
  return false;
}

/** Records what each contender of a round needed for each unit that it carried. */
export function recordCosts(
  context: PartContext,
  { each, shortEach, unit }: CostUnit,
  condition: Condition,
  round: readonly CostFound[],
): void {
  const scale = unit === 'us' ? 1e6 : 1;
  const better = 'less';
  const perUnit = `${unit}/${shortEach}`;
  const quiet = round.filter((found) => isQuiet(context, found));
  const direct = quiet.find(({ contender }) => contender === DIRECT);
  for (const found of round) {
    if (found.contender === DIRECT || found.carried === 0) continue;
    const record = (what: string, seconds: number) => {
      const measure = `CPU time per ${each}${what}`;
      context.record(
        found.contender,
        { measure, unit: perUnit, better, condition },
        seconds * scale,
      );
    };
    record(', its threads alone', found.use.taskSeconds / found.carried);
    if (!quiet.includes(found)) continue;
    const { own, added } = costOf(found, direct);
    record('', own);
    if (added !== undefined) record(", added to the whole machine's", added);
  }
}

const PERCENTILES = [
  ['p50', 'p50'],
  ['p99', 'p99'],
  ['p999', 'p99.9'],
] as const;

/** Records the latencies of a round, and what each contender adds to direct. */
export function recordLatencies(
  context: PartContext,
  what: string,
  condition: Condition,
  round: readonly LatencyFound[],
): void {
  const direct = round.find(({ contender }) => contender === DIRECT);
  for (const found of round) {
    for (const [key, shown] of PERCENTILES) {
      if (key === 'p999' && found.observations < ENOUGH_FOR_P999) continue;
      const measure = { unit: 'us', better: 'less', condition } as const;
      const value = found.latencyUs[key];
      context.record(found.contender, { ...measure, measure: `${what}, ${shown}` }, value);
      if (direct === undefined || found === direct) continue;
      if (key === 'p999' && direct.observations < ENOUGH_FOR_P999) continue;
      context.record(
        found.contender,
        { ...measure, measure: `${what} added, ${shown}` },
        value - direct.latencyUs[key],
      );
    }
  }
}

/** Those whose CPU time and waiting say something: the C twin only spins. */
export function withoutTwin(contenders: readonly Contender[]): readonly Contender[] {
  return contenders.filter(({ name }) => name !== 'c-twin');
}
