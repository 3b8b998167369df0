// The master over main memory in a plain buffer, stepped by hand: what comes in from reports, health and
// operators, and the decisions that come out. What the weights are is the synthesis' own tests' matter.

import { describe, expect, it } from 'vitest';
import type { ServiceMemory } from '../distribution/synthesis.ts';
import type { HealthState } from '../health/checker.ts';
import type { LoadReport } from '../load/load-report.ts';
import type { MainMemory } from '../memory/region.ts';
import {
  BACKEND_CONNECTIONS,
  backendCounters,
  backendCountersBase,
} from '../tables/connection-backends.ts';
import { BackendObserver } from './backend-observer.ts';
import type { Ids } from './compile-configuration.ts';
import type { Configuration } from './config/schema.ts';
import { fileText, parsed, runningMemory, serviceText } from './control.harness.ts';
import { Master } from './master.ts';

function ids(keys: string[]): Ids {
  const services = [...new Set(keys.map((key) => key.split('/')[0]))];
  return {
    services: new Map(services.map((name, n) => [name, n])),
    backends: new Map(keys.map((key, n) => [key, n])),
  };
}

function down(key: string): HealthState {
  return {
    key,
    status: 'down',
    cause: 'connection refused',
    sinceMs: 0,
    checks: 3,
    failures: 3,
    flaps: 0,
  };
}

function setUp(rest = '', memory: MainMemory = runningMemory()) {
  const lines: string[] = [];
  const states = new Map<string, HealthState>();
  const log = {
    info: (line: string) => lines.push(line),
    warning: (line: string) => lines.push(line),
  };
  const master = new Master({
    observer: new BackendObserver(memory),
    log,
    health: { state: (key) => states.get(key), status: (key) => states.get(key)?.status },
  });
  const configuration = parsed(fileText([serviceText('web', 80, [11, 12, 13], rest)]));
  const keys = ['web/b11', 'web/b12', 'web/b13'];
  master.useConfiguration(configuration, ids(keys));
  const weights = (nowMs: number): number[] => {
    const { decisions } = master.decide(nowMs);
    return keys.map((key) => decisions.get(key)!.weight);
  };
  return { master, lines, states, weights, configuration, keys, memory };
}

describe('Master', () => {
  it('by itself gives every backend its configured weight', () => {
    const { weights, master } = setUp();
    expect(weights(0)).toEqual([1, 1, 1]);
    expect(master.decide(1000).changed).toBe(false);
  });

  it('gives a dead backend nothing, says so once, and ends its connections when asked to', () => {
    for (const [rest, ends] of [
      ['on-down: keep,', false],
      ['on-down: reset,', true],
      ['on-down: rebalance,', true],
    ] as const) {
      const { master, states, lines } = setUp(rest);
      master.decide(0);
      states.set('web/b12', down('web/b12'));
      const { decisions, changed } = master.decide(1000);
      expect(changed).toBe(true);
      expect(decisions.get('web/b12')).toMatchObject({ weight: 0, endsConnections: ends });
      expect(decisions.get('web/b11')).toMatchObject({ endsConnections: false });
      expect(lines.filter((line) => line.includes('b12'))).toHaveLength(1);
      expect(master.decide(2000).changed).toBe(false);
      expect(lines.filter((line) => line.includes('b12'))).toHaveLength(1);
    }
  });

  it('in a panic uses all, and ends nothing', () => {
    const { master, states, lines } = setUp('on-down: reset,');
    master.decide(0);
    for (const key of ['web/b11', 'web/b12']) states.set(key, down(key));
    const { decisions } = master.decide(1000);
    expect([...decisions.values()].every(({ weight }) => weight > 0)).toBe(true);
    expect([...decisions.values()].some(({ endsConnections }) => endsConnections)).toBe(false);
    expect(lines.join()).toContain('all are used');
  });

  it('an operator’s weight and drain stand above the configuration', () => {
    const { master, weights } = setUp('distribution: { slow-start: 0 },');
    weights(0);
    const by = { by: 'ann', atMs: 1 };
    master.operator = master.operator
      .withWeight('web/b11', 3, by)
      .withDrain('web/b13', { deadlineMs: 5000, atDeadline: 'reset' }, by, 1000);
    for (let nowMs = 1000; nowMs < 5000; nowMs += 1000) weights(nowMs);
    const [first, second, third] = weights(5000);
    expect(first / second).toBeCloseTo(3, 1);
    expect(third).toBe(0);
    expect(master.decide(5500).decisions.get('web/b13')!.endsConnections).toBe(false);
    const after = master.decide(6000);
    expect(after.decisions.get('web/b13')!.endsConnections).toBe(true);
    expect(after.changed).toBe(true);
  });

  it('takes reports about backends that there are, and forgets them with their backends', () => {
    const { master, configuration } = setUp();
    const report = (backend: string): LoadReport => ({
      backend,
      source: 'agent',
      identity: 'a',
      sequence: 1,
      receivedAtMs: 0,
      figures: { cpuUtilization: 0.5 },
    });
    master.accept(report('web/b11'));
    master.accept(report('web/b99'));
    expect(master.report('web/b11')).toBeDefined();
    expect(master.report('web/b99')).toBeUndefined();
    master.useConfiguration(configuration, ids(['web/b12']));
    expect(master.report('web/b11')).toBeUndefined();
  });

  it('forgets what was asked for by who does not speak for a backend any more', () => {
    const { master, configuration } = setUp('load: { source: agent-check, port: 99 },');
    const keys = ids(['web/b11', 'web/b12', 'web/b13']);
    const asks = (source: LoadReport['source'], identity: string): LoadReport => ({
      ...{ backend: 'web/b11', source, identity, sequence: 1, receivedAtMs: 0, figures: {} },
      wish: { administrative: 'maint' },
    });
    const weightWith = (used: Configuration): number => {
      master.useConfiguration(used, keys);
      return master.decide(1000).decisions.get('web/b11')!.weight;
    };
    master.accept(asks('agent-check', '10.2.0.11:99'));
    expect(weightWith(configuration)).toBe(0);
    const without = parsed(fileText([serviceText('web', 80, [11, 12, 13])]));
    expect(weightWith(without)).toBeGreaterThan(0);

    const agents = (name: string) => ({
      ...without,
      'resource-manager': {
        ...without['resource-manager'],
        agents: [{ name, 'key-file': 'k', backends: ['web/b11'] }],
      },
    });
    master.accept(asks('agent', 'a'));
    expect(weightWith(agents('a'))).toBe(0);
    expect(weightWith(agents('b'))).toBeGreaterThan(0);
  });

  it('says nothing of weights that are only written in other numbers', () => {
    const { master, weights, lines } = setUp();
    expect(weights(0)).toEqual([1, 1, 1]);
    master.operator = master.operator.withWeight('web/b11', 2, { by: 'ann', atMs: 1 });
    expect(weights(1000)).toEqual([1, 1, 1]);
    // It rises slowly, so that finer numbers are needed.
    expect(weights(2000)).toEqual([110, 100, 100]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^web: b11 1 → 1\.1 [^→]*$/);
  });

  it('names some of the weights that changed, and counts the others', () => {
    const { master, configuration, lines } = setUp();
    const [service] = configuration.services;
    const backends = Array.from({ length: 500 }, (_, n) => ({
      ...service.backends[0],
      name: `b${n}`,
    }));
    const keys = ids(backends.map(({ name }) => `web/${name}`));
    const weighing = (weight: number): Configuration => ({
      ...configuration,
      services: [{ ...service, backends: backends.map((each) => ({ ...each, weight })) }],
    });
    master.useConfiguration(weighing(1), keys);
    master.decide(0);
    master.useConfiguration(weighing(0), keys);
    master.decide(1000);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('b9 1 → 0');
    expect(lines[0]).not.toContain('b10 ');
    expect(lines[0]).toMatch(/, and 490 more$/);
  });

  it('goes on where a killed one stopped: nothing changes', () => {
    const first = setUp('distribution: { algorithm: even-load },');
    for (let nowMs = 0; nowMs < 60_000; nowMs += 1000) {
      first.keys.forEach((backend, n) => {
        first.master.accept({
          backend,
          source: 'agent',
          identity: 'a',
          sequence: nowMs + 1,
          receivedAtMs: nowMs,
          figures: { cpuUtilization: n === 0 ? 0.9 : 0.3 },
        });
        const base = backendCountersBase(first.memory, 0);
        first.memory.doubles[backendCounters(base, n) + BACKEND_CONNECTIONS] += 10;
      });
      first.master.decide(nowMs);
    }
    const before = first.weights(60_000);
    expect(before[0]).toBeLessThan(before[1]);
    const second = setUp('distribution: { algorithm: even-load },', first.memory);
    const web = first.master.memory('web') as ServiceMemory;
    const reports = first.keys.map((key) => first.master.report(key) as LoadReport);
    second.master.restore(JSON.parse(JSON.stringify({ services: { web }, reports })));
    expect(second.weights(60_001)).toEqual(before);
  });
});

describe('backends that no check has looked at yet', () => {
  it('are used if they were there at the start, and wait if they came later', () => {
    const { master, states, configuration } = setUp('distribution: { slow-start: 0 },');
    const unchecked = (key: string): HealthState => ({ ...down(key), status: 'unchecked' });
    for (const key of ['web/b11', 'web/b12']) states.set(key, unchecked(key));
    expect([...master.decide(0).decisions.values()].map(({ weight }) => weight > 0)).toEqual([
      true,
      true,
      true,
    ]);
    const more = parsed(fileText([serviceText('web', 80, [11, 12, 13, 14])]));
    const keys = more.services[0].backends.map(({ name }) => `web/${name}`);
    states.set('web/b14', unchecked('web/b14'));
    master.useConfiguration(more, ids(keys));
    expect(master.decide(1000).decisions.get('web/b14')!.weight).toBe(0);
    states.delete('web/b14');
    expect(master.decide(2000).decisions.get('web/b14')!.weight).toBeGreaterThan(0);
    expect(configuration.services).toHaveLength(1);
  });
});

it('takes a time in proportion to how many backends there are', () => {
  const { master, configuration } = setUp('distribution: { algorithm: even-load, blackout: 0 },');
  const [service] = configuration.services;
  const leastMs = (count: number): number => {
    const backends = Array.from({ length: count }, (_, n) => ({
      ...service.backends[0],
      name: `b${n}`,
    }));
    const keys = ids(backends.map(({ name }) => `web/${name}`));
    master.useConfiguration({ ...configuration, services: [{ ...service, backends }] }, keys);
    const figures = { cpuUtilization: 0.5 };
    const agent = { source: 'agent' as const, identity: 'a', figures };
    const times = Array.from({ length: 5 }, (_, period) => {
      const atMs = count + period * 1000;
      for (const backend of keys.backends.keys()) {
        master.accept({ ...agent, backend, sequence: atMs, receivedAtMs: atMs });
      }
      const begunMs = performance.now();
      master.decide(atMs);
      return performance.now() - begunMs;
    });
    return Math.min(...times.slice(1));
  };
  leastMs(500);
  // Eight times as many: 64 times as long, if each were compared with all others. What it is is found when
  // nothing else takes the CPU meanwhile.
  let ratio = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 8 && ratio >= 32; attempt++) {
    ratio = Math.min(ratio, leastMs(4096) / leastMs(512));
  }
  expect(ratio).toBeLessThan(32);
}, 60_000);
