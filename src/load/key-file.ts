// The file with the key of one agent: the same file lies with the agent and with the resource
// manager. It has one or two keys, one a line, in hexadecimal digits (`weir agent key`, or `openssl
// rand -hex 32`); the first one signs, each of them is accepted. So a key is changed without a gap:
// add the new one behind the old at the resource manager, put it before the old at the agent, then
// take the old one away. A file of raw bytes (`head -c 32 /dev/urandom`) is one key.
//
// Invariant: what is returned has one or two keys of 16 to 256 bytes; key material never appears in
// a message.

import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { readBoundedFile } from '../base/bounded-file.ts';
import { WeirError } from '../base/errors.ts';
import { MAX_ACTIVE_KEYS, MIN_KEY_BYTES } from './signed-report.ts';

const NEW_KEY_BYTES = 32;
const MAX_KEY_BYTES = 256;
const MAX_FILE_BYTES = 4096;
const OPEN_TO_OTHERS = 0o007;
const WRITABLE_BY_GROUP = 0o020;

export interface KeyFile {
  /** One or two; the first is the one to sign with. */
  readonly keys: readonly Buffer[];
  /** Sentences for the log: the file can be read by everybody and the like. */
  readonly warnings: readonly string[];
}

/** A new key as 64 hexadecimal digits. */
export function generateKey(): string {
  return randomBytes(NEW_KEY_BYTES).toString('hex');
}

/**
 * Reads a key file.
 *
 * @throws WeirError ERR_CONFIG_UNREADABLE when it cannot be read, ERR_CONFIG_INVALID when it holds no
 *   usable key
 */
export function readKeyFile(path: string): KeyFile {
  const { bytes, mode } = readFile(path);
  const warnings: string[] = [];
  if ((mode & (OPEN_TO_OTHERS | WRITABLE_BY_GROUP)) !== 0) {
    const shown = (mode & 0o777).toString(8).padStart(4, '0');
    warnings.push(`${path} has mode ${shown}: others can use its key. chmod 0640 ${path}`);
  }
  const keys = isText(bytes) ? parseHexKeys(bytes.toString('latin1'), path) : [bytes];
  for (const key of keys) {
    if (key.length >= MIN_KEY_BYTES && key.length <= MAX_KEY_BYTES) continue;
    throw invalid(path, `a key has ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} bytes, not ${key.length}`);
  }
  return { keys, warnings };
}

function parseHexKeys(text: string, path: string): Buffer[] {
  const keys: Buffer[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const digits = line.replace(/#.*$/, '').trim();
    if (digits === '') continue;
    if (!/^(?:[0-9a-fA-F]{2})+$/.test(digits)) {
      throw invalid(path, `line ${i + 1} is not an even number of hexadecimal digits`);
    }
    keys.push(Buffer.from(digits, 'hex'));
  }
  if (keys.length === 0) throw invalid(path, 'it holds no key');
  if (keys.length > MAX_ACTIVE_KEYS) {
    throw invalid(path, `it holds ${keys.length} keys, at most ${MAX_ACTIVE_KEYS} are used`);
  }
  return keys;
}

/** A mistyped hexadecimal key must not become a raw one: only what no text has makes raw bytes. */
function isText(bytes: Buffer): boolean {
  return bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d));
}

function readFile(path: string): { bytes: Buffer; mode: number } {
  try {
    return readBoundedFile(path, MAX_FILE_BYTES);
  } catch (error) {
    const advice =
      'weir agent key makes a new key; the file must be readable for the user of the program';
    const message = `the key file ${path}: ${(error as Error).message}`;
    throw new WeirError('ERR_CONFIG_UNREADABLE', message, advice);
  }
}

function invalid(path: string, what: string): WeirError {
  const advice = 'one or two lines as `weir agent key` or `openssl rand -hex 32` prints them';
  return new WeirError('ERR_CONFIG_INVALID', `the key file ${path}: ${what}`, advice);
}
