// Weighted round robin as a table: the order in which a service's backends take new connections.
//
// The master computes the order once per change of weights and publishes it in the configuration
// table. For a new connection the packet filter only reads the next position, so the cost per packet
// does not depend on the number of backends or on their weights.
//
// The order is smooth: a backend of weight 5 beside two of weight 1 is chosen as a a b a c a a, not
// five times in a row. (The rule is the one that nginx made well known: in each round every backend
// gains its weight in credit, the one with most credit is chosen and pays the sum of all weights.) That
// costs slots × backends; where it would take seconds each backend's slots are simply evenly apart.
//
// Invariant: a position of weight 0 never appears; every other position appears at least once.

import { assert } from '../base/assert.ts';

/** Slots × backends up to which the order is made by credit: some ten milliseconds. */
const CREDIT_STEPS_MAX = 1 << 22;

/**
 * The order of selection, as positions in `weights`. One pass over it gives every position its share.
 *
 * @param weights whole numbers ≥ 0, of which the sum is a safe integer
 * @param maxSlots longest table allowed, at least the number of weights above 0
 * @returns sum(weights) / gcd(weights) slots when that many are allowed: shares are exact. Otherwise
 *   `maxSlots` slots, each share within one slot of the exact one, except that a position whose share
 *   is less than one slot has one all the same, which the larger ones pay for in proportion.
 *   Empty when no weight is above 0.
 */
export function weightedRoundRobinTable(weights: readonly number[], maxSlots: number): Int32Array {
  const slots = slotCounts(weights, maxSlots);
  const positions: number[] = [];
  for (let i = 0; i < slots.length; i++) if (slots[i] > 0) positions.push(i);
  const length = positions.reduce((sum, position) => sum + slots[position], 0);
  return length * positions.length > CREDIT_STEPS_MAX
    ? spacedOrder(slots, positions, length)
    : smoothOrder(slots, positions, length);
}

/**
 * Where in an order of `length` slots one of several switching processors starts. The starts are
 * evenly apart, so that processors that each see a few connections do not all begin with the same
 * backend, and that together they make a whole pass in the time that each makes its part of one.
 */
export function startPosition(
  processorIndex: number,
  processorCount: number,
  length: number,
): number {
  assert(
    processorIndex >= 0 && processorIndex < processorCount,
    `processor ${processorIndex} of ${processorCount}`,
  );
  return Math.floor((processorIndex * length) / processorCount);
}

/** How many slots every position has. */
function slotCounts(weights: readonly number[], maxSlots: number): number[] {
  let divisor = 0;
  let total = 0;
  let used = 0;
  for (const weight of weights) {
    assert(Number.isSafeInteger(weight) && weight >= 0, `weight ${weight}`);
    divisor = greatestCommonDivisor(divisor, weight);
    total += weight;
    if (weight > 0) used++;
  }
  assert(Number.isSafeInteger(total), `sum of weights ${total}`);
  assert(used <= maxSlots, `${used} backends do not fit in ${maxSlots} slots`);
  if (total === 0) return weights.map(() => 0);
  if (total / divisor <= maxSlots) return weights.map((weight) => weight / divisor);
  return largestRemainder(weights, total, maxSlots);
}

/**
 * Shares out exactly `maxSlots` slots. Whoever is due less than one slot is given one and leaves the
 * reckoning; that makes the others' slots dearer, so it is repeated until it changes nothing. The rest
 * share by the method of the largest remainder (on a tie the earlier position).
 */
function largestRemainder(weights: readonly number[], total: number, maxSlots: number): number[] {
  const slots = weights.map(() => 0);
  let open = weights.map((_, position) => position).filter((position) => weights[position] > 0);
  let openWeight = total;
  let openSlots = maxSlots;
  for (;;) {
    const small = open.filter((position) => weights[position] * openSlots < openWeight);
    if (small.length === 0) break;
    for (const position of small) {
      slots[position] = 1;
      openWeight -= weights[position];
      openSlots--;
    }
    open = open.filter((position) => slots[position] === 0);
  }
  const dues = open.map((position) => (weights[position] * openSlots) / openWeight);
  let left = openSlots;
  open.forEach((position, i) => {
    slots[position] = Math.floor(dues[i]);
    left -= slots[position];
  });
  const byRemainder = open.map((_, i) => i);
  byRemainder.sort((a, b) => (dues[b] % 1) - (dues[a] % 1) || a - b);
  for (let i = 0; i < left; i++) slots[open[byRemainder[i]]]++;
  return slots;
}

/** Interleaves the positions: most credit goes next (on a tie the earlier position). */
function smoothOrder(
  slots: readonly number[],
  positions: readonly number[],
  length: number,
): Int32Array {
  const order = new Int32Array(length);
  const credit = new Float64Array(positions.length);
  for (let slot = 0; slot < length; slot++) {
    let best = 0;
    for (let i = 0; i < positions.length; i++) {
      credit[i] += slots[positions[i]];
      if (credit[i] > credit[best]) best = i;
    }
    credit[best] -= length;
    order[slot] = positions[best];
  }
  return order;
}

/** Each position's slots evenly apart, and the first of them half such a distance from the beginning. */
function spacedOrder(
  slots: readonly number[],
  positions: readonly number[],
  length: number,
): Int32Array {
  const listed = new Int32Array(length);
  // Where it is due, and behind the point which it is: numbers alone sort ten times as fast as by a function.
  const keys = new Float64Array(length);
  const resolution = Math.floor(2 ** 52 / length);
  let filled = 0;
  for (const position of positions) {
    for (let k = 0; k < slots[position]; k++) {
      const due = Math.floor(((k + 0.5) / slots[position]) * resolution);
      keys[filled] = due * length + filled;
      listed[filled++] = position;
    }
  }
  keys.sort();
  const order = new Int32Array(length);
  for (let at = 0; at < length; at++) order[at] = listed[keys[at] % length];
  return order;
}

function greatestCommonDivisor(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) {
    const rest = x % y;
    x = y;
    y = rest;
  }
  return x;
}
