// One queue of an AF_XDP interface as its switching processor sees it. The socket was opened and
// bound by the supervisor (open.ts) and inherited; this side maps its four rings and moves frames:
//
//   pool ─ refill ─▶ fill ring ─▶ kernel ─▶ receive ring ─ receiveBurst ─▶ processor       (Fig. 13)
//   processor ─ transmit, flush ─▶ transmit ring ─▶ kernel ─▶ completion ring ─ reclaim ─▶ pool (12)
//
// Invariants: frames given for receiving and not yet received never exceed the receive ring (nor the
// queue's part of the frames), so the kernel never finds it full and never keeps a frame that no ring shows. Owners change hands in the
// order that memory/frame-pool.ts asks for: marked before published, marked before released, and a
// burst is released before anything else happens to its frames. So a killed process is continued by
// the next one on the same socket, with the cursors as they stand.
// UMEM addresses count from the frames section: offset = framesStart + address.

import { assert } from '../../base/assert.ts';
import type { FramePool } from '../../memory/frame-pool.ts';
import { FRAME_SIZE } from '../../memory/layout.ts';
import type { MainMemory } from '../../memory/region.ts';
import { kickReceive, kickTransmit } from '../../sys/libc.ts';
import type { ReservedRange } from '../../sys/main-memory.ts';
import {
  mapXdpRings,
  unmapXdpRings,
  type XdpRingPlaces,
  type XdpRingSizes,
} from '../../sys/xdp-socket.ts';
import type { InterfaceQueue } from '../contract.ts';
import { ADDRESS_SHIFT, ConsumerRing, DESCRIPTOR_SHIFT, ProducerRing } from './rings.ts';

const FRAME_SHIFT = Math.log2(FRAME_SIZE);
const FRAME_MASK = ~(FRAME_SIZE - 1);
/** Fewer free places than this are left for the next turn: publishing costs more than it gives. */
const REFILL_BATCH = 16;

export interface AfXdpQueueParts {
  /** The inherited, bound socket. */
  readonly fileDescriptor: number;
  readonly ringSizes: XdpRingSizes;
  /** Most frames with the kernel for receiving (`receiveLimit`); default: a full receive ring. */
  readonly receiveLimit?: number;
  /** Whether the driver receives into the frames itself; false when left out. */
  readonly isZeroCopy?: boolean;
  /** Whether its driver is polled by a call whenever it is empty (sys/busy-poll.ts); false when left out. */
  readonly isBusyPolled?: boolean;
  /** The number under which the frame pool knows this socket. */
  readonly socket: number;
  /** The range that main memory is mapped in. */
  readonly range: ReservedRange;
  readonly memory: MainMemory;
  readonly pool: FramePool;
}

/**
 * Most frames that one queue gives the kernel to receive into. A processor has an equal share of all
 * frames; were all of it lent to the kernel, its other queues would receive nothing and nothing of its
 * own (ARP, resets) could be sent. So its queues have three quarters of it, each the same.
 * @param ownQueues how many queues the processor polls
 */
export function receiveLimit(
  frames: number,
  processors: number,
  ownQueues: number,
  ringSize: number,
): number {
  const share = Math.floor(frames / processors);
  return Math.max(1, Math.min(ringSize, Math.floor((share * 3) / 4 / ownQueues)));
}

export class AfXdpQueue implements InterfaceQueue {
  /** Always 0: the MTU is checked when the interface is opened. */
  readonly truncatedCount = 0;
  readonly fileDescriptor: number;
  readonly socket: number;
  /**
   * Whether the driver may hold frames that none of the rings shows: with zero-copy it takes them out
   * of the fill ring long before a packet arrives. Not yet on a socket that nobody has used.
   */
  readonly mayHoldFramesUnseen: boolean;
  private readonly isBusyPolled: boolean;
  private readonly framesStart: number;
  private readonly pool: FramePool;
  private readonly range: ReservedRange;
  private readonly places: XdpRingPlaces;
  private readonly receiveLimit: number;
  private readonly refillBatch: number;
  private readonly fill: ProducerRing;
  private readonly completion: ConsumerRing;
  private readonly received: ConsumerRing;
  private readonly toSend: ProducerRing;
  /** Offsets of sent frames between their release and their return to the pool. */
  private readonly sent: Int32Array;

  /** Maps the rings; nothing moves before the first call. @throws SystemError */
  constructor(parts: AfXdpQueueParts) {
    const { memory, ringSizes } = parts;
    assert(parts.range.buffer === memory.buffer, 'main memory is not in the range of the rings');
    this.fileDescriptor = parts.fileDescriptor;
    this.socket = parts.socket;
    this.isBusyPolled = parts.isBusyPolled === true;
    this.framesStart = memory.layout.framesStart;
    this.pool = parts.pool;
    this.range = parts.range;
    this.receiveLimit = parts.receiveLimit ?? ringSizes.receive;
    this.refillBatch = Math.min(REFILL_BATCH, this.receiveLimit);
    this.places = mapXdpRings(parts.range, parts.fileDescriptor, ringSizes);
    this.fill = new ProducerRing(memory.words, this.places.fill, ADDRESS_SHIFT);
    this.completion = new ConsumerRing(memory.words, this.places.completion, ADDRESS_SHIFT);
    this.received = new ConsumerRing(memory.words, this.places.receive, DESCRIPTOR_SHIFT);
    this.toSend = new ProducerRing(memory.words, this.places.transmit, DESCRIPTOR_SHIFT);
    this.sent = new Int32Array(ringSizes.completion);
    this.mayHoldFramesUnseen = parts.isZeroCopy === true && this.fill.producer !== 0;
  }

  /**
   * See InterfaceQueue. With busy polling, an empty queue costs a call, in which the driver is polled;
   * what that brings is in the burst. @hot
   */
  receiveBurst(offsets: Int32Array, lengths: Int32Array, limit: number): number {
    let available = this.received.available();
    if (available === 0 && this.isBusyPolled) {
      kickReceive(this.fileDescriptor);
      available = this.received.available();
    }
    if (available > limit) available = limit;
    let count = 0;
    for (let i = 0; i < available; i = (i + 1) | 0) {
      const offset = (this.framesStart + this.received.address(i)) | 0;
      if (this.pool.fromInterface(offset) === 0) continue;
      offsets[count] = offset;
      lengths[count] = this.received.length(i);
      count = (count + 1) | 0;
    }
    this.received.release(available);
    return count;
  }

  /** See InterfaceQueue. A frame that no chunk can hold is refused like one without room. @hot */
  transmit(offset: number, length: number): number {
    const address = (offset - this.framesStart) | 0;
    const inChunk = address & ~FRAME_MASK;
    if (length <= 0 || ((inChunk + length) | 0) > FRAME_SIZE) return 0;
    if (this.toSend.room(1) === 0) return 0;
    this.pool.toInterface(offset, this.socket);
    this.toSend.putDescriptor(address, length);
    return 1;
  }

  /**
   * See InterfaceQueue. What the kernel did not take last time (busy, link down, no buffers) stays in
   * the ring, and the next flush tells it again: so it is called every turn. With busy polling the
   * driver sends only while it is polled, and does not ask to be woken. @hot
   */
  flush(): number {
    this.toSend.publish();
    if (this.toSend.waitingAtLastLook() === 0) return 0;
    if (this.toSend.waiting() === 0) return 0;
    if (this.isBusyPolled || this.toSend.needsWakeup() !== 0) kickTransmit(this.fileDescriptor);
    return this.toSend.waiting();
  }

  /** See InterfaceQueue. @hot */
  reclaim(): number {
    const available = this.completion.available();
    if (available === 0) return 0;
    let count = 0;
    for (let i = 0; i < available; i = (i + 1) | 0) {
      const offset = (this.framesStart + this.completion.address(i)) | 0;
      if (this.pool.fromInterface(offset) === 0) continue;
      this.sent[count] = offset;
      count = (count + 1) | 0;
    }
    this.completion.release(available);
    for (let i = 0; i < count; i = (i + 1) | 0) this.pool.give(this.sent[i]);
    return count;
  }

  /** See InterfaceQueue. @hot */
  refill(): number {
    // With the kernel: given (fill cursor) but not yet received (receive cursor), whatever ring.
    const withKernel = (this.fill.producer - this.received.consumer) | 0;
    let room = (this.receiveLimit - withKernel) | 0;
    if (room < this.refillBatch) return 0;
    const free = this.fill.room(room);
    if (free < room) room = free;
    let count = 0;
    while (count < room) {
      const offset = this.pool.take();
      if (offset < 0) break;
      this.pool.toInterface(offset, this.socket);
      this.fill.putAddress((offset - this.framesStart) & FRAME_MASK);
      count = (count + 1) | 0;
    }
    if (count === 0) return 0;
    this.fill.publish();
    if (this.fill.needsWakeup() !== 0) kickReceive(this.fileDescriptor);
    return count;
  }

  /** Frames offered and not yet taken by the kernel; above 0 a flush is due. @hot */
  unsent(): number {
    return this.toSend.waiting();
  }

  /**
   * Marks in `marks` (one byte per frame) every frame that stands in one of the four rings now; for
   * recovery, before the first burst. Source rings come first: a frame that the kernel moves
   * meanwhile is then found twice rather than not at all.
   */
  framesInRings(marks: Uint8Array): void {
    this.fill.markFrames(marks, FRAME_SHIFT);
    this.received.markFrames(marks, FRAME_SHIFT);
    this.toSend.markFrames(marks, FRAME_SHIFT);
    this.completion.markFrames(marks, FRAME_SHIFT);
  }

  /** Unmaps the rings from this process. The socket goes on: whoever maps it next continues. */
  close(): void {
    unmapXdpRings(this.range, this.places);
  }
}
