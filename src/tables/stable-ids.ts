// Gives services and backends their numbers. Connection records name both by number and outlive
// reloads, so a name keeps its number for as long as it is configured, and a number that a removal
// has freed is given to nobody else while there are others: old connections would count as the
// newcomer's, and be forwarded to it. Runs in the control processor, before a table is written.
//
// Invariant: pure; the same calls in the same order give the same numbers.

import { assert } from '../base/assert.ts';
import { WeirError } from '../base/errors.ts';

export interface IdAssignment {
  readonly ids: ReadonlyMap<string, number>;
  /** Numbers that were in use once and are free now, longest free first: the next call's `avoid`. */
  readonly freed: readonly number[];
}

/**
 * @param previous what the previous call assigned
 * @param names unique names; those in `previous` keep their numbers, others get one in this order
 * @param capacity numbers are 0 … capacity - 1
 * @param avoid `freed` of the previous call: taken only when no other number is left, longest free
 *   first
 * @throws WeirError ERR_TABLE_FULL when there are more names than numbers
 */
export function assignIds(
  previous: ReadonlyMap<string, number>,
  names: readonly string[],
  capacity: number,
  avoid: readonly number[] = [],
): IdAssignment {
  if (names.length > capacity) {
    throw new WeirError(
      'ERR_TABLE_FULL',
      `${names.length} names do not fit in a table of ${capacity}`,
      'configure fewer',
    );
  }
  const ids = new Map<string, number>();
  const wanted = new Set(names);
  assert(wanted.size === names.length, 'names are unique');
  const justFreed: number[] = [];
  for (const [name, id] of previous) {
    assert(id >= 0 && id < capacity, `id ${id} of ${name}`);
    if (!wanted.has(name)) justFreed.push(id);
  }
  // Those in use are taken; those once in use come last.
  const unavailable = new Set([...previous.values(), ...avoid]);
  const old = [...avoid, ...justFreed];
  let fresh = 0;
  let reused = 0;
  for (const name of names) {
    const kept = previous.get(name);
    if (kept !== undefined) {
      ids.set(name, kept);
      continue;
    }
    while (fresh < capacity && unavailable.has(fresh)) fresh++;
    ids.set(name, fresh < capacity ? fresh++ : old[reused++]);
  }
  return { ids, freed: old.slice(reused) };
}
