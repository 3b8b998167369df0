// How many connections are open, and whether there may be one more: per backend and per service. Asked
// at step 214 of Fig. 6, for the first packet of a connection only.
//
// Counts are sums over all switching processors, each of which counts on its own
// (tables/connection-backends.ts). Nothing is locked, so N processors that begin a connection in the
// same moment may together pass a limit by N - 1.
//
// The sum over a service's backends is not made for every connection, or that would cost the more
// the larger the service is: it is made anew every millisecond while backends times processors are fewer
// than SUMMED_PER_MS, and less often in proportion above (16,384 backends and two processors: every
// 129 ms). In between this processor counts on from it what it begins itself.

import { MAX_SERVICES } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import { BACKEND_OPEN, sumBackend } from '../tables/connection-backends.ts';

/** What `ask` says of a backend. */
export const HAS_ROOM = 1;
/** It takes no new connections: weight 0, or it is not configured any more. */
export const TAKES_NONE = 0;
/** As many connections are open as it may have. */
export const IS_FULL = -1;

/** Counters that may be summed in a millisecond for the limit of one service: some tens of µs. */
const SUMMED_PER_MS = 256;
const NEVER_SUMMED = -1;

export class BackendRoom {
  private readonly memory: MainMemory;
  /** By service: connections open as last summed, and begun by this processor since. */
  private readonly openOf = new Float64Array(MAX_SERVICES).fill(NEVER_SUMMED);
  /** By service: monotonic millisecond of the sum. */
  private readonly summedAt = new Int32Array(MAX_SERVICES);

  constructor(memory: MainMemory) {
    this.memory = memory;
  }

  /** Connections open to a backend, over all processors. @hot */
  open(backend: number): number {
    return sumBackend(this.memory, backend, BACKEND_OPEN);
  }

  /** HAS_ROOM, TAKES_NONE or IS_FULL. Counts only where there is a limit. @hot */
  ask(configuration: number, backend: number): number {
    const { words } = this.memory;
    if (table.backendWeight(words, configuration, backend) <= 0) return TAKES_NONE;
    const limit = table.backendConnectionLimit(words, configuration, backend);
    return limit !== 0 && this.open(backend) >= limit ? IS_FULL : HAS_ROOM;
  }

  /** Whether a service may have one more connection. @hot */
  serviceHasRoom(configuration: number, service: number, nowMs: number): boolean {
    const limit = table.serviceConnectionLimit(this.memory.words, configuration, service);
    if (limit === 0) return true;
    this.refresh(configuration, service, nowMs);
    return this.openOf[service] < limit;
  }

  /** A connection of a service was begun: counted while there is a sum to count on from. @hot */
  began(service: number): void {
    if (this.openOf[service] >= 0) this.openOf[service] += 1;
  }

  /** @hot */
  private refresh(configuration: number, service: number, nowMs: number): void {
    const { words, layout } = this.memory;
    const pool = table.servicePool(configuration, service);
    const count = table.poolBackendCount(words, pool);
    const age = (nowMs - this.summedAt[service]) | 0;
    const mayBeOldMs = (Math.imul(count, layout.processors) / SUMMED_PER_MS) | 0;
    if (this.openOf[service] >= 0 && age >= 0 && age <= mayBeOldMs) return;
    let sum = 0;
    for (let n = 0; n < count; n++) {
      sum += this.open(table.poolBackend(words, configuration, pool, n));
    }
    this.openOf[service] = sum;
    this.summedAt[service] = nowMs;
  }
}
