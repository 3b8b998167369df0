// From the validated configuration to what the tables hold: services with their stable ids and
// selection tables, addresses that are ours, routes. Pure; what it returns is written into the standby
// buffers by the publisher. The costly part (Maglev tables, smooth orders) happens here, in the control
// processor, so that switching processors only index (B3, B4).

import { maglevTable, maglevTableSize } from '../distribution/maglev.ts';
import { weightedRoundRobinTable } from '../distribution/weighted-round-robin.ts';
import {
  FORWARDING_DSR,
  FORWARDING_NAT,
  SCHEDULER_MAGLEV,
  SCHEDULER_WEIGHTED_ROUND_ROBIN,
  TIMEOUT_WORDS,
} from '../tables/configuration-table.ts';
import type {
  ConfigurationInput,
  InterfaceAddressInput,
  ServiceInput,
} from '../tables/configuration-writer.ts';
import {
  TIMEOUT_CLOSE,
  TIMEOUT_CLOSE_WAIT,
  TIMEOUT_ESTABLISHED,
  TIMEOUT_FIN_WAIT,
  TIMEOUT_LAST_ACK,
  TIMEOUT_SYN_RECEIVED,
  TIMEOUT_SYN_SENT,
  TIMEOUT_TIME_WAIT,
  TIMEOUT_UDP,
} from '../tables/connection-states.ts';
import { prefixMask, type Route } from '../tables/routing-builder.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP, parseAddress } from '../wire/ipv4.ts';
import type { Configuration, ServiceConfiguration } from './config/schema.ts';
import type { Timeouts } from './config/schema-timeouts.ts';

/** Numbers of services and backends, by name; a backend's name is 'service/backend'. */
export interface Ids {
  readonly services: ReadonlyMap<string, number>;
  readonly backends: ReadonlyMap<string, number>;
}

/**
 * Longest smooth order, unless there are more backends than that: shares are exact while the weights'
 * sum, reduced, does not exceed it.
 */
const ROUND_ROBIN_SLOTS_MAX = 4096;

/** The name under which a backend has its number. */
export function backendKey(service: string, backend: string): string {
  return `${service}/${backend}`;
}

/** Protocol number of a service. */
export function protocolNumber(service: ServiceConfiguration): number {
  return service.protocol === 'tcp' ? PROTOCOL_TCP : PROTOCOL_UDP;
}

/** Everything the configuration table holds. */
export function compileConfiguration(configuration: Configuration, ids: Ids): ConfigurationInput {
  return {
    services: configuration.services.map((service) => compileService(service, ids)),
    interfaceAddresses: interfaceAddresses(configuration),
    resetsPerSecond: configuration['rate-limits'].resets,
    echoRepliesPerSecond: configuration['rate-limits']['echo-replies'],
    defaultTimeouts: timeoutWords(configuration.timeouts),
  };
}

function compileService(service: ServiceConfiguration, ids: Ids): ServiceInput {
  const backends = service.backends.map((backend) => ({
    id: ids.backends.get(backendKey(service.name, backend.name)) as number,
    address: parseAddress(backend.address),
    port: backend.port,
    weight: backend.weight,
  }));
  const order =
    service.scheduler === 'maglev'
      ? maglevTable(
          service.backends.map(({ name, weight }) => ({ id: name, weight })),
          maglevTableSize(backends.length),
        )
      : weightedRoundRobinTable(
          backends.map(({ weight }) => weight),
          Math.max(ROUND_ROBIN_SLOTS_MAX, backends.length),
        );
  return {
    id: ids.services.get(service.name) as number,
    address: parseAddress(service.address),
    port: service.port,
    protocol: protocolNumber(service),
    forwarding: service.forwarding === 'dsr' ? FORWARDING_DSR : FORWARDING_NAT,
    scheduler: service.scheduler === 'maglev' ? SCHEDULER_MAGLEV : SCHEDULER_WEIGHTED_ROUND_ROBIN,
    timeouts: timeoutWords(service.timeouts),
    selection: order.map((position) => backends[position].id),
    backends,
  };
}

function timeoutWords(timeouts: Timeouts): Int32Array {
  const words = new Int32Array(TIMEOUT_WORDS);
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

/** Connected networks first, so that a route to the same prefix does not hide one. */
export function compileRoutes(configuration: Configuration): Route[] {
  const connected = configuration.interfaces.flatMap(({ addresses }, interfaceNumber) =>
    addresses.map((cidr) => {
      const { address, length } = splitPrefix(cidr);
      return { prefix: masked(address, length), length, interfaceNumber, gateway: 0 };
    }),
  );
  const routed = configuration.routes.map(({ to, via, interface: name }) => {
    const { address, length } = to === 'default' ? { address: 0, length: 0 } : splitPrefix(to);
    const gateway = via === undefined ? 0 : parseAddress(via);
    const interfaceNumber =
      name === undefined
        ? interfaceTowards(connected, gateway)
        : configuration.interfaces.findIndex((candidate) => candidate.name === name);
    return { prefix: masked(address, length), length, interfaceNumber, gateway };
  });
  return [...connected, ...routed];
}

function masked(address: number, length: number): number {
  return address & prefixMask(length);
}

/** The interface on whose network a gateway stands: of several the longest prefix. */
function interfaceTowards(connected: readonly Route[], gateway: number): number {
  let best = -1;
  let bestLength = -1;
  for (const { prefix, length, interfaceNumber } of connected) {
    if (masked(gateway, length) !== prefix || length <= bestLength) continue;
    best = interfaceNumber;
    bestLength = length;
  }
  return best;
}
