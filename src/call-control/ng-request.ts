// One command of rtpengine's ng protocol (github.com/sipwise/rtpengine, docs/ng_control_protocol.md): a
// dictionary of bencode, with keys and flags in which a dash and a space are the same. What is not a text or
// a list of texts where one is expected counts as not there.

import type { Bencoded, Dictionary } from './bencode.ts';

/** Characters of a Call-ID or tag: names are kept for as long as the call. */
const MOST_NAME = 1024;

/** A command that cannot be done: the text is the answer's `error-reason`. */
export class Refusal extends Error {}

export class NgRequest {
  private readonly entries = new Map<string, Bencoded>();
  readonly flags: ReadonlySet<string>;

  constructor(dictionary: Dictionary) {
    for (const [key, value] of dictionary) this.entries.set(dashed(key), value);
    this.flags = new Set(this.list('flags'));
  }

  /** A text, or undefined when there is none. */
  text(key: string): string | undefined {
    const value = this.entries.get(key);
    return typeof value === 'string' ? value : undefined;
  }

  /** @throws Refusal when it is not there */
  required(key: string): string {
    const value = this.text(key);
    if (value === undefined || value === '') throw new Refusal(`No ${key} in message`);
    if (value.length > MOST_NAME) throw new Refusal(`${key} is too long`);
    return value;
  }

  number(key: string): number | undefined {
    const value = this.entries.get(key);
    if (typeof value === 'number') return value;
    return typeof value === 'string' && /^[0-9]{1,9}$/.test(value) ? Number(value) : undefined;
  }

  /** The texts of a list, or a text alone; dashed. */
  list(key: string): string[] {
    const value = this.entries.get(key);
    if (typeof value === 'string') return [dashed(value)];
    if (!Array.isArray(value)) return [];
    return value.flatMap((each) => (typeof each === 'string' ? [dashed(each)] : []));
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }
}

function dashed(text: string): string {
  return text.replace(/ /g, '-');
}
