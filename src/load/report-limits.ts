// What a figure of a load report may be: finite, not negative and below a limit that no real server
// passes. Every source goes through here before the master sees a number, because one Infinity or
// 1e308 would spoil every mean and every weight that is computed with it.
//
// Invariant: a result has only figures of LoadFigures, each within its range; unknown keys are left
// out, so that a newer agent can talk to an older weir; the first fault refuses the whole report.

import type { LoadFigure, LoadFigures, LoadWish } from './load-report.ts';
import { isRejection, type Rejection, rejection } from './rejections.ts';

const MOST_PER_SECOND = 1e9;

/** The largest value of each figure; the smallest is 0. */
export const FIGURE_LIMITS: Readonly<Record<LoadFigure, number>> = {
  // More than 1 is work that waits; a thousand times the machine is no measurement any more.
  cpuUtilization: 1000,
  memoryUtilization: 1,
  applicationUtilization: 1000,
  cpuPressure: 1,
  memoryPressure: 1,
  ioPressure: 1,
  clients: 1e9,
  connectionsPerSecond: MOST_PER_SECOND,
  requestsPerSecond: MOST_PER_SECOND,
  errorsPerSecond: MOST_PER_SECOND,
  // A day.
  executionTimeMs: 86_400_000,
};

export const LOAD_FIGURES = Object.keys(FIGURE_LIMITS) as readonly LoadFigure[];

/** Limits of what a server may ask for. */
export const WISH_LIMITS = {
  weight: 256,
  weightPercent: 10_000,
  connectionLimit: 0x7fff_ffff,
  reasonCharacters: 100,
} as const;

/**
 * Checks one number.
 *
 * @param name as it is to appear in the rejection
 * @returns the number (never -0), or why it is refused
 */
export function checkNumber(name: string, value: unknown, limit: number): number | Rejection {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    return rejection('not-a-number', `${name} is ${shown(value)}`);
  }
  if (value < 0) return rejection('negative', `${name} is ${value}`);
  if (value > limit) return rejection('out-of-range', `${name} is ${value}, at most ${limit}`);
  return value + 0;
}

/**
 * Checks the figures of one report.
 *
 * @param raw what was received: an object with figures by their names in LoadFigures; others are ignored
 */
export function checkFigures(raw: unknown): LoadFigures | Rejection {
  if (!isPlainObject(raw)) return rejection('malformed', `figures: ${shown(raw)}`);
  const figures: { -readonly [figure in LoadFigure]?: number } = {};
  for (const name of LOAD_FIGURES) {
    if (!Object.hasOwn(raw, name) || raw[name] === undefined) continue;
    const value = checkNumber(name, raw[name], FIGURE_LIMITS[name]);
    if (typeof value !== 'number') return value;
    figures[name] = value;
  }
  return figures;
}

/** Checks what a server asks for, as it came from the network; unknown keys are ignored. */
export function checkWish(raw: unknown): LoadWish | Rejection {
  if (!isPlainObject(raw)) return rejection('malformed', `wish: ${shown(raw)}`);
  const wish: { -readonly [key in keyof LoadWish]: LoadWish[key] } = {};
  for (const name of ['weightPercent', 'weight', 'connectionLimit'] as const) {
    if (!Object.hasOwn(raw, name) || raw[name] === undefined) continue;
    const value = checkNumber(`wish.${name}`, raw[name], WISH_LIMITS[name]);
    if (typeof value !== 'number') return value;
    if (name !== 'weightPercent' && !Number.isInteger(value)) {
      return rejection('malformed', `wish.${name} is ${value}, which is not a whole number`);
    }
    wish[name] = value;
  }
  const administrative = checkWord(raw, 'administrative', ['ready', 'drain', 'maint'] as const);
  if (typeof administrative === 'object') return administrative;
  if (administrative !== undefined) wish.administrative = administrative;
  const operational = checkWord(raw, 'operational', ['up', 'down'] as const);
  if (typeof operational === 'object') return operational;
  if (operational !== undefined) wish.operational = operational;
  if (Object.hasOwn(raw, 'reason') && raw.reason !== undefined) {
    const reason = checkReason(raw.reason);
    if (typeof reason === 'object') return reason;
    wish.reason = reason;
  }
  return wish;
}

/** Figures and wish of one report together; the wish may be absent. */
export function checkContent(
  rawFigures: unknown,
  rawWish: unknown,
): { readonly figures: LoadFigures; readonly wish?: LoadWish } | Rejection {
  const figures = checkFigures(rawFigures);
  if (isRejection(figures)) return figures;
  if (rawWish === undefined) return { figures };
  const wish = checkWish(rawWish);
  return isRejection(wish) ? wish : { figures, wish };
}

function checkWord<Word extends string>(
  raw: Record<string, unknown>,
  name: string,
  words: readonly Word[],
): Word | undefined | Rejection {
  if (!Object.hasOwn(raw, name) || raw[name] === undefined) return undefined;
  const word = words.find((each) => each === raw[name]);
  if (word !== undefined) return word;
  return rejection('malformed', `wish.${name} is ${shown(raw[name])}, not ${words.join(', ')}`);
}

function checkReason(value: unknown): string | Rejection {
  if (typeof value !== 'string' || value.length > WISH_LIMITS.reasonCharacters) {
    const most = WISH_LIMITS.reasonCharacters;
    return rejection('malformed', `wish.reason is not a text of at most ${most} characters`);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (!/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value)) return value;
  return rejection('malformed', 'wish.reason has control characters');
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value from the network in a few words. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `the text '${value.slice(0, 40)}'`;
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}
