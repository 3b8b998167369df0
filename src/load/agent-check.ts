// HAProxy's agent-check (its Configuration Manual, 5.2 "agent-check"): a balancer connects by TCP
// and reads one line of words about what the server asks for. Here the line is read and written;
// who connects is src/resource-manager, who answers is src/agent.
//
//   line    = *separator [ word *( 1*separator word ) ] [ "#" text ] ( CR | LF )
//   word    = N "%" | "weight:" N [ "%" ] | "maxconn:" N                         how much
//           | "ready" | "drain" | "maint"                                        administrative
//           | "up" | "down" | "fail" | "stopped"                                 operational
//   separator = space | tab | ","
//
// As HAProxy does: words come in any order and in any case, of one kind the last one counts, the
// text after "#" counts only with down, fail or stopped, what is not mentioned is not changed, a
// line without its end is not used. Words that are unknown or whose number is out of range are left
// out and named.
//
// Invariant: whatever the bytes are, the result is a wish within WISH_LIMITS or a rejection.

import { Buffer } from 'node:buffer';
import type { LoadWish } from './load-report.ts';
import { printable, type Rejection, rejection } from './rejections.ts';
import { WISH_LIMITS } from './report-limits.ts';

/** As much of an answer as is looked at; a line that has not ended by then is refused. */
export const MAX_AGENT_CHECK_BYTES = 1024;

export interface AgentCheckAnswer {
  readonly wish: LoadWish;
  /** Words that were not understood, to tell the operator: HAProxy warns of them, too. */
  readonly ignored: readonly string[];
}

type Draft = { -readonly [key in keyof LoadWish]: LoadWish[key] };

/**
 * The first line of what has been received.
 *
 * @returns undefined while it has not ended; a rejection when it is too long to wait on
 */
export function agentCheckLine(received: Uint8Array): string | undefined | Rejection {
  const bytes = Buffer.from(received.buffer, received.byteOffset, received.length);
  const end = bytes.findIndex((byte) => byte === 0x0a || byte === 0x0d);
  if (end > MAX_AGENT_CHECK_BYTES || (end < 0 && bytes.length > MAX_AGENT_CHECK_BYTES)) {
    return rejection('too-large', `the line is longer than ${MAX_AGENT_CHECK_BYTES} bytes`);
  }
  return end < 0 ? undefined : bytes.toString('utf8', 0, end);
}

/**
 * Reads an answer that has come to its end (the other side has closed, or the line is complete).
 *
 * @returns a rejection when there is no complete line, or words and not one of them is understood
 */
export function parseAgentCheck(received: Uint8Array): AgentCheckAnswer | Rejection {
  const line = agentCheckLine(received);
  if (typeof line === 'object') return line;
  if (line === undefined) {
    const what = received.length === 0 ? 'the answer is empty' : 'the line has no end';
    return rejection('malformed', what);
  }
  const sharp = line.indexOf('#');
  const words = (sharp < 0 ? line : line.slice(0, sharp)).split(/[ \t,]+/).filter(Boolean);
  const wish: Draft = {};
  const ignored: string[] = [];
  for (const word of words) {
    if (!takeWord(wish, word.toLowerCase())) ignored.push(printable(word));
  }
  if (words.length > 0 && ignored.length === words.length) {
    return rejection('malformed', `no word of '${line}' is known`);
  }
  const reason = sharp < 0 ? '' : readable(line.slice(sharp + 1));
  if (wish.operational === 'down' && reason !== '') wish.reason = reason;
  return { wish, ignored };
}

/**
 * The line for a wish, with its end.
 *
 * @param wish within WISH_LIMITS; percent are rounded to whole ones, as the grammar has no others
 */
export function formatAgentCheck(wish: LoadWish): string {
  const words: string[] = [];
  if (wish.weightPercent !== undefined) words.push(`${Math.round(wish.weightPercent)}%`);
  else if (wish.weight !== undefined) words.push(`weight:${wish.weight}`);
  if (wish.connectionLimit !== undefined) words.push(`maxconn:${wish.connectionLimit}`);
  if (wish.administrative !== undefined) words.push(wish.administrative);
  if (wish.operational !== undefined) words.push(wish.operational);
  const reason = wish.operational === 'down' ? readable(wish.reason ?? '') : '';
  if (reason !== '') words.push(`#${reason}`);
  return `${words.join(' ')}\n`;
}

/** Puts a word into the wish. @returns false when it is not understood */
function takeWord(wish: Draft, word: string): boolean {
  switch (word) {
    case 'ready':
    case 'drain':
    case 'maint':
      wish.administrative = word;
      return true;
    case 'up':
      wish.operational = 'up';
      return true;
    case 'down':
    case 'fail':
    case 'stopped':
      wish.operational = 'down';
      return true;
    default:
      return takeNumber(wish, word);
  }
}

function takeNumber(wish: Draft, word: string): boolean {
  const match = /^(weight:|maxconn:|)([0-9]{1,10})(%?)$/.exec(word);
  if (match === null) return false;
  const [, name, digits, percent] = match;
  const value = Number(digits);
  if (name === 'maxconn:') {
    if (percent !== '' || value > WISH_LIMITS.connectionLimit) return false;
    wish.connectionLimit = value;
    return true;
  }
  if (percent !== '') {
    if (value > WISH_LIMITS.weightPercent) return false;
    // One kind of word: the last one counts, relative or absolute.
    delete wish.weight;
    wish.weightPercent = value;
    return true;
  }
  if (name === '' || value > WISH_LIMITS.weight) return false;
  delete wish.weightPercent;
  wish.weight = value;
  return true;
}

function readable(text: string): string {
  return printable(text.trim()).slice(0, WISH_LIMITS.reasonCharacters).trim();
}
