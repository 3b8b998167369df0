// All parts, in the order in which they run, with what they take: for the time left on the terminal.

import type { Part } from './part.ts';
import { part as bulk } from './parts/bulk.ts';
import { part as connections } from './parts/connections.ts';
import { part as filter } from './parts/filter.ts';
import { part as flip } from './parts/flip.ts';
import { part as garbage } from './parts/garbage.ts';
import { part as latency } from './parts/latency.ts';
import { part as memory } from './parts/memory.ts';
import { part as packets } from './parts/packets.ts';

export interface PlannedPart {
  readonly part: Part;
  /** Seconds of a quick run with one round, as measured. */
  readonly quickSeconds: number;
  /** Seconds of each round of a full run. */
  readonly roundSeconds: number;
}

export const PARTS: readonly PlannedPart[] = [
  { part: packets, quickSeconds: 50, roundSeconds: 330 },
  { part: filter, quickSeconds: 20, roundSeconds: 90 },
  { part: connections, quickSeconds: 35, roundSeconds: 90 },
  { part: bulk, quickSeconds: 15, roundSeconds: 60 },
  { part: latency, quickSeconds: 20, roundSeconds: 60 },
  { part: flip, quickSeconds: 15, roundSeconds: 40 },
  { part: memory, quickSeconds: 10, roundSeconds: 30 },
  { part: garbage, quickSeconds: 15, roundSeconds: 30 },
];
