// The pairs of addresses by which the control processor is reached over an interface of the kernel's on the
// internal switch (37₀ of Fig. 7): a virtual one, that everybody knows, and the real one of that interface.
// Part of the configuration table, as the filter reads it; byte map: configuration-layout.ts. An entry is
// named by the index of its first word, 0: none. Where there are no pairs, asking costs one word.

import {
  CONFIGURATION_CONTROL_PAIRS,
  LOOKUP_WORDS,
  PAIR_LOOKUP,
  PAIR_LOOKUP_SLOTS,
  PAIR_REAL,
  PAIR_VIRTUAL,
} from './configuration-layout.ts';
import { firstSlot } from './configuration-table.ts';

/** Whether there are any. @hot */
export function hasControlPairs(words: Int32Array, base: number): boolean {
  return words[base + CONFIGURATION_CONTROL_PAIRS] !== 0;
}

/** The entry of the pair with this virtual address, or 0. @hot */
export function findByVirtual(words: Int32Array, base: number, address: number): number {
  return find(words, base, address, PAIR_VIRTUAL);
}

/** The entry of the pair with this real address, or 0. @hot */
export function findByReal(words: Int32Array, base: number, address: number): number {
  return find(words, base, address, PAIR_REAL);
}

/** The real address of an entry that was found by the virtual one, and the other way round. @hot */
export function otherAddress(words: Int32Array, entry: number): number {
  return words[entry + 2];
}

/** Number of the interface on whose network the real address is. @hot */
export function interfaceOfReal(words: Int32Array, entry: number): number {
  return words[entry + 3];
}

/** @hot */
function find(words: Int32Array, base: number, address: number, by: number): number {
  if (words[base + CONFIGURATION_CONTROL_PAIRS] === 0) return 0;
  let slot = firstSlot(address, by, PAIR_LOOKUP_SLOTS);
  for (let probe = 0; probe < PAIR_LOOKUP_SLOTS; probe++) {
    const entry = (base + PAIR_LOOKUP + slot * LOOKUP_WORDS) | 0;
    if (words[entry] === 0) return 0;
    if (words[entry] === address && words[entry + 1] === by) return entry;
    slot = (slot + 1) & (PAIR_LOOKUP_SLOTS - 1);
  }
  return 0;
}
