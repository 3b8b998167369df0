import { describe, expect, it } from 'vitest';
import { EXTERNAL, RelayBench, rtp } from '../../test/support/relay-bench.ts';

/** A stream from `first` on; `processorOf` says who of three has seen the packet: -1 nobody. */
function lostOf(first: number, count: number, processorOf: (i: number) => number): number {
  const bench = new RelayBench({}, 3);
  const { call, legs, ports } = bench.open();
  bench.expect(legs[0], '192.0.2.10:4000');
  const to = `${EXTERNAL}:${ports[0]}`;
  for (let i = 0; i < count; i += 1) {
    const processor = processorOf(i);
    const payload = rtp({ sequence: first + i, timestamp: i * 160, size: 1 });
    if (processor >= 0) bench.send({ from: '192.0.2.10:4000', to, payload }, {}, processor);
    bench.nowMs += 20;
  }
  return bench.calls.report(call.media[0].legs[0]).lost;
}

describe('packets lost of a stream that several processors have seen', () => {
  it.each([0, 40_000, 65_530])('are those that nobody has seen, from %i on', (first) => {
    expect(lostOf(first, 90, (i) => i % 3)).toBe(0);
    expect(lostOf(first, 90, (i) => (i % 10 === 5 ? -1 : i % 3))).toBe(9);
  });

  it('are right when the second begins after the numbers have gone round', () => {
    expect(lostOf(65_500, 90, (i) => (i < 50 ? 0 : 1))).toBe(0);
    expect(lostOf(65_500, 90, (i) => (i === 50 ? -1 : i < 50 ? 0 : 2))).toBe(1);
    // The one that was first is the last one as well.
    expect(lostOf(65_500, 90, (i) => (i === 20 ? -1 : i > 40 && i < 80 ? 1 : 0))).toBe(1);
  });
});
