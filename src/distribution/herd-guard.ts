// The herd guard: what each backend carries of the connections that weir itself assigned to it.
//
// A report is always older than what has been assigned since. Whoever believes it as it is gives
// the server that was idle a second ago everything, again and again until its next report shows
// it flooded. So a utilisation is never looked at alone, but beside what the backend carried *when
// it said so*; and what it carries now raises (or lowers) the estimate of its load in proportion.
//
// Carried is what was assigned and should not have ended yet: each new connection counts 1 and
// decays with the mean life of the connections of the whole service (by Little's law: active
// connections / new ones per second). The mean of the service and not the backend's own, because an
// overloaded server holds its connections longer, and would seem able to carry more. Where there
// are few connections, chance would rule; so the weight in force counts as some connections, too.
//
// Invariant: nothing that a server says enters here: a lying agent cannot change what it carries.

import type { BackendInput, BackendMemory, ServiceMemory } from './service-distribution.ts';

/** Shorter lives than this are not seen: it is about what the reports themselves average over. */
const SHORTEST_LIFE_MS = 500;
const LONGEST_LIFE_MS = 600_000;
/** Over how long the service's rate of new connections is averaged. */
const RATE_WINDOW_MS = 10_000;
/** As how many connections the weight in force counts. */
const WEIGHT_AS_CONNECTIONS = 10;

/** What a backend has been assigned, as it stands in the memory. */
export type Assignments = Pick<BackendMemory, 'begunConnections' | 'begunStock' | 'weightStock'>;

/**
 * New connections of the service per second, a mean that forgets.
 * @param previous of the backends, in their order
 */
export function begunPerSecond(
  backends: readonly BackendInput[],
  previous: readonly (BackendMemory | undefined)[],
  before: ServiceMemory | undefined,
  elapsedMs: number,
): number {
  if (before === undefined || elapsedMs <= 0) return before?.begunPerSecond ?? 0;
  let begun = 0;
  backends.forEach((backend, n) => {
    begun += newlyBegun(backend, previous[n]);
  });
  const part = 1 - Math.exp(-elapsedMs / RATE_WINDOW_MS);
  const rate = (begun * 1000) / elapsedMs;
  return before.begunPerSecond + part * (rate - before.begunPerSecond);
}

/** Mean life of the service's connections in milliseconds, within the limits that matter here. */
export function connectionLifeMs(backends: readonly BackendInput[], perSecond: number): number {
  let active = 0;
  for (const { activeConnections } of backends) active += count(activeConnections);
  if (active === 0) return SHORTEST_LIFE_MS;
  if (perSecond <= 0) return LONGEST_LIFE_MS;
  return Math.min(LONGEST_LIFE_MS, Math.max(SHORTEST_LIFE_MS, (active / perSecond) * 1000));
}

/**
 * Carries one backend's assignments on to now.
 *
 * @param weightPart its weight during the period that ends now, beside the mean of those in use
 * @param lifeMs of the service's connections
 */
export function assign(
  backend: BackendInput,
  before: Assignments | undefined,
  weightPart: number,
  lifeMs: number,
  elapsedMs: number,
): Assignments {
  const begunConnections = count(backend.begunConnections);
  if (before === undefined) {
    // Not known for how long; what is open is the best guess of what was assigned.
    const begunStock = count(backend.activeConnections);
    return { begunConnections, begunStock, weightStock: weightPart };
  }
  const kept = Math.exp(-elapsedMs / lifeMs);
  return {
    begunConnections,
    begunStock: before.begunStock * kept + newlyBegun(backend, before),
    weightStock: weightPart + (before.weightStock - weightPart) * kept,
  };
}

/** What a backend carries, in connections; never 0. */
export function carried(assignments: Assignments): number {
  return assignments.begunStock + WEIGHT_AS_CONNECTIONS * Math.max(0.01, assignments.weightStock);
}

/** A counter that fell was made anew, with the main memory: what it shows has begun since. */
function newlyBegun(backend: BackendInput, before: Assignments | undefined): number {
  if (before === undefined) return 0;
  const begun = count(backend.begunConnections);
  return begun >= before.begunConnections ? begun - before.begunConnections : begun;
}

function count(value: number): number {
  return Number.isFinite(value) && value > 0 ? value : 0;
}
