// Histograms of durations in nanoseconds as the lab's XDP programs keep them: a bucket for each value
// below 16, and above that 16 buckets for each power of two, so a value is known to 1/16 of itself or
// better. BPF code finds the bucket (bpf-meter.ts); this file reads what came of it.

/** Of durations, in nanoseconds: the middle of the bucket that the percentile falls into. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

const SUB_BITS = 4;
const SUB_BUCKETS = 1 << SUB_BITS;
/** Values of 32 bits; longer ones count as the longest. */
export const HISTOGRAM_BUCKETS = (32 - SUB_BITS + 1) * SUB_BUCKETS;

/** The bucket of a value, 0 … 2^32 - 1. */
export function bucketOf(value: number): number {
  if (value < SUB_BUCKETS) return value;
  const exponent = 31 - Math.clz32(value);
  const shift = exponent - SUB_BITS;
  return (shift + 1) * SUB_BUCKETS + ((value >>> shift) & (SUB_BUCKETS - 1));
}

/** The lowest value of a bucket. */
export function bucketStart(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  return (SUB_BUCKETS + (bucket % SUB_BUCKETS)) * 2 ** shift;
}

function middle(bucket: number): number {
  return (bucketStart(bucket) + bucketStart(bucket + 1) - 1) / 2;
}

/** Percentiles of a histogram: element i counts the values of bucket i. All zero when it is empty. */
export function percentilesOf(counts: ArrayLike<number>): Percentiles {
  const count = Array.from(counts).reduce((sum, each) => sum + each, 0);
  const at = (share: number): number => {
    const wanted = Math.max(1, Math.ceil(count * share));
    let seen = 0;
    for (let bucket = 0; bucket < counts.length; bucket++) {
      seen += counts[bucket];
      if (seen >= wanted) return middle(bucket);
    }
    return 0;
  };
  return { count, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
}
