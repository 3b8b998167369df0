// The control processor's pairs of addresses in the configuration table: each is found by either address, as
// what it is, and nothing else is.

import { expect, it } from 'vitest';
import { CONFIGURATION_TABLE_WORDS, MAX_CONTROL_PAIRS } from './configuration-layout.ts';
import { writeConfigurationTable } from './configuration-writer.ts';
import {
  findByReal,
  findByVirtual,
  hasControlPairs,
  interfaceOfReal,
  otherAddress,
} from './control-pairs.ts';

const BASE = 64;
const EMPTY = {
  services: [],
  interfaceAddresses: [],
  resetsPerSecond: 1,
  echoRepliesPerSecond: 1,
  defaultTimeouts: [],
};

it('as many as there may be, and none when they are gone', () => {
  const words = new Int32Array(BASE + CONFIGURATION_TABLE_WORDS).fill(-1);
  const controlPairs = Array.from({ length: MAX_CONTROL_PAIRS }, (_, n) => ({
    virtual: 0x0a010001 + n,
    real: (0xc0000001 | 0) + n * 256,
    interfaceNumber: n % 3,
  }));
  writeConfigurationTable(words, BASE, { ...EMPTY, controlPairs });
  expect(hasControlPairs(words, BASE)).toBe(true);
  for (const { virtual, real, interfaceNumber } of controlPairs) {
    const byVirtual = findByVirtual(words, BASE, virtual);
    const byReal = findByReal(words, BASE, real);
    expect([otherAddress(words, byVirtual), otherAddress(words, byReal)]).toEqual([real, virtual]);
    expect(interfaceOfReal(words, byReal)).toBe(interfaceNumber);
    expect([findByVirtual(words, BASE, real), findByReal(words, BASE, virtual)]).toEqual([0, 0]);
  }
  writeConfigurationTable(words, BASE, EMPTY);
  expect(hasControlPairs(words, BASE)).toBe(false);
  expect(findByVirtual(words, BASE, controlPairs[0].virtual)).toBe(0);
});

it('a table that is full of other words ends the search', () => {
  const words = new Int32Array(BASE + CONFIGURATION_TABLE_WORDS).fill(-1);
  expect(findByReal(words, BASE, 7)).toBe(0);
});
