// Each fault alone, then all of them together at every rate: the same seed gives the same faults,
// frames are in exactly one place whatever happens, and what is counted adds up.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FramePool } from '../memory/frame-pool.ts';
import { type MainMemory, plainMainMemory } from '../memory/region.ts';
import { firstPool, testFrame } from './contract.harness.ts';
import { FaultInjector, type FaultRates } from './fault-injector.ts';
import { type LoopbackQueue, loopbackQueue } from './loopback.ts';

const FRAMES = 256;
const ALWAYS = 1000;

interface Bench {
  memory: MainMemory;
  pool: FramePool;
  wire: LoopbackQueue;
  injector: FaultInjector;
}

function bench(rates: FaultRates, seed = 1): Bench {
  const memory = plainMainMemory({ connections: 1024, frames: FRAMES, processors: 1 });
  const pool = firstPool(memory);
  const wire = loopbackQueue({ memory, pool, socket: 1 }, 128);
  return { memory, pool, wire, injector: new FaultInjector(wire, memory, pool, rates, seed) };
}

/** One poll: the frames that came, given back to the pool. */
function poll({ memory, pool, injector }: Bench, limit = 32): Uint8Array[] {
  const offsets = new Int32Array(limit);
  const lengths = new Int32Array(limit);
  const count = injector.receiveBurst(offsets, lengths, limit);
  expect(count).toBeLessThanOrEqual(limit);
  const frames: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    frames.push(memory.bytes.slice(offsets[i], offsets[i] + lengths[i]));
    expect(pool.give(offsets[i])).toBe(1);
  }
  return frames;
}

function numbers(frames: Uint8Array[]): number[] {
  return frames.map((bytes) => new DataView(bytes.buffer).getUint32(8));
}

describe('one fault', () => {
  it('loss: the frame is back in the pool', () => {
    const it = bench({ loss: ALWAYS });
    for (let i = 0; i < 10; i++) it.wire.inject(testFrame(i, 60));
    expect(poll(it)).toEqual([]);
    expect([it.injector.lossCount, it.pool.freeCount]).toEqual([10, FRAMES]);
  });

  it('duplication: the double is a frame of its own, one poll later', () => {
    const it = bench({ duplication: ALWAYS });
    for (let i = 0; i < 3; i++) it.wire.inject(testFrame(i, 60));
    expect(numbers(poll(it))).toEqual([0, 1, 2]);
    expect(it.pool.freeCount).toBe(FRAMES - 3);
    expect(poll(it)).toEqual([testFrame(0, 60), testFrame(1, 60), testFrame(2, 60)]);
    expect(poll(it)).toEqual([]);
    expect([it.injector.duplicationCount, it.pool.freeCount]).toEqual([3, FRAMES]);
  });

  it('reordering: later frames come first, and nothing is lost', () => {
    const it = bench({ reordering: 300 });
    const seen: number[] = [];
    for (let i = 0; i < 200; i++) {
      it.wire.inject(testFrame(i, 60));
      seen.push(...numbers(poll(it)));
    }
    for (let i = 0; i < 5; i++) seen.push(...numbers(poll(it)));
    const sorted = [...seen].sort((a, b) => a - b);
    expect(seen).not.toEqual(sorted);
    expect(sorted).toEqual([...Array(200).keys()]);
  });

  it('corruption: exactly one bit', () => {
    const it = bench({ corruption: ALWAYS });
    const places = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const original = testFrame(i, 60);
      it.wire.inject(original);
      const [bytes] = poll(it);
      let bits = 0;
      for (const [at, byte] of bytes.entries()) {
        for (let changed = byte ^ original[at]; changed !== 0; changed &= changed - 1) {
          bits += 1;
          places.add(at);
        }
      }
      expect([bytes.length, bits]).toEqual([60, 1]);
    }
    expect(places.size).toBeGreaterThan(30);
  });

  it('truncation: the first bytes, at least one and not all', () => {
    const it = bench({ truncation: ALWAYS });
    const found = new Set<number>();
    for (let i = 0; i < 300; i++) {
      it.wire.inject(testFrame(i, 20));
      const [bytes] = poll(it);
      found.add(bytes.length);
      expect(bytes).toEqual(testFrame(i, 20).slice(0, bytes.length));
    }
    expect([...found].sort((a, b) => a - b)).toEqual([...Array(20).keys()].slice(1));
  });

  it('a full transmit ring: refusals in bursts, and the frame stays the caller’s', () => {
    const { pool, injector, wire } = bench({ transmitFull: 100, transmitFullBurst: 8 });
    const offset = pool.take();
    const runs: number[] = [];
    let run = 0;
    for (let accepted = 0; accepted < 200; ) {
      if (injector.transmit(offset, 60) === 0) {
        run += 1;
        expect(pool.give(offset)).toBe(1);
        expect(pool.take()).toBe(offset);
        continue;
      }
      accepted += 1;
      injector.flush();
      expect(injector.reclaim()).toBe(1);
      expect(pool.take()).toBe(offset);
      wire.collect();
      if (run > 0) runs.push(run);
      run = 0;
    }
    expect(Math.max(...runs)).toBeGreaterThan(2);
    expect(runs.reduce((a, b) => a + b, 0) + run).toBe(injector.refusalCount);
  });
});

describe('all faults together', () => {
  const rate = fc.integer({ min: 0, max: ALWAYS });
  const rates = fc.record({
    loss: rate,
    duplication: rate,
    reordering: rate,
    corruption: rate,
    truncation: rate,
  });

  it('keep every frame in one place, and count every one', () => {
    fc.assert(
      fc.property(rates, fc.integer(), fc.integer({ min: 1, max: 40 }), (faults, seed, limit) => {
        const it = bench(faults, seed);
        let came = 0;
        let injected = 0;
        for (let i = 0; i < 60; i++) {
          for (let n = 0; n < 4; n++) {
            if (it.wire.inject(testFrame(i * 4 + n, 60))) injected += 1;
          }
          came += poll(it, limit).length;
        }
        // The wire first, then what is held; with a small limit that takes its time.
        for (let i = 0; i < 600; i++) came += poll(it, limit).length;
        const { lossCount, duplicationCount, refusalCount } = it.injector;
        const sent = came + lossCount - duplicationCount;
        expect(sent).toBe(injected);
        expect(refusalCount).toBe(0);
        expect(it.pool.freeCount).toBe(FRAMES);
        expect(it.pool.misplaced).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it('follow from the seed alone', () => {
    const play = (seed: number): string => {
      const faults = { loss: 200, duplication: 200, reordering: 200, corruption: 200 };
      const it = bench(faults, seed);
      const seen: string[] = [];
      for (let i = 0; i < 100; i++) {
        it.wire.inject(testFrame(i, 60));
        seen.push(...poll(it).map((bytes) => Buffer.from(bytes).toString('hex')));
      }
      return seen.join();
    };
    expect(play(7)).toBe(play(7));
    expect(play(7)).not.toBe(play(8));
  });

  it('gives held frames back when it is closed', () => {
    const it = bench({ reordering: ALWAYS });
    for (let i = 0; i < 10; i++) it.wire.inject(testFrame(i, 60));
    expect(poll(it)).toEqual([]);
    expect(it.pool.freeCount).toBe(FRAMES - 10);
    it.injector.close();
    expect(it.pool.freeCount).toBe(FRAMES);
  });
});
