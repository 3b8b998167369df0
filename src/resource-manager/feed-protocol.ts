// The connection between a master and a resource manager on another host: text lines over TCP. Both
// prove that they have the shared key before anything else is said; then the manager sends one line per
// report and a heartbeat. Nothing is encrypted: what is sent is not secret, but it must not be forged.
//
//   manager: {"weir":"feed","version":1,"challenge":"<64 hex digits>"}
//   master:  {"challenge":"<64 hex digits>","proof":"<HMAC: 'master', both challenges>"}
//   manager: {"proof":"<HMAC: 'manager', both challenges>"}
//   manager: <HMAC of 'n json' with the session's key> {"report":{…},"boot":"…","ageMs":12}   n = 0, 1, 2 …
//   manager: <…> {"heartbeat":1}
//
// All HMAC are SHA-256 in hexadecimal digits. The session's key is itself an HMAC of both challenges, so
// no line of another connection is good; the counter n lets no line be left out, repeated or moved.
// Invariant: a reader keeps at most one line of at most its limit; no function here throws for what comes.

import { Buffer } from 'node:buffer';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

export const FEED_VERSION = 1;
/** Lines of the handshake. */
export const LONGEST_HANDSHAKE_LINE = 512;
/** A report has some twenty figures and words, and names of bounded length. */
export const LONGEST_LINE = 4096;
export const HEARTBEAT_MS = 1000;
/** Time for a handshake. */
export const HANDSHAKE_MS = 3000;

const CHALLENGE_BYTES = 32;
const MAC_DIGITS = 64;

export function newChallenge(): string {
  return randomBytes(CHALLENGE_BYTES).toString('hex');
}

export function isChallenge(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

/** Both challenges: the manager's, then the master's. */
export type Challenges = readonly [manager: string, master: string];

function derive(key: Uint8Array, purpose: string, challenges: Challenges): Buffer {
  const text = `weir feed ${FEED_VERSION} ${purpose} ${challenges.join(' ')}`;
  return createHmac('sha256', key).update(text).digest();
}

/** Shows that one has the key. `who` keeps a proof from being sent back as one's own. */
export function proofOf(
  who: 'master' | 'manager',
  key: Uint8Array,
  challenges: Challenges,
): string {
  return derive(key, who, challenges).toString('hex');
}

/** Compares in a time that says nothing about where the difference is. */
export function isSame(expected: string, given: unknown): boolean {
  if (typeof given !== 'string' || given.length !== expected.length) return false;
  const [a, b] = [Buffer.from(expected, 'latin1'), Buffer.from(given, 'latin1')];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Signs the lines of one session, and verifies them at the other end. */
export class FeedSession {
  private readonly key: Buffer;
  private count = 0;

  constructor(key: Uint8Array, challenges: Challenges) {
    this.key = derive(key, 'session', challenges);
  }

  /** The next line, with its end. */
  sign(json: string): string {
    return `${this.mac(json)} ${json}\n`;
  }

  /** The JSON of the next line; undefined when it was not signed as this line of this session. */
  open(line: string): string | undefined {
    const json = line.slice(MAC_DIGITS + 1);
    if (line[MAC_DIGITS] !== ' ') return undefined;
    return isSame(this.mac(json), line.slice(0, MAC_DIGITS)) ? json : undefined;
  }

  private mac(json: string): string {
    return createHmac('sha256', this.key)
      .update(`${this.count++} ${json}`)
      .digest('hex');
  }
}

/** JSON in ASCII alone, so that characters are bytes in the signature and in every limit. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Cuts what arrives into lines. */
export class LineReader {
  private rest = '';

  /**
   * @param longest limit at this moment, in characters
   * @param onLine takes a line without its end
   * @returns false when a line is longer than the limit: the connection is to be ended
   */
  push(piece: string, longest: () => number, onLine: (line: string) => void): boolean {
    let start = 0;
    for (let end = piece.indexOf('\n'); end >= 0; end = piece.indexOf('\n', start)) {
      if (this.rest.length + end - start > longest()) return false;
      const line = this.rest + piece.slice(start, end);
      this.rest = '';
      start = end + 1;
      onLine(line);
    }
    if (this.rest.length + piece.length - start > longest()) return false;
    this.rest += piece.slice(start);
    return true;
  }
}

/** An object from JSON; undefined when it is none. */
export function parseObject(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
