// The packet filter alone: nanoseconds of CPU time per packet through the real packet engine, filter and
// tables of one switching processor, on an interface made of memory that neither receives nor sends
// anything. For each number of connections in the table:
//   known        UDP packets of established connections met at random
//   no service   UDP packets from the same clients to a port of ours where there is no service: looked
//                for in the connection table, refused, discarded ('invalid-service')
//   new          the first packets of all the connections, into an empty table
// The cost of making the packets is measured by itself in the same round and taken off. The same in C is
// bench/c-twin/filter.c; what is measured here and there must stay the same.
//   node dist/filter-benchmark.js [--json] [--rounds N] [--packets N] [--scheduler N] [--backends N]
//                                 [--application idle|pass] [connections …]
// By default four backends in round robin (SCHEDULER_* in src/tables/configuration-layout.ts are numbers);
// the others are for comparing what new connections cost, and what a network application does that wants
// none of the packets (idle), or sees all of them and lets them pass.

import { parseArgs } from 'node:util';
import '../../src/switching/inlining.ts';
import {
  COUNTER_CONNECTIONS_TAKEN,
  countersBase,
  readCounters,
} from '../../src/memory/counters.ts';
import type { FramePool } from '../../src/memory/frame-pool.ts';
import {
  computeLayout,
  HEADER_CONFIGURATION_GENERATION,
  HEADER_ROUTING_GENERATION,
  INTERFACE_LINK_UP,
  INTERFACE_MAC_LOW,
  INTERFACE_MTU,
  INTERFACE_QUEUE_PROCESSOR,
  INTERFACE_QUEUES,
} from '../../src/memory/layout.ts';
import { formatMainMemory, type MainMemory } from '../../src/memory/region.ts';
import type { InterfaceQueue } from '../../src/netif/contract.ts';
import { SwitchingProcessor } from '../../src/switching/processor.ts';
import { attachMemoryFile, createMemoryFile } from '../../src/sys/main-memory.ts';
import { writeConfigurationTable } from '../../src/tables/configuration-writer.ts';
import { writeRoutingTable } from '../../src/tables/routing-builder.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as udp from '../../src/wire/udp.ts';
import { runApplication } from './bench-application.ts';

const CLIENT_NETWORK = ipv4.parseAddress('10.64.0.0') | 0;
const GATEWAY = ipv4.parseAddress('10.1.0.254');
const SERVICE = ipv4.parseAddress('10.1.0.100');
const SWITCH_OUTSIDE = ipv4.parseAddress('10.1.0.1');
const SWITCH_INSIDE = ipv4.parseAddress('10.2.0.1');
const BACKEND = ipv4.parseAddress('10.2.0.11');
const SERVICE_PORT = 53;
/** Nobody serves here. */
const OTHER_PORT = 54;
/** The 16-bit words of the header that are the same in all packets, added up. */
const REST_OF_HEADER = 0x4500 + 0x002e + 0x4000 + 0x4011 + (SERVICE >>> 16) + (SERVICE & 0xffff);
const FRAME_LENGTH = 60;
const MAC_LOW = [0x0a000001, 0x0a000002];
const BURST = 64;
/** Clients' ports: the rest of the connection's number goes into the address. */
const PORTS = 32768;
const GENERATOR_BITS = 25;
const CONNECTION_SIZE = 128;
const LARGEST_ROUNDS = 99;
/** What the servers' network has room for behind the first. */
const LARGEST_POOL = 240;

/** Makes packets of connections chosen by a linear congruential generator; swallows what is sent. */
class TreadmillQueue implements InterfaceQueue {
  readonly truncatedCount = 0;
  readonly fileDescriptor = -1;
  private readonly view: DataView;
  private readonly pool: FramePool;
  private readonly sent = new Int32Array(4096);
  private sentCount = 0;
  private state = 12345;
  /** Connections to draw from. 0: no packets. */
  connections = 0;
  port = SERVICE_PORT;
  /** When not negative, connections are made in order from here instead. */
  next = -1;

  constructor(memory: MainMemory, pool: FramePool) {
    this.view = memory.view;
    this.pool = pool;
  }

  receiveBurst(offsets: Int32Array, lengths: Int32Array, limit: number): number {
    if (this.connections === 0) return 0;
    for (let i = 0; i < limit; i++) {
      const offset = this.pool.take();
      this.write(offset, this.draw());
      offsets[i] = offset;
      lengths[i] = FRAME_LENGTH;
    }
    return limit;
  }

  private draw(): number {
    if (this.next >= 0) {
      const number = this.next;
      this.next = number + 1 === this.connections ? 0 : number + 1;
      return number;
    }
    this.state = (Math.imul(this.state, 1103515245) + 12345) | 0;
    const random = this.state >>> (32 - GENERATOR_BITS);
    return Math.floor((random * this.connections) / (1 << GENERATOR_BITS));
  }

  /** Writes every byte that the filter reads or has changed. */
  private write(offset: number, connection: number): void {
    const { view } = this;
    ethernet.setDestination(view, offset, 0x0200, MAC_LOW[0]);
    ethernet.setType(view, offset, ethernet.TYPE_IPV4);
    const network = offset + ethernet.HEADER_SIZE;
    const source = CLIENT_NETWORK + Math.floor(connection / PORTS) + 1;
    view.setInt32(network, 0x4500002e);
    view.setInt32(network + 4, 0x00004000);
    view.setInt32(network + 8, 0x40110000);
    ipv4.setSource(view, network, source);
    ipv4.setDestination(view, network, SERVICE);
    const sum = REST_OF_HEADER + (source >>> 16) + (source & 0xffff);
    ipv4.setHeaderChecksum(view, network, checksum.complement(checksum.fold(sum)));
    const transport = network + ipv4.HEADER_SIZE;
    udp.setSourcePort(view, transport, 1024 + (connection % PORTS));
    udp.setDestinationPort(view, transport, this.port);
    udp.setLength(view, transport, 26);
    udp.setChecksum(view, transport, 0);
  }

  transmit(offset: number): number {
    if (this.sentCount === this.sent.length) return 0;
    this.sent[this.sentCount++] = offset;
    return 1;
  }

  flush(): number {
    return 0;
  }

  reclaim(): number {
    const count = this.sentCount;
    for (let i = 0; i < count; i++) this.pool.give(this.sent[i]);
    this.sentCount = 0;
    return count;
  }

  refill(): number {
    return 0;
  }

  close(): void {}
}

/** Who takes the connections; the twin has the default only. */
interface Pool {
  readonly scheduler: number;
  readonly backends: number;
}

function prepare(connections: number, pool: Pool) {
  const ids = Array.from({ length: pool.backends }, (_, id) => id);
  const sizes = {
    connections: Math.max(1024, Math.ceil(connections * 1.1)),
    frames: 8192,
    processors: 1,
  };
  const { totalSize } = computeLayout(sizes);
  const file = createMemoryFile('weir benchmark', totalSize, process.env.PAGES !== 'small');
  const range = attachMemoryFile(file.fd, totalSize);
  const memory = formatMainMemory(range.buffer, sizes);
  const { words } = memory;
  for (const i of [0, 1]) {
    words[memory.interfaceWord(i, INTERFACE_QUEUES)] = 1;
    words[memory.interfaceWord(i, INTERFACE_QUEUE_PROCESSOR)] = 0;
    words[memory.interfaceWord(i, INTERFACE_LINK_UP)] = 1;
    words[memory.interfaceWord(i, INTERFACE_MTU)] = 1500;
    words[memory.interfaceWord(i, INTERFACE_MAC_LOW) - 1] = 0x0200;
    words[memory.interfaceWord(i, INTERFACE_MAC_LOW)] = MAC_LOW[i];
  }
  const timeouts = new Int32Array(16).fill(3_600_000);
  // Generation 1: the second buffers are the active ones.
  const configuration = (memory.layout.configurationTable >> 2) + (8 << 20) / 4;
  const routing = (memory.layout.routingTable >> 2) + (6 << 20) / 4;
  writeConfigurationTable(words, configuration, {
    services: [
      {
        id: 0,
        address: SERVICE,
        port: SERVICE_PORT,
        protocol: ipv4.PROTOCOL_UDP,
        forwarding: 0,
        scheduler: pool.scheduler,
        timeouts,
        selection: Int32Array.from(ids),
        backends: ids.map((id) => ({ id, address: BACKEND + id, port: 53, weight: 1 })),
      },
    ],
    interfaceAddresses: [
      { interfaceNumber: 0, address: SWITCH_OUTSIDE, prefixLength: 24 },
      { interfaceNumber: 1, address: SWITCH_INSIDE, prefixLength: 24 },
    ],
    resetsPerSecond: 0,
    echoRepliesPerSecond: 0,
    defaultTimeouts: timeouts,
  });
  writeRoutingTable(words, routing, [
    { prefix: SWITCH_OUTSIDE & -256, length: 24, interfaceNumber: 0, gateway: 0 },
    { prefix: SWITCH_INSIDE & -256, length: 24, interfaceNumber: 1, gateway: 0 },
    { prefix: 0, length: 0, interfaceNumber: 0, gateway: GATEWAY },
  ]);
  memory.setHeader(HEADER_CONFIGURATION_GENERATION, 1);
  memory.setHeader(HEADER_ROUTING_GENERATION, 1);
  const queues: TreadmillQueue[] = [];
  const open = (pool: FramePool): TreadmillQueue => {
    const queue = new TreadmillQueue(memory, pool);
    queues.push(queue);
    return queue;
  };
  const processor = new SwitchingProcessor(
    memory,
    0,
    [0, 1].map((i) => ({ interfaceNumber: i, socketNumber: i, open })),
    () => {},
    1000,
  );
  for (const id of ids) {
    const { neighbors } = processor;
    neighbors.setPermanent(neighbors.findOrCreate(1, BACKEND + id, 1000), 0x0200, 77 + id, 1000);
  }
  return { memory, processor, outside: queues[0], pages: file.hugePages ? 'huge' : 'small' };
}

type Prepared = ReturnType<typeof prepare>;

/** CPU time of this process, so that others on the machine count less. */
function cpuNanoseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

/** Cost of the treadmill alone, for each packet: takes, writes and gives back frames. */
function measureMaking(queue: TreadmillQueue, packets: number): number {
  const offsets = new Int32Array(BURST);
  const lengths = new Int32Array(BURST);
  const start = cpuNanoseconds();
  for (let done = 0; done < packets; done += BURST) {
    queue.receiveBurst(offsets, lengths, BURST);
    for (let i = 0; i < BURST; i++) queue.transmit(offsets[i]);
    queue.reclaim();
  }
  return (cpuNanoseconds() - start) / packets;
}

/** Packets made, switched and given back: nanoseconds for each. */
function measureTurns(processor: SwitchingProcessor, packets: number, nowMs: number): number {
  const start = cpuNanoseconds();
  for (let done = 0; done < packets; done += BURST) processor.turn(nowMs);
  return (cpuNanoseconds() - start) / packets;
}

/** The connection table as after start; its pages stay. */
function wipe({ memory }: Prepared): void {
  const { connectionBitmap, connectionRecords, connections } = memory.layout;
  const end = connectionRecords + CONNECTION_SIZE * connections;
  memory.words.fill(0, connectionBitmap >> 2, end >> 2);
  memory.doubles[countersBase(memory, 0) + COUNTER_CONNECTIONS_TAKEN] = 0;
}

/** First packets of all connections, again and again until there were enough to measure. */
function measureNew(bench: Prepared, connections: number, packets: number, nowMs: number): number {
  const { outside, processor } = bench;
  const each = connections - (connections % BURST);
  let total = 0;
  let passes = 0;
  for (let done = 0; done < packets || passes === 0; done += each, passes++) {
    wipe(bench);
    outside.next = 0;
    total += measureTurns(processor, each, nowMs);
  }
  // Those that do not fill a burst are needed, not measured.
  if (each !== connections) processor.turn(nowMs);
  outside.next = -1;
  return total / passes;
}

/** One size: each measure once in every round, from the packets made alone to new connections. */
async function measure(
  connections: number,
  rounds: number,
  packets: number,
  pool: Pool,
  application: string,
) {
  const bench = prepare(connections, pool);
  await runApplication(bench.memory, bench.processor, application);
  const { memory, outside, processor } = bench;
  const warmUp = Math.ceil(packets / 4 / BURST) * BURST;
  outside.connections = connections;
  measureNew(bench, connections, warmUp, 1000);
  measureTurns(processor, warmUp, 1000);
  const [making, known, noService, fresh]: number[][] = [[], [], [], []];
  for (let round = 0; round < rounds; round++) {
    const nowMs = 1000 + 10 * round;
    outside.port = SERVICE_PORT;
    const made = measureMaking(outside, packets);
    making.push(made);
    known.push(measureTurns(processor, packets, nowMs) - made);
    outside.port = OTHER_PORT;
    noService.push(measureTurns(processor, packets, nowMs) - made);
    outside.port = SERVICE_PORT;
    fresh.push(measureNew(bench, connections, packets, nowMs) - made);
  }
  const { connectionBitmap, connectionRecords, connections: capacity } = memory.layout;
  const end = connectionRecords + CONNECTION_SIZE * capacity;
  const { reasons, single } = readCounters(memory);
  return {
    connections,
    held: single.connectionsTaken,
    bytesPerConnection: (end - connectionBitmap) / capacity,
    pages: bench.pages,
    making,
    known,
    noService,
    new: fresh,
    reasons: Object.fromEntries(Object.entries(reasons).filter(([, count]) => count > 0)),
  };
}

type Measured = Awaited<ReturnType<typeof measure>>;

/** `best / median`. */
function cell(values: readonly number[], width: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1];
  return `${sorted[0].toFixed(1)} / ${median.toFixed(1)}`.padStart(width);
}

function printRow(row: Measured): void {
  process.stdout.write(
    `${String(row.connections).padStart(11)}   ${cell(row.known, 15)}   ` +
      `${cell(row.noService, 15)}   ${cell(row.new, 15)}   ${cell(row.making, 13)}   ` +
      `${row.bytesPerConnection.toFixed(1).padStart(5)}\n`,
  );
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '9' },
      packets: { type: 'string', default: '2000000' },
      scheduler: { type: 'string', default: '0' },
      backends: { type: 'string', default: '4' },
      application: { type: 'string', default: 'none' },
    },
  });
  const rounds = Math.min(LARGEST_ROUNDS, Math.max(1, Number(values.rounds)));
  const packets = Math.ceil(Number(values.packets) / BURST) * BURST;
  const pool = { scheduler: Number(values.scheduler), backends: Number(values.backends) };
  if (pool.backends > LARGEST_POOL) throw new Error(`at most ${LARGEST_POOL} backends`);
  const sizes = positionals.length > 0 ? positionals.map(Number) : [1024, 65536, 1048576];
  const results: Measured[] = [];
  if (!values.json) {
    process.stdout.write(
      'packet filter, one processor, UDP, 60-byte frames, ns per packet of CPU time, ' +
        `best / median of ${rounds}\n` +
        'connections             known        no service    new connection   ' +
        'making packets   bytes per connection\n',
    );
  }
  for (const size of sizes) {
    const row = await measure(Math.max(BURST, size), rounds, packets, pool, values.application);
    results.push(row);
    if (!values.json) printRow(row);
  }
  const result = { filter: 'weir filter', rounds, packetsPerRound: packets, results };
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

await main();
