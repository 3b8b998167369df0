// The guard by itself, and in the switch under a flood.

import { describe, expect, it } from 'vitest';
import { EXT, INT, SwitchBench } from '../../test/support/switch-bench.ts';
import { ACK, answer, handshake, query, request, SYN } from '../../test/support/switch-packets.ts';
import { Prng } from '../base/prng.ts';
import { readCounters } from '../memory/counters.ts';
import { FloodGuard } from './flood-guard.ts';

const CONNECTIONS = 1024;

function alarmed(): FloodGuard {
  const guard = new FloodGuard(CONNECTIONS);
  guard.observe(guard.alarmLimit + 1);
  return guard;
}

describe('flood guard', () => {
  it('admits everything while there are few half-open connections', () => {
    const guard = new FloodGuard(CONNECTIONS);
    guard.observe(guard.alarmLimit);
    expect(guard.isGuarding).toBe(false);
    expect(guard.admits(1, 2, 3, 4)).toBe(true);
  });

  it('admits a SYN that is sent again, and no other', () => {
    const guard = alarmed();
    expect(guard.admits(1, 2, 3, 4)).toBe(false);
    expect(guard.admits(9, 2, 3, 4)).toBe(false);
    expect(guard.admits(1, 9, 3, 4)).toBe(false);
    expect(guard.admits(1, 2, 9, 4)).toBe(false);
    expect(guard.admits(1, 2, 3, 9)).toBe(false);
    expect(guard.admits(1, 2, 3, 4)).toBe(true);
    expect(guard.admits(1, 2, 3, 4)).toBe(false);
  });

  it('stays until there are half as many, and comes again', () => {
    const guard = alarmed();
    guard.observe(guard.reliefLimit);
    expect(guard.isGuarding).toBe(true);
    guard.observe(guard.reliefLimit - 1);
    expect(guard.isGuarding).toBe(false);
    guard.observe(guard.alarmLimit + 1);
    expect(guard.isGuarding).toBe(true);
  });

  it('goes by a quarter of a small table, and by a fixed number in a large one', () => {
    expect(new FloodGuard(1024).alarmLimit).toBe(256);
    expect(new FloodGuard(1 << 20).alarmLimit).toBe(8192);
  });

  it('lets few of a million made-up SYNs through, and knows most real ones again after them', () => {
    const seed = 4711;
    const random = new Prng(seed);
    const guard = alarmed();
    for (let client = 0; client < 1000; client++) guard.admits(client, 7, 7, 7);
    let admitted = 0;
    for (let i = 0; i < 1_000_000; i++) {
      if (guard.admits(random.next(), 7, random.next(), random.next())) admitted++;
    }
    let known = 0;
    for (let client = 0; client < 1000; client++) if (guard.admits(client, 7, 7, 7)) known++;
    expect(admitted, `seed ${seed}`).toBeLessThan(200);
    expect(known, `seed ${seed}`).toBeGreaterThan(730);
  });
});

describe('the switch under a flood of SYNs', () => {
  const made = (i: number) => request({ ...SYN, sourcePort: 1000 + (i % 60_000), sequence: i });
  const flood = (bench: SwitchBench, from: number, count: number) => {
    for (let i = from; i < from + count; i++) {
      bench.inject(made(i), EXT);
      if (i % 32 !== 0) continue;
      bench.advance(1);
      bench.collect();
    }
    bench.settle();
  };

  it('keeps the table free, serves the established, and takes who asks twice', async () => {
    const bench = await SwitchBench.create({ connections: CONNECTIONS });
    handshake(bench);
    flood(bench, 0, 5000);
    const { single } = readCounters(bench.memory);
    expect(single.halfOpen).toBeLessThan(CONNECTIONS / 2);
    expect(bench.count('flood-guard')).toBeGreaterThan(4500);
    expect(bench.count('reset-table-full')).toBe(0);
    expect(bench.pass(request(ACK)).reasons).toEqual(['connection']);
    expect(bench.pass(answer(ACK), INT).reasons).toEqual(['connection']);
    expect(bench.pass(query()).reasons).toEqual(['new-connection']);
    const client = request({ ...SYN, sourcePort: 999 });
    expect(bench.pass(client).reasons).toEqual(['flood-guard']);
    flood(bench, 5000, 2000);
    expect(bench.pass(client).reasons).toEqual(['new-connection']);
  });

  it('is over a few seconds after the flood', async () => {
    const bench = await SwitchBench.create({ connections: CONNECTIONS });
    handshake(bench);
    flood(bench, 0, 2000);
    for (let i = 0; i < 10_000; i++) bench.advance(1);
    bench.settle();
    expect(readCounters(bench.memory).single.halfOpen).toBeLessThan(CONNECTIONS / 8);
    expect(bench.pass(request({ ...SYN, sourcePort: 999 })).reasons).toEqual(['new-connection']);
    expect(bench.pass(request(ACK)).reasons).toEqual(['connection']);
  });
});
