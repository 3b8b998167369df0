// The pseudo-network device as a switching processor sees it: one more interface, whose frames go to and
// come from packet storage (68 of Fig. 8; memory/packet-storage.ts). What is transmitted is copied into
// the lane to the host and its frame goes back to the pool at once; what the interface daemon left in the
// lane from the host is copied into a frame of the pool. The daemon is woken only when it sleeps, once for
// all frames of a turn.
// Invariant: nothing here waits for the daemon. A full lane refuses, and whoever sends counts the drop.

import { assert } from '../base/assert.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import { FRAME_DATA_MAX } from '../memory/layout.ts';
import {
  DAEMON_SLEEPING,
  daemonWord,
  laneFromHost,
  laneToHost,
  STORAGE_FRAME_MAX,
  StorageLane,
} from '../memory/packet-storage.ts';
import type { MainMemory } from '../memory/region.ts';
import { signalEvent } from '../sys/event-fd.ts';
import type { InterfaceQueue } from './contract.ts';

assert(FRAME_DATA_MAX <= STORAGE_FRAME_MAX, 'a slot of packet storage is too small for a frame');

export class PacketStorageQueue implements InterfaceQueue {
  /** There is nothing to wait on: the daemon wakes the processor as other processors do. */
  readonly fileDescriptor = -1;
  /** Frames from the host that were longer than a chunk. */
  truncatedCount = 0;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly pool: FramePool;
  private readonly toHost: StorageLane;
  private readonly fromHost: StorageLane;
  private readonly sleepingWord: number;
  private readonly daemonEvent: number;

  /** `daemonEvent`: the event (sys/event-fd.ts) that wakes the daemon. */
  constructor(memory: MainMemory, pool: FramePool, processor: number, daemonEvent: number) {
    this.words = memory.words;
    this.bytes = memory.bytes;
    this.pool = pool;
    this.toHost = new StorageLane(memory, laneToHost(memory.layout, processor));
    this.fromHost = new StorageLane(memory, laneFromHost(memory.layout, processor));
    this.sleepingWord = daemonWord(memory.layout, DAEMON_SLEEPING);
    this.daemonEvent = daemonEvent;
  }

  /** @hot */
  receiveBurst(offsets: Int32Array, lengths: Int32Array, limit: number): number {
    const lane = this.fromHost;
    const available = lane.available();
    let seen = 0;
    let count = 0;
    while (seen < available && count < limit) {
      const length = lane.length(seen);
      if (length > FRAME_DATA_MAX) {
        this.truncatedCount = (this.truncatedCount + 1) | 0;
      } else if (length > 0) {
        const offset = this.pool.take();
        if (offset < 0) break;
        const from = lane.frame(seen);
        this.bytes.copyWithin(offset, from, from + length);
        offsets[count] = offset;
        lengths[count] = length;
        count = (count + 1) | 0;
      }
      seen = (seen + 1) | 0;
    }
    lane.release(seen);
    return count;
  }

  /** @hot */
  transmit(offset: number, length: number): number {
    const to = this.toHost.reserve();
    if (to < 0) return 0;
    this.bytes.copyWithin(to, offset, offset + length);
    this.toHost.commit(length);
    this.pool.give(offset);
    return 1;
  }

  /** @hot */
  flush(): number {
    if (this.toHost.publish() === 0) return 0;
    // Of several processors one wakes it.
    if (Atomics.load(this.words, this.sleepingWord) === 0) return 0;
    if (Atomics.exchange(this.words, this.sleepingWord, 0) === 0) return 0;
    signalEvent(this.daemonEvent);
    return 0;
  }

  /** Frames are given back as they are copied. @hot */
  reclaim(): number {
    return 0;
  }

  /** A frame is taken from the pool when one arrives. @hot */
  refill(): number {
    return 0;
  }

  /** Whether the host has left something: asked before going to sleep. @hot */
  hasArrived(): boolean {
    return this.fromHost.available() > 0;
  }

  close(): void {}

  /** None ever is. */
  framesInRings(): void {}
}
