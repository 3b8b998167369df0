// Goal: one process at a time has the lock, and a killed one leaves it to the next.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { closeFd } from './libc.ts';
import { takeLock } from './lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-lock-'));
const path = join(folder, 'lock');

afterAll(() => rmSync(folder, { recursive: true }));

describe('takeLock', () => {
  it('is had once', () => {
    const fd = takeLock(path);
    expect(fd).toBeGreaterThan(0);
    expect(takeLock(path)).toBe(-1);
    closeFd(fd);
    const again = takeLock(path);
    expect(again).toBeGreaterThan(0);
    closeFd(again);
  });

  it('is not inherited, and free when its holder is killed', async () => {
    const holder = spawn('flock', ['--exclusive', '--no-fork', path, 'sleep', '60'], {
      stdio: 'ignore',
    });
    await vi.waitFor(() => {
      const fd = takeLock(path);
      if (fd >= 0) closeFd(fd);
      expect(fd).toBe(-1);
    });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await vi.waitFor(() => {
      const fd = takeLock(path);
      expect(fd).toBeGreaterThan(0);
      const child = spawn('sleep', ['1'], { stdio: 'ignore' });
      closeFd(fd);
      const again = takeLock(path);
      expect(again).toBeGreaterThan(0);
      closeFd(again);
      child.kill();
    });
  });
});
