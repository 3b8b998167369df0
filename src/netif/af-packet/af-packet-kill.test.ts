// A process that is killed at its n-th write to main memory or the rings, for every n there is, and
// the one that follows it on the same socket. Nothing may be sent twice or out of order, no frame
// may leak, and nothing may be lost but what the killed process had in its hands.

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { countingAtomics, Killed, killableProcess } from '../../../test/support/killable-memory.ts';
import {
  enterPrivateNetwork,
  FarEnd,
  ip,
  makeVethPair,
} from '../../../test/support/private-network.ts';
import { FramePool } from '../../memory/frame-pool.ts';
import { computeLayout } from '../../memory/layout.ts';
import { formatMainMemory, type MainMemory } from '../../memory/region.ts';
import { closeFd } from '../../sys/libc.ts';
import { attachMemoryFile, createMemoryFile } from '../../sys/main-memory.ts';
import { mapPacketRings, type PacketRings } from '../../sys/packet-socket.ts';
import { socketFrames, testFrame } from '../contract.harness.ts';
import { AfPacketQueue } from './af-packet-queue.ts';
import type { PacketGeometry } from './geometry.ts';
import { openAfPacket } from './open.ts';

const SIZES = { connections: 1024, frames: 256, processors: 1 };
const GEOMETRY: PacketGeometry = {
  receive: { slotSize: 2048, slotCount: 32 },
  transmit: { slotSize: 2048, slotCount: 32 },
};
const TEST_TYPE = 0x88b5;
const SENT = 5;
const skip = enterPrivateNetwork();
if (skip !== undefined) console.warn(`skipped: af-packet processes that are killed: ${skip}`);

/** A processor that does nothing but send back what it receives. */
class Echo {
  readonly pool: FramePool;
  readonly queue: AfPacketQueue;
  private readonly offsets = new Int32Array(32);
  private readonly lengths = new Int32Array(32);

  constructor(memory: MainMemory, fd: number, rings: PacketRings) {
    this.pool = new FramePool(memory, 0);
    this.queue = new AfPacketQueue(memory, this.pool, 1, fd, rings, GEOMETRY);
    this.pool.recover(socketFrames(memory, this.queue));
  }

  turn(): void {
    const count = this.queue.receiveBurst(this.offsets, this.lengths, 3);
    for (let i = 0; i < count; i++) this.queue.transmit(this.offsets[i], this.lengths[i]);
    this.queue.flush();
    this.queue.reclaim();
  }
}

function numbersOf(frames: Uint8Array[]): number[] {
  return frames.map((frame) => new DataView(frame.buffer).getUint32(8));
}

describe.skipIf(skip !== undefined)('a process killed at any write', () => {
  let far: FarEnd;
  let fd: number;
  let memory: MainMemory;
  let rings: PacketRings;

  beforeAll(() => {
    makeVethPair('weir0', 'far0');
    far = new FarEnd('far0', TEST_TYPE);
    const size = computeLayout(SIZES).totalSize;
    const file = createMemoryFile('weir-test', size, false);
    const range = attachMemoryFile(file.fd, size);
    closeFd(file.fd);
    memory = formatMainMemory(range.buffer, SIZES);
    const options = { interfaceName: 'weir0', queues: 1, geometry: GEOMETRY };
    [fd] = openAfPacket(options).fileDescriptors;
    rings = mapPacketRings(range, fd, GEOMETRY.receive, GEOMETRY.transmit);
    vi.stubGlobal('Atomics', countingAtomics);
  });

  afterAll(() => {
    vi.unstubAllGlobals();
    far.close();
    closeFd(fd);
    ip('link del weir0');
  });

  /** Turns of a successor until everything has come out; what was sent, in order. */
  function finish(number: number): number[] {
    const successor = new Echo(memory, fd, rings);
    for (let i = 0; i < 4; i++) successor.turn();
    successor.pool.confirmSuspects(socketFrames(memory, successor.queue));
    expect(successor.pool.freeCount, `after ${number} writes`).toBe(SIZES.frames);
    expect(successor.pool.misplaced).toBe(0);
    const numbers = numbersOf(far.collect());
    // And the rings are where both sides think they are.
    for (let i = 0; i < 40; i++) {
      far.send(testFrame(1000 + i, 60));
      successor.turn();
      expect(numbersOf(far.collect()), `after ${number} writes`).toEqual([1000 + i]);
    }
    expect(successor.pool.freeCount).toBe(SIZES.frames);
    return numbers;
  }

  it('is followed by one that goes on exactly there', () => {
    const whole = [...Array(SENT).keys()];
    let writes = 0;
    for (let killed = true; killed; writes++) {
      for (const number of whole) far.send(testFrame(number, 60));
      const process = killableProcess(memory);
      const echo = new Echo(process.memory, fd, rings);
      process.allow(writes);
      try {
        for (let i = 0; i < 3; i++) echo.turn();
        killed = false;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
      const numbers = finish(writes);
      const sorted = [...new Set(numbers)].sort((a, b) => a - b);
      expect(numbers, `after ${writes} writes`).toEqual(sorted);
      // A burst is three frames: no more were in its hands.
      expect(numbers.length, `after ${writes} writes`).toBeGreaterThanOrEqual(SENT - 3);
      if (!killed) expect(numbers).toEqual(whole);
    }
    // Per frame: two owners and two ring writes on the way in, four out, three back.
    expect(writes).toBeGreaterThan(SENT * 9);
  });
});
