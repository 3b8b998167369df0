// The way out of a switching processor (A4: every processor may put packets on every interface). A
// frame goes to the processor's own queue on the interface where it has one; otherwise over the
// hand-over lane to the processor that owns a queue there. Frames that others handed over are taken
// only as the own queue has room, so that a frame once accepted by a lane is never lost to a full
// ring: a full lane refuses, and the sender counts the drop. But what waits for an interface that has
// gone down meanwhile is let go, like what its ring holds: it would keep back all that is behind it,
// for interfaces that are up.

import type { Counters } from '../memory/counters.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import {
  CONTROL_INTERFACE,
  HAND_OVER_LANE_CAPACITY,
  INTERFACE_LINK_UP,
  MAX_INTERFACES,
  PROCESSOR_SLEEPING,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { handOverLane, SpscRing } from '../memory/spsc-ring.ts';
import type { InterfaceQueue } from '../netif/contract.ts';
import * as reasons from './reasons.ts';

/** Upper half of a lane message's second word: the interface; lower half: the frame's length. */
const INTERFACE_SHIFT = 16;
/** Frames taken from a lane at once. */
const PENDING_MAX = 64;

/** A queue that this processor polls. */
export interface OwnQueue {
  readonly interfaceNumber: number;
  readonly queue: InterfaceQueue;
}

/** Wakes a processor that sleeps in poll(2): one system call. */
export type Waker = (processor: number) => void;

export class Transmitter {
  private readonly memory: MainMemory;
  private readonly pool: FramePool;
  private readonly counters: Counters;
  private readonly processor: number;
  private readonly wake: Waker;
  private readonly queues: readonly OwnQueue[];
  /** Own queue to send on, per interface, or null. */
  private readonly queueOf: (InterfaceQueue | null)[];
  /** Processor to hand frames to, per interface; -1 where nobody polls it. */
  private readonly ownerOf: Int32Array;
  private readonly lanesOut: SpscRing[];
  private readonly lanesIn: SpscRing[];
  /** Per processor: frames handed over since the last flush. */
  private readonly handedOver: Int32Array;
  /** Frames that own queues were offered and have not taken, at the last flush. */
  private unsent = 0;
  /** Frames taken from a lane that the ring has not accepted yet: from `pendingNext` on. */
  private readonly pendingOffsets = new Int32Array(PENDING_MAX);
  private readonly pendingMessages = new Int32Array(PENDING_MAX);
  private pendingCount = 0;
  private pendingNext = 0;

  constructor(
    memory: MainMemory,
    processor: number,
    pool: FramePool,
    counters: Counters,
    queues: readonly OwnQueue[],
    ownerOf: Int32Array,
    wake: Waker,
  ) {
    this.memory = memory;
    this.processor = processor;
    this.pool = pool;
    this.counters = counters;
    this.queues = queues;
    this.ownerOf = ownerOf;
    this.wake = wake;
    this.queueOf = new Array<InterfaceQueue | null>(MAX_INTERFACES).fill(null);
    for (const { interfaceNumber, queue } of queues) this.queueOf[interfaceNumber] ??= queue;
    const { layout } = memory;
    this.lanesOut = [];
    this.lanesIn = [];
    for (let other = 0; other < layout.processors; other++) {
      const out = handOverLane(layout, processor, other);
      const into = handOverLane(layout, other, processor);
      this.lanesOut.push(new SpscRing(memory, out, HAND_OVER_LANE_CAPACITY));
      this.lanesIn.push(new SpscRing(memory, into, HAND_OVER_LANE_CAPACITY));
    }
    this.handedOver = new Int32Array(layout.processors);
  }

  /**
   * Sends a frame on an interface. The frame is out of the caller's hands when it returns CONTINUE;
   * otherwise the reason why it could not be sent, and the frame is still the caller's. @hot
   */
  send(egress: number, offset: number, length: number): number {
    const queue = this.queueOf[egress];
    if (queue !== null) {
      if (queue.transmit(offset, length) === 0) {
        queue.flush();
        queue.reclaim();
        if (queue.transmit(offset, length) === 0) {
          return egress === CONTROL_INTERFACE ? reasons.PACKET_STORAGE_FULL : reasons.TRANSMIT_FULL;
        }
      }
      this.counters.transmitted(egress, length);
      return reasons.CONTINUE;
    }
    const owner = this.ownerOf[egress];
    if (owner < 0) return reasons.INTERFACE_DOWN;
    this.pool.toLane(offset, owner);
    if (this.lanesOut[owner].push(offset, (egress << INTERFACE_SHIFT) | length) === 0) {
      this.pool.keep(offset);
      return reasons.LANE_FULL;
    }
    this.handedOver[owner] = (this.handedOver[owner] + 1) | 0;
    return reasons.CONTINUE;
  }

  /**
   * Takes frames that other processors handed over, as far as there is room for them. Those taken from
   * a lane and refused by the ring wait here, before any others are taken. @returns how many. @hot
   */
  takeHandedOver(): number {
    let sent = this.sendPending();
    for (let from = 0; from < this.lanesIn.length && this.pendingCount === 0; from++) {
      if (from === this.processor) continue;
      this.takeFromLane(this.lanesIn[from]);
      sent = (sent + this.sendPending()) | 0;
    }
    return sent;
  }

  /** Moves a burst from a lane into `pending`; all are marked before the lane is released. @hot */
  private takeFromLane(lane: SpscRing): void {
    const available = lane.available();
    const count = available > PENDING_MAX ? PENDING_MAX : available;
    if (count === 0) return;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const offset = lane.first(i);
      if (this.pool.fromLane(offset) === 0) continue;
      this.pendingOffsets[kept] = offset;
      this.pendingMessages[kept] = lane.second(i);
      kept = (kept + 1) | 0;
    }
    lane.release(count);
    this.pendingCount = kept;
    this.pendingNext = 0;
    this.counters.takenOver(kept);
  }

  /** @hot */
  private sendPending(): number {
    let sent = 0;
    while (this.pendingNext < this.pendingCount) {
      const offset = this.pendingOffsets[this.pendingNext];
      const message = this.pendingMessages[this.pendingNext];
      const egress = message >>> INTERFACE_SHIFT;
      const length = message & 0xffff;
      const queue = this.queueOf[egress];
      if (queue === null) {
        this.pool.give(offset);
      } else if (queue.transmit(offset, length) !== 0) {
        this.counters.transmitted(egress, length);
      } else if (this.isUp(egress)) {
        return sent;
      } else {
        this.pool.give(offset);
      }
      this.pendingNext = (this.pendingNext + 1) | 0;
      sent = (sent + 1) | 0;
    }
    this.pendingCount = 0;
    this.pendingNext = 0;
    return sent;
  }

  /** @hot */
  private isUp(egress: number): boolean {
    return this.memory.words[this.memory.interfaceWord(egress, INTERFACE_LINK_UP)] !== 0;
  }

  /** Publishes everything that was sent, and offers again what was not taken; once per turn. @hot */
  flush(): void {
    let unsent = 0;
    for (let i = 0; i < this.queues.length; i++) {
      unsent = (unsent + this.queues[i].queue.flush()) | 0;
    }
    this.unsent = unsent;
    for (let other = 0; other < this.lanesOut.length; other++) {
      const count = this.handedOver[other];
      if (count === 0) continue;
      this.handedOver[other] = 0;
      this.lanesOut[other].publish();
      this.counters.handedOver(count);
      const sleeping = this.memory.processorWord(other, PROCESSOR_SLEEPING);
      if (Atomics.load(this.memory.words, sleeping) !== 0) this.wake(other);
    }
  }

  /** Frames that wait in own queues or before them: sleep must be short. @hot */
  unsentCount(): number {
    return (this.unsent + this.pendingCount - this.pendingNext) | 0;
  }

  /** Whether another processor has handed something over: asked before going to sleep. @hot */
  hasHandedOver(): boolean {
    for (let from = 0; from < this.lanesIn.length; from++) {
      if (from !== this.processor && this.lanesIn[from].available() > 0) return true;
    }
    return false;
  }
}
