import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseH2load } from './h2load.ts';
import { highestRate } from './highest-rate.ts';
import { parseIperf3 } from './iperf3.ts';
import { percentilesOf } from './percentiles.ts';
import { parseSockperf } from './sockperf.ts';

describe('percentiles', () => {
  it('are values that were seen, by rank', () => {
    const values = Array.from({ length: 1000 }, (_, index) => 1000 - index);
    expect(percentilesOf(values)).toEqual({ p50: 500, p99: 990, p999: 999 });
    expect(percentilesOf([7])).toEqual({ p50: 7, p99: 7, p999: 7 });
  });

  it('leave as many below them as they say', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 300 }), (values) => {
        const { p50, p99, p999 } = percentilesOf(values);
        expect(p50 <= p99 && p99 <= p999).toBe(true);
        expect(values.filter((value) => value <= p50).length * 2).toBeGreaterThanOrEqual(
          values.length,
        );
        expect(values.filter((value) => value < p50).length * 2).toBeLessThan(values.length + 1);
        expect(values).toContain(p999);
      }),
    );
  });

  it('of nothing are an error', () => {
    expect(() => percentilesOf([])).toThrow(RangeError);
  });
});

describe('h2load', () => {
  const report = `finished in 3.01s, 1993.15 req/s, 243.30KB/s
requests: 6 total, 6 started, 6 done, 4 succeeded, 2 failed, 1 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 1 5xx
`;
  const log = `1795183430632033\t200\t4025
1795183430632068\t200\t93
1795183430636101\t503\t16
1795183431132033\t200\t117
1795183431632033\t200\t126
1795183432639785\t-1\t50
`;

  it('tells counts, the rate of answers, and latencies of answers alone', () => {
    expect(parseH2load(report, log)).toEqual({
      requests: 4,
      failed: 2,
      rate: 3,
      latencyUs: { p50: 117, p99: 4025, p999: 4025 },
    });
  });

  it('without an answer, or without an end, is an error', () => {
    expect(() => parseH2load(report, '1795183430636101\t503\t16\n')).toThrow('no answer');
    expect(() => parseH2load('connect failed', log)).toThrow('gave no result');
  });
});

describe('sockperf', () => {
  const report = `sockperf: Test ended
sockperf: [Total Run] RunTime=2.000 sec; Warm up time=400 msec; SentMessages=2001; ReceivedMessages=2001
sockperf: ========= Printing statistics for Server No: 0
sockperf: [Valid Duration] RunTime=1.500 sec; SentMessages=1500; ReceivedMessages=1498
sockperf: [2;35m====> avg-rtt=214.026 (std-dev=874.049)[0m
sockperf: # dropped messages = 2; # duplicated messages = 0; # out-of-order messages = 0
sockperf: Summary: Round trip is 214.026 usec
sockperf: [2;35mTotal 1498 observations[0m; each percentile contains 14.98 observations
sockperf: ---> <MAX> observation = 8902.602
sockperf: ---> percentile 99.999 = 8902.602
sockperf: ---> percentile 99.990 = 8902.602
sockperf: ---> percentile 99.900 = 7928.401
sockperf: ---> percentile 99.000 = 4896.949
sockperf: ---> percentile 90.000 =   37.705
sockperf: ---> percentile 75.000 =   23.054
sockperf: ---> percentile 50.000 =   16.063
sockperf: ---> percentile 25.000 =   14.621
`;

  it('tells what counts, warming up left out', () => {
    expect(parseSockperf(report)).toEqual({
      sent: 1500,
      received: 1498,
      rate: 1000,
      roundTripUs: { p50: 16.063, p99: 4896.949, p999: 7928.401 },
    });
  });

  it('without round trips is an error that says what it said', () => {
    const nothing = `${report.slice(0, report.indexOf('[Valid'))}No valid observations found.\n`;
    expect(() => parseSockperf(nothing)).toThrow('No valid observations found');
  });
});

describe('iperf3', () => {
  const end = (received: object) => JSON.stringify({ start: {}, intervals: [], end: received });

  it('counts what was received', () => {
    const text = end({
      sum_sent: { bytes: 30_100, bits_per_second: 240_800, retransmits: 17 },
      sum_received: { bytes: 30_000, bits_per_second: 240_000 },
    });
    expect(parseIperf3(text)).toEqual({ bytes: 30_000, bytesPerSecond: 30_000, retransmits: 17 });
  });

  it('says what failed', () => {
    const refused = JSON.stringify({ error: 'unable to connect to server', end: {} });
    expect(() => parseIperf3(refused)).toThrow('unable to connect to server');
    expect(() => parseIperf3(end({}))).toThrow('nothing was received');
    expect(() => parseIperf3('Segmentation fault')).toThrow('gave no result');
  });
});

describe('the highest rate', () => {
  const span = { from: 1000, to: 64_000 };
  const limit = (highest: number) => (rate: number) => Promise.resolve(rate <= highest);

  it('is found from below, the closer the more trials there are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1500, max: 64_000 }),
        fc.integer({ min: 4, max: 12 }),
        async (highest, trials) => {
          const found = await highestRate(span, trials, limit(highest));
          expect(found).toBeLessThanOrEqual(highest);
          // What is left of the span after so many halvings, by ratio, and of rounding.
          const ratio = 64 ** (1 / 2 ** trials);
          expect(found * ratio).toBeGreaterThanOrEqual((highest - 2) * 0.999);
        },
      ),
    );
  });

  it('is none when nothing is carried, and asks as often as it may', async () => {
    let asked = 0;
    const found = await highestRate(span, 5, async () => {
      asked += 1;
      return false;
    });
    expect([found, asked]).toEqual([0, 5]);
  });
});
