// HTTP and HTTPS against Node's servers, nginx, and servers that do what no server should.

import { writeFileSync } from 'node:fs';
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Prng } from '../../base/prng.ts';
import type { HealthSettings } from '../settings.ts';
import {
  ask,
  cannedServer,
  certificate,
  closedPort,
  program,
  rawServer,
  startProgram,
  temporaryFolder,
  until,
} from './probe.harness.ts';

const HTTP = { type: 'http' } as const;
const openssl = program('openssl');
const nginx = program('nginx');

const listener: RequestListener = (request, response) => {
  const { url = '', method, headers } = request;
  if (url === '/503') response.writeHead(503).end('not now');
  else if (url === '/moved') response.writeHead(301, { location: '/' }).end();
  else if (url === '/silent') return;
  else if (url === '/slow') {
    response.write('beginning');
    const timer = setInterval(() => response.write('.'), 20);
    response.on('close', () => clearInterval(timer));
  } else if (url === '/huge') {
    const block = Buffer.alloc(16_384, 'x');
    const pump = () => {
      while (response.write(block));
      response.once('drain', pump);
    };
    pump();
  } else if (url === '/broken') {
    response.writeHead(200, { 'content-length': 100 }).write('part');
    setTimeout(() => response.destroy(), 20);
  } else response.end(`all is well ${method} ${url} ${headers.host} ${headers['user-agent']}`);
};

function listening<S extends Server>(server: S): Promise<{ server: S; port: number }> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({ server, port: (server.address() as AddressInfo).port });
    });
  });
}

describe('the HTTP probe', () => {
  const server = createHttp(listener);
  let port = 0;
  beforeAll(async () => {
    port = (await listening(server)).port;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const get = (settings: Partial<HealthSettings>) => ask({ ...HTTP, ...settings }, port);

  it('passes by status alone, without waiting for the body', async () => {
    expect(await get({})).toMatchObject({ ok: true, detail: 'status 200' });
    expect(await get({ path: '/slow' })).toMatchObject({ ok: true });
    expect(await get({ method: 'HEAD' })).toMatchObject({ ok: true });
    expect(await get({ path: '/moved' })).toMatchObject({ ok: true, detail: 'status 301' });
  });

  it('fails by status, and says which was wanted', async () => {
    const result = await get({ path: '/503' });
    expect(result).toMatchObject({ ok: false, detail: 'status 503, wanted 200-399' });
    expect(await get({ path: '/503', status: '200,500-599' })).toMatchObject({ ok: true });
    expect((await get({ path: '/moved', status: '200' })).ok).toBe(false);
  });

  it('sends the method, the path and the host, and matches the body', async () => {
    const body = 'well OPTIONS /h?x=1 shop.example:81 weir-health';
    const settings = { method: 'OPTIONS', path: '/h?x=1', host: 'shop.example:81', body };
    expect(await get(settings)).toMatchObject({ ok: true, detail: 'status 200, body fits' });
    expect((await get({ body: `127.0.0.1:${port}` })).ok).toBe(true);
    expect(await get({ body: '/IS\\s+WELL/i' })).toMatchObject({ ok: true });
    const other = await get({ body: 'all is lost' });
    expect(other).toMatchObject({ ok: false, detail: "the body does not contain 'all is lost'" });
  });

  it('reads 64 KiB of a body that never ends, and no more', async () => {
    const result = await get({ path: '/huge', body: 'y' });
    expect(result.ok).toBe(false);
    expect(result.detail).toBe("the first 64 KiB of the body does not contain 'y'");
    expect((await get({ path: '/huge', body: 'xxx' })).ok).toBe(true);
  });

  it('names what it waited for when the timeout came', async () => {
    expect((await get({ path: '/silent', timeoutMs: 200 })).detail).toBe(
      'no answer, though connected, within 200 ms',
    );
    expect((await get({ path: '/slow', body: 'x', timeoutMs: 200 })).detail).toBe(
      'no end of the answer within 200 ms',
    );
  });

  it('says that an answer broke off', async () => {
    expect((await get({ path: '/broken', body: 'x' })).detail).toMatch(/^answer broke off/);
  });

  it('says that nobody listens', async () => {
    const result = await ask(HTTP, await closedPort());
    expect(result).toMatchObject({ ok: false, detail: 'connection refused' });
  });
});

describe('the HTTP probe and servers that are none', () => {
  it.each([
    ['nothing', '', 'connection closed without an answer'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', /^the answer is not HTTP/],
    ['an endless header', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}`, /above 16 KiB/],
    ['a change of protocol', 'HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n', /101/],
    ['a control character', 'HTTP/1.1 200 OK\r\na: \x01\x02\r\n\r\n', /./],
  ])('that answer %s', async (_name, bytes, detail) => {
    const server = await cannedServer(bytes);
    try {
      const result = await ask(HTTP, server.port);
      expect(result.detail).toMatch(detail);
      expect(result.ok).toBe(false);
      await until(() => server.open.size === 0);
    } finally {
      await server.close();
    }
  });

  it('that accept and say nothing are let go of, by a reset', async () => {
    const errors: string[] = [];
    const server = await rawServer((socket) => {
      socket.resume();
      socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''));
    });
    try {
      expect((await ask({ ...HTTP, timeoutMs: 150 }, server.port)).ok).toBe(false);
      await until(() => server.open.size === 0);
      expect(errors).toEqual(['ECONNRESET']);
    } finally {
      await server.close();
    }
  });

  it('survives 300 answers of random bytes', async () => {
    const seed = 20_261_121;
    const prng = new Prng(seed);
    const begin = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n');
    let answer = Buffer.alloc(0);
    const server = await rawServer((socket) => socket.once('data', () => socket.end(answer)));
    try {
      for (let i = 0; i < 300; i++) {
        const noise = Buffer.from(Array.from({ length: prng.below(400) }, () => prng.below(256)));
        const kept = begin.subarray(0, prng.below(begin.length + 1));
        answer = Buffer.concat([kept, noise]);
        const result = await ask({ ...HTTP, body: 'x', timeoutMs: 2_000 }, server.port);
        expect(typeof result.detail, `seed ${seed}, answer ${i}`).toBe('string');
      }
    } finally {
      await server.close();
    }
  });
});

describe.skipIf(openssl === undefined)('the HTTPS probe', () => {
  let server: ReturnType<typeof createHttps>;
  let port = 0;
  const names: string[] = [];
  beforeAll(async () => {
    const SNICallback = (name: string, done: (error: null) => void) => {
      names.push(name);
      done(null);
    };
    server = createHttps({ ...certificate(openssl!, 'shop.example'), SNICallback }, listener);
    port = (await listening(server)).port;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('passes whatever the certificate, and sends the name it was given', async () => {
    expect(await ask({ type: 'https' }, port)).toMatchObject({ ok: true });
    expect(names).toEqual([]);
    expect((await ask({ type: 'https', host: 'www.example:8443' }, port)).ok).toBe(true);
    expect((await ask({ type: 'https', host: 'w', serverName: 'api.example' }, port)).ok).toBe(
      true,
    );
    expect(names).toEqual(['www.example', 'api.example']);
  });

  it('with verify, says that the certificate is not trusted', async () => {
    const result = await ask({ type: 'https', verify: true, serverName: 'shop.example' }, port);
    expect(result.ok).toBe(false);
    expect(result.detail).toMatch(/^certificate not trusted: self-signed/);
  });

  it('says that a server does not speak TLS', async () => {
    const plainServer = await cannedServer('HTTP/1.1 400 Bad Request\r\n\r\n');
    try {
      const result = await ask({ type: 'https' }, plainServer.port);
      expect(result.ok).toBe(false);
      expect(result.detail).toMatch(/^TLS failed/);
    } finally {
      await plainServer.close();
    }
  });

  it('lets go of a server that is silent within the handshake', async () => {
    const silent = await rawServer((socket) => socket.resume());
    try {
      const result = await ask({ type: 'https', timeoutMs: 200 }, silent.port);
      expect(result.detail).toBe('no answer, though connected, within 200 ms');
      await until(() => silent.open.size === 0);
    } finally {
      await silent.close();
    }
  });
});

describe.skipIf(nginx === undefined)('the HTTP probe and nginx', () => {
  it('sees its status and its body', async () => {
    const folder = temporaryFolder();
    const port = await closedPort();
    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off; master_process off; pid ${folder}/pid; error_log stderr crit;
       events {} http { access_log off; client_body_temp_path ${folder}/b;
       proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u;
       scgi_temp_path ${folder}/s; server { listen 127.0.0.1:${port};
       location /up { return 200 'nginx is up'; } location / { return 502; } } }`,
    );
    const child = await startProgram(nginx!, ['-c', join(folder, 'nginx.conf')], port);
    try {
      expect(await ask({ ...HTTP, path: '/up', body: 'is up' }, port)).toMatchObject({ ok: true });
      expect((await ask(HTTP, port)).detail).toBe('status 502, wanted 200-399');
    } finally {
      child.kill('SIGKILL');
    }
  });
});
