// What is forwarded though no service and no connection claims it, as the filter reads it: pairs of
// interfaces, each with the address that sources are translated to, if any. Part of the configuration table;
// byte map: configuration-layout.ts. A rule is named by the index of its first word, 0: none.

import { MAX_INTERFACES } from '../memory/layout.ts';
import {
  CONFIGURATION_FORWARDING_FROM,
  CONFIGURATION_ICMP_ERRORS_PER_SECOND,
  CONFIGURATION_SOURCE_NAT_BACKEND,
  CONFIGURATION_SOURCE_NAT_SERVICE,
  FORWARDING_FIRST_PORT,
  FORWARDING_PAIRS,
  FORWARDING_PORT_COUNT,
  FORWARDING_RULES,
  FORWARDING_SOURCE,
  FORWARDING_WORDS,
} from './configuration-layout.ts';
import {
  interfaceAddress,
  interfaceAddressCount,
  interfacePrefixLength,
} from './configuration-table.ts';

/** Whether anything that comes in on an interface is forwarded. @hot */
export function isForwardedFrom(words: Int32Array, base: number, ingress: number): boolean {
  const word = words[base + CONFIGURATION_FORWARDING_FROM + (ingress >> 5)];
  return ((word >>> (ingress & 31)) & 1) !== 0;
}

/** The rule for what goes from one interface to another, or 0. @hot */
export function forwardingRule(
  words: Int32Array,
  base: number,
  ingress: number,
  egress: number,
): number {
  const number = words[base + FORWARDING_PAIRS + Math.imul(ingress, MAX_INTERFACES) + egress];
  if (number === 0) return 0;
  return (base + FORWARDING_RULES + Math.imul(number - 1, FORWARDING_WORDS)) | 0;
}

/**
 * Whether an address is the first or the last of a network of an interface: a broadcast there, of today or of
 * old, and no host's (RFC 1812 §5.3.5.2). @hot
 */
export function isBroadcastOn(
  words: Int32Array,
  base: number,
  interfaceNumber: number,
  address: number,
): boolean {
  const count = interfaceAddressCount(words, base, interfaceNumber);
  for (let n = 0; n < count; n++) {
    const length = interfacePrefixLength(words, base, interfaceNumber, n);
    // Networks of two addresses have hosts alone (RFC 3021).
    if (length > 30) continue;
    const hostMask = length === 0 ? -1 : ~(-1 << (32 - length));
    const own = interfaceAddress(words, base, interfaceNumber, n);
    if (((own ^ address) & ~hostMask) !== 0) continue;
    const host = address & hostMask;
    if (host === 0 || host === hostMask) return true;
  }
  return false;
}

/** The address that sources are translated to, or 0: they are kept. @hot */
export function translatedSource(words: Int32Array, rule: number): number {
  return words[rule + FORWARDING_SOURCE];
}

/** @hot */
export function firstTranslatedPort(words: Int32Array, rule: number): number {
  return words[rule + FORWARDING_FIRST_PORT];
}

/** @hot */
export function translatedPortCount(words: Int32Array, rule: number): number {
  return words[rule + FORWARDING_PORT_COUNT];
}

/** Service number of connections with a translated source, or -1: there are none. @hot */
export function sourceNatService(words: Int32Array, base: number): number {
  return (words[base + CONFIGURATION_SOURCE_NAT_SERVICE] - 1) | 0;
}

/** Backend number of connections with a translated source, or -1: there are none. @hot */
export function sourceNatBackend(words: Int32Array, base: number): number {
  return (words[base + CONFIGURATION_SOURCE_NAT_BACKEND] - 1) | 0;
}

/** ICMP errors that each processor may send. @hot */
export function icmpErrorsPerSecond(words: Int32Array, base: number): number {
  return words[base + CONFIGURATION_ICMP_ERRORS_PER_SECOND];
}
