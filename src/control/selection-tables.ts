// The selection tables of services and of the pools that their rules choose among: from schedulers and weights
// to the orders that switching processors walk or index. The costly part of a publication (a Maglev table of
// 65,537 slots takes a millisecond), so a table is made anew only when what it is made of has changed:
// a change of weights of one service leaves the others' tables as they are.

import { MAGLEV_SLOTS_PER_BACKEND, maglevTable, maglevTableSize } from '../distribution/maglev.ts';
import { weightedRoundRobinTable } from '../distribution/weighted-round-robin.ts';
import { SELECTION_POOL_CAPACITY } from '../tables/configuration-table.ts';
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

/** Schedulers that index by a hash: their tables change little when a weight does. */
const HASHED: readonly SchedulerName[] = ['maglev', 'source-hash'];
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
   * Before a compilation: how many backends each pool has, by scheduler, so that tables are as large and
   * orders as long as there is room for.
   */
  begin(pools: readonly { readonly scheduler: SchedulerName; readonly size: number }[]): void {
    this.used = new Map();
    const hashed = pools.filter(({ scheduler }) => HASHED.includes(scheduler));
    const ordered = pools.filter(({ scheduler }) => !HASHED.includes(scheduler));
    const orders = ordered.length;
    const wanted = ordered.reduce((sum, { size }) => sum + longestOrder(size), 0);
    const listed = pools.reduce((sum, { size }) => sum + size, 0);
    const roomWith = (slots: number): number =>
      hashed.reduce(
        (left, { size }) => left - maglevTableSize(size, slots),
        SELECTION_POOL_CAPACITY - listed,
      );
    const [least] = MAGLEV_SLOTS_PER_BACKEND.slice(-1);
    this.slotsPerBackend =
      MAGLEV_SLOTS_PER_BACKEND.find((slots) => roomWith(slots) >= wanted) ?? least;
    const room = Math.max(0, roomWith(this.slotsPerBackend));
    this.slotsPerMember = wanted <= room ? ORDER_SLOTS_PER_BACKEND : 1;
    const each = orders === 0 ? ORDER_SLOTS_MAX : Math.floor(room / orders);
    this.orderSlots = Math.min(ORDER_SLOTS_MAX, each);
  }

  /** The table of one pool, named by what stays the same over publications. */
  table(key: string, scheduler: SchedulerName, members: readonly PoolMember[]): Int32Array {
    const isHashed = HASHED.includes(scheduler);
    const slots = isHashed
      ? maglevTableSize(members.length, this.slotsPerBackend)
      : Math.max(this.orderSlots, members.length * this.slotsPerMember);
    const weights = UNWEIGHTED.includes(scheduler)
      ? members.map(({ weight }) => Math.min(weight, 1))
      : members.map(({ weight }) => weight);
    const names = members.map(({ name, id }, n) => `${name}=${id}:${weights[n]}`).join();
    const of = `${isHashed} ${slots} ${names}`;
    const before = this.tables.get(key);
    if (before?.of === of) {
      this.used.set(key, before);
      return before.table;
    }
    const positions = isHashed
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

/** Of a pool of this size, if there is room for it. */
function longestOrder(size: number): number {
  return Math.max(ORDER_SLOTS_MAX, size * ORDER_SLOTS_PER_BACKEND);
}
