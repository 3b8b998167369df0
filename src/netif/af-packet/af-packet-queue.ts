// A queue of an AF_PACKET socket, as a switching processor uses it: TPACKET_V2 rings that the kernel
// copies received frames into and sends from. It works on every interface and in user namespaces.
// Kernel documentation: Documentation/networking/packet_mmap.rst.
//
// Receive: a frame is copied from its slot into a frame of the pool, and the slot goes back to the
// kernel at once. What the kernel has taken off the frame is put back: the VLAN tag, the checksum
// that a local sender left to hardware. When the pool is empty, frames wait in the ring.
// Transmit: the frame is copied to a slot; `flush` has the kernel send all of them with one call;
// `reclaim` gives back the frames whose slots the kernel has released.
//
// The rings outlive this process, so everything that its successor must know stands in them: in the
// last 16 bytes of each transmit slot, which no frame reaches,
//
//   word 0   the frame that the slot was copied from
//   word 1   of slot 0 only: receive cursor    (slots taken, ever growing)
//   word 2   of slot 0 only: offered cursor    (slots filled)
//   word 3   of slot 0 only: reclaimed cursor  (slots whose frames went back)
//
// The kernel's own place in a ring cannot be seen while the ring is idle, hence the cursors; but a
// cursor may be one step off if we die in between, and then the slot tells (`continueRings`). Order of
// changes, so that this is exact: receive: mark in the slot, cursor, then the slot to the kernel.
// Transmit: owner, frame word, status, then cursor. Reclaim: owners, cursor, then everything else.
// Only a call of ours makes the kernel read a transmit slot; received slots it fills from any CPU,
// so their status is read and written with the order that Atomics gives.

import type { FramePool } from '../../memory/frame-pool.ts';
import { FRAME_DATA_MAX } from '../../memory/layout.ts';
import type { MainMemory } from '../../memory/region.ts';
import { kickTransmit, lastErrno, libc } from '../../sys/libc.ts';
import {
  type PacketRings,
  readPacketStatistics,
  SLOT_CAPTURED_LENGTH,
  SLOT_LENGTH,
  SLOT_MAC,
  SLOT_STATUS,
  SLOT_VLAN_TCI,
  SLOT_VLAN_TPID,
  STATUS_CHECKSUM_NOT_READY,
  STATUS_KERNEL,
  STATUS_LOSING,
  STATUS_SEND_REQUEST,
  STATUS_SENDING,
  STATUS_USER,
  STATUS_VLAN_TPID_VALID,
  STATUS_VLAN_VALID,
  TX_DATA_OFFSET,
} from '../../sys/packet-socket.ts';
import type { InterfaceQueue } from '../contract.ts';
import { PACKET_GEOMETRY, type PacketGeometry } from './geometry.ts';
import { completeChecksum } from './partial-checksum.ts';

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const EAGAIN = 11;
const ENOBUFS = 105;
/** Where the network header starts, which nobody here asks for: marks a slot that we have taken. */
const SLOT_NET = 14;
const TAKEN = 0xffff;
const TYPE_VLAN = 0x8100;
const MAC_ADDRESSES_SIZE = 12;
const VLAN_SIZE = 4;
const TAIL_SIZE = 16;
// Words of a transmit slot's tail.
const TAIL_FRAME = 0;
const TAIL_RECEIVE_CURSOR = 1;
const TAIL_OFFERED_CURSOR = 2;
const TAIL_RECLAIMED_CURSOR = 3;
/** The socket is asked for errors and losses once in so many polls: a power of two. */
const CHECK_INTERVAL = 1024;

export class AfPacketQueue implements InterfaceQueue {
  readonly fileDescriptor: number;
  /** The number that the frame pool knows this queue by. */
  readonly socket: number;
  /** Received frames that were longer than a chunk holds: coalesced by GRO, or of a large MTU. */
  truncatedCount: number;
  /** Frames that the kernel found no free slot for; known after the next check. */
  lostCount: number;
  /** Partial checksums that were completed. */
  completedChecksumCount: number;
  /** Calls to send that failed, but for a full device queue. */
  sendErrorCount: number;
  /** errno of the last error of the socket: ENETDOWN (100) while the interface is down. */
  lastError: number;
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private readonly pool: FramePool;
  private readonly receiveStart: number;
  private readonly transmitStart: number;
  private readonly receiveMask: number;
  private readonly transmitMask: number;
  private readonly receiveSlotSize: number;
  private readonly transmitSlotSize: number;
  private readonly longestTransmit: number;
  /** Index of the first word of the tail of transmit slot 0. */
  private readonly tail: number;
  private received: number;
  private offered: number;
  private reclaimed: number;
  private unsent: number;
  private losing: number;
  private polls: number;
  private readonly errorValue: Int32Array;
  private readonly errorSize: Uint32Array;

  /**
   * Continues on the rings wherever the process before has stopped. Pass what `framesInRings`
   * marks to the frame pool's `recover` before the first burst.
   * @param rings from mapPacketRings, with the same geometry
   */
  constructor(
    memory: MainMemory,
    pool: FramePool,
    socket: number,
    fileDescriptor: number,
    rings: PacketRings,
    geometry: PacketGeometry = PACKET_GEOMETRY,
  ) {
    this.fileDescriptor = fileDescriptor;
    this.socket = socket;
    this.truncatedCount = 0;
    this.lostCount = 0;
    this.completedChecksumCount = 0;
    this.sendErrorCount = 0;
    this.lastError = 0;
    this.view = memory.view;
    this.bytes = memory.bytes;
    this.words = memory.words;
    this.pool = pool;
    this.receiveStart = rings.receive;
    this.transmitStart = rings.transmit;
    this.receiveMask = geometry.receive.slotCount - 1;
    this.transmitMask = geometry.transmit.slotCount - 1;
    this.receiveSlotSize = geometry.receive.slotSize;
    this.transmitSlotSize = geometry.transmit.slotSize;
    this.longestTransmit = geometry.transmit.slotSize - TX_DATA_OFFSET - TAIL_SIZE;
    this.tail = (rings.transmit + geometry.transmit.slotSize - TAIL_SIZE) >> 2;
    this.received = this.words[this.tail + TAIL_RECEIVE_CURSOR];
    this.offered = this.words[this.tail + TAIL_OFFERED_CURSOR];
    this.reclaimed = this.words[this.tail + TAIL_RECLAIMED_CURSOR];
    this.unsent = 0;
    this.losing = 0;
    this.polls = 0;
    this.errorValue = new Int32Array(1);
    this.errorSize = new Uint32Array([4]);
    this.continueRings();
  }

  /** Sets the cursors right if the process before was killed between a cursor and its slot. */
  private continueRings(): void {
    // Taken, but never given back to the kernel, whose next frame would go there: it is taken again.
    // In a full ring the slot before the cursor is in use as well, but filled anew, without the mark.
    const previous = (this.received - 1) | 0;
    const slot = this.receiveStart + Math.imul(previous & this.receiveMask, this.receiveSlotSize);
    const isTaken = this.view.getUint16(slot + SLOT_NET, true) === TAKEN;
    if (isTaken && (this.receiveStatus(previous) & STATUS_USER) !== 0) this.received = previous;
    if ((this.transmitStatus(this.offered) & STATUS_SEND_REQUEST) !== 0 && this.hasRoom()) {
      this.offered = (this.offered + 1) | 0;
      this.words[this.tail + TAIL_OFFERED_CURSOR] = this.offered;
    }
    this.unsent = this.offered === this.reclaimed ? 0 : 1;
  }

  private receiveStatus(cursor: number): number {
    const slot = this.receiveStart + Math.imul(cursor & this.receiveMask, this.receiveSlotSize);
    return Atomics.load(this.words, (slot + SLOT_STATUS) >> 2);
  }

  private transmitStatus(cursor: number): number {
    const slot = this.transmitStart + Math.imul(cursor & this.transmitMask, this.transmitSlotSize);
    return Atomics.load(this.words, (slot + SLOT_STATUS) >> 2);
  }

  /** @hot */
  private hasRoom(): boolean {
    return ((this.offered - this.reclaimed) | 0) <= this.transmitMask;
  }

  /** @hot */
  receiveBurst(offsets: Int32Array, lengths: Int32Array, limit: number): number {
    this.polls = (this.polls + 1) | 0;
    if ((this.polls & (CHECK_INTERVAL - 1)) === 0) this.checkSocket();
    let count = 0;
    while (count < limit) {
      const index = this.received & this.receiveMask;
      const slot = (this.receiveStart + Math.imul(index, this.receiveSlotSize)) | 0;
      const status = Atomics.load(this.words, (slot + SLOT_STATUS) >> 2);
      if ((status & STATUS_USER) === 0) break;
      if ((status & STATUS_LOSING) !== 0) this.losing = 1;
      const captured = this.view.getInt32(slot + SLOT_CAPTURED_LENGTH, true);
      const tagged = (status & STATUS_VLAN_VALID) !== 0;
      const length = tagged ? (captured + VLAN_SIZE) | 0 : captured;
      if (captured !== this.view.getInt32(slot + SLOT_LENGTH, true) || length > FRAME_DATA_MAX) {
        this.truncatedCount = (this.truncatedCount + 1) | 0;
        this.releaseSlot(slot);
        continue;
      }
      const offset = this.pool.take();
      if (offset === -1) break;
      this.copyIn(slot, status, captured, offset);
      this.releaseSlot(slot);
      offsets[count] = offset;
      lengths[count] = length;
      count = (count + 1) | 0;
    }
    return count;
  }

  /** Copies a received frame out of its slot, and puts back what the kernel has taken off. @hot */
  private copyIn(slot: number, status: number, length: number, offset: number): void {
    const data = (slot + this.view.getUint16(slot + SLOT_MAC, true)) | 0;
    if ((status & STATUS_VLAN_VALID) === 0 || length < MAC_ADDRESSES_SIZE) {
      this.bytes.copyWithin(offset, data, (data + length) | 0);
    } else {
      const rest = (data + MAC_ADDRESSES_SIZE) | 0;
      const tag = (offset + MAC_ADDRESSES_SIZE) | 0;
      const hasType = (status & STATUS_VLAN_TPID_VALID) !== 0;
      this.bytes.copyWithin(offset, data, rest);
      this.view.setUint16(
        tag,
        hasType ? this.view.getUint16(slot + SLOT_VLAN_TPID, true) : TYPE_VLAN,
      );
      this.view.setUint16(tag + 2, this.view.getUint16(slot + SLOT_VLAN_TCI, true));
      this.bytes.copyWithin((tag + VLAN_SIZE) | 0, rest, (data + length) | 0);
    }
    if ((status & STATUS_CHECKSUM_NOT_READY) !== 0) {
      const whole = (status & STATUS_VLAN_VALID) !== 0 ? (length + VLAN_SIZE) | 0 : length;
      const done = completeChecksum(this.view, offset, whole);
      this.completedChecksumCount = (this.completedChecksumCount + done) | 0;
    }
  }

  /** @hot */
  private releaseSlot(slot: number): void {
    this.view.setUint16(slot + SLOT_NET, TAKEN, true);
    this.received = (this.received + 1) | 0;
    this.words[this.tail + TAIL_RECEIVE_CURSOR] = this.received;
    Atomics.store(this.words, (slot + SLOT_STATUS) >> 2, STATUS_KERNEL);
  }

  /** A frame longer than the interface's MTU allows is accepted here and discarded by the kernel. @hot */
  transmit(offset: number, length: number): number {
    if (!this.hasRoom() || length > this.longestTransmit) return 0;
    const index = this.offered & this.transmitMask;
    const slot = (this.transmitStart + Math.imul(index, this.transmitSlotSize)) | 0;
    this.pool.toInterface(offset, this.socket);
    this.words[this.tailOf(slot) + TAIL_FRAME] = offset;
    this.bytes.copyWithin((slot + TX_DATA_OFFSET) | 0, offset, (offset + length) | 0);
    this.words[(slot + SLOT_LENGTH) >> 2] = length;
    this.words[(slot + SLOT_STATUS) >> 2] = STATUS_SEND_REQUEST;
    this.offered = (this.offered + 1) | 0;
    this.words[this.tail + TAIL_OFFERED_CURSOR] = this.offered;
    this.unsent = 1;
    return 1;
  }

  /** @hot */
  private tailOf(slot: number): number {
    return (((slot + this.transmitSlotSize) | 0) - TAIL_SIZE) >> 2;
  }

  /**
   * Sends what was offered. What the device had no room for, or could not be sent because the link
   * is down, stays in the ring, in order, and goes with the next flush. @hot
   */
  flush(): number {
    if (this.unsent === 0) return 0;
    if (kickTransmit(this.fileDescriptor) === -1) this.noteSendError();
    const last = ((this.offered - 1) & this.transmitMask) | 0;
    const slot = (this.transmitStart + Math.imul(last, this.transmitSlotSize)) | 0;
    this.unsent = this.words[(slot + SLOT_STATUS) >> 2] & STATUS_SEND_REQUEST;
    return this.unsent;
  }

  /** The kernel's reason is read at once; a full queue is no error. */
  private noteSendError(): void {
    const errno = lastErrno();
    if (errno === EAGAIN || errno === ENOBUFS) return;
    this.sendErrorCount = (this.sendErrorCount + 1) | 0;
    this.lastError = errno;
  }

  /** @hot */
  reclaim(): number {
    let count = 0;
    let cursor = this.reclaimed;
    while (cursor !== this.offered) {
      const index = cursor & this.transmitMask;
      const slot = (this.transmitStart + Math.imul(index, this.transmitSlotSize)) | 0;
      const status = Atomics.load(this.words, (slot + SLOT_STATUS) >> 2);
      if ((status & (STATUS_SEND_REQUEST | STATUS_SENDING)) !== 0) break;
      this.pool.fromInterface(this.words[this.tailOf(slot) + TAIL_FRAME]);
      cursor = (cursor + 1) | 0;
      count = (count + 1) | 0;
    }
    if (count === 0) return 0;
    const first = this.reclaimed;
    this.reclaimed = cursor;
    this.words[this.tail + TAIL_RECLAIMED_CURSOR] = cursor;
    for (let i = 0; i < count; i++) {
      const index = (first + i) & this.transmitMask;
      const slot = (this.transmitStart + Math.imul(index, this.transmitSlotSize)) | 0;
      this.pool.give(this.words[this.tailOf(slot) + TAIL_FRAME]);
    }
    return count;
  }

  /** Nothing to do: the kernel receives into its own slots. @hot */
  refill(): number {
    return 0;
  }

  /** The socket stays open: its rings are another process's as well. */
  close(): void {}

  /** Marks the frames that stand in transmit slots, one byte per frame, for the frame pool's recovery. */
  framesInRings(marks: Uint8Array): void {
    for (let at = this.reclaimed; at !== this.offered; at = (at + 1) | 0) {
      const index = at & this.transmitMask;
      const slot = this.transmitStart + Math.imul(index, this.transmitSlotSize);
      marks[this.pool.frameOf(this.words[this.tailOf(slot) + TAIL_FRAME])] = 1;
    }
  }

  /**
   * Reads and so clears the socket's error: after the link went down, poll(2) would report it for
   * ever, and a sleeping processor could not sleep. Reading the losses clears their mark likewise.
   */
  checkSocket(): void {
    const { fileDescriptor, errorValue, errorSize } = this;
    if (libc.getsockopt(fileDescriptor, SOL_SOCKET, SO_ERROR, errorValue, errorSize) === 0) {
      if (errorValue[0] !== 0) this.lastError = errorValue[0];
    }
    if (this.losing === 0) return;
    this.losing = 0;
    this.lostCount = (this.lostCount + readPacketStatistics(fileDescriptor).drops) | 0;
  }
}
