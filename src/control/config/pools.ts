// The pools of a service: all of its backends, and those that its rules choose among. Rules with the same
// backends share one. Each pool has a selection table in the configuration table, so that the checks of a
// file (capacity-checks.ts) and the compilation (../compile-rules.ts) must count them alike.
// Invariant: what `leastPositions` sums up to fits whenever it is not above the room, whatever weights come.

import { MAGLEV_SLOTS_PER_BACKEND, maglevTableSize } from '../../distribution/maglev.ts';

/** What is looked at of a service, whether all of it is valid or not. */
export interface PooledService {
  readonly scheduler?: string | undefined;
  readonly backends: readonly {
    readonly name?: string | undefined;
    readonly labels?: readonly string[] | undefined;
  }[];
  readonly rules?:
    | readonly { readonly backend?: string | undefined; readonly requires?: readonly string[] }[]
    | undefined;
}

/** Schedulers that index by a hash: their tables change little when a weight does. */
const HASHED = ['maglev', 'source-hash'];
const LEAST_SLOTS = Math.min(...MAGLEV_SLOTS_PER_BACKEND);

export function isHashed(scheduler: string | undefined): boolean {
  return HASHED.includes(scheduler ?? '');
}

/** The backends of one or several rules. */
export interface RulePool {
  /** Their places in the service. */
  readonly places: readonly number[];
  /** Their names: the same over reloads. */
  readonly key: string;
}

/** A running configuration is compiled again and again, and does not change. */
const known = new WeakMap<PooledService, readonly RulePool[]>();

/** The pool of each rule, in the order of the rules; rules with the same backends have the same object. */
export function rulePools(service: PooledService): readonly RulePool[] {
  const before = known.get(service);
  if (before !== undefined) return before;
  const byPlaces = new Map<string, RulePool>();
  const pools = (service.rules ?? []).map(({ backend: named, requires = [] }) => {
    const places: number[] = [];
    service.backends.forEach(({ name, labels = [] }, place) => {
      if (named !== undefined && named !== name) return;
      if (requires.every((label) => labels.includes(label))) places.push(place);
    });
    const same = byPlaces.get(places.join());
    if (same !== undefined) return same;
    const pool = { places, key: places.map((place) => service.backends[place].name).join() };
    byPlaces.set(places.join(), pool);
    return pool;
  });
  known.set(service, pools);
  return pools;
}

/** One pool, as far as its room goes. */
export interface PoolSize {
  readonly scheduler: string | undefined;
  readonly size: number;
  /** Pools of rules also have a list of their backends, as long as `size`. */
  readonly isOfRule: boolean;
}

/** The service's own pool, then those of its rules, each once. */
export function poolSizes(service: PooledService): PoolSize[] {
  const { scheduler, backends } = service;
  const own = { scheduler, size: backends.length, isOfRule: false };
  const ofRules = [...new Set(rulePools(service))];
  return [
    own,
    ...ofRules.map(({ places }) => ({ scheduler, size: places.length, isOfRule: true })),
  ];
}

/** Positions that a pool needs at least, its list included: tables are made larger only while there is room. */
export function leastPositions({ scheduler, size, isOfRule }: PoolSize): number {
  if (size === 0) return 0;
  const table = isHashed(scheduler) ? maglevTableSize(size, LEAST_SLOTS) : size;
  return table + (isOfRule ? size : 0);
}
