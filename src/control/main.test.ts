// The process itself, on the built program: what it does with signals, its socket and main memory when
// it is killed and started again, and when another one has taken its place.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { builtModule } from '../../test/support/built-module.ts';
import { type ControlPlan, PLAN_VARIABLE } from '../base/process-plan.ts';
import { computeLayout, HEADER_CONTROL_PID, HEADER_STARTED_AT } from '../memory/layout.ts';
import { formatMainMemory, type MainMemory } from '../memory/region.ts';
import { createEvent, drainEvent } from '../sys/event-fd.ts';
import { closeFd } from '../sys/libc.ts';
import { attachMemoryFile, createMemoryFile } from '../sys/main-memory.ts';
import { callAdmin } from './admin-client.ts';
import { fileText, serviceText } from './control.harness.ts';
import type { Status } from './status.ts';

const SIZES = { connections: 1024, frames: 256, processors: 1 };
const MEMORY_SIZE = computeLayout(SIZES).totalSize;

let folder: string;
let file: string;
let socketPath: string;
let memoryFd: number;
let eventFd: number;
let memory: MainMemory;
let children: ChildProcess[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-control-main-'));
  file = join(folder, 'weir.yaml');
  socketPath = join(folder, 'weir.sock');
  writeFileSync(file, fileText([serviceText('web', 80, [11])]));
  memoryFd = createMemoryFile('weir-control-test', MEMORY_SIZE, false).fd;
  eventFd = createEvent();
  memory = formatMainMemory(attachMemoryFile(memoryFd, MEMORY_SIZE).buffer, SIZES);
  memory.setHeader(HEADER_STARTED_AT, Math.floor(Date.now() / 1000));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  closeFd(memoryFd);
  closeFd(eventFd);
  rmSync(folder, { recursive: true, force: true });
});

function startControl(): ChildProcess {
  const plan: ControlPlan = {
    role: 'control',
    memoryFileDescriptor: 3,
    memorySize: MEMORY_SIZE,
    eventFileDescriptors: [4],
    claimsFileDescriptor: -1,
    configurationFile: file,
    socketPath,
    interfaceNames: ['ext0', 'int0'],
  };
  const child = spawn(process.execPath, [fileURLToPath(builtModule('src/control/main.ts'))], {
    stdio: ['ignore', 'ignore', 'pipe', memoryFd, eventFd],
    env: { ...process.env, [PLAN_VARIABLE]: JSON.stringify(plan) },
  });
  children.push(child);
  memory.setHeader(HEADER_CONTROL_PID, child.pid as number);
  return child;
}

/** Waits until the status is as wanted; a process that cannot say so yet is asked again. */
async function statusWhen(isWanted: (status: Status) => boolean): Promise<Status> {
  for (;;) {
    try {
      const status = (await callAdmin(socketPath, 'GET', '/v1/status')).body as Status;
      if (isWanted(status)) return status;
    } catch {
      // It does not listen yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const generationIs = (generation: number) => (status: Status) =>
  status.configuration.generation === generation;

/** The processors are woken a moment after the generation has changed. */
const woken = (): Promise<void> =>
  vi.waitFor(() => expect(drainEvent(eventFd)).toBe(1), { timeout: 5000, interval: 10 });

describe('weir: control', () => {
  it('publishes, wakes processors, reloads on SIGHUP, ignores SIGINT, ends on SIGTERM', async () => {
    const child = startControl();
    const { services } = await statusWhen(generationIs(1));
    expect(services.map(({ name }) => name)).toEqual(['web']);
    await woken();
    writeFileSync(file, fileText([serviceText('mail', 25, [12])]));
    child.kill('SIGINT');
    child.kill('SIGHUP');
    // The generation changes a moment before the names do.
    await statusWhen(({ services: [first] }) => first.name === 'mail');
    await woken();
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(existsSync(socketPath)).toBe(false);
  });

  it('comes back after a kill with what was running', async () => {
    const first = startControl();
    await statusWhen(generationIs(1));
    writeFileSync(file, fileText([serviceText('mail', 25, [12])]));
    first.kill('SIGKILL');
    await once(first, 'exit');
    startControl();
    const { services } = await statusWhen(generationIs(2));
    expect(services.map(({ name }) => name)).toEqual(['web']);
  });

  it('ends when another has taken its place, and leaves the socket alone', async () => {
    const child = startControl();
    await statusWhen(generationIs(1));
    memory.setHeader(HEADER_CONTROL_PID, process.pid);
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(existsSync(socketPath)).toBe(true);
  });

  it('says why it cannot start', async () => {
    writeFileSync(file, 'interfaces: 3\n');
    const child = startControl();
    let log = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(log).toContain('weir.yaml:1:13');
    expect(log).toContain('no configuration to start with');
  });
});
