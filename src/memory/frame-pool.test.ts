import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  countingAtomics,
  type KillableProcess,
  Killed,
  killableProcess,
} from '../../test/support/killable-memory.ts';
import { Prng } from '../base/prng.ts';
import { FramePool, OWNER_FREE, type SocketFrames } from './frame-pool.ts';
import { FRAME_HEADROOM, FRAME_SIZE, HAND_OVER_LANE_CAPACITY } from './layout.ts';
import { plainMainMemory } from './region.ts';
import { handOverLane, SpscRing } from './spsc-ring.ts';

const FRAMES = 256;

function started(processors: number): FramePool[] {
  const memory = plainMainMemory({ connections: 1024, frames: FRAMES, processors });
  return Array.from({ length: processors }, (_, p) => {
    const pool = new FramePool(memory, p);
    expect(pool.recover([])).toBe(0);
    return pool;
  });
}

describe('FramePool', () => {
  it('shares all frames of fresh memory out among the processors', () => {
    for (const processors of [1, 2, 3, 7, 64]) {
      const pools = started(processors);
      const counts = pools.map((pool) => pool.freeCount);
      expect(counts.reduce((a, b) => a + b)).toBe(FRAMES);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      const seen = new Set<number>();
      for (const pool of pools) {
        for (let offset = pool.take(); offset !== -1; offset = pool.take()) {
          expect((offset - FRAME_HEADROOM) % FRAME_SIZE).toBe(0);
          seen.add(pool.frameOf(offset));
        }
        expect(pool.freeCount).toBe(0);
      }
      expect(seen.size).toBe(FRAMES);
    }
  });

  it('takes back a frame by any offset inside it, once', () => {
    const [pool] = started(1);
    const offset = pool.take();
    expect(pool.give(offset + FRAME_SIZE - FRAME_HEADROOM - 1)).toBe(1);
    expect(pool.freeCount).toBe(FRAMES);
    expect(pool.give(offset)).toBe(0);
    expect(pool.freeCount).toBe(FRAMES);
    expect(pool.misplaced).toBe(1);
  });

  it('sends a foreign frame home with the next publication', () => {
    const [pool0, pool1] = started(2);
    const offset = pool0.take();
    pool0.toLane(offset, 1);
    expect(pool1.fromLane(offset)).toBe(1);
    expect(pool1.fromLane(offset)).toBe(0);
    expect(pool1.give(offset)).toBe(1);
    expect(pool0.collectReturned()).toBe(0);
    pool1.publishReturns();
    expect(pool0.collectReturned()).toBe(1);
    expect(pool0.freeCount).toBe(FRAMES / 2);
    expect(pool0.ownerOf(pool0.frameOf(offset))).toBe(OWNER_FREE);
  });

  it('keeps the hands of interfaces and processors apart', () => {
    const [pool0, pool1] = started(2);
    const offset = pool0.take();
    expect(pool0.fromInterface(offset)).toBe(0);
    pool0.toInterface(offset, 3);
    expect(pool0.give(offset)).toBe(0);
    expect(pool1.fromLane(offset)).toBe(0);
    expect(pool0.fromInterface(offset)).toBe(1);
    pool0.toLane(offset, 1);
    pool0.keep(offset);
    expect(pool0.give(offset)).toBe(1);
    expect(pool0.freeCount).toBe(FRAMES / 2);
  });
});

/** A socket with the kernel behind it: rings as a killed process leaves them. */
class ModelSocket {
  /** Fill and transmit ring, as published. */
  toKernel: number[] = [];
  /** What the kernel holds without showing it. */
  inside: number[] = [];
  /** Receive and completion ring. */
  fromKernel: number[] = [];
}

/** One processor that does everything a real one does with frames, step by step. */
class ModelProcessor {
  readonly number: number;
  readonly socket = new ModelSocket();
  readonly process: KillableProcess;
  hands: number[] = [];
  pool!: FramePool;
  lanesIn: SpscRing[] = [];
  lanesOut: SpscRing[] = [];

  constructor(process: KillableProcess, number: number) {
    this.process = process;
    this.number = number;
  }

  rings(): SocketFrames[] {
    const inRings = new Uint8Array(FRAMES);
    for (const offset of this.socket.toKernel) inRings[this.pool.frameOf(offset)] = 1;
    for (const offset of this.socket.fromKernel) inRings[this.pool.frameOf(offset)] = 1;
    return [{ socket: this.number, inRings }];
  }

  start(processors: number): void {
    const { memory } = this.process;
    this.hands = [];
    this.pool = new FramePool(memory, this.number);
    this.pool.recover(this.rings());
    const lane = (from: number, to: number) =>
      new SpscRing(memory, handOverLane(memory.layout, from, to), HAND_OVER_LANE_CAPACITY);
    this.lanesIn = [];
    this.lanesOut = [];
    for (let p = 0; p < processors; p++) {
      this.lanesIn.push(lane(p, this.number));
      this.lanesOut.push(lane(this.number, p));
    }
  }

  turn(random: Prng): void {
    const { pool, socket } = this;
    const received = socket.fromKernel.slice(0, random.below(4));
    const valid = received.filter((offset) => pool.fromInterface(offset) === 1);
    socket.fromKernel.splice(0, received.length);
    this.hands.push(...valid);
    for (const lane of this.lanesIn) {
      const count = Math.min(lane.available(), random.below(4));
      const taken: number[] = [];
      for (let i = 0; i < count; i++) {
        if (pool.fromLane(lane.first(i)) === 1) taken.push(lane.first(i));
      }
      lane.release(count);
      this.hands.push(...taken);
    }
    for (let i = random.below(4); i > 0; i--) {
      const offset = pool.take();
      if (offset !== -1) this.hands.push(offset);
    }
    const staged: number[] = [];
    while (this.hands.length > 0 && random.below(5) > 0) {
      const offset = this.hands.splice(random.below(this.hands.length), 1)[0];
      const choice = random.below(3);
      const to = random.below(this.lanesOut.length);
      if (choice === 0 && to !== this.number) {
        pool.toLane(offset, to);
        expect(this.lanesOut[to].push(offset, 0)).toBe(1);
      } else if (choice === 1) {
        pool.toInterface(offset, this.number);
        staged.push(offset);
      } else {
        expect(pool.give(offset)).toBe(1);
      }
    }
    socket.toKernel.push(...staged);
    for (const lane of this.lanesOut) lane.publish();
    pool.publishReturns();
    pool.collectReturned();
  }
}

function kernelTurn(socket: ModelSocket, random: Prng): void {
  socket.inside.push(...socket.toKernel.splice(0, random.below(6)));
  socket.fromKernel.push(...socket.inside.splice(0, random.below(6)));
}

/** Hands that hold a frame at this moment, over the living and the kernel; each must be alone. */
function expectOneHolderEach(processors: ModelProcessor[], seed: number): void {
  const holders = new Map<number, string>();
  const hold = (offset: number, who: string, pool: FramePool) => {
    const frame = pool.frameOf(offset);
    const other = holders.get(frame);
    if (other !== undefined) throw new Error(`seed ${seed}: frame ${frame}: ${other} and ${who}`);
    if (pool.ownerOf(frame) === OWNER_FREE) throw new Error(`seed ${seed}: ${who}: free ${frame}`);
    holders.set(frame, who);
  };
  for (const p of processors) {
    for (const offset of p.hands) hold(offset, `hands ${p.number}`, p.pool);
    for (const offset of p.socket.inside) hold(offset, `kernel ${p.number}`, p.pool);
    for (const offset of p.socket.toKernel) hold(offset, `ring to ${p.number}`, p.pool);
    for (const offset of p.socket.fromKernel) hold(offset, `ring from ${p.number}`, p.pool);
    for (const lane of p.lanesIn) {
      for (let i = lane.available() - 1; i >= 0; i--) hold(lane.first(i), 'a lane', p.pool);
    }
  }
}

function killAndDrain(seed: number): number {
  const random = new Prng(seed);
  const count = 1 + random.below(3);
  const memory = plainMainMemory({ connections: 1024, frames: FRAMES, processors: count });
  const processors = Array.from(
    { length: count },
    (_, p) => new ModelProcessor(killableProcess(memory), p),
  );
  for (const p of processors) p.start(count);
  let kills = 0;
  for (let step = 0; step < 120; step++) {
    const p = processors[random.below(count)];
    if (random.below(3) === 0) p.process.allow(random.below(40));
    try {
      p.turn(random);
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      kills += 1;
      // The recovery itself is killed now and then as well.
      for (;;) {
        p.process.allow(random.below(2) === 0 ? random.below(300) : Number.POSITIVE_INFINITY);
        try {
          p.start(count);
          break;
        } catch (again) {
          if (!(again instanceof Killed)) throw again;
        }
      }
    }
    p.process.allow(Number.POSITIVE_INFINITY);
    for (const { socket } of processors) kernelTurn(socket, random);
    if (random.below(10) === 0) confirm(p);
    expectOneHolderEach(processors, seed);
  }
  drain(processors, seed);
  return kills;
}

/** Two seconds have passed: the kernel has shown what it held. */
function confirm(p: ModelProcessor): void {
  p.socket.fromKernel.push(...p.socket.inside.splice(0));
  p.pool.confirmSuspects(p.rings());
}

/** Everything comes home; then every frame must be free, exactly once. */
function drain(processors: ModelProcessor[], seed: number): void {
  for (const p of processors) {
    p.socket.inside.push(...p.socket.toKernel.splice(0));
    confirm(p);
    for (const offset of p.socket.fromKernel.splice(0)) {
      if (p.pool.fromInterface(offset) === 1) p.hands.push(offset);
    }
    for (const lane of p.lanesIn) {
      const count = lane.available();
      for (let i = 0; i < count; i++) {
        if (p.pool.fromLane(lane.first(i)) === 1) p.hands.push(lane.first(i));
      }
      lane.release(count);
    }
  }
  expectOneHolderEach(processors, seed);
  for (const p of processors) {
    for (const offset of p.hands.splice(0)) p.pool.give(offset);
    p.pool.publishReturns();
  }
  const seen = new Set<number>();
  for (const p of processors) {
    p.pool.collectReturned();
    for (let offset = p.pool.take(); offset !== -1; offset = p.pool.take()) {
      const frame = p.pool.frameOf(offset);
      expect(seen.has(frame), `seed ${seed}: frame ${frame} twice`).toBe(false);
      seen.add(frame);
    }
  }
  expect(seen.size, `seed ${seed}`).toBe(FRAMES);
}

describe('FramePool, killed at any write', () => {
  beforeAll(() => {
    vi.stubGlobal('Atomics', countingAtomics);
  });
  afterAll(() => {
    vi.unstubAllGlobals();
  });

  it('loses no frame and gives none to two', () => {
    const first = (Math.random() * 0x7fffffff) | 0;
    console.log(`seeds from ${first}`);
    let kills = 0;
    for (let i = 0; i < 100; i++) kills += killAndDrain(first + i);
    expect(kills).toBeGreaterThan(100);
  });
});
