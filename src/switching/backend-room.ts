// How many connections are open, and whether there may be one more: per backend and per service. Asked
// at step 214 of Fig. 6, for the first packet of a connection only.
//
// Counts are sums over all switching processors, each of which counts on its own
// (tables/connection-gauges.ts): as many additions as there are processors, whatever the service's size.
// What is said here only saves the way to the table: it keeps the limits when the connection is published.

import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import { BACKEND_OPEN, sumBackend } from '../tables/connection-backends.ts';
import { sumServiceOpen } from '../tables/connection-gauges.ts';

/** What `ask` says of a backend. */
export const HAS_ROOM = 1;
/** It takes no new connections: weight 0, or it is not configured any more. */
export const TAKES_NONE = 0;
/** As many connections are open as it may have. */
export const IS_FULL = -1;

export class BackendRoom {
  private readonly memory: MainMemory;

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
  serviceHasRoom(configuration: number, service: number): boolean {
    const limit = table.serviceConnectionLimit(this.memory.words, configuration, service);
    return limit === 0 || sumServiceOpen(this.memory, service) < limit;
  }
}
