// An interface without a device: a wire in memory with two ends. What one end transmits, the other
// receives, copied into a frame of the receiver's own pool, so that two switches with main memories
// of their own can be joined; or the far end is a test, which injects frames and collects them.
// There are no timers, no threads and no randomness: what goes in comes out, in order, and a full
// wire refuses.
//
// One lane per direction, each a ring of copies with four cursors that only ever grow:
//
//   consumed ≤ published ≤ offered    and    reclaimed ≤ published
//   offered     next slot to write                     sender: transmit
//   published   everything before it may be received   sender: flush
//   consumed    everything before it was received      receiver
//   reclaimed   everything before it has its frame back in the pool   sender: reclaim
//
// The cursors belong to the lane, as those of a NIC belong to its rings: a queue that is abandoned
// (a killed process) is followed by another one on the same lanes, and nothing is lost.

import { assert } from '../base/assert.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import { FRAME_DATA_MAX, powerOfTwoAtLeast } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import type { InterfaceQueue } from './contract.ts';

/** One direction of a wire. */
export class LoopbackLane {
  readonly bytes: Uint8Array;
  readonly lengths: Int32Array;
  /** The sender's frame that each slot was copied from, until it is reclaimed. */
  readonly frames: Int32Array;
  readonly mask: number;
  offered = 0;
  published = 0;
  consumed = 0;
  reclaimed = 0;

  /** @param capacity frames that can be on the wire at once; rounded up to a power of two */
  constructor(capacity: number) {
    const slots = powerOfTwoAtLeast(capacity);
    this.bytes = new Uint8Array(slots * FRAME_DATA_MAX);
    this.lengths = new Int32Array(slots);
    this.frames = new Int32Array(slots);
    this.mask = slots - 1;
  }

  /** Whether the next slot is still waiting for the receiver or for its frame. @hot */
  isFull(): boolean {
    const slots = (this.mask + 1) | 0;
    return (
      ((this.offered - this.consumed) | 0) >= slots ||
      ((this.offered - this.reclaimed) | 0) >= slots
    );
  }
}

/** One end of a wire. */
export class LoopbackQueue implements InterfaceQueue {
  /** Always 0: a longer frame cannot be injected. */
  readonly truncatedCount = 0;
  readonly fileDescriptor: number;
  /** The number that the frame pool knows this queue by. */
  readonly socket: number;
  private readonly bytes: Uint8Array;
  private readonly pool: FramePool;
  private readonly incoming: LoopbackLane;
  private readonly outgoing: LoopbackLane;

  constructor(
    memory: MainMemory,
    pool: FramePool,
    socket: number,
    incoming: LoopbackLane,
    outgoing: LoopbackLane,
  ) {
    this.fileDescriptor = -1;
    this.socket = socket;
    this.bytes = memory.bytes;
    this.pool = pool;
    this.incoming = incoming;
    this.outgoing = outgoing;
  }

  /** @hot */
  receiveBurst(offsets: Int32Array, lengths: Int32Array, limit: number): number {
    const lane = this.incoming;
    let count = 0;
    while (count < limit && lane.consumed !== lane.published) {
      const offset = this.pool.take();
      if (offset === -1) break;
      const slot = lane.consumed & lane.mask;
      const length = lane.lengths[slot];
      const from = Math.imul(slot, FRAME_DATA_MAX);
      for (let i = 0; i < length; i++) this.bytes[offset + i] = lane.bytes[from + i];
      lane.consumed = (lane.consumed + 1) | 0;
      offsets[count] = offset;
      lengths[count] = length;
      count = (count + 1) | 0;
    }
    return count;
  }

  /** @hot */
  transmit(offset: number, length: number): number {
    const lane = this.outgoing;
    if (lane.isFull() || length > FRAME_DATA_MAX) return 0;
    this.pool.toInterface(offset, this.socket);
    const slot = lane.offered & lane.mask;
    const to = Math.imul(slot, FRAME_DATA_MAX);
    for (let i = 0; i < length; i++) lane.bytes[to + i] = this.bytes[offset + i];
    lane.lengths[slot] = length;
    lane.frames[slot] = offset;
    lane.offered = (lane.offered + 1) | 0;
    return 1;
  }

  /** @hot */
  flush(): number {
    this.outgoing.published = this.outgoing.offered;
    return 0;
  }

  /** @hot */
  reclaim(): number {
    const lane = this.outgoing;
    const first = lane.reclaimed;
    const count = (lane.published - first) | 0;
    for (let i = 0; i < count; i++) this.pool.fromInterface(lane.frames[(first + i) & lane.mask]);
    lane.reclaimed = lane.published;
    for (let i = 0; i < count; i++) this.pool.give(lane.frames[(first + i) & lane.mask]);
    return count;
  }

  /** Nothing to do: a frame is taken from the pool when one arrives. @hot */
  refill(): number {
    return 0;
  }

  close(): void {}

  /** Marks the frames that wait to be reclaimed, one byte per frame, for the frame pool's recovery. */
  framesInRings(marks: Uint8Array): void {
    const lane = this.outgoing;
    for (let at = lane.reclaimed; at !== lane.offered; at = (at + 1) | 0) {
      marks[this.pool.frameOf(lane.frames[at & lane.mask])] = 1;
    }
  }

  /** As the far end: sends a frame to this queue. @returns false when the wire is full. */
  inject(bytes: Uint8Array): boolean {
    assert(bytes.length <= FRAME_DATA_MAX, `a frame of ${bytes.length} bytes does not fit a chunk`);
    const lane = this.incoming;
    // A test has no frames to wait for.
    lane.reclaimed = lane.published;
    if (lane.isFull()) return false;
    const slot = lane.offered & lane.mask;
    lane.bytes.set(bytes, slot * FRAME_DATA_MAX);
    lane.lengths[slot] = bytes.length;
    lane.offered = (lane.offered + 1) | 0;
    lane.published = lane.offered;
    return true;
  }

  /** As the far end: takes everything that this queue has sent (transmitted and flushed). */
  collect(): Uint8Array[] {
    const lane = this.outgoing;
    const collected: Uint8Array[] = [];
    for (; lane.consumed !== lane.published; lane.consumed = (lane.consumed + 1) | 0) {
      const slot = lane.consumed & lane.mask;
      const from = slot * FRAME_DATA_MAX;
      collected.push(lane.bytes.slice(from, from + lane.lengths[slot]));
    }
    return collected;
  }
}

/** What a queue needs to know of the switch that it belongs to. */
export interface LoopbackEnd {
  readonly memory: MainMemory;
  readonly pool: FramePool;
  /** The number that the frame pool shall know the queue by: below 65536. */
  readonly socket: number;
}

/** One queue whose far end is the caller (`inject`, `collect`). */
export function loopbackQueue(end: LoopbackEnd, capacity = 256): LoopbackQueue {
  const incoming = new LoopbackLane(capacity);
  return new LoopbackQueue(end.memory, end.pool, end.socket, incoming, new LoopbackLane(capacity));
}

/** Two queues joined by a wire; they may belong to different switches. */
export function loopbackPair(
  left: LoopbackEnd,
  right: LoopbackEnd,
  capacity = 256,
): [LoopbackQueue, LoopbackQueue] {
  const toRight = new LoopbackLane(capacity);
  const toLeft = new LoopbackLane(capacity);
  return [
    new LoopbackQueue(left.memory, left.pool, left.socket, toLeft, toRight),
    new LoopbackQueue(right.memory, right.pool, right.socket, toRight, toLeft),
  ];
}
