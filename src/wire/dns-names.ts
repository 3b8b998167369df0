// Names of the DNS as they stand in a message (RFC 1035 §3.1): labels, each with its length before it, and a
// zero behind the last. Text becomes such a name when the application is set up; for every question the
// name is only read where it stands. Letters compare without their case (RFC 4343), which is never changed.

export const LABEL_MAX = 63;
export const NAME_MAX = 255;
/** Labels of a name that has 255 bytes. */
export const LABELS_MAX = 127;

const LETTER_A = 0x41;
const LETTER_Z = 0x5a;
const CASE_BIT = 0x20;

/** @hot */
export function lowerCase(byte: number): number {
  return byte >= LETTER_A && byte <= LETTER_Z ? byte | CASE_BIT : byte;
}

/**
 * The bytes of a name that is written as text; `\.` and `\\` stand for themselves.
 * @param origin bytes that are put behind a name that does not end in a dot
 * @throws Error when it is none
 */
export function encodeName(text: string, origin: Uint8Array): Uint8Array {
  if (text === '@') return origin;
  if (text === '.') return Uint8Array.of(0);
  const isAbsolute = text.endsWith('.') && !text.endsWith('\\.');
  const labels = (isAbsolute ? text.slice(0, -1) : text).split(/(?<!\\)\./);
  const bytes = labels.flatMap((label) => {
    const raw = Buffer.from(label.replace(/\\(.)/g, '$1'), 'utf8');
    if (raw.length === 0 || raw.length > LABEL_MAX)
      throw new Error(`${text} is no name of the DNS`);
    return [raw.length, ...raw];
  });
  const name = Uint8Array.from([...bytes, ...(isAbsolute ? [0] : origin)]);
  if (name.length > NAME_MAX) throw new Error(`${text} is longer than a name may be`);
  return name;
}

/** The name with its letters in lower case: what is kept of names that are looked up. */
export function lowered(name: Uint8Array): Uint8Array {
  return name.map(lowerCase);
}

/** Offsets of the labels in a name, without the root. */
export function labelsOf(name: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let at = 0; name[at] !== 0; at += name[at] + 1) offsets.push(at);
  return offsets;
}

/** A name's text, for people; always with a dot behind it. */
export function nameText(name: Uint8Array): string {
  const labels = labelsOf(name).map((at) =>
    Buffer.from(name.subarray(at + 1, at + 1 + name[at]))
      .toString('latin1')
      .replace(/[.\\]/g, '\\$&'),
  );
  return `${labels.join('.')}.`;
}
