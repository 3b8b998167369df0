// Step 214 of Fig. 6: chooses the backend of a new connection from the service's selection table,
// which the control processor has computed: O(1) whatever the scheduler, so that the cost of a new
// connection does not grow with the number of servers.
//
// Weighted round robin walks the table. Each switching processor keeps its own position and starts a
// different share of the way round (processor p of N at p/N of the table), so that N processors
// together are as fair as one; starting them all at zero would favour the first backends N times.
// Maglev indexes the table by a hash of the client's address and port, so that every processor, and
// every other machine with the same table, chooses the same backend.

import { finish, mix } from '../base/hash.ts';
import { MAX_SERVICES } from '../memory/layout.ts';
import * as table from '../tables/configuration-table.ts';

/** No position yet: the service has not been used by this processor. */
const UNSET = -1;
const MAGLEV_SEED = 0x77656972;

export class BackendChooser {
  private readonly words: Int32Array;
  private readonly processor: number;
  private readonly processors: number;
  private readonly positions = new Int32Array(MAX_SERVICES).fill(UNSET);

  constructor(words: Int32Array, processor: number, processors: number) {
    this.words = words;
    this.processor = processor;
    this.processors = processors;
  }

  /**
   * @param configuration word index of the active configuration table
   * @param ports the client's packet's ports, source in the upper half
   * @returns the backend's id, or NOT_FOUND when no backend has a weight. @hot
   */
  choose(configuration: number, service: number, source: number, ports: number): number {
    const { words } = this;
    const pool = table.servicePool(configuration, service);
    if (table.serviceScheduler(words, configuration, service) === table.SCHEDULER_MAGLEV) {
      const hash = finish(mix(mix(MAGLEV_SEED, source), ports));
      return table.selectBackend(words, configuration, pool, hash);
    }
    const length = table.selectionLength(words, pool);
    if (length === 0) return table.NOT_FOUND;
    let position = this.positions[service];
    if (position === UNSET) position = Math.floor((length * this.processor) / this.processors);
    if (position >= length) position = 0;
    this.positions[service] = (position + 1) | 0;
    return table.selectBackend(words, configuration, pool, position);
  }
}
