// Percentiles as they are reported everywhere in the benchmarks: of all single observations, by
// rank, never by interpolation, so that a figure is always a latency that somebody really had to
// wait.

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** @throws RangeError when there are none */
export function percentilesOf(values: readonly number[]): Percentiles {
  if (values.length === 0) throw new RangeError('percentiles of nothing');
  const sorted = Float64Array.from(values).sort();
  const at = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}
