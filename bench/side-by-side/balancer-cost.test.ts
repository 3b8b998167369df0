import { describe, expect, it } from 'vitest';
import {
  type CostFound,
  costOf,
  idlesOf,
  type LatencyFound,
  receivesItself,
  recordCosts,
  recordLatencies,
  seriesName,
} from './balancer-cost.ts';
import type { Measure, PartContext } from './part.ts';

/** A context that keeps what is recorded, as 'contender: measure' with the unit. */
function keeper() {
  const kept = new Map<string, number>();
  const missing: string[] = [];
  const context = {
    missing: (contender: string, reason: string) => {
      missing.push(`${contender}: ${reason}`);
    },
    record: (contender: string, { measure, unit }: Measure, value: number) => {
      kept.set(`${contender}: ${measure} ${unit}`, value);
    },
  } as unknown as PartContext;
  return { kept, missing, context };
}

function cost(
  contender: string,
  seconds: number,
  own: number,
  machine: number,
  carried: number,
  others = 0,
) {
  return {
    contender,
    carried,
    use: {
      seconds,
      busySeconds: [machine - own, own],
      machineSeconds: machine,
      taskSeconds: own / 2,
      ownSeconds: own,
      othersSeconds: others,
    },
  } satisfies CostFound;
}

describe('what a connection costs', () => {
  const direct = cost('direct', 2, 0.02, 0.5, 1000);
  const haproxy = cost('haproxy', 4, 0.24, 2.5, 2000);

  it('is the own CPUs without the noise that direct left there in the same time', () => {
    expect(costOf(haproxy, direct).own).toBeCloseTo((0.24 - 0.04) / 2000, 12);
  });

  it('is what the machine needs more for each than with direct', () => {
    expect(costOf(haproxy, direct).added).toBeCloseTo(2.5 / 2000 - 0.5 / 1000, 12);
  });

  it('is still known without direct, what is added is not', () => {
    expect(costOf(haproxy, undefined)).toEqual({ own: 0.24 / 2000, added: undefined });
  });

  it('is recorded for all but direct, in the unit that was asked for', () => {
    const { kept, context } = keeper();
    const idleOne = cost('nginx', 4, 0.1, 1, 0);
    const each = { each: 'connection', shortEach: 'connection', unit: 'us' } as const;
    recordCosts(context, each, { rate: 5000 }, [haproxy, direct, idleOne]);
    expect([...kept.keys()]).toEqual([
      'haproxy: CPU time per connection, its threads alone us/connection',
      'haproxy: CPU time per connection us/connection',
      "haproxy: CPU time per connection, added to the whole machine's us/connection",
    ]);
    const [ofThreads, ofCpus, ofMachine] = kept.values();
    expect(ofCpus).toBeCloseTo(100, 9);
    expect(ofThreads).toBeCloseTo(60, 9);
    expect(ofMachine).toBeCloseTo(750, 9);
  });
});

describe('a machine that others use', () => {
  const each = { each: 'connection', shortEach: 'connection', unit: 'us' } as const;
  const names = (kept: Map<string, number>) => [...kept.keys()].map((key) => key.slice(0, -14));

  it('leaves only the time of threads, and says why', () => {
    const { kept, missing, context } = keeper();
    const round = [cost('haproxy', 4, 0.5, 2.5, 2000, 0.4), cost('direct', 2, 0.02, 0.5, 1000)];
    recordCosts(context, each, {}, round);
    expect(names(kept)).toEqual(['haproxy: CPU time per connection, its threads alone']);
    expect(missing).toEqual([
      'haproxy: CPU time: others used 10 % of the CPU under test meanwhile',
    ]);
  });

  it('while direct is measured takes away what others are compared with', () => {
    const { kept, missing, context } = keeper();
    const round = [cost('haproxy', 4, 0.5, 2.5, 2000), cost('direct', 2, 0.3, 0.5, 1000, 0.3)];
    recordCosts(context, each, {}, round);
    expect(names(kept)).toEqual([
      'haproxy: CPU time per connection, its threads alone',
      'haproxy: CPU time per connection',
    ]);
    expect(missing[0]).toMatch('direct: CPU time: others used 15 %');
  });
});

describe('latencies of a round', () => {
  const found = (contender: string, p50: number, observations = 5000): LatencyFound => ({
    contender,
    latencyUs: { p50, p99: p50 * 2, p999: p50 * 4 },
    observations,
  });

  it('are recorded as they are, and as what is added to direct, wherever that comes', () => {
    const { kept, context } = keeper();
    recordLatencies(context, 'round trip', {}, [found('nginx', 70), found('direct', 30)]);
    expect(Object.fromEntries(kept)).toEqual({
      'nginx: round trip, p50 us': 70,
      'nginx: round trip added, p50 us': 40,
      'nginx: round trip, p99 us': 140,
      'nginx: round trip added, p99 us': 80,
      'nginx: round trip, p99.9 us': 280,
      'nginx: round trip added, p99.9 us': 160,
      'direct: round trip, p50 us': 30,
      'direct: round trip, p99 us': 60,
      'direct: round trip, p99.9 us': 120,
    });
  });

  it('have no p99.9 when there are too few', () => {
    const { kept, context } = keeper();
    recordLatencies(context, 'round trip', {}, [found('nginx', 70), found('direct', 30, 1000)]);
    expect(kept.has('nginx: round trip, p99.9 us')).toBe(true);
    expect(kept.has('nginx: round trip added, p99.9 us')).toBe(false);
    expect(kept.has('direct: round trip, p99.9 us')).toBe(false);
    expect(kept.has('direct: round trip, p99 us')).toBe(true);
  });
});

describe('names of series', () => {
  it('tell the way of waiting only where there is a choice', () => {
    expect(seriesName('weir-af-xdp', 'busy')).toBe('weir-af-xdp, busy polling');
    expect(seriesName('weir-af-xdp', 'adaptive')).toBe('weir-af-xdp');
    expect(seriesName('nginx', 'busy')).toBe('nginx');
  });
});

describe('ways of waiting', () => {
  it('are two for weir, of which a quick run takes both only once', () => {
    expect(idlesOf('weir-af-packet', false)).toEqual(['adaptive', 'busy']);
    expect(idlesOf('weir-af-packet', true)).toEqual(['adaptive']);
    expect(idlesOf('weir-af-xdp', true)).toEqual(['adaptive', 'busy']);
    expect(idlesOf('haproxy', false)).toEqual(['adaptive']);
  });

  it('leave room for the kernel on the CPU under test only when weir sleeps', () => {
    expect([receivesItself('adaptive'), receivesItself('busy')]).toEqual([true, false]);
  });
});
