// How far and how fast a weight may go, whatever the reports say. Everything here is about factors
// on the configured weight: 1 leaves it as it is.
//
// Floor and ceiling hold beside the mean of the other backends, not only beside 1: only relations of
// weights mean anything, and a liar whose weight stands still at its ceiling would still get nearly
// everything if his "idleness" pushed all others to their floor. So the greatest share of a backend
// is ceiling × its weight / (ceiling × its weight + the configured weights of the others).
//
// Invariant: the results are finite and lie in [floor, ceiling]; where nothing is limited, the sum of
// the weights is the sum of the configured ones, so that backends with reports and those without
// remain comparable.

/** More passes than limits can push each other; each pass only brings them nearer. */
const PASSES = 20;

export interface Bounds {
  readonly floor: number;
  readonly ceiling: number;
}

/** Floor in (0, 1] and ceiling >= 1, whatever was set. */
export function boundsOf(settings: Bounds): Bounds {
  const floor = Number.isFinite(settings.floor) ? settings.floor : 0;
  const ceiling = Number.isFinite(settings.ceiling) ? settings.ceiling : 1;
  return { floor: Math.min(1, Math.max(0.001, floor)), ceiling: Math.max(1, ceiling) };
}

/**
 * Turns wishes, of which only the relations count, into factors on the configured weights.
 *
 * @param wishes one for each backend with reports, above 0 and finite
 * @param bases their configured weights, above 0
 */
export function factorsOf(
  wishes: readonly number[],
  bases: readonly number[],
  bounds: Bounds,
): number[] {
  const factors = wishes.map((wish, i) => wish / bases[i]);
  bound(factors, bases, bounds.floor, bounds.ceiling);
  const scale = sum(bases) / weightOf(factors, bases);
  return factors.map((factor) => clamp(factor * scale, bounds.floor, bounds.ceiling));
}

/**
 * Holds each factor to floor and ceiling beside the mean of the others, in place: of all backends in
 * use, also of those without reports. A floor of 0 holds none up.
 */
export function bound(
  factors: number[],
  bases: readonly number[],
  floor: number,
  ceiling: number,
): void {
  const total = sum(bases);
  for (let pass = 0; pass < PASSES; pass++) {
    let moved = false;
    let weight = weightOf(factors, bases);
    for (let i = 0; i < factors.length; i++) {
      if (total - bases[i] <= 0) continue;
      const mean = (weight - factors[i] * bases[i]) / (total - bases[i]);
      const next = clamp(factors[i], floor * mean, ceiling * mean);
      if (Math.abs(next - factors[i]) <= 1e-12 * next) continue;
      weight += (next - factors[i]) * bases[i];
      factors[i] = next;
      moved = true;
    }
    if (!moved) return;
  }
}

/** A step from one factor towards another, no larger than `largestStep` times or divided by it. */
export function step(from: number, to: number, largestStep: number): number {
  const most = Number.isFinite(largestStep) ? Math.max(1.0001, largestStep) : Number.MAX_VALUE;
  return clamp(to, from / most, from * most);
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function weightOf(factors: readonly number[], bases: readonly number[]): number {
  return factors.reduce((total, factor, i) => total + factor * bases[i], 0);
}
