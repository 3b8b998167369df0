// Main memory as one process sees it: one ArrayBuffer from which everything is reached by int32
// offsets. In production the buffer views the memory file that all processes map, with the network
// interfaces' rings mapped behind it (sys/main-memory.ts); in unit tests it is a plain ArrayBuffer.
// Invariant: an offset means the same in every process; nothing outside `layout` decides places.

import { assert } from '../base/assert.ts';
import { WeirError } from '../base/errors.ts';
import {
  computeLayout,
  HEADER_CONNECTIONS,
  HEADER_FRAMES,
  HEADER_LAYOUT_VERSION,
  HEADER_MAGIC,
  HEADER_PROCESSORS,
  HEADER_TOTAL_SIZE,
  LAYOUT_VERSION,
  type Layout,
  MAGIC,
  type MemorySizes,
} from './layout.ts';

export class MainMemory {
  readonly buffer: ArrayBuffer;
  readonly layout: Layout;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly doubles: Float64Array;

  /** `buffer` may be longer than the layout: rings are mapped behind it. */
  constructor(buffer: ArrayBuffer, layout: Layout) {
    assert(buffer.byteLength >= layout.totalSize, 'buffer shorter than its layout');
    this.buffer = buffer;
    this.layout = layout;
    this.view = new DataView(buffer);
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
  }

  /** Reads a word of the header (HEADER_*), with the order that Atomics gives. */
  header(word: number): number {
    return Atomics.load(this.words, (this.layout.header >> 2) + word);
  }

  /** Writes a word of the header (HEADER_*). */
  setHeader(word: number, value: number): void {
    Atomics.store(this.words, (this.layout.header >> 2) + word, value);
  }

  /** Index into `words` of a word (PROCESSOR_*) of a processor's block. @hot */
  processorWord(processor: number, word: number): number {
    return (this.layout.processorBlocks >> 2) + processor * 64 + word;
  }

  /** Index into `words` of a word (INTERFACE_*) of an interface's block. @hot */
  interfaceWord(interfaceNumber: number, word: number): number {
    return (this.layout.interfaces >> 2) + interfaceNumber * 64 + word;
  }
}

/** Writes the header of fresh, zeroed memory; done once, by the supervisor (or a test). */
export function formatMainMemory(buffer: ArrayBuffer, sizes: MemorySizes): MainMemory {
  const memory = new MainMemory(buffer, computeLayout(sizes));
  memory.setHeader(HEADER_CONNECTIONS, sizes.connections);
  memory.setHeader(HEADER_FRAMES, sizes.frames);
  memory.setHeader(HEADER_PROCESSORS, sizes.processors);
  memory.setHeader(HEADER_TOTAL_SIZE, memory.layout.totalSize);
  memory.setHeader(HEADER_LAYOUT_VERSION, LAYOUT_VERSION);
  memory.setHeader(HEADER_MAGIC, MAGIC);
  return memory;
}

/**
 * Attaches to memory that another process has formatted.
 * @throws WeirError ERR_MEMORY_LAYOUT when it was made by another version, or is none of ours.
 */
export function attachMainMemory(buffer: ArrayBuffer): MainMemory {
  const words = new Int32Array(buffer, 0, 16);
  const magic = words[HEADER_MAGIC];
  const version = words[HEADER_LAYOUT_VERSION];
  if (magic !== MAGIC || version !== LAYOUT_VERSION) {
    throw new WeirError(
      'ERR_MEMORY_LAYOUT',
      `main memory has magic ${magic}, layout version ${version}; this program needs version ${LAYOUT_VERSION}`,
      'stop every weir process of the other version, then start this one',
    );
  }
  const layout = computeLayout({
    connections: words[HEADER_CONNECTIONS],
    frames: words[HEADER_FRAMES],
    processors: words[HEADER_PROCESSORS],
  });
  if (layout.totalSize !== words[HEADER_TOTAL_SIZE]) {
    throw new WeirError(
      'ERR_MEMORY_LAYOUT',
      `main memory says ${words[HEADER_TOTAL_SIZE]} bytes, this program computes ${layout.totalSize}`,
      'stop every weir process of the other version, then start this one',
    );
  }
  return new MainMemory(buffer, layout);
}

/** Main memory in a plain ArrayBuffer, for unit tests and simulation. */
export function plainMainMemory(sizes: MemorySizes): MainMemory {
  return formatMainMemory(new ArrayBuffer(computeLayout(sizes).totalSize), sizes);
}
