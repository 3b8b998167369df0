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

/**
 * Who of them is distrusted.
 *
 * @returns for each how long the others take to answer (median, ms), or undefined: nothing against it
 */
export function distrust(testimonies: readonly Testimony[]): (number | undefined)[] {
  const times = testimonies.map((each) => each.answerTimeMs).filter(isTime);
  times.sort((a, b) => a - b);
  const claims = testimonies.flatMap((each) => each.utilization ?? []);
  const claimed = claims.reduce((sum, claim) => sum + claim, 0);
  return testimonies.map(({ utilization, answerTimeMs }) => {
    if (utilization === undefined || !isTime(answerTimeMs)) return undefined;
    if (times.length < 2 || claims.length < 2) return undefined;
    const mean = (claimed - utilization) / (claims.length - 1);
    if (utilization >= mean) return undefined;
    const median = medianOfOthers(times, answerTimeMs);
    const isSlow = answerTimeMs > median * TIMES_SLOWER && answerTimeMs > median + SLOWER_MS;
    return isSlow ? median : undefined;
  });
}

/** Of sorted times without one that equals `own`; there are two at least. */
function medianOfOthers(times: readonly number[], own: number): number {
  const middle = (times.length - 1) >> 1;
  return own > times[middle] ? times[middle] : times[middle + 1];
}

function isTime(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value >= 0;
}
