// A wrapper that makes any interface a bad one: it loses, doubles, reorders, corrupts and cuts short
// what is received, and refuses to transmit for a while, as a full ring does. Everything follows from
// one seed, which whoever makes the injector prints, so that a run that failed can be run again.
// Faults are in the receiving direction only: for the other one, wrap the far end.
// Invariant: every frame stays in exactly one place. A lost one goes back to the pool, a double is a
// frame of its own, and a held one is the processor's until it is delivered.
// While frames are held back there is nothing to wait on: a sleeping processor gets them with the
// next traffic, or at its next turn.

import { Prng } from '../base/prng.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import { FRAME_DATA_MAX } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import type { InterfaceQueue } from './contract.ts';

/** Frames that can be held back at once. */
const HELD_CAPACITY = 64;
/** A held frame is delivered at one of the next so many polls. */
const LONGEST_DELAY = 4;

/** How often each fault happens, in frames (polls) of a thousand; what is left out never does. */
export interface FaultRates {
  readonly loss?: number;
  readonly duplication?: number;
  /** The frame is overtaken by those of the next polls. */
  readonly reordering?: number;
  /** One bit, anywhere in the frame, is turned over. */
  readonly corruption?: number;
  /** Only the first bytes arrive: at least one, so even the Ethernet header may be cut. */
  readonly truncation?: number;
  /** How often a transmit starts a time in which all are refused … */
  readonly transmitFull?: number;
  /** … and how many in a row that are, at most; 32 when left out. */
  readonly transmitFullBurst?: number;
}

export class FaultInjector implements InterfaceQueue {
  readonly fileDescriptor: number;
  readonly seed: number;
  lossCount: number;
  duplicationCount: number;
  reorderingCount: number;
  corruptionCount: number;
  truncationCount: number;
  /** Transmits that were refused although the interface had room. */
  refusalCount: number;
  private readonly inner: InterfaceQueue;
  private readonly bytes: Uint8Array;
  private readonly pool: FramePool;
  private readonly random: Prng;
  private readonly loss: number;
  private readonly duplication: number;
  private readonly reordering: number;
  private readonly corruption: number;
  private readonly truncation: number;
  private readonly transmitFull: number;
  private readonly transmitFullBurst: number;
  private refusalsLeft: number;
  private readonly heldOffsets: Int32Array;
  private readonly heldLengths: Int32Array;
  private readonly heldPolls: Int32Array;
  private heldCount: number;

  constructor(
    inner: InterfaceQueue,
    memory: MainMemory,
    pool: FramePool,
    rates: FaultRates,
    seed: number,
  ) {
    this.fileDescriptor = inner.fileDescriptor;
    this.seed = seed;
    this.lossCount = 0;
    this.duplicationCount = 0;
    this.reorderingCount = 0;
    this.corruptionCount = 0;
    this.truncationCount = 0;
    this.refusalCount = 0;
    this.inner = inner;
    this.bytes = memory.bytes;
    this.pool = pool;
    this.random = new Prng(seed);
    this.loss = rates.loss ?? 0;
    this.duplication = rates.duplication ?? 0;
    this.reordering = rates.reordering ?? 0;
    this.corruption = rates.corruption ?? 0;
    this.truncation = rates.truncation ?? 0;
    this.transmitFull = rates.transmitFull ?? 0;
    this.transmitFullBurst = rates.transmitFullBurst ?? 32;
    this.refusalsLeft = 0;
    this.heldOffsets = new Int32Array(HELD_CAPACITY);
    this.heldLengths = new Int32Array(HELD_CAPACITY);
    this.heldPolls = new Int32Array(HELD_CAPACITY);
    this.heldCount = 0;
  }

  private happens(rate: number): boolean {
    return rate > 0 && this.random.below(1000) < rate;
  }

  get truncatedCount(): number {
    return this.inner.truncatedCount;
  }

  receiveBurst(offsets: Int32Array, lengths: Int32Array, limit: number): number {
    const due = Math.min(this.countDue(), limit);
    const arrived = this.inner.receiveBurst(offsets, lengths, limit - due);
    let count = 0;
    for (let i = 0; i < arrived; i++) {
      const offset = offsets[i];
      if (this.happens(this.loss)) {
        this.lossCount += 1;
        this.pool.give(offset);
        continue;
      }
      const length = this.damage(offset, lengths[i]);
      if (this.happens(this.duplication)) this.duplicate(offset, length);
      if (this.happens(this.reordering) && this.hold(offset, length, true)) {
        this.reorderingCount += 1;
        continue;
      }
      offsets[count] = offset;
      lengths[count] = length;
      count += 1;
    }
    return this.deliverDue(offsets, lengths, count, due);
  }

  /** Turns a bit over, or cuts the frame; returns its length. */
  private damage(offset: number, length: number): number {
    if (this.happens(this.corruption)) {
      this.corruptionCount += 1;
      this.bytes[offset + this.random.below(length)] ^= 1 << this.random.below(8);
    }
    if (length > 1 && this.happens(this.truncation)) {
      this.truncationCount += 1;
      return 1 + this.random.below(length - 1);
    }
    return length;
  }

  private duplicate(offset: number, length: number): void {
    if (this.heldCount === HELD_CAPACITY || length > FRAME_DATA_MAX) return;
    const copy = this.pool.take();
    if (copy === -1) return;
    this.bytes.copyWithin(copy, offset, offset + length);
    this.hold(copy, length, false);
    this.duplicationCount += 1;
  }

  /** A double comes with the next poll; a reordered frame may wait for several. */
  private hold(offset: number, length: number, isLong: boolean): boolean {
    if (this.heldCount === HELD_CAPACITY) return false;
    this.heldOffsets[this.heldCount] = offset;
    this.heldLengths[this.heldCount] = length;
    this.heldPolls[this.heldCount] = isLong ? 1 + this.random.below(LONGEST_DELAY) : 1;
    this.heldCount += 1;
    return true;
  }

  /** One poll has passed for all held frames; returns how many are due. */
  private countDue(): number {
    let due = 0;
    for (let i = 0; i < this.heldCount; i++) {
      this.heldPolls[i] -= 1;
      if (this.heldPolls[i] <= 0) due += 1;
    }
    return due;
  }

  /** Appends `due` held frames to the burst and closes the gaps they leave. */
  private deliverDue(
    offsets: Int32Array,
    lengths: Int32Array,
    already: number,
    due: number,
  ): number {
    let count = already;
    let left = due;
    let kept = 0;
    for (let i = 0; i < this.heldCount; i++) {
      if (left > 0 && this.heldPolls[i] <= 0) {
        offsets[count] = this.heldOffsets[i];
        lengths[count] = this.heldLengths[i];
        count += 1;
        left -= 1;
        continue;
      }
      this.heldOffsets[kept] = this.heldOffsets[i];
      this.heldLengths[kept] = this.heldLengths[i];
      this.heldPolls[kept] = this.heldPolls[i];
      kept += 1;
    }
    this.heldCount = kept;
    return count;
  }

  transmit(offset: number, length: number): number {
    if (this.refusalsLeft === 0 && this.happens(this.transmitFull)) {
      this.refusalsLeft = 1 + this.random.below(this.transmitFullBurst);
    }
    if (this.refusalsLeft > 0) {
      this.refusalsLeft -= 1;
      this.refusalCount += 1;
      return 0;
    }
    return this.inner.transmit(offset, length);
  }

  flush(): number {
    return this.inner.flush();
  }

  reclaim(): number {
    return this.inner.reclaim();
  }

  refill(): number {
    return this.inner.refill();
  }

  /** Gives the held frames back to the pool. */
  close(): void {
    for (let i = 0; i < this.heldCount; i++) this.pool.give(this.heldOffsets[i]);
    this.heldCount = 0;
    this.inner.close();
  }
}
