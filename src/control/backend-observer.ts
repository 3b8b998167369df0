// What the switching processors have counted of each backend, once a second: how many connections it has now,
// rates over the last seconds, and how fast it answers. The master, the passive health observation and
// `weir backends` all look at the same reading. Only reads main memory.

import type { MainMemory } from '../memory/region.ts';
import { type BackendReading, readBackend } from '../tables/connection-backends.ts';
import type { RatesView } from './backend-view.ts';

/** Rates are means over this time. */
export const RATE_WINDOW_MS = 5000;
/** An answer time that is older says nothing any more. */
const ANSWER_TIME_WINDOW_MS = 10_000;

/** One look at a backend. */
export interface BackendObservation {
  readonly reading: BackendReading;
  readonly rates: RatesView;
  /** Mean time to the server's first answer over the last seconds; undefined: nothing was answered. */
  readonly answerTimeMs?: number;
}

interface Sample {
  readonly atMs: number;
  readonly reading: BackendReading;
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
  private readonly samples = new Map<number, Sample[]>();

  constructor(memory: MainMemory) {
    this.memory = memory;
  }

  /** Takes a sample of these backends, by number, and forgets all others. */
  observe(ids: Iterable<number>, nowMs: number): void {
    const known = new Set(ids);
    for (const id of this.samples.keys()) if (!known.has(id)) this.samples.delete(id);
    for (const id of known) {
      const samples = this.samples.get(id) ?? [];
      samples.push({ atMs: nowMs, reading: readBackend(this.memory, id) });
      while (samples.length > 1 && nowMs - samples[0].atMs > ANSWER_TIME_WINDOW_MS) samples.shift();
      this.samples.set(id, samples);
    }
  }

  /** What is known of a backend: its counts as they are now, its rates as of the last samples. */
  look(id: number): BackendObservation {
    const reading = readBackend(this.memory, id);
    const samples = this.samples.get(id) ?? [];
    const last = samples.at(-1);
    if (last === undefined) return { reading, rates: NO_RATES };
    const first = samples.find(({ atMs }) => last.atMs - atMs <= RATE_WINDOW_MS) ?? last;
    const rates = ratesBetween(first, last);
    const answered = last.reading.answers - samples[0].reading.answers;
    const answerTimeMs =
      (last.reading.answerTimeMs - samples[0].reading.answerTimeMs) / Math.max(1, answered);
    return answered > 0 ? { reading, rates, answerTimeMs } : { reading, rates };
  }
}

function ratesBetween(first: Sample, last: Sample): RatesView {
  const seconds = (last.atMs - first.atMs) / 1000;
  if (seconds <= 0) return NO_RATES;
  const rate = (key: keyof BackendReading): number =>
    Math.max(0, (last.reading[key] - first.reading[key]) / seconds);
  return {
    connectionsPerSecond: rate('connections'),
    packetsInPerSecond: rate('packetsIn'),
    packetsOutPerSecond: rate('packetsOut'),
    bytesInPerSecond: rate('bytesIn'),
    bytesOutPerSecond: rate('bytesOut'),
  };
}
