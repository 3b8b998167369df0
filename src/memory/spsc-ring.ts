// A lane: a ring of 8-byte messages (two int32) from exactly one producer process to exactly one
// consumer process. Frames travel in lanes from the processor that received them to the one that
// owns the outgoing queue (hand-over lanes), and back to their home processor (return lanes).
//
//   bytes 0 … 3      tail: messages ever published      written by the producer only
//   bytes 64 … 67    head: messages ever released       written by the consumer only
//   bytes 128 …      messages, 8 bytes each; message n stands in slot n % capacity
//
// Both cursors are int32 that wrap; the capacity is a power of two, so a wrapped cursor still names
// the right slot. Invariant: 0 ≤ tail - head ≤ capacity; slots from head up to tail belong to the
// consumer, all others to the producer. Whoever is killed and constructed anew goes on from the
// cursors in memory: what was pushed but not published never was; what was looked at but not
// released is seen again; what was released never comes back.

import { assert } from '../base/assert.ts';
import { LANE_HEADER_SIZE, type Layout } from './layout.ts';
import type { MainMemory } from './region.ts';

/** Word of the lane header that holds the producer's cursor. */
const TAIL_WORD = 0;
/** Word of the lane header that holds the consumer's cursor: in a cache line of its own. */
const HEAD_WORD = 16;

/** Byte offset of the lane in which `from` hands frames over to `to`. */
export function handOverLane(layout: Layout, from: number, to: number): number {
  return layout.handOverLanes + (from * layout.processors + to) * layout.handOverLaneSize;
}

/** Byte offset of the lane in which `from` returns frames to their home `to`. */
export function returnLane(layout: Layout, from: number, to: number): number {
  return layout.returnLanes + (from * layout.processors + to) * layout.returnLaneSize;
}

/**
 * One end of a lane. The producer uses push and publish; the consumer available, first, second and
 * release. One object serves both ends only where one process is both (tests, simulation).
 */
export class SpscRing {
  private readonly words: Int32Array;
  private readonly tailIndex: number;
  private readonly headIndex: number;
  private readonly slots: number;
  private readonly mask: number;
  readonly capacity: number;
  /** Producer: the next slot to fill; ahead of the published tail by what is not published yet. */
  private pushed: number;
  private published: number;
  /** Producer: the head as last read; the true one can only be further on. */
  private knownHead: number;
  /** Consumer: the next message to be looked at. */
  private head: number;

  /** `laneOffset` in bytes (handOverLane, returnLane); `capacity` in messages, a power of two. */
  constructor(memory: MainMemory, laneOffset: number, capacity: number) {
    assert(capacity > 0 && (capacity & (capacity - 1)) === 0, `lane capacity ${capacity}`);
    assert((laneOffset & 7) === 0, `lane at ${laneOffset} is not aligned`);
    this.words = memory.words;
    this.tailIndex = (laneOffset >> 2) + TAIL_WORD;
    this.headIndex = (laneOffset >> 2) + HEAD_WORD;
    this.slots = (laneOffset + LANE_HEADER_SIZE) >> 2;
    this.mask = capacity - 1;
    this.capacity = capacity;
    this.pushed = Atomics.load(this.words, this.tailIndex);
    this.published = this.pushed;
    this.knownHead = Atomics.load(this.words, this.headIndex);
    this.head = this.knownHead;
  }

  /** Producer: puts a message behind the others; 0 when the lane is full. Not yet seen. @hot */
  push(first: number, second: number): number {
    if (((this.pushed - this.knownHead) | 0) > this.mask) {
      this.knownHead = Atomics.load(this.words, this.headIndex);
      if (((this.pushed - this.knownHead) | 0) > this.mask) return 0;
    }
    const slot = this.slots + ((this.pushed & this.mask) << 1);
    this.words[slot] = first;
    this.words[slot + 1] = second;
    this.pushed = (this.pushed + 1) | 0;
    return 1;
  }

  /** Producer: shows the consumer everything pushed; returns how many that was. @hot */
  publish(): number {
    const count = (this.pushed - this.published) | 0;
    if (count === 0) return 0;
    Atomics.store(this.words, this.tailIndex, this.pushed);
    this.published = this.pushed;
    return count;
  }

  /** Consumer: how many messages can be looked at now. @hot */
  available(): number {
    return (Atomics.load(this.words, this.tailIndex) - this.head) | 0;
  }

  /** Consumer: first word of the message `index` places behind the oldest. @hot */
  first(index: number): number {
    return this.words[this.slots + (((this.head + index) & this.mask) << 1)];
  }

  /** Consumer: second word of the message `index` places behind the oldest. @hot */
  second(index: number): number {
    return this.words[this.slots + (((this.head + index) & this.mask) << 1) + 1];
  }

  /** Consumer: gives the slots of the `count` oldest messages back to the producer. @hot */
  release(count: number): void {
    if (count === 0) return;
    this.head = (this.head + count) | 0;
    Atomics.store(this.words, this.headIndex, this.head);
  }
}
