// The text of Prometheus, cut anywhere and spoiled in every way, and the figures from two scrapes.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isNodeScrape, NodeScrapeReader, nodeFigures } from './node-exporter-figures.ts';
import { LONGEST_LINE, labelValue, PrometheusText } from './prometheus-text.ts';

function samples(pieces: readonly string[]): [string, string, number][] {
  const found: [string, string, number][] = [];
  const text = new PrometheusText(
    (name) => name.startsWith('node_'),
    (...sample) => found.push(sample),
  );
  for (const piece of pieces) text.push(piece);
  return found;
}

const PAGE = `# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1 0.19
go_threads 8
node_cpu_seconds_total{cpu="0",mode="idle"} 1087.03
node_memory_MemAvailable_bytes 2.4844611584e+10
node_with_time{a="}"} 5 1395066363000\r
node_not_a_number NaN
node_without_value
node_infinite +Inf
`;

const EXPECTED = [
  ['node_load1', '', 0.19],
  ['node_cpu_seconds_total', 'cpu="0",mode="idle"', 1087.03],
  ['node_memory_MemAvailable_bytes', '', 24_844_611_584],
  ['node_with_time', 'a="}"', 5],
];

describe('PrometheusText', () => {
  it('gives the wanted samples, and no line that is none', () => {
    expect(samples([PAGE])).toEqual(EXPECTED);
  });

  it('gives the same wherever it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(PAGE.length), { maxLength: 20 }), (cuts) => {
        const points = [0, ...cuts.sort((a, b) => a - b), PAGE.length];
        const pieces = points.slice(1).map((point, i) => PAGE.slice(points[i], point));
        expect(samples(pieces)).toEqual(EXPECTED);
      }),
    );
  });

  it('takes any text', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (pieces) => {
        for (const [, , value] of samples(pieces)) expect(Number.isFinite(value)).toBe(true);
      }),
    );
  });

  it('leaves out a line without an end, keeping none of it', () => {
    const text = new PrometheusText(
      () => true,
      () => expect.fail('no sample is in it'),
    );
    for (let i = 0; i < 1000; i++) text.push('x'.repeat(10_000));
    expect((text as unknown as { rest: string }).rest.length).toBeLessThanOrEqual(LONGEST_LINE);
    const found = samples([`node_a{l="${'x'.repeat(LONGEST_LINE)}"} 1\nnode_b 2\n`]);
    expect(found).toEqual([['node_b', '', 2]]);
  });

  it('finds labels by their whole name', () => {
    expect(labelValue('xmode="a",mode="b"', 'mode')).toBe('b');
    expect(labelValue('cpu="mode=\\"x\\"",mode="idle"', 'mode')).toBe('idle');
    expect(labelValue('cpu="0"', 'mode')).toBeUndefined();
    expect(labelValue('cpu=",mode=", mode = "idle"', 'mode')).toBeUndefined();
    expect(labelValue('cpu=",mode=", mode="idle",', 'mode')).toBe('idle');
  });

  it('no line of labels holds it up', () => {
    for (const labels of ['a'.repeat(LONGEST_LINE), 'a="\\"'.repeat(1000), 'a="b",'.repeat(700)]) {
      const before = process.cpuUsage();
      for (let i = 0; i < 100; i++) expect(labelValue(labels, 'mode')).toBeUndefined();
      const { user, system } = process.cpuUsage(before);
      // A search from every letter takes ten times as long, and that for 4 KiB of 4 MiB.
      expect((user + system) / 1000 / 100).toBeLessThan(2);
    }
  });
});

function scrape(values: Record<string, number>, cpu: Record<string, number> = {}) {
  const reader = new NodeScrapeReader();
  for (const [name, value] of Object.entries(values)) reader.push(`node_${name} ${value}\n`);
  for (const [mode, value] of Object.entries(cpu)) {
    for (const number of [0, 1]) {
      reader.push(`node_cpu_seconds_total{cpu="${number}",mode="${mode}"} ${value}\n`);
    }
  }
  return reader.scrape;
}

describe('nodeFigures', () => {
  it('gives what is a state from the first scrape, and rates from the second', () => {
    const state = { memory_MemAvailable_bytes: 250, memory_MemTotal_bytes: 1000 };
    const first = scrape(
      { ...state, netstat_Tcp_CurrEstab: 7, netstat_Tcp_PassiveOpens: 100 },
      { idle: 100, iowait: 10, user: 50, system: 20, steal: 1 },
    );
    expect(nodeFigures(first, undefined, 0)).toEqual({ memoryUtilization: 0.75, clients: 7 });
    const second = scrape(
      {
        ...state,
        netstat_Tcp_CurrEstab: 9,
        netstat_Tcp_PassiveOpens: 130,
        pressure_cpu_waiting_seconds_total: 3,
      },
      { idle: 100.5, iowait: 10.5, user: 50.6, system: 20.3, steal: 1.1 },
    );
    const figures = nodeFigures(second, first, 2000);
    // One second of work in two seconds of two CPUs is idle 0.5 + 0.5 beside busy 0.6 + 0.3 + 0.1.
    expect(figures.cpuUtilization).toBeCloseTo(0.5, 5);
    expect(figures.connectionsPerSecond).toBe(15);
    expect(figures.clients).toBe(9);
    // Pressure was not in the first scrape.
    expect('cpuPressure' in figures).toBe(false);
  });

  it('turns waiting seconds into a share of time that is at most 1', () => {
    const names = ['cpu', 'memory', 'io'];
    const at = (seconds: number) =>
      scrape(
        Object.fromEntries(names.map((n) => [`pressure_${n}_waiting_seconds_total`, seconds])),
      );
    expect(nodeFigures(at(10.5), at(10), 1000)).toEqual({
      cpuPressure: 0.5,
      memoryPressure: 0.5,
      ioPressure: 0.5,
    });
    expect(nodeFigures(at(20), at(10), 1000).ioPressure).toBe(1);
  });

  it('gives no figure of a counter that went back, and none from no time', () => {
    const before = scrape({ netstat_Tcp_PassiveOpens: 100 }, { idle: 100, user: 50 });
    const after = scrape({ netstat_Tcp_PassiveOpens: 10 }, { idle: 1, user: 1 });
    expect(nodeFigures(after, before, 1000)).toEqual({});
    expect(nodeFigures(before, before, 0)).toEqual({});
  });

  it('gives no utilisation across a change of the number of CPUs', () => {
    const before = scrape({}, { idle: 100, user: 50 });
    const after = scrape({}, { idle: 101, user: 51 });
    const reader = new NodeScrapeReader();
    reader.push('node_cpu_seconds_total{cpu="2",mode="user"} 500\n');
    after.cpuSamples += reader.scrape.cpuSamples;
    after.busySeconds += reader.scrape.busySeconds;
    expect(nodeFigures(after, before, 1000)).toEqual({});
  });

  it('knows a page that is not of node_exporter', () => {
    expect(isNodeScrape(scrape({}))).toBe(false);
    expect(isNodeScrape(scrape({}, { idle: 0 }))).toBe(true);
    expect(isNodeScrape(scrape({ netstat_Tcp_CurrEstab: 0 }))).toBe(true);
  });
});
