// The agent as operators install it: one file in an empty folder, run by a user without any right,
// with real load, real connections and a real resource manager's socket.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath, getuid } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TOP } from '../../test/support/source-text.ts';
import { isRejection } from '../load/rejections.ts';
import { type AgentReport, openReport } from '../load/signed-report.ts';
import { parseProcessorTime, utilizationBetween } from './processor-time.ts';

const NOBODY = 65_534;
const folder = mkdtempSync(join(tmpdir(), 'weir-agent-'));
const program = join(folder, 'weir-agent.js');
const key = randomBytes(32);
const cleanUps: (() => unknown)[] = [];

beforeAll(async () => {
  const bundles = mkdtempSync(join(tmpdir(), 'weir-bundle-'));
  const { bundleAgent } = await import(pathToFileURL(join(TOP, 'tools', 'build.mjs')).href);
  await bundleAgent(bundles);
  // This one file and nothing else.
  copyFileSync(join(bundles, 'weir-agent.js'), program);
  copyFileSync(join(bundles, 'weir-agent-library.js'), join(folder, 'library.mjs'));
  rmSync(bundles, { recursive: true });
  chmodSync(folder, 0o755);
  const keyFile = join(folder, 'b1.key');
  writeFileSync(keyFile, key.toString('hex'), { mode: 0o400 });
  if (getuid?.() === 0) chownSync(keyFile, NOBODY, NOBODY);
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A configuration file with this text behind the name and the key. */
function configuration(text: string): string {
  const path = join(folder, `${randomBytes(4).toString('hex')}.yaml`);
  writeFileSync(path, `name: b1\nkey-file: b1.key\n${text}`);
  return path;
}

/** How to run the agent as nobody, in an empty environment; as ourselves where we are not root. */
function asNobody(args: readonly string[]): [string, string[]] {
  if (getuid?.() !== 0) return [execPath, [program, ...args]];
  const drop = ['--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs'];
  return ['setpriv', [...drop, '--bounding-set=-all', '--', execPath, program, ...args]];
}

function run(...args: string[]) {
  const [command, all] = asNobody(args);
  const { status, stdout, stderr } = spawnSync(command, all, {
    env: {},
    cwd: '/',
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

function start(...args: string[]): ChildProcess & { log: string } {
  const [command, all] = asNobody(args);
  const child = spawn(command, all, { env: {}, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
  const started = Object.assign(child, { log: '' });
  child.stderr.on('data', (part) => (started.log += part));
  cleanUps.push(() => child.kill('SIGKILL'));
  return started;
}

/** @param keys of agents that report beside b1 */
async function manager(
  keys: Record<string, Buffer> = {},
): Promise<{ socket: UdpSocket; port: number; reports: AgentReport[] }> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const reports: AgentReport[] = [];
  socket.on('message', (bytes) => {
    const known: Record<string, Buffer> = { b1: key, ...keys };
    const report = openReport(bytes, (agent) => (known[agent] ? [known[agent]] : undefined));
    if (isRejection(report)) throw new Error(report.detail);
    reports.push(report);
  });
  cleanUps.push(() => socket.close());
  return { socket, port: socket.address().port, reports };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What a port says to whoever connects. */
async function answerOf(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  for await (const part of socket) text += part;
  return text;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 40_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not come');
    await sleep(20);
  }
}

describe('the agent alone', () => {
  it('says what it can do, and makes keys', () => {
    const help = run('--help');
    expect(help).toMatchObject({ status: 0, stderr: '' });
    for (const word of ['--config', '--once', '--json', 'key', 'Exit codes']) {
      expect(help.stdout).toContain(word);
    }
    expect(run('key')).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^[0-9a-f]{64}\n$/),
    });
  });

  it('ends with 2 when it was called or configured wrongly', () => {
    expect(run()).toMatchObject({ status: 2, stderr: expect.stringContaining('--config') });
    expect(run('--nonsense').status).toBe(2);
    expect(run('key', '--nonsense').status).toBe(2);
    const none = run('--config', join(folder, 'none.yaml'));
    expect(none).toMatchObject({ status: 2, stderr: expect.stringContaining('ENOENT') });
    const faulty = run('--config', configuration('services: []\nspeed: 5\n'));
    expect(faulty.status).toBe(2);
    expect(faulty.stderr).toMatch(
      /:3:11: error: services: .*[\s\S]*:4:1: error: speed: unknown key/,
    );
  });

  it('ends with 1 when a port is taken, and leaves none open', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    cleanUps.push(() => other.close());
    const { port } = other.address() as AddressInfo;
    const service = `services: [{ backend: a/b, orca: { address: 127.0.0.1, port: ${port} } }]\n`;
    const child = start('--config', configuration(`${service}application: { enabled: false }\n`));
    expect(await once(child, 'exit')).toEqual([1, null]);
    expect(child.log).toContain(`listen failed with EADDRINUSE on 127.0.0.1:${port}`);
  });

  it('prints one report and ends', () => {
    const text = 'interval: 300ms\nservices: [{ backend: web/b1, port: 1 }]\n';
    const { status, stdout } = run('--config', configuration(text), '--once', '--json');
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ agent: 'b1', backends: [{ backend: 'web/b1' }] });
    const { figures } = report.backends[0];
    for (const figure of ['cpuUtilization', 'memoryUtilization', 'clients']) {
      expect(figures[figure], figure).toBeGreaterThanOrEqual(0);
    }
    const shown = run('--config', configuration(text), '--once');
    expect(shown.stdout).toMatch(/^web\/b1\n {2}cpuUtilization +[0-9.]+\n/);
  });
});

describe('the agent at work', () => {
  /** Begins as many endless loops as there are CPUs. */
  function busyLoops(): () => void {
    const loops = Array.from({ length: availableParallelism() }, () =>
      spawn(execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
    );
    const end = () => {
      for (const loop of loops) loop.kill('SIGKILL');
    };
    cleanUps.push(end);
    return end;
  }

  it('reports real load without any right, once per interval, until it is told to end', async () => {
    const { port, reports } = await manager();
    const text = `report-to: [127.0.0.1:${port}]
interval: 200ms
services: [{ backend: web/b1 }]
application: { enabled: false }
`;
    const child = start('--config', configuration(text));
    await until(() => reports.length > 3);
    const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
    if (getuid?.() === 0) {
      expect(status).toMatch(/^Uid:\s+65534\s/m);
      expect(status).toMatch(/^CapEff:\s+0+$/m);
    }
    const cpu = () => reports.at(-1)?.backends[0].figures.cpuUtilization ?? 0;
    const time = () => parseProcessorTime(readFileSync('/proc/stat', 'latin1'))!;
    const end = busyLoops();
    await until(() => cpu() > 0.9);
    end();
    // Other work on this machine is seen as well: compared is what this test itself measures.
    let before = time();
    const deadline = performance.now() + 10_000;
    let [lowest, lowestHere] = [1, 1];
    while (performance.now() < deadline && lowest > 0.6) {
      await sleep(500);
      const after = time();
      lowestHere = Math.min(lowestHere, utilizationBetween(before, after) ?? 1);
      lowest = Math.min(lowest, cpu());
      before = after;
    }
    expect(lowest).toBeLessThan(lowestHere + 0.3);
    const numbers = reports.map(({ sequence }) => sequence);
    expect(numbers).toEqual(numbers.map((_, i) => numbers[0] + i));
    expect(new Set(reports.map(({ bootId }) => bootId)).size).toBe(1);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(child.log).toBe('');
  });

  it('takes over another configuration and key at SIGHUP, whole or not at all', async () => {
    const other = randomBytes(32);
    writeFileSync(join(folder, 'b2.key'), other.toString('hex'), { mode: 0o400 });
    if (getuid?.() === 0) chownSync(join(folder, 'b2.key'), NOBODY, NOBODY);
    const { port, reports } = await manager({ b2: other });
    const [first, second] = await Promise.all([freePort(), freePort()]);
    const text = (name: string, checked: number): string => `name: ${name}
key-file: ${name}.key
report-to: [127.0.0.1:${port}]
interval: 100ms
services: [{ backend: web/${name}, agent-check: { address: 127.0.0.1, port: ${checked} } }]
application: { enabled: false }
`;
    const path = configuration('');
    writeFileSync(path, text('b1', first));
    const child = start('--config', path);
    const last = () => reports.at(-1);
    await until(() => last()?.agent === 'b1');
    expect(await answerOf(first)).toMatch(/%/);
    let reloads = 0;
    const reload = async (to: string, says: RegExp) => {
      writeFileSync(path, to);
      child.kill('SIGHUP');
      const lines = () => child.log.split('\n').filter((line) => / in force/.test(line));
      reloads++;
      await until(() => lines().length === reloads);
      expect(lines().at(-1)).toMatch(says);
    };
    await reload('name: [', /stays in force/);
    await reload(text('b3', first), /stays in force: .*b3\.key: ENOENT/);
    await reload(text('b2', second), /agent.*yaml is in force/);
    await until(() => last()?.agent === 'b2');
    expect(await answerOf(second)).toMatch(/%/);
    await expect(answerOf(first)).rejects.toThrow('ECONNREFUSED');
    const server = createServer().listen(0, '127.0.0.1');
    cleanUps.push(() => server.close());
    await once(server, 'listening');
    await reload(
      text('b1', (server.address() as AddressInfo).port),
      /stays in force: .*EADDRINUSE/,
    );
    expect(await answerOf(second)).toMatch(/%/);
    const count = reports.length;
    await until(() => reports.length > count + 2);
    expect(last()?.agent).toBe('b2');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('counts the clients of the port', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanUps.push(() => server.close());
    const served = (server.address() as AddressInfo).port;
    const { port, reports } = await manager();
    const text = `report-to: [127.0.0.1:${port}]
interval: 200ms
services: [{ backend: web/b1, port: ${served} }, { backend: dns/b1 }]
application: { enabled: false }
`;
    start('--config', configuration(text));
    const clients = Array.from({ length: 12 }, () => connect(served, '127.0.0.1'));
    cleanUps.push(() => clients.map((client) => client.destroy()));
    const figures = () => reports.at(-1)?.backends[0].figures;
    await until(() => figures()?.clients === 12);
    expect(figures()?.connectionsPerSecond).toBeGreaterThanOrEqual(0);
    expect(reports.at(-1)?.backends[1].figures).not.toHaveProperty('clients');
    for (const client of clients.slice(5)) client.destroy();
    await until(() => figures()?.clients === 5);
  });

  it('tells what the application told it by the library, which also stands alone', async () => {
    const { port, reports } = await manager();
    const local = 40_000 + (process.pid % 20_000);
    const text = `report-to: [127.0.0.1:${port}]
interval: 200ms
services: [{ backend: web/b1 }]
application: { port: ${local}, expiry: 1s }
`;
    const child = start('--config', configuration(text));
    await until(() => reports.length > 0);
    // The whole application: it reports by hand, and ends by itself because nothing keeps it running.
    const code = `import { loadReporter } from '${pathToFileURL(join(folder, 'library.mjs')).href}';
      const url = 'http://127.0.0.1:${local}';
      const reporter = loadReporter({ url, intervalMs: 100, utilization: 'none' });
      reporter.report({ executionTimeMs: 4.5 });
      reporter.wish({ administrative: 'drain' });
      setTimeout(() => {}, 2000);`;
    const application = spawn(execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
    await until(() => reports.at(-1)?.backends[0].wish?.administrative === 'drain');
    expect(reports.at(-1)?.backends[0].figures.executionTimeMs).toBe(4.5);
    expect(await once(application, 'exit')).toEqual([0, null]);
    await until(() => reports.at(-1)?.backends[0].figures.executionTimeMs === undefined);
    await until(() => child.log.includes('does not report any more'));
    // It fell silent because it was about to go.
    expect(reports.at(-1)?.backends[0].wish).toEqual({ administrative: 'drain' });
    expect(child.log).toContain('the application of web/b1 reports');
    expect(child.log.trim().split('\n').length).toBe(3);
  });
});
