// The packet filter alone: nanoseconds per packet of established UDP connections met at random, through
// the real packet engine, filter and tables of one switching processor, on an interface made of memory
// that neither receives nor sends anything. The cost of making the packets is measured by itself in the
// same run and taken off.
//   node dist/bench/micro/filter.js [connections …]

import '../../src/switching/inlining.ts';
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
import * as ethernet from '../../src/wire/ethernet.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as udp from '../../src/wire/udp.ts';

const CLIENT_NETWORK = ipv4.parseAddress('10.64.0.0') | 0;
const GATEWAY = ipv4.parseAddress('10.1.0.254');
const SERVICE = ipv4.parseAddress('10.1.0.100');
const SWITCH_OUTSIDE = ipv4.parseAddress('10.1.0.1');
const SWITCH_INSIDE = ipv4.parseAddress('10.2.0.1');
const BACKEND = ipv4.parseAddress('10.2.0.11');
const SERVICE_PORT = 53;
const FRAME_LENGTH = 60;
const MAC_LOW = [0x0a000001, 0x0a000002];
const BURST = 64;
/** Clients' ports: the rest of the connection's number goes into the address. */
const PORTS = 32768;
const ROUNDS = 9;
const PACKETS_PER_ROUND = 2_000_000;

/** Makes packets of connections chosen by a linear congruential generator; swallows what is sent. */
class TreadmillQueue implements InterfaceQueue {
  readonly truncatedCount = 0;
  readonly fileDescriptor = -1;
  private readonly view: DataView;
  private readonly pool: FramePool;
  private readonly sent = new Int32Array(4096);
  private sentCount = 0;
  private state = 12345;
  /** Connections to draw from; a power of two. 0: no packets. */
  connections = 0;
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
      this.next = (number + 1) & (this.connections - 1);
      return number;
    }
    this.state = (Math.imul(this.state, 1103515245) + 12345) | 0;
    return (this.state >>> 7) & (this.connections - 1);
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
    ipv4.setHeaderChecksum(view, network, ipv4.computeHeaderChecksum(view, network));
    const transport = network + ipv4.HEADER_SIZE;
    udp.setSourcePort(view, transport, 1024 + (connection % PORTS));
    udp.setDestinationPort(view, transport, SERVICE_PORT);
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

function prepare(connections: number) {
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
        scheduler: 0,
        timeouts,
        selection: Int32Array.from([0, 1, 2, 3]),
        backends: [0, 1, 2, 3].map((id) => ({ id, address: BACKEND + id, port: 53, weight: 1 })),
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
  for (let id = 0; id < 4; id++) {
    const { neighbors } = processor;
    neighbors.setPermanent(neighbors.findOrCreate(1, BACKEND + id, 1000), 0x0200, 77 + id, 1000);
  }
  return { processor, outside: queues[0], pool: processor.pool, pages: file.hugePages };
}

/** CPU time of this process, so that others on the machine count less. */
function cpuNanoseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

function nanoseconds(packets: number, start: number): number {
  return (cpuNanoseconds() - start) / packets;
}

/** Cost of the treadmill alone: takes, writes and gives back frames. */
function measureMaking(queue: TreadmillQueue, pool: FramePool): number {
  const offsets = new Int32Array(BURST);
  const lengths = new Int32Array(BURST);
  const start = cpuNanoseconds();
  for (let done = 0; done < PACKETS_PER_ROUND; done += BURST) {
    queue.receiveBurst(offsets, lengths, BURST);
    for (let i = 0; i < BURST; i++) queue.transmit(offsets[i]);
    queue.reclaim();
  }
  void pool;
  return nanoseconds(PACKETS_PER_ROUND, start);
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** One size: inserts all connections, then measures hits at random. */
function measure(connections: number) {
  const { processor, outside, pool } = prepare(connections);
  let now = 1000;
  outside.connections = connections;
  outside.next = 0;
  const start = cpuNanoseconds();
  for (let done = 0; done < connections; done += BURST) processor.turn(now);
  const insert = nanoseconds(connections, start);
  outside.next = -1;
  const making: number[] = [];
  const whole: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    making.push(measureMaking(outside, pool));
    const began = cpuNanoseconds();
    for (let done = 0; done < PACKETS_PER_ROUND; done += BURST) processor.turn(now);
    whole.push(nanoseconds(PACKETS_PER_ROUND, began));
    now += 10;
  }
  const net = whole.map((value, i) => value - making[i]);
  return { insert, best: Math.min(...net), net: median(net), making: median(making) };
}

const sizes = process.argv.slice(2).map(Number);
process.stdout.write(
  'packet filter, one processor, UDP, 60-byte frames, ns per packet of CPU time\n',
);
process.stdout.write('connections   known: best of 9   median   making packets   first packet\n');
for (const connections of sizes.length > 0 ? sizes : [1024, 65536, 1048576]) {
  const { insert, best, net, making } = measure(connections);
  const column = (value: number, width: number): string => value.toFixed(1).padStart(width);
  process.stdout.write(
    `${String(connections).padStart(11)}   ${column(best, 16)}   ${column(net, 6)}   ` +
      `${column(making, 14)}   ${column(insert, 12)}\n`,
  );
}
