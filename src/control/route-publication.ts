// Puts routes into force: writes the standby buffer of the routing table, looks whether it says anything
// else than the active one, and flips the two only then, because new routes make every connection look for
// its way anew. What is compared are the tables themselves, so that a control processor that comes back
// changes nothing, whatever its predecessor had published.
// Invariant: routes that do not fit change nothing; the last ones stay in force.

import { inPieces } from '../base/pieces.ts';
import { type DoubleBuffer, routingBuffer } from '../memory/double-buffer.ts';
import type { MainMemory } from '../memory/region.ts';
import {
  isSameTable,
  type RoutingReport,
  routingTableInPieces,
} from '../tables/routing-builder.ts';
import type { OriginRoute } from './compile-routes.ts';

export class RoutePublication {
  private readonly memory: MainMemory;
  private readonly buffer: DoubleBuffer;
  private prepared: readonly OriginRoute[] = [];
  private report: RoutingReport | undefined;
  private isOther = false;
  /** What is in force: of routes with one prefix, the first. Empty before the first publication. */
  inForce: readonly OriginRoute[] = [];
  /** How many prefixes they are of, and the words of ranges that they take up. */
  routeCount = 0;
  rangeWords = 0;

  constructor(memory: MainMemory) {
    this.memory = memory;
    this.buffer = routingBuffer(memory);
  }

  /** Counts the flips; 0 before anything was ever published. */
  get generation(): number {
    return this.buffer.generation();
  }

  /** Whether the standby buffer may be written. */
  get isQuiescent(): boolean {
    return this.buffer.isQuiescent();
  }

  /**
   * Writes the standby buffer, which must be quiescent, in pieces. One at a time.
   * @throws WeirError ERR_TABLE_FULL; nothing has changed then
   */
  async prepare(routes: readonly OriginRoute[]): Promise<RoutingReport> {
    const { words } = this.memory;
    const standby = this.buffer.standbyOffset() >> 2;
    const report = await inPieces(routingTableInPieces(words, standby, routes));
    const active = this.buffer.activeOffset(this.generation) >> 2;
    this.isOther = this.generation === 0 || !isSameTable(words, active, standby);
    this.prepared = routes;
    this.report = report;
    return report;
  }

  /** Puts what was prepared into force. @returns whether anything has changed for packets */
  publish(): boolean {
    this.inForce = this.prepared;
    this.routeCount = this.report?.routes ?? 0;
    this.rangeWords = this.report?.rangeWords ?? 0;
    if (this.isOther) this.buffer.publish();
    return this.isOther;
  }
}
