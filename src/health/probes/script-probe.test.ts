// Scripts: real programs, and what they inherit.

import { chmodSync, closeSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setInheritable } from '../../sys/libc.ts';
import { createMemoryFile } from '../../sys/main-memory.ts';
import { inheritedDescriptors } from './descriptors.ts';
import { ask, temporaryFolder, until } from './probe.harness.ts';

const FOLDER = temporaryFolder();
let scripts = 0;

/** Runs lines of /bin/sh as a check of a script. */
function run(lines: string, timeoutMs = 10_000, parameters: readonly string[] = []) {
  const path = join(FOLDER, `check-${++scripts}`);
  writeFileSync(path, `#!/bin/sh\n${lines}\n`);
  chmodSync(path, 0o755);
  return ask({ type: 'script', command: [path, ...parameters], timeoutMs }, 8080, '10.2.0.11');
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('the script probe', () => {
  it('passes by exit code 0, and shows the first line', async () => {
    expect(await run('exit 0')).toMatchObject({ ok: true, detail: 'exit code 0' });
    const result = await run('echo 12 in queue; echo more');
    expect(result).toMatchObject({ ok: true, detail: 'exit code 0: 12 in queue' });
  });

  it('fails by any other, and by a signal', async () => {
    const result = await run('echo "replica is behind" >&2; exit 3');
    expect(result).toMatchObject({ ok: false, detail: 'exit code 3: replica is behind' });
    expect((await run('kill -SEGV $$')).detail).toBe('the script was ended by SIGSEGV');
  });

  it('says what to check, by the environment and the arguments, and nothing else', async () => {
    process.env.WEIR_PLAN = 'secret';
    const out = join(FOLDER, 'environment');
    await run(`env > ${out}; echo "$1|$PWD" >> ${out}`, 10_000, ['a b']);
    delete process.env.WEIR_PLAN;
    const lines = readFileSync(out, 'utf8').split('\n');
    expect(lines).toContain('WEIR_BACKEND=web/b1');
    expect(lines).toContain('WEIR_ADDRESS=10.2.0.11');
    expect(lines).toContain('WEIR_PORT=8080');
    expect(lines).toContain('a b|/');
    const names = lines.filter((line) => line.includes('=')).map((line) => line.split('=')[0]);
    const expected = ['LANG', 'PATH', 'PWD', 'TZ', 'WEIR_ADDRESS', 'WEIR_BACKEND', 'WEIR_PORT'];
    expect(names.filter((name) => !expected.includes(name) && name !== '_')).toEqual([]);
  });

  it('kills a script and its children at the timeout', async () => {
    const out = join(FOLDER, 'pids');
    const lines = `sleep 1000 & echo $! $$ > ${out}.part; mv ${out}.part ${out}; echo waiting; wait`;
    const result = await run(lines, 1_000);
    expect(result.ok).toBe(false);
    expect(result.detail).toBe('the script did not end within 1 s: waiting');
    const pids = readFileSync(out, 'utf8').trim().split(' ').map(Number);
    expect(pids).toHaveLength(2);
    await until(() => !pids.some(isAlive));
  });

  it('does not wait for a child that holds the output open', async () => {
    const out = join(FOLDER, 'orphan');
    const result = await run(`sleep 1000 & echo $! > ${out}; echo started; exit 0`);
    expect(result).toMatchObject({ ok: true, detail: 'exit code 0: started' });
    expect(result.durationMs).toBeLessThan(8_000);
    process.kill(Number(readFileSync(out, 'utf8')), 'SIGKILL');
  });

  it('ends one that writes without end, and keeps little of a long line', async () => {
    const endless = await run('yes no');
    expect(endless).toMatchObject({ ok: false, detail: 'the script wrote more than 64 KiB' });
    const long = await run('head -c 30000 /dev/zero | tr "\\0" x');
    expect(long.ok).toBe(true);
    expect(long.detail.length).toBeLessThan(250);
  });

  it('says that it cannot be started', async () => {
    const start = async (path: string) =>
      (await ask({ type: 'script', command: [path] }, 1)).detail;
    const missing = join(FOLDER, 'missing');
    expect(await start(missing)).toBe(`cannot start ${missing}: no such file`);
    const folder = join(FOLDER, 'folder');
    mkdirSync(folder);
    expect(await start(folder)).toBe(`cannot start ${folder}: not permitted by this machine`);
  });
});

describe('descriptors', () => {
  // What no process of weir has any more, and a program that starts weir may: one that is inherited.
  let memory = -1;
  beforeAll(() => {
    memory = createMemoryFile('weir-health-test', 2 << 20, false).fd;
    setInheritable(memory);
  });
  afterAll(() => closeSync(memory));

  it('of this process that would be inherited are found', () => {
    expect(inheritedDescriptors()).toContain(memory);
  });

  it('do not reach a script: beyond stdio there is /dev/null at most', async () => {
    const out = join(FOLDER, 'descriptors');
    // What ls was given by the shell, and so what the shell was given: its own close on exec.
    await run(`ls -l /proc/self/fd > ${out}`);
    expect(existsSync(out)).toBe(true);
    const open = [...readFileSync(out, 'utf8').matchAll(/ (\d+) -> (.*)$/gm)]
      .map(([, number, path]) => ({ number: Number(number), path }))
      .filter(({ number }) => number > 2);
    expect(open.map(({ number }) => number)).toContain(memory);
    // The folder that ls reads is its own.
    const others = open.filter(
      ({ path }) => path !== '/dev/null' && !/^\/proc\/\d+\/fd$/.test(path),
    );
    expect(others).toEqual([]);
  });
});
