// The selection tables of services and of the pools that their rules choose among: from schedulers and weights
// to the orders that switching processors walk or index. The costly part of a publication (a Maglev table of
// 65,537 slots takes a millisecond), so a table is made anew only when what it is made of has changed:
// a change of weights of one service leaves the others' tables as they are.

import { MAGLEV_SLOTS_PER_BACKEND, maglevTable, maglevTableSize } from '../distribution/maglev.ts';
import { weightedRoundRobinTable } from '../distribution/weighted-round-robin.ts';
import { SELECTION_POOL_CAPACITY } from '../tables/configuration-table.ts';
import { isHashed, type PoolSize } from './config/pools.ts';
import type { ServiceConfiguration } from './config/schema.ts';

export type SchedulerName = ServiceConfiguration['scheduler'];

/** One who may be chosen. */
export interface PoolMember {
  readonly name: string;
  readonly id: number;
  /** In the configuration table's whole numbers; 0 takes no connection. */
  readonly weight: number;
}

/** Longest smooth order of small pools: shares are exact while the weights' sum, reduced, does not exceed it. */
const ORDER_SLOTS_MAX = 4096;

/**
 * Slots per backend of larger pools, where there is room: with one each every weight would be the same.
 */
const ORDER_SLOTS_PER_BACKEND = 8;

/** Schedulers for which every backend is the same. */
const UNWEIGHTED: readonly SchedulerName[] = ['round-robin', 'least-connections'];

interface Made {
  readonly of: string;
  readonly table: Int32Array;
}

export class SelectionTables {
  private tables = new Map<string, Made>();
  private used = new Map<string, Made>();
  private orderSlots = ORDER_SLOTS_MAX;
  private slotsPerMember = 1;
  private slotsPerBackend: number = MAGLEV_SLOTS_PER_BACKEND[0];

  /**
   * Before a compilation: which pools there are, so that tables are as large and orders as long as there is
   * room for. What `leastPositions` counts has room always, whatever the weights are.
   */
  begin(pools: readonly PoolSize[]): void {
    this.used = new Map();
    const hashed = pools.filter(({ scheduler, size }) => size > 0 && isHashed(scheduler));
    const ordered = pools.filter(({ scheduler, size }) => size > 0 && !isHashed(scheduler));
    const wanted = ordered.reduce((sum, { size }) => sum + longestOrder(size), 0);
    const listed = pools.reduce((sum, { size, isOfRule }) => sum + (isOfRule ? size : 0), 0);
    const roomWith = (slots: number): number =>
      hashed.reduce(
        (left, { size }) => left - maglevTableSize(size, slots),
        SELECTION_POOL_CAPACITY - listed,
      );
    const [least] = MAGLEV_SLOTS_PER_BACKEND.slice(-1);
    this.slotsPerBackend =
      MAGLEV_SLOTS_PER_BACKEND.find((slots) => roomWith(slots) >= wanted) ?? least;
    const room = Math.max(0, roomWith(this.slotsPerBackend));
    const isRoomy = wanted <= room;
    this.slotsPerMember = isRoomy ? ORDER_SLOTS_PER_BACKEND : 1;
    this.orderSlots = isRoomy
      ? ORDER_SLOTS_MAX
      : longestThatFits(
          ordered.map(({ size }) => size),
          room,
        );
  }

  /** The table of one pool, named by what stays the same over publications. */
  table(key: string, scheduler: SchedulerName, members: readonly PoolMember[]): Int32Array {
    const isByHash = isHashed(scheduler);
    const slots = isByHash
      ? maglevTableSize(members.length, this.slotsPerBackend)
      : Math.max(this.orderSlots, members.length * this.slotsPerMember);
    const weights = UNWEIGHTED.includes(scheduler)
      ? members.map(({ weight }) => Math.min(weight, 1))
      : members.map(({ weight }) => weight);
    const names = members.map(({ name, id }, n) => `${name}=${id}:${weights[n]}`).join();
    const of = `${isByHash} ${slots} ${names}`;
    const before = this.tables.get(key);
    if (before?.of === of) {
      this.used.set(key, before);
      return before.table;
    }
    const positions = isByHash
      ? maglevTable(
          members.map(({ name }, n) => ({ id: name, weight: weights[n] })),
          slots,
        )
      : weightedRoundRobinTable(weights, slots);
    const made = { of, table: positions.map((position) => members[position].id) };
    this.used.set(key, made);
    return made.table;
  }

  /** After a compilation: forgets what it has not asked for. */
  end(): void {
    this.tables = this.used;
  }
}

/** The longest order that all pools of these sizes may have; a larger pool has one slot for each member. */
function longestThatFits(sizes: readonly number[], room: number): number {
  let [fits, exceeds] = [0, ORDER_SLOTS_MAX + 1];
  while (exceeds - fits > 1) {
    const middle = (fits + exceeds) >> 1;
    const needed = sizes.reduce((sum, size) => sum + Math.max(middle, size), 0);
    if (needed <= room) fits = middle;
    else exceeds = middle;
  }
  return fits;
}

/** Of a pool of this size, if there is room for it. */
function longestOrder(size: number): number {
  return Math.max(ORDER_SLOTS_MAX, size * ORDER_SLOTS_PER_BACKEND);
}
