// Counters and histograms that an XDP program of the lab keeps: one array map with one element, in it a
// slot for each CPU, so that no two CPUs write the same line and nothing need be atomic.
//
//   slot, 16 KiB:   0 counters u64 × 64     512 histograms u64 × 464 each, 4096 bytes apart
//
// The program only ever adds; setting to zero is done by the reader, who remembers what there was. So a
// reading is right even while packets come in.
// The class has two sides: methods that emit the program's code, and methods that read the map.

import { createMap, MAP_TYPE_ARRAY, readMapValue } from '../sys/bpf.ts';
import { type BpfAssembler, R0, R1, R2, R3, R4, R5 } from '../sys/bpf-assembler.ts';
import { HISTOGRAM_BUCKETS } from './latency-histogram.ts';

const HELPER_CPU = 8;
const SLOT_BITS = 14;
const HISTOGRAMS = 512;
const HISTOGRAM_BITS = 12;
const BUCKET_MASK = 511;
/** Durations above are counted as this one. */
const LONGEST = 0x7fffffff;

/** The lowest power of two that leaves a slot to each of the machine's CPUs. */
export function cpuSlots(cpus: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, cpus)));
}

export interface MeterReading<Counter extends string, Histogram extends string> {
  readonly counters: Readonly<Record<Counter, number>>;
  readonly histograms: Readonly<Record<Histogram, readonly number[]>>;
}

export class BpfMeter<Counter extends string, Histogram extends string> {
  readonly mapFd: number;
  readonly slots: number;
  readonly #counters: readonly Counter[];
  readonly #histograms: readonly Histogram[];
  #zero: Float64Array;

  /** @param slots a power of two, not below the number of CPUs */
  constructor(counters: readonly Counter[], histograms: readonly Histogram[], slots: number) {
    this.#counters = counters;
    this.#histograms = histograms;
    this.slots = slots;
    this.mapFd = createMap({
      type: MAP_TYPE_ARRAY,
      keySize: 4,
      valueSize: slots << SLOT_BITS,
      entries: 1,
      name: 'weir_meter',
    });
    this.#zero = this.#sums();
  }

  /** slot = address of this CPU's slot. Changes r0 … r5. */
  enter(program: BpfAssembler, slot: number): void {
    program.call(HELPER_CPU).and(R0, this.slots - 1);
    program.shiftLeft(R0, SLOT_BITS).loadMapValue(slot, this.mapFd).add(slot, R0);
  }

  /** counter += register, or 1. Changes `scratch`. */
  count(program: BpfAssembler, slot: number, name: Counter, scratch: number, register = -1): void {
    const offset = this.#counters.indexOf(name) * 8;
    program.loadDouble(scratch, slot, offset);
    if (register === -1) program.addImmediate(scratch, 1);
    else program.add(scratch, register);
    program.storeDouble(slot, offset, scratch);
  }

  /** Adds the duration in r1 (ns) to a histogram. Changes r0 … r5. */
  record(program: BpfAssembler, slot: number, name: Histogram): void {
    const short = program.uniqueLabel('short');
    const add = program.uniqueLabel('add');
    const fits = program.uniqueLabel('fits');
    program.move(R2, LONGEST).jumpIfGreater(R2, R1, fits).copy(R1, R2).label(fits);
    // r0 = floor(log2(r1)), found by halves.
    program.move(R0, 0).copy(R2, R1);
    for (const bits of [16, 8, 4, 2, 1]) {
      const below = program.uniqueLabel('below');
      program.copy(R3, R2).shiftRight(R3, bits).jumpIfEqual(R3, 0, below);
      program.copy(R2, R3).addImmediate(R0, bits).label(below);
    }
    program.jumpIfGreaterThan(R0, 4, short).copy(R4, R1).jump(add).label(short);
    // bucket = (r0 - 3) * 16 + the four bits below the highest
    program.copy(R5, R0).addImmediate(R5, -4).copy(R4, R1).shiftRightBy(R4, R5).and(R4, 15);
    program.addImmediate(R5, 1).shiftLeft(R5, 4).add(R4, R5).label(add);
    program.and(R4, BUCKET_MASK).shiftLeft(R4, 3).add(R4, slot);
    const offset = HISTOGRAMS + (this.#histograms.indexOf(name) << HISTOGRAM_BITS);
    program.loadDouble(R2, R4, offset).addImmediate(R2, 1).storeDouble(R4, offset, R2);
  }

  /** All that has been added since the last reset. */
  read(): MeterReading<Counter, Histogram> {
    const sums = this.#sums();
    sums.forEach((_, i) => {
      sums[i] -= this.#zero[i];
    });
    const counters = this.#counters.map((name, i) => [name, sums[i]]);
    const histograms = this.#histograms.map((name, i) => {
      const from = (HISTOGRAMS + (i << HISTOGRAM_BITS)) / 8;
      return [name, Array.from(sums.subarray(from, from + HISTOGRAM_BUCKETS))];
    });
    return {
      counters: Object.fromEntries(counters),
      histograms: Object.fromEntries(histograms),
    };
  }

  reset(): void {
    this.#zero = this.#sums();
  }

  /** The slots added up, word by word. */
  #sums(): Float64Array {
    const words = new BigUint64Array((this.slots << SLOT_BITS) / 8);
    readMapValue(this.mapFd, 0, words);
    const perSlot = (1 << SLOT_BITS) / 8;
    const sums = new Float64Array(perSlot);
    words.forEach((word, i) => {
      sums[i % perSlot] += Number(word);
    });
    return sums;
  }
}
