// N switching processors' choosers of backends over one main memory, and connections that are held open
// by plain counting: for the tests of schedulers, which need neither packets nor interfaces.

import { mix } from '../../src/base/hash.ts';
import { Prng } from '../../src/base/prng.ts';
import { maglevTable, maglevTableSize } from '../../src/distribution/maglev.ts';
import { weightedRoundRobinTable } from '../../src/distribution/weighted-round-robin.ts';
import { type MainMemory, plainMainMemory } from '../../src/memory/region.ts';
import { BackendRoom } from '../../src/switching/backend-room.ts';
import { BackendChooser } from '../../src/switching/choose-backend.ts';
import * as table from '../../src/tables/configuration-table.ts';
import {
  type ConfigurationInput,
  type ServiceInput,
  writeConfigurationTable,
} from '../../src/tables/configuration-writer.ts';
import {
  BACKEND_OPEN,
  backendCounters,
  backendCountersBase,
} from '../../src/tables/connection-backends.ts';

export const SERVICE = 7;
const ORDER_MAX = 4096;

/** The selection table that control makes for a scheduler: positions in `weights`. */
export function selectionFor(
  scheduler: number,
  weights: readonly number[],
  names: readonly string[] = weights.map((_, i) => `b${i}`),
): Int32Array {
  if (scheduler === table.SCHEDULER_MAGLEV || scheduler === table.SCHEDULER_SOURCE_HASH) {
    const backends = weights.map((weight, i) => ({ id: names[i], weight }));
    return maglevTable(backends, maglevTableSize(weights.length));
  }
  const isEven =
    scheduler === table.SCHEDULER_ROUND_ROBIN || scheduler === table.SCHEDULER_LEAST_CONNECTIONS;
  const shares = isEven ? weights.map((weight) => Math.sign(weight)) : weights;
  return weightedRoundRobinTable(shares, Math.max(ORDER_MAX, weights.length));
}

/** A service at 10.1.0.100:80/tcp with backends 0, 1, 2 … of these weights. */
export function serviceWith(
  scheduler: number,
  weights: readonly number[],
  more: Partial<ServiceInput> = {},
): ServiceInput {
  return {
    id: SERVICE,
    address: 0x0a010064,
    port: 80,
    protocol: 6,
    forwarding: table.FORWARDING_NAT,
    scheduler,
    timeouts: new Int32Array(16).fill(1000),
    selection: selectionFor(scheduler, weights),
    backends: weights.map((weight, id) => ({ id, address: 0x0a020000 + id, port: 80, weight })),
    ...more,
  };
}

export class Choosers {
  readonly memory: MainMemory;
  readonly configuration: number;
  readonly choosers: BackendChooser[] = [];
  readonly rooms: BackendRoom[] = [];

  constructor(processors: number, service: ServiceInput, seed = 1) {
    this.memory = plainMainMemory({ connections: 1024, frames: 256, processors });
    this.configuration = this.memory.layout.configurationTable >> 2;
    this.write(service);
    for (let p = 0; p < processors; p++) {
      const room = new BackendRoom(this.memory);
      this.rooms.push(room);
      const random = new Prng(mix(seed, p + 1));
      this.choosers.push(new BackendChooser(this.memory, p, room, random));
    }
  }

  /** Another description of the service, as after a reload. */
  write(service: ServiceInput): void {
    const input: ConfigurationInput = {
      services: [service],
      interfaceAddresses: [],
      defaultTimeouts: service.timeouts,
      resetsPerSecond: 0,
      echoRepliesPerSecond: 0,
    };
    writeConfigurationTable(this.memory.words, this.configuration, input);
  }

  /** What processor `p` chooses for a client's connection out of all of the service's backends. */
  choose(p: number, source = 1, ports = 1, attempt = 0): number {
    this.choosers[p].usePool(this.configuration, SERVICE, table.NOT_FOUND);
    return this.choosers[p].choose(source, ports, attempt);
  }

  /** Processor `p` opens connections to a backend, or closes them. */
  open(p: number, backend: number, count = 1): void {
    const counters = backendCounters(backendCountersBase(this.memory, p), backend);
    this.memory.doubles[counters + BACKEND_OPEN] += count;
  }
}

/** The largest deviation of counts from their shares, as a part of all that was counted. */
export function deviationOf(counts: readonly number[], weights: readonly number[]): number {
  const all = counts.reduce((a, b) => a + b, 0);
  const sum = weights.reduce((a, b) => a + b, 0);
  return Math.max(...counts.map((count, i) => Math.abs(count / all - weights[i] / sum)));
}
