// The feed between a resource manager and masters on other hosts, over real TCP connections: who gets
// in, what is passed on and how old it is, and what happens to lines that are forged or not read.

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { LoadReport } from '../load/load-report.ts';
import { FeedClient, type FeedClientOptions } from './feed-client.ts';
import { asciiJson, FeedSession, LineReader, newChallenge, proofOf } from './feed-protocol.ts';
import { FeedServer, LARGEST_BACKLOG_BYTES, MOST_CONNECTIONS } from './feed-server.ts';

const KEY = Buffer.alloc(32, 1);
const NEW_KEY = Buffer.alloc(32, 2);
const PATIENCE = { timeout: 20_000, interval: 20 };
const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

function memoryLog() {
  const lines: string[] = [];
  const add = (line: string) => void lines.push(line);
  return { lines, info: add, warning: add };
}

function report(backend: string, sequence: number, ageMs = 0): LoadReport {
  return {
    backend,
    source: 'agent',
    identity: 'b1',
    sequence,
    receivedAtMs: performance.now() - ageMs,
    figures: { cpuUtilization: 0.5 },
    wish: { operational: 'down', reason: 'Übung 🙂' },
  };
}

async function startServer(keys: readonly Uint8Array[] = [KEY], port = 0) {
  const log = memoryLog();
  const listen = { address: '127.0.0.1', port };
  const server = new FeedServer({ listen, keys, log, now: () => performance.now() });
  endings.push(() => server.stop());
  await server.start();
  return { server, log, port: server.port! };
}

function startClient(port: number, options: Partial<FeedClientOptions> = {}) {
  const reports: LoadReport[] = [];
  const log = memoryLog();
  const client = new FeedClient({
    address: '127.0.0.1',
    port,
    key: KEY,
    backends: ['web/b1', 'web/b2'],
    sink: { accept: (each) => void reports.push(each) },
    log,
    now: () => performance.now(),
    ...options,
  });
  endings.push(() => client.stop());
  client.start();
  const connected = () =>
    vi.waitFor(() => expect(client.statistics().state).toBe('connected'), PATIENCE);
  return { client, reports, log, connected };
}

/** A manager that does this with each master's connection. */
async function falseManager(behave: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    endings.push(() => socket.destroy());
    socket.on('error', () => {});
    behave(socket);
  });
  endings.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** One that has the key and sends these lines, signed, after the handshake. */
function keyHolder(send: (session: FeedSession, socket: Socket) => void, key: Uint8Array = KEY) {
  return (socket: Socket): void => {
    const challenge = newChallenge();
    socket.write(`${JSON.stringify({ weir: 'feed', version: 1, challenge })}\n`);
    socket.once('data', (line) => {
      const challenges = [challenge, JSON.parse(String(line)).challenge] as const;
      socket.write(`${JSON.stringify({ proof: proofOf('manager', key, challenges) })}\n`);
      send(new FeedSession(key, challenges), socket);
    });
  };
}

describe('FeedServer and FeedClient', () => {
  it('pass on what there is at the start, and what comes, to several masters', async () => {
    const { server, port } = await startServer();
    server.accept(report('web/b1', 41, 5000));
    server.accept(report('web/b9', 1));
    const [one, two] = [startClient(port), startClient(port)];
    await vi.waitFor(() => {
      expect([one.reports.length, two.reports.length]).toEqual([1, 1]);
    }, PATIENCE);
    server.accept(report('web/b1', 42));
    server.accept(report('web/b2', 1));
    await vi.waitFor(() => expect(one.reports.length).toBe(3), PATIENCE);
    const [first, second, third] = one.reports;
    expect(first).toEqual({ ...report('web/b1', 1), receivedAtMs: expect.any(Number) });
    // Its age came with it, on this host's clock.
    const ageMs = performance.now() - first.receivedAtMs;
    expect(ageMs).toBeGreaterThanOrEqual(5000);
    expect(ageMs).toBeLessThan(30_000);
    expect([second.sequence, third.sequence]).toEqual([2, 1]);
    expect(one.client.statistics()).toMatchObject({ accepted: 3, leftOut: 1, rejected: {} });
    expect(server.statistics()).toMatchObject({ masters: 2, refused: 0 });
  });

  it('takes the same report once, also over a new connection', async () => {
    const { server, port } = await startServer();
    server.accept(report('web/b1', 1));
    const { client, reports, connected } = startClient(port);
    await vi.waitFor(() => expect(reports.length).toBe(1), PATIENCE);
    const { peers } = server as unknown as { peers: Set<{ socket: Socket }> };
    for (const { socket } of peers) socket.destroy();
    await vi.waitFor(() => expect(client.statistics().state).toBe('stale'), PATIENCE);
    await connected();
    await vi.waitFor(() => expect(client.statistics().leftOut).toBe(1), PATIENCE);
    server.accept(report('web/b1', 2));
    await vi.waitFor(() => expect(reports.length).toBe(2), PATIENCE);
  });

  it('comes back to a manager that was started again, whose sequences begin anew', async () => {
    const first = await startServer();
    first.server.accept(report('web/b1', 500));
    const { client, reports, connected, log } = startClient(first.port);
    await vi.waitFor(() => expect(reports.length).toBe(1), PATIENCE);
    first.server.stop();
    await vi.waitFor(() => expect(client.statistics().state).toBe('stale'), PATIENCE);
    const { server } = await startServer([KEY], first.port);
    await connected();
    server.accept(report('web/b1', 1));
    await vi.waitFor(() => expect(reports.length).toBe(2), PATIENCE);
    expect(reports[1].sequence).toBe(2);
    expect(log.lines.length).toBe(3);
  });

  it('refuse each other when one does not have the key', async () => {
    const { server, port, log } = await startServer();
    server.accept(report('web/b1', 1));
    const { client, reports } = startClient(port, { key: NEW_KEY });
    await vi.waitFor(() => expect(server.statistics().refused).toBeGreaterThan(1), PATIENCE);
    expect(log.lines.at(-1)).toContain('does not have the key');
    expect(client.statistics().state).toBe('stale');
    expect(reports).toEqual([]);

    const lie = await falseManager(keyHolder(() => {}, NEW_KEY));
    const other = startClient(lie);
    await vi.waitFor(() => {
      expect(other.client.statistics().error).toBe('it does not have the key');
    }, PATIENCE);
  });

  it('change a key without a gap', async () => {
    const { server, port } = await startServer([KEY]);
    server.update([KEY, NEW_KEY], new Set(['web/b1']));
    server.accept(report('web/b1', 1));
    const [old, next] = [startClient(port), startClient(port, { key: NEW_KEY })];
    await vi.waitFor(() => {
      expect([old.reports.length, next.reports.length]).toEqual([1, 1]);
    }, PATIENCE);
  });

  it('do not take a proof that is sent back', async () => {
    // Whoever stands in between has the master's proof, and nothing else.
    const port = await falseManager((socket) => {
      const challenge = newChallenge();
      socket.write(`${JSON.stringify({ weir: 'feed', version: 1, challenge })}\n`);
      socket.on('data', (line) => {
        socket.write(`${JSON.stringify({ proof: JSON.parse(String(line)).proof })}\n`);
      });
    });
    const { client } = startClient(port);
    await vi.waitFor(() => {
      expect(client.statistics().error).toBe('it does not have the key');
    }, PATIENCE);
  });

  it('pass on the newest of 5,000 backends, more than may wait at once', async () => {
    const { server, port } = await startServer();
    const names = Array.from({ length: 5000 }, (_, i) => `web/b${i}`);
    for (const name of names) server.accept(report(name, 1));
    const { reports } = startClient(port, { backends: names });
    await vi.waitFor(() => expect(reports.length).toBe(names.length), PATIENCE);
    expect(new Set(reports.map(({ backend }) => backend)).size).toBe(names.length);
    expect(server.statistics()).toMatchObject({ masters: 1, cutOff: 0 });
  });

  it('cut off a master that does not read, and keep the others', async () => {
    const { server, port, log } = await startServer();
    const { client, reports, connected } = startClient(port);
    await connected();
    const slow = connect(port, '127.0.0.1');
    endings.push(() => slow.destroy());
    slow.once('data', (line) => {
      const challenges = [JSON.parse(String(line)).challenge, newChallenge()] as const;
      const proof = proofOf('master', KEY, challenges);
      slow.write(`${JSON.stringify({ challenge: challenges[1], proof })}\n`);
      slow.pause();
    });
    slow.on('error', () => {});
    await vi.waitFor(() => expect(server.statistics().masters).toBe(2), PATIENCE);
    let sequence = 0;
    const { peers } = server as unknown as { peers: Set<{ socket: Socket }> };
    let backlog = 0;
    await vi.waitFor(
      () => {
        for (let i = 0; i < 500; i++) server.accept(report(`web/b${i}`, ++sequence));
        for (const { socket } of peers) backlog = Math.max(backlog, socket.writableLength);
        expect(server.statistics()).toMatchObject({ masters: 1, cutOff: 1 });
      },
      { timeout: 60_000, interval: 50 },
    );
    expect(log.lines.some((line) => line.includes('does not read'))).toBe(true);
    expect(backlog).toBeLessThan(LARGEST_BACKLOG_BYTES + 4096);
    server.accept({ ...report('web/b1', ++sequence), identity: 'the last' });
    await vi.waitFor(() => expect(reports.at(-1)?.identity).toBe('the last'), PATIENCE);
    expect(client.statistics().state).toBe('connected');
  });
});

describe('FeedServer', () => {
  const strangers: [string, (socket: Socket) => void, RegExp][] = [
    ['is silent', () => {}, /does not speak/],
    ['sends a long line', (socket) => socket.write('x'.repeat(5000)), /too long/],
    ['sends garbage', (socket) => socket.write('\u0000\u00ff[]\n'), /not speak as a master/],
    ['sends null', (socket) => socket.write('null\n'), /not speak as a master/],
    ['guesses', (socket) => socket.write(`{"challenge":"${'0'.repeat(64)}","proof":"0"}\n`), /key/],
  ];
  it.each(strangers)('refuses who %s', async (_, behave, expected) => {
    const { server, log, port } = await startServer();
    server.accept(report('web/b1', 1));
    const socket = connect(port, '127.0.0.1');
    let heard = '';
    socket.on('data', (piece) => (heard += piece));
    socket.on('error', () => {});
    behave(socket);
    await new Promise((resolve) => socket.on('close', resolve));
    await vi.waitFor(() => expect(log.lines.at(-1)).toMatch(expected), PATIENCE);
    expect(heard).not.toContain('web/b1');
  });

  it('bounds connections', async () => {
    const { server, port } = await startServer();
    for (let i = 0; i < MOST_CONNECTIONS + 20; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      endings.push(() => socket.destroy());
    }
    const { peers } = server as unknown as { peers: Set<unknown> };
    await vi.waitFor(() => expect(peers.size).toBe(MOST_CONNECTIONS), PATIENCE);
    // Who has the key gets in all the same, and is not the one who has to go then.
    const { connected, client } = startClient(port);
    await connected();
    for (let i = 0; i < MOST_CONNECTIONS; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      endings.push(() => socket.destroy());
    }
    await vi.waitFor(() => expect(server.statistics().refused).toBeGreaterThan(40), PATIENCE);
    expect(server.statistics().masters).toBe(1);
    expect(client.statistics().state).toBe('connected');
  });
});

describe('FeedClient', () => {
  const content = { backend: 'web/b1', source: 'agent', identity: 'b1', sequence: 1, figures: {} };
  const good = { report: content, boot: 'a', ageMs: 0 };

  it.each([
    ['a line that is not signed', () => `${'0'.repeat(64)} ${JSON.stringify(good)}\n`],
    ['no line of the feed', () => 'HTTP/1.1 200 OK\n'],
    ['an endless line', () => 'x'.repeat(10_000)],
    [
      'a line twice',
      (session: FeedSession) => {
        const line = session.sign('{"heartbeat":1}');
        return line + line;
      },
    ],
    [
      'lines of which one was left out',
      (session: FeedSession) => {
        session.sign('{"heartbeat":1}');
        return session.sign(JSON.stringify(good));
      },
    ],
  ])('ends the connection after %s', async (_, lines) => {
    const port = await falseManager(keyHolder((session, socket) => socket.write(lines(session))));
    const { client, reports } = startClient(port);
    await vi.waitFor(() => {
      expect(client.statistics().error).toMatch(/good signature|too long/);
    }, PATIENCE);
    expect(reports).toEqual([]);
  });

  it.each([
    ['figures', { ...good, report: { ...content, figures: { clients: -1 } } }, 'negative'],
    ['an age', { ...good, ageMs: -5 }, 'negative'],
    ['an age', { ...good, ageMs: 1e12 }, 'out-of-range'],
    ['a source', { ...good, report: { ...content, source: 'rumour' } }, 'malformed'],
    ['a report', { ...good, report: [] }, 'malformed'],
  ])('rejects %s that cannot be, from one with the key', async (_, said, reason) => {
    const behave = keyHolder((session, socket) => {
      socket.write(session.sign(JSON.stringify(said)) + session.sign(JSON.stringify(good)));
    });
    const { client, reports, log } = startClient(await falseManager(behave));
    await vi.waitFor(() => expect(reports.length).toBe(1), PATIENCE);
    expect(client.statistics().rejected).toEqual({ [reason]: 1 });
    expect(log.lines.filter((line) => line.includes('rejected')).length).toBe(1);
  });

  it('notices that a manager is silent', async () => {
    const { client } = startClient(await falseManager(keyHolder(() => {})));
    await vi.waitFor(() => expect(client.statistics().error).toBe('it is silent'), PATIENCE);
  });
});

describe('asciiJson', () => {
  it('has only ASCII, and means the same', () => {
    const value = { a: 'Übung 🙂 \u2028 \u007f', b: [1, null] };
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is the range of ASCII
    expect(asciiJson(value)).toMatch(/^[\u0000-\u007e]*$/);
    expect(JSON.parse(asciiJson(value))).toEqual(value);
  });
});

describe('LineReader', () => {
  it('cuts lines wherever pieces end, up to the limit', () => {
    const lines: string[] = [];
    const reader = new LineReader();
    const push = (piece: string) =>
      reader.push(
        piece,
        () => 5,
        (line) => void lines.push(line),
      );
    expect(push('ab') && push('c\nde') && push('\n\n12345\n')).toBe(true);
    expect(lines).toEqual(['abc', 'de', '', '12345']);
    expect(push('123') && push('456')).toBe(false);
  });
});
