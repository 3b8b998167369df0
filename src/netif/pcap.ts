// An interface made of capture files: it plays the frames of one capture as fast as they are taken,
// and writes what is transmitted to another. For replaying what a user has captured, and for fuzzing
// from real traffic. A frame that the capture has cut short (its snapshot length was too small), or
// that is longer than a chunk of main memory, is skipped and counted: half a frame would only be
// counted as malformed further on, and hide the reason.
// Invariant: every frame of the capture is either received once or counted in `truncatedCount`.

import type { FramePool } from '../memory/frame-pool.ts';
import { FRAME_DATA_MAX, FRAME_SIZE } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import type { InterfaceQueue } from './contract.ts';
import type { PcapReader, PcapWriter } from './pcap-file.ts';

/** Frames that can be transmitted between two flushes. */
const TRANSMIT_CAPACITY = 256;

/** Where the frames come from: a PcapReader, or anything like one. */
export type FrameSource = Pick<
  PcapReader,
  'bytes' | 'dataOffset' | 'capturedLength' | 'originalLength' | 'next'
>;

/** What stands at the two ends of a pcap interface, and its clock. */
export interface PcapEnds {
  /** What is received; nothing when it is left out. */
  readonly source?: FrameSource;
  /** Where transmitted frames go; they vanish when it is left out. */
  readonly writer?: PcapWriter;
  /** Milliseconds since 1970, read once per flush, for the records' times. */
  readonly wallClockMs: () => number;
}

/** Walks a capture to its end, so that a fault is found before the first frame is played. */
export function checkCapture(reader: PcapReader): void {
  while (reader.next());
  reader.rewind();
}

export class PcapQueue implements InterfaceQueue {
  readonly fileDescriptor: number;
  /** The number that the frame pool knows this queue by. */
  readonly socket: number;
  /** Frames of the capture that were skipped because they are not whole or too long. */
  truncatedCount: number;
  /** Whether the last frame of the capture has been received. */
  finished: boolean;
  private readonly memory: MainMemory;
  private readonly pool: FramePool;
  private readonly ends: PcapEnds;
  private readonly offsets: Int32Array;
  private readonly lengths: Int32Array;
  private offered: number;
  private flushed: number;
  /** Whether the source stands on a frame for which there was no room in the pool. */
  private waiting: boolean;

  constructor(memory: MainMemory, pool: FramePool, socket: number, ends: PcapEnds) {
    this.fileDescriptor = -1;
    this.socket = socket;
    this.truncatedCount = 0;
    this.finished = ends.source === undefined;
    this.memory = memory;
    this.pool = pool;
    this.ends = ends;
    this.offsets = new Int32Array(TRANSMIT_CAPACITY);
    this.lengths = new Int32Array(TRANSMIT_CAPACITY);
    this.offered = 0;
    this.flushed = 0;
    this.waiting = false;
  }

  /** Goes on to the next frame that can be played. */
  private advance(source: FrameSource): boolean {
    if (this.waiting) return true;
    while (source.next()) {
      const length = source.capturedLength;
      if (length === source.originalLength && length <= FRAME_DATA_MAX) return true;
      this.truncatedCount += 1;
    }
    return false;
  }

  receiveBurst(offsets: Int32Array, lengths: Int32Array, limit: number): number {
    const { source } = this.ends;
    if (source === undefined) return 0;
    const { bytes } = this.memory;
    let count = 0;
    while (count < limit) {
      if (!this.advance(source)) {
        this.finished = true;
        break;
      }
      this.finished = false;
      const offset = this.pool.take();
      this.waiting = offset === -1;
      if (this.waiting) break;
      const length = source.capturedLength;
      const from = source.dataOffset;
      for (let i = 0; i < length; i++) bytes[offset + i] = source.bytes[from + i];
      offsets[count] = offset;
      lengths[count] = length;
      count += 1;
    }
    return count;
  }

  transmit(offset: number, length: number): number {
    if (this.offered === TRANSMIT_CAPACITY || length > FRAME_SIZE) return 0;
    this.pool.toInterface(offset, this.socket);
    this.offsets[this.offered] = offset;
    this.lengths[this.offered] = length;
    this.offered += 1;
    return 1;
  }

  flush(): number {
    const { writer } = this.ends;
    if (writer !== undefined && this.flushed !== this.offered) {
      const now = this.ends.wallClockMs();
      for (let i = this.flushed; i < this.offered; i++) {
        writer.write(this.memory.bytes, this.offsets[i], this.lengths[i], now);
      }
    }
    this.flushed = this.offered;
    return 0;
  }

  reclaim(): number {
    const count = this.flushed;
    for (let i = 0; i < count; i++) this.pool.fromInterface(this.offsets[i]);
    for (let i = 0; i < count; i++) this.pool.give(this.offsets[i]);
    this.offsets.copyWithin(0, count, this.offered);
    this.lengths.copyWithin(0, count, this.offered);
    this.offered -= count;
    this.flushed = 0;
    return count;
  }

  refill(): number {
    return 0;
  }

  /** Hands what was written to the file; the file itself is the opener's. */
  close(): void {
    this.ends.writer?.flush();
  }

  /** Marks the frames that wait to be reclaimed, one byte per frame, for the frame pool's recovery. */
  framesInRings(marks: Uint8Array): void {
    for (let i = 0; i < this.offered; i++) marks[this.pool.frameOf(this.offsets[i])] = 1;
  }
}
