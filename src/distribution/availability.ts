// Which backends of a service may take new connections at all, before any weight is reckoned.
//
//   healthy backends that are not fallback ones
//   → fewer of those than the panic threshold: all of them, healthy or not, because so many
//     cannot be dead, and if they are, sending everything to the few that live kills those too
//   → none can be used: the fallback backends, by the same rules
//   → nobody: the filter refuses
//
// A backend that is drained or in maintenance, or that has a weight of 0, is never used: somebody
// has decided so. A healthy fallback backend comes before a panic in which not one backend is known
// to live. Invariant: whenever a backend is up and not kept out by a decision, somebody is used.

import type { BackendInput } from './service-distribution.ts';

/** Why a backend is used or not; the order has no meaning. */
export type Standing =
  | 'used' // healthy
  | 'panic' // not known to be healthy, used all the same
  | 'reserve' // a fallback backend that is not needed
  | 'down'
  | 'unchecked'
  | 'drain'
  | 'maintenance'
  | 'weightless';

export interface Availability {
  /** One for each backend given, in their order. */
  readonly standings: readonly Standing[];
  readonly isPanic: boolean;
  readonly usesFallback: boolean;
  /** Of the backends that nobody decided to keep out, fallback ones apart. */
  readonly healthyCount: number;
  readonly candidateCount: number;
}

/** The part of a backend that decides whether it can be used. */
export type Candidate = Pick<BackendInput, 'isFallback' | 'health' | 'administrative'> & {
  /** The weight that it has before feedback. */
  readonly baseWeight: number;
};

/**
 * @param candidates the service's backends
 * @param panicThreshold 0 to 1: the part of the backends that must be healthy; 0: no panic, ever
 */
export function availabilityOf(
  candidates: readonly Candidate[],
  panicThreshold: number,
): Availability {
  const primary = groupOf(candidates, false);
  const fallback = groupOf(candidates, true);
  const byPanic = panicThreshold > 0;
  const primaryShare = primary.open === 0 ? 1 : primary.up / primary.open;
  const isShort = byPanic && primaryShare < panicThreshold;
  // Not one of them is known to live, or likely to: a fallback backend that lives is better.
  const isLost = primary.up === 0 && (primary.unchecked === 0 || !isShort);
  const usesFallback = isLost && fallback.open > 0 && (fallback.up > 0 || primary.open === 0);
  const isFallbackShort = usesFallback && byPanic && fallback.up / fallback.open < panicThreshold;
  const isPrimaryPanic = !usesFallback && isShort;
  const standings = candidates.map((candidate) => {
    const decided = decision(candidate);
    if (decided !== undefined) return decided;
    if (candidate.isFallback !== usesFallback) {
      if (candidate.isFallback && candidate.health === 'up') return 'reserve';
      return candidate.health === 'up' ? 'used' : candidate.health;
    }
    if (candidate.health === 'up') return 'used';
    return isPrimaryPanic || isFallbackShort ? 'panic' : candidate.health;
  });
  return {
    standings,
    isPanic: isPrimaryPanic || isFallbackShort,
    usesFallback,
    healthyCount: primary.up,
    candidateCount: primary.open,
  };
}

/** Whether a backend of this standing takes new connections. */
export function isTaking(standing: Standing): boolean {
  return standing === 'used' || standing === 'panic';
}

/** Somebody's decision that keeps it out, whatever its health is. */
function decision(candidate: Candidate): Standing | undefined {
  if (candidate.administrative === 'maintenance') return 'maintenance';
  if (candidate.administrative === 'drain') return 'drain';
  return candidate.baseWeight > 0 ? undefined : 'weightless';
}

function groupOf(candidates: readonly Candidate[], isFallback: boolean) {
  const open = candidates.filter(
    (candidate) => candidate.isFallback === isFallback && decision(candidate) === undefined,
  );
  const count = (health: Candidate['health']) =>
    open.filter((candidate) => candidate.health === health).length;
  return { open: open.length, up: count('up'), unchecked: count('unchecked') };
}
