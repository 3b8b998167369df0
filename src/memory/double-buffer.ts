// Two buffers, A and B, and a generation whose lowest bit names the active one: how control changes
// the configuration table and the routing table while switching goes on (element 64 of Fig. 4).
//
//   control      1. waits until isQuiescent   2. writes the standby buffer   3. publish
//   processors   once per turn: generation; when it changed, show what they read now
//
// The generation stands in main memory's header, written by control only. Invariant: a buffer is
// written only while no processor reads it, that is after every processor that is running shows
// the present generation. One that sleeps holds nothing: it calls `enter` again before it reads.

import {
  CONFIGURATION_TABLE_SIZE,
  CONFIGURATION_TEXT_SIZE,
  HEADER_CONFIGURATION_GENERATION,
  HEADER_ROUTING_GENERATION,
  HEADER_RUNTIME_GENERATION,
  HEADER_TEXT_GENERATION,
  PROCESSOR_CONFIGURATION_GENERATION,
  PROCESSOR_ROUTING_GENERATION,
  PROCESSOR_SLEEPING,
  PROCESSOR_STATE,
  ROUTING_TABLE_SIZE,
  RUNTIME_STATE_SIZE,
  STATE_DEAD,
  STATE_STOPPED,
} from './layout.ts';
import type { MainMemory } from './region.ts';

export class DoubleBuffer {
  private readonly memory: MainMemory;
  private readonly words: Int32Array;
  private readonly start: number;
  private readonly size: number;
  private readonly generationIndex: number;
  private readonly processorWord: number;

  /**
   * `section`: byte offset of buffer A. `size`: bytes of one buffer. `headerWord`: HEADER_*_GENERATION.
   * `processorWord`: PROCESSOR_*_GENERATION, where processors show what they read; -1 when they do
   * not read it (the configuration text).
   */
  constructor(
    memory: MainMemory,
    section: number,
    size: number,
    headerWord: number,
    processorWord: number,
  ) {
    this.memory = memory;
    this.words = memory.words;
    this.start = section;
    this.size = size;
    this.generationIndex = (memory.layout.header >> 2) + headerWord;
    this.processorWord = processorWord;
  }

  /** The present generation; 0 before anything was ever published. @hot */
  generation(): number {
    return Atomics.load(this.words, this.generationIndex);
  }

  /** Byte offset of the buffer that is active in `generation`. @hot */
  activeOffset(generation: number): number {
    return (this.start + Math.imul(generation & 1, this.size)) | 0;
  }

  /**
   * Reader: shows that `processor` reads the present generation, and returns it. Whatever it read
   * under an earlier one it must not touch any more. At start, after sleep, and whenever
   * `generation` has changed. @hot
   */
  enter(processor: number): number {
    const shown = this.memory.processorWord(processor, this.processorWord);
    for (;;) {
      const generation = Atomics.load(this.words, this.generationIndex);
      Atomics.store(this.words, shown, generation);
      // Published in between: the writer may not have seen what we showed.
      if (Atomics.load(this.words, this.generationIndex) === generation) return generation;
    }
  }

  /** Writer: byte offset of the buffer to write into, once `isQuiescent`. */
  standbyOffset(): number {
    return this.activeOffset(this.generation() + 1);
  }

  /** Writer: makes the standby buffer the active one; returns the new generation. */
  publish(): number {
    return (Atomics.add(this.words, this.generationIndex, 1) + 1) | 0;
  }

  /** Writer: whether no processor can still read the standby buffer. */
  isQuiescent(): boolean {
    if (this.processorWord < 0) return true;
    const generation = this.generation();
    for (let p = 0; p < this.memory.layout.processors; p++) {
      const state = Atomics.load(this.words, this.memory.processorWord(p, PROCESSOR_STATE));
      if (state === STATE_DEAD || state === STATE_STOPPED) continue;
      if (Atomics.load(this.words, this.memory.processorWord(p, PROCESSOR_SLEEPING)) !== 0)
        continue;
      const shown = Atomics.load(this.words, this.memory.processorWord(p, this.processorWord));
      if (shown !== generation) return false;
    }
    return true;
  }
}

/** The two buffers of the configuration table. */
export function configurationBuffer(memory: MainMemory): DoubleBuffer {
  return new DoubleBuffer(
    memory,
    memory.layout.configurationTable,
    CONFIGURATION_TABLE_SIZE,
    HEADER_CONFIGURATION_GENERATION,
    PROCESSOR_CONFIGURATION_GENERATION,
  );
}

/** The two buffers of the routing table. */
export function routingBuffer(memory: MainMemory): DoubleBuffer {
  return new DoubleBuffer(
    memory,
    memory.layout.routingTable,
    ROUTING_TABLE_SIZE,
    HEADER_ROUTING_GENERATION,
    PROCESSOR_ROUTING_GENERATION,
  );
}

/** The two buffers of the configuration's text, which no switching processor reads. */
export function textBuffer(memory: MainMemory): DoubleBuffer {
  const { configurationText } = memory.layout;
  return new DoubleBuffer(
    memory,
    configurationText,
    CONFIGURATION_TEXT_SIZE,
    HEADER_TEXT_GENERATION,
    -1,
  );
}

/** The two buffers of what control knows beside the configuration: no switching processor reads it. */
export function runtimeBuffer(memory: MainMemory): DoubleBuffer {
  const { runtimeState } = memory.layout;
  return new DoubleBuffer(memory, runtimeState, RUNTIME_STATE_SIZE, HEADER_RUNTIME_GENERATION, -1);
}
