// All parts, in the order in which they run, with what they take: for the time left on the terminal.

import type { Part } from './part.ts';
import { part as packets } from './parts/packets.ts';

export interface PlannedPart {
  readonly part: Part;
  /** Seconds of a quick run with one round, as measured. */
  readonly quickSeconds: number;
  /** Seconds of each round of a full run. */
  readonly roundSeconds: number;
}

export const PARTS: readonly PlannedPart[] = [
  { part: packets, quickSeconds: 45, roundSeconds: 240 },
];
