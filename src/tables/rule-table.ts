// Rules of services, as switching processors read them: records of the configuration table
// (configuration-layout.ts) that the first packet of a connection is held against, in their order
// (switching/match-rules.ts). The first that matches names the pool in which the backend is chosen.
//
// A `rule` here is the index in `words` of a rule's record. All that is compared stands in the record
// in host order, but for the payload, of which the bytes stand as in the packet, four to a word with
// the first in the highest place.

import {
  poolBackend,
  poolBackendCount,
  RULE_CLIENT_MASK,
  RULE_CLIENT_NETWORK,
  RULE_CLIENT_PORTS,
  RULE_CONDITIONS,
  RULE_DSCP,
  RULE_PAYLOAD,
  RULE_PAYLOAD_MASK,
  RULE_PAYLOAD_VALUE,
  RULE_POOL,
  RULE_POOL_NUMBER,
  RULE_VLAN,
  RULE_WORDS,
  RULES,
  SERVICE_FIRST_RULE,
  SERVICE_RULE_COUNT,
  serviceRecord,
} from './configuration-table.ts';

/** Number of a service's first rule among all rules. @hot */
export function firstRule(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_FIRST_RULE];
}

/** Records of rules that a service has; 0: every connection goes to all of its backends. @hot */
export function ruleCount(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_RULE_COUNT];
}

/** Index in `words` of a rule, by its number among all rules. @hot */
export function ruleRecord(base: number, number: number): number {
  return (base + RULES + Math.imul(number, RULE_WORDS)) | 0;
}

/** RULE_HAS_…: what of the following must hold. @hot */
export function ruleConditions(words: Int32Array, rule: number): number {
  return words[rule + RULE_CONDITIONS];
}

/** 1 when the address is in the rule's client network, else 0. @hot */
export function ruleHasClient(words: Int32Array, rule: number, address: number): number {
  const difference = (address ^ words[rule + RULE_CLIENT_NETWORK]) & words[rule + RULE_CLIENT_MASK];
  return difference === 0 ? 1 : 0;
}

/** 1 when the port is in the rule's range, both ends included, else 0. @hot */
export function ruleHasClientPort(words: Int32Array, rule: number, port: number): number {
  const range = words[rule + RULE_CLIENT_PORTS];
  return port >= range >>> 16 && port <= (range & 0xffff) ? 1 : 0;
}

/** 1 when the differentiated services code point (0 … 63) is in the rule's set, else 0. @hot */
export function ruleHasDscp(words: Int32Array, rule: number, dscp: number): number {
  return (words[rule + RULE_DSCP + (dscp >>> 5)] >>> (dscp & 31)) & 1;
}

/** The VLAN identifier that the frame must have. @hot */
export function ruleVlan(words: Int32Array, rule: number): number {
  return words[rule + RULE_VLAN];
}

/** Offset in the UDP payload, in bytes, of what is compared. @hot */
export function rulePayloadOffset(words: Int32Array, rule: number): number {
  return words[rule + RULE_PAYLOAD] >>> 8;
}

/** How many bytes of the payload are compared: 1 … PAYLOAD_BYTES_MAX. @hot */
export function rulePayloadLength(words: Int32Array, rule: number): number {
  return words[rule + RULE_PAYLOAD] & 0xff;
}

/** 1 when a byte of the payload, the n-th of those compared, is as the rule wants it, else 0. @hot */
export function ruleHasPayloadByte(
  words: Int32Array,
  rule: number,
  n: number,
  byte: number,
): number {
  const shift = 24 - ((n & 3) << 3);
  const value = words[rule + RULE_PAYLOAD_VALUE + (n >> 2)] >> shift;
  const mask = words[rule + RULE_PAYLOAD_MASK + (n >> 2)] >> shift;
  return ((byte ^ value) & mask & 0xff) === 0 ? 1 : 0;
}

/** Number of the rule's pool within its service, from 1; 0: it is the service's own. @hot */
export function rulePoolNumber(words: Int32Array, rule: number): number {
  return words[rule + RULE_POOL_NUMBER];
}

/** The pool in which the rule has the backend chosen, for the accessors of pools. @hot */
export function rulePool(rule: number): number {
  return (rule + RULE_POOL) | 0;
}

/** Whether a rule's pool has a backend: its list is in ascending order, so a dozen looks do. @hot */
export function poolHas(words: Int32Array, base: number, pool: number, backend: number): boolean {
  let first = 0;
  let end = poolBackendCount(words, pool);
  while (first < end) {
    const middle = (first + end) >> 1;
    const found = poolBackend(words, base, pool, middle);
    if (found === backend) return true;
    if (found < backend) first = (middle + 1) | 0;
    else end = middle;
  }
  return false;
}
