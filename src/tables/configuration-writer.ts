// Writes a description of services and addresses into the standby buffer of the configuration table.
// Runs in the control processor, once per reload and once per change of weights; byte map and rules
// for readers: configuration-table.ts.
//
// Invariant: everything is checked before the first word is written, so a description that does not
// fit leaves the buffer as it was; and whoever stops in the middle has touched the standby only,
// which is written anew from its first word the next time.

import { assert } from '../base/assert.ts';
import { WeirError } from '../base/errors.ts';
import { hashText } from '../base/hash.ts';
import { MAX_BACKENDS, MAX_INTERFACES, MAX_SERVICES } from '../memory/layout.ts';
import * as table from './configuration-table.ts';
import { type ControlPairInput, writeControlPairs } from './control-pairs-writer.ts';
import { type ForwardingInput, type SourceNatIds, writeForwarding } from './forwarding-writer.ts';
import {
  checkRules,
  type PoolInput,
  poolWords,
  type RuleInput,
  ruleRecords,
  writePools,
  writeRules,
} from './rule-writer.ts';

export type { ControlPairInput } from './control-pairs-writer.ts';
export type { ForwardingInput, SourceNatIds } from './forwarding-writer.ts';
export type { PoolInput, RuleInput } from './rule-writer.ts';

export interface BackendInput {
  /** Stable id, 0 … MAX_BACKENDS - 1 (stable-ids.ts). Belongs to one service only. */
  readonly id: number;
  /** As int32. */
  readonly address: number;
  readonly port: number;
  /** The weight in force: 0 takes no connection; schedulers that count connections divide by it. */
  readonly weight: number;
  /** Most connections open at a time; 0 or nothing: no limit. */
  readonly connectionLimit?: number;
  /** Its connections are to be ended, with a reset for TCP. */
  readonly endsConnections?: boolean;
}

export interface ServiceInput {
  /** Stable id, 0 … MAX_SERVICES - 1. */
  readonly id: number;
  /** As int32. */
  readonly address: number;
  readonly port: number;
  /** Protocol number: 6 or 17. */
  readonly protocol: number;
  /** FORWARDING_*. */
  readonly forwarding: number;
  /** SCHEDULER_*. */
  readonly scheduler: number;
  /** Milliseconds by TIMEOUT_*; at most TIMEOUT_WORDS. */
  readonly timeouts: ArrayLike<number>;
  /** Backend ids in the order, or under the hashes, that the scheduler computed. */
  readonly selection: Int32Array;
  readonly backends: readonly BackendInput[];
  /** Network mask of client addresses that stay with a backend, as int32; 0 or nothing: none. */
  readonly persistenceMask?: number;
  /** Most connections open at a time; 0 or nothing: no limit. */
  readonly connectionLimit?: number;
  /** TCP segments of no connection begin one. */
  readonly adoptsConnections?: boolean;
  /** What rules choose among; rules name them by number, from 1. */
  readonly pools?: readonly PoolInput[];
  /** In the order in which they are tried. */
  readonly rules?: readonly RuleInput[];
}

export interface InterfaceAddressInput {
  readonly interfaceNumber: number;
  /** As int32. */
  readonly address: number;
  /** 0 … 32. */
  readonly prefixLength: number;
}

export interface OwnAddressInput {
  /** As int32. */
  readonly address: number;
  /** Interface on which alone it is answered for, or -1: on all. */
  readonly interfaceNumber: number;
}

/** All of what the table holds. The addresses of services and interfaces are ours without saying. */
export interface ConfigurationInput {
  readonly services: readonly ServiceInput[];
  readonly interfaceAddresses: readonly InterfaceAddressInput[];
  /** Further addresses that we answer for, of no interface and no service. */
  readonly ownAddresses?: readonly OwnAddressInput[];
  /** Addresses of the control host, as int32: each also one of ours in one of the ways above. */
  readonly controlAddresses?: readonly number[];
  /** What control addresses stand for on an interface of the kernel's. */
  readonly controlPairs?: readonly ControlPairInput[];
  readonly forwarding?: readonly ForwardingInput[];
  readonly sourceNatIds?: SourceNatIds | undefined;
  readonly icmpErrorsPerSecond?: number;
  readonly resetsPerSecond: number;
  readonly echoRepliesPerSecond: number;
  /** For connections whose service is gone: milliseconds by TIMEOUT_*. */
  readonly defaultTimeouts: ArrayLike<number>;
}

/**
 * Writes the whole buffer that begins at `words[base]`.
 * @throws WeirError ERR_TABLE_FULL, saying what did not fit; nothing has been written then.
 */
export function writeConfigurationTable(
  words: Int32Array,
  base: number,
  input: ConfigurationInput,
): void {
  checkCapacities(input);
  checkConsistency(input);
  // The selection pool needs no clearing: only what the services point to is ever read.
  words.fill(0, base, base + table.SELECTION_POOL);
  let selectionOffset = table.SELECTION_POOL;
  let listOffset = table.BACKEND_LISTS;
  let ruleNumber = 0;
  for (const service of input.services) {
    writeService(words, base, service, selectionOffset, listOffset);
    selectionOffset += service.selection.length;
    listOffset += service.backends.length;
    const pools = writePools(words, base, service, selectionOffset);
    writeRules(words, base, service, ruleNumber, pools);
    selectionOffset += poolWords(service);
    ruleNumber += ruleRecords(service);
  }
  for (const address of input.interfaceAddresses) writeInterfaceAddress(words, base, address);
  const ownAddresses = writeOwnAddresses(words, base, input);
  words[base + table.CONFIGURATION_SERVICES] = input.services.length;
  words[base + table.CONFIGURATION_BACKENDS] = listOffset - table.BACKEND_LISTS;
  words[base + table.CONFIGURATION_OWN_ADDRESSES] = ownAddresses;
  words[base + table.CONFIGURATION_SELECTION_WORDS] = selectionOffset - table.SELECTION_POOL;
  words[base + table.CONFIGURATION_RESETS_PER_SECOND] = input.resetsPerSecond;
  words[base + table.CONFIGURATION_ECHO_REPLIES_PER_SECOND] = input.echoRepliesPerSecond;
  writeForwarding(words, base, input);
  writeControlPairs(words, base, input.controlPairs ?? []);
  words[base + table.CONFIGURATION_ADDRESSES] = hashAddresses(input);
  words[base + table.CONFIGURATION_ENDING] = endingBackends(input);
  words[base + table.CONFIGURATION_RULES] = ruleNumber;
  words.set(Array.from(input.defaultTimeouts), base + table.CONFIGURATION_DEFAULT_TIMEOUTS);
}

function endingBackends({ services }: ConfigurationInput): number {
  const backends = services.flatMap((service) => service.backends);
  return backends.filter(({ endsConnections }) => endsConnections === true).length;
}

/** The same for the same addresses, in whatever order they are named. */
function hashAddresses(input: ConfigurationInput): number {
  const { services, interfaceAddresses, ownAddresses = [] } = input;
  const named = [
    ...services.map(({ address }) => `${address}`),
    ...ownAddresses.map(({ address, interfaceNumber }) => `${address} on ${interfaceNumber}`),
    ...interfaceAddresses.map(
      ({ interfaceNumber, address, prefixLength }) =>
        `${address}/${prefixLength} on ${interfaceNumber}`,
    ),
  ];
  return hashText([...new Set(named)].sort().join(), 0);
}

function requireRoom(what: string, needed: number, capacity: number, advice: string): void {
  if (needed <= capacity) return;
  throw new WeirError(
    'ERR_TABLE_FULL',
    `the configuration table holds ${capacity} ${what}, the configuration has ${needed}`,
    advice,
  );
}

function checkCapacities(input: ConfigurationInput): void {
  const { services, interfaceAddresses } = input;
  const backends = services.reduce((sum, service) => sum + service.backends.length, 0);
  const positions = services.reduce(
    (sum, service) => sum + service.selection.length + poolWords(service),
    0,
  );
  const pairs = input.forwarding?.length ?? 0;
  requireRoom('pairs to forward between', pairs, table.MAX_FORWARDING, 'forward between fewer');
  const rules = services.reduce((sum, service) => sum + ruleRecords(service), 0);
  requireRoom('services', services.length, MAX_SERVICES, 'configure fewer services');
  requireRoom('backends', backends, MAX_BACKENDS, 'configure fewer backends');
  requireRoom(
    'rules (one for each client network of each rule)',
    rules,
    table.MAX_RULES,
    'use fewer rules, or larger client networks',
  );
  requireRoom(
    'positions of selection tables',
    positions,
    table.SELECTION_POOL_CAPACITY,
    'use the scheduler maglev for fewer services, or simpler ratios of weights',
  );
  const addressesOf = new Map<number, number>();
  for (const { interfaceNumber } of interfaceAddresses) {
    const count = (addressesOf.get(interfaceNumber) ?? 0) + 1;
    addressesOf.set(interfaceNumber, count);
    requireRoom(
      `addresses of one interface (number ${interfaceNumber})`,
      count,
      table.MAX_ADDRESSES_PER_INTERFACE,
      'configure fewer addresses on this interface',
    );
  }
  requireRoom(
    'own addresses',
    ownAddressesOf(input).size,
    table.MAX_OWN_ADDRESSES,
    'let several services share an address',
  );
}

/** What the configuration's own checks have ruled out: a fault here is a programmer's. */
function checkConsistency(input: ConfigurationInput): void {
  const serviceIds = new Set<number>();
  const backendIds = new Set<number>();
  const keys = new Set<string>();
  for (const service of input.services) {
    const { id, address, port, protocol } = service;
    assert(id >= 0 && id < MAX_SERVICES && !serviceIds.has(id), `service id ${id}`);
    serviceIds.add(id);
    const key = `${address | 0} ${port} ${protocol}`;
    assert(!keys.has(key), `two services at ${key}`);
    keys.add(key);
    assert(service.timeouts.length <= table.TIMEOUT_WORDS, `timeouts of service ${id}`);
    const own = new Set<number>();
    for (const backend of service.backends) {
      const known = backendIds.has(backend.id);
      assert(backend.id >= 0 && backend.id < MAX_BACKENDS && !known, `backend id ${backend.id}`);
      backendIds.add(backend.id);
      own.add(backend.id);
    }
    assert(
      service.selection.every((backend) => own.has(backend)),
      `selection of service ${id}`,
    );
    checkRules(service);
  }
  for (const { interfaceNumber, prefixLength } of input.interfaceAddresses) {
    assert(
      interfaceNumber >= 0 && interfaceNumber < MAX_INTERFACES,
      `interface ${interfaceNumber}`,
    );
    assert(prefixLength >= 0 && prefixLength <= 32, `prefix length ${prefixLength}`);
  }
  assert(input.defaultTimeouts.length <= table.TIMEOUT_WORDS, 'default timeouts');
}

function writeService(
  words: Int32Array,
  base: number,
  service: ServiceInput,
  selectionOffset: number,
  listOffset: number,
): void {
  const record = table.serviceRecord(base, service.id);
  words[record + table.SERVICE_VALID] = 1;
  words[record + table.SERVICE_ADDRESS] = service.address;
  words[record + table.SERVICE_PORT] = service.port;
  words[record + table.SERVICE_PROTOCOL] = service.protocol;
  words[record + table.SERVICE_FORWARDING] = service.forwarding;
  words[record + table.SERVICE_SCHEDULER] = service.scheduler;
  words[record + table.SERVICE_SELECTION_OFFSET] = selectionOffset;
  words[record + table.SERVICE_SELECTION_LENGTH] = service.selection.length;
  words[record + table.SERVICE_LIST_OFFSET] = listOffset;
  words[record + table.SERVICE_BACKEND_COUNT] = service.backends.length;
  words[record + table.SERVICE_PERSISTENCE_MASK] = service.persistenceMask ?? 0;
  words[record + table.SERVICE_CONNECTION_LIMIT] = service.connectionLimit ?? 0;
  words[record + table.SERVICE_FLAGS] =
    service.adoptsConnections === true ? table.SERVICE_ADOPTS_CONNECTIONS : 0;
  words.set(Array.from(service.timeouts), record + table.SERVICE_TIMEOUTS);
  words.set(service.selection, base + selectionOffset);
  const { address, port, protocol } = service;
  const services = base + table.SERVICE_LOOKUP;
  insert(words, services, table.SERVICE_LOOKUP_SLOTS, address, port, protocol, service.id + 1);
  service.backends.forEach((backend, n) => {
    words[base + listOffset + n] = backend.id;
    writeBackend(words, base, backend, service);
  });
}

function writeBackend(
  words: Int32Array,
  base: number,
  backend: BackendInput,
  service: ServiceInput,
): void {
  const record = table.backendRecord(base, backend.id);
  words[record + table.BACKEND_VALID] = 1;
  words[record + table.BACKEND_ADDRESS] = backend.address;
  words[record + table.BACKEND_PORT] = backend.port;
  words[record + table.BACKEND_WEIGHT] = backend.weight;
  words[record + table.BACKEND_SERVICE] = service.id;
  words[record + table.BACKEND_CONNECTION_LIMIT] = backend.connectionLimit ?? 0;
  words[record + table.BACKEND_FLAGS] =
    backend.endsConnections === true ? table.BACKEND_ENDS_CONNECTIONS : 0;
  const endpoints = base + table.ENDPOINT_LOOKUP;
  const { address, port } = backend;
  insert(words, endpoints, table.ENDPOINT_LOOKUP_SLOTS, address, port, service.protocol, 1);
}

/** Puts a key into a lookup; one that is there already (a server of two services) stays. */
function insert(
  words: Int32Array,
  section: number,
  slots: number,
  address: number,
  port: number,
  protocol: number,
  value: number,
): void {
  const key = table.portAndProtocol(port, protocol);
  let slot = table.firstSlot(address, key, slots);
  for (;;) {
    const entry = section + slot * table.LOOKUP_WORDS;
    if (words[entry + 2] === 0) {
      words[entry] = address;
      words[entry + 1] = key;
      words[entry + 2] = value;
      return;
    }
    if (words[entry] === (address | 0) && words[entry + 1] === key) return;
    slot = (slot + 1) & (slots - 1);
  }
}

function writeInterfaceAddress(
  words: Int32Array,
  base: number,
  { interfaceNumber, address, prefixLength }: InterfaceAddressInput,
): void {
  const record = base + table.INTERFACE_ADDRESSES + interfaceNumber * table.INTERFACE_WORDS;
  const n = words[record]++;
  words[record + 2 + n * 2] = address;
  words[record + 3 + n * 2] = prefixLength;
}

/** Kind, interface and prefix length of every own address. */
type OwnAddress = readonly [kind: number, interfaceNumber: number, prefixLength: number];

/** Every address that is ours, once: as an interface's address when it is one. */
function ownAddressesOf(input: ConfigurationInput): Map<number, OwnAddress> {
  const own = new Map<number, OwnAddress>();
  for (const { address } of input.services) {
    own.set(address | 0, [table.OWN_SERVICE_ADDRESS, -1, 32]);
  }
  for (const { address, interfaceNumber } of input.ownAddresses ?? []) {
    // A service's address stays one that is answered for everywhere.
    if (own.has(address | 0)) continue;
    own.set(address | 0, [table.OWN_SERVICE_ADDRESS, interfaceNumber, 32]);
  }
  for (const { address, interfaceNumber, prefixLength } of input.interfaceAddresses) {
    own.set(address | 0, [table.OWN_INTERFACE_ADDRESS, interfaceNumber, prefixLength]);
  }
  return own;
}

function writeOwnAddresses(words: Int32Array, base: number, input: ConfigurationInput): number {
  const own = ownAddressesOf(input);
  const ofControlHost = new Set((input.controlAddresses ?? []).map((address) => address | 0));
  for (const [address, [kind, interfaceNumber, prefixLength]] of own) {
    let slot = table.firstSlot(address, 0, table.OWN_LOOKUP_SLOTS);
    let entry = base + table.OWN_LOOKUP + slot * table.LOOKUP_WORDS;
    while (words[entry + 1] !== 0) {
      slot = (slot + 1) & (table.OWN_LOOKUP_SLOTS - 1);
      entry = base + table.OWN_LOOKUP + slot * table.LOOKUP_WORDS;
    }
    words[entry] = address;
    words[entry + 1] = kind;
    words[entry + 2] = interfaceNumber;
    words[entry + 3] = prefixLength | (ofControlHost.has(address) ? table.OWN_OF_CONTROL_HOST : 0);
  }
  return own.size;
}
