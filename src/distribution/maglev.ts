// Maglev hashing: a table that gives every hash of a connection a backend, such that machines (and
// processors) that know the same backends choose alike without talking to each other, and that few
// connections change their backend when one backend comes or goes.
//
// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section
// 3.4. Each backend has a permutation of all slots, derived from its identifier alone; the backends
// take turns, and in its turn each takes the first slot of its permutation that is still free.
// Weights: a backend of half the greatest weight has its turn in every second round.
//
// The master computes it; the packet filter reads table[hash mod size].
//
// Invariant: the choice depends on the set of (identifier, weight), not on the order in which they
// are given, and every weight above 0 has a slot. The table is part of what several machines must
// agree on: the golden values in maglev.test.ts do not change without a reason.

import { assert } from '../base/assert.ts';
import { hashText } from '../base/hash.ts';

export interface MaglevBackend {
  /** What identifies it on every machine, such as '10.2.0.11:8080'. Unique. */
  readonly id: string;
  /** A whole number from 0 (which has no slots) to 2^31 - 1. */
  readonly weight: number;
}

/** The sizes in use: the greatest primes below powers of two. */
export const MAGLEV_TABLE_SIZES = [
  251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071,
] as const;

/**
 * Slots per backend, the best first. With 100, shares are even to about 1 % (the paper's figure), and when
 * one of 100 backends goes, 1.5 % of the others' slots move; with 200 it is 1 %, with 400 0.6 %.
 */
export const MAGLEV_SLOTS_PER_BACKEND = [400, 200, 100] as const;

const OFFSET_SEED = 0x6d61676c;
const SKIP_SEED = 0x736b6970;

/** The smallest size in use with so many slots for each backend, or else the greatest. */
export function maglevTableSize(
  backendCount: number,
  slotsPerBackend: number = MAGLEV_SLOTS_PER_BACKEND[0],
): number {
  const wanted = backendCount * slotsPerBackend;
  for (const size of MAGLEV_TABLE_SIZES) if (size >= wanted) return size;
  return MAGLEV_TABLE_SIZES[MAGLEV_TABLE_SIZES.length - 1];
}

/**
 * The table: for every slot an index into `backends`.
 *
 * @param size a prime, at least the number of backends with a weight above 0
 * @returns `size` slots; none when no backend has a weight above 0
 */
export function maglevTable(backends: readonly MaglevBackend[], size: number): Int32Array {
  assert(isPrime(size), `a Maglev table has a prime size, not ${size}`);
  const order = orderById(backends);
  assert(order.length <= size, `${order.length} backends do not fit in ${size} slots`);
  if (order.length === 0) return new Int32Array(0);
  return fill(backends, order, size);
}

/** Indexes of the backends that take part, in the order of their identifiers. */
function orderById(backends: readonly MaglevBackend[]): number[] {
  const order: number[] = [];
  backends.forEach(({ weight }, index) => {
    assert((weight | 0) === weight && weight >= 0, `weight ${weight}`);
    if (weight > 0) order.push(index);
  });
  // By code units, not by a locale, which may differ between machines.
  order.sort((a, b) => (backends[a].id < backends[b].id ? -1 : 1));
  for (let i = 1; i < order.length; i++) {
    const id = backends[order[i]].id;
    assert(id !== backends[order[i - 1]].id, `two backends are called ${id}`);
  }
  return order;
}

function fill(
  backends: readonly MaglevBackend[],
  order: readonly number[],
  size: number,
): Int32Array {
  const count = order.length;
  const next = new Int32Array(count); // where each one is in its permutation
  const skip = new Int32Array(count);
  const paid = new Float64Array(count); // turns taken, in units of the greatest weight
  let greatest = 0;
  for (let i = 0; i < count; i++) {
    const { id, weight } = backends[order[i]];
    next[i] = (hashText(id, OFFSET_SEED) >>> 0) % size;
    skip[i] = ((hashText(id, SKIP_SEED) >>> 0) % (size - 1)) + 1;
    greatest = Math.max(greatest, weight);
  }
  const table = new Int32Array(size).fill(-1);
  let filled = 0;
  for (let round = 1; ; round++) {
    for (let i = 0; i < count; i++) {
      if (round * backends[order[i]].weight < paid[i]) continue;
      paid[i] += greatest;
      let slot = next[i];
      // A prime size makes every skip visit all slots, so a free one is found.
      while (table[slot] !== -1) slot = (slot + skip[i]) % size;
      table[slot] = order[i];
      next[i] = (slot + skip[i]) % size;
      if (++filled === size) return table;
    }
  }
}

function isPrime(value: number): boolean {
  if (!Number.isSafeInteger(value) || value < 2) return false;
  for (let divisor = 2; divisor * divisor <= value; divisor++) {
    if (value % divisor === 0) return false;
  }
  return true;
}
