// The schema of the timeouts: after which silence a connection is forgotten, by its state. Seconds, unlike the
// other durations of the configuration (schema-values.ts), which are milliseconds.
// A service's timeouts are the global ones where it says nothing else.

import { z } from 'zod';
import type { TextFault } from './ipv4-text.ts';
import { parsedText } from './schema-values.ts';

/** Names of the timeouts and their defaults in seconds (those of IPVS). */
export const DEFAULT_TIMEOUTS = {
  established: 900,
  'syn-sent': 120,
  'syn-received': 60,
  'fin-wait': 120,
  'time-wait': 120,
  close: 10,
  'close-wait': 60,
  'last-ack': 30,
  udp: 300,
} as const;

export type TimeoutName = keyof typeof DEFAULT_TIMEOUTS;
/** Seconds for each timeout. */
export type Timeouts = Record<TimeoutName, number>;

const LONGEST_TIMEOUT_SECONDS = 7 * 86_400;
const SECONDS_PER_UNIT: Record<string, number> = { s: 1, m: 60, h: 3600 };

/** Seconds of '900s', '15m', '2h' or 900; or the fault. */
function parseDuration(value: string | number): number | TextFault {
  const text = String(value);
  const match = /^([0-9]+)([smh]?)$/.exec(text);
  if (match === null) {
    return { message: `${text} is not a duration`, suggestion: 'write it as in 900s, 15m or 2h' };
  }
  const seconds = Number(match[1]) * (SECONDS_PER_UNIT[match[2]] ?? 1);
  if (seconds >= 1 && seconds <= LONGEST_TIMEOUT_SECONDS) return seconds;
  return { message: `${text} is not between 1s and 168h`, suggestion: '' };
}

export const duration = z
  .union(
    [parsedText(parseDuration, '[0-9]+[smh]?', '15m'), z.int().min(1).max(LONGEST_TIMEOUT_SECONDS)],
    { error: 'a duration is expected, such as 900s, 15m or 2h' },
  )
  .transform((value) => parseDuration(value) as number);

const TIMEOUT_DESCRIPTIONS: Record<TimeoutName, string> = {
  established: 'An established TCP connection without traffic is forgotten after this time.',
  'syn-sent': 'A TCP connection of which only the SYN of the client was seen.',
  'syn-received': 'A TCP connection that waits for the last acknowledgement of its handshake.',
  'fin-wait': 'A TCP connection that one end has closed.',
  'time-wait': 'A TCP connection that both ends have closed.',
  close: 'A TCP connection after a reset.',
  'close-wait': 'A TCP connection whose client waits for the backend to close.',
  'last-ack': 'A TCP connection that waits for the last acknowledgement.',
  udp: 'A UDP conversation without traffic.',
};

export const timeoutNames = Object.keys(DEFAULT_TIMEOUTS) as TimeoutName[];
export const timeoutsShape = Object.fromEntries(
  timeoutNames.map((timeout) => [
    timeout,
    duration
      .optional()
      .describe(`${TIMEOUT_DESCRIPTIONS[timeout]} Default ${DEFAULT_TIMEOUTS[timeout]}s.`),
  ]),
) as Record<TimeoutName, z.ZodOptional<typeof duration>>;

/** `base`, but for what `changes` say. */
export function mergeTimeouts(base: Timeouts, changes: Partial<Timeouts>): Timeouts {
  const merged = { ...base };
  for (const timeout of timeoutNames) merged[timeout] = changes[timeout] ?? base[timeout];
  return merged;
}
