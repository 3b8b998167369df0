// Choice by content (step 214 of Fig. 6): holds the first packet of a connection against the rules of its
// service, in their order; the first that matches says among which backends the choice is made
// (tables/rule-table.ts). Later packets belong to a known connection and are never looked at.
//
// What a rule may ask for: the client's network and port, the differentiated services code point
// (RFC 2474), the frame's outer VLAN identifier, and of a datagram the first bytes of its payload under
// a mask. Called when the headers are checked (read-headers.ts); a payload that is shorter than what is
// asked for does not match. The cost is a few nanoseconds per rule looked at, and one read without rules.

import * as table from '../tables/configuration-table.ts';
import * as rules from '../tables/rule-table.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import * as vlan from '../wire/vlan.ts';
import type { PacketContext } from './packet-context.ts';

/**
 * The first rule of `context.service` that matches the packet in the context, for the accessors of
 * rules; NOT_FOUND: none does, all of the service's backends may be chosen. @hot
 */
export function matchRule(
  view: DataView,
  words: Int32Array,
  configuration: number,
  context: PacketContext,
): number {
  const count = rules.ruleCount(words, configuration, context.service);
  if (count === 0) return table.NOT_FOUND;
  const first = rules.firstRule(words, configuration, context.service);
  for (let n = 0; n < count; n++) {
    const rule = rules.ruleRecord(configuration, (first + n) | 0);
    if (matches(view, words, rule, context)) return rule;
  }
  return table.NOT_FOUND;
}

/** Whether all conditions of a rule hold. @hot */
function matches(view: DataView, words: Int32Array, rule: number, context: PacketContext): boolean {
  const conditions = rules.ruleConditions(words, rule);
  if ((conditions & table.RULE_HAS_CLIENTS) !== 0) {
    if (rules.ruleHasClient(words, rule, context.source) === 0) return false;
  }
  if ((conditions & table.RULE_HAS_CLIENT_PORTS) !== 0) {
    if (rules.ruleHasClientPort(words, rule, context.ports >>> 16) === 0) return false;
  }
  if ((conditions & table.RULE_HAS_DSCP) !== 0) {
    const dscp = ipv4.typeOfService(view, context.networkOffset) >>> 2;
    if (rules.ruleHasDscp(words, rule, dscp) === 0) return false;
  }
  if ((conditions & table.RULE_HAS_VLAN) !== 0) {
    const type = vlan.payloadType(view, (context.offset + ethernet.HEADER_SIZE) | 0);
    if (!vlan.isTagType(type)) return false;
    if (vlan.identifier(view, context.offset) !== rules.ruleVlan(words, rule)) return false;
  }
  if ((conditions & table.RULE_HAS_PAYLOAD) === 0) return true;
  return payloadMatches(view, words, rule, context);
}

/** Whether a datagram's payload has what the rule wants, all of it within datagram and packet. @hot */
function payloadMatches(
  view: DataView,
  words: Int32Array,
  rule: number,
  context: PacketContext,
): boolean {
  const { protocol, transportOffset, packetEnd } = context;
  if (protocol !== ipv4.PROTOCOL_UDP) return false;
  const datagramEnd = (transportOffset + udp.length(view, transportOffset)) | 0;
  const end = datagramEnd < packetEnd ? datagramEnd : packetEnd;
  const length = rules.rulePayloadLength(words, rule);
  const payload = (transportOffset + udp.HEADER_SIZE) | 0;
  const first = (payload + rules.rulePayloadOffset(words, rule)) | 0;
  if (((first + length) | 0) > end) return false;
  for (let n = 0; n < length; n++) {
    const byte = view.getUint8(first + n);
    if (rules.ruleHasPayloadByte(words, rule, n, byte) === 0) return false;
  }
  return true;
}
