// Which records of the connection table are taken: one bit each, 1 = taken, for all processors
// together. A bit is set by compare-and-swap by whoever reserves the record, and cleared by the sweep
// of the record's share alone, after its limbo. Each processor begins to look where the sweep's share
// of that processor begins and moves on from where it last found one, so two seldom meet in a word.

import { COUNTER_CONNECTIONS_TAKEN, sumCounter } from '../memory/counters.ts';
import type { MainMemory } from '../memory/region.ts';

const NOT_FOUND = -1;
/**
 * Words of the bitmap that one call looks at, at most, when hardly any record is free: a flood must not
 * pay for the whole bitmap with each packet. While more than 1/64 are free the search goes on until it
 * finds one: old connections may stand side by side over any length, and that refuses nobody.
 */
const WORDS_PER_CALL = 256;

export class FreeRecords {
  private readonly memory: MainMemory;
  private readonly words: Int32Array;
  /** While no more records are taken than this, there is one to be found. */
  private readonly plentyLimit: number;
  private readonly bitmap: number;
  private readonly bitmapWords: number;
  /** Bits of the last word that stand for no record. */
  private readonly lastWordUnused: number;
  private cursor: number;

  constructor(memory: MainMemory, processor: number) {
    const { layout } = memory;
    this.memory = memory;
    this.words = memory.words;
    this.plentyLimit = layout.connections - Math.ceil(layout.connections / 64);
    this.bitmap = layout.connectionBitmap >> 2;
    this.bitmapWords = Math.ceil(layout.connections / 32);
    this.lastWordUnused = layout.connections % 32 === 0 ? 0 : -1 << (layout.connections % 32);
    this.cursor = Math.floor((processor * this.bitmapWords) / layout.processors);
  }

  /** Sets the bit of a free record and returns its number; NOT_FOUND when none was seen. @hot */
  take(): number {
    const { bitmapWords } = this;
    // A second call beside the first would be met so late that its code is thrown away.
    for (let most = WORDS_PER_CALL; ; most = bitmapWords) {
      const number = this.search(most);
      if (number !== NOT_FOUND || most >= bitmapWords) return number;
      if (sumCounter(this.memory, COUNTER_CONNECTIONS_TAKEN) > this.plentyLimit) return NOT_FOUND;
    }
  }

  /** @hot */
  private search(most: number): number {
    for (let tried = 0; tried < most; tried++) {
      const number = this.takeIn(this.cursor);
      if (number !== NOT_FOUND) return number;
      this.cursor = this.cursor + 1 === this.bitmapWords ? 0 : (this.cursor + 1) | 0;
    }
    return NOT_FOUND;
  }

  /** @hot */
  private takeIn(wordNumber: number): number {
    const unused = wordNumber === this.bitmapWords - 1 ? this.lastWordUnused : 0;
    const index = this.bitmap + wordNumber;
    let word = this.words[index];
    for (;;) {
      const free = ~(word | unused);
      if (free === 0) return NOT_FOUND;
      const bit = free & -free;
      const seen = Atomics.compareExchange(this.words, index, word, word | bit);
      if (seen === word) return (wordNumber << 5) + 31 - Math.clz32(bit);
      word = seen;
    }
  }

  /** Clears the bit of a record: it can be taken again. @hot */
  give(number: number): void {
    Atomics.and(this.words, this.bitmap + (number >>> 5), ~(1 << (number & 31)));
  }
}
