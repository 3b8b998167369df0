// What the interface contract's tests (contract.suite.ts) stand on: the fixture that a kind of
// interface brings, frames that no kernel answers, and a harness that drives a queue as a processor
// does and keeps the books of every frame: in the interface, in its hands, or free. `checkOwners`
// compares them with the owner marks of all frames in main memory.

import { expect } from 'vitest';
import { Prng } from '../base/prng.ts';
import {
  FramePool,
  OWNER_FREE,
  OWNER_INTERFACE,
  OWNER_PROCESSOR,
  type SocketFrames,
} from '../memory/frame-pool.ts';
import type { MainMemory } from '../memory/region.ts';
import type { InterfaceQueue } from './contract.ts';

/** A queue under test and its far end. */
export interface ContractFixture {
  readonly memory: MainMemory;
  /** The pool of processor 0, recovered; `reopen` replaces it. */
  readonly pool: FramePool;
  /** `reopen` replaces it. */
  readonly queue: InterfaceQueue;
  /** Frames that can be transmitted until `transmit` refuses; there are more frames than that. */
  readonly transmitCapacity: number;
  /** Whether frames are received into those that `refill` gave, or into ones taken at that moment. */
  readonly receivesIntoRefilled: boolean;
  /** Whether the far end sees a frame only after the kernel has made it 60 bytes long. */
  readonly padsToMinimum?: boolean;
  /** As the far end: puts a frame on the wire. */
  send(bytes: Uint8Array): void;
  /** As the far end: takes off the wire what the queue has sent, in order. */
  collect(): Uint8Array[];
  /** Abandons queue and pool as a killed process does, and makes new ones on the same rings. */
  reopen?(): void;
  /** Reclaims the frames that the kernel might still have held (FramePool.confirmSuspects). */
  confirmSuspects?(): void;
  setLinkUp?(up: boolean): void;
  close(): void;
}

/** A queue that can say what is in its rings, for the frame pool's recovery. */
export interface RecoverableQueue {
  readonly socket: number;
  framesInRings(marks: Uint8Array): void;
}

/** What is in the rings of a queue, as the frame pool wants to know it. */
export function socketFrames(memory: MainMemory, queue: RecoverableQueue): SocketFrames[] {
  const inRings = new Uint8Array(memory.layout.frames);
  queue.framesInRings(inRings);
  return [{ socket: queue.socket, inRings }];
}

/** The pool of processor 0, as it is at the first start. */
export function firstPool(memory: MainMemory): FramePool {
  const pool = new FramePool(memory, 0);
  pool.recover([]);
  return pool;
}

/** Frames on the wire at once: fewer than any kind loses. */
export const WINDOW = 32;
export const MINIMUM_LENGTH = 14;
export const MAXIMUM_LENGTH = 1514;
export const ETHERNET_MINIMUM = 60;
/** Long after anything should have arrived, also on a busy machine. */
const DEADLINE_MS = 5000;
const SENTINEL = -7;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** A frame of `length` bytes that no kernel answers; its number stands in the source MAC address. */
export function testFrame(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  const random = new Prng(number + 1);
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0]);
  view.setUint32(8, number);
  view.setUint16(12, 0x88b5); // local experimental
  for (let i = MINIMUM_LENGTH; i < length; i++) bytes[i] = random.below(256);
  return bytes;
}

/** Drives a queue as a processor does, and keeps the books. */
export class Harness {
  readonly fixture: ContractFixture;
  readonly offsets = new Int32Array(WINDOW + 1);
  readonly lengths = new Int32Array(WINDOW + 1);
  /** Frames that the interface has to receive into, or to send. */
  private filled = 0;
  private transmitted = 0;
  private inHands = 0;

  constructor(fixture: ContractFixture) {
    this.fixture = fixture;
    this.refill();
  }

  refill(): number {
    const count = this.fixture.queue.refill();
    this.filled += count;
    return count;
  }

  receive(limit = WINDOW): number {
    const { queue, receivesIntoRefilled } = this.fixture;
    this.offsets.fill(SENTINEL);
    this.lengths.fill(SENTINEL);
    const count = queue.receiveBurst(this.offsets, this.lengths, limit);
    expect(count).toBeLessThanOrEqual(limit);
    expect(this.offsets[count]).toBe(SENTINEL);
    expect(this.lengths[count]).toBe(SENTINEL);
    if (receivesIntoRefilled) this.filled -= count;
    this.inHands += count;
    return count;
  }

  bytesOf(index: number): Uint8Array {
    const start = this.offsets[index];
    return this.fixture.memory.bytes.slice(start, start + this.lengths[index]);
  }

  give(offset: number): void {
    expect(this.fixture.pool.give(offset)).toBe(1);
    this.inHands -= 1;
  }

  take(): number {
    const offset = this.fixture.pool.take();
    if (offset !== -1) this.inHands += 1;
    return offset;
  }

  transmit(offset: number, length: number): number {
    const taken = this.fixture.queue.transmit(offset, length);
    this.transmitted += taken;
    this.inHands -= taken;
    return taken;
  }

  /** Takes a frame, writes the bytes and offers it. */
  transmitBytes(bytes: Uint8Array, shift = 0): void {
    const offset = this.take();
    expect(offset).not.toBe(-1);
    this.fixture.memory.bytes.set(bytes, offset + shift);
    expect(this.transmit(offset + shift, bytes.length)).toBe(1);
  }

  reclaim(): number {
    const count = this.fixture.queue.reclaim();
    this.transmitted -= count;
    return count;
  }

  /** Tries until it holds: kernels deliver soon, not at once. */
  until(isTrue: () => boolean, what: string): void {
    const deadline = Date.now() + DEADLINE_MS;
    for (let tries = 0; !isTrue(); tries++) {
      if (Date.now() > deadline) throw new Error(`in vain: ${what}`);
      if (tries > 100) Atomics.wait(sleepCell, 0, 0, 1);
    }
  }

  /** Receives until `count` frames have come, and checks that no further one follows. */
  receiveFrames(count: number): Uint8Array[] {
    const frames: Uint8Array[] = [];
    const poll = (): boolean => {
      const received = this.receive();
      for (let i = 0; i < received; i++) {
        frames.push(this.bytesOf(i));
        this.give(this.offsets[i]);
      }
      this.refill();
      return frames.length >= count;
    };
    this.until(poll, `${frames.length} of ${count} frames received`);
    poll();
    expect(frames.length).toBe(count);
    return frames;
  }

  /** Collects at the far end until `count` frames have come, and no further one. */
  collectFrames(count: number): Uint8Array[] {
    const frames: Uint8Array[] = [];
    const poll = (): boolean => {
      frames.push(...this.fixture.collect());
      return frames.length >= count;
    };
    this.until(poll, `${frames.length} of ${count} frames collected`);
    poll();
    expect(frames.length).toBe(count);
    return frames;
  }

  reclaimAll(): void {
    this.until(() => {
      this.fixture.queue.flush();
      this.reclaim();
      return this.transmitted === 0;
    }, 'reclaiming what was sent');
  }

  /** What a killed process held in its hands comes back by the pool's recovery. */
  reopen(): void {
    this.fixture.reopen?.();
    this.inHands = 0;
  }

  /** Frames that were offered and will not come back by `reclaim`. */
  forgetTransmitted(count: number): void {
    this.transmitted -= count;
  }

  /** Compares the books with the owner marks of all frames. */
  checkOwners(): void {
    const { memory, pool } = this.fixture;
    const counts = new Map<number, number>();
    for (let frame = 0; frame < memory.layout.frames; frame++) {
      const kind = pool.ownerOf(frame) & ~0xffff;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    const held = this.filled + this.transmitted;
    expect({
      free: counts.get(OWNER_FREE) ?? 0,
      onStack: pool.freeCount,
      interface: counts.get(OWNER_INTERFACE) ?? 0,
      inHands: counts.get(OWNER_PROCESSOR) ?? 0,
      misplaced: pool.misplaced,
    }).toEqual({
      free: memory.layout.frames - held - this.inHands,
      onStack: memory.layout.frames - held - this.inHands,
      interface: held,
      inHands: this.inHands,
      misplaced: 0,
    });
  }
}

export function expectSame(actual: Uint8Array, expected: Uint8Array, mayBePadded: boolean): void {
  const padded = mayBePadded && expected.length < ETHERNET_MINIMUM;
  const cut = padded ? actual.subarray(0, expected.length) : actual;
  if (padded) expect([expected.length, ETHERNET_MINIMUM]).toContain(actual.length);
  // Buffer.compare, because a matcher over 1500 numbers takes a thousand times as long.
  if (Buffer.compare(cut, expected) !== 0) expect([...actual]).toEqual([...expected]);
}
