// Step 214 of Fig. 6: chooses the backend of a new connection out of a pool: all backends of its
// service, or those that a rule names. Bounded whatever the scheduler and however many servers.
//
//   rr, wrr            walk the pool's selection table, which control has made in smooth order. Each
//                      processor keeps its own position and starts a different share of the way round
//                      (processor p of N at p/N of it), so that N processors together are as fair as one
//   random             draws from the selection table
//   p2c                draws twice and takes the one with fewer open connections by weight
//   maglev             indexes the table by a hash of the client's address and port,
//   sh                 or of its address alone: every processor, and every other machine with the same
//                      table, chooses the same backend
//   lc, wlc, sed, nq   compare open connections: least-connections.ts
//
// A backend of weight 0 is never chosen, nor one that has as many connections as it may. Then the
// selection table is followed to the next, SKIPS_MAX times; after that the first with room of LOOKS_MAX
// from the list of the pool's backends is taken, so that up to that size a pool refuses only when it is full.

import { finish, mix } from '../base/hash.ts';
import type { Prng } from '../base/prng.ts';
import { MAX_SERVICES } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import { firstRule, rulePool, rulePoolNumber } from '../tables/rule-table.ts';
import { type BackendRoom, HAS_ROOM, IS_FULL } from './backend-room.ts';
import { LeastConnections } from './least-connections.ts';

/** Every backend that was asked has as many connections as it may; `choose` says it instead of an id. */
export const ALL_FULL = -2;

/** Positions of the selection table that are tried one after the other. */
const SKIPS_MAX = 32;
/** Backends of a pool's list that are asked when those positions had no room. */
const LOOKS_MAX = 1024;
/** Draws for a second backend that is not the first one. */
const DRAWS_MAX = 4;
/** Places in which positions are kept: one for each service, one for each pool of rules. */
const PLACES = MAX_SERVICES + table.MAX_RULES;
/** No position yet: the pool has not been used by this processor. */
const UNSET = -1;
const HASH_SEED = 0x77656972;

export class BackendChooser {
  private readonly memory: MainMemory;
  private readonly processor: number;
  private readonly random: Prng;
  private readonly room: BackendRoom;
  private readonly least: LeastConnections;
  private readonly positions = new Int32Array(PLACES).fill(UNSET);
  private configuration = 0;
  private scheduler = 0;
  /** Where the pool's position is kept. */
  private place = 0;
  /** The pool that is chosen from: index for the accessors of pools. */
  pool = 0;
  /** Number of the pool in its service; 0: all of the service's backends. */
  poolNumber = 0;

  constructor(memory: MainMemory, processor: number, room: BackendRoom, random: Prng) {
    this.memory = memory;
    this.processor = processor;
    this.random = random;
    this.room = room;
    this.least = new LeastConnections(memory, processor, room, PLACES);
  }

  /**
   * What `choose` is to choose from.
   * @param configuration word index of the active configuration table
   * @param rule the rule that matched, or NOT_FOUND: all of the service's backends. @hot
   */
  usePool(configuration: number, service: number, rule: number): void {
    const { words } = this.memory;
    this.configuration = configuration;
    this.scheduler = table.serviceScheduler(words, configuration, service);
    this.poolNumber = rule === table.NOT_FOUND ? 0 : rulePoolNumber(words, rule);
    if (this.poolNumber === 0) {
      this.pool = table.servicePool(configuration, service);
      this.place = service;
      return;
    }
    this.pool = rulePool(rule);
    const number = (firstRule(words, configuration, service) + this.poolNumber - 1) | 0;
    this.place = MAX_SERVICES + (number & (table.MAX_RULES - 1));
  }

  /**
   * @param ports the client's packet's ports, source in the upper half
   * @param attempt 0; 1, 2 … when the one chosen before could not be used: gives another one if it can
   * @returns the backend's id; NOT_FOUND: none has a weight; ALL_FULL. @hot
   */
  choose(source: number, ports: number, attempt: number): number {
    const { scheduler } = this;
    if (table.selectionLength(this.memory.words, this.pool) === 0) return table.NOT_FOUND;
    switch (scheduler) {
      case table.SCHEDULER_MAGLEV:
        return this.follow(finish(mix(mix(HASH_SEED, source), (ports + attempt) | 0)));
      case table.SCHEDULER_SOURCE_HASH:
        return this.follow(finish(mix(mix(HASH_SEED, source), attempt)));
      case table.SCHEDULER_RANDOM:
        return this.follow(this.random.next());
      case table.SCHEDULER_POWER_OF_TWO:
        return attempt === 0 ? this.twoChoices() : this.follow(this.random.next());
      case table.SCHEDULER_ROUND_ROBIN:
      case table.SCHEDULER_WEIGHTED_ROUND_ROBIN:
        return this.walk();
      default:
        return attempt === 0 ? this.compare() : this.walk();
    }
  }

  /** The next of the selection table. @hot */
  private walk(): number {
    const { words, layout } = this.memory;
    const length = table.selectionLength(words, this.pool);
    let position = this.positions[this.place];
    if (position === UNSET) position = Math.floor((length * this.processor) / layout.processors);
    if (position >= length) position = 0;
    for (let skip = 0; skip < SKIPS_MAX; skip++) {
      const backend = table.selectBackend(words, this.configuration, this.pool, position);
      position = position + 1 < length ? (position + 1) | 0 : 0;
      if (this.room.ask(this.configuration, backend) === HAS_ROOM) {
        this.positions[this.place] = position;
        return backend;
      }
    }
    this.positions[this.place] = position;
    return this.look(position);
  }

  /** The backend at a place of the selection table, or the next one behind it that has room. @hot */
  private follow(hash: number): number {
    const { words } = this.memory;
    for (let skip = 0; skip < SKIPS_MAX; skip++) {
      const at = (hash + skip) | 0;
      const backend = table.selectBackend(words, this.configuration, this.pool, at);
      if (this.room.ask(this.configuration, backend) === HAS_ROOM) return backend;
    }
    return this.look(hash);
  }

  /** The first with room of the pool's list, from some place in it on. @hot */
  private look(from: number): number {
    const { words } = this.memory;
    const count = table.poolBackendCount(words, this.pool);
    const looks = Math.min(count, LOOKS_MAX);
    let refused = table.NOT_FOUND;
    let n = count === 0 ? 0 : (from & 0x7fffffff) % count;
    for (let i = 0; i < looks; i++) {
      const backend = table.poolBackend(words, this.configuration, this.pool, n);
      const answer = this.room.ask(this.configuration, backend);
      if (answer === HAS_ROOM) return backend;
      if (answer === IS_FULL) refused = ALL_FULL;
      n = n + 1 < count ? (n + 1) | 0 : 0;
    }
    return refused;
  }

  /** @hot */
  private twoChoices(): number {
    const first = this.follow(this.random.next());
    if (first < 0) return first;
    let second = first;
    for (let draw = 0; draw < DRAWS_MAX && second === first; draw++) {
      second = this.follow(this.random.next());
    }
    return this.least.fewerByWeight(this.configuration, first, second);
  }

  /**
   * By open connections. Where weights count, the next of the selection table wins all ties, so that the
   * shares follow the weights also while nothing is open. @hot
   */
  private compare(): number {
    const { configuration, pool, place, scheduler } = this;
    const isWeighted = scheduler !== table.SCHEDULER_LEAST_CONNECTIONS;
    const first = isWeighted ? this.walk() : table.NOT_FOUND;
    if (first === ALL_FULL) return first;
    const least = this.least.choose(configuration, pool, place, scheduler, first);
    // Above the bounds of the comparison others may have a weight and room.
    return least === table.NOT_FOUND ? this.walk() : least;
  }
}
