// From the validated configuration to what the tables hold: services with their stable ids and
// selection tables, addresses that are ours. Routes: compile-routes.ts. Pure; what it returns is written into the standby
// buffers by the publisher. The costly part (Maglev tables, smooth orders) happens here, in the control
// processor, so that switching processors only index (B3, B4).

import * as table from '../tables/configuration-table.ts';
import type {
  ConfigurationInput,
  ControlPairInput,
  InterfaceAddressInput,
  OwnAddressInput,
  ServiceInput,
  SourceNatIds,
} from '../tables/configuration-writer.ts';
import {
  TIMEOUT_CLOSE,
  TIMEOUT_CLOSE_WAIT,
  TIMEOUT_ESTABLISHED,
  TIMEOUT_FIN_WAIT,
  TIMEOUT_LAST_ACK,
  TIMEOUT_PERSISTENCE,
  TIMEOUT_SYN_RECEIVED,
  TIMEOUT_SYN_SENT,
  TIMEOUT_TIME_WAIT,
  TIMEOUT_UDP,
} from '../tables/connection-states.ts';
import { prefixMask } from '../tables/routing-builder.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP, parseAddress } from '../wire/ipv4.ts';
import { answeredForSources, compileForwarding } from './compile-forwarding.ts';
import { connectedRoutes, interfaceTowards } from './compile-routes.ts';
import { compileRules } from './compile-rules.ts';
import { poolSizes } from './config/pools.ts';
import type { Configuration, ServiceConfiguration } from './config/schema.ts';
import type { Timeouts } from './config/schema-timeouts.ts';
import { type SchedulerName, SelectionTables } from './selection-tables.ts';

/** Numbers of services and backends, by name; a backend's name is 'service/backend'. */
export interface Ids {
  readonly services: ReadonlyMap<string, number>;
  readonly backends: ReadonlyMap<string, number>;
  /** Of connections with a translated source, if there are any. */
  readonly sourceNat?: SourceNatIds | undefined;
}

/** What the master has decided about one backend (B3). */
export interface BackendDecision {
  /** For the configuration table: only its ratio to those of the others counts; 0 takes no connection. */
  readonly weight: number;
  /** Its connections are to be ended: its drain is over, or it is down and they are not to wait. */
  readonly endsConnections: boolean;
  /** What the server itself asks for, beside what is configured. */
  readonly connectionLimit?: number;
}

/** Decisions by the backend's name, 'service/backend'; who is not in it has the configured weight. */
export type Decisions = ReadonlyMap<string, BackendDecision>;

const NO_DECISIONS: Decisions = new Map();

const SCHEDULERS: Readonly<Record<SchedulerName, number>> = {
  'round-robin': table.SCHEDULER_ROUND_ROBIN,
  'weighted-round-robin': table.SCHEDULER_WEIGHTED_ROUND_ROBIN,
  'least-connections': table.SCHEDULER_LEAST_CONNECTIONS,
  'weighted-least-connections': table.SCHEDULER_WEIGHTED_LEAST_CONNECTIONS,
  'shortest-expected-delay': table.SCHEDULER_SHORTEST_EXPECTED_DELAY,
  'never-queue': table.SCHEDULER_NEVER_QUEUE,
  'source-hash': table.SCHEDULER_SOURCE_HASH,
  maglev: table.SCHEDULER_MAGLEV,
  'power-of-two': table.SCHEDULER_POWER_OF_TWO,
  random: table.SCHEDULER_RANDOM,
};

/** The name under which a backend has its number. */
export function backendKey(service: string, backend: string): string {
  return `${service}/${backend}`;
}

/** Protocol number of a service. */
export function protocolNumber(service: ServiceConfiguration): number {
  return service.protocol === 'tcp' ? PROTOCOL_TCP : PROTOCOL_UDP;
}

/**
 * Everything the configuration table holds.
 * @param tables keeps selection tables that have not changed; without it all are made anew
 */
export function compileConfiguration(
  configuration: Configuration,
  ids: Ids,
  decisions: Decisions = NO_DECISIONS,
  tables: SelectionTables = new SelectionTables(),
): ConfigurationInput {
  tables.begin(configuration.services.flatMap(poolSizes));
  const services = configuration.services.map((service) =>
    compileService(service, ids, decisions, tables),
  );
  tables.end();
  return {
    services,
    interfaceAddresses: interfaceAddresses(configuration),
    ownAddresses: [
      ...answeredForControl(configuration),
      ...answeredForSources(configuration),
      ...applicationAddresses(configuration),
    ],
    controlAddresses: controlAddresses(configuration),
    controlPairs: controlPairs(configuration),
    forwarding: compileForwarding(configuration),
    sourceNatIds: ids.sourceNat,
    icmpErrorsPerSecond: configuration['rate-limits']['icmp-errors'],
    resetsPerSecond: configuration['rate-limits'].resets,
    echoRepliesPerSecond: configuration['rate-limits']['echo-replies'],
    defaultTimeouts: timeoutWords(configuration.timeouts),
  };
}

function compileService(
  service: ServiceConfiguration,
  ids: Ids,
  decisions: Decisions,
  tables: SelectionTables,
): ServiceInput {
  const { name, scheduler, persistence } = service;
  const backends = service.backends.map((backend) => {
    const key = backendKey(name, backend.name);
    const decision = decisions.get(key);
    return {
      name: backend.name,
      id: ids.backends.get(key) as number,
      address: parseAddress(backend.address),
      port: backend.port,
      weight: decision?.weight ?? backend.weight,
      connectionLimit: lowestLimit(backend['connection-limit'], decision?.connectionLimit),
      endsConnections: decision?.endsConnections ?? false,
    };
  });
  const timeouts = timeoutWords(service.timeouts);
  if (persistence !== undefined) timeouts[TIMEOUT_PERSISTENCE] = persistence.timeout * 1000;
  return {
    id: ids.services.get(name) as number,
    address: parseAddress(service.address),
    port: service.port,
    protocol: protocolNumber(service),
    forwarding: service.forwarding === 'dsr' ? table.FORWARDING_DSR : table.FORWARDING_NAT,
    scheduler: SCHEDULERS[scheduler],
    timeouts,
    selection: tables.table(name, scheduler, backends),
    backends,
    persistenceMask: persistence === undefined ? 0 : prefixMask(persistence.mask),
    connectionLimit: service['connection-limit'] ?? 0,
    adoptsConnections: service['on-down'] === 'rebalance',
    ...compileRules(service, backends, tables),
  };
}

/** The lower of two limits of which either may be missing; 0: none. */
function lowestLimit(one: number | undefined, other: number | undefined): number {
  if (one === undefined || other === undefined) return one ?? other ?? 0;
  return Math.min(one, other);
}

function timeoutWords(timeouts: Timeouts): Int32Array {
  const words = new Int32Array(table.TIMEOUT_WORDS);
  words[TIMEOUT_SYN_SENT] = timeouts['syn-sent'] * 1000;
  words[TIMEOUT_SYN_RECEIVED] = timeouts['syn-received'] * 1000;
  words[TIMEOUT_ESTABLISHED] = timeouts.established * 1000;
  words[TIMEOUT_FIN_WAIT] = timeouts['fin-wait'] * 1000;
  words[TIMEOUT_TIME_WAIT] = timeouts['time-wait'] * 1000;
  words[TIMEOUT_CLOSE] = timeouts.close * 1000;
  words[TIMEOUT_CLOSE_WAIT] = timeouts['close-wait'] * 1000;
  words[TIMEOUT_LAST_ACK] = timeouts['last-ack'] * 1000;
  words[TIMEOUT_UDP] = timeouts.udp * 1000;
  return words;
}

function splitPrefix(cidr: string): { address: number; length: number } {
  const [address, length] = cidr.split('/');
  return { address: parseAddress(address), length: Number(length) };
}

function interfaceAddresses(configuration: Configuration): InterfaceAddressInput[] {
  return configuration.interfaces.flatMap(({ addresses }, interfaceNumber) =>
    addresses.map((cidr) => {
      const { address, length } = splitPrefix(cidr);
      return { interfaceNumber, address, prefixLength: length };
    }),
  );
}

/** Of the control host's device, or the virtual ones by which an interface of the kernel's is known. */
function controlAddresses({ control, controlPairs }: Configuration): number[] {
  const ofDevice = (control?.addresses ?? []).map((cidr) => splitPrefix(cidr).address);
  return [...ofDevice, ...controlPairs.map(({ virtual }) => parseAddress(virtual))];
}

function controlPairs(configuration: Configuration): ControlPairInput[] {
  const connected = connectedRoutes(configuration);
  return configuration.controlPairs.map((pair) => {
    const real = parseAddress(pair.real);
    const interfaceNumber = interfaceTowards(connected, real);
    return { virtual: parseAddress(pair.virtual), real, interfaceNumber };
  });
}

/** The control host's addresses are answered for on their network, or everywhere where they have none. */
function answeredForControl(configuration: Configuration): OwnAddressInput[] {
  const connected = connectedRoutes(configuration);
  return controlAddresses(configuration).map((address) => ({
    address,
    interfaceNumber: interfaceTowards(connected, address),
  }));
}

/** Addresses of network applications are answered for on every interface, as those of services. */
function applicationAddresses({ applications }: Configuration): OwnAddressInput[] {
  const addresses = applications.flatMap((application) => application.addresses);
  return addresses.map((text) => ({ address: parseAddress(text), interfaceNumber: -1 }));
}
