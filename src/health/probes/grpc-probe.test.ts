// gRPC: messages byte by byte, the server of grpc-js, and servers that are none.

import {
  createServer as createHttp2,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Server, ServerCredentials, status, type UntypedHandleCall } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Prng } from '../../base/prng.ts';
import { decodeCheckResponse, encodeCheckRequest } from './grpc-message.ts';
import { ask, cannedServer, closedPort, rawServer, until } from './probe.harness.ts';

const GRPC = { type: 'grpc', timeoutMs: 3_000 } as const;

describe('messages of grpc.health.v1', () => {
  it('frames a request', () => {
    expect(encodeCheckRequest('').toString('hex')).toBe('0000000000');
    expect(encodeCheckRequest('web').toString('hex')).toBe('0000000005' + '0a03776562');
    expect(encodeCheckRequest('x'.repeat(200)).subarray(5, 8).toString('hex')).toBe('0ac801');
  });

  it('reads a response', () => {
    const read = (hex: string) => decodeCheckResponse(Buffer.from(hex, 'hex'));
    expect(read('0000000002' + '0801')).toBe('SERVING');
    expect(read('0000000002' + '0802')).toBe('NOT_SERVING');
    expect(read('0000000000')).toBe('UNKNOWN');
    expect(read('0000000002' + '0863')).toBe('status 99');
    // Fields that are not known are passed over: a text, eight bytes, four bytes, a number.
    expect(
      read('0000000015' + '120161' + '190102030405060708' + '2501020304' + '3001' + '0801'),
    ).toBe('SERVING');
  });

  it.each(['', '00000000', '0100000002' + '0801', '0000000003' + '0801', '0000000002' + '0880'])(
    'takes %j for no response',
    (hex) => expect(decodeCheckResponse(Buffer.from(hex, 'hex'))).toBeUndefined(),
  );

  it('reads any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const header = Buffer.alloc(5);
        header.writeUInt32BE(bytes.length, 1);
        decodeCheckResponse(Buffer.concat([header, bytes]));
        decodeCheckResponse(Buffer.from(bytes));
      }),
      { seed: 13, numRuns: 5_000 },
    );
  });
});

/** A server of grpc-js whose health service answers `answers[service]`, a status of gRPC or bytes. */
async function grpcServer(answers: Record<string, number | string>) {
  const server = new Server();
  const handle = ((
    call: { request: { name: string } },
    done: (error: { code: number } | null, value?: string) => void,
  ) => {
    const answer = answers[call.request.name] ?? status.NOT_FOUND;
    if (typeof answer === 'number') done({ code: answer });
    else done(null, answer);
  }) as unknown as UntypedHandleCall;
  const definition = {
    Check: {
      path: '/grpc.health.v1.Health/Check',
      requestStream: false,
      responseStream: false,
      requestSerialize: (name: string) => Buffer.from(name),
      requestDeserialize: (bytes: Buffer) => ({ name: bytes.subarray(2).toString() }),
      responseSerialize: (hex: string) => Buffer.from(hex, 'hex'),
      responseDeserialize: (bytes: Buffer) => bytes.toString('hex'),
    },
  };
  if (Object.keys(answers).length > 0) server.addService(definition, { Check: handle });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return { port, close: () => server.forceShutdown() };
}

describe('the gRPC probe and grpc-js', () => {
  it('passes by SERVING alone', async () => {
    const server = await grpcServer({
      '': '0801',
      ok: '0801',
      bad: '0802',
      odd: '',
      no: status.UNAVAILABLE,
    });
    try {
      const check = (grpcService: string) => ask({ ...GRPC, grpcService }, server.port);
      expect(await check('')).toMatchObject({ ok: true, detail: 'SERVING' });
      expect(await check('ok')).toMatchObject({ ok: true });
      expect(await check('bad')).toMatchObject({ ok: false, detail: 'answered NOT_SERVING' });
      expect(await check('odd')).toMatchObject({ ok: false, detail: 'answered UNKNOWN' });
      expect(await check('no')).toMatchObject({ ok: false, detail: 'gRPC status UNAVAILABLE' });
      expect((await check('other')).detail).toBe(
        'gRPC status NOT_FOUND: it does not know this service',
      );
    } finally {
      server.close();
    }
  });

  it('says that there is no health service', async () => {
    const server = await grpcServer({});
    try {
      expect((await ask(GRPC, server.port)).detail).toBe(
        'gRPC status UNIMPLEMENTED: it has no health service',
      );
    } finally {
      server.close();
    }
  });
});

/** A server of HTTP/2 that answers each stream by `answer`. */
async function http2Server(
  answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): Promise<{ server: Http2Server; port: number }> {
  const server = createHttp2();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    answer(stream, headers);
  });
  server.on('session', (session) => session.on('error', () => {}));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

describe('the gRPC probe and servers that are none', () => {
  it('of HTTP/2', async () => {
    let answer: (stream: ServerHttp2Stream) => void = () => {};
    const { server, port } = await http2Server((stream) => answer(stream));
    const gives = async (next: typeof answer, settings = {}) => {
      answer = next;
      return (await ask({ ...GRPC, ...settings }, port)).detail;
    };
    const head = { ':status': 200, 'content-type': 'application/grpc' };
    expect(await gives((s) => s.respond({ ':status': 503 }, { endStream: true }))).toBe(
      'HTTP status 503 in place of gRPC',
    );
    expect(
      await gives((s) => {
        s.respond({ 'content-type': 'text/html' });
        s.end('<p>');
      }),
    ).toBe("answered 'text/html' in place of gRPC");
    expect(
      await gives((s) => {
        s.respond(head);
        s.end('nonsense');
      }),
    ).toBe('the answer is not that of a health service');
    expect(
      await gives((s) => {
        s.respond(head);
        s.end(Buffer.alloc(9_000));
      }),
    ).toBe('the answer is above 4 KiB');
    expect(await gives((s) => s.close(2))).toMatch(/INTERNAL_ERROR|without an answer/);
    expect(await gives((s) => s.session?.destroy())).toMatch(/closed|ended|reset|cancel/i);
    expect(await gives((s) => s.respond(head), { timeoutMs: 200 })).toBe(
      'no answer, though connected, within 200 ms',
    );
    server.close();
  });

  it('of HTTP/2 at all', async () => {
    const server = await cannedServer('HTTP/1.1 400 Bad Request\r\n\r\n');
    const result = await ask(GRPC, server.port);
    expect(result.ok).toBe(false);
    expect(result.detail).toMatch(/not HTTP\/2|closed without/);
    await until(() => server.open.size === 0);
    await server.close();
    expect((await ask(GRPC, await closedPort())).detail).toBe('connection refused');
  });

  it('and are silent are let go of', async () => {
    const server = await rawServer((socket) => socket.resume());
    const result = await ask({ ...GRPC, timeoutMs: 200 }, server.port);
    expect(result.detail).toBe('no answer, though connected, within 200 ms');
    await until(() => server.open.size === 0);
    await server.close();
  });

  it('survives 100 answers of random bytes, some behind a good beginning', async () => {
    const seed = 20_261_121;
    const prng = new Prng(seed);
    // SETTINGS, SETTINGS with ACK, and the head of a HEADERS frame of stream 1.
    const begin = Buffer.from(
      '000000040000000000' + '000000040100000000' + '000020010400000001',
      'hex',
    );
    let answer = Buffer.alloc(0);
    const server = await rawServer((socket) => socket.once('data', () => socket.end(answer)));
    for (let i = 0; i < 100; i++) {
      const noise = Buffer.from(Array.from({ length: prng.below(300) }, () => prng.below(256)));
      answer = Buffer.concat([begin.subarray(0, 9 * prng.below(4)), noise]);
      // Node's HTTP/2 reads on for ever after some of them: the timeout is what ends those.
      const result = await ask({ ...GRPC, timeoutMs: 60 }, server.port);
      expect(result.ok, `seed ${seed}, answer ${i}: ${result.detail}`).toBe(false);
    }
    await server.close();
  });
});
