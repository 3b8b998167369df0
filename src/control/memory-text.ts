// A text that control keeps in main memory, in two buffers, so that the control processor that follows a
// killed one finds it whole: either the last text or the one before, never half of one. The configuration's
// text is one, the runtime state (runtime-state.ts) the other.

import type { DoubleBuffer } from '../memory/double-buffer.ts';
import type { MainMemory } from '../memory/region.ts';

export class MemoryText {
  private readonly memory: MainMemory;
  private readonly buffer: DoubleBuffer;
  private readonly lengthWord: number;
  /** Most bytes of a text. */
  readonly capacity: number;

  /** `lengthWord`: the header word of buffer A's length; B's is the next. */
  constructor(memory: MainMemory, buffer: DoubleBuffer, lengthWord: number, capacity: number) {
    this.memory = memory;
    this.buffer = buffer;
    this.lengthWord = lengthWord;
    this.capacity = capacity;
  }

  /** Counts publications; 0: there has been no text yet. */
  get generation(): number {
    return this.buffer.generation();
  }

  /** The published text; undefined: none yet. */
  read(): string | undefined {
    const bytes = this.readBytes();
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
  }

  /** The same as it lies in main memory, until the next but one is published. */
  readBytes(): Uint8Array | undefined {
    const { generation } = this;
    if (generation === 0) return undefined;
    const start = this.buffer.activeOffset(generation);
    const length = this.memory.header(this.lengthWord + (generation & 1));
    return this.memory.bytes.subarray(start, start + length);
  }

  /** Writes the standby buffer; `publish` makes it the active one. At most `capacity` bytes. */
  write(bytes: Uint8Array): void {
    this.standby().set(bytes);
    this.setLength(bytes.length);
  }

  /** The standby buffer, to be written in place: what is written so is published with its length. */
  standby(): Uint8Array {
    const start = this.buffer.standbyOffset();
    return this.memory.bytes.subarray(start, start + this.capacity);
  }

  publish(length?: number): void {
    if (length !== undefined) this.setLength(length);
    this.buffer.publish();
  }

  private setLength(length: number): void {
    this.memory.setHeader(this.lengthWord + ((this.generation + 1) & 1), length);
  }
}
