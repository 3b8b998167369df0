// Packet storage (68 of Fig. 8): where switching processors and the interface daemon leave frames for
// each other. One lane each way for each switching processor; a lane has exactly one producer process and
// one consumer process, and its slots hold whole frames. Frames are copied in and out: so a frame of the
// pool never belongs to a process outside the switch, and the death of either side costs what was in its
// hands and nothing else.
//
// The section, in bytes: 256 about the daemon, then for each processor its lane to the host and its lane
// from the host.
//
//   daemon   0 pid  4 restarts                                    the supervisor
//            64 sleeping  68 heartbeat                            the daemon (sleeping: whoever wakes it, too)
//            128 … 184 counters (STORAGE_COUNTERS), float64       the daemon
//   lane     0 tail: frames ever published                        its producer only
//            64 head: frames ever released                        its consumer only
//            128 … slots of 2048 bytes: 0 length, 64 … the frame; frame n stands in slot n % capacity
//
// Invariants are those of a lane of messages (spsc-ring.ts): 0 ≤ tail - head ≤ capacity; slots from head
// up to tail belong to the consumer, all others to the producer; who is killed and made anew goes on from
// the cursors. A length that cannot be is none: the other side may have gone mad.

import {
  LANE_HEADER_SIZE,
  type Layout,
  STORAGE_HEADER_SIZE,
  STORAGE_LANE_CAPACITY,
  STORAGE_LANE_SIZE,
  STORAGE_SLOT_SIZE,
} from './layout.ts';
import type { MainMemory } from './region.ts';

/** Where the frame begins in its slot: in a cache line of its own. */
const SLOT_DATA = 64;
/** The longest frame that a slot holds. */
export const STORAGE_FRAME_MAX = STORAGE_SLOT_SIZE - SLOT_DATA;
/** An Ethernet header: nothing shorter is a frame. */
const STORAGE_FRAME_MIN = 14;
const TAIL_WORD = 0;
const HEAD_WORD = 16;
const MASK = STORAGE_LANE_CAPACITY - 1;
const SLOT_SHIFT = Math.log2(STORAGE_SLOT_SIZE);

/** MAC address of the pseudo-network device: locally administered, 'WEIR' and its end. */
export const HOST_MAC = Uint8Array.of(0x02, 0x57, 0x45, 0x49, 0x52, 0x01);
/** MAC address of the switch, as the control host sees it. */
export const PEER_MAC = Uint8Array.of(0x02, 0x57, 0x45, 0x49, 0x52, 0x02);

// Words about the daemon.
export const DAEMON_PID = 0;
export const DAEMON_RESTARTS = 1;
/** 1 while it sleeps in poll(2): whoever leaves a frame for it takes the mark away and wakes it. */
export const DAEMON_SLEEPING = 16;
/** Monotonic millisecond (int32) at which it last looked. */
export const DAEMON_HEARTBEAT = 17;
const COUNTERS = 128;

/** What the daemon counts, by name; the place in the list is the index. */
export const STORAGE_COUNTERS = [
  'toHostPackets',
  'toHostBytes',
  'toHostRefused',
  'fromHostPackets',
  'fromHostBytes',
  'fromHostDropped',
  'wakeUps',
] as const;
export type StorageCounters = Readonly<Record<(typeof STORAGE_COUNTERS)[number], number>>;

export const STORAGE_TO_HOST_PACKETS = 0;
export const STORAGE_TO_HOST_BYTES = 1;
/** Frames that the device did not take: it is down, or gone. */
export const STORAGE_TO_HOST_REFUSED = 2;
export const STORAGE_FROM_HOST_PACKETS = 3;
export const STORAGE_FROM_HOST_BYTES = 4;
/** Frames that were read from the device and for which the lane had no room. */
export const STORAGE_FROM_HOST_DROPPED = 5;
/** How often it slept and was woken: frames per wake-up tell how much goes in bulk. */
export const STORAGE_WAKE_UPS = 6;

/** Byte offset of the lane from a switching processor to the host. */
export function laneToHost(layout: Layout, processor: number): number {
  return layout.packetStorage + STORAGE_HEADER_SIZE + processor * 2 * STORAGE_LANE_SIZE;
}

/** Byte offset of the lane from the host to a switching processor. */
export function laneFromHost(layout: Layout, processor: number): number {
  return laneToHost(layout, processor) + STORAGE_LANE_SIZE;
}

/** Index in `words` of a word (DAEMON_*) about the daemon. */
export function daemonWord(layout: Layout, word: number): number {
  return (layout.packetStorage >> 2) + word;
}

/** Index in `doubles` of the daemon's first counter. */
export function storageCounters(layout: Layout): number {
  return (layout.packetStorage + COUNTERS) >> 3;
}

/** What the daemon has counted so far. */
export function readStorageCounters({ doubles, layout }: MainMemory): StorageCounters {
  const base = storageCounters(layout);
  const counters = {} as Record<keyof StorageCounters, number>;
  for (const [i, name] of STORAGE_COUNTERS.entries()) counters[name] = doubles[base + i];
  return counters;
}

/** One end of a lane. The producer uses reserve, commit and publish; the consumer the others. */
export class StorageLane {
  private readonly words: Int32Array;
  private readonly tailIndex: number;
  private readonly headIndex: number;
  private readonly slots: number;
  /** Producer: the next slot to fill; ahead of the published tail by what is not published yet. */
  private pushed: number;
  private published: number;
  /** Producer: the head as last read; the true one can only be further on. */
  private knownHead: number;
  /** Consumer: the next frame to be looked at. */
  private head: number;

  /** `offset` in bytes: `laneToHost` or `laneFromHost`. */
  constructor(memory: MainMemory, offset: number) {
    this.words = memory.words;
    this.tailIndex = (offset >> 2) + TAIL_WORD;
    this.headIndex = (offset >> 2) + HEAD_WORD;
    this.slots = offset + LANE_HEADER_SIZE;
    this.pushed = Atomics.load(this.words, this.tailIndex);
    this.published = this.pushed;
    this.knownHead = Atomics.load(this.words, this.headIndex);
    this.head = this.knownHead;
  }

  /** Producer: byte offset of room for a frame of STORAGE_FRAME_MAX bytes; -1: the lane is full. @hot */
  reserve(): number {
    if (((this.pushed - this.knownHead) | 0) > MASK) {
      this.knownHead = Atomics.load(this.words, this.headIndex);
      if (((this.pushed - this.knownHead) | 0) > MASK) return -1;
    }
    return (this.slots + ((this.pushed & MASK) << SLOT_SHIFT) + SLOT_DATA) | 0;
  }

  /** Producer: `length` bytes have been written where `reserve` said. Not yet seen. @hot */
  commit(length: number): void {
    this.words[(this.slots + ((this.pushed & MASK) << SLOT_SHIFT)) >> 2] = length;
    this.pushed = (this.pushed + 1) | 0;
  }

  /** Producer: shows the consumer everything committed. @returns how many frames that was. @hot */
  publish(): number {
    const count = (this.pushed - this.published) | 0;
    if (count === 0) return 0;
    Atomics.store(this.words, this.tailIndex, this.pushed);
    this.published = this.pushed;
    return count;
  }

  /** Consumer: how many frames can be looked at now. @hot */
  available(): number {
    const count = (Atomics.load(this.words, this.tailIndex) - this.head) | 0;
    return count > STORAGE_LANE_CAPACITY || count < 0 ? 0 : count;
  }

  /** Consumer: byte offset of the frame `index` places behind the oldest. @hot */
  frame(index: number): number {
    return (this.slots + (((this.head + index) & MASK) << SLOT_SHIFT) + SLOT_DATA) | 0;
  }

  /** Consumer: length of the frame `index` places behind the oldest; 0: it is no frame. @hot */
  length(index: number): number {
    const length = this.words[(this.slots + (((this.head + index) & MASK) << SLOT_SHIFT)) >> 2];
    return length < STORAGE_FRAME_MIN || length > STORAGE_FRAME_MAX ? 0 : length;
  }

  /** Consumer: gives the slots of the `count` oldest frames back to the producer. @hot */
  release(count: number): void {
    if (count === 0) return;
    this.head = (this.head + count) | 0;
    Atomics.store(this.words, this.headIndex, this.head);
  }
}
