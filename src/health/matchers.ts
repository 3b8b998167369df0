// What an answer is held against: ranges of HTTP status codes, and text or a regular expression in a
// body. Text of the configuration in, functions out; a text that makes no sense gives undefined, and
// settings-faults.ts says so before anything is checked with it.
// Invariant: no answer of a server can hold this process up, whatever the operator's regular
// expression: it is given REGEXP_LIMIT_MS and then counts as not found.

import { createContext, Script } from 'node:vm';

/** A regular expression that runs longer over one body is given up. */
export const REGEXP_LIMIT_MS = 50;

/** '200-299,404' → pairs of first and last status; undefined when it is no such list. */
export function parseStatusRanges(
  text: string,
): readonly (readonly [number, number])[] | undefined {
  const ranges = text.split(',').map((part) => /^\s*(\d{3})(?:-(\d{3}))?\s*$/.exec(part));
  const pairs = ranges.map((m) => (m === null ? [1, 0] : [Number(m[1]), Number(m[2] ?? m[1])]));
  const isValid = pairs.every(([from, to]) => from >= 100 && to <= 599 && from <= to);
  return isValid ? pairs.map(([from, to]) => [from, to] as const) : undefined;
}

/** Whether a status is in a list as `parseStatusRanges` takes it. */
export function isWantedStatus(status: number, text: string): boolean {
  const ranges = parseStatusRanges(text) ?? [];
  return ranges.some(([from, to]) => status >= from && status <= to);
}

/** '/ready|ok/i' → the regular expression; a text that is none → undefined. Throws when it is faulty. */
export function parsePattern(text: string): RegExp | undefined {
  const parts = /^\/(.+)\/([imsu]*)$/s.exec(text);
  return parts === null ? undefined : new RegExp(parts[1], parts[2]);
}

/** Why a body is not what is wanted; undefined when it is. */
export function bodyFault(body: string, wanted: string): string | undefined {
  const pattern = parsePattern(wanted);
  if (pattern === undefined) {
    return body.includes(wanted) ? undefined : `does not contain '${wanted}'`;
  }
  const isFound = testWithLimit(pattern, body);
  if (isFound === undefined) return `took longer than ${REGEXP_LIMIT_MS} ms to match ${wanted}`;
  return isFound ? undefined : `does not match ${wanted}`;
}

// Only a script with a timeout can be interrupted within a regular expression that backtracks.
const TEST = new Script('pattern.test(body)');
const SUBJECT: { pattern: RegExp; body: string } = { pattern: /./, body: '' };
const CONTEXT = createContext(SUBJECT);

function testWithLimit(pattern: RegExp, body: string): boolean | undefined {
  SUBJECT.pattern = pattern;
  SUBJECT.body = body;
  try {
    return TEST.runInContext(CONTEXT, { timeout: REGEXP_LIMIT_MS });
  } catch {
    return undefined;
  } finally {
    SUBJECT.body = '';
  }
}

/** '00 ff' or '00ff' → bytes; undefined when it is no hexadecimal text. */
export function parseHex(text: string): Buffer | undefined {
  const digits = text.replaceAll(/\s+/g, '');
  return /^(?:[0-9a-fA-F]{2})*$/.test(digits) ? Buffer.from(digits, 'hex') : undefined;
}
