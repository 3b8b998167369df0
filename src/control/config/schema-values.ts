// Values that several parts of the configuration's schema are made of: addresses, names, ports, durations.
// A text with a grammar of its own has its own parser, which words the fault; the pattern beside it is for
// the editor only (json-schema.ts).

import { z } from 'zod';
import {
  isTextFault,
  parseIpv4,
  parseIpv4Network,
  parseIpv4Unicast,
  type TextFault,
} from './ipv4-text.ts';

export const IPV4 =
  '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}';
export const PREFIX = '/(3[0-2]|[12]?[0-9])';

/** A text with its own parser: the parser words the fault, the pattern serves the editor. */
export function parsedText(parse: (text: string) => unknown, pattern: string, example: string) {
  return z
    .string()
    .superRefine((text, context) => {
      const parsed = parse(text);
      if (!isTextFault(parsed)) return;
      const { message, suggestion } = parsed;
      context.addIssue({ code: 'custom', message, params: { suggestion } });
    })
    .meta({ pattern: `^${pattern}$`, examples: [example] });
}

export function hostAddress(example: string) {
  return parsedText(parseIpv4Unicast, IPV4, example);
}

/** An address of this or another host that the kernel speaks to, the loopback's and 0.0.0.0 included. */
export function kernelAddress(example: string) {
  return parsedText(parseIpv4, IPV4, example);
}

export function network(example: string) {
  return parsedText(parseIpv4Network, `(default|${IPV4}${PREFIX})`, example);
}

export const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, {
  error:
    'a name has 1–63 letters, digits, dots, dashes and underscores, and starts with a letter or digit',
});

export const port = z.int().min(1).max(65_535);

/** A file, as the configuration names it: a relative path is one beside the configuration file. */
export const filePath = z.string().min(1).max(4096);

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * A duration between two bounds, written as a text with a unit or a number of seconds.
 * @param parse gives the value in the unit that the configuration keeps, or the fault
 */
function durationBy(parse: (value: string | number) => number | TextFault, example: string) {
  return z
    .union([parsedText(parse, '[0-9]+(ms|s|m|h)?', example), z.number().min(0)], {
      error: `a duration is expected, such as ${example}`,
    })
    .superRefine((value, context) => {
      if (typeof value !== 'number') return;
      const parsed = parse(value);
      if (!isTextFault(parsed)) return;
      const { message, suggestion } = parsed;
      context.addIssue({ code: 'custom', message, params: { suggestion } });
    })
    .transform((value) => parse(value) as number);
}

/** A duration in milliseconds, from `leastMs` to `mostMs`: '500ms', '2s', '5m', or seconds. */
export function durationMs(leastMs: number, mostMs: number, example = '2s') {
  return durationBy((value) => {
    const text = String(value);
    const match = /^([0-9]+)(ms|s|m|h)?$/.exec(text);
    if (match === null) {
      return {
        message: `${text} is not a duration`,
        suggestion: 'write it as in 500ms, 2s or 5m',
      };
    }
    const milliseconds = Number(match[1]) * MS_PER_UNIT[match[2] ?? 's'];
    if (milliseconds >= leastMs && milliseconds <= mostMs) return milliseconds;
    const bounds = `${durationText(leastMs)} and ${durationText(mostMs)}`;
    return { message: `${text} is not between ${bounds}`, suggestion: '' };
  }, example);
}

/** 500 → '500ms', 2000 → '2s', 300000 → '5m'. */
export function durationText(milliseconds: number): string {
  for (const unit of ['h', 'm', 's']) {
    const size = MS_PER_UNIT[unit];
    if (milliseconds >= size && milliseconds % size === 0) return `${milliseconds / size}${unit}`;
  }
  return `${milliseconds}ms`;
}
