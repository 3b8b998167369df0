// Writes the rules of services and the pools that they choose among into the standby buffer of the
// configuration table: a part of configuration-writer.ts. Byte map: configuration-layout.ts; the
// readers' side: rule-table.ts.
//
// A rule has one record for each of its client networks, one after the other: since the first match
// decides, it is the same as one record with all of them. Rules that name the same pool share its
// selection table. A pool's list of backends stands in the selection pool, behind its selection, in
// ascending order: whether a backend is in it is asked for every connection of a client that is kept.

import { assert } from '../base/assert.ts';
import * as table from './configuration-table.ts';

/** Backends of a service among which a rule has one chosen. */
export interface PoolInput {
  /** As the service's, of the pool's backends; empty: what matches is refused. */
  readonly selection: Int32Array;
  /** Ids of all backends of the pool, those without a weight included. */
  readonly backends: readonly number[];
}

/** All conditions that are given must hold; a rule without any matches everything. */
export interface RuleInput {
  /** Networks of which the client is in one: address and mask as int32. */
  readonly clients?: readonly { readonly network: number; readonly mask: number }[];
  /** Both included. */
  readonly clientPorts?: { readonly from: number; readonly to: number };
  /** Differentiated services code points, 0 … 63. */
  readonly dscp?: readonly number[];
  /** Identifier of the frame's first VLAN tag, 0 … 4095; a frame without a tag does not match. */
  readonly vlan?: number;
  /** Bytes of a datagram's payload; never matches where the service is not UDP. */
  readonly payload?: {
    /** Bytes from the beginning of the payload, 0 … 65535. */
    readonly offset: number;
    /** 1 … PAYLOAD_BYTES_MAX bytes. */
    readonly value: Uint8Array;
    /** As long as the value; bits that are 0 do not count. */
    readonly mask: Uint8Array;
  };
  /** n: the service's pool n - 1; 0: all of the service's backends. */
  readonly pool: number;
}

/** What this module needs of a service. */
export interface RuledService {
  readonly id: number;
  readonly backends: readonly { readonly id: number }[];
  readonly pools?: readonly PoolInput[];
  readonly rules?: readonly RuleInput[];
}

/** Records that a service's rules take. */
export function ruleRecords({ rules = [] }: RuledService): number {
  return rules.reduce((sum, { clients }) => sum + Math.max(clients?.length ?? 0, 1), 0);
}

/** Words of the selection pool that a service's pools take, its own selection not included. */
export function poolWords({ pools = [] }: RuledService): number {
  return pools.reduce(
    (sum, { selection, backends }) => sum + selection.length + backends.length,
    0,
  );
}

/** What the configuration's own checks have ruled out: a fault here is a programmer's. */
export function checkRules({ id, backends, pools = [], rules = [] }: RuledService): void {
  const own = new Set(backends.map((backend) => backend.id));
  for (const pool of pools) {
    const inPool = new Set(pool.backends);
    const isOwn = pool.backends.every((backend) => own.has(backend));
    assert(isOwn, `backends of a pool of service ${id}`);
    const isInPool = pool.selection.every((backend) => inPool.has(backend));
    assert(isInPool, `selection of a pool of service ${id}`);
  }
  const isIn = (value: number, from: number, to: number): boolean =>
    Number.isInteger(value) && value >= from && value <= to;
  for (const { clientPorts, dscp = [], vlan = 0, payload, pool } of rules) {
    assert(isIn(pool, 0, pools.length), `pool ${pool} of a rule of service ${id}`);
    const { from, to } = clientPorts ?? { from: 0, to: 0 };
    assert(isIn(from, 0, 65535) && isIn(to, from, 65535), `client ports ${from} to ${to}`);
    assert(
      dscp.every((value) => isIn(value, 0, 63)),
      `DSCP ${dscp}`,
    );
    assert(isIn(vlan, 0, 4095), `VLAN ${vlan}`);
    if (payload === undefined) continue;
    const { offset, value, mask } = payload;
    assert(isIn(offset, 0, 65535), `payload offset ${offset}`);
    assert(isIn(value.length, 1, table.PAYLOAD_BYTES_MAX), `payload of ${value.length} bytes`);
    assert(mask.length === value.length, `payload mask of ${mask.length} bytes`);
  }
}

/**
 * Writes the selection tables and lists of a service's pools, from `offset` words behind `base`.
 * @returns the four words of each pool; those of the service itself first.
 */
export function writePools(
  words: Int32Array,
  base: number,
  service: RuledService,
  offset: number,
): Int32Array[] {
  const own = table.servicePool(base, service.id);
  const pools = [words.slice(own, own + 4)];
  let next = offset;
  for (const { selection, backends } of service.pools ?? []) {
    const list = next + selection.length;
    words.set(selection, base + next);
    words.set(Int32Array.from(backends).sort(), base + list);
    pools.push(Int32Array.of(next, selection.length, list, backends.length));
    next = list + backends.length;
  }
  return pools;
}

/** Writes a service's rules, the first at number `first` of all records; `pools` by writePools. */
export function writeRules(
  words: Int32Array,
  base: number,
  service: RuledService,
  first: number,
  pools: readonly Int32Array[],
): void {
  const owner = table.serviceRecord(base, service.id);
  words[owner + table.SERVICE_FIRST_RULE] = first;
  words[owner + table.SERVICE_RULE_COUNT] = ruleRecords(service);
  let record = base + table.RULES + first * table.RULE_WORDS;
  for (const rule of service.rules ?? []) {
    const { clients = [] } = rule;
    for (let n = 0; n < Math.max(clients.length, 1); n++) {
      writeRule(words, record, rule, pools[rule.pool]);
      if (clients.length > 0) writeClient(words, record, clients[n].network, clients[n].mask);
      record += table.RULE_WORDS;
    }
  }
}

function writeClient(words: Int32Array, record: number, network: number, mask: number): void {
  words[record + table.RULE_CONDITIONS] |= table.RULE_HAS_CLIENTS;
  words[record + table.RULE_CLIENT_NETWORK] = network & mask;
  words[record + table.RULE_CLIENT_MASK] = mask;
}

/** All of a rule but its clients. */
function writeRule(words: Int32Array, record: number, rule: RuleInput, pool: Int32Array): void {
  const { clientPorts, dscp, vlan, payload } = rule;
  let conditions = 0;
  if (clientPorts !== undefined) {
    conditions |= table.RULE_HAS_CLIENT_PORTS;
    words[record + table.RULE_CLIENT_PORTS] = (clientPorts.from << 16) | clientPorts.to;
  }
  if (dscp !== undefined) {
    conditions |= table.RULE_HAS_DSCP;
    for (const value of dscp) {
      words[record + table.RULE_DSCP + (value >>> 5)] |= 1 << (value & 31);
    }
  }
  if (vlan !== undefined) {
    conditions |= table.RULE_HAS_VLAN;
    words[record + table.RULE_VLAN] = vlan;
  }
  if (payload !== undefined) {
    conditions |= table.RULE_HAS_PAYLOAD;
    words[record + table.RULE_PAYLOAD] = (payload.offset << 8) | payload.value.length;
    writeBytes(words, record + table.RULE_PAYLOAD_VALUE, payload.value);
    writeBytes(words, record + table.RULE_PAYLOAD_MASK, payload.mask);
  }
  words[record + table.RULE_CONDITIONS] = conditions;
  words[record + table.RULE_POOL_NUMBER] = rule.pool;
  words.set(pool, record + table.RULE_POOL);
}

/** Four bytes to a word, the first in the highest place. */
function writeBytes(words: Int32Array, first: number, bytes: Uint8Array): void {
  bytes.forEach((byte, n) => {
    words[first + (n >> 2)] |= byte << (24 - (n & 3) * 8);
  });
}
