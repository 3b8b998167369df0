// Slow start: a backend that comes back, is new, or whose configured weight was raised gets its new
// weight little by little, in a straight line over `slowStartMs`. A server that has just started has
// cold caches and no threads yet, and its share at once could kill it again.
//
// What feedback does is not slowed here: it has its own largest step.
//
// Invariant: the weight never rises faster than the line, falls at once, and ends exactly where it
// should.

export interface SlowStart {
  readonly fromWeight: number;
  readonly elapsedMs: number;
}

/**
 * @param before the slow start under way, or undefined
 * @param cause 'return' when the backend takes connections again (or first), 'raise' when its
 *   configured weight was raised, or undefined
 * @param weightBefore its weight until now
 * @returns the slow start that is under way now, or undefined when there is none
 */
export function continueSlowStart(
  before: SlowStart | undefined,
  cause: 'return' | 'raise' | undefined,
  weightBefore: number,
  elapsedMs: number,
  slowStartMs: number,
): SlowStart | undefined {
  if (!(slowStartMs > 0)) return undefined;
  if (cause === 'return') return { fromWeight: 0, elapsedMs: 0 };
  if (cause === 'raise') return { fromWeight: weightBefore, elapsedMs: 0 };
  if (before === undefined || before.elapsedMs + elapsedMs >= slowStartMs) return undefined;
  return { fromWeight: before.fromWeight, elapsedMs: before.elapsedMs + elapsedMs };
}

/** The weight in force on the way to `full`. */
export function slowedWeight(
  full: number,
  slowStart: SlowStart | undefined,
  slowStartMs: number,
): number {
  if (slowStart === undefined || full <= slowStart.fromWeight) return full;
  const part = Math.min(1, slowStart.elapsedMs / slowStartMs);
  return slowStart.fromWeight + (full - slowStart.fromWeight) * part;
}
