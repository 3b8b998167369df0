// Turns what the schema found into findings that a person can act on: what stands there, what was
// expected, and what to write. The schema library's own words are not shown.
// Places are paths of keys; which line that is, is found in faults.ts.

import type { z } from 'zod';
import { type Finding, type Path, placeText } from './faults.ts';
import { nearestWord } from './nearest-word.ts';
import { configurationSchema, KNOWN_KEYS } from './schema.ts';

/** What a missing key could look like. */
const EXAMPLES: Readonly<Record<string, string>> = {
  interfaces: '- { name: ext0, addresses: [10.1.0.1/24] }',
  'interfaces[].name': 'ext0',
  'interfaces[].addresses': '[10.1.0.1/24]',
  'routes[].to': 'default',
  'services[].name': 'web',
  'services[].address': '10.1.0.100',
  'services[].protocol': 'tcp',
  'services[].port': '80',
  'services[].backends': '- { name: b1, address: 10.2.0.11 }',
  'services[].backends[].name': 'b1',
  'services[].backends[].address': '10.2.0.11',
};

type Issue = z.core.$ZodIssue;

/** Everything that the schema has to say against `data`. */
export function schemaFindings(data: unknown): Finding[] {
  const result = configurationSchema.safeParse(data);
  if (result.success) return [];
  const findings = result.error.issues.flatMap((issue) => findingsOf(issue, data));
  return findings.filter((finding) => !isMissingForAMisspelling(finding, findings, data));
}

function findingsOf(issue: Issue, data: unknown): Finding[] {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key));
  const value = valueAt(data, path);
  if (value === undefined) return [missing(path)];
  const { message, suggestion } = describe(issue, value);
  return [{ path, message, suggestion }];
}

function unknownKey(path: Path, key: string): Finding {
  const known = KNOWN_KEYS[placeText(path)] ?? [];
  const near = nearestWord(key, known);
  let suggestion = `known here: ${known.join(', ')}`;
  if (near !== undefined) suggestion = `did you mean ${near}?`;
  else {
    const places = Object.keys(KNOWN_KEYS).filter((place) => KNOWN_KEYS[place].includes(key));
    if (places.length > 0) suggestion = `${key} belongs in ${places.map(placeName).join(' or ')}`;
  }
  return { path: [...path, key], message: `unknown key '${key}'`, suggestion, onKey: true };
}

function placeName(place: string): string {
  return place === '' ? 'the top level' : place;
}

function missing(path: Path): Finding {
  const example = EXAMPLES[placeText(path)];
  const key = String(path.at(-1));
  const suggestion = example === undefined ? '' : `add it as in ${key}: ${example}`;
  return { path, message: `${key} is missing`, suggestion };
}

function describe(issue: Issue, value: unknown): { message: string; suggestion: string } {
  if (value === null) return noValue(issue.path as Path);
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(issue.expected, value);
    case 'invalid_value':
      return wrongWord(issue.values.map(String), value);
    case 'too_small':
      return tooSmall(issue, value);
    case 'too_big':
      return { message: `${shown(value)} is more than ${issue.maximum}`, suggestion: '' };
    case 'custom':
      return { message: issue.message, suggestion: String(issue.params?.suggestion ?? '') };
    default:
      return { message: `${shown(value)}: ${issue.message}`, suggestion: '' };
  }
}

function tooSmall(issue: z.core.$ZodIssueTooSmall, value: unknown) {
  if (issue.origin !== 'array') {
    return { message: `${shown(value)} is less than ${issue.minimum}`, suggestion: '' };
  }
  const message = 'the list is empty, at least one entry is needed';
  const example = EXAMPLES[placeText(issue.path as Path)];
  return { message, suggestion: example === undefined ? '' : `add one as in ${example}` };
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
  object: 'a map of keys and values',
};

function noValue(path: Path) {
  const example = EXAMPLES[placeText(path)];
  const suggestion = example === undefined ? 'remove the key or give it one' : `such as ${example}`;
  return { message: 'no value is given', suggestion };
}

function wrongType(expected: string, value: unknown) {
  const wanted = TYPE_NAMES[expected] ?? expected;
  const message = `${wanted} is expected, not ${shown(value)}`;
  if (typeof value === 'string' && expected === 'number' && /^[0-9]+$/.test(value)) {
    return { message, suggestion: `write ${value} without quotes` };
  }
  if (expected === 'string' && typeof value === 'number') {
    return { message, suggestion: `write "${value}" in quotes if that is what is meant` };
  }
  if (expected === 'array' && typeof value === 'object') {
    return { message, suggestion: "begin each entry with '- '" };
  }
  if (expected === 'array') {
    return { message, suggestion: `write [${value}]` };
  }
  return { message, suggestion: '' };
}

function wrongWord(words: readonly string[], value: unknown) {
  const near = typeof value === 'string' ? nearestWord(value, words) : undefined;
  return {
    message: `${shown(value)} is not ${words.length === 1 ? '' : 'one of '}${words.join(', ')}`,
    suggestion: near === undefined ? '' : `did you mean ${near}?`,
  };
}

/** A value as a person would call it. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value !== 'string') return String(value);
  return `'${value.length > 60 ? `${value.slice(0, 60)}…` : value}'`;
}

/** 'adress' in the place of 'address' is one fault, not two. */
function isMissingForAMisspelling(
  finding: Finding,
  all: readonly Finding[],
  data: unknown,
): boolean {
  if (valueAt(data, finding.path) !== undefined) return false;
  const key = finding.path.at(-1);
  const place = JSON.stringify(finding.path.slice(0, -1));
  return all.some(
    ({ path, onKey, suggestion }) =>
      onKey === true &&
      suggestion === `did you mean ${key}?` &&
      JSON.stringify(path.slice(0, -1)) === place,
  );
}

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step))
      return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}
