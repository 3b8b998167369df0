import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readBoundedFile } from './bounded-file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-bounded-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

it('reads a file to its end, with its rights, also through a link', () => {
  const path = written('file', 'text'.repeat(2000));
  chmodSync(path, 0o640);
  symlinkSync(path, join(folder, 'link'));
  const { bytes, mode } = readBoundedFile(join(folder, 'link'), 8000);
  expect([bytes.toString(), mode & 0o777]).toEqual(['text'.repeat(2000), 0o640]);
  expect(readBoundedFile(written('empty', ''), 10).bytes).toHaveLength(0);
});

it('reads what says that it has no size', () => {
  expect(readBoundedFile('/proc/self/status', 65_536).bytes.toString()).toContain('Name:');
});

it('refuses what is too large, without reading it', () => {
  const path = written('large', 'text');
  expect(() => readBoundedFile(path, 3)).toThrow('it is larger than 3 bytes');
  truncateSync(path, 2 ** 40);
  expect(() => readBoundedFile(path, 1 << 20)).toThrow('it is larger than 1 MiB');
  expect(() => readBoundedFile('/proc/self/status', 20)).toThrow('it is larger than 20 bytes');
});

it('refuses what is no file, without waiting for it', () => {
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  for (const path of [fifo, '/dev/zero', folder]) {
    expect(() => readBoundedFile(path, 100)).toThrow('it is no regular file');
  }
  expect(() => readBoundedFile(join(folder, 'none'), 100)).toThrow('ENOENT');
});
