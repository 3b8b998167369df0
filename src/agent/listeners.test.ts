// What the agent serves, with real clients: the endpoint for applications, agent-check; and its
// sender of reports, with a real resource manager's socket. Each also with clients that mean no
// good.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { isRejection } from '../load/rejections.ts';
import { type AgentReport, type BackendLoad, openReport } from '../load/signed-report.ts';
import { AgentCheckAnswers, AgentCheckServer } from './agent-check-server.ts';
import { ApplicationLoad } from './application-load.ts';
import { listen } from './listening.ts';
import { LocalEndpoint, MAX_BODY_BYTES } from './local-endpoint.ts';
import { inDatagrams, parseEndpoint, ReportSender } from './report-sender.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** Sends text over TCP and gives all that comes back until the other side ends. */
function exchange(port: number, text: string | Buffer, timeoutMs = 10_000): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no end')));
    socket.on('data', (part) => (answer += part));
    socket.on('close', () => resolve(answer));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(answer);
      else reject(error);
    });
  });
}

describe('the endpoint for applications', () => {
  const count = { accepted: 0 };
  let application: ApplicationLoad;

  async function start(): Promise<number> {
    application = new ApplicationLoad(['web/b1'], 60_000);
    const endpoint = new LocalEndpoint({
      port: 0,
      post: (body) => application.post(body, 0),
      report: () => ({ backends: [] }),
      count,
    });
    cleanUps.push(() => endpoint.stop());
    return await endpoint.start();
  }

  function http(port: number, method: string, path: string, body = '', headers = {}) {
    return new Promise<string>((resolve, reject) => {
      const sent = request({ port, host: '127.0.0.1', method, path, headers }, (answer) => {
        let text = '';
        answer.on('data', (part) => (text += part));
        answer.on('end', () => resolve(`${answer.statusCode} ${text.trim()}`.trim()));
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  it('takes figures and says why it does not', async () => {
    const port = await start();
    const post = (body: string) => http(port, 'POST', '/v1/load', body);
    expect(await post('{"figures":{"requestsPerSecond":120}}')).toBe('204');
    expect(application.report('web/b1', 0)?.figures).toEqual({ requestsPerSecond: 120 });
    expect(await post('{"figures":{"clients":-1}}')).toBe(
      '400 {"error":"negative: clients is -1"}',
    );
    expect(await post('{')).toBe('400 {"error":"malformed: the body is not JSON"}');
    expect(await post('')).toMatch(/^400 /);
    expect(await http(port, 'GET', '/v1/load')).toBe('200 {"backends":[]}');
    expect(await http(port, 'DELETE', '/v1/load')).toMatch(/^405 /);
    expect(await http(port, 'GET', '/etc/passwd')).toMatch(/^404 /);
    const page = { origin: 'http://evil.example' };
    expect(await http(port, 'POST', '/v1/load', '{"figures":{}}', page)).toMatch(/^403 /);
    expect(count.accepted).toBeGreaterThan(0);
  });

  it('reads no more than it must', async () => {
    const port = await start();
    const large = 'x'.repeat(MAX_BODY_BYTES + 1);
    const head = 'POST /v1/load HTTP/1.1\r\nhost: a\r\ncontent-length:';
    expect(await exchange(port, `${head}${large.length}\r\n\r\n${large}`)).toContain(' 413 ');
    const endless = exchange(port, `${head}9999999999\r\n\r\n${large}`);
    expect(await endless).toContain(' 413 ');
    expect(await exchange(port, Buffer.alloc(100_000, 0x16))).toMatch(/^(HTTP\/1.1 4.*|)/);
    expect(await http(port, 'GET', '/v1/load')).toMatch(/^200/);
  });

  it('is not held up by a client that sends nothing more', async () => {
    const port = await start();
    const slow = exchange(
      port,
      'POST /v1/load HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n',
      30_000,
    );
    expect(await http(port, 'GET', '/v1/load')).toMatch(/^200/);
    expect(await slow).toContain(' 408 ');
  });
});

describe('agent-check', () => {
  async function start(load: () => BackendLoad): Promise<number> {
    const server = new AgentCheckServer({ address: '127.0.0.1', port: 0 }, load, { accepted: 0 });
    cleanUps.push(() => server.stop());
    return await server.start();
  }

  it('is answered with what the server has left', async () => {
    let figures = {};
    const port = await start(() => ({ backend: 'web/b1', figures }));
    expect(await exchange(port, '')).toBe('\n');
    figures = { cpuUtilization: 0.255 };
    expect(await exchange(port, '')).toBe('75%\n');
    expect(await exchange(port, 'agent-send of a balancer\n')).toBe('75%\n');
    figures = { cpuUtilization: 0.255, applicationUtilization: 1.5 };
    expect(await exchange(port, '')).toBe('1%\n');
  });

  it('is not disturbed by a client that sends without end', async () => {
    const port = await start(() => ({ backend: 'web/b1', figures: {} }));
    await exchange(port, Buffer.alloc(10_000_000));
    expect(await exchange(port, '')).toBe('\n');
  });

  it('takes back only what was asked for', () => {
    const answers = new AgentCheckAnswers();
    const answer = (wish?: BackendLoad['wish']) => answers.answer({ figures: {}, wish });
    expect(answer()).toBe('\n');
    expect(answer({ administrative: 'drain' })).toBe('drain\n');
    expect(answer()).toBe('ready\n');
    expect(answer({ operational: 'down', reason: 'disk' })).toBe('ready down #disk\n');
    expect(answer()).toBe('ready up\n');
    expect(answer({ weight: 7 })).toBe('weight:7 ready up\n');
  });
});

describe('a port', () => {
  it('that is taken is an error with advice', async () => {
    const first = createServer();
    cleanUps.push(() => first.close());
    const port = await listen(first, { address: '127.0.0.1', port: 0 });
    await expect(listen(createServer(), { address: '127.0.0.1', port })).rejects.toThrow(
      /listen failed with EADDRINUSE on 127\.0\.0\.1:[0-9]+\n {2}→ another program/,
    );
  });
});

describe('the sender of reports', () => {
  const KEY = Buffer.alloc(16, 1);
  const loads = (count: number): BackendLoad[] =>
    Array.from({ length: count }, (_, i) => ({
      backend: `web/b${i}`,
      figures: { cpuUtilization: 1 / 3, clients: i },
    }));

  async function manager() {
    const socket = createSocket('udp4');
    const reports: AgentReport[] = [];
    socket.on('message', (bytes) => {
      const report = openReport(bytes, () => [KEY]);
      if (isRejection(report)) throw new Error(report.detail);
      reports.push(report);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    cleanUps.push(() => socket.close());
    return { reports, address: '127.0.0.1', port: (socket.address() as AddressInfo).port };
  }

  function sender(to: { address: string; port: number }[]) {
    const changes: string[] = [];
    const sending = new ReportSender({
      agent: 'b1',
      key: KEY,
      to,
      keepsRunning: false,
      onChange: (destination, problem) => changes.push(`${destination} ${problem ?? 'works'}`),
    });
    cleanUps.push(() => sending.stop());
    return { sending, changes };
  }

  it('reaches every manager, in datagrams with rising numbers', async () => {
    const [a, b] = [await manager(), await manager()];
    const { sending } = sender([a, { address: 'localhost', port: b.port }]);
    while (a.reports.length < 20 || b.reports.length < 20) {
      sending.send(loads(20));
      await sleep(20);
    }
    const numbers = a.reports.map(({ sequence }) => sequence);
    expect(numbers).toEqual([...new Set(numbers)].sort((x, y) => x - y));
    expect(new Set(a.reports.map(({ bootId }) => bootId))).toEqual(new Set([sending.bootId]));
    const named = a.reports.flatMap(({ backends }) => backends.map(({ backend }) => backend));
    expect(new Set(named).size).toBe(20);
    expect(Math.abs(a.reports[0].wallClockMs - Date.now())).toBeLessThan(60_000);
    expect(sender([]).sending.bootId).not.toBe(sending.bootId);
  });

  it('cuts a list into packets that need not be cut on the way', () => {
    const parts = inDatagrams('b1', loads(40));
    expect(parts.flat()).toEqual(loads(40));
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.every((part) => JSON.stringify(part).length < 1200)).toBe(true);
  });

  it('tells once that nobody is there, and once that somebody is', async () => {
    const gone = await manager();
    await cleanUps.pop()!();
    const { sending, changes } = sender([gone]);
    const until = async (count: number) => {
      while (changes.length < count) {
        sending.send(loads(1));
        await sleep(20);
      }
    };
    await until(1);
    for (let i = 0; i < 10; i++) {
      sending.send(loads(1));
      await sleep(10);
    }
    const name = `127.0.0.1:${gone.port}`;
    expect(changes).toEqual([`${name} ECONNREFUSED`]);
    const back = createSocket('udp4').bind(gone.port, '127.0.0.1');
    cleanUps.push(() => back.close());
    await until(2);
    expect(changes).toEqual([`${name} ECONNREFUSED`, `${name} works`]);
  });

  it('reads destinations', () => {
    expect(parseEndpoint('10.2.0.9:7360')).toEqual({ address: '10.2.0.9', port: 7360 });
    expect(parseEndpoint('[::1]:1')).toEqual({ address: '::1', port: 1 });
    expect(parseEndpoint('a.example:65535')).toEqual({ address: 'a.example', port: 65_535 });
    for (const text of ['', '10.2.0.9', ':1', '10.2.0.300:1', 'a:0', 'a:65536', '[x]:1', 'a b:1']) {
      expect(parseEndpoint(text), text).toBeUndefined();
    }
  });
});
