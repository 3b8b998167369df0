// The selection tables of services and of the pools that their rules choose among: from schedulers and weights
// to the orders that switching processors walk or index. The costly part of a publication (a Maglev table of
// 65,537 slots takes a millisecond), so a table is made anew only when what it is made of has changed:
// a change of weights of one service leaves the others' tables as they are.

import { maglevTable, maglevTableSize } from '../distribution/maglev.ts';
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

/**
 * Longest smooth order, unless there are more backends than that: shares are exact while the weights'
 * sum, reduced, does not exceed it.
 */
const ORDER_SLOTS_MAX = 4096;

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

  /**
   * Before a compilation: how many backends each pool has, by scheduler, so that orders are as long as there
   * is room for.
   */
  begin(pools: readonly { readonly scheduler: SchedulerName; readonly size: number }[]): void {
    this.used = new Map();
    let hashed = 0;
    let orders = 0;
    let listed = 0;
    for (const { scheduler, size } of pools) {
      listed += size;
      if (HASHED.includes(scheduler)) hashed += maglevTableSize(size);
      else orders++;
    }
    const room = Math.max(0, SELECTION_POOL_CAPACITY - hashed - listed);
    const each = orders === 0 ? ORDER_SLOTS_MAX : Math.floor(room / orders);
    this.orderSlots = Math.min(ORDER_SLOTS_MAX, each);
  }

  /** The table of one pool, named by what stays the same over publications. */
  table(key: string, scheduler: SchedulerName, members: readonly PoolMember[]): Int32Array {
    const isHashed = HASHED.includes(scheduler);
    const slots = isHashed
      ? maglevTableSize(members.length)
      : Math.max(this.orderSlots, members.length);
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
