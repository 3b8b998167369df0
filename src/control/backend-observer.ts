// What the switching processors have counted of each backend, once a second: how many connections it has now,
// rates over the last seconds, and how fast it answers. The master, the passive health observation and
// `weir backends` all look at the same counts. Only reads main memory.
//
//   samples   SLOTS times, each: for every backend's number FIELDS counts
//   since     for every backend's number: from which sample on they are its own
//
// Invariant: a sample is taken at most every SPACING_MS, so that the samples kept reach back over
// ANSWER_TIME_WINDOW_MS; of a number that has been given to another backend none of before counts.

import type { MainMemory } from '../memory/region.ts';
import {
  BACKEND_ACTIVE,
  BACKEND_ANSWER_TIME_MS,
  BACKEND_ANSWER_TIMES,
  BACKEND_BYTES_IN,
  BACKEND_BYTES_OUT,
  BACKEND_CONNECTIONS,
  BACKEND_PACKETS_IN,
  BACKEND_PACKETS_OUT,
  type BackendReading,
  readBackend,
  sumBackend,
} from '../tables/connection-backends.ts';
import type { RatesView } from './backend-view.ts';

/** Rates are means over this time. */
export const RATE_WINDOW_MS = 5000;
/** An answer time that is older says nothing any more. */
const ANSWER_TIME_WINDOW_MS = 10_000;
const SPACING_MS = 900;
const SLOTS = 13;

/** What a sample holds of a backend, in this order. */
const FIELDS = [
  BACKEND_CONNECTIONS,
  BACKEND_PACKETS_IN,
  BACKEND_PACKETS_OUT,
  BACKEND_BYTES_IN,
  BACKEND_BYTES_OUT,
  BACKEND_ANSWER_TIME_MS,
  BACKEND_ANSWER_TIMES,
] as const;
const ANSWER_TIME_MS = FIELDS.indexOf(BACKEND_ANSWER_TIME_MS);
const ANSWER_TIMES = FIELDS.indexOf(BACKEND_ANSWER_TIMES);

/** One look at a backend. */
export interface BackendObservation {
  readonly reading: BackendReading;
  readonly rates: RatesView;
}

const NO_RATES: RatesView = {
  connectionsPerSecond: 0,
  packetsInPerSecond: 0,
  packetsOutPerSecond: 0,
  bytesInPerSecond: 0,
  bytesOutPerSecond: 0,
};

export class BackendObserver {
  private readonly memory: MainMemory;
  /** Times of the samples, NaN where there is none yet; sample number n stands in slot n % SLOTS. */
  private readonly times = new Float64Array(SLOTS).fill(Number.NaN);
  private readonly samples: Float64Array[] = Array.from(
    { length: SLOTS },
    () => new Float64Array(),
  );
  /** How many samples have been taken. */
  private taken = 0;
  /** By number of a backend: the first sample that is its own; Infinity: it has none. */
  private since = new Float64Array();
  private known: ReadonlySet<number> = new Set();

  constructor(memory: MainMemory) {
    this.memory = memory;
  }

  /** These backends, by number, are observed from now on; of all others what was seen is forgotten. */
  follow(ids: Iterable<number>): void {
    const known = new Set(ids);
    let size = 0;
    for (const id of known) size = Math.max(size, id + 1);
    const since = new Float64Array(size).fill(Number.POSITIVE_INFINITY);
    for (const id of known) since[id] = this.known.has(id) ? this.since[id] : this.taken;
    this.since = since;
    this.known = known;
  }

  /** Takes a sample, unless the last one is too young. */
  observe(nowMs: number): void {
    const last = this.times[(this.taken + SLOTS - 1) % SLOTS];
    if (nowMs - last < SPACING_MS) return;
    const { memory } = this;
    const slot = this.taken % SLOTS;
    const length = this.since.length * FIELDS.length;
    if (this.samples[slot].length !== length) this.samples[slot] = new Float64Array(length);
    const sample = this.samples[slot];
    for (const id of this.known) {
      let at = id * FIELDS.length;
      for (const field of FIELDS) sample[at++] = sumBackend(memory, id, field);
    }
    this.times[slot] = nowMs;
    this.taken++;
  }

  /** What is known of a backend: its counts as they are now, its rates as of the last samples. */
  look(id: number): BackendObservation {
    return { reading: readBackend(this.memory, id), rates: this.rates(id) };
  }

  /** Connections now, closing ones included; not below 0. */
  active(id: number): number {
    return Math.max(0, sumBackend(this.memory, id, BACKEND_ACTIVE));
  }

  /** Connections ever. */
  begun(id: number): number {
    return sumBackend(this.memory, id, BACKEND_CONNECTIONS);
  }

  /** Mean time to the server's first answer over the last seconds; undefined: nothing was answered. */
  answerTimeMs(id: number): number | undefined {
    const last = this.taken - 1;
    const first = this.firstWithin(id, ANSWER_TIME_WINDOW_MS);
    if (first >= last) return undefined;
    const answered = this.at(last, id, ANSWER_TIMES) - this.at(first, id, ANSWER_TIMES);
    if (answered <= 0) return undefined;
    const timeMs = this.at(last, id, ANSWER_TIME_MS) - this.at(first, id, ANSWER_TIME_MS);
    return timeMs / answered;
  }

  private rates(id: number): RatesView {
    const last = this.taken - 1;
    const first = this.firstWithin(id, RATE_WINDOW_MS);
    if (first >= last) return NO_RATES;
    const seconds = (this.times[last % SLOTS] - this.times[first % SLOTS]) / 1000;
    const rate = (field: number): number =>
      Math.max(0, (this.at(last, id, field) - this.at(first, id, field)) / seconds);
    return {
      connectionsPerSecond: rate(0),
      packetsInPerSecond: rate(1),
      packetsOutPerSecond: rate(2),
      bytesInPerSecond: rate(3),
      bytesOutPerSecond: rate(4),
    };
  }

  /** The oldest sample of a backend that is no older than this, seen from the last one. */
  private firstWithin(id: number, windowMs: number): number {
    const last = this.taken - 1;
    const own = Math.max(this.since[id] ?? Number.POSITIVE_INFINITY, this.taken - SLOTS);
    let first = last;
    while (first > own && this.times[last % SLOTS] - this.times[(first - 1) % SLOTS] <= windowMs) {
      first--;
    }
    return first;
  }

  private at(sample: number, id: number, field: number): number {
    return this.samples[sample % SLOTS][id * FIELDS.length + field];
  }
}
