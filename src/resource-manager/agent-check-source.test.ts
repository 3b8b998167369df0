// HAProxy's agent-check against agents that answer as a script says: in one piece or byte by byte, with
// and without asking, silent, endless, or with something else entirely.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { mergeWish, startAgentCheck, type WishMemory } from './agent-check-source.ts';
import type { PolledSettings } from './settings.ts';
import { recordingContext } from './source.harness.ts';

const PATIENCE = { timeout: 20_000, interval: 20 };
const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

/** An agent that does this with each connection. @returns its port, and how to end it */
async function agent(behave: (socket: Socket) => void, port = 0) {
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {});
    behave(socket);
  });
  const end = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  endings.push(end);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const { port: bound } = server.address() as AddressInfo;
  return { port: bound, end, connections: () => connections, open };
}

function ask(port: number, settings: Partial<PolledSettings> = {}, memory: WishMemory = new Map()) {
  const context = recordingContext(port, { source: 'agent-check', ...settings });
  const source = startAgentCheck(context, memory);
  endings.push(() => source.stop());
  return { ...context, memory, stop: () => source.stop() };
}

const says = (text: string) => (socket: Socket) => void socket.end(text);

describe('startAgentCheck', () => {
  it('takes what the agent asks for', async () => {
    const { port } = await agent(says('75%,maxconn:30,maint,down #disk is full\n'));
    const { reports, outcomes } = ask(port);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(1), PATIENCE);
    expect(reports[0]).toEqual({
      figures: {},
      wish: {
        weightPercent: 75,
        connectionLimit: 30,
        administrative: 'maint',
        operational: 'down',
        reason: 'disk is full',
      },
    });
    expect(outcomes[0]).toBeUndefined();
  });

  it('takes a line that comes byte by byte, and waits for no more', async () => {
    const { port, open } = await agent((socket) => {
      const text = 'drain\r\nand something that nobody reads';
      let sent = 0;
      const timer = setInterval(() => {
        if (sent < text.length && socket.writable) socket.write(text[sent++]);
        else clearInterval(timer);
      }, 2);
    });
    const { reports, stop } = ask(port, { intervalMs: 10_000, timeoutMs: 5000 }, new Map());
    await vi.waitFor(() => expect(reports.length).toBe(1), { ...PATIENCE, timeout: 30_000 });
    expect(reports[0].wish).toEqual({ administrative: 'drain' });
    await vi.waitFor(() => expect(open.size).toBe(0), PATIENCE);
    stop();
  });

  it('sends what it is told to send, first', async () => {
    const { port } = await agent((socket) => {
      socket.on('data', (asked) => socket.end(`${asked}` === 'which b1\n' ? '40%\n' : 'down\n'));
    });
    const { reports } = ask(port, { send: 'which b1\n' });
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), PATIENCE);
    expect(reports[0].wish).toEqual({ weightPercent: 40 });
  });

  it('leaves as it is what a line does not mention; only the agent takes it back', async () => {
    const lines = ['50% drain\n', 'maxconn:5\n', 'down #broken\n', 'weight:7\n', 'up\n', 'ready\n'];
    let next = 0;
    const { port } = await agent((socket) => says(lines[Math.min(next++, 5)])(socket));
    const { reports } = ask(port);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThanOrEqual(6), PATIENCE);
    const wishes = reports.slice(0, 6).map(({ wish }) => wish);
    const drain = { administrative: 'drain' };
    const limit = { connectionLimit: 5 };
    const down = { operational: 'down', reason: 'broken' };
    expect(wishes).toEqual([
      { weightPercent: 50, ...drain },
      { weightPercent: 50, ...drain, ...limit },
      { weightPercent: 50, ...drain, ...limit, ...down },
      { weight: 7, ...drain, ...limit, ...down },
      { weight: 7, ...drain, ...limit, operational: 'up' },
      { weight: 7, administrative: 'ready', ...limit, operational: 'up' },
    ]);
  });

  it('keeps what was asked for while the agent is away, and over a new start of the source', async () => {
    const first = await agent(says('drain\n'));
    const { reports, outcomes, memory, stop } = ask(first.port);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), PATIENCE);
    first.end();
    await vi.waitFor(() => expect(outcomes.at(-1)).toMatch(/ECONNREFUSED/), PATIENCE);
    const count = reports.length;
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(count), PATIENCE);
    expect(reports.at(-1)?.wish).toEqual({ administrative: 'drain' });
    stop();
    const second = await agent(says('60%\n'));
    const again = ask(second.port, {}, memory);
    await vi.waitFor(() => expect(again.reports.length).toBeGreaterThan(0), PATIENCE);
    expect(again.reports[0].wish).toEqual({ administrative: 'drain', weightPercent: 60 });
  });

  it('reports nothing of an agent that was never there: health is not its business', async () => {
    const { port, end } = await agent(() => {});
    end();
    const { reports, outcomes } = ask(port);
    await vi.waitFor(() => expect(outcomes.length).toBeGreaterThan(2), PATIENCE);
    expect(outcomes[0]).toMatch(/ECONNREFUSED/);
    expect(reports).toEqual([]);
  });

  const endless = (socket: Socket) => {
    const more = () => {
      if (!socket.destroyed) socket.write('x'.repeat(65_536), () => setImmediate(more));
    };
    more();
  };
  it.each([
    ['is silent', () => {}, /no whole answer within 200 ms/],
    ['never ends its line', endless, /no end of line within 256 bytes/],
    ['sends 10 MB', says('y'.repeat(10_000_000)), /no end of line within 256 bytes/],
    ['sends garbage', says('\u0000\u0001\u001b[31m hello\n'), /no word of/],
    ['sends no end of line', says('drain'), /the line has no end/],
    ['sends nothing', says(''), /empty/],
    ['answers what is out of range', says('weight:9999999\n'), /no word of/],
  ])('takes nothing from an agent that %s', async (_, behave, expected) => {
    const { port, open } = await agent(behave);
    const { reports, outcomes, stop } = ask(port, { timeoutMs: 200 });
    await vi.waitFor(() => expect(outcomes.length).toBeGreaterThan(1), PATIENCE);
    expect(outcomes[0]).toMatch(expected);
    expect(reports).toEqual([]);
    stop();
    await vi.waitFor(() => expect(open.size).toBe(0), PATIENCE);
  });
});

describe('mergeWish', () => {
  it('has one weight, the last one', () => {
    expect(mergeWish({ weight: 5 }, { weightPercent: 10 })).toEqual({ weightPercent: 10 });
    expect(mergeWish({ weightPercent: 10 }, { weight: 5 })).toEqual({ weight: 5 });
  });

  it('forgets why it was down when it is up or down anew', () => {
    const down = { operational: 'down', reason: 'x' } as const;
    expect(mergeWish(down, { operational: 'up' })).toEqual({ operational: 'up' });
    expect(mergeWish(down, { operational: 'down' })).toEqual({ operational: 'down' });
    expect(mergeWish(down, { weight: 1 })).toEqual({ ...down, weight: 1 });
  });
});
