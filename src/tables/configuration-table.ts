// The configuration table, as switching processors read it: services, backends, our own addresses.
// The packet filter asks it whether a packet is for a service, and takes the backend of a new
// connection from the service's selection table; both are array look-ups, whatever the scheduler.
//
// Two buffers of CONFIGURATION_TABLE_SIZE bytes. Control alone writes, and only the standby one
// (configuration-writer.ts); publishing is raising the generation (memory/double-buffer.ts).
// A reader may trust the buffer that the generation named at the start of its turn until it shows
// that it has seen a newer generation, and must not keep word indexes into it any longer than that.
// Inside a buffer nothing changes while it is active, so plain reads do.
//
// `base` is the index in `words` of the buffer's first word. Sections, in words from there:
//
//   header                  256                 counts, rate limits, default timeouts
//   services                32 × MAX_SERVICES   by service id: stable over reloads, by name
//   backends                8 × MAX_BACKENDS    by backend id: likewise
//   service lookup          4 × 8192            (address, port, protocol) → service id + 1
//   backend endpoint lookup 4 × 32768           (address, port, protocol) → 1
//   own address lookup      4 × 16384           address → kind, interface number, prefix length
//   interface addresses     64 × MAX_INTERFACES count, then (address, prefix length) × 31
//   backend lists           MAX_BACKENDS        backend ids, service after service
//   selection pool          the rest            backend ids, selection table after selection table
//
//   service word: 0 valid  1 address  2 port  3 protocol  4 forwarding  5 scheduler
//                 6 selection offset  7 selection length  8 backend list offset  9 backend count
//                 16…31 timeouts in ms, by TIMEOUT_* (tables/connection-states.ts)
//   backend word: 0 valid  1 address  2 port  3 weight  4 service id
//   lookup word:  0 address  1 port << 16 | protocol  2 value, 0 = free slot
//   own address:  0 address  1 kind, 0 = free slot  2 interface number or -1  3 prefix length
//
// An id of which `valid` is 0 is unused: a connection record may still name it after a reload.

import { finish, mix } from '../base/hash.ts';
import {
  CONFIGURATION_TABLE_SIZE,
  MAX_BACKENDS,
  MAX_INTERFACES,
  MAX_SERVICES,
} from '../memory/layout.ts';

export const NOT_FOUND = -1;

/** Rewrites addresses and ports both ways; the backend's replies come back through us. */
export const FORWARDING_NAT = 0;
/** Direct server return: only the MAC address is rewritten; we never see the replies. */
export const FORWARDING_DSR = 1;

/** The selection table is walked, one position per new connection. */
export const SCHEDULER_WEIGHTED_ROUND_ROBIN = 0;
/** The selection table is indexed by a hash of the connection. */
export const SCHEDULER_MAGLEV = 1;

/** What an own address is; interface addresses win when it is both. */
export const OWN_INTERFACE_ADDRESS = 1;
export const OWN_SERVICE_ADDRESS = 2;

/** Words of timeouts in a service and in the header. */
export const TIMEOUT_WORDS = 16;
export const MAX_ADDRESSES_PER_INTERFACE = 31;
/** Most entries of the own address lookup; half of its slots. */
export const MAX_OWN_ADDRESSES = 8192;

// Sections: words from `base`.
export const HEADER_WORDS = 256;
export const SERVICE_WORDS = 32;
export const BACKEND_WORDS = 8;
export const LOOKUP_WORDS = 4;
export const SERVICE_LOOKUP_SLOTS = MAX_SERVICES * 2;
export const ENDPOINT_LOOKUP_SLOTS = MAX_BACKENDS * 2;
export const OWN_LOOKUP_SLOTS = MAX_OWN_ADDRESSES * 2;
export const INTERFACE_WORDS = 64;

export const SERVICES = HEADER_WORDS;
export const BACKENDS = SERVICES + SERVICE_WORDS * MAX_SERVICES;
export const SERVICE_LOOKUP = BACKENDS + BACKEND_WORDS * MAX_BACKENDS;
export const ENDPOINT_LOOKUP = SERVICE_LOOKUP + LOOKUP_WORDS * SERVICE_LOOKUP_SLOTS;
export const OWN_LOOKUP = ENDPOINT_LOOKUP + LOOKUP_WORDS * ENDPOINT_LOOKUP_SLOTS;
export const INTERFACE_ADDRESSES = OWN_LOOKUP + LOOKUP_WORDS * OWN_LOOKUP_SLOTS;
export const BACKEND_LISTS = INTERFACE_ADDRESSES + INTERFACE_WORDS * MAX_INTERFACES;
export const SELECTION_POOL = BACKEND_LISTS + MAX_BACKENDS;
export const CONFIGURATION_TABLE_WORDS = CONFIGURATION_TABLE_SIZE / 4;
/** Positions that all selection tables together may have: about 1.5 million. */
export const SELECTION_POOL_CAPACITY = CONFIGURATION_TABLE_WORDS - SELECTION_POOL;

// Words of the header.
export const CONFIGURATION_SERVICES = 0;
export const CONFIGURATION_BACKENDS = 1;
export const CONFIGURATION_OWN_ADDRESSES = 2;
export const CONFIGURATION_SELECTION_WORDS = 3;
export const CONFIGURATION_RESETS_PER_SECOND = 4;
export const CONFIGURATION_ECHO_REPLIES_PER_SECOND = 5;
/** A hash of all our addresses: what is to be announced has changed when it has. */
export const CONFIGURATION_ADDRESSES = 6;
export const CONFIGURATION_DEFAULT_TIMEOUTS = 16;

// Words of a service.
export const SERVICE_VALID = 0;
export const SERVICE_ADDRESS = 1;
export const SERVICE_PORT = 2;
export const SERVICE_PROTOCOL = 3;
export const SERVICE_FORWARDING = 4;
export const SERVICE_SCHEDULER = 5;
export const SERVICE_SELECTION_OFFSET = 6;
export const SERVICE_SELECTION_LENGTH = 7;
export const SERVICE_LIST_OFFSET = 8;
export const SERVICE_BACKEND_COUNT = 9;
export const SERVICE_TIMEOUTS = 16;

// Words of a backend.
export const BACKEND_VALID = 0;
export const BACKEND_ADDRESS = 1;
export const BACKEND_PORT = 2;
export const BACKEND_WEIGHT = 3;
export const BACKEND_SERVICE = 4;

/** Index in `words` of a service's record. @hot */
export function serviceRecord(base: number, service: number): number {
  return (base + SERVICES + Math.imul(service, SERVICE_WORDS)) | 0;
}

/** Index in `words` of a backend's record. @hot */
export function backendRecord(base: number, backend: number): number {
  return (base + BACKENDS + Math.imul(backend, BACKEND_WORDS)) | 0;
}

/** The second word of a lookup key. @hot */
export function portAndProtocol(port: number, protocol: number): number {
  return (port << 16) | protocol;
}

/** The slot, out of `slots` (a power of two), where the search for a key begins. @hot */
export function firstSlot(address: number, second: number, slots: number): number {
  return finish(mix(mix(0, address), second)) & (slots - 1);
}

/**
 * Value of a key in one of the lookups, 0 when it is not there. At most half of the slots are taken,
 * so a free one ends the search soon; the bound only keeps a torn table from hanging us. @hot
 */
function lookup(
  words: Int32Array,
  section: number,
  slots: number,
  address: number,
  second: number,
): number {
  let slot = firstSlot(address, second, slots);
  for (let probe = 0; probe < slots; probe++) {
    const entry = section + slot * LOOKUP_WORDS;
    const value = words[entry + 2];
    if (value === 0) return 0;
    if (words[entry] === address && words[entry + 1] === second) return value;
    slot = (slot + 1) & (slots - 1);
  }
  return 0;
}

/** The service at an address, port and protocol number: its id, or NOT_FOUND. @hot */
export function findService(
  words: Int32Array,
  base: number,
  address: number,
  port: number,
  protocol: number,
): number {
  const key = portAndProtocol(port, protocol);
  return (lookup(words, base + SERVICE_LOOKUP, SERVICE_LOOKUP_SLOTS, address, key) - 1) | 0;
}

/**
 * 1 when a backend of some service has this address, port and protocol number, else 0: what comes
 * from there without a connection is a server's segment, not a client's. @hot
 */
export function isBackendEndpoint(
  words: Int32Array,
  base: number,
  address: number,
  port: number,
  protocol: number,
): number {
  const key = portAndProtocol(port, protocol);
  return lookup(words, base + ENDPOINT_LOOKUP, ENDPOINT_LOOKUP_SLOTS, address, key);
}

/**
 * The entry of one of our own addresses, those of services included: what we answer ARP and echo
 * requests for. An index for the `own…` accessors, or NOT_FOUND. @hot
 */
export function findOwnAddress(words: Int32Array, base: number, address: number): number {
  let slot = firstSlot(address, 0, OWN_LOOKUP_SLOTS);
  for (let probe = 0; probe < OWN_LOOKUP_SLOTS; probe++) {
    const entry = base + OWN_LOOKUP + slot * LOOKUP_WORDS;
    if (words[entry + 1] === 0) return NOT_FOUND;
    if (words[entry] === address) return entry;
    slot = (slot + 1) & (OWN_LOOKUP_SLOTS - 1);
  }
  return NOT_FOUND;
}

/** 1 when the address is ours, else 0. @hot */
export function isOwnAddress(words: Int32Array, base: number, address: number): number {
  return findOwnAddress(words, base, address) === NOT_FOUND ? 0 : 1;
}

/** OWN_INTERFACE_ADDRESS or OWN_SERVICE_ADDRESS. @hot */
export function ownAddressKind(words: Int32Array, entry: number): number {
  return words[entry + 1];
}

/** Interface that bears the address, or -1: it is answered for on every interface. @hot */
export function ownAddressInterface(words: Int32Array, entry: number): number {
  return words[entry + 2];
}

/** Addresses of an interface. @hot */
export function interfaceAddressCount(
  words: Int32Array,
  base: number,
  interfaceNumber: number,
): number {
  return words[base + INTERFACE_ADDRESSES + interfaceNumber * INTERFACE_WORDS];
}

/** The n-th address of an interface, in the order of the configuration. @hot */
export function interfaceAddress(
  words: Int32Array,
  base: number,
  interfaceNumber: number,
  n: number,
): number {
  return words[base + INTERFACE_ADDRESSES + interfaceNumber * INTERFACE_WORDS + 2 + n * 2];
}

/** The length of the prefix that the n-th address of an interface stands in: 0 … 32. @hot */
export function interfacePrefixLength(
  words: Int32Array,
  base: number,
  interfaceNumber: number,
  n: number,
): number {
  return words[base + INTERFACE_ADDRESSES + interfaceNumber * INTERFACE_WORDS + 3 + n * 2];
}

/**
 * The address in whose name we speak to `target` on an interface, as the sender of an ARP request or
 * the source of an ICMP packet: of those whose prefix holds the target the one with the longest
 * prefix (on a tie the first), else the interface's first, else 0 (an ARP probe, RFC 5227). @hot
 */
export function sourceAddressFor(
  words: Int32Array,
  base: number,
  interfaceNumber: number,
  target: number,
): number {
  const count = interfaceAddressCount(words, base, interfaceNumber);
  if (count === 0) return 0;
  let best = 0;
  let bestLength = -1;
  for (let n = 0; n < count; n++) {
    const length = interfacePrefixLength(words, base, interfaceNumber, n);
    const difference = interfaceAddress(words, base, interfaceNumber, n) ^ target;
    const outside = length === 0 ? 0 : difference >>> (32 - length);
    if (outside === 0 && length > bestLength) {
      best = n;
      bestLength = length;
    }
  }
  return interfaceAddress(words, base, interfaceNumber, best);
}

/** 1 while the id is in use, else 0. @hot */
export function isServiceValid(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_VALID];
}

/** @hot */
export function serviceAddress(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_ADDRESS];
}

/** @hot */
export function servicePort(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_PORT];
}

/** @hot */
export function serviceProtocol(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_PROTOCOL];
}

/** FORWARDING_*. @hot */
export function serviceForwarding(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_FORWARDING];
}

/** SCHEDULER_*: tells whether `selectBackend` wants a position or a hash. @hot */
export function serviceScheduler(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_SCHEDULER];
}

/** Positions of a service's selection table; 0: no backend may take a connection. @hot */
export function selectionLength(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_SELECTION_LENGTH];
}

/**
 * The backend id that a service's selection table has for a position or a hash (any int32; its sign
 * is ignored, the rest taken modulo the table's length), or NOT_FOUND when the table is empty. @hot
 */
export function selectBackend(
  words: Int32Array,
  base: number,
  service: number,
  positionOrHash: number,
): number {
  const record = serviceRecord(base, service);
  const length = words[record + SERVICE_SELECTION_LENGTH];
  if (length === 0) return NOT_FOUND;
  const position = (positionOrHash & 0x7fffffff) % length;
  return words[base + words[record + SERVICE_SELECTION_OFFSET] + position];
}

/**
 * Milliseconds after which a silent connection of a service expires, by TIMEOUT_*. A connection may
 * outlive its service: then the defaults hold. @hot
 */
export function timeoutMs(
  words: Int32Array,
  base: number,
  service: number,
  timeout: number,
): number {
  const record = serviceRecord(base, service);
  if (words[record + SERVICE_VALID] === 0) {
    return words[base + CONFIGURATION_DEFAULT_TIMEOUTS + timeout];
  }
  return words[record + SERVICE_TIMEOUTS + timeout];
}

/** Backends of a service, those without a weight included. */
export function serviceBackendCount(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_BACKEND_COUNT];
}

/** Id of a service's n-th backend, in the order of the configuration. */
export function serviceBackend(
  words: Int32Array,
  base: number,
  service: number,
  n: number,
): number {
  return words[base + words[serviceRecord(base, service) + SERVICE_LIST_OFFSET] + n];
}

/** 1 while the id is in use, else 0. @hot */
export function isBackendValid(words: Int32Array, base: number, backend: number): number {
  return words[backendRecord(base, backend) + BACKEND_VALID];
}

/** @hot */
export function backendAddress(words: Int32Array, base: number, backend: number): number {
  return words[backendRecord(base, backend) + BACKEND_ADDRESS];
}

/** @hot */
export function backendPort(words: Int32Array, base: number, backend: number): number {
  return words[backendRecord(base, backend) + BACKEND_PORT];
}

/** @hot */
export function backendWeight(words: Int32Array, base: number, backend: number): number {
  return words[backendRecord(base, backend) + BACKEND_WEIGHT];
}

/** Id of the service that the backend belongs to. @hot */
export function backendService(words: Int32Array, base: number, backend: number): number {
  return words[backendRecord(base, backend) + BACKEND_SERVICE];
}

/** TCP resets that a processor may send in a second. @hot */
export function resetsPerSecond(words: Int32Array, base: number): number {
  return words[base + CONFIGURATION_RESETS_PER_SECOND];
}

/** Echo replies that a processor may send in a second. @hot */
export function echoRepliesPerSecond(words: Int32Array, base: number): number {
  return words[base + CONFIGURATION_ECHO_REPLIES_PER_SECOND];
}

/** A hash of all our addresses, those of services included. @hot */
export function addressesHash(words: Int32Array, base: number): number {
  return words[base + CONFIGURATION_ADDRESSES];
}
