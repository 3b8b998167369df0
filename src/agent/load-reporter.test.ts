// The library with a real node:http server under real requests: to an agent's endpoint, and by
// signed reports of its own. And that it leaves the application alone: nobody there, wrong answers,
// the end of the process.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { openReport } from '../load/signed-report.ts';
import { ApplicationLoad } from './application-load.ts';
import { type LoadFigures, type LoadReporterOptions, loadReporter } from './load-reporter.ts';
import { LocalEndpoint } from './local-endpoint.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** An agent's endpoint that keeps what it was told. */
async function agent() {
  const application = new ApplicationLoad(['web/b1'], 60_000);
  const posts: { figures: LoadFigures; wish?: object; reporter?: string }[] = [];
  const endpoint = new LocalEndpoint({
    port: 0,
    post: (body) => {
      posts.push(body as { figures: LoadFigures });
      return application.post(body, 0);
    },
    report: () => ({}),
    count: { accepted: 0 },
  });
  const port = await endpoint.start();
  cleanUps.push(() => endpoint.stop());
  return { posts, url: `http://127.0.0.1:${port}`, endpoint };
}

/** A server whose answers take 30 ms; /fail fails; /busy works for 50 ms. */
async function application(): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    if (request.url === '/busy') {
      const end = performance.now() + 50;
      while (performance.now() < end);
    }
    if (request.url === '/fail') response.statusCode = 503;
    setTimeout(() => response.end('x'), 30);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUps.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function fetch(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, (answer) => answer.resume().on('end', resolve)).on('error', reject);
  });
}

function reporter(options: LoadReporterOptions) {
  const changes: (string | undefined)[] = [];
  const made = loadReporter({ onChange: (problem) => changes.push(problem), ...options });
  cleanUps.push(() => made.stop());
  return { made, changes };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not come');
    await sleep(10);
  }
}

describe('a watched server', () => {
  it('is measured: requests, errors, time, and how busy its event loop is', async () => {
    const [{ posts, url }, { server, url: app }] = [await agent(), await application()];
    const { made, changes } = reporter({ url, intervalMs: 500 });
    made.watch(server).watch(server);
    await until(() => posts.length > 0);
    const idle = posts.at(-1)!.figures;
    expect(idle).toMatchObject({ requestsPerSecond: 0, errorsPerSecond: 0 });
    expect(idle).not.toHaveProperty('executionTimeMs');
    posts.length = 0;
    const began = performance.now();
    for (let i = 0; i < 20; i++) await Promise.all([fetch(app), fetch(`${app}/fail`)]);
    const seconds = (performance.now() - began) / 1000;
    await sleep(1200);
    const sum = (figure: keyof LoadFigures) =>
      posts.reduce((total, { figures }) => total + (figures[figure] ?? 0) * 0.5, 0);
    // 40 requests, of which 20 failed; intervals are 0.5 s, a little more on a busy machine.
    expect(sum('requestsPerSecond')).toBeGreaterThan(25);
    expect(sum('requestsPerSecond')).toBeLessThan(45);
    expect(sum('errorsPerSecond')).toBeGreaterThan(12);
    expect(sum('errorsPerSecond')).toBeLessThan(23);
    const times = posts.map(({ figures }) => figures.executionTimeMs ?? 30);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(29);
    expect(Math.min(...times)).toBeLessThan(30 + seconds * 1000);
    expect(changes).toEqual([]);
  });

  it('that works all the time is full', async () => {
    const [{ posts, url }, { server, url: app }] = [await agent(), await application()];
    reporter({ url, intervalMs: 300 }).made.watch(server);
    const busiest = () =>
      Math.max(0, ...posts.map(({ figures }) => figures.applicationUtilization ?? 0));
    await until(() => {
      void fetch(`${app}/busy`).catch(() => undefined);
      return busiest() > 0.8;
    });
    expect(busiest()).toBeLessThanOrEqual(1);
  });

  it('can be measured by its requests under way', async () => {
    const [{ posts, url }, { server, url: app }] = [await agent(), await application()];
    const options = { utilization: 'concurrency', concurrency: 10 } as const;
    reporter({ url, intervalMs: 300, ...options }).made.watch(server);
    for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 5 }, () => fetch(app)));
    await until(() => posts.length >= 2);
    const most = Math.max(...posts.map(({ figures }) => figures.applicationUtilization!));
    expect(most).toBeGreaterThan(0.1);
    expect(most).toBeLessThanOrEqual(0.5);
  });
});

describe('figures by hand', () => {
  it('come before measured ones until they expire; wishes until they are taken back', async () => {
    const { posts, url } = await agent();
    const { made } = reporter({ url, intervalMs: 100, utilization: 'none', expiryMs: 500 });
    made.report({ applicationUtilization: 0.4, clients: 3 });
    made.wish({ administrative: 'drain' });
    await until(() => posts.length > 0);
    expect(posts[0]).toMatchObject({
      figures: { applicationUtilization: 0.4, clients: 3 },
      wish: { administrative: 'drain' },
    });
    await until(() => Object.keys(posts.at(-1)!.figures).length === 0);
    expect(posts.at(-1)?.wish).toEqual({ administrative: 'drain' });
    made.wish(undefined);
    await until(() => posts.at(-1)!.wish === undefined);
    expect(() => made.report({ clients: -1 })).toThrow('negative: clients is -1');
    expect(() => made.report({ clients: Number.NaN })).toThrow('not-a-number');
    expect(() => made.wish({ weight: 1.5 })).toThrow('malformed');
  });

  it('of two reporters in one process are two', async () => {
    const { posts, url } = await agent();
    for (let i = 0; i < 2; i++) reporter({ url, intervalMs: 100 });
    await until(() => posts.length >= 4);
    expect(new Set(posts.map((post) => post.reporter)).size).toBe(2);
  });
});

describe('options', () => {
  it.each<[string, LoadReporterOptions]>([
    ['intervalMs', { intervalMs: 10 }],
    ['intervalMs', { intervalMs: Number.NaN }],
    ['concurrency', { concurrency: 0 }],
    ['backend', { backend: 'web' }],
    ['URL', { url: 'nonsense' }],
    ['need a backend', { signed: { agent: 'b1', key: 'ab'.repeat(16), to: [] } }],
    ['no name', { backend: 'a/b', signed: { agent: '?', key: 'ab'.repeat(16), to: [] } }],
    ['16 bytes', { backend: 'a/b', signed: { agent: 'b1', key: 'abcd', to: [] } }],
    ['address:port', { backend: 'a/b', signed: { agent: 'b1', key: 'ab'.repeat(16), to: ['x'] } }],
  ])('that cannot be are refused at once: %s', (message, options) => {
    expect(() => loadReporter(options)).toThrow(message);
  });
});

describe('an agent', () => {
  it('that is away, or says no, is told once, and once when it is back', async () => {
    const { endpoint, url } = await agent();
    await endpoint.stop();
    const { made, changes } = reporter({ url, intervalMs: 100 });
    await until(() => changes.length > 0);
    await sleep(500);
    expect(changes).toEqual(['ECONNREFUSED']);
    made.stop();
    const there = await agent();
    const wrong = reporter({ url: there.url, backend: 'web/b2', intervalMs: 100 });
    await until(() => wrong.changes.length > 0);
    expect(wrong.changes[0]).toContain('400 {"error":"wrong-backend: ');
  });
});

describe('signed reports', () => {
  it('go to the resource managers without an agent', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    cleanUps.push(() => socket.close());
    const { port } = socket.address();
    const key = 'c0'.repeat(32);
    const signed = { agent: 'b1', key, to: [`127.0.0.1:${port}`] };
    const { made } = reporter({ backend: 'web/b1', intervalMs: 100, signed });
    made.report({ clients: 3 });
    const [bytes] = (await once(socket, 'message')) as [Buffer];
    expect(openReport(bytes, () => [Buffer.from(key, 'hex')])).toMatchObject({
      agent: 'b1',
      backends: [{ backend: 'web/b1', figures: { clients: 3 } }],
    });
  });
});
