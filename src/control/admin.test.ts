// The control socket and its client, over a real unix socket.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AdminActions, serveAdmin } from './admin.ts';
import { callAdmin } from './admin-client.ts';
import type { ApplicationView } from './application-view.ts';
import type { ReloadResult } from './reload.ts';
import type { Status } from './status.ts';

let folder: string;
let path: string;
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-admin-'));
  path = join(folder, 'run', 'weir.sock');
});
afterEach(async () => {
  if (server !== undefined) await new Promise((resolve) => server?.close(resolve));
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const DONE: ReloadResult = { applied: true, generation: 2, faults: [], warnings: [], changes: [] };

async function serve(actions: Partial<AdminActions> = {}): Promise<void> {
  server = await serveAdmin(path, {
    status: () => ({ state: 'ready' }) as Status,
    reload: async () => DONE,
    ...actions,
  });
}

describe('the control socket', () => {
  it('answers status, health and reload', async () => {
    await serve();
    expect(await callAdmin(path, 'GET', '/v1/status')).toEqual({
      status: 200,
      body: { state: 'ready' },
    });
    expect((await callAdmin(path, 'GET', '/healthz')).status).toBe(200);
    expect(await callAdmin(path, 'POST', '/v1/reload')).toEqual({ status: 200, body: DONE });
  });

  it('answers for applications, and restarts those that there are', async () => {
    const view = { name: 'echo', state: 'failed' } as ApplicationView;
    const restarted: string[] = [];
    const restartApplication = async (name: string) => {
      restarted.push(name);
      return name === 'echo';
    };
    await serve({ applications: { applications: () => [view], restartApplication } });
    expect(await callAdmin(path, 'GET', '/v1/applications')).toEqual({
      status: 200,
      body: { applications: [view] },
    });
    expect((await callAdmin(path, 'POST', '/v1/applications/echo/restart')).status).toBe(200);
    expect(await callAdmin(path, 'POST', '/v1/applications/ecko/restart')).toMatchObject({
      status: 404,
      body: { code: 'ERR_APPLICATION_UNKNOWN', advice: 'did you mean echo?' },
    });
    expect(restarted).toEqual(['echo', 'ecko']);
  });

  it('answers 409 to a reload that was refused, 404 to what there is not', async () => {
    const refused = { ...DONE, applied: false, refused: 'no' };
    await serve({ reload: async () => refused });
    expect(await callAdmin(path, 'POST', '/v1/reload')).toEqual({ status: 409, body: refused });
    expect((await callAdmin(path, 'GET', '/v1/nothing')).status).toBe(404);
    expect((await callAdmin(path, 'GET', '/v1/reload')).status).toBe(404);
  });

  it('is for its owner and group only', async () => {
    await serve();
    expect(statSync(path).mode & 0o777).toBe(0o660);
  });

  it('takes the place of a socket that was left behind, and goes with its server', async () => {
    await serve();
    const left = server;
    await serve();
    expect((await callAdmin(path, 'GET', '/healthz')).status).toBe(200);
    await new Promise((resolve) => left?.close(resolve));
    await new Promise((resolve) => server?.close(resolve));
    server = undefined;
    expect(existsSync(path)).toBe(false);
  });

  it('never takes the place of a file that is no socket', async () => {
    path = join(folder, 'precious');
    writeFileSync(path, 'content');
    await expect(serve()).rejects.toMatchObject({ code: 'ERR_SYSTEM_CALL' });
    expect(readFileSync(path, 'utf8')).toBe('content');
  });
});

describe('callAdmin', () => {
  const unreachable = { code: 'ERR_CONTROL_UNREACHABLE' };

  it('says that nobody answers', async () => {
    await expect(callAdmin(path, 'GET', '/v1/status')).rejects.toMatchObject(unreachable);
  });

  it('says so when control fails', async () => {
    await serve({
      status: () => {
        throw new Error('out of luck');
      },
    });
    const call = callAdmin(path, 'GET', '/v1/status');
    await expect(call).rejects.toMatchObject(unreachable);
    await expect(call).rejects.toThrow(/out of luck/);
  });

  it.each([
    ['is not JSON', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'],
    ['breaks off', 'HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n{'],
    ['is not HTTP', 'hello\r\n\r\n'],
  ])('says so when the answer %s', async (_, answer) => {
    path = join(folder, 'other.sock');
    const other = createServer((socket) => {
      socket.on('error', () => {});
      socket.resume();
      socket.end(answer);
    });
    await new Promise<void>((resolve) => other.listen(path, resolve));
    await expect(callAdmin(path, 'GET', '/v1/status')).rejects.toMatchObject(unreachable);
    await new Promise((resolve) => other.close(resolve));
  });
});
