// What is counted of a backend when the marks of its connections change. Two tables stand for the two
// processors that see one direction each.

import { describe, expect, it } from 'vitest';
import {
  insert,
  lookupClient,
  setRunning,
  sweepOf,
  TCP,
  TIMEOUTS,
  UDP,
} from '../../test/support/connection-fixture.ts';
import { plainMainMemory } from '../memory/region.ts';
import { readBackend } from './connection-backends.ts';
import { STATE_UDP } from './connection-states.ts';
import { ConnectionTable } from './connection-table.ts';

const FIN = 1;
const SYN = 2;
const RST = 4;
const PSH = 8;
const ACK = 16;
const BACKEND = 7;

function make() {
  const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 2 });
  const [client, server] = [0, 1].map((p) => new ConnectionTable(memory, p));
  for (const [p, table] of [client, server].entries()) {
    setRunning(memory, p);
    table.enterTurn();
  }
  let keys = 0;
  const begin = (protocol: number, nowMs: number, isOneSided = false, key = keys++): number => {
    insert(client, key, { protocol, nowMs, backend: BACKEND, isOneSided });
    return lookupClient(client, key, protocol);
  };
  /** 'c:S s:SA': a segment each, one millisecond after the other. @returns the time of the last. */
  const play = (entry: number, segments: string, nowMs: number): number => {
    const flags: Record<string, number> = { F: FIN, S: SYN, R: RST, P: PSH, A: ACK };
    let at = nowMs;
    for (const segment of segments.split(' ')) {
      const [side, letters] = segment.split(':');
      const bits = [...letters].reduce((sum, letter) => sum | flags[letter], 0);
      at = (at + 1) | 0;
      if (side === 'c') client.updateTcp(entry, bits, at, 60);
      else server.updateTcp(entry | 1, bits, at, 60);
    }
    return at;
  };
  const read = () => readBackend(memory, BACKEND);
  return { memory, client, server, begin, play, read };
}

describe('the answers of a backend', () => {
  it('count resets in a row to one client network as one, and no refusal among them', () => {
    const { begin, play, read } = make();
    const from = (network: number, host: number, segments: string) =>
      play(begin(TCP, 0, false, (network << 8) + host), segments, 0);
    const apart = () => read().resetsApart;
    for (let host = 0; host < 100; host++) from(1, host, 'c:S s:SA c:A s:R');
    expect([read().resets, apart()]).toEqual([100, 1]);
    // Refusals are another matter, and do not begin a new row.
    from(2, 1, 'c:S s:R');
    from(1, 200, 'c:S s:SA c:A s:R');
    expect(read()).toMatchObject({ refused: 1, resets: 102, resetsApart: 1 });
    for (let network = 2; network < 12; network++) from(network, 2, 'c:S s:SA c:A s:R');
    expect(apart()).toBe(11);
  });

  it('are no refusals where the client began without a SYN', () => {
    const { begin, play, read } = make();
    play(begin(TCP, 0), 'c:PA s:R', 0);
    expect(read()).toMatchObject({ answered: 1, refused: 0, resets: 1, resetsApart: 1 });
  });

  it('are counted once for each connection, refusals and resets with them', () => {
    const { begin, play, read } = make();
    play(begin(TCP, 0), 'c:S c:S', 0);
    expect(read()).toMatchObject({ connections: 1, answered: 0 });
    play(begin(TCP, 0), 'c:S s:SA s:SA c:A s:A', 0);
    expect(read()).toMatchObject({ connections: 2, answered: 1, refused: 0, resets: 0 });
    play(begin(TCP, 0), 'c:S s:RA', 0);
    expect(read()).toMatchObject({ connections: 3, answered: 2, refused: 1, resets: 1 });
    play(begin(TCP, 0), 'c:S s:SA c:A s:R s:R', 0);
    expect(read()).toMatchObject({ connections: 4, answered: 3, refused: 1, resets: 2 });
    play(begin(TCP, 0), 'c:S s:SA c:A c:R', 0);
    expect(read()).toMatchObject({ answered: 4, refused: 1, resets: 2 });
  });

  it('of UDP: the first datagram', () => {
    const { begin, client, server, read } = make();
    const entry = begin(UDP, 100);
    client.updateUdp(entry, 100, 60);
    client.updateUdp(entry, 200, 60);
    expect(read()).toMatchObject({ answered: 0, answers: 0 });
    server.updateUdp(entry | 1, 230, 60);
    server.updateUdp(entry | 1, 400, 60);
    expect(read()).toMatchObject({ answered: 1, answers: 1, answerTimeMs: 30 });
  });

  it.each([1000, 0x7fffffff - 60, -70, (1 << 20) - 70])(
    'come after a time, measured from the request, not from the handshake (at %i ms)',
    (start) => {
      const { begin, client, server, play, read } = make();
      const entry = begin(TCP, start);
      const at = play(entry, 'c:S s:SA c:A c:PA', start);
      // The server's kernel acknowledges at once; the request goes on meanwhile.
      server.updateTcp(entry | 1, ACK, at, 52);
      client.updateTcp(entry, ACK, (at + 40) | 0, 52);
      expect(read().answers).toBe(0);
      server.updateTcp(entry | 1, PSH | ACK, (at + 90) | 0, 500);
      server.updateTcp(entry | 1, PSH | ACK, (at + 900) | 0, 500);
      expect(read()).toMatchObject({ answers: 1, answerTimeMs: 90 });
    },
  );

  it('are measured from the last packet where the server speaks first', () => {
    const { begin, server, play, read } = make();
    const entry = begin(TCP, 0);
    const at = play(entry, 'c:S s:SA c:A', 0);
    server.updateTcp(entry | 1, PSH | ACK, at + 25, 80);
    expect(read()).toMatchObject({ answers: 1, answerTimeMs: 25 });
  });

  it('never come before they were asked for, whatever the turns of two processors say', () => {
    const { begin, server, play, read } = make();
    const entry = begin(TCP, 500);
    const at = play(entry, 'c:S s:SA c:A c:PA', 500);
    server.updateTcp(entry | 1, PSH | ACK, at - 1, 80);
    expect(read()).toMatchObject({ answers: 1, answerTimeMs: 0 });
  });

  it('are not seen with direct server return', () => {
    const { begin, play, read } = make();
    play(begin(TCP, 0, true), 'c:S c:A c:PA c:FA', 0);
    expect(read()).toMatchObject({ active: 1, open: 0, answered: 0, answers: 0 });
  });
});

describe('open connections', () => {
  it('are open until the first FIN or reset of either side, and counted down once', () => {
    const { begin, play, client, read } = make();
    for (const closing of ['c:FA s:FA c:A', 's:FA', 'c:R', 's:R c:R', 'c:FA c:FA s:R']) {
      const entry = begin(TCP, 0);
      expect(read()).toMatchObject({ active: 1, open: 1 });
      play(entry, `c:S s:SA c:A ${closing}`, 0);
      expect(read()).toMatchObject({ active: 1, open: 0 });
      expect(client.remove(entry >> 1)).toBe(1);
      expect(read()).toMatchObject({ active: 0, open: 0 });
    }
  });

  it('are counted down by their removal when nobody has closed them', () => {
    const { begin, play, server, read } = make();
    const entry = begin(TCP, 0);
    play(entry, 'c:S', 0);
    server.remove(entry >> 1);
    expect(read()).toMatchObject({ active: 0, open: 0 });
  });

  it('are open again after a reset that its target ignored', () => {
    const { begin, play, read } = make();
    const entry = begin(TCP, 0);
    play(entry, 'c:S s:SA c:A c:R', 0);
    expect(read().open).toBe(0);
    play(entry, 's:A', 0);
    expect(read().open).toBe(0);
    play(entry, 'c:A', 0);
    expect(read().open).toBe(1);
    play(entry, 'c:R s:FA c:A', 0);
    expect(read().open).toBe(0);
  });

  it('of UDP are open until they expire', () => {
    const { memory, begin, client, read } = make();
    client.updateUdp(begin(UDP, 0), 0, 60);
    expect(read()).toMatchObject({ active: 1, open: 1 });
    sweepOf(memory, 0, client).sweep(TIMEOUTS[STATE_UDP], 1 << 30);
    expect(read()).toMatchObject({ active: 0, open: 0 });
  });
});
