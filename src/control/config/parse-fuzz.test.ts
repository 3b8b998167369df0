// The example, damaged at random in its text and in its values: whatever comes out, parsing must not
// throw, and must give a configuration or faults that point into the file.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { Prng } from '../../base/prng.ts';
import { formatFaults } from './format-faults.ts';
import { parseConfiguration } from './parse.ts';

const example = readFileSync(
  new URL('../../../examples/two-interfaces.yaml', import.meta.url),
  'utf8',
);
const seed = Number(process.env.WEIR_SEED ?? Date.now() & 0x7fff_ffff);
const ROUNDS = 500;

const FRAGMENTS = [
  ...'{}[]:,-#&*!|>\'"%@`?\t\n \\\u0000\u001b\ud800',
  '<<: ',
  '*a',
  '&a ',
  '---\n',
  '...\n',
  '!!binary ',
  '!!set ',
  '__proto__: ',
  'constructor: ',
  '? ',
  '10.1.0.',
  '/24',
  '.inf',
  '.nan',
  '1e999',
  '-1',
  '0x7f',
  '99999999999999999999',
  'null',
  '~',
  'true',
];
const VALUES: unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e21,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  'x',
  'default',
  '10.1.0.1',
  '10.2.0.11',
  '10.1.0.1/24',
  '0.0.0.0/0',
  [],
  {},
  [[]],
  [null],
  { name: 'x' },
  'maglev',
  '15m',
  80,
];

function damageText(text: string, prng: Prng): string {
  let damaged = text;
  for (let edits = prng.below(4) + 1; edits > 0; edits--) {
    const at = prng.below(damaged.length + 1);
    const end = Math.min(damaged.length, at + prng.below(12));
    const fragment = FRAGMENTS[prng.below(FRAGMENTS.length)];
    const kind = prng.below(4);
    if (kind === 0) damaged = damaged.slice(0, at) + fragment + damaged.slice(at);
    else if (kind === 1) damaged = damaged.slice(0, at) + damaged.slice(end);
    else if (kind === 2) damaged = damaged.slice(0, at) + fragment + damaged.slice(end);
    else damaged = damaged.slice(0, end) + damaged.slice(at);
  }
  return damaged;
}

/** Replaces, removes or renames something anywhere below `data`. */
function damageValue(data: unknown, prng: Prng): void {
  let holder = data as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(holder);
    if (keys.length === 0) return;
    const key = keys[prng.below(keys.length)];
    const value = holder[key];
    if (typeof value === 'object' && value !== null && prng.below(5) > 0) {
      holder = value as Record<string, unknown>;
      continue;
    }
    const kind = prng.below(4);
    if (kind === 0) delete holder[key];
    else if (kind === 1 && !Array.isArray(holder)) holder[`${key}s`] = value;
    else holder[key] = VALUES[prng.below(VALUES.length)];
    return;
  }
}

function check(text: string, prng: Prng): boolean {
  const { configuration, faults } = parseConfiguration(text, 'fuzz.yaml', prng.below(4) + 1);
  expect(configuration === undefined).toBe(faults.length > 0);
  const lineCount = text.split('\n').length;
  for (const { line, column, message } of faults) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lineCount);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(message).not.toBe('');
  }
  formatFaults(faults, text);
  return configuration !== undefined;
}

describe(`parsing damaged files, WEIR_SEED=${seed}`, () => {
  it('survives damaged text', () => {
    const prng = new Prng(seed);
    let good = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const text = damageText(example, prng);
      if (attempt(text, prng)) good++;
    }
    // Damage in comments leaves some intact; were all or none so, nothing would have been tested.
    expect(good).toBeGreaterThan(0);
    expect(good).toBeLessThan(ROUNDS);
  });

  it('survives damaged values', () => {
    const prng = new Prng(seed);
    let good = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const data: unknown = parse(example);
      for (let edits = prng.below(4) + 1; edits > 0; edits--) damageValue(data, prng);
      if (attempt(stringify(data), prng)) good++;
    }
    expect(good).toBeGreaterThan(0);
    expect(good).toBeLessThan(ROUNDS);
  });
});

/** One round; a failure shows the text that led to it. */
function attempt(text: string, prng: Prng): boolean {
  try {
    return check(text, prng);
  } catch (error) {
    throw new Error(`WEIR_SEED=${seed}, text:\n${JSON.stringify(text)}`, { cause: error });
  }
}
