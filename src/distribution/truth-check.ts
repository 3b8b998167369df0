// Does what a backend says agree with what the data plane sees of it? A server that calls itself less
// busy than the others, while its first answers take many times as long as theirs, is wrong about
// itself: its agent lies or hangs, or measures the wrong thing. Its word then cannot raise its weight
// above the configured one; it can still lower it.
//
// The limits are wide, because a backend that is merely farther away must not be suspected.

const TIMES_SLOWER = 5;
const SLOWER_MS = 100;

export interface Testimony {
  /** Smoothed; undefined when it has said nothing that counts. */
  readonly utilization?: number;
  readonly answerTimeMs?: number;
}

/** Whether the one at `index` is distrusted; then how long the others take to answer (median, ms). */
export function distrust(testimonies: readonly Testimony[], index: number): number | undefined {
  const { utilization, answerTimeMs } = testimonies[index];
  if (utilization === undefined || !isTime(answerTimeMs)) return undefined;
  const others = testimonies.filter((_, i) => i !== index);
  const times = others.map((other) => other.answerTimeMs).filter(isTime);
  const claims = others.flatMap((other) => other.utilization ?? []);
  if (times.length === 0 || claims.length === 0) return undefined;
  const mean = claims.reduce((sum, claim) => sum + claim, 0) / claims.length;
  if (utilization >= mean) return undefined;
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1];
  const isSlow = answerTimeMs > median * TIMES_SLOWER && answerTimeMs > median + SLOWER_MS;
  return isSlow ? median : undefined;
}

function isTime(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value >= 0;
}
