// Looks at the connections of backends that are drained, for the steps of their drains. That takes a look at
// the whole connection table (0.15 to 0.2 s for a million connections), so it is not done more often than once
// a second, nor for more than a tenth of the control processor's time; in between, the last look counts.
// Invariant: a backend that is asked for has been looked at, however short ago the drain began.

import { performance } from 'node:perf_hooks';
import type { MainMemory } from '../memory/region.ts';
import { type DrainingConnections, drainingConnections } from '../tables/draining-connections.ts';

const INTERVAL_MS = 900;
/** Time between two looks, in times that a look takes. */
const PAUSE_FACTOR = 9;

export class DrainWatch {
  private readonly memory: MainMemory;
  private found: ReadonlyMap<number, DrainingConnections> = new Map();
  private nextMs = Number.NEGATIVE_INFINITY;

  constructor(memory: MainMemory) {
    this.memory = memory;
  }

  /**
   * What the connections of these backends are doing.
   * @param backends their numbers
   * @param nowMs of CLOCK_MONOTONIC, not wrapped
   */
  look(backends: readonly number[], nowMs: number): ReadonlyMap<number, DrainingConnections> {
    const isKnown = backends.every((backend) => this.found.has(backend));
    if (isKnown && nowMs < this.nextMs) return this.found;
    const begunMs = performance.now();
    this.found = drainingConnections(this.memory, backends, nowMs | 0);
    const takenMs = performance.now() - begunMs;
    this.nextMs = nowMs + Math.max(INTERVAL_MS, takenMs * PAUSE_FACTOR);
    return this.found;
  }
}
