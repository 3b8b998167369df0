// The commands for backends as an operator runs them: the built program against a real unix socket, behind
// which stand literal backends. What they print, how they end, and that waiting for a drain can be broken
// off, by Ctrl-C and by a control processor that is away for a while.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { builtModule } from '../../test/support/built-module.ts';
import { serveAdmin } from '../control/admin.ts';
import { backendView, LiteralBackends } from '../control/backend-actions.harness.ts';
import { remainingChanges } from '../control/operator-changes.ts';
import type { ReloadResult } from '../control/reload.ts';
import type { Status } from '../control/status.ts';

let folder: string;
let socketPath: string;
let server: Server | undefined;
let backends: LiteralBackends;
let children: ChildProcess[];

async function serve(): Promise<void> {
  server = await serveAdmin(socketPath, {
    status: () => ({}) as Status,
    reload: async () => ({ ...RELOADED, remaining: remainingChanges(backends.changes()) }),
    backends,
  });
}

async function stopServing(): Promise<void> {
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-backend-commands-'));
  socketPath = join(folder, 'weir.sock');
  children = [];
  backends = new LiteralBackends([
    backendView(),
    backendView({ name: 'b2' }),
    backendView({ service: 'dns', name: 'b1', protocol: 'udp' }),
  ]);
  await serve();
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await stopServing();
  rmSync(folder, { recursive: true, force: true });
});

const RELOADED: ReloadResult = {
  applied: true,
  generation: 2,
  faults: [],
  warnings: [],
  changes: [],
};

interface Command {
  readonly child: ChildProcess;
  readonly shown: { out: string; err: string };
  readonly ended: Promise<number | null>;
}

function start(...words: string[]): Command {
  const main = fileURLToPath(builtModule('src/cli/main.ts'));
  const environment = { ...process.env, SUDO_USER: 'anna', NO_COLOR: '1' };
  const child = spawn(execPath, [main, ...words, '--socket', socketPath], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment,
  });
  children.push(child);
  const shown = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (shown.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (shown.err += chunk.toString()));
  return { child, shown, ended: once(child, 'close').then(([code]) => code as number | null) };
}

async function run(...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const { shown, ended } = start(...words);
  return { code: await ended, ...shown };
}

async function until(condition: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(condition()).toBe(true), { timeout: 30_000, interval: 50 });
}

describe('a backend', () => {
  it('is named by its name alone where only one service has it', async () => {
    expect(await run('drain', 'b2')).toMatchObject({
      code: 0,
      out: 'web/b2: drained, 0 have ended\n',
    });
    expect(backends.asked).toEqual([expect.stringMatching(/^drain web\/b2 null keep by anna/)]);
  });

  it.each([
    [['drain', 'b1'], /2 services have a backend b1\n {2}→ write web\/b1 or dns\/b1/],
    [['undrain', 'b3'], /there is no backend b3\n {2}→ did you mean b1\?/],
    [['weight', 'wen/b2', '3'], /there is no backend wen\/b2\n {2}→ did you mean web\/b2\?/],
    [['why', 'elephant'], /→ there are web\/b1, web\/b2 and dns\/b1/],
    [['backends', '--service', 'wab'], /there is no service wab\n {2}→ did you mean web\?/],
    [['weight', 'b2', '1.5'], /1\.5 is not a weight\n {2}→ write 0 to 65535, or default/],
    [['weight', 'b2', '65536'], /65536 is not a weight/],
    [['drain', 'b2', '--then', 'reset'], /there is none\n {2}→ add --deadline/],
    [['drain', 'b2', '--deadline', '5m', '--then', 'burn'], /--then burn is not known/],
    [['drain', 'b2', '--deadline', '5 minutes'], /--deadline: 5 minutes is not a duration/],
    [['drain', 'b2', '--deadline', '1000h'], /--deadline: 1000h is not between/],
    [['drain'], /missing required argument 'backend'/],
  ])('%j is refused with 2, and says what to write', async (words, message) => {
    const { code, out, err } = await run(...words);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(message);
    expect(backends.asked).toEqual([]);
  });
});

describe('what cannot be done', () => {
  it('ends with 1', async () => {
    const { code, err } = await run('undrain', 'web/b1');
    expect(code).toBe(1);
    expect(err).toMatch(/weir: web\/b1 is not drained by an operator\n {2}→ there is nothing/);
  });

  it('ends with 1 when nobody answers', async () => {
    await stopServing();
    const { code, err } = await run('backends');
    expect(code).toBe(1);
    expect(err).toContain('is weir running?');
  });
});

describe('what is shown', () => {
  it('weir backends, weir weight and weir why belong together', async () => {
    expect(await run('weight', 'b2', '3')).toMatchObject({
      code: 0,
      out: 'web/b2: up, weight 1 → 3*, 50.0 % of the new connections of web: the configured weight\n',
    });
    const listed = await run('backends', '--service', 'web');
    expect(listed.code).toBe(0);
    expect(listed.out).toMatch(/web\/b2 {2}weight 3, the file says 1, by anna/);
    expect((await run('why', 'b2')).out).toMatch(/operator +weight 3, the file says 1, by anna/);
    expect((await run('weight', 'b2', 'default')).out).toContain('web/b2: up, weight 1, 50.0 %');
    expect((await run('weight', 'b2', 'default')).err).toBe(
      'warning: it had no weight of an operator\n',
    );
  });

  it('a reload tells what remains', async () => {
    await run('weight', 'b2', '3');
    const { out } = await run('reload');
    expect(out).toMatch(
      / {2}web\/b2: weight 3, the file says 1: changed at run time by anna.*, remains\n/,
    );
  });

  it('is JSON when asked for it', async () => {
    await run('drain', 'web/b1', '--json', '--deadline', '5m', '--then', 'reset');
    const all = JSON.parse((await run('backends', '--json')).out);
    expect(all).toMatchObject({ backends: [{ name: 'b1' }, {}, {}], changes: [{ kind: 'drain' }] });
    const one = JSON.parse((await run('why', 'web/b1', '--json')).out);
    expect(one).toMatchObject({ drain: { atDeadline: 'reset', deadlineInMs: 300_000 } });
    const { code, out } = await run('undrain', 'web/b1', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ backend: { drain: null }, warnings: [] });
  });

  it('has a help for each', async () => {
    for (const name of ['backends', 'why', 'drain', 'undrain', 'weight']) {
      const { code, out } = await run(name, '--help');
      expect([code, out]).toEqual([0, expect.stringContaining(`Usage: weir ${name}`)]);
      for (const option of ['--json', '--socket']) expect(out).toContain(option);
    }
  });
});

describe('weir drain --wait', () => {
  it('shows how it gets on and ends when it is drained', async () => {
    backends.open.set('web/b1', 4);
    const { shown, ended } = start('drain', 'web/b1', '--wait');
    await until(() => shown.out.includes('0.0 % done: 4 TCP connections left'));
    backends.open.set('web/b1', 0);
    backends.passSeconds(1);
    expect(await ended).toBe(0);
    expect(shown.out.match(/web\/b1 █{20} 1 s: drained, 4 have ended\n/g)).toHaveLength(1);
  });

  it('has one document of JSON at the end', async () => {
    backends.open.set('web/b1', 4);
    const { shown, ended } = start('drain', 'web/b1', '--wait', '--json');
    await until(() => backends.asked.length === 1);
    backends.open.set('web/b1', 0);
    backends.passSeconds(1);
    expect(await ended).toBe(0);
    expect(JSON.parse(shown.out)).toMatchObject({ state: 'drained', drain: { gone: 4 } });
  });

  it('on Ctrl-C leaves the drain going, and says so', async () => {
    backends.open.set('web/b1', 4);
    const { child, shown, ended } = start('drain', 'web/b1', '--wait');
    await until(() => shown.out.includes('░'));
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(shown.err).toContain('web/b1 goes on being drained');
    expect(shown.err).toContain('`weir undrain web/b1` takes it back');
    expect(backends.backend('web', 'b1')?.state).toBe('draining');
  });

  it('ends with 1 when somebody takes the drain back', async () => {
    backends.open.set('web/b1', 4);
    const { shown, ended } = start('drain', 'web/b1', '--wait');
    await until(() => shown.out.includes('░'));
    await backends.undrain('web/b1', { by: 'ben', atMs: 0 });
    expect(await ended).toBe(1);
    expect(shown.err).toContain('the drain of web/b1 was taken back');
  });

  it('waits for a control processor that is started again', async () => {
    backends.open.set('web/b1', 4);
    const { child, shown, ended } = start('drain', 'web/b1', '--wait');
    await until(() => shown.out.includes('░'));
    await stopServing();
    // Longer than it takes to look again.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(child.exitCode).toBeNull();
    backends.open.set('web/b1', 0);
    backends.passSeconds(3);
    await serve();
    expect(await ended).toBe(0);
  });
});
