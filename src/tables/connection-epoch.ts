// Epochs tell when nobody can still be looking at a record that has left the index. Each processor
// shows, once per turn, the global epoch it has seen; the global epoch may advance when all processors
// show it. So whoever was in a turn when something was retired in epoch e has ended that turn when
// the global epoch is e + 2.
//
// A processor that sleeps, is dead or stopped shows nothing and holds nobody up; it must not touch
// the table then. Words: HEADER_EPOCH (compare-and-swap by any processor), PROCESSOR_EPOCH
// (that processor, or the supervisor once it is dead). Epochs are 28 bits and wrap.

import {
  EPOCH_QUIESCENT,
  HEADER_EPOCH,
  PROCESSOR_EPOCH,
  PROCESSOR_STATE,
  STATE_DEAD,
  STATE_STOPPED,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';

const EPOCH_MASK = 0x0fffffff;
const PROCESSOR_WORDS = 64;

export class ConnectionEpoch {
  private readonly words: Int32Array;
  private readonly globalIndex: number;
  private readonly blocks: number;
  private readonly processors: number;
  private readonly shownIndex: number;
  private shown: number;

  constructor(memory: MainMemory, processor: number) {
    this.words = memory.words;
    this.globalIndex = (memory.layout.header >> 2) + HEADER_EPOCH;
    this.blocks = memory.processorWord(0, 0);
    this.processors = memory.layout.processors;
    this.shownIndex = memory.processorWord(processor, PROCESSOR_EPOCH);
    this.shown = -2;
  }

  /** At the beginning of each turn: nothing from earlier turns is held any more. @hot */
  enterTurn(): void {
    const epoch = Atomics.load(this.words, this.globalIndex);
    if (epoch === this.shown) return;
    Atomics.store(this.words, this.shownIndex, epoch);
    this.shown = epoch;
  }

  /** Before sleeping or stopping: nothing is held until the next `enterTurn`. @hot */
  leave(): void {
    Atomics.store(this.words, this.shownIndex, EPOCH_QUIESCENT);
    this.shown = -2;
  }

  /** The global epoch: the stamp of what is retired now. @hot */
  now(): number {
    return Atomics.load(this.words, this.globalIndex);
  }

  /** Whether all turns have ended that were under way at `stamp`. @hot */
  hasPassed(stamp: number): boolean {
    const age = (Atomics.load(this.words, this.globalIndex) - stamp) & EPOCH_MASK;
    return age >= 2 && age <= EPOCH_MASK >> 1;
  }

  /** Advances the global epoch when every processor shows it; 1 when it did. @hot */
  tryAdvance(): number {
    const epoch = Atomics.load(this.words, this.globalIndex);
    for (let p = 0; p < this.processors; p++) {
      const block = this.blocks + p * PROCESSOR_WORDS;
      const state = Atomics.load(this.words, block + PROCESSOR_STATE);
      if (state === STATE_DEAD || state === STATE_STOPPED) continue;
      const shown = Atomics.load(this.words, block + PROCESSOR_EPOCH);
      if (shown !== epoch && shown !== EPOCH_QUIESCENT) return 0;
    }
    const next = (epoch + 1) & EPOCH_MASK;
    return Atomics.compareExchange(this.words, this.globalIndex, epoch, next) === epoch ? 1 : 0;
  }
}
