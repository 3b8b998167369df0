// A result as a run might have written it, with invented figures: what the tests of the report work on,
// and what pictures can be looked at with before there is a run. The invented machine says so.

import type { BenchResult, Condition, Series } from '../result.ts';

/** Five rounds about a value, without chance. */
function about(value: number, spread = 0.06): number[] {
  return [0.4, -1, 0, 0.7, -0.5].map((part) => value * (1 + part * spread));
}

type Head = Pick<Series, 'part' | 'measure' | 'unit' | 'better'>;

function series(
  head: Head,
  condition: Condition,
  values: Readonly<Record<string, number>>,
  spread?: number,
): Series[] {
  return Object.entries(values).map(([contender, value]) => {
    return { ...head, contender, condition, values: about(value, spread) };
  });
}

const THROUGHPUT: Head = { part: 'packets', measure: 'throughput', unit: 'Mpps', better: 'more' };
const NO_LOSS: Head = { ...THROUGHPUT, measure: 'highest rate without loss' };
const LOSS: Head = { part: 'packets', measure: 'packets lost', unit: '%', better: 'less' };
const FILTER: Head = {
  part: 'filter',
  measure: 'known connection',
  unit: 'ns/packet',
  better: 'less',
};
const CPU: Head = {
  part: 'connections',
  measure: 'CPU time per connection',
  unit: 'us/connection',
  better: 'less',
};

function packets(): Series[] {
  const base = {
    'weir-af-xdp': 0.95,
    'weir-af-packet': 0.46,
    nftables: 0.72,
    'xdp-redirect': 3.1,
    'c-twin': 1.08,
  };
  const slowdown = [1, 0.98, 0.9, 0.7];
  const throughput = [1, 1024, 65_536, 1_048_576].flatMap((connections, i) =>
    series(
      THROUGHPUT,
      { connections },
      Object.fromEntries(Object.entries(base).map(([name, value]) => [name, value * slowdown[i]])),
    ),
  );
  const offered = [0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.5];
  const loss = offered.flatMap((offeredMpps) => {
    const lost = (capacity: number) => Math.max(0, 100 * (1 - capacity / offeredMpps));
    return series(
      LOSS,
      { connections: 65_536, offeredMpps },
      { 'weir-af-xdp': lost(0.85), 'weir-af-packet': lost(0.41), nftables: lost(0.65) },
    );
  });
  const noLoss = { 'weir-af-xdp': 0.7, 'weir-af-packet': 0.33, nftables: 0.51, 'c-twin': 0.8 };
  return [...throughput, ...loss, ...series(NO_LOSS, { connections: 65_536 }, noLoss, 0.15)];
}

function filter(): Series[] {
  const counts = [1024, 16_384, 65_536, 1_048_576, 10_000_000];
  return counts.flatMap((connections, i) => [
    ...series(FILTER, { connections }, { filter: 110 + i * 60, 'C twin': 70 + i * 45 }),
    ...series({ ...FILTER, measure: 'no service' }, { connections }, { filter: 60, 'C twin': 30 }),
  ]);
}

function latency(): Series[] {
  const rows: [string, number, number, number][] = [
    ['p50', 12, 25, 31],
    ['p99', 45, 110, 160],
    ['p99.9', -8, 900, 1200],
  ];
  return rows.flatMap(([percentile, weir, haproxy, nginx]) =>
    series(
      {
        part: 'connections',
        measure: `request added, ${percentile}`,
        unit: 'us',
        better: 'less',
      },
      { rate: 5000 },
      { 'weir-af-xdp': weir, 'weir-af-xdp, busy polling': weir / 2, haproxy, nginx },
      0.2,
    ),
  );
}

export const SAMPLE_RESULT: BenchResult = {
  startedAt: '2000-01-01T00:00:00.000Z',
  seconds: 754,
  command: 'npm run bench',
  revision: 'v0.0.0-0-g0000000',
  isQuick: false,
  rounds: 5,
  machine: {
    cpu: 'an invented <CPU> & more',
    cpus: 2,
    memoryGiB: 7.75,
    isVirtual: true,
    kernel: '0.0.0',
    distribution: 'no distribution',
    node: 'v0.0.0',
    drivers: 'veth, native XDP, copy mode',
    versions: { haproxy: '0.1', nginx: '0.2' },
    stealPercent: 0.42,
  },
  series: [
    ...packets(),
    ...filter(),
    ...series({ ...CPU, measure: 'CPU time per connection, its threads alone' }, {}, { nginx: 1 }),
    ...series({ ...THROUGHPUT, measure: 'rate offered meanwhile' }, {}, { nftables: 1.6 }),
    ...series(CPU, { rate: 5000 }, { 'weir-af-xdp': 21.3, haproxy: 61, nginx: 70, nftables: 9.5 }),
    ...latency(),
    ...series(
      { part: 'bulk', measure: 'CPU time per gigabyte', unit: 's/GB', better: 'less' },
      { streams: 8 },
      { 'weir-af-xdp': 0.61, haproxy: 0.5, nginx: 0.55, direct: 0 },
    ),
  ],
  missing: [
    { part: 'packets', contender: 'weir-af-xdp', reason: 'two processors: fewer than 4 CPUs' },
  ],
  aims: [
    {
      aim: 'af-xdp forwards 1.5 times what nftables does',
      found: '1.32 times',
      isMet: false,
      reason: 'the | pipe',
    },
    { aim: 'no gap of more than 1 ms on a flip', found: '0.4 ms', isMet: true },
    {
      aim: 'two processors carry 1.7 times one',
      found: '',
      isMet: undefined,
      reason: 'too few CPUs',
    },
  ],
};
