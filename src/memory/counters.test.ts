import { describe, expect, it } from 'vitest';
import {
  COUNTER_EXPIRED,
  COUNTER_TURNS,
  Counters,
  readCounters,
  SINGLE_COUNTERS,
  sumCounter,
} from './counters.ts';
import { COUNTERS_SIZE, MAX_INTERFACES } from './layout.ts';
import { REASONS, reason, VERDICTS } from './reasons.ts';
import { plainMainMemory } from './region.ts';

describe('Counters', () => {
  it('sums over processors, and keeps every counter apart from every other', () => {
    const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 3 });
    const counters = [0, 1, 2].map((p) => new Counters(memory, p));
    counters.forEach((c, p) => {
      for (let i = 0; i < REASONS.length; i++) {
        for (let n = 0; n <= p; n++) c.count(i);
      }
      for (let i = 0; i < MAX_INTERFACES; i++) {
        c.received(i, 1, 100 + i);
        c.transmitted(i, 1000 + i);
      }
      c.setWaiting(5);
      c.setWaiting(p);
      c.handedOver(7);
      c.takenOver(9);
      c.turn(0);
      c.turn(3);
      c.add(COUNTER_EXPIRED, 11);
    });
    const all = readCounters(memory);
    expect(all.single).toMatchObject({
      received: 3 * MAX_INTERFACES,
      waiting: 3,
      handedOver: 21,
      takenOver: 27,
      turns: 6,
      idleTurns: 3,
      expired: 33,
      evicted: 0,
    });
    for (const [name] of REASONS) expect(all.reasons[name]).toBe(6);
    expect(all.interfaces[63]).toEqual({
      receivedPackets: 3,
      receivedBytes: 3 * 163,
      sentPackets: 3,
      sentBytes: 3 * 1063,
    });
    expect(readCounters(memory, 1).reasons['not-ours']).toBe(2);
    expect(sumCounter(memory, COUNTER_TURNS)).toBe(6);
  });

  it('adds reasons up to their verdicts', () => {
    const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
    const counters = new Counters(memory, 0);
    counters.count(reason('connection'));
    counters.count(reason('new-connection'));
    counters.count(reason('no-route'));
    counters.count(reason('arp-answered'));
    const { verdicts } = readCounters(memory);
    expect(verdicts).toEqual({ forwarded: 2, dropped: 1, punted: 0, consumed: 1 });
    expect(Object.keys(verdicts)).toEqual([...VERDICTS]);
  });

  it('keeps the names where the numbers say, and each processor to its page', async () => {
    const module: Record<string, unknown> = await import('./counters.ts');
    for (const [i, name] of SINGLE_COUNTERS.entries()) {
      const constant = name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase();
      expect(module[`COUNTER_${constant}`], name).toBe(i);
    }
    const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 2 });
    const counters = new Counters(memory, 1);
    for (let i = 0; i < REASONS.length; i++) counters.count(i);
    counters.transmitted(MAX_INTERFACES - 1, 1);
    const end = (memory.layout.counters + 2 * COUNTERS_SIZE) / 8;
    expect(
      memory.doubles.slice(end - COUNTERS_SIZE / 4, end - COUNTERS_SIZE / 8).every((d) => d === 0),
    ).toBe(true);
    expect(memory.doubles[end]).toBe(0);
  });
});
