// The routes for backends, over a real unix socket. Behind them stand literal views and the real changes
// of operators; what the control processor makes of them in main memory is shown by the scenarios.

import { mkdtempSync, rmSync } from 'node:fs';
import { request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WeirError } from '../base/errors.ts';
import { serveAdmin } from './admin.ts';
import { MAX_BODY_SIZE, MAX_DEADLINE_SECONDS, type Problem } from './admin-backends.ts';
import { callAdmin } from './admin-client.ts';
import { backendView, LiteralBackends } from './backend-actions.harness.ts';
import type { BackendChangeView, BackendsView } from './backend-view.ts';
import type { ReloadResult } from './reload.ts';
import type { Status } from './status.ts';

let folder: string;
let path: string;
let server: Server;
let backends: LiteralBackends;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-admin-backends-'));
  path = join(folder, 'weir.sock');
  backends = new LiteralBackends([
    backendView(),
    backendView({ name: 'b2' }),
    backendView({ service: 'dns', name: 'b1', protocol: 'udp' }),
  ]);
  server = await serveAdmin(path, {
    status: () => ({}) as Status,
    reload: async () => ({}) as ReloadResult,
    backends,
  });
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

async function change(name: string, body?: unknown): Promise<BackendChangeView> {
  const answer = await callAdmin(path, 'POST', `/v1/backends/${name}`, body);
  expect(answer).toMatchObject({ status: 200 });
  return answer.body as BackendChangeView;
}

async function refused(
  method: 'GET' | 'POST',
  name: string,
  body?: unknown,
): Promise<Problem & { status: number }> {
  const answer = await callAdmin(path, method, `/v1/backends${name}`, body);
  return { status: answer.status, ...(answer.body as Problem) };
}

describe('GET /v1/backends', () => {
  it('has all backends and all changes, or those of one service', async () => {
    await change('web/b2/weight', { weight: 5, by: 'anna' });
    const all = (await callAdmin(path, 'GET', '/v1/backends')).body as BackendsView;
    expect(all.backends.map(({ service, name }) => `${service}/${name}`)).toEqual([
      'web/b1',
      'web/b2',
      'dns/b1',
    ]);
    expect(all.changes).toMatchObject([{ backend: 'b2', weight: 5, by: 'anna' }]);
    const dns = (await callAdmin(path, 'GET', '/v1/backends?service=dns')).body as BackendsView;
    expect(dns).toMatchObject({ backends: [{ service: 'dns' }], changes: [] });
    expect(await refused('GET', '?service=wab')).toEqual({
      status: 404,
      code: 'ERR_BACKEND_UNKNOWN',
      error: 'there is no service wab',
      advice: 'did you mean web?',
    });
  });

  it('has one, or says what was probably meant', async () => {
    const { status, body } = await callAdmin(path, 'GET', '/v1/backends/web/b2');
    expect([status, body]).toMatchObject([200, { service: 'web', name: 'b2' }]);
    expect(await refused('GET', '/web/b9')).toMatchObject({
      status: 404,
      code: 'ERR_BACKEND_UNKNOWN',
      advice: 'did you mean web/b1?',
    });
    expect(await refused('GET', '/nothing/alike')).toMatchObject({
      advice: '`weir backends` lists what there is',
    });
  });
});

describe('POST …/drain and …/undrain', () => {
  it('begins, answers with the drain, and takes it back', async () => {
    backends.open.set('web/b1', 7);
    const body = { deadlineSeconds: 90, atDeadline: 'reset', by: 'anna' };
    expect(await change('web/b1/drain', body)).toMatchObject({
      backend: { state: 'draining', drain: { waitingFor: { tcp: 7 }, deadlineInMs: 90_000 } },
      warnings: [],
    });
    expect(await change('web/b1/undrain', { by: 'ben' })).toMatchObject({
      backend: { state: 'up', drain: null },
    });
    expect(backends.asked).toEqual(['drain web/b1 90000 reset by anna', 'undrain web/b1 by ben']);
  });

  it('waits for ever and keeps what is open unless told otherwise; needs no body', async () => {
    await change('web/b1/drain');
    await change('web/b2/drain', { deadlineSeconds: 0 });
    expect(backends.asked).toEqual([
      'drain web/b1 null keep by somebody',
      'drain web/b2 0 keep by somebody',
    ]);
  });

  it('leaves the deadline of a drain as it is when nothing is said of it', async () => {
    await change('web/b1/drain', { deadlineSeconds: 90, atDeadline: 'reset' });
    expect(await change('web/b1/drain')).toMatchObject({
      backend: { drain: { deadlineInMs: 90_000, atDeadline: 'reset' } },
      warnings: ['it was drained already: its deadline stays'],
    });
    expect(await change('web/b1/drain', { deadlineSeconds: null })).toMatchObject({
      backend: { drain: { deadline: null, atDeadline: 'keep' } },
      warnings: ['it was drained already: the new deadline counts'],
    });
    expect((await change('web/b1/drain')).warnings).toEqual(['it was drained already']);
  });

  it('warns when nobody is left, and when it was drained already', async () => {
    expect((await change('dns/b1/drain')).warnings).toEqual([
      'no other backend of dns can take new connections: they will be refused',
    ]);
    await change('web/b2/weight', { weight: 0 });
    expect((await change('web/b1/drain')).warnings).toHaveLength(1);
    await change('web/b1/undrain');
    await change('web/b2/weight', { weight: null });
    expect((await change('web/b1/drain')).warnings).toEqual([]);
    expect((await change('web/b1/drain', { deadlineSeconds: 5 })).warnings).toEqual([
      'it was drained already: the new deadline counts',
    ]);
    expect((await change('web/b2/weight', { weight: 0 })).warnings).toEqual([
      'no other backend of web can take new connections: they will be refused',
    ]);
  });

  it('cannot be taken back where there is none, or where the server asks for it', async () => {
    expect(await refused('POST', '/web/b1/undrain')).toEqual({
      status: 409,
      code: 'ERR_REFUSED',
      error: 'web/b1 is not drained by an operator',
      advice: 'there is nothing to take back',
    });
    backends.views[0] = backendView({ state: 'maintenance' });
    expect(await refused('POST', '/web/b1/undrain')).toMatchObject({
      status: 409,
      error: expect.stringContaining('the server itself asks for it'),
    });
    expect(backends.asked).toEqual([]);
  });
});

describe('POST …/weight', () => {
  it('sets it, takes it back, and says so when there was none', async () => {
    expect(await change('web/b1/weight', { weight: 65_535 })).toMatchObject({
      backend: { weight: { operator: 65_535 } },
      warnings: [],
    });
    expect(await change('web/b1/weight', { weight: null })).toMatchObject({
      backend: { weight: { operator: null } },
      warnings: [],
    });
    const { warnings } = await change('web/b1/weight', { weight: null });
    expect(warnings).toEqual(['it had no weight of an operator']);
  });

  it('says that a drain goes before it', async () => {
    await change('web/b1/drain');
    const { warnings } = await change('web/b1/weight', { weight: 3 });
    expect(warnings).toEqual(['it is drained: the weight counts after undrain']);
  });
});

it('what is about one backend does not look at the others: there may be thousands', async () => {
  const { backends: all } = LiteralBackends.prototype;
  backends.backends = (service) => {
    if (service === undefined) throw new Error('all were looked at');
    return all.call(backends, service);
  };
  await change('web/b2/weight', { weight: 0 });
  await change('web/b2/drain', {});
  await change('web/b2/undrain');
  expect((await callAdmin(path, 'GET', '/v1/backends/web/b2')).status).toBe(200);
  expect((await callAdmin(path, 'GET', '/v1/backends/web/b9')).status).toBe(404);
  expect((await callAdmin(path, 'GET', '/v1/backends?service=wob')).status).toBe(404);
  await expect(callAdmin(path, 'GET', '/v1/backends')).rejects.toThrow('all were looked at');
});

describe('changes of a backend that is configured no longer', () => {
  it('can be taken back, but none can be made', async () => {
    await change('web/b2/drain');
    await change('web/b2/weight', { weight: 3 });
    backends.views.splice(1, 1);
    const gone = {
      backend: null,
      warnings: ['web/b2 is not in the running configuration: only the change is gone'],
    };
    expect(await refused('POST', '/web/b2/weight', { weight: 4 })).toMatchObject({ status: 404 });
    expect(await refused('POST', '/web/b2/drain')).toMatchObject({ status: 404 });
    expect(await change('web/b2/undrain')).toEqual(gone);
    expect(await change('web/b2/weight', { weight: null })).toEqual(gone);
    expect(backends.changes()).toEqual([]);
  });
});

describe('what is refused', () => {
  const cases: [string, string, unknown, RegExp][] = [
    [
      'a deadline that is no number',
      'drain',
      { deadlineSeconds: '5m' },
      /^deadlineSeconds: .*number/,
    ],
    ['one before now', 'drain', { deadlineSeconds: -1 }, /^deadlineSeconds: /],
    [
      'one too far away',
      'drain',
      { deadlineSeconds: MAX_DEADLINE_SECONDS + 1 },
      /^deadlineSeconds/,
    ],
    ['an end unknown', 'drain', { deadlineSeconds: 1, atDeadline: 'stop' }, /^atDeadline: /],
    [
      'an end without a deadline',
      'drain',
      { atDeadline: 'reset' },
      /^atDeadline: .*deadlineSeconds/,
    ],
    ['a key unknown', 'drain', { deadline: 5 }, /deadline/],
    ['a list', 'drain', [], /object/],
    ['no weight', 'weight', undefined, /^weight: /],
    ['a weight with a point', 'weight', { weight: 1.5 }, /^weight: .*int/],
    ['a weight too large', 'weight', { weight: 65_536 }, /^weight: /],
    ['a negative one', 'weight', { weight: -1 }, /^weight: /],
    ['control characters', 'weight', { weight: 1, by: 'a\u001b[31m' }, /^by: .*control/],
    ['a long name', 'undrain', { by: 'a'.repeat(65) }, /^by: /],
  ];

  it.each(cases)('%s', async (_, action, body, error) => {
    const answer = await refused('POST', `/web/b1/${action}`, body);
    expect(answer).toMatchObject({ status: 422, code: 'ERR_REFUSED' });
    expect(answer.error).toMatch(error);
    expect(answer.advice).toContain('docs/reference/control-socket.md');
    expect(backends.asked).toEqual([]);
  });

  it('names every fault of a body at once', async () => {
    const { error } = await refused('POST', '/web/b1/drain', { deadlineSeconds: -1, by: 7 });
    expect(error).toMatch(/deadlineSeconds: .*; by: /);
  });

  it('a body that is not JSON', async () => {
    expect(await sendText('{"weight":')).toMatchObject({ status: 422 });
  });

  it.each([
    ['said to be too large', {}],
    ['that turns out to be too large', { 'transfer-encoding': 'chunked' }],
  ])('a body %s', async (_, headers) => {
    const text = `{"weight": 1, "by": "${'a'.repeat(MAX_BODY_SIZE)}"}`;
    const answer = await sendText(text, headers);
    expect(answer.status).toBe(413);
    expect(answer.text).toContain('64 KiB');
    expect(backends.asked).toEqual([]);
  });

  it('what the tables cannot take: 409 with its code', async () => {
    backends.failure = new WeirError('ERR_PROCESSOR_STUCK', 'processor 1 hangs', 'look');
    expect(await refused('POST', '/web/b1/drain')).toEqual({
      status: 409,
      code: 'ERR_PROCESSOR_STUCK',
      error: 'processor 1 hangs',
      advice: 'look',
    });
  });

  it('a failure inside is none of the caller: 500', async () => {
    backends.failure = new Error('out of luck');
    const call = callAdmin(path, 'POST', '/v1/backends/web/b1/drain');
    await expect(call).rejects.toThrow(/it failed: out of luck/);
  });
});

/** Posts a body as it is. */
function sendText(
  text: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = { socketPath: path, method: 'POST', path: '/v1/backends/web/b1/weight' };
    const call = request({ ...options, headers, agent: false }, (response) => {
      let answer = '';
      response.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: answer }));
    });
    call.on('error', reject);
    call.end(text);
  });
}
