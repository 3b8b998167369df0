// Reads from main memory how weir is: its processes, interfaces, packets by verdict and reason,
// connections, services and neighbors. Only reads, while everybody else goes on, so that numbers that
// belong together may be a packet apart. Nothing is kept between two calls.

import type { ControlPlan } from '../base/process-plan.ts';
import {
  COUNTER_CONNECTIONS_INSERTED,
  COUNTER_CONNECTIONS_TAKEN,
  COUNTER_ENDED,
  COUNTER_EVICTED,
  COUNTER_EXPIRED,
  COUNTER_HALF_OPEN,
  type CountersReading,
  readCounters,
  sumCounter,
} from '../memory/counters.ts';
import * as layout from '../memory/layout.ts';
import { REASONS, VERDICTS } from '../memory/reasons.ts';
import type { MainMemory } from '../memory/region.ts';
import { INTERFACE_KINDS, INTERFACE_MODES } from '../netif/contract.ts';
import { BACKEND_ACTIVE, readBackend, sumBackend } from '../tables/connection-backends.ts';
import { NEIGHBOR_STATES } from '../tables/neighbor-entry.ts';
import { NeighborTable, NOT_FOUND } from '../tables/neighbor-table.ts';
import { formatMac } from '../wire/ethernet.ts';
import { formatAddress } from '../wire/ipv4.ts';
import type { ApplicationView } from './application-view.ts';
import { busyPollingStatus } from './busy-polling-status.ts';
import type { Claims } from './claims.ts';
import { backendKey, type Ids } from './compile-configuration.ts';
import type { Configuration, ServiceConfiguration } from './config/schema.ts';
import { controlHostStatus } from './control-host-status.ts';
import { controlInterfaceStatus } from './control-interface-status.ts';
import type {
  BackendStatus,
  ConnectionsStatus,
  ForwardingStatus,
  InterfaceStatus,
  NeighborStatus,
  ProcessesStatus,
  ServiceStatus,
  Status,
  SwitchingStatus,
  TotalsStatus,
} from './status-shape.ts';

export type { Status } from './status-shape.ts';

/** Names of STATE_*. */
const STATES = ['dead', 'starting', 'running', 'stopped'] as const;

export interface StatusSources {
  readonly memory: MainMemory;
  readonly plan: Pick<ControlPlan, 'configurationFile' | 'interfaceNames'>;
  readonly version: string;
  /** What runs; undefined before the first publication. */
  readonly configuration: Configuration | undefined;
  readonly ids: Ids;
  /** Numbers of backends that are configured no longer. */
  readonly formerBackends: readonly number[];
  readonly applications: readonly ApplicationView[];
  /** What is weir's on shared interfaces, where there are any. */
  readonly claims?: Pick<Claims, 'status' | 'interfaceStatus'> | undefined;
  /** Of the configuration, and of the configuration table, which is flipped by distributions too. */
  readonly generation: number;
  readonly flips: number;
  readonly routing: Status['routing'];
  /** Now, as in main memory (base/clock.ts), and as Date.now(). */
  readonly monotonicMs: number;
  readonly wallClockMs: number;
}

/** Everything there is to know, ready to be JSON. */
export function buildStatus(sources: StatusSources): Status {
  const { memory, configuration, generation, flips, wallClockMs } = sources;
  const startedAt = memory.header(layout.HEADER_STARTED_AT);
  const appliedAt = memory.header(layout.HEADER_APPLIED_AT);
  const services = configuration?.services.map((service) => serviceStatus(service, sources)) ?? [];
  const forwarding = forwardingStatus(sources);
  const totals = readCounters(memory);
  const neighbors = neighborsStatus(memory, sources.plan.interfaceNames);
  return {
    state: isReady(memory, flips) ? 'ready' : 'starting',
    version: sources.version,
    startedAt: isoTime(startedAt),
    uptimeSeconds: Math.max(0, Math.round(wallClockMs / 1000 - startedAt)),
    configuration: {
      generation,
      flips,
      appliedAt: appliedAt === 0 ? null : isoTime(appliedAt),
      file: sources.plan.configurationFile,
      reloadsRefused: memory.header(layout.HEADER_RELOADS_REFUSED),
    },
    routing: sources.routing,
    forwarding,
    processes: processesStatus(sources),
    interfaces: sources.plan.interfaceNames.map((name, i) =>
      interfaceStatus(sources, name, i, totals),
    ),
    claims: sources.claims?.status() ?? null,
    applications: sources.applications.map(({ name, state, totals }) => ({
      name,
      state,
      packets: totals.packets,
    })),
    controlHost:
      configuration?.control === undefined
        ? null
        : controlHostStatus(memory, configuration.control, sources.monotonicMs),
    controlInterface: controlInterfaceStatus(configuration, totals, neighbors),
    totals: totalsStatus(totals),
    connections: connectionsStatus(sources, services, forwarding),
    services,
    neighbors,
  };
}

/** Outwards is from the "server" of their records, who is the host behind us. */
function forwardingStatus({ memory, configuration, ids }: StatusSources): ForwardingStatus {
  const pairs = configuration?.forwarding.length ?? 0;
  if (ids.sourceNat === undefined) return { pairs, sourceNat: null };
  const reading = readBackend(memory, ids.sourceNat.backend);
  return {
    pairs,
    sourceNat: {
      connectionsActive: reading.active,
      connectionsTotal: reading.connections,
      packetsOut: reading.packetsOut,
      bytesOut: reading.bytesOut,
      packetsIn: reading.packetsIn,
      bytesIn: reading.bytesIn,
    },
  };
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function processorReader(memory: MainMemory, processor: number): (word: number) => number {
  return (word) => Atomics.load(memory.words, memory.processorWord(processor, word));
}

/** A processor that sleeps takes over the newest generation before it does anything else. */
function isReady(memory: MainMemory, generation: number): boolean {
  if (generation === 0) return false;
  const routing = memory.header(layout.HEADER_ROUTING_GENERATION);
  for (let processor = 0; processor < memory.layout.processors; processor++) {
    const read = processorReader(memory, processor);
    if (read(layout.PROCESSOR_STATE) !== layout.STATE_RUNNING) return false;
    if (read(layout.PROCESSOR_SLEEPING) !== 0) continue;
    if (read(layout.PROCESSOR_CONFIGURATION_GENERATION) !== generation) return false;
    if (read(layout.PROCESSOR_ROUTING_GENERATION) !== routing) return false;
  }
  return true;
}

function isAlive(pid: number): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function processesStatus({ memory, monotonicMs }: StatusSources): ProcessesStatus {
  const supervisor = memory.header(layout.HEADER_SUPERVISOR_PID);
  return {
    supervisor: { pid: supervisor, alive: isAlive(supervisor) },
    control: {
      pid: memory.header(layout.HEADER_CONTROL_PID),
      restarts: memory.header(layout.HEADER_CONTROL_RESTARTS),
    },
    switching: Array.from({ length: memory.layout.processors }, (_, processor) =>
      switchingStatus(memory, processor, monotonicMs),
    ),
  };
}

function switchingStatus(memory: MainMemory, processor: number, now: number): SwitchingStatus {
  const read = processorReader(memory, processor);
  const state = read(layout.PROCESSOR_STATE);
  const cpu = read(layout.PROCESSOR_CPU);
  const { single, verdicts } = readCounters(memory, processor);
  const { received, waiting } = single;
  const { forwarded, dropped, punted, consumed } = verdicts;
  const isRunning = state === layout.STATE_RUNNING;
  return {
    processor,
    pid: read(layout.PROCESSOR_PID),
    state: STATES[state] ?? 'dead',
    restarts: read(layout.PROCESSOR_RESTARTS),
    cpu: cpu < 0 ? null : cpu,
    heartbeatAgeMs: (now - read(layout.PROCESSOR_HEARTBEAT)) | 0,
    runningSinceMs: isRunning ? (now - read(layout.PROCESSOR_RUNNING_SINCE)) | 0 : null,
    sleeping: read(layout.PROCESSOR_SLEEPING) !== 0,
    received,
    forwarded,
    dropped,
    punted,
    consumed,
    waiting,
    handedOver: single.handedOver,
    takenOver: single.takenOver,
    turns: single.turns,
    idleTurns: single.idleTurns,
    sleeps: single.sleeps,
    framesReclaimed: single.framesReclaimed,
    balance: received - (forwarded + dropped + punted + consumed + waiting),
  };
}

function interfaceStatus(
  { memory, claims, configuration }: StatusSources,
  name: string,
  interfaceNumber: number,
  { interfaces }: CountersReading,
): InterfaceStatus {
  const read = (word: number): number => memory.words[memory.interfaceWord(interfaceNumber, word)];
  const queues = Math.min(read(layout.INTERFACE_QUEUES), layout.MAX_QUEUES);
  const isShared = configuration?.interfaces[interfaceNumber]?.mode === 'shared';
  return {
    name,
    kind: INTERFACE_KINDS[read(layout.INTERFACE_KIND)] ?? 'unknown',
    mode: INTERFACE_MODES[read(layout.INTERFACE_MODE)] ?? 'unknown',
    shared: (isShared && claims?.interfaceStatus(interfaceNumber)) || null,
    busyPolling: busyPollingStatus(memory, interfaceNumber),
    up: read(layout.INTERFACE_LINK_UP) !== 0,
    mac: formatMac(read(layout.INTERFACE_MAC_HIGH), read(layout.INTERFACE_MAC_LOW)),
    mtu: read(layout.INTERFACE_MTU),
    queues: Array.from({ length: queues }, (_, queue) => ({
      queue,
      processor: read(layout.INTERFACE_QUEUE_PROCESSOR + queue),
    })),
    ...interfaces[interfaceNumber],
  };
}

function totalsStatus({ single, verdicts, reasons }: CountersReading): TotalsStatus {
  const occurred: TotalsStatus['reasons'] = Object.fromEntries(
    REASONS.filter(([name]) => reasons[name] !== 0).map(([name, verdict, meaning]) => [
      name,
      { count: reasons[name], verdict: VERDICTS[verdict], meaning },
    ]),
  );
  return { received: single.received, verdicts, reasons: occurred };
}

function connectionsStatus(
  { memory, formerBackends }: StatusSources,
  services: readonly ServiceStatus[],
  { sourceNat }: ForwardingStatus,
): ConnectionsStatus {
  const former = formerBackends.reduce(
    (sum, backend) => sum + sumBackend(memory, backend, BACKEND_ACTIVE),
    0,
  );
  const others = former + (sourceNat?.connectionsActive ?? 0);
  return {
    capacity: memory.layout.connections,
    live: services.reduce((sum, service) => sum + service.connectionsActive, others),
    taken: sumCounter(memory, COUNTER_CONNECTIONS_TAKEN),
    halfOpen: sumCounter(memory, COUNTER_HALF_OPEN),
    inserted: sumCounter(memory, COUNTER_CONNECTIONS_INSERTED),
    expired: sumCounter(memory, COUNTER_EXPIRED),
    evicted: sumCounter(memory, COUNTER_EVICTED),
    ended: sumCounter(memory, COUNTER_ENDED),
  };
}

function serviceStatus(service: ServiceConfiguration, sources: StatusSources): ServiceStatus {
  const { memory, ids } = sources;
  const readings = service.backends.map((backend) => {
    const id = ids.backends.get(backendKey(service.name, backend.name)) as number;
    return { backend, reading: readBackend(memory, id) };
  });
  const connectionsTotal = readings.reduce((sum, { reading }) => sum + reading.connections, 0);
  const backends = readings.map(
    ({ backend, reading }): BackendStatus => ({
      name: backend.name,
      address: backend.address,
      port: backend.port,
      weight: backend.weight,
      connectionsActive: reading.active,
      connectionsOpen: reading.open,
      connectionsTotal: reading.connections,
      packetsIn: reading.packetsIn,
      bytesIn: reading.bytesIn,
      packetsOut: reading.packetsOut,
      bytesOut: reading.bytesOut,
      connectionsAnswered: reading.answered,
      connectionsRefused: reading.refused,
      resets: reading.resets,
      answerTimeMs: reading.answers === 0 ? null : reading.answerTimeMs / reading.answers,
      share: connectionsTotal === 0 ? 0 : reading.connections / connectionsTotal,
    }),
  );
  const { name, address, port, protocol, scheduler, forwarding } = service;
  const connectionsActive = readings.reduce((sum, { reading }) => sum + reading.active, 0);
  const head = { name, address, port, protocol, scheduler, forwarding };
  return { ...head, connectionsActive, connectionsTotal, backends };
}

function neighborsStatus(memory: MainMemory, interfaceNames: readonly string[]): NeighborStatus[] {
  const table = new NeighborTable(memory.words, memory.layout.neighborTable >> 2);
  const neighbors: NeighborStatus[] = [];
  for (let index = 0; index < layout.MAX_NEIGHBORS; index++) {
    const interfaceNumber = table.interfaceNumber(index);
    if (interfaceNumber === NOT_FOUND) continue;
    neighbors.push({
      interface: interfaceNames[interfaceNumber] ?? String(interfaceNumber),
      address: formatAddress(table.address(index)),
      mac: table.readMac(index) === 1 ? formatMac(table.macHigh, table.macLow) : null,
      state: NEIGHBOR_STATES[table.state(index)] ?? 'none',
    });
  }
  const order = (each: NeighborStatus): string => `${each.interface} ${each.address}`;
  return neighbors.sort((a, b) => order(a).localeCompare(order(b), 'en', { numeric: true }));
}
