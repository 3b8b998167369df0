// The schedulers that compare open connections, summed over all processors (backend-room.ts):
//
//   lc    fewest open connections
//   wlc   fewest open connections / weight
//   sed   fewest (open connections + 1) / weight: what the new one would wait for
//   nq    one without any connection, if there is one; else as sed
//
// In small pools all backends are compared. In larger ones, COMPARED_MAX that have a weight and room, of
// at most LOOKED_MAX of the list, from a place that moves on by one with every choice: the least of 128 of
// many is as good as the least of all (one choice of 128 already evens out what two choices do), at a cost
// that is bounded.
//
// Of equals the first one found is taken, so the moving start also takes turns among them; processors
// start apart. Fractions are compared by multiplying crosswise, exactly: counts and weights are below 2^26.

import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import { type BackendRoom, HAS_ROOM } from './backend-room.ts';

const COMPARED_MAX = 128;
const LOOKED_MAX = 1024;
/** No start yet: the pool has not been used by this processor. */
const UNSET = -1;

export class LeastConnections {
  private readonly memory: MainMemory;
  private readonly processor: number;
  private readonly room: BackendRoom;
  private readonly starts: Int32Array;

  /** @param places how many pools there can be */
  constructor(memory: MainMemory, processor: number, room: BackendRoom, places: number) {
    this.memory = memory;
    this.processor = processor;
    this.room = room;
    this.starts = new Int32Array(places).fill(UNSET);
  }

  /**
   * @param place where the pool's start is kept
   * @param scheduler one of the four
   * @param first a backend with room that wins ties, or NOT_FOUND
   * @returns the backend's id, or NOT_FOUND: none of those looked at has a weight and room. @hot
   */
  choose(
    configuration: number,
    pool: number,
    place: number,
    scheduler: number,
    first: number,
  ): number {
    const { words } = this.memory;
    const count = table.poolBackendCount(words, pool);
    const looks = Math.min(count, LOOKED_MAX);
    const isNeverQueue = scheduler === table.SCHEDULER_NEVER_QUEUE;
    const more = isNeverQueue || scheduler === table.SCHEDULER_SHORTEST_EXPECTED_DELAY ? 1 : 0;
    const isWeighted = scheduler !== table.SCHEDULER_LEAST_CONNECTIONS;
    let best = first;
    let bestOpen = 0;
    let bestWeight = 1;
    if (first >= 0) {
      bestOpen = this.room.open(first);
      if (isNeverQueue && bestOpen <= 0) return first;
      bestOpen += more;
      bestWeight = table.backendWeight(words, configuration, first);
    }
    let n = this.nextStart(place, count);
    let compared = 0;
    for (let i = 0; i < looks && compared < COMPARED_MAX; i++) {
      const backend = table.poolBackend(words, configuration, pool, n);
      n = n + 1 < count ? (n + 1) | 0 : 0;
      if (this.room.ask(configuration, backend) !== HAS_ROOM) continue;
      compared = (compared + 1) | 0;
      const open = this.room.open(backend);
      if (isNeverQueue && open <= 0) return backend;
      const weight = isWeighted ? table.backendWeight(words, configuration, backend) : 1;
      if (best >= 0 && (open + more) * bestWeight >= bestOpen * weight) continue;
      best = backend;
      bestOpen = open + more;
      bestWeight = weight;
    }
    return best;
  }

  /** Of two backends the one with fewer open connections by weight, of equals the first. @hot */
  fewerByWeight(configuration: number, first: number, second: number): number {
    if (second < 0 || second === first) return first;
    const { words } = this.memory;
    const firstLoad = this.room.open(first) * table.backendWeight(words, configuration, second);
    const secondLoad = this.room.open(second) * table.backendWeight(words, configuration, first);
    return secondLoad < firstLoad ? second : first;
  }

  /** Where in a list of `count` this choice begins; the next one begins one further. @hot */
  private nextStart(place: number, count: number): number {
    let start = this.starts[place];
    if (start === UNSET)
      start = Math.floor((count * this.processor) / this.memory.layout.processors);
    if (start >= count) start = 0;
    this.starts[place] = (start + 1) | 0;
    return start;
  }
}
