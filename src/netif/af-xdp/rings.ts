// The descriptor rings of an AF_XDP socket (Figs. 10–13) as int32 words in the one ArrayBuffer: two
// that we produce into (fill, transmit) and two that we consume from (receive, completion). Cursors
// run over all of 32 bits and are only ever subtracted; the slot is the cursor under a mask.
// Invariant: a cursor of ours is stored with Atomics after the entries it covers were written or
// read, and the kernel's is loaded with Atomics before its entries are; both once per burst.
// The cursors stand in memory of the kernel, so the next process goes on exactly where a killed one
// stopped: what it wrote but had not published never happened.

import type { XdpRingPlace } from '../../sys/xdp-socket.ts';

const NEED_WAKEUP = 1;
/** Words of an entry, as a shift: addresses (fill, completion) and descriptors (receive, transmit). */
export const ADDRESS_SHIFT = 1;
export const DESCRIPTOR_SHIFT = 2;

/** A ring that we write to and the kernel reads. */
export class ProducerRing {
  readonly size: number;
  /** Our cursor, ahead of what is published by what was put since. */
  producer: number;
  private readonly words: Int32Array;
  private readonly producerWord: number;
  private readonly consumerWord: number;
  private readonly flagsWord: number;
  private readonly entries: number;
  private readonly entryShift: number;
  private readonly mask: number;
  private published: number;
  /** The kernel's cursor when last looked at: the truth can only leave more room. */
  private consumer: number;

  constructor(words: Int32Array, place: XdpRingPlace, entryShift: number) {
    this.words = words;
    this.size = place.size;
    this.mask = place.size - 1;
    this.producerWord = place.producer >> 2;
    this.consumerWord = place.consumer >> 2;
    this.flagsWord = place.flags >> 2;
    this.entries = place.descriptors >> 2;
    this.entryShift = entryShift;
    this.producer = Atomics.load(words, this.producerWord);
    this.published = this.producer;
    this.consumer = Atomics.load(words, this.consumerWord);
  }

  /** Room for at least `wanted` entries, or all the room there is. @hot */
  room(wanted: number): number {
    const room = (this.size - ((this.producer - this.consumer) | 0)) | 0;
    if (room >= wanted) return room;
    this.consumer = Atomics.load(this.words, this.consumerWord);
    return (this.size - ((this.producer - this.consumer) | 0)) | 0;
  }

  /** Writes an address; there must be room. @hot */
  putAddress(address: number): void {
    const word = this.entries + ((this.producer & this.mask) << this.entryShift);
    this.words[word] = address;
    this.words[word + 1] = 0;
    this.producer = (this.producer + 1) | 0;
  }

  /** Writes a descriptor; there must be room. @hot */
  putDescriptor(address: number, length: number): void {
    const word = this.entries + ((this.producer & this.mask) << this.entryShift);
    this.words[word] = address;
    this.words[word + 1] = 0;
    this.words[word + 2] = length;
    this.words[word + 3] = 0;
    this.producer = (this.producer + 1) | 0;
  }

  /** Shows the kernel what was put since the last time. @hot */
  publish(): void {
    if (this.producer === this.published) return;
    Atomics.store(this.words, this.producerWord, this.producer);
    this.published = this.producer;
  }

  /** As `waiting`, by what was last seen of the kernel's progress: 0 is certain. @hot */
  waitingAtLastLook(): number {
    return (this.published - this.consumer) | 0;
  }

  /** Entries that are published and not yet taken by the kernel. @hot */
  waiting(): number {
    this.consumer = Atomics.load(this.words, this.consumerWord);
    return (this.published - this.consumer) | 0;
  }

  /** 1 when the kernel sleeps on this ring and must be told. @hot */
  needsWakeup(): number {
    return Atomics.load(this.words, this.flagsWord) & NEED_WAKEUP;
  }

  /** Marks the frames of all published entries in `marks`, one byte per frame. */
  markFrames(marks: Uint8Array, frameShift: number): void {
    const producer = Atomics.load(this.words, this.producerWord);
    const consumer = Atomics.load(this.words, this.consumerWord);
    for (let cursor = consumer; cursor !== producer; cursor = (cursor + 1) | 0) {
      const word = this.entries + ((cursor & this.mask) << this.entryShift);
      marks[this.words[word] >>> frameShift] = 1;
    }
  }
}

/** A ring that the kernel writes to and we read. */
export class ConsumerRing {
  readonly size: number;
  /** Our cursor, as published. */
  consumer: number;
  private readonly words: Int32Array;
  private readonly producerWord: number;
  private readonly consumerWord: number;
  private readonly entries: number;
  private readonly entryShift: number;
  private readonly mask: number;

  constructor(words: Int32Array, place: XdpRingPlace, entryShift: number) {
    this.words = words;
    this.size = place.size;
    this.mask = place.size - 1;
    this.producerWord = place.producer >> 2;
    this.consumerWord = place.consumer >> 2;
    this.entries = place.descriptors >> 2;
    this.entryShift = entryShift;
    this.consumer = Atomics.load(words, this.consumerWord);
  }

  /** Entries that wait for us. @hot */
  available(): number {
    return (Atomics.load(this.words, this.producerWord) - this.consumer) | 0;
  }

  /** Address of the entry `ahead` of the first unreleased one. @hot */
  address(ahead: number): number {
    return this.words[this.entries + (((this.consumer + ahead) & this.mask) << this.entryShift)];
  }

  /** Length in bytes of the frame `ahead` of the first unreleased one. @hot */
  length(ahead: number): number {
    const slot = ((this.consumer + ahead) & this.mask) << this.entryShift;
    return this.words[this.entries + slot + 2];
  }

  /** Gives `count` entries back to the kernel. @hot */
  release(count: number): void {
    if (count === 0) return;
    this.consumer = (this.consumer + count) | 0;
    Atomics.store(this.words, this.consumerWord, this.consumer);
  }

  /** Marks the frames of all unreleased entries in `marks`, one byte per frame. */
  markFrames(marks: Uint8Array, frameShift: number): void {
    const count = this.available();
    for (let i = 0; i < count; i++) marks[this.address(i) >>> frameShift] = 1;
  }
}
