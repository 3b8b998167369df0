// Servers that die, hang, swallow, flap, and a thousand of them. Figures are printed, not asserted: the
// machine may be busy with other tests.

import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { makeChecker, target, WAS_UP } from './checker.harness.ts';
import type { HealthChecker } from './checker.ts';
import { fullServer, rawServer, until } from './probes/probe.harness.ts';
import { DEFAULT_HEALTH } from './settings.ts';

const running: HealthChecker[] = [];
const children: ChildProcess[] = [];

function started() {
  const made = makeChecker();
  running.push(made.checker);
  return made;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((checker) => checker.stop()));
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** An HTTP server in a process of its own, which can be killed and stopped. */
async function httpProgram(port = 0): Promise<{ child: ChildProcess; port: number }> {
  const text = `
    const server = require('node:http').createServer((_, answer) => answer.end('ok'));
    server.listen(${port}, '127.0.0.1', () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ['-e', text], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const bound = await new Promise<number>((resolve) => {
    child.stdout.once('data', (chunk) => resolve(Number(String(chunk))));
  });
  return { child, port: bound };
}

const HTTP = {
  type: 'http',
  intervalMs: 400,
  fastIntervalMs: 200,
  timeoutMs: 300,
  fall: 3,
  rise: 2,
} as const;

function say(what: string, milliseconds: number): void {
  const promiseMs = HTTP.intervalMs * HTTP.fall + HTTP.timeoutMs;
  console.log(`${what}: ${Math.round(milliseconds)} ms (promise: ${promiseMs} ms)`);
}

describe('a server', () => {
  it('that is killed goes down, and comes up when it is back', async () => {
    const { child, port } = await httpProgram();
    const { checker, status, changes, now } = started();
    checker.setTargets([target(port, HTTP)]);
    await until(() => status() === 'up');
    const killedAt = now();
    child.kill('SIGKILL');
    await until(() => status() === 'down');
    say('killed → down', changes.at(-1)!.atMs - killedAt);
    expect(changes.at(-1)?.cause).toMatch(/^3 checks in a row failed: connection re(fused|set)/);
    await httpProgram(port);
    await until(() => status() === 'up');
    expect(checker.state('web/b1')).toMatchObject({ flaps: 0 });
  });

  it('that is stopped (SIGSTOP) goes down, as it answers nothing', async () => {
    const { child, port } = await httpProgram();
    const { checker, status, changes, now } = started();
    checker.setTargets([target(port, HTTP)]);
    await until(() => status() === 'up');
    const stoppedAt = now();
    child.kill('SIGSTOP');
    await until(() => status() === 'down');
    say('hung → down', changes.at(-1)!.atMs - stoppedAt);
    expect(changes.at(-1)?.cause).toContain('no answer, though connected, within 300 ms');
    child.kill('SIGCONT');
    await until(() => status() === 'up');
  });

  it('that is a black hole goes down, as nothing connects', async () => {
    const server = await fullServer();
    const { checker, status, changes } = started();
    checker.setTargets([target(server.port, { ...HTTP, type: 'tcp' }, { previous: WAS_UP })]);
    await until(() => status() === 'down');
    expect(changes.at(-1)?.cause).toBe('3 checks in a row failed: no connection within 300 ms');
    server.close();
  });

  it('that flaps at 1 Hz is held down longer and longer', async () => {
    let isUp = true;
    const server = await rawServer((socket) => {
      socket.once('data', () => {
        if (isUp) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        else socket.destroy();
      });
    });
    const { checker, status, path } = started();
    const settings = { ...HTTP, intervalMs: 60, fastIntervalMs: 50, fall: 2, holdMs: 1_000 };
    checker.setTargets([target(server.port, settings)]);
    await until(() => status() === 'up');
    const seconds = 7;
    for (let half = 0; half < seconds * 2; half++) {
      isUp = half % 2 === 1;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    const { flaps, heldUntilMs } = checker.state('web/b1')!;
    console.log(
      `1 Hz for ${seconds} s: ${path().length} changes, ${flaps} flaps (undamped: ${seconds * 2})`,
    );
    // First up, then falls after holds of 0, 1, 2 and 4 s: at most five of them, and their returns.
    expect(path().length).toBeLessThanOrEqual(12);
    expect(flaps).toBeGreaterThanOrEqual(1);
    isUp = true;
    if (status() === 'down') expect(heldUntilMs).toBeDefined();
    await until(() => status() === 'up');
    await server.close();
  });
});

describe('a thousand targets', () => {
  it('are checked, seen down, and seen up again', { timeout: 120_000 }, async () => {
    let accepted = 0;
    let server = await rawServer((socket) => {
      accepted++;
      socket.resume();
    }, '0.0.0.0');
    const { port } = server;
    const { checker, changes, now } = started();
    const keys = Array.from({ length: 1_000 }, (_, i) => `web/b${i}`);
    const addresses = keys.map((_, i) => `127.1.${i >> 8}.${i & 255}`);
    const everyone = (status: string) => keys.every((key) => checker.state(key)?.status === status);
    globalThis.gc?.();
    const memoryBefore = process.memoryUsage().rss;
    const begin = now();
    const settings = { ...DEFAULT_HEALTH, holdMs: 0, holdMaxMs: 0 };
    checker.setTargets(keys.map((key, i) => ({ key, address: addresses[i], port, settings })));
    await until(() => everyone('up'), 60_000);
    const upMs = now() - begin;
    const cpu = process.cpuUsage();
    const atRest = accepted;
    const restBegin = now();
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const used = process.cpuUsage(cpu);
    const restMs = now() - restBegin;
    const perSecond = ((accepted - atRest) * 1_000) / restMs;
    const cpuPercent = (used.user + used.system) / restMs / 10;
    const memoryMiB = (process.memoryUsage().rss - memoryBefore) / 2 ** 20;
    expect(everyone('up')).toBe(true);
    const dead = now();
    await server.close();
    await until(() => everyone('down'), 60_000);
    const downMs = changes.at(-1)!.atMs - dead;
    console.log(
      `1,000 targets (defaults, TCP; the servers in the same process): all up after ${Math.round(upMs)} ms, ` +
        `${Math.round(perSecond)} checks/s at ${cpuPercent.toFixed(1)} % of a CPU, ` +
        `+${memoryMiB.toFixed(0)} MiB, all down after ${Math.round(downMs)} ms`,
    );
    server = await rawServer((socket) => socket.resume(), '0.0.0.0', port);
    await until(() => everyone('up'), 60_000);
    await checker.stop();
    await server.close();
  });
});
