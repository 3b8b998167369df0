// Key files as operators make them: with weir, with openssl, raw; two keys; and what is refused.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { WeirError } from '../base/errors.ts';
import { generateKey, readKeyFile } from './key-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));

function keyFile(content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, `${randomBytes(4).toString('hex')}.key`);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function faultOf(path: string): WeirError {
  try {
    readKeyFile(path);
  } catch (error) {
    if (error instanceof WeirError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('a key file', () => {
  it('has the key that weir made', () => {
    const key = generateKey();
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(generateKey()).not.toBe(key);
    expect(readKeyFile(keyFile(`${key}\n`))).toEqual({
      keys: [Buffer.from(key, 'hex')],
      warnings: [],
    });
  });

  it('can be made with openssl, or of raw bytes', () => {
    const path = join(folder, 'openssl.key');
    execFileSync('sh', ['-c', `umask 077; openssl rand -hex 32 > ${path}`]);
    expect(readKeyFile(path).keys[0]).toHaveLength(32);
    const raw = Buffer.concat([Buffer.of(0), randomBytes(31)]);
    expect(readKeyFile(keyFile(raw)).keys).toEqual([raw]);
  });

  it('may have two keys and comments', () => {
    const [a, b] = [generateKey(), generateKey()];
    const { keys } = readKeyFile(keyFile(`# new\r\n${a}\r\n\r\n${b} # old`));
    expect(keys.map((key) => key.toString('hex'))).toEqual([a, b]);
  });

  it('is warned of when others can use it', () => {
    expect(readKeyFile(keyFile(generateKey(), 0o640)).warnings).toEqual([]);
    for (const mode of [0o644, 0o660, 0o602]) {
      const { warnings } = readKeyFile(keyFile(generateKey(), mode));
      expect(warnings).toEqual([expect.stringContaining('others can use its key')]);
    }
  });

  it.each([
    ['no key', '# nothing\n'],
    ['3 keys', `${generateKey()}\n${generateKey()}\n${generateKey()}\n`],
    ['line 2 is not', `${generateKey()}\nO${generateKey().slice(1)}\n`],
    ['line 1 is not', `${generateKey()}0\n`],
    ['not 15', `${'ab'.repeat(15)}\n`],
    ['not 257', `${'ab'.repeat(257)}\n`],
    ['not 8', Buffer.alloc(8, 0x80)],
  ])('is refused: %s', (message, content) => {
    const fault = faultOf(keyFile(content));
    expect(fault.code).toBe('ERR_CONFIG_INVALID');
    expect(fault.message).toContain(message);
    if (typeof content === 'string') expect(fault.message).not.toContain(content.slice(1, 20));
  });

  it('is refused when it is not there, is no file, or is too large; nobody waits for a FIFO', () => {
    const fifo = join(folder, 'fifo.key');
    execFileSync('mkfifo', [fifo]);
    const large = keyFile(Buffer.alloc(5000, 0x80));
    for (const path of [join(folder, 'none.key'), folder, fifo, '/dev/zero', large]) {
      expect(faultOf(path).code).toBe('ERR_CONFIG_UNREADABLE');
    }
    expect(faultOf(large).message).toContain('larger than 4096 bytes');
  });
});
