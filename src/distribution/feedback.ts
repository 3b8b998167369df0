// From the estimates of a service's backends to the factors by which feedback moves their weights.
// Those with a report that can be used are compared with each other; the sum of their weights stays
// the sum of their configured ones, so that they and the backends without reports remain comparable.
// A backend without a usable report goes back to its configured weight, in steps, and arrives there.
//
// Invariant: a factor lies in [floor, ceiling], also beside the mean of the other backends, and moves
// by at most the largest step, but where the ceiling beside the others came down faster.

import { capacityWish } from './capacity.ts';
import type { Derivation } from './derivation.ts';
import { type CarriedLoad, evenLoadWishes, IDLE_UTILIZATION, naiveWish } from './even-load.ts';
import { leastResponseTimeWish } from './least-response-time.ts';
import { bound, boundsOf, clamp, factorsOf, step } from './limits.ts';
import type { DistributionSettings } from './settings.ts';
import { distrust } from './truth-check.ts';

/** Sets `feedback`, and what led to it, of the backends that take connections. */
export function feedBack(settings: DistributionSettings, taking: readonly Derivation[]): void {
  const wishes = wishesOf(settings, taking);
  const fed = taking.filter((_, i) => wishes[i] !== undefined);
  const bounds = boundsOf(settings);
  const wanted = factorsOf(
    wishes.filter((wish) => wish !== undefined),
    fed.map((each) => each.baseWeight),
    bounds,
  );
  fed.forEach((derivation, i) => {
    derivation.wanted = wanted[i];
  });
  setMeans(settings, fed);
  if (settings.algorithm === 'even-load' || settings.algorithm === 'capacity') {
    for (const derivation of fed) rest(derivation);
    doubt(taking);
  }
  for (const derivation of taking) derivation.feedback = moved(settings, derivation);
  const factors = taking.map((each) => each.feedback);
  bound(
    factors,
    taking.map((each) => each.baseWeight),
    0,
    bounds.ceiling,
  );
  taking.forEach((derivation, i) => {
    derivation.feedback = clamp(factors[i], bounds.floor, bounds.ceiling);
  });
}

/** What each should get beside the others; undefined: nothing is known that the algorithm can use. */
function wishesOf(
  settings: DistributionSettings,
  taking: readonly Derivation[],
): (number | undefined)[] {
  switch (settings.algorithm) {
    case 'static':
      return taking.map(() => undefined);
    case 'even-load':
      return settings.herdGuard ? guardedEvenLoad(taking) : naiveEvenLoad(taking);
    case 'capacity':
      return taking.map(({ load: { estimate } }) =>
        estimate?.utilization === undefined || estimate.rate === undefined
          ? undefined
          : capacityWish(estimate.rate, estimate.utilization),
      );
    case 'least-response-time':
      return taking.map(({ baseWeight, carried, load: { estimate } }) => {
        if (estimate?.timeMs === undefined) return undefined;
        const change = settings.herdGuard ? carried / estimate.carried : 1;
        return leastResponseTimeWish(estimate.timeMs, change) * baseWeight;
      });
  }
}

function guardedEvenLoad(taking: readonly Derivation[]): (number | undefined)[] {
  const loads: CarriedLoad[] = [];
  const positions = taking.map((derivation) => {
    const { estimate } = derivation.load;
    if (estimate?.utilization === undefined || estimate.slope === undefined) return -1;
    const { utilization, slope, carried } = estimate;
    derivation.guarded = Math.max(0, utilization + slope * (derivation.carried - carried));
    return loads.push({ utilization, slope, carried }) - 1;
  });
  const wishes = evenLoadWishes(loads);
  return positions.map((position) => (position < 0 ? undefined : wishes[position]));
}

function naiveEvenLoad(taking: readonly Derivation[]): (number | undefined)[] {
  const weight = (each: Derivation) => each.before?.exactWeight ?? each.baseWeight;
  const total = taking.reduce((sum, each) => sum + weight(each), 0);
  return taking.map((derivation) => {
    const utilization = derivation.load.estimate?.utilization;
    if (utilization === undefined) return undefined;
    // The weight in force as a part of all: what the naive rule takes for the load assigned.
    return naiveWish(utilization, total > 0 ? Math.max(1e-6, weight(derivation) / total) : 1);
  });
}

/** Beside what each is judged, for the reasons. */
function setMeans(settings: DistributionSettings, fed: readonly Derivation[]): void {
  const figure = (each: Derivation) =>
    (settings.algorithm === 'least-response-time'
      ? each.load.estimate?.timeMs
      : each.load.estimate?.utilization) ?? 0;
  const mean = fed.reduce((sum, each) => sum + figure(each), 0) / fed.length;
  for (const derivation of fed) derivation.mean = mean;
}

/**
 * Where next to nothing is done, all servers are equally busy however it is shared out, and weights
 * would stay for ever where the last disturbance left them, or drift by chance. So the less is done
 * by a backend and by all, the more the configured weight is wanted.
 */
function rest(derivation: Derivation): void {
  const { load, mean, wanted } = derivation;
  if (wanted === undefined) return;
  const utilization = Math.max(load.estimate?.utilization ?? 0, mean);
  derivation.resting = clamp(1 - utilization / IDLE_UTILIZATION, 0, 1);
  derivation.wanted = wanted + derivation.resting * (1 - wanted);
}

/** Who is wrong about itself cannot rise by its word. */
function doubt(taking: readonly Derivation[]): void {
  const besides = distrust(
    taking.map(({ input, load }) => ({
      utilization: load.estimate?.utilization,
      answerTimeMs: input.answerTimeMs,
    })),
  );
  taking.forEach((derivation, i) => {
    if (besides[i] === undefined || (derivation.wanted ?? 0) <= 1) return;
    derivation.distrustedBesideMs = besides[i];
    derivation.wanted = 1;
  });
}

/** One step from the factor in force to the wanted one, or none when it is not worth it. */
function moved(settings: DistributionSettings, derivation: Derivation): number {
  const { before, wanted } = derivation;
  const from = before?.isTaking ? before.feedback : 1;
  if (wanted === undefined) return step(from, 1, settings.largestStep);
  if (Math.abs(wanted - from) < settings.deadBand * from) return from;
  // One rise for each report: it must be able to say what the last one did to it.
  if (settings.herdGuard && wanted > from && !derivation.load.isNew) return from;
  return step(from, wanted, settings.largestStep);
}
