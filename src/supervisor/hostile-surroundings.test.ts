// What must not end a supervisor, nor deceive it: processes that cannot even be spawned, signals that
// come too soon, state files of strangers and of other versions.

import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { ProcessPlan } from '../base/process-plan.ts';
import { LAYOUT_VERSION } from '../memory/layout.ts';
import { Child } from './child.ts';
import { catchesSignal, identify, type ProcessIdentity } from './process-identity.ts';
import {
  type MachineState,
  readStateFile,
  runningOfOtherVersion,
  writeStateFile,
} from './state-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-hostile-'));
const path = join(folder, 'weir.sock.state');
const self = identify(process.pid) as ProcessIdentity;
const dead: ProcessIdentity = { pid: process.pid, startTime: '1' };
const STATE: MachineState = {
  layoutVersion: LAYOUT_VERSION,
  supervisor: dead,
  switching: [dead, undefined],
  control: undefined,
  memorySize: 4096,
  memoryFileDescriptor: 3,
  eventFileDescriptors: [],
  interfaces: [],
  interfaceNames: [],
  idle: 'adaptive',
  cpus: [],
};

afterAll(() => rmSync(folder, { recursive: true }));

describe('a child that cannot be spawned', () => {
  it('is tried again, and no exception leaves', async () => {
    const plan = { role: 'control', socketPath: 'x'.repeat(1 << 20) } as ProcessPlan;
    const deaths: string[] = [];
    const specify = () => ({ entryPoint: 'none.js', plan, fileDescriptors: [] });
    const child = new Child('test', specify, { started() {}, died: (how) => deaths.push(how) });
    child.start();
    await vi.waitFor(() => expect(deaths.length).toBeGreaterThan(1), { timeout: 5000 });
    expect(deaths[0]).toMatch(/^could not be started: .*E2BIG/);
    await child.stop(0, undefined);
  });
});

describe('catchesSignal', () => {
  it('says when a process that was just started can be signalled', async () => {
    const program = "process.on('SIGHUP', () => process.exit(7)); setInterval(() => {}, 1000);";
    const child = spawn(process.execPath, ['-e', program], { stdio: 'ignore' });
    const pid = child.pid as number;
    expect(catchesSignal(pid, 'SIGHUP')).toBe(false);
    await vi.waitFor(() => expect(catchesSignal(pid, 'SIGHUP')).toBe(true), { timeout: 5000 });
    expect(catchesSignal(pid, 'SIGUSR2')).toBe(false);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGHUP');
    expect(await ended).toBe(7);
    expect(catchesSignal(pid, 'SIGHUP')).toBe(false);
  });
});

describe('the state file', () => {
  it('is not believed when others could have written it, or when it is a link', () => {
    writeStateFile(path, STATE);
    expect(readStateFile(path)).toBeDefined();
    chmodSync(path, 0o620);
    expect(readStateFile(path)).toBeUndefined();
    chmodSync(path, 0o600);
    symlinkSync(path, `${path}.link`);
    expect(readStateFile(`${path}.link`)).toBeUndefined();
  });

  it('is not believed when it is no state at all', () => {
    for (const text of ['null', '7', '{}', `{"layoutVersion":${LAYOUT_VERSION}}`]) {
      writeFileSync(path, text, { mode: 0o600 });
      expect(readStateFile(path), text).toBeUndefined();
      expect(runningOfOtherVersion(path), text).toBeUndefined();
    }
  });

  it('is never written through a link that stands in its way', () => {
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, `${path}.new`);
    writeStateFile(path, STATE);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(readStateFile(path)?.supervisor).toEqual(dead);
  });

  it('tells of processes of another version that still run', () => {
    const other = { ...STATE, layoutVersion: LAYOUT_VERSION + 1 };
    writeStateFile(path, other);
    expect(runningOfOtherVersion(path)).toBeUndefined();
    writeStateFile(path, { ...other, supervisor: self });
    expect(runningOfOtherVersion(path)).toEqual(self);
    writeStateFile(path, { ...other, switching: [undefined, self] });
    expect(runningOfOtherVersion(path)).toEqual(self);
    writeStateFile(path, { ...STATE, supervisor: self });
    expect(runningOfOtherVersion(path)).toBeUndefined();
  });
});
