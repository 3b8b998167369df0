// The control processor with its closed loop, on main memory in a plain buffer: what operators change and what
// agents report comes into force, stays in force over reloads and over the death of control, and what a new
// configuration cannot have changes nothing.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signReport } from '../load/signed-report.ts';
import { configurationBuffer } from '../memory/double-buffer.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import {
  BACKEND_CONNECTIONS,
  backendCounters,
  backendCountersBase,
} from '../tables/connection-backends.ts';
import { fileText, runningMemory, serviceText, takeOver } from './control.harness.ts';
import { ControlProcessor } from './control-processor.ts';

const KEY = Buffer.alloc(32, 7);
const WAIT = { timeout: 20_000, interval: 50 };

let folder: string;
let file: string;
let memory: MainMemory;
let logged: string[];
let running: ControlProcessor[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-feedback-'));
  file = join(folder, 'weir.yaml');
  memory = runningMemory();
  logged = [];
  running = [];
});
afterEach(async () => {
  for (const control of running) await control.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<ControlProcessor> {
  const note = (message: string): void => {
    logged.push(message);
  };
  const control = new ControlProcessor({
    memory,
    plan: { configurationFile: file, interfaceNames: ['ext0', 'int0'] },
    version: '1.2.3',
    log: { info: note, warning: note, error: note },
    wake: () => takeOver(memory),
  });
  running.push(control);
  await control.start();
  return control;
}

/** The weights in the active configuration table, in the order of the configuration. */
function weights(): number[] {
  const buffer = configurationBuffer(memory);
  const base = buffer.activeOffset(buffer.generation()) >> 2;
  const { words } = memory;
  return Array.from({ length: table.serviceBackendCount(words, base, 0) }, (_, n) =>
    table.backendWeight(words, base, table.serviceBackend(words, base, 0, n)),
  );
}

const ANN = { by: 'ann', atMs: 1_700_000_000_000 };

describe('operators’ changes', () => {
  it('are in force when they are answered, and outlast a reload and the death of control', async () => {
    const soon = 'distribution: { slow-start: 0 },';
    writeFileSync(file, fileText([serviceText('web', 80, [11, 12, 13], soon)]));
    const first = await start();
    const actions = first.backendActions();
    await actions.drain('web/b12', { deadlineMs: null, atDeadline: 'keep' }, ANN);
    expect(weights()[1]).toBe(0);
    expect(actions.backend('web', 'b12')).toMatchObject({ state: 'draining' });
    await actions.setWeight('web/b11', 0, ANN);
    expect(weights().slice(0, 2)).toEqual([0, 0]);
    expect(weights()[2]).toBeGreaterThan(0);

    writeFileSync(file, fileText([serviceText('web', 80, [11, 12], soon)]));
    expect((await first.reload()).applied).toBe(true);
    expect(weights()).toEqual([0, 0]);
    expect(logged.join('\n')).toContain('changed at run time by ann, remains');
    await first.stop();

    const second = await start();
    expect(weights()).toEqual([0, 0]);
    const changes = second.backendActions().changes();
    expect(changes.map(({ backend, kind, by }) => [backend, kind, by])).toEqual([
      ['b11', 'weight', 'ann'],
      ['b12', 'drain', 'ann'],
    ]);
    await second.backendActions().setWeight('web/b11', null, ANN);
    await second.backendActions().undrain('web/b12', ANN);
    await expect.poll(() => weights().every((weight) => weight > 0), WAIT).toBe(true);
  });

  it('leave somebody, or it is known that they do not', async () => {
    writeFileSync(file, fileText([serviceText('web', 80, [11, 12, 13])]));
    const actions = (await start()).backendActions();
    const others = () => [11, 12, 13].map((host) => actions.hasOther('web', `b${host}`));
    expect(others()).toEqual([true, true, true]);
    await Promise.all([
      actions.drain('web/b12', { deadlineMs: null, atDeadline: 'keep' }, ANN),
      actions.setWeight('web/b13', 0, ANN),
    ]);
    expect(others()).toEqual([false, true, true]);
    expect(actions.keys()).toEqual(['web/b11', 'web/b12', 'web/b13']);
    expect(actions.backends('dns')).toEqual([]);
  });

  it('a drain is over when nothing is open any more', async () => {
    writeFileSync(file, fileText([serviceText('web', 80, [11, 12])]));
    const actions = (await start()).backendActions();
    await actions.drain('web/b12', { deadlineMs: null, atDeadline: 'keep' }, ANN);
    await expect.poll(() => actions.backend('web', 'b12')?.state, WAIT).toBe('drained');
  });
});

describe('health checks', () => {
  it('take a dead server out and back in', async () => {
    // A file that is there stands for a server that lives: real networks are in test/scenario/health.
    const alive = join(folder, 'alive');
    const health =
      `health: { type: script, command: [${join(folder, 'check')}], ` +
      'interval: 100ms, fast-interval: 50ms, timeout: 5s, rise: 1, fall: 2, hold: 100ms }, ' +
      'panic-threshold: 0, distribution: { slow-start: 0 },';
    const script = join(folder, 'check');
    writeFileSync(script, `#!/bin/sh\n[ "$WEIR_ADDRESS" = 10.2.0.12 ] || test -e ${alive}\n`, {
      mode: 0o755,
    });
    writeFileSync(alive, '');
    const text = fileText([serviceText('web', 80, [11, 12], health)]);
    writeFileSync(file, text);
    const control = await start();
    const actions = control.backendActions();
    const states = () => actions.backends().map(({ state }) => state);
    await expect.poll(states, WAIT).toEqual(['up', 'up']);
    await expect.poll(() => weights().every((weight) => weight > 0), WAIT).toBe(true);
    rmSync(alive);
    await expect.poll(() => weights()[0], WAIT).toBe(0);
    expect(weights()[1]).toBeGreaterThan(0);
    expect(actions.backend('web', 'b11')).toMatchObject({ state: 'down' });
    writeFileSync(alive, '');
    await expect.poll(() => weights()[0] > 0, WAIT).toBe(true);
    expect(logged.filter((line) => line.startsWith('web/b11 is down'))).toHaveLength(1);
  });

  it('who was seen to be dead is held when control begins again, by observation alone too', async () => {
    const rest = 'passive-health: { unanswered: 3, window: 5s, hold: 60s }, panic-threshold: 0,';
    writeFileSync(file, fileText([serviceText('web', 80, [11, 12], rest)]));
    const first = await start();
    const begun = backendCounters(backendCountersBase(memory, 0), 0) + BACKEND_CONNECTIONS;
    const flood = setInterval(() => {
      memory.doubles[begun] += 5;
    }, 100);
    await expect.poll(() => weights()[0], WAIT).toBe(0);
    clearInterval(flood);
    await first.stop();
    const second = await start();
    expect(weights()[0]).toBe(0);
    const { health } = second.backendActions().backend('web', 'b11') ?? {};
    expect(health).toMatchObject({ status: 'down' });
    expect(health?.heldForMs).toBeGreaterThan(10_000);
  });

  it('a dead server takes nothing when control begins again, nor when a reload brings it', async () => {
    const script = join(folder, 'check');
    writeFileSync(script, '#!/bin/sh\n[ "$WEIR_ADDRESS" = 10.2.0.12 ]\n', { mode: 0o755 });
    const health =
      `health: { type: script, command: [${script}], interval: 100ms, fast-interval: 50ms, ` +
      'timeout: 5s, fall: 2 }, panic-threshold: 0, distribution: { slow-start: 0 },';
    writeFileSync(file, fileText([serviceText('web', 80, [11, 12], health)]));
    const first = await start();
    await expect.poll(weights, WAIT).toEqual([0, 1]);
    await first.stop();

    const second = await start();
    expect(weights()).toEqual([0, 1]);
    expect(second.backendActions().backend('web', 'b11')?.state).toBe('down');
    writeFileSync(file, fileText([serviceText('web', 80, [11, 12, 13], health)]));
    expect((await second.reload()).applied).toBe(true);
    expect(weights()).toEqual([0, 1, 0]);
    await expect
      .poll(() => second.backendActions().backend('web', 'b13')?.state, WAIT)
      .toBe('down');
    expect(weights()).toEqual([0, 1, 0]);
  });
});

describe('agents', () => {
  function reported(keyFile: string, port: number): string {
    const load =
      'load: { source: agent }, distribution: { algorithm: even-load, blackout: 0, slow-start: 0, smoothing: 1 },';
    return `${fileText([serviceText('web', 80, [11, 12], load)])}
resource-manager:
  listen: { address: 127.0.0.1, port: ${port} }
  agents:
    - { name: a, key-file: ${keyFile}, backends: [web/b11, web/b12] }
`;
  }

  async function freePort(): Promise<number> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    return port;
  }

  it('a key that cannot be read refuses a reload, and starts nothing', async () => {
    const port = await freePort();
    writeFileSync(file, reported('missing.key', port));
    await expect(start()).rejects.toThrow(/missing\.key/);
    writeFileSync(file, fileText([serviceText('web', 80, [11, 12])]));
    const control = await start();
    writeFileSync(file, reported('missing.key', port));
    const result = await control.reload();
    expect(result.applied).toBe(false);
    expect(result.refused).toContain('missing.key');
    expect(weights()).toEqual([1, 1]);
  });

  it('their reports become weights, and a killed control comes back with them', async () => {
    const port = await freePort();
    writeFileSync(join(folder, 'a.key'), `${KEY.toString('hex')}\n`, { mode: 0o600 });
    writeFileSync(file, reported('a.key', port));
    const control = await start();
    const socket = createSocket('udp4');
    let sequence = 0;
    const send = (): void => {
      sequence += 1;
      const report = (backend: string, cpuUtilization: number) => ({
        backend,
        figures: { cpuUtilization },
      });
      const content = {
        agent: 'a',
        bootId: '0011223344556677',
        sequence,
        wallClockMs: Date.now(),
        backends: [report('web/b11', 0.9), report('web/b12', 0.2)],
      };
      socket.send(signReport(content, KEY), port, '127.0.0.1');
    };
    const timer = setInterval(send, 200);
    try {
      await expect.poll(() => weights()[0] < weights()[1] * 0.7, WAIT).toBe(true);
      const view = control.backendActions().backend('web', 'b11');
      expect(view?.report).toMatchObject({ source: 'agent', identity: 'a' });
      expect(view?.why).toBeTruthy();
      expect(control.loadStatistics().manager.accepted).toBeGreaterThan(0);
    } finally {
      clearInterval(timer);
      socket.close();
    }
    await control.stop();
    await start();
    // Back at once with what it knew: what follows is one more step, not the configured weights.
    expect(weights()[0]).toBeLessThan(weights()[1] * 0.7);
  });
});
