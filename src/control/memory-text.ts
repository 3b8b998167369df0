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
    const { generation } = this;
    if (generation === 0) return undefined;
    const start = this.buffer.activeOffset(generation);
    const length = this.memory.header(this.lengthWord + (generation & 1));
    return Buffer.from(this.memory.buffer, start, length).toString('utf8');
  }

  /** Writes the standby buffer; `publish` makes it the active one. At most `capacity` bytes. */
  write(bytes: Uint8Array): void {
    const standby = (this.generation + 1) & 1;
    this.memory.bytes.set(bytes, this.buffer.standbyOffset());
    this.memory.setHeader(this.lengthWord + standby, bytes.length);
  }

  publish(): void {
    this.buffer.publish();
  }
}
