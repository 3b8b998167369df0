// Goal: a process that dies is started again, at once after a long life and ever later after short ones;
// an adopted one as well; and stop ends what does not end by itself. Method: real processes of Node.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ProcessPlan } from '../base/process-plan.ts';
import { Child, restartDelayMs } from './child.ts';
import { identify, isSameProcess, type ProcessIdentity } from './process-identity.ts';

const PLAN = { role: 'control' } as unknown as ProcessPlan;
const SLEEP = 'setInterval(() => {}, 1000);';
const DEAF = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);";

let folder: string;
let children: Child[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-child-'));
  children = [];
});

afterEach(async () => {
  await Promise.all(children.map((child) => child.stop(0, 'SIGKILL')));
  rmSync(folder, { recursive: true });
});

function childOf(program: string) {
  const entryPoint = join(folder, 'program.mjs');
  writeFileSync(entryPoint, program);
  const seen = { pids: [] as number[], deaths: [] as { how: string; delayMs: number }[] };
  const child = new Child('test', () => ({ entryPoint, plan: PLAN, fileDescriptors: [] }), {
    started: (pid) => seen.pids.push(pid),
    died: (how, delayMs) => seen.deaths.push({ how, delayMs }),
  });
  children.push(child);
  return { child, seen };
}

describe('restartDelayMs', () => {
  it('doubles with every short life and ends at five seconds', () => {
    expect([0, 1, 2, 3, 7, 8, 50].map(restartDelayMs)).toEqual([0, 50, 100, 200, 3200, 5000, 5000]);
  });
});

describe('Child', () => {
  it('starts a killed process again', async () => {
    const { child, seen } = childOf(SLEEP);
    child.start();
    process.kill(seen.pids[0], 'SIGKILL');
    await vi.waitFor(() => expect(seen.pids).toHaveLength(2), { timeout: 5000 });
    expect(seen.deaths).toEqual([{ how: 'SIGKILL', delayMs: 0 }]);
    expect(child.pid).toBe(seen.pids[1]);
  });

  it('waits longer and longer for one that cannot live', async () => {
    const { child, seen } = childOf('process.exit(3);');
    child.start();
    await vi.waitFor(() => expect(seen.deaths.length).toBeGreaterThanOrEqual(3), { timeout: 9000 });
    expect(seen.deaths.slice(0, 3)).toEqual([
      { how: 'exit code 3', delayMs: 0 },
      { how: 'exit code 3', delayMs: 50 },
      { how: 'exit code 3', delayMs: 100 },
    ]);
  });

  it('ends a process that does not heed SIGTERM', async () => {
    const { child, seen } = childOf(DEAF);
    child.start();
    const identity = identify(seen.pids[0]) as ProcessIdentity;
    await child.stop(100, 'SIGTERM');
    expect(isSameProcess(identity)).toBe(false);
    expect(seen.deaths).toEqual([]);
  });

  it('adopts a process and starts a new one when it has gone', async () => {
    const { child, seen } = childOf(SLEEP);
    const stranger = spawn(process.execPath, ['-e', SLEEP], { stdio: 'ignore' });
    child.adopt(identify(stranger.pid as number) as ProcessIdentity);
    expect(child.pid).toBe(stranger.pid);
    stranger.kill('SIGKILL');
    await vi.waitFor(() => expect(seen.pids).toHaveLength(2), { timeout: 5000 });
    expect(seen.deaths).toEqual([{ how: 'no longer there', delayMs: 0 }]);
    expect(child.pid).not.toBe(stranger.pid);
  });
});

describe('isSameProcess', () => {
  it('knows a process by its start, not by its pid alone', () => {
    const self = identify(process.pid) as ProcessIdentity;
    expect(isSameProcess(self)).toBe(true);
    expect(isSameProcess({ ...self, startTime: '1' })).toBe(false);
    expect(identify(2 ** 22 + 1)).toBeUndefined();
  });
});
