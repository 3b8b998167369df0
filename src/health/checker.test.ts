// The checker: what is checked when, what targets keep and lose, what is left when it stops.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pid } from 'node:process';
import { afterEach, describe, expect, it } from 'vitest';
import { makeChecker, target, WAS_DOWN, WAS_UP } from './checker.harness.ts';
import type { HealthChecker } from './checker.ts';
import { ProbeSlots } from './probe-slots.ts';
import { closedPort, program, type RawServer, rawServer, until } from './probes/probe.harness.ts';
import { DEFAULT_PASSIVE, NO_ACTIVE_CHECK } from './settings.ts';

const running: HealthChecker[] = [];
const servers: RawServer[] = [];

function started(options: Parameters<typeof makeChecker>[0] = {}) {
  const made = makeChecker(options);
  running.push(made.checker);
  return made;
}

async function server(...parameters: Parameters<typeof rawServer>): Promise<RawServer> {
  const made = await rawServer(...parameters);
  servers.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((checker) => checker.stop()));
  await Promise.all(servers.splice(0).map((each) => each.close()));
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('targets', () => {
  it('begin unchecked, and one success makes them up', async () => {
    const { port } = await server(() => {});
    const { checker, changes, status } = started();
    checker.setTargets([target(port)]);
    expect(checker.state('web/b1')).toMatchObject({ status: 'unchecked', checks: 0, flaps: 0 });
    expect(checker.state('web/other')).toBeUndefined();
    await until(() => status() === 'up');
    expect(changes).toMatchObject([{ from: 'unchecked', to: 'up' }]);
    expect(changes[0].cause).toBe('first check passed: connected');
    expect(checker.state('web/b1')?.last).toMatchObject({ ok: true, detail: 'connected' });
  });

  it('begin where they were before a restart of control', async () => {
    const { checker, status, path } = started();
    checker.setTargets([target(await closedPort(), {}, { previous: WAS_UP })]);
    expect(status()).toBe('up');
    await until(() => status() === 'down');
    expect(path()).toEqual(['down']);
  });

  it('that are the same keep their state, and their checks go on', async () => {
    const { port } = await server(() => {});
    const { checker, status } = started();
    checker.setTargets([target(port)]);
    await until(() => status() === 'up');
    const { checks } = checker.state('web/b1')!;
    // Two hundred times at least within one interval: none of them begins a check.
    for (let i = 0; i < 200; i++) {
      checker.setTargets([target(port, {}, { previous: WAS_DOWN })]);
      if (i % 20 === 0) await pause(5);
    }
    expect(checker.state('web/b1')).toMatchObject({ status: 'up' });
    expect(checker.state('web/b1')!.checks).toBeLessThan(checks + 6);
    await until(() => checker.state('web/b1')!.checks > checks + 3);
  });

  it('that change their settings keep the status, and are checked by the new ones', async () => {
    const { port } = await server((socket) => socket.end('HTTP/1.1 500 Bad\r\n\r\n'));
    const { checker, status, changes } = started();
    checker.setTargets([target(port, { intervalMs: 60_000 })]);
    await until(() => status() === 'up');
    checker.setTargets([target(port, { type: 'http' })]);
    expect(status()).toBe('up');
    await until(() => status() === 'down');
    expect(changes.at(-1)?.cause).toMatch(/^3 checks in a row failed: status 500/);
  });

  it('that get another address begin unchecked', async () => {
    const { port } = await server(() => {});
    const { checker, status, path } = started();
    checker.setTargets([target(port)]);
    await until(() => status() === 'up');
    checker.setTargets([target(await closedPort())]);
    expect(status()).toBe('unchecked');
    await until(() => status() === 'down');
    expect(path()).toEqual(['up', 'unchecked', 'down']);
  });

  it('cannot bear the same key twice', () => {
    const { checker } = started();
    expect(() => checker.setTargets([target(1), target(2)])).toThrow(/two targets with the key/);
  });

  it('that are taken out are not checked any more', async () => {
    let accepted = 0;
    const { port } = await server(() => accepted++);
    const { checker, status } = started();
    checker.setTargets([target(port)]);
    await until(() => status() === 'up');
    checker.setTargets([]);
    expect(status()).toBeUndefined();
    await pause(50);
    const before = accepted;
    await pause(400);
    expect(accepted).toBe(before);
  });

  it('may be set anew by whoever hears of a change', async () => {
    const { port } = await server(() => {});
    const { checker } = started({ onChange: () => checker.setTargets([]) });
    checker.setTargets([target(port), target(port, {}, { key: 'web/b2' })]);
    await until(() => checker.state('web/b1') === undefined);
    await pause(200);
    expect(checker.state('web/b2')).toBeUndefined();
  });

  it('may be set anew from within the setting', async () => {
    let accepted = 0;
    const other = await server(() => accepted++);
    const { port } = await server(() => {});
    const { checker, status } = started({
      onChange: (state) => state.status === 'unchecked' && checker.setTargets([]),
    });
    checker.setTargets([target(port)]);
    await until(() => status() === 'up');
    checker.setTargets([target(other.port)]);
    expect(status()).toBeUndefined();
    await pause(300);
    expect(accepted).toBe(0);
  });
});

describe('checks', () => {
  it('of one target never overlap, however long they take', async () => {
    let most = 0;
    const hung = await server(() => {
      most = Math.max(most, hung.open.size);
    });
    const { checker } = started();
    checker.setTargets([target(hung.port, { type: 'http', timeoutMs: 400 })]);
    await until(() => (checker.state('web/b1')?.checks ?? 0) >= 4);
    // The one before may not be closed yet at the server's end.
    expect(most).toBeLessThanOrEqual(2);
  });

  it('under way at once are bounded, and all targets get their turn', async () => {
    let most = 0;
    const hung = await server(() => {
      most = Math.max(most, hung.open.size);
    });
    const { checker } = started({ maxChecksAtOnce: 8 });
    const keys = Array.from({ length: 80 }, (_, i) => `web/b${i}`);
    const settings = { type: 'http', timeoutMs: 100 } as const;
    checker.setTargets(keys.map((key) => target(hung.port, settings, { key })));
    await until(() => keys.every((key) => (checker.state(key)?.checks ?? 0) >= 1));
    expect(most).toBeGreaterThanOrEqual(8);
    // The server hears of the end of a check later than the checker does.
    expect(most).toBeLessThanOrEqual(40);
  });

  it('say nothing about a server when this machine has no descriptor left', async () => {
    const prlimit = program('prlimit');
    if (prlimit === undefined) return;
    const { port } = await server(() => {});
    const { checker, changes, status } = started();
    checker.setTargets([target(port)]);
    await until(() => status() === 'up');
    const limits = readFileSync('/proc/self/limits', 'latin1');
    const before = /^Max open files +(\d+)/m.exec(limits)![1];
    const set = (limit: number | string) => `prlimit --pid ${pid} --nofile=${limit}:`;
    const lower = `${set(5)}; sleep 1; ${set(before)}`;
    const shell = spawn('/bin/sh', ['-c', lower], { stdio: 'ignore' });
    const isOver = new Promise((resolve) => shell.once('exit', resolve));
    const detail = () => checker.state('web/b1')?.last?.detail;
    await until(() => detail() === 'not checked: no free file descriptor in this process');
    await isOver;
    expect(changes).toHaveLength(1);
    await until(() => detail() === 'connected');
    expect(checker.state('web/b1')?.failures).toBe(0);
  });

  it('that cannot begin fail with the reason', async () => {
    const { checker, status } = started();
    // healthFaults would have found this.
    checker.setTargets([target(1, { type: 'http', path: 'with space' })]);
    await until(() => status() === 'down');
    expect(checker.state('web/b1')?.cause).toMatch(/could not begin: .*unescaped/);
  });
});

it('who is taken away while another takes over its slot is not checked any more', async () => {
  let asked = 0;
  const { port } = await server((socket) => {
    asked++;
    setTimeout(() => socket.end('HTTP/1.1 200 OK\r\n\r\n'), 100);
  });
  const { checker } = started({
    maxChecksAtOnce: 1,
    // The first begins, and the second waits for its slot.
    random: () => 0,
    onChange: ({ key }) => {
      if (key === 'web/b2') checker.setTargets([]);
    },
  });
  // Nobody can be asked for such a path: the check fails when it begins.
  const broken = target(port, { type: 'http', path: '/\u0000', fall: 1 }, { key: 'web/b2' });
  checker.setTargets([target(port, { type: 'http' }), broken]);
  await until(() => checker.state('web/b2') === undefined);
  expect(asked).toBe(1);
  await pause(300);
  expect(asked).toBe(1);
});

describe('passive observation', () => {
  const passive = { ...DEFAULT_PASSIVE, windowMs: 5_000 };

  it('makes the next check happen at once, and counts as a failure', async () => {
    const alive = await server(() => {});
    const { checker, status, changes, advance } = started();
    checker.setTargets([target(alive.port, { intervalMs: 120_000 }, { passive })]);
    await until(() => status() === 'up');
    await alive.close();
    for (const begun of [0, 6, 12]) {
      checker.observe('web/b1', { begun, answered: 0, resets: 0, refused: 0 });
      advance(1_000);
    }
    expect(checker.state('web/b1')?.suspicion).toContain('none answered');
    await until(() => status() === 'down');
    // One failure was the suspicion.
    expect(checker.state('web/b1')).toMatchObject({ failures: 2 });
    expect(changes.at(-1)?.cause).toMatch(/^3 checks in a row failed: connection refused/);
  });

  it('without an active check takes a backend out and puts it on probation', async () => {
    const { checker, status, path, advance } = started();
    const quick = { ...passive, holdMs: 300 };
    const unchecked = { ...target(1), settings: NO_ACTIVE_CHECK, passive: quick };
    checker.setTargets([unchecked]);
    expect(status()).toBe('up');
    for (const begun of [0, 6, 12]) {
      checker.observe('web/b1', { begun, answered: 0, resets: 0, refused: 0 });
      advance(1_000);
    }
    expect(status()).toBe('down');
    advance(-1_000);
    await until(() => status() === 'up');
    expect(checker.state('web/b1')?.onProbation).toBe(true);
    expect(path()).toEqual(['down', 'up']);
    for (const answered of [0, 3]) {
      checker.observe('web/b1', { begun: 20, answered, resets: 0, refused: 0 });
      advance(1_000);
    }
    expect(checker.state('web/b1')?.onProbation).toBeUndefined();
  });

  it('without an active check keeps who was down before control started out to the end of its hold', async () => {
    const { checker, status, path } = started();
    const heldUntilMs = performance.now() + 300;
    const previous = { ...WAS_DOWN, flaps: 2, flapLevel: 2, heldUntilMs };
    checker.setTargets([{ ...target(1), settings: NO_ACTIVE_CHECK, passive, previous }]);
    expect(status()).toBe('down');
    expect(checker.memory('web/b1')).toEqual(previous);
    await until(() => status() === 'up');
    expect(performance.now()).toBeGreaterThanOrEqual(heldUntilMs - 2);
    expect(path()).toEqual(['up']);
    expect(checker.memory('web/b1')).toMatchObject({ onProbation: true, flapLevel: 2 });
  });

  it('is passed over for keys and targets that do not want it', () => {
    const { checker } = started();
    checker.setTargets([{ ...target(1), settings: NO_ACTIVE_CHECK }]);
    checker.observe('web/none', { begun: 1, answered: 0, resets: 0, refused: 0 });
    checker.observe('web/b1', { begun: 1, answered: 0, resets: 0, refused: 0 });
    expect(checker.state('web/b1')?.status).toBe('up');
  });
});

describe('stop', () => {
  it('leaves no socket, no process, no timer, and says nothing more', async () => {
    const kinds = () =>
      process
        .getActiveResourcesInfo()
        .filter((kind) => /TCPSOCKET|UDP|Process|Timeout|Immediate/i.test(kind))
        .sort();
    const hung = await server((socket) => socket.resume());
    const before = kinds();
    const { checker, changes } = makeChecker({ maxChecksAtOnce: 5 });
    const slow = { timeoutMs: 30_000 };
    const script = ['/bin/sh', '-c', 'sleep 1000 & wait'];
    checker.setTargets([
      target(hung.port, { ...slow, type: 'http' }, { key: 'a' }),
      target(hung.port, { ...slow, type: 'https' }, { key: 'b' }),
      target(hung.port, { ...slow, type: 'grpc' }, { key: 'c' }),
      target(hung.port, { ...slow, type: 'script', command: script }, { key: 'd' }),
      ...Array.from({ length: 9 }, (_, i) =>
        target(hung.port, { ...slow, type: 'http' }, { key: `w${i}` }),
      ),
    ]);
    await until(() => hung.open.size >= 5);
    await until(() => kinds().includes('ProcessWrap'));
    expect(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')).not.toBe('');
    await checker.stop();
    // Processes are gone when it says so; handles are closed in the turns after.
    expect(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')).toBe('');
    await until(() => hung.open.size === 0);
    const more = () => kinds().filter((kind) => kind !== 'Timeout');
    await until(() => more().length <= before.filter((kind) => kind !== 'Timeout').length);
    const said = changes.length;
    await pause(200);
    expect(changes).toHaveLength(said);
    expect(checker.state('a')).toBeUndefined();
    checker.setTargets([target(hung.port)]);
    expect(checker.state('web/b1')).toBeUndefined();
  });
});

describe('slots', () => {
  it('serve the longest waiting, let one leave, and do not grow the stack', () => {
    const slots = new ProbeSlots(1);
    const begun: string[] = [];
    slots.ask(() => begun.push('a'));
    const leave = slots.ask(() => begun.push('b'));
    slots.ask(() => begun.push('c'));
    leave();
    slots.release();
    expect(begun).toEqual(['a', 'c']);
    slots.release();
    expect(slots.inUse).toBe(0);
    let ended = 0;
    slots.ask(() => {});
    for (let i = 0; i < 50_000; i++) {
      slots.ask(() => {
        ended++;
        slots.release();
      });
    }
    slots.release();
    expect(ended).toBe(50_000);
    expect(slots.inUse).toBe(0);
  });
});
