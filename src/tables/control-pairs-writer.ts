// Writes the control processor's pairs of addresses into the standby buffer of the configuration table: part
// of configuration-writer.ts, which calls it. Readers: control-pairs.ts; byte map: configuration-layout.ts.
// Invariant: a pair is found by each of its two addresses, and by the kind of the address only.

import { assert } from '../base/assert.ts';
import * as table from './configuration-table.ts';

export interface ControlPairInput {
  /** As int32, neither of them 0; no address stands in two pairs. */
  readonly virtual: number;
  readonly real: number;
  /** Of the network that the real address is on. */
  readonly interfaceNumber: number;
}

/** Writes the pairs into a buffer that is zero there. */
export function writeControlPairs(
  words: Int32Array,
  base: number,
  pairs: readonly ControlPairInput[],
): void {
  assert(pairs.length <= table.MAX_CONTROL_PAIRS, `${pairs.length} control pairs`);
  words[base + table.CONFIGURATION_CONTROL_PAIRS] = pairs.length;
  for (const { virtual, real, interfaceNumber } of pairs) {
    assert(virtual !== 0 && real !== 0, 'a control pair without an address');
    insert(words, base, virtual | 0, table.PAIR_VIRTUAL, real, interfaceNumber);
    insert(words, base, real | 0, table.PAIR_REAL, virtual, interfaceNumber);
  }
}

function insert(
  words: Int32Array,
  base: number,
  address: number,
  by: number,
  other: number,
  interfaceNumber: number,
): void {
  let slot = table.firstSlot(address, by, table.PAIR_LOOKUP_SLOTS);
  let entry = base + table.PAIR_LOOKUP + slot * table.LOOKUP_WORDS;
  while (words[entry] !== 0) {
    slot = (slot + 1) & (table.PAIR_LOOKUP_SLOTS - 1);
    entry = base + table.PAIR_LOOKUP + slot * table.LOOKUP_WORDS;
  }
  words[entry] = address;
  words[entry + 1] = by;
  words[entry + 2] = other;
  words[entry + 3] = interfaceNumber;
}
