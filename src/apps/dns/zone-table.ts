// All that a name server knows, in tables of numbers and bytes that are made once and read for every
// question. A node is a name that there is: one with records, or one that only stands above such.
//
//   node       0 hash  1 offset of its name in `bytes` (lower case)  2 its length  3 zone
//              4 first record set  5 record sets  6 service + 1, 0 = none  7 flags (NODE_…)
//              8 node that its CNAME leads to + 1, 0 = none of ours
//              9 node of the wildcard right below it + 1, 0 = none (RFC 4592)
//   record set 0 type  1 time to live, seconds  2 first record  3 records
//   record     0 offset of its data in `bytes`  1 its length
//   zone       0 record set of its SOA  1 node of the zone itself
//   slot       node + 1, 0 = free; the search for a hash begins at its lower bits
//
// Invariant: nothing changes after it has been made (zone-compiler.ts); at least half of the slots are free.

import { lowerCase } from '../../wire/dns-names.ts';

export const NOT_FOUND = -1;
export const NODE_WORDS = 10;
export const SET_WORDS = 4;
export const RECORD_WORDS = 2;
const ZONE_WORDS = 2;
export const NODE_IS_APEX = 1;
/** Its CNAME leads to a name in a zone of ours that is not there. */
export const NODE_LEADS_NOWHERE = 2;

export class ZoneTable {
  readonly nodes: Int32Array;
  readonly sets: Int32Array;
  readonly records: Int32Array;
  readonly zones: Int32Array;
  readonly bytes: Uint8Array;
  private readonly slots: Int32Array;

  constructor(
    nodes: Int32Array,
    sets: Int32Array,
    records: Int32Array,
    zones: Int32Array,
    bytes: Uint8Array,
    slots: Int32Array,
  ) {
    this.nodes = nodes;
    this.sets = sets;
    this.records = records;
    this.zones = zones;
    this.bytes = bytes;
    this.slots = slots;
  }

  /** The node of a name of `length` bytes at `at`, whose hash is known; or NOT_FOUND. @hot */
  find(view: DataView, at: number, length: number, hash: number): number {
    const { slots, nodes } = this;
    const mask = (slots.length - 1) | 0;
    let slot = hash & mask;
    for (let probe = 0; probe < slots.length; probe = (probe + 1) | 0) {
      const node = (slots[slot] - 1) | 0;
      if (node < 0) return NOT_FOUND;
      const base = node * NODE_WORDS;
      if (nodes[base] === hash && nodes[base + 2] === length && this.isNamed(node, view, at)) {
        return node;
      }
      slot = (slot + 1) & mask;
    }
    return NOT_FOUND;
  }

  /** @hot */
  private isNamed(node: number, view: DataView, at: number): boolean {
    const { nodes, bytes } = this;
    const offset = nodes[node * NODE_WORDS + 1];
    const length = nodes[node * NODE_WORDS + 2];
    for (let i = 0; i < length; i = (i + 1) | 0) {
      if (lowerCase(view.getUint8(at + i)) !== bytes[offset + i]) return false;
    }
    return true;
  }

  /** @hot */
  zoneOf(node: number): number {
    return this.nodes[node * NODE_WORDS + 3];
  }

  /** @hot */
  isApex(node: number): boolean {
    return (this.nodes[node * NODE_WORDS + 7] & NODE_IS_APEX) !== 0;
  }

  /** The service whose backends the name stands for, or NOT_FOUND. @hot */
  serviceOf(node: number): number {
    return (this.nodes[node * NODE_WORDS + 6] - 1) | 0;
  }

  /** The records of a type that a name has, or NOT_FOUND. @hot */
  setOf(node: number, type: number): number {
    const first = this.nodes[node * NODE_WORDS + 4];
    const count = this.nodes[node * NODE_WORDS + 5];
    for (let set = first; set < first + count; set = (set + 1) | 0) {
      if (this.sets[set * SET_WORDS] === type) return set;
    }
    return NOT_FOUND;
  }

  /** @hot */
  soaOf(zone: number): number {
    return this.zones[zone * ZONE_WORDS];
  }

  /** The node that is the zone itself. @hot */
  apexOf(zone: number): number {
    return this.zones[zone * ZONE_WORDS + 1];
  }

  /** The node that a name's CNAME leads to, or NOT_FOUND. @hot */
  targetOf(node: number): number {
    return (this.nodes[node * NODE_WORDS + 8] - 1) | 0;
  }

  /** The wildcard of which names below this one are made that are not there, or NOT_FOUND. @hot */
  wildcardOf(node: number): number {
    return (this.nodes[node * NODE_WORDS + 9] - 1) | 0;
  }

  /** @hot */
  leadsNowhere(node: number): boolean {
    return (this.nodes[node * NODE_WORDS + 7] & NODE_LEADS_NOWHERE) !== 0;
  }

  /** Offset in `bytes` and length of a node's name. @hot */
  nameOffset(node: number): number {
    return this.nodes[node * NODE_WORDS + 1];
  }

  /** @hot */
  nameLength(node: number): number {
    return this.nodes[node * NODE_WORDS + 2];
  }
}
