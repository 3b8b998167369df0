// The next hops that this processor's present burst goes to, each made certain of once: what a packet
// needs to leave, so that those of one burst that go the same way do not ask the neighbor table, the
// interface's state and its MTU again each. Private to one switching processor; an entry for each
// neighbor, 8 words:
//
//   0 way out as a connection remembers it (way-out.ts)    1 burst in which it was made certain of
//   2 … 4 destination and source MAC address, as the 12 bytes stand in a frame
//   5 egress interface    6 MTU
//
// Invariant: nothing is used in a later burst without having been made certain of anew.

import { CONTROL_INTERFACE, INTERFACE_MTU, MAX_NEIGHBORS } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import type { NeighborTable } from '../tables/neighbor-table.ts';
import type { PacketContext } from './packet-context.ts';
import type { WayOut } from './way-out.ts';

export const NO_HOP = -1;

const ENTRY_SHIFT = 3;
const WAY_OUT = 0;
const BURST = 1;
const MAC_ADDRESSES = 2;
const EGRESS = 5;
const MTU = 6;

export class HopCache {
  private readonly memory: MainMemory;
  private readonly neighbors: NeighborTable;
  private readonly wayOut: WayOut;
  /** Only for what `recall` notes. */
  private readonly context: PacketContext;
  private readonly macHighOf: Int32Array;
  private readonly macLowOf: Int32Array;
  private readonly entries = new Int32Array(MAX_NEIGHBORS << ENTRY_SHIFT);
  private burst = 1;

  constructor(
    memory: MainMemory,
    neighbors: NeighborTable,
    wayOut: WayOut,
    context: PacketContext,
    macHighOf: Int32Array,
    macLowOf: Int32Array,
  ) {
    this.memory = memory;
    this.neighbors = neighbors;
    this.wayOut = wayOut;
    this.context = context;
    this.macHighOf = macHighOf;
    this.macLowOf = macLowOf;
  }

  /** A new burst: everything is to be made certain of again. @hot */
  begin(): void {
    this.burst = (this.burst + 1) | 0;
  }

  /**
   * The hop that a way out leads to; `neighbor` is its number (`neighborOf`).
   * @returns the number of the entry, or NO_HOP: not to be sent to at once. @hot
   */
  find(wayOut: number, neighbor: number, nowMs: number): number {
    const at = neighbor << ENTRY_SHIFT;
    const { entries } = this;
    if (entries[at + WAY_OUT] === wayOut && entries[at + BURST] === this.burst) return at;
    return this.makeCertain(wayOut, at, nowMs);
  }

  /** @hot */
  private makeCertain(wayOut: number, at: number, nowMs: number): number {
    const { context, entries, neighbors } = this;
    const { words } = this.memory;
    if (!this.wayOut.recall(context, wayOut)) return NO_HOP;
    const { egress, neighbor } = context;
    // The control host is no neighbor.
    if (egress === CONTROL_INTERFACE) return NO_HOP;
    // What is due to the neighbor is the long way's: asking for it twice would be asking once too often.
    if (!neighbors.isAtRest(neighbor, nowMs) || neighbors.readMac(neighbor) === 0) return NO_HOP;
    const { macHigh, macLow } = neighbors;
    entries[at + WAY_OUT] = wayOut;
    entries[at + BURST] = this.burst;
    entries[at + MAC_ADDRESSES] = (macHigh << 16) | (macLow >>> 16);
    entries[at + MAC_ADDRESSES + 1] = (macLow << 16) | this.macHighOf[egress];
    entries[at + MAC_ADDRESSES + 2] = this.macLowOf[egress];
    entries[at + EGRESS] = egress;
    entries[at + MTU] = words[this.memory.interfaceWord(egress, INTERFACE_MTU)];
    return at;
  }

  /** @hot */
  egress(hop: number): number {
    return this.entries[hop + EGRESS];
  }

  /** Longest IP packet, in bytes. @hot */
  mtu(hop: number): number {
    return this.entries[hop + MTU];
  }

  /** Writes both MAC addresses into the frame at `offset`. @hot */
  writeMacAddresses(hop: number, view: DataView, offset: number): void {
    const at = hop + MAC_ADDRESSES;
    view.setInt32(offset, this.entries[at]);
    view.setInt32(offset + 4, this.entries[at + 1]);
    view.setInt32(offset + 8, this.entries[at + 2]);
  }
}
