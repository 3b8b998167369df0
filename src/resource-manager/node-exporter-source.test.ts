// The real prometheus-node-exporter of Debian, scraped while the CPUs of this machine are idle and while
// they are not; and servers that answer something else, too much, too slowly or not at all.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startNodeExporter } from './node-exporter-source.ts';
import type { PolledSettings } from './settings.ts';
import { recordingContext } from './source.harness.ts';

const PATIENCE = { timeout: 30_000, interval: 50 };
const EXPORTER = 'prometheus-node-exporter';
const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

function ask(port: number, settings: Partial<PolledSettings> = {}) {
  const context = recordingContext(port, { source: 'node-exporter', ...settings });
  const source = startNodeExporter(context);
  endings.push(() => source.stop());
  return context;
}

function started(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: 'ignore' });
  endings.push(() => child.kill('SIGKILL'));
  return child;
}

/** Ticks of all CPUs since the start of the host: user, nice, system, idle, iowait, irq … */
function busyAndAll(): [number, number] {
  const ticks = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]
    .split(/ +/)
    .slice(1, 9)
    .map(Number);
  const all = ticks.reduce((a, b) => a + b);
  return [all - ticks[3] - ticks[4], all];
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function webServer(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  endings.push(() => {
    server.close();
    server.closeAllConnections();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const isThere = spawnSync(EXPORTER, ['--version']).status === 0;

describe.skipIf(!isThere)(`${EXPORTER} itself`, () => {
  it('gives figures of this host, and shows work on its CPUs', async () => {
    const port = await freePort();
    started(EXPORTER, [`--web.listen-address=127.0.0.1:${port}`]);
    const { reports, outcomes } = ask(port, { intervalMs: 300, timeoutMs: 5000 });
    // The first attempts may come before it listens.
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(2), PATIENCE);
    const { figures } = reports.at(-1)!;
    expect(figures.memoryUtilization).toBeGreaterThan(0);
    expect(figures.memoryUtilization).toBeLessThan(1);
    expect(figures.clients).toBeGreaterThanOrEqual(0);
    expect(figures.connectionsPerSecond).toBeGreaterThanOrEqual(0);
    expect(figures.cpuUtilization).toBeLessThanOrEqual(1);
    expect(outcomes.at(-1)).toBeUndefined();

    // What this process reads from the kernel itself, over the time of ten scrapes.
    const count = reports.length;
    const atStart = busyAndAll();
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(count + 10), PATIENCE);
    const atEnd = busyAndAll();
    const own = (atEnd[0] - atStart[0]) / (atEnd[1] - atStart[1]);
    const scraped = reports.slice(count + 1).map((report) => report.figures.cpuUtilization!);
    const mean = scraped.reduce((a, b) => a + b) / scraped.length;
    expect(Math.abs(mean - own)).toBeLessThan(0.2);

    // Two spinning processes on each CPU: it is busy whatever else runs, and some task always waits.
    const cpus = Number(spawnSync('nproc', { encoding: 'utf8' }).stdout);
    for (let i = 0; i < 2 * cpus; i++) started('sh', ['-c', 'while :; do :; done']);
    await vi.waitFor(() => {
      expect(reports.at(-1)?.figures.cpuUtilization).toBeGreaterThan(0.85);
    }, PATIENCE);
    const busy = reports.at(-1)!.figures;
    if (busy.cpuPressure !== undefined) {
      await vi.waitFor(() => {
        expect(reports.at(-1)?.figures.cpuPressure).toBeGreaterThan(0.3);
      }, PATIENCE);
    }
    const pressure = reports.at(-1)!.figures.cpuPressure;
    console.log(
      `CPU utilisation scraped ${mean.toFixed(3)}, by /proc/stat ${own.toFixed(3)}; with spinning ` +
        `processes ${busy.cpuUtilization!.toFixed(3)}, pressure ${pressure?.toFixed(3) ?? 'unknown'}`,
    );
  });
});

describe('startNodeExporter', () => {
  const GOOD = 'node_memory_MemAvailable_bytes 25\nnode_memory_MemTotal_bytes 100\n';

  it('asks for the path that is configured', async () => {
    const port = await webServer((request, response) => {
      if (request.url !== '/other/metrics?x=1') response.statusCode = 404;
      response.end(GOOD);
    });
    const { reports } = ask(port, { path: '/other/metrics?x=1' });
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(1), PATIENCE);
    expect(reports[0].figures).toEqual({ memoryUtilization: 0.75 });
    const other = ask(port);
    await vi.waitFor(() => expect(other.outcomes[0]).toBe('HTTP status 404'), PATIENCE);
    expect(other.reports).toEqual([]);
  });

  it('reads a page of 3 MB in which the figures are far apart', async () => {
    const filler = `node_other{a="${'x'.repeat(200)}"} 1\n`.repeat(7000);
    const port = await webServer((_, response) => {
      const [first, second] = GOOD.split(/(?<=\n)/);
      response.end(`${filler}${first}${filler}${second}`);
    });
    const { reports } = ask(port);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), PATIENCE);
    expect(reports[0].figures).toEqual({ memoryUtilization: 0.75 });
  });

  const endless: RequestListener = (_, response) => {
    const more = () => {
      if (!response.destroyed) response.write('x'.repeat(65_536), () => setImmediate(more));
    };
    more();
  };
  it.each<[string, RequestListener, RegExp]>([
    ['10 MB', (_, response) => void response.end('x'.repeat(10_000_000)), /larger than 4194304/],
    ['without end', endless, /larger than 4194304/],
    ['that is no metrics page', (_, response) => void response.end('<html>'), /no figure of node/],
    ['that is cut short', (_, r) => void r.end(GOOD.slice(0, 9)), /no figure of node/],
    [
      'that says it is longer than it is',
      (_, r) => {
        r.setHeader('content-length', 1000);
        r.write(GOOD, () => r.destroy());
      },
      /aborted/,
    ],
    ['never', () => {}, /no whole answer within 300 ms/],
    ['that begins and never ends', (_, r) => void r.write(GOOD), /no whole answer within 300 ms/],
    [
      'with headers of 100 KB',
      (_, r) => {
        r.socket?.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`);
      },
      /[Hh]eader/,
    ],
    ['that is not HTTP', (_, r) => void r.socket?.end('hello\n'), /Parse Error/],
  ])('reports nothing from an answer %s', async (_, listener, expected) => {
    const port = await webServer(listener);
    const { reports, outcomes } = ask(port, { timeoutMs: 300 });
    await vi.waitFor(() => expect(outcomes.length).toBeGreaterThan(1), PATIENCE);
    // On a busy machine the time may be over before the limit is met.
    expect(outcomes.some((outcome) => expected.test(outcome ?? ''))).toBe(true);
    expect(reports).toEqual([]);
  });

  it('says that nobody listens', async () => {
    const { outcomes } = ask(await freePort());
    await vi.waitFor(() => expect(outcomes[0]).toMatch(/ECONNREFUSED/), PATIENCE);
  });
});
