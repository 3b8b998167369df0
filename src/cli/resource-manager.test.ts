// `weir resource-manager` as users run it: a process of its own, with a file and keys, an agent that sends
// to it and a master that is fed by it; killed, started again, reloaded, ended.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { builtModule } from '../../test/support/built-module.ts';
import type { LoadReport } from '../load/load-report.ts';
import { signReport } from '../load/signed-report.ts';
import { FeedClient } from '../resource-manager/feed-client.ts';
import { parseProgramFile } from './resource-manager-file.ts';

const PATIENCE = { timeout: 30_000, interval: 50 };
const AGENT_KEY = Buffer.alloc(32, 1);
const FEED_KEY = Buffer.alloc(32, 2);
const folder = mkdtempSync(join(tmpdir(), 'weir-resource-manager-'));
const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) await once(server.close(), 'close');
  return ports as [number, number];
}

function writeFiles(name: string, udp: number, tcp: number, extra = ''): string {
  writeFileSync(join(folder, 'b1.key'), AGENT_KEY.toString('hex'), { mode: 0o600 });
  writeFileSync(join(folder, 'rm.key'), FEED_KEY.toString('hex'), { mode: 0o600 });
  const path = join(folder, name);
  writeFileSync(
    path,
    `listen: { address: 127.0.0.1, port: ${udp} }
agents:
  - { name: b1, key-file: b1.key, backends: [web/b1] }
${extra}
feed: { address: 127.0.0.1, port: ${tcp}, key-file: rm.key }
`,
  );
  return path;
}

const main = () => fileURLToPath(builtModule('src/cli/main.ts'));

function weir(...args: string[]) {
  return spawnSync(process.execPath, [main(), 'resource-manager', ...args], { encoding: 'utf8' });
}

/** The program, once it is ready. */
async function startProgram(path: string): Promise<{ child: ChildProcess; text: () => string }> {
  const child = spawn(process.execPath, [main(), 'resource-manager', '--config', path]);
  endings.push(() => child.kill('SIGKILL'));
  let text = '';
  child.stderr.on('data', (piece) => (text += piece));
  await vi.waitFor(() => expect(text).toContain('are received at'), PATIENCE);
  return { child, text: () => text };
}

function startMaster(port: number, key: Uint8Array = FEED_KEY, backends = ['web/b1']) {
  const reports: LoadReport[] = [];
  const quiet = () => {};
  const client = new FeedClient({
    address: '127.0.0.1',
    port,
    key,
    backends,
    sink: { accept: (report) => void reports.push(report) },
    log: { info: quiet, warning: quiet },
    now: () => performance.now(),
  });
  endings.push(() => client.stop());
  client.start();
  return { client, reports };
}

/** Reports ten times per second, as an agent started just now would. */
function startAgent(port: number): void {
  const socket = createSocket('udp4');
  let sequence = 0;
  const timer = setInterval(() => {
    const backends = [{ backend: 'web/b1', figures: { cpuUtilization: 0.5 } }];
    const bootId = 'aaaaaaaaaaaaaaaa';
    const wallClockMs = Date.now();
    const report = { agent: 'b1', bootId, sequence: ++sequence, wallClockMs, backends };
    socket.send(signReport(report, AGENT_KEY), port, '127.0.0.1');
  }, 100);
  endings.push(() => {
    clearInterval(timer);
    socket.close();
  });
}

describe('weir resource-manager', () => {
  it('feeds a master, also after it was killed and started again', async () => {
    const [udp, tcp] = await freePorts();
    const path = writeFiles('feeds.yaml', udp, tcp);
    const first = await startProgram(path);
    startAgent(udp);
    const { client, reports } = startMaster(tcp);
    const stranger = startMaster(tcp, AGENT_KEY);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(3), PATIENCE);
    expect(reports[0]).toMatchObject({ source: 'agent', identity: 'b1', backend: 'web/b1' });

    first.child.kill('SIGKILL');
    await vi.waitFor(() => expect(client.statistics().state).toBe('stale'), PATIENCE);
    const count = reports.length;
    const second = await startProgram(path);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(count + 3), PATIENCE);
    const sequences = reports.map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.map((_, i) => i + 1));
    expect(stranger.reports).toEqual([]);
    // The stranger tries less and less often.
    await vi.waitFor(() => expect(second.text()).toContain('does not have the key'), PATIENCE);

    second.child.kill('SIGUSR1');
    await vi.waitFor(() => expect(second.text()).toContain('"masters":1'), PATIENCE);
    second.child.kill('SIGTERM');
    expect(await once(second.child, 'exit')).toEqual([0, null]);
  });

  it('hears a weir agent that reports, and asks it by ORCA and agent-check', async () => {
    const [[udp, tcp], [orca, check]] = [await freePorts(), await freePorts()];
    const path = writeFiles(
      'agent-feeds.yaml',
      udp,
      tcp,
      `sources:
  - { backend: web/b2, source: orca, address: 127.0.0.1, port: ${orca}, interval: 200ms }
  - { backend: web/b3, source: agent-check, address: 127.0.0.1, port: ${check}, interval: 200ms }`,
    );
    await startProgram(path);
    const configuration = join(folder, 'agent.yaml');
    writeFileSync(
      configuration,
      `name: b1
key-file: b1.key
report-to: ['127.0.0.1:${udp}']
interval: 200ms
application: { enabled: false }
services:
  - backend: web/b1
    orca: { address: 127.0.0.1, port: ${orca} }
    agent-check: { address: 127.0.0.1, port: ${check} }
`,
    );
    const agent = spawn(process.execPath, [main(), 'agent', '--config', configuration], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    endings.push(() => agent.kill('SIGKILL'));
    const { reports } = startMaster(tcp, FEED_KEY, ['web/b1', 'web/b2', 'web/b3']);
    const newest = (source: string) => reports.filter((each) => each.source === source).at(-1);
    await vi.waitFor(() => {
      for (const source of ['agent', 'orca']) {
        expect(newest(source)?.figures.cpuUtilization, source).toBeGreaterThanOrEqual(0);
        expect(newest(source)?.figures.memoryUtilization, source).toBeGreaterThan(0);
      }
      expect(newest('agent-check')).toMatchObject({ backend: 'web/b3', figures: {} });
    }, PATIENCE);
    expect(newest('agent')).toMatchObject({ backend: 'web/b1', identity: 'b1' });
    expect(newest('orca')).toMatchObject({ backend: 'web/b2', identity: `127.0.0.1:${orca}` });
  });

  it('reads its file again on SIGHUP, and keeps the old one when it has faults', async () => {
    const [udp, tcp] = await freePorts();
    const path = writeFiles('reload.yaml', udp, tcp);
    const { child, text } = await startProgram(path);
    startAgent(udp);
    const { client, reports } = startMaster(tcp);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), PATIENCE);
    writeFiles('reload.yaml', udp, tcp, 'agnets: []');
    child.kill('SIGHUP');
    await vi.waitFor(() => expect(text()).toContain('stay in force'), PATIENCE);
    expect(text()).toContain('did you mean agents?');
    const source = '{ backend: web/b2, source: agent-check, address: 127.0.0.1, port: 1 }';
    writeFiles('reload.yaml', udp, tcp, `sources: [${source}]`);
    child.kill('SIGHUP');
    await vi.waitFor(() => {
      expect(text()).toMatch(/agent-check of web\/b2 at 127.0.0.1:1: .*ECONNREFUSED/);
    }, PATIENCE);
    const count = reports.length;
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(count + 2), PATIENCE);
    // The master has stayed connected, and the agent's reports were not taken for old ones.
    expect(client.statistics()).toMatchObject({ state: 'connected', rejected: {} });
    expect(text().match(/master .* is connected/g)?.length).toBe(1);
    expect(text()).not.toContain('is rejected');
  });

  it('checks a file, and explains itself', () => {
    const path = writeFiles('check.yaml', 7360, 7361);
    expect(weir('--config', path, '--check')).toMatchObject({
      status: 0,
      stdout: `${path}: good: 1 agent, 0 sources\n`,
    });
    writeFileSync(path, 'listen: { adress: 127.0.0.1 }\n');
    const faulty = weir('--config', path);
    expect(faulty.status).toBe(2);
    expect(faulty.stderr).toContain('check.yaml:1:11: error: listen.adress: unknown key');
    expect(faulty.stderr).toContain('did you mean address?');
    expect(weir('--config', join(folder, 'nowhere.yaml')).status).toBe(2);
    const help = weir('--help');
    expect(help.status).toBe(0);
    expect(help.stdout).toContain('--config');
  });

  it('names a key file that cannot be read', () => {
    const path = writeFiles('keyless.yaml', 7360, 7361);
    rmSync(join(folder, 'rm.key'));
    const result = weir('--config', path, '--check');
    expect(result.status).toBe(2);
    expect(result.stderr).toContain('rm.key');
    expect(result.stderr).toContain('ENOENT');
  });
});

describe('parseProgramFile', () => {
  const faultsOf = (text: string) => {
    const { faults } = parseProgramFile(text, 'f');
    return faults.map(({ line, path, message }) => `${line} ${path}: ${message}`);
  };
  const FEED = 'feed: { address: 127.0.0.1, key-file: k }\n';

  it('gives defaults, and durations in milliseconds', () => {
    const source = '{ backend: a/b, source: orca, address: 10.0.0.1, port: 9, interval: 5s }';
    const { file } = parseProgramFile(`${FEED}sources: [${source}]`, 'f');
    expect(file).toMatchObject({
      'reports-per-second': 20,
      agents: [],
      sources: [{ interval: 5000, timeout: 1000 }],
      feed: { port: 7361 },
    });
  });

  it('reports every fault at once, with its line', () => {
    const text = `agents:
  - { name: b1, key-file: k, backends: [web] }
  - { name: b1, backends: [web/b1], colour: red }
sources:
  - { backend: web/b1, source: orka, address: 300.0.0.1, port: 99999 }
`;
    const faults = faultsOf(text);
    for (const expected of [
      /^2 agents\[0\].backends\[0\]: a backend is written as service\/backend/,
      /^3 agents\[1\].key-file: key-file is missing/,
      /^3 agents\[1\].colour: unknown key/,
      /^5 sources\[0\].source: /,
      /^5 sources\[0\].address: /,
      /^5 sources\[0\].port: /,
      /^1 feed: feed is missing/,
    ]) {
      expect(
        faults.find((fault) => expected.test(fault)),
        String(expected),
      ).toBeDefined();
    }
  });

  it('holds values to each other', () => {
    const agent = '{ name: b1, key-file: k, backends: [web/b1] }';
    const source = 'source: orca, address: 10.0.0.1, port: 9, send: x, path: /y';
    const text = `${FEED}agents: [${agent}, ${agent}]\nsources: [{ backend: web/b1, ${source} }]`;
    expect(faultsOf(text)).toEqual([
      '2 agents: agents cannot report without listen',
      "2 agents[1].name: there are two agents 'b1'",
      '2 agents[1].backends[0]: agent b1 reports about web/b1 already',
      '3 sources[0].backend: agent b1 reports about web/b1 already',
      '3 sources[0].send: send says nothing to orca',
      '3 sources[0].path: path says nothing to orca',
    ]);
    expect(faultsOf(FEED)).toEqual(['1 : neither agents nor sources are there']);
  });

  it.each(['', 'a: [', 'a: *b', '- 1', '42', `${'a: &a [x]\n'}b: {c: *a}`, '? [1]\n: 2'])(
    'has faults for %j, and does not throw',
    (text) => {
      expect(faultsOf(text).length).toBeGreaterThan(0);
    },
  );

  it('finds the example good', () => {
    const example = new URL('../../examples/resource-manager.yaml', import.meta.url);
    const { file, faults } = parseProgramFile(readFileSync(example, 'utf8'), 'example');
    expect(faults).toEqual([]);
    expect(file?.sources.map(({ source }) => source)).toEqual([
      'orca',
      'agent-check',
      'node-exporter',
    ]);
  });
});
