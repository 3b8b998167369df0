// The project's aims, and whether a run met them: computed from the medians of its series and from
// nothing else. An aim whose figures a run does not have is 'not measured', never met; where an aim
// holds under several conditions (several rates), the worst of them decides, and is shown.
// Every aim is about weir with af-xdp unless it says otherwise.

import { reasonFor } from './reasons.ts';
import type { Aim, BenchResult, Condition, Series } from './result.ts';
import { median } from './statistics.ts';

const WEIR = 'weir-af-xdp';
const POLLING = `${WEIR}, busy polling`;
const USUAL_CONNECTIONS = 65_536;
const MANY_CONNECTIONS = 1_048_576;
const MOST_CONNECTIONS = 10_000_000;
/** Below this the largest number of connections measured says nothing about ten million. */
const ALMOST_MOST = 8_000_000;
const FULL_LOAD_SECONDS = 60;
const CPUS_FOR_TWO = 4;
/** How far two rates offered may be apart and still be the same load. */
const SAME_LOAD = 0.1;
/** Of what was offered: who passes as much has not been brought to its limit. */
const ALL_PASSED = 0.98;
const PROXIES = ['haproxy', 'nginx'];

export type Measured = Pick<BenchResult, 'series' | 'machine'>;

interface Found {
  readonly found: string;
  readonly isMet: boolean | undefined;
  /** Why it could not be measured, when that is known from the run itself. */
  readonly reason?: string;
}

interface Query {
  readonly part: string;
  readonly measure: string | RegExp;
  readonly contender?: string;
  readonly condition?: Condition;
}

const NOTHING: Found = { found: '', isMet: undefined };

function text(value: number): string {
  return Number(value.toPrecision(3)).toString();
}

function isUnder(series: Series, condition: Condition): boolean {
  return Object.entries(condition).every(([key, value]) => series.condition[key] === value);
}

function select(result: Measured, query: Query): Series[] {
  const { part, measure, contender, condition = {} } = query;
  return result.series.filter(
    (series) =>
      series.part === part &&
      (typeof measure === 'string' ? series.measure === measure : measure.test(series.measure)) &&
      (contender === undefined || series.contender === contender) &&
      isUnder(series, condition),
  );
}

/** The median of the one series that is meant, or undefined. */
function medianOf(result: Measured, query: Query): number | undefined {
  const [series] = select(result, query);
  return series === undefined ? undefined : median(series.values);
}

interface Pair {
  readonly ours: number;
  readonly theirs: number;
  readonly what: string;
}

/** Ours and another's value wherever both were measured under the same condition. */
function pairs(result: Measured, ours: Query, theirs: string): Pair[] {
  return select(result, ours).flatMap((series) => {
    const [other] = select(result, {
      part: series.part,
      measure: series.measure,
      contender: theirs,
      condition: series.condition,
    });
    if (other === undefined) return [];
    const under = Object.entries(series.condition).map(([key, value]) => `${key} ${value}`);
    const what = [theirs, series.measure, ...under].join(', ');
    return [{ ours: median(series.values), theirs: median(other.values), what }];
  });
}

/** Whether ours is at most `most` times theirs, everywhere. */
function atMostTimes(found: readonly Pair[], most: number): Found {
  if (found.length === 0) return NOTHING;
  // With nothing to compare to (added latency may be below zero) ours must be no larger.
  const excess = ({ ours, theirs }: Pair) => ours - Math.max(0, theirs) * most;
  const worst = found.reduce((a, b) => (excess(b) > excess(a) ? b : a));
  const { ours, theirs, what } = worst;
  const shown = `${text(ours)} against ${text(theirs)} (${what})`;
  return { found: shown, isMet: found.every((pair) => excess(pair) <= 0) };
}

function atLeastTimes(ours: number | undefined, theirs: number | undefined, least: number): Found {
  if (ours === undefined || theirs === undefined || theirs === 0) return NOTHING;
  const ratio = ours / theirs;
  const found = `${text(ratio)} times (${text(ours)} against ${text(theirs)} Mpps)`;
  return { found, isMet: ratio >= least };
}

function throughput(result: Measured, contender: string, measure = 'throughput') {
  const condition = { connections: USUAL_CONNECTIONS };
  return medianOf(result, { part: 'packets', measure, contender, condition });
}

const ON_ONE_CORE = ', all on one core';
const SPINNING = `${ON_ONE_CORE}, spinning`;

/**
 * Two throughputs, if they are comparable: with more offered some carry less, so the same must have been
 * offered to both; and where nearly all came through, the generator was the limit and not the contender.
 */
function compareRates(
  result: Measured,
  suffix: string,
  other: string,
  least: number,
  theirSuffix = '',
): Found {
  const ours = throughput(result, WEIR, `throughput${suffix}`);
  const theirs = throughput(result, other, `throughput${theirSuffix}`);
  const found = atLeastTimes(ours, theirs, least);
  const offeredToUs = throughput(result, WEIR, `rate offered meanwhile${suffix}`);
  const offeredToThem = throughput(result, other, `rate offered meanwhile${theirSuffix}`);
  if (found.isMet === undefined || !offeredToUs || !offeredToThem) return found;
  const offered = `offered ${text(offeredToUs)} and ${text(offeredToThem)} Mpps`;
  const isSame = Math.abs(offeredToUs / offeredToThem - 1) <= SAME_LOAD;
  if (isSame && ours! < offeredToUs * ALL_PASSED) return found;
  const what = isSame
    ? 'the generator was the limit'
    : 'the same load could not be offered to both';
  return { found: found.found, isMet: undefined, reason: `${what}: ${offered}` };
}

/** The kernel does all of its work on one core; ours counts when it does, too, but both are told. */
function throughputOfKernel(result: Measured): Found {
  const onOne = compareRates(result, ON_ONE_CORE, 'nftables', 1.5);
  const helped = compareRates(result, '', 'nftables', 1.5);
  if (onOne.found === '') return NOTHING;
  const also = helped.found === '' ? '' : `; ${helped.found} with receiving on the sender's`;
  return { ...onOne, found: `${onOne.found} all on one core${also}` };
}

/** Both do the same in the same way; where the load is no limit, with both kernel halves on their core. */
function throughputOfTwin(result: Measured): Found {
  const onOne = compareRates(result, SPINNING, 'c-twin', 0.85, SPINNING);
  const helped = compareRates(result, '', 'c-twin', 0.85);
  if (onOne.found === '') return helped;
  const also = helped.found === '' ? '' : `; ${helped.found} with receiving on the sender's`;
  return { ...onOne, found: `${onOne.found} all on one core${also}` };
}

function filterTime(result: Measured, contender: string, connections: number): number | undefined {
  const condition = { connections };
  return medianOf(result, { part: 'filter', measure: 'known connection', contender, condition });
}

function filterAgainstTwin(result: Measured): Found {
  const counts = [USUAL_CONNECTIONS, MANY_CONNECTIONS];
  const found = counts.flatMap((connections) => {
    const ours = filterTime(result, 'filter', connections);
    const theirs = filterTime(result, 'C twin', connections);
    if (ours === undefined || theirs === undefined) return [];
    return [{ ours, theirs, what: `ns/packet, C twin, ${connections} connections` }];
  });
  return found.length < counts.length ? NOTHING : atMostTimes(found, 1.5);
}

function filterAtMost(result: Measured): Found {
  const usual = filterTime(result, 'filter', USUAL_CONNECTIONS);
  const counts = select(result, {
    part: 'filter',
    measure: 'known connection',
    contender: 'filter',
  })
    .map(({ condition }) => Number(condition.connections))
    .filter((count) => count >= ALMOST_MOST);
  const most = Math.max(...counts);
  const many = filterTime(result, 'filter', most);
  if (usual === undefined || many === undefined) return NOTHING;
  const what = `its own 64 k, at ${most} connections`;
  const note = most < MOST_CONNECTIONS ? ', the most that fit' : '';
  return atMostTimes([{ ours: many, theirs: usual, what: `${what}${note}` }], 2.5);
}

function againstProxies(result: Measured, query: Query, contender: string, most: number): Found {
  const all = PROXIES.map((proxy) => pairs(result, { ...query, contender }, proxy));
  // Of both, or it is not known.
  return all.some((found) => found.length === 0) ? NOTHING : atMostTimes(all.flat(), most);
}

function bytesPerConnection(result: Measured): Found {
  const found = result.series.filter(
    ({ measure, unit, contender }) =>
      /\b(per|of a) connection\b/.test(measure) &&
      unit === 'bytes' &&
      (contender === 'filter' || contender.startsWith('weir')),
  );
  if (found.length === 0) return NOTHING;
  const most = Math.max(...found.map(({ values }) => median(values)));
  return { found: `${text(most)} bytes`, isMet: most <= 200 };
}

function collections(result: Measured): Found {
  const found = select(result, {
    part: 'garbage',
    measure: 'collections under full load',
    contender: WEIR,
  }).sort((a, b) => Number(b.condition.seconds) - Number(a.condition.seconds));
  const [longest] = found;
  if (longest === undefined) return NOTHING;
  const most = Math.max(...longest.values);
  const seconds = Number(longest.condition.seconds);
  const shown = `${most} in ${seconds} s`;
  if (most === 0 && seconds < FULL_LOAD_SECONDS) {
    return { found: shown, isMet: undefined, reason: 'a quick run does not last long enough' };
  }
  return { found: shown, isMet: most === 0 };
}

function gapOnFlip(result: Measured): Found {
  const part = 'flip';
  const measure = 'longest gap between two packets';
  const under = (meanwhile: string) =>
    select(result, { part, measure, contender: WEIR, condition: { meanwhile } });
  const flips = under('replacing');
  if (flips.length === 0) return NOTHING;
  const most = Math.max(...flips.map(({ values }) => median(values)));
  const quiet = under('nothing').map(({ values }) => median(values));
  const also = quiet.length === 0 ? '' : `; ${text(Math.max(...quiet))} ms without a flip`;
  return { found: `${text(most)} ms${also}`, isMet: most <= 1 };
}

function twoProcessors(result: Measured): Found {
  const { cpus } = result.machine;
  if (cpus < CPUS_FOR_TWO) {
    const reason = `not measurable with ${cpus} CPUs: two processors and their load need ${CPUS_FOR_TWO}`;
    return { ...NOTHING, reason };
  }
  const condition = { connections: USUAL_CONNECTIONS };
  const measure = 'throughput of two processors';
  const two = medianOf(result, { part: 'packets', measure, contender: WEIR, condition });
  return atLeastTimes(two, throughput(result, WEIR), 1.7);
}

const CPU_PER_CONNECTION: Query = { part: 'connections', measure: 'CPU time per connection' };
const ADDED_LATENCY: Query = { part: 'connections', measure: /added, p99$/ };

const AIMS: readonly { readonly aim: string; find(result: Measured): Found }[] = [
  { aim: 'af-xdp forwards 1.5 times what nftables does, per core', find: throughputOfKernel },
  {
    aim: 'af-xdp forwards 0.85 times what its C twin does',
    find: throughputOfTwin,
  },
  {
    aim: 'the filter takes at most 1.5 times as long as in C, with 64 k and 1 M connections',
    find: filterAgainstTwin,
  },
  {
    aim: 'the filter takes at most 2.5 times as long with 10 M connections as with 64 k',
    find: filterAtMost,
  },
  {
    aim: 'a new connection takes at most half the CPU time that HAProxy and nginx take',
    find: (result) => againstProxies(result, CPU_PER_CONNECTION, WEIR, 0.5),
  },
  {
    aim: 'sleeping when idle, weir adds no more to the 99th percentile than HAProxy and nginx',
    find: (result) => againstProxies(result, ADDED_LATENCY, WEIR, 1),
  },
  {
    aim: 'busy polling, weir adds at most half of what HAProxy and nginx add to it',
    find: (result) => againstProxies(result, ADDED_LATENCY, POLLING, 0.5),
  },
  { aim: 'a connection takes at most 200 bytes', find: bytesPerConnection },
  { aim: 'no garbage collection in 60 s of full load', find: collections },
  { aim: 'no gap in forwarding of more than 1 ms on a flip', find: gapOnFlip },
  { aim: 'two processors forward 1.7 times what one does', find: twoProcessors },
];

/** All aims, with what this run found. */
export function findAims(result: Measured): Aim[] {
  return AIMS.map(({ aim, find }) => {
    const { found, isMet, reason } = find(result);
    const why = reason ?? (isMet === false ? reasonFor(aim) : undefined);
    return { aim, found, isMet, ...(why === undefined ? {} : { reason: why }) };
  });
}
