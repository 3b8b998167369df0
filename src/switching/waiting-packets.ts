// Packets held while ARP finds the MAC address of their next hop (C5). Each switching processor holds
// its own, in a fixed number of places: at most PER_NEIGHBOR for one neighbor, so that one silent
// host cannot take them all. RFC 1122 §2.3.2.2 asks to keep at least the latest packet.
// A held packet is counted under its reason when it is decided: sent on, or dropped. If the processor
// is killed meanwhile its held frames return to the pool when it starts again.

import type { Counters } from '../memory/counters.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import type { MainMemory } from '../memory/region.ts';
import type { NeighborTable } from '../tables/neighbor-table.ts';
import * as ethernet from '../wire/ethernet.ts';
import type { ArpStage } from './arp-stage.ts';
import * as reasons from './reasons.ts';
import type { Transmitter } from './transmitter.ts';

/** Packets that one processor holds at the most. */
export const CAPACITY = 512;
/** Packets held for one neighbor at the most. */
export const PER_NEIGHBOR = 32;
/** After this long a held packet is dropped whatever its neighbor does. */
const HOLD_MS = 3000;

export class WaitingPackets {
  private readonly memory: MainMemory;
  private readonly pool: FramePool;
  private readonly counters: Counters;
  private readonly neighbors: NeighborTable;
  private readonly transmitter: Transmitter;
  private readonly arp: ArpStage;
  private readonly macHighOf: Int32Array;
  private readonly macLowOf: Int32Array;
  private readonly offsets = new Int32Array(CAPACITY);
  private readonly lengths = new Int32Array(CAPACITY);
  private readonly egresses = new Int32Array(CAPACITY);
  private readonly neighborOf = new Int32Array(CAPACITY);
  private readonly reasonOf = new Int32Array(CAPACITY);
  private readonly deadlines = new Int32Array(CAPACITY);
  private count = 0;

  constructor(
    memory: MainMemory,
    pool: FramePool,
    counters: Counters,
    neighbors: NeighborTable,
    transmitter: Transmitter,
    arp: ArpStage,
    macHighOf: Int32Array,
    macLowOf: Int32Array,
  ) {
    this.memory = memory;
    this.pool = pool;
    this.counters = counters;
    this.neighbors = neighbors;
    this.transmitter = transmitter;
    this.arp = arp;
    this.macHighOf = macHighOf;
    this.macLowOf = macLowOf;
    // What a killed process held has gone with it: its frames are back in the pool.
    counters.setWaiting(0);
  }

  /** How many packets are held. */
  get size(): number {
    return this.count;
  }

  /**
   * Holds a frame until `neighbor` is resolved. `reason` is what it will be counted under when sent.
   * @returns WAITING, or WAITING_FULL: then the frame is still the caller's. @hot
   */
  hold(
    offset: number,
    length: number,
    egress: number,
    neighbor: number,
    reason: number,
    nowMs: number,
  ): number {
    if (this.count === CAPACITY) return reasons.WAITING_FULL;
    let sameNeighbor = 0;
    for (let i = 0; i < this.count; i++) {
      if (this.neighborOf[i] === neighbor) sameNeighbor = (sameNeighbor + 1) | 0;
    }
    if (sameNeighbor >= PER_NEIGHBOR) return reasons.WAITING_FULL;
    const at = this.count;
    this.offsets[at] = offset;
    this.lengths[at] = length;
    this.egresses[at] = egress;
    this.neighborOf[at] = neighbor;
    this.reasonOf[at] = reason;
    this.deadlines[at] = (nowMs + HOLD_MS) | 0;
    this.count = (at + 1) | 0;
    this.counters.setWaiting(this.count);
    return reasons.WAITING;
  }

  /**
   * Sends what can be sent, asks again where an answer is due, and drops what nobody will answer for;
   * in order. `configuration`: word index of the active configuration table.
   * @returns how many were decided. @hot
   */
  decide(configuration: number, nowMs: number): number {
    const held = this.count;
    if (held === 0) return 0;
    let kept = 0;
    for (let i = 0; i < held; i++) {
      const outcome = this.decideOne(i, configuration, nowMs);
      if (outcome === reasons.WAITING) {
        this.move(i, kept);
        kept = (kept + 1) | 0;
        continue;
      }
      this.counters.count(outcome);
    }
    this.count = kept;
    this.counters.setWaiting(kept);
    return (held - kept) | 0;
  }

  /** @returns WAITING or the reason under which the packet ended. @hot */
  private decideOne(at: number, configuration: number, nowMs: number): number {
    const neighbor = this.neighborOf[at];
    const offset = this.offsets[at];
    if (this.neighbors.readMac(neighbor) !== 0) {
      const view = this.memory.view;
      const egress = this.egresses[at];
      ethernet.setDestination(view, offset, this.neighbors.macHigh, this.neighbors.macLow);
      ethernet.setSource(view, offset, this.macHighOf[egress], this.macLowOf[egress]);
      const refused = this.transmitter.send(egress, offset, this.lengths[at]);
      if (refused === reasons.CONTINUE) return this.reasonOf[at];
      this.pool.give(offset);
      return refused;
    }
    if (!this.neighbors.isUnreachable(neighbor)) {
      // Also for the last time when it is late: the neighbor may have failed at this very moment.
      if (this.neighbors.shouldProbe(neighbor, nowMs) !== 0) {
        const target = this.neighbors.address(neighbor);
        this.arp.ask(this.egresses[at], target, configuration, neighbor, false);
      }
      if (((nowMs - this.deadlines[at]) | 0) < 0) return reasons.WAITING;
    }
    this.pool.give(offset);
    return reasons.NEIGHBOR_UNRESOLVED;
  }

  /** @hot */
  private move(from: number, to: number): void {
    if (from === to) return;
    this.offsets[to] = this.offsets[from];
    this.lengths[to] = this.lengths[from];
    this.egresses[to] = this.egresses[from];
    this.neighborOf[to] = this.neighborOf[from];
    this.reasonOf[to] = this.reasonOf[from];
    this.deadlines[to] = this.deadlines[from];
  }
}
