// The configuration table, as switching processors read it: services, backends, our own addresses.
// The packet filter asks it whether a packet is for a service, and takes the backend of a new
// connection from the pools that are described here; rules of services: rule-table.ts. The byte map:
// configuration-layout.ts.
//
// A reader may trust the buffer that the generation named at the start of its turn until it shows
// that it has seen a newer generation, and must not keep word indexes into it any longer than that.
// Inside a buffer nothing changes while it is active, so plain reads do.

import { finish, mix } from '../base/hash.ts';
import {
  BACKEND_ADDRESS,
  BACKEND_CONNECTION_LIMIT,
  BACKEND_FLAGS,
  BACKEND_PORT,
  BACKEND_SERVICE,
  BACKEND_VALID,
  BACKEND_WEIGHT,
  BACKEND_WORDS,
  BACKENDS,
  CONFIGURATION_ADDRESSES,
  CONFIGURATION_DEFAULT_TIMEOUTS,
  CONFIGURATION_ECHO_REPLIES_PER_SECOND,
  CONFIGURATION_ENDING,
  CONFIGURATION_RESETS_PER_SECOND,
  ENDPOINT_LOOKUP,
  ENDPOINT_LOOKUP_SLOTS,
  INTERFACE_ADDRESSES,
  INTERFACE_WORDS,
  LOOKUP_WORDS,
  NOT_FOUND,
  OWN_LOOKUP,
  OWN_LOOKUP_SLOTS,
  OWN_OF_CONTROL_HOST,
  POOL_BACKEND_COUNT,
  POOL_LIST_OFFSET,
  POOL_SELECTION_LENGTH,
  POOL_SELECTION_OFFSET,
  SERVICE_ADDRESS,
  SERVICE_BACKEND_COUNT,
  SERVICE_CONNECTION_LIMIT,
  SERVICE_FLAGS,
  SERVICE_FORWARDING,
  SERVICE_LIST_OFFSET,
  SERVICE_LOOKUP,
  SERVICE_LOOKUP_SLOTS,
  SERVICE_PERSISTENCE_MASK,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
  SERVICE_SCHEDULER,
  SERVICE_SELECTION_OFFSET,
  SERVICE_TIMEOUTS,
  SERVICE_VALID,
  SERVICE_WORDS,
  SERVICES,
} from './configuration-layout.ts';

export * from './configuration-layout.ts';

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

/** Whether the control host's programs have the address. @hot */
export function isControlAddress(words: Int32Array, entry: number): boolean {
  return (words[entry + 3] & OWN_OF_CONTROL_HOST) !== 0;
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

/** SCHEDULER_*. @hot */
export function serviceScheduler(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_SCHEDULER];
}

/** Network mask under which a client's address stays with its backend; 0: it does not. @hot */
export function persistenceMask(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_PERSISTENCE_MASK];
}

/** Most connections that may be open at a time in the whole service; 0: no limit. @hot */
export function serviceConnectionLimit(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_CONNECTION_LIMIT];
}

/** SERVICE_ADOPTS_CONNECTIONS or 0. @hot */
export function serviceFlags(words: Int32Array, base: number, service: number): number {
  return words[serviceRecord(base, service) + SERVICE_FLAGS];
}

/** The pool of all of a service's backends: an index for the accessors of pools. @hot */
export function servicePool(base: number, service: number): number {
  return (serviceRecord(base, service) + SERVICE_SELECTION_OFFSET) | 0;
}

/** Positions of a pool's selection table; 0: no backend may take a connection. @hot */
export function selectionLength(words: Int32Array, pool: number): number {
  return words[pool + POOL_SELECTION_LENGTH];
}

/**
 * The backend id that a pool's selection table has for a position or a hash (any int32; its sign
 * is ignored, the rest taken modulo the table's length), or NOT_FOUND when the table is empty. @hot
 */
export function selectBackend(
  words: Int32Array,
  base: number,
  pool: number,
  positionOrHash: number,
): number {
  const length = words[pool + POOL_SELECTION_LENGTH];
  if (length === 0) return NOT_FOUND;
  const position = (positionOrHash & 0x7fffffff) % length;
  return words[base + words[pool + POOL_SELECTION_OFFSET] + position];
}

/** Backends of a pool, those without a weight included. @hot */
export function poolBackendCount(words: Int32Array, pool: number): number {
  return words[pool + POOL_BACKEND_COUNT];
}

/** Id of a pool's n-th backend, in the order of its list. @hot */
export function poolBackend(words: Int32Array, base: number, pool: number, n: number): number {
  return words[base + words[pool + POOL_LIST_OFFSET] + n];
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

/** Most connections that may be open to the backend at a time; 0: no limit. @hot */
export function backendConnectionLimit(words: Int32Array, base: number, backend: number): number {
  return words[backendRecord(base, backend) + BACKEND_CONNECTION_LIMIT];
}

/** BACKEND_ENDS_CONNECTIONS or 0. @hot */
export function backendFlags(words: Int32Array, base: number, backend: number): number {
  return words[backendRecord(base, backend) + BACKEND_FLAGS];
}

/** Backends whose connections are to be ended. @hot */
export function endingBackendCount(words: Int32Array, base: number): number {
  return words[base + CONFIGURATION_ENDING];
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
