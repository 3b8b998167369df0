// A whole switch in one process, for tests: switching processors on plain memory, interfaces whose far
// ends are the test, a clock that only moves when told, and configurations published by the control
// processor's own publisher. Nothing runs by itself: every turn is taken by hand.
//
//   client 10.1.0.10 ── ext (0) 10.1.0.1   SWITCH   10.2.0.1 (1) int ── b1 10.2.0.11, b2 10.2.0.12 …
//
// `settle` lets everything come to rest and holds the switch to its two invariants: every packet is
// counted under one reason, and every frame has exactly one owner that knows of it.

import { expect } from 'vitest';
import { type OriginRoute, routeKey } from '../../src/control/compile-routes.ts';
import { parseConfiguration } from '../../src/control/config/parse.ts';
import type { Configuration } from '../../src/control/config/schema.ts';
import { Publisher } from '../../src/control/publisher.ts';
import { readCounters, reasonCounter } from '../../src/memory/counters.ts';
import { OWNER_FREE, OWNER_INTERFACE, OWNER_PROCESSOR } from '../../src/memory/frame-pool.ts';
import {
  HEADER_INTERFACES,
  INTERFACE_LINK_UP,
  INTERFACE_MAC_HIGH,
  INTERFACE_MAC_LOW,
  INTERFACE_MTU,
  INTERFACE_QUEUE_PROCESSOR,
  INTERFACE_QUEUES,
} from '../../src/memory/layout.ts';
import { REASONS } from '../../src/memory/reasons.ts';
import { type MainMemory, plainMainMemory } from '../../src/memory/region.ts';
import { LoopbackLane, LoopbackQueue } from '../../src/netif/loopback.ts';
import { PacketStorageQueue } from '../../src/netif/packet-storage-queue.ts';
import { type ProcessorQueue, SwitchingProcessor } from '../../src/switching/processor.ts';
import { CONTINUE } from '../../src/switching/reasons.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import { parseAddress } from '../../src/wire/ipv4.ts';
import { atHost, describeHost, HOST, HostEnd } from './host-end.ts';
import { PacketBuilder } from './packet-builder.ts';
import { expectSameFields } from './packet-fields.ts';

export const EXT = 0;
export const INT = 1;
export const VIP = '10.1.0.100';
export const CLIENT = '10.1.0.10';
export const B1 = '10.2.0.11';
export const B2 = '10.2.0.12';
/** MAC addresses are made from the IPv4 address, as in the lab. */
export function macOf(address: string): string {
  const bytes = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return ['02', '00', ...bytes].join(':');
}
export const EXT_MAC = macOf('10.1.0.1');
export const INT_MAC = macOf('10.2.0.1');

/** Rounds of turns within which everything that is under way must have come to rest. */
const SETTLE_ROUNDS = 8;
const ANNOUNCE_STEPS = 70;

export interface BenchOptions {
  /** For each interface (ext, int) the processor of each queue. Default [[0], [0]]. */
  readonly queues?: readonly (readonly number[])[];
  readonly connections?: number;
  readonly frames?: number;
  /** Frames that a wire holds. Default 256. */
  readonly wire?: number;
  readonly startMs?: number;
  /** Merged over the default configuration, key by key of the top. */
  readonly configuration?: Record<string, unknown>;
  /** Hosts whose MAC addresses are known. Default: the client, B1 and B2. */
  readonly known?: readonly string[];
}

/** A frame that left the switch, and where. */
export interface Sent {
  readonly egress: number;
  readonly bytes: Uint8Array;
}

/** What became of one packet. */
export interface Outcome {
  /** Names of the reasons counted; 'waiting' for each packet more that is held. */
  readonly reasons: string[];
  readonly sent: Sent[];
}

const BACKENDS = [
  { name: 'b1', address: B1, port: 8080 },
  { name: 'b2', address: B2, port: 8080 },
];

/** A service of the default configuration, changed. */
export function service(name: string, rest: Record<string, unknown> = {}): object {
  return { name, address: VIP, protocol: 'tcp', port: 80, backends: BACKENDS, ...rest };
}

export const DEFAULT_SERVICES = [
  service('web'),
  service('dns', { protocol: 'udp', port: 53, backends: [{ ...BACKENDS[0], port: 5353 }] }),
  service('direct', { port: 81, forwarding: 'dsr', backends: [{ ...BACKENDS[0], port: 81 }] }),
  service('empty', { port: 82, backends: [{ ...BACKENDS[0], weight: 0 }] }),
  service('empty-udp', { protocol: 'udp', port: 82, backends: [{ ...BACKENDS[0], weight: 0 }] }),
];

function configurationText(changes: Record<string, unknown>, processors: number): string {
  return JSON.stringify({
    interfaces: [
      { name: 'ext0', addresses: ['10.1.0.1/24'] },
      { name: 'int0', addresses: ['10.2.0.1/24'] },
    ],
    processors: { switching: processors },
    'rate-limits': { resets: 1000, 'echo-replies': 1000 },
    services: DEFAULT_SERVICES,
    ...changes,
  });
}

export class SwitchBench {
  readonly memory: MainMemory;
  readonly processors: SwitchingProcessor[] = [];
  /** By interface, then by queue. */
  readonly queues: LoopbackQueue[][] = [];
  /** By processor. */
  readonly hosts: HostEnd[] = [];
  readonly woken: number[] = [];
  now: number;
  private readonly publisher: Publisher;
  private configuration: Configuration | undefined;
  private readonly lanes: { incoming: LoopbackLane; outgoing: LoopbackLane }[] = [];
  private readonly wiring: readonly (readonly number[])[];

  private constructor(options: BenchOptions) {
    this.wiring = options.queues ?? [[0], [0]];
    const processors = Math.max(...this.wiring.flat()) + 1;
    const { connections = 1024, frames = 256, startMs = 1_000_000 } = options;
    this.now = startMs;
    this.memory = plainMainMemory({ connections, frames, processors });
    this.publisher = new Publisher(this.memory);
    this.describeInterfaces();
    for (let i = 0; i < this.wiring.flat().length; i++) {
      const wire = options.wire ?? 256;
      this.lanes.push({ incoming: new LoopbackLane(wire), outgoing: new LoopbackLane(wire) });
    }
    for (let p = 0; p < processors; p++) this.hosts.push(new HostEnd(this.memory, p));
    for (let p = 0; p < processors; p++) this.processors.push(this.makeProcessor(p));
  }

  /** A switch that runs, has announced itself, and knows its neighbors. */
  static async create(options: BenchOptions = {}): Promise<SwitchBench> {
    const bench = new SwitchBench(options);
    await bench.publish(options.configuration ?? {});
    for (const address of options.known ?? [CLIENT, B1, B2]) bench.know(address);
    bench.announce();
    return bench;
  }

  /** A switch to which nothing has been published yet. */
  static unconfigured(options: BenchOptions = {}): SwitchBench {
    return new SwitchBench(options);
  }

  private describeInterfaces(): void {
    const { memory, wiring } = this;
    memory.setHeader(HEADER_INTERFACES, wiring.length);
    describeHost(memory);
    for (const [i, mac] of [EXT_MAC, INT_MAC].entries()) {
      this.setInterface(i, INTERFACE_MAC_HIGH, ethernet.parseMacHigh(mac));
      this.setInterface(i, INTERFACE_MAC_LOW, ethernet.parseMacLow(mac));
      this.setInterface(i, INTERFACE_MTU, 1500);
      this.setInterface(i, INTERFACE_LINK_UP, 1);
      this.setInterface(i, INTERFACE_QUEUES, wiring[i].length);
      for (const [queue, owner] of wiring[i].entries()) {
        this.setInterface(i, INTERFACE_QUEUE_PROCESSOR + queue, owner);
      }
    }
  }

  /** As after a kill: a new process takes over the processor's place. */
  restart(processor: number): void {
    this.processors[processor] = this.makeProcessor(processor);
  }

  private makeProcessor(processor: number): SwitchingProcessor {
    const own: ProcessorQueue[] = [];
    let socket = 0;
    for (const [i, owners] of this.wiring.entries()) {
      this.queues[i] ??= [];
      for (const [queue, owner] of owners.entries()) {
        const socketNumber = socket++;
        if (owner !== processor) continue;
        const { incoming, outgoing } = this.lanes[socketNumber];
        own.push({
          interfaceNumber: i,
          socketNumber,
          open: (pool) => {
            const end = new LoopbackQueue(this.memory, pool, socketNumber, incoming, outgoing);
            this.queues[i][queue] = end;
            return end;
          },
        });
      }
    }
    own.push({
      interfaceNumber: HOST,
      socketNumber: 0xffff,
      open: (pool) => new PacketStorageQueue(this.memory, pool, processor, -1),
    });
    const wake = (other: number) => this.woken.push(other);
    return new SwitchingProcessor(this.memory, processor, own, wake, this.now);
  }

  /** Changes a word (INTERFACE_*) of an interface. */
  setInterface(interfaceNumber: number, word: number, value: number): void {
    this.memory.words[this.memory.interfaceWord(interfaceNumber, word)] = value;
  }

  /** Publishes the default configuration with these changes, as control does. */
  async publish(changes: Record<string, unknown>): Promise<void> {
    await this.publishWithoutTurn(changes);
    this.turn();
  }

  /** The same, but nobody notices yet. */
  async publishWithoutTurn(changes: Record<string, unknown>): Promise<void> {
    const text = configurationText(changes, this.processors.length);
    const { configuration, faults } = parseConfiguration(text, 'bench.yaml');
    if (configuration === undefined) throw new Error(JSON.stringify(faults));
    await this.publisher.publish(configuration, text);
    this.configuration = configuration;
  }

  /** Publishes these routes of the kernel beside those of the configuration, as the routing daemon does. */
  async followRoutes(...routes: OriginRoute[]): Promise<void> {
    const byPrefix = routes.map((each) => [routeKey(each.prefix, each.length), each] as const);
    this.publisher.useKernelRoutes(new Map(byPrefix));
    await this.publisher.publishRoutes(this.configuration!);
    this.turn();
  }

  /** Publishes that the connections of these backends ('service/backend') are to be ended. */
  async endConnections(...names: string[]): Promise<void> {
    const decision = { weight: 0, endsConnections: true };
    const decisions = new Map(names.map((name) => [name, decision]));
    await this.publisher.publishDecisions(this.configuration!, decisions);
    this.turn();
  }

  /** Makes a host's MAC address known for good. */
  know(address: string): void {
    const neighbors = this.processors[0].neighbors;
    const mac = macOf(address);
    const on = address.startsWith('10.2.') ? INT : EXT;
    const index = neighbors.findOrCreate(on, parseAddress(address), this.now);
    neighbors.setPermanent(index, ethernet.parseMacHigh(mac), ethernet.parseMacLow(mac), this.now);
  }

  /** Lets both rounds of announcements pass, and throws them away. */
  private announce(): void {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < ANNOUNCE_STEPS; i++) {
        this.advance(1);
        this.collect();
      }
      this.advance(2000);
    }
    this.settle();
  }

  /** One turn of every processor, in order. */
  turn(): void {
    for (const processor of this.processors) processor.turn(this.now);
  }

  /** Moves the clock on, then takes one turn. */
  advance(ms: number): void {
    this.now = (this.now + ms) | 0;
    this.turn();
  }

  /** Puts a frame on the wire to the switch. */
  inject(frame: Uint8Array | PacketBuilder, ingress: number, queue = 0): void {
    const bytes = frame instanceof PacketBuilder ? frame.bytes() : frame;
    const end = ingress === HOST ? this.hosts[queue] : this.queues[ingress][queue];
    if (!end.inject(bytes)) throw new Error('the wire is full');
  }

  /** Everything that has left, interface by interface. */
  collect(): Sent[] {
    const toNetworks = this.queues.flatMap((queues, egress) =>
      queues.flatMap((queue) => queue.collect().map((bytes) => ({ egress, bytes }))),
    );
    return toNetworks.concat(this.hosts.flatMap((host) => host.collect()).map(atHost));
  }

  /** Turns until nothing moves any more; then checks the invariants. @returns what left. */
  settle(): Sent[] {
    const sent: Sent[] = [];
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      this.turn();
      sent.push(...this.collect());
    }
    this.expectBalance();
    return sent;
  }

  /** Sends one frame through the switch and says what became of it. */
  pass(frame: Uint8Array | PacketBuilder, ingress = EXT, queue = 0): Outcome {
    const before = readCounters(this.memory);
    this.inject(frame, ingress, queue);
    const sent = this.settle();
    const after = readCounters(this.memory);
    const reasons = Object.keys(after.reasons).flatMap((name) =>
      new Array<string>(after.reasons[name] - before.reasons[name]).fill(name),
    );
    const more = after.single.waiting - before.single.waiting;
    return { reasons: [...reasons, ...new Array<string>(Math.max(more, 0)).fill('waiting')], sent };
  }

  /** Has every packet take the long way through the filter (`PacketFilter.process`). */
  goTheLongWay(): void {
    for (const processor of this.processors) processor.filter.known.forward = () => CONTINUE;
  }

  /** A number that tells two switches apart whose counts of reasons differ. */
  reasonsSum(): number {
    const { doubles } = this.memory;
    let sum = 0;
    for (let p = 0; p < this.processors.length; p++) {
      const first = reasonCounter(this.memory, p, 0);
      for (let i = 0; i < REASONS.length; i++) sum += doubles[first + i] * (i + 1);
    }
    return sum;
  }

  /** Count under one reason, over all processors. */
  count(reason: string): number {
    return readCounters(this.memory).reasons[reason];
  }

  /** Both invariants, exactly: nothing may be under way. */
  expectBalance(): void {
    for (let p = 0; p < this.processors.length; p++) {
      const { single, verdicts } = readCounters(this.memory, p);
      const { forwarded, dropped, punted, consumed } = verdicts;
      const decided = forwarded + dropped + punted + consumed + single.waiting;
      expect(decided, `packets of processor ${p} decided or waiting`).toBe(single.received);
    }
    expect(this.frameCounts(), 'frames by owner').toEqual(this.knownFrames());
  }

  /** Frames by what their owner words say. */
  private frameCounts(): Record<string, number> {
    const counts = { free: 0, interfaces: 0, lanes: 0, processors: 0, misplaced: 0 };
    const { words, layout } = this.memory;
    for (let frame = 0; frame < layout.frames; frame++) {
      const kind = words[(layout.frameOwners >> 2) + frame] & ~0xffff;
      if (kind === OWNER_FREE) counts.free++;
      else if (kind === OWNER_INTERFACE) counts.interfaces++;
      else if (kind === OWNER_PROCESSOR) counts.processors++;
      else counts.lanes++;
    }
    for (const { pool } of this.processors) counts.misplaced += pool.misplaced;
    return counts;
  }

  /** Frames by who knows of them. */
  private knownFrames(): Record<string, number> {
    let free = 0;
    const processors = readCounters(this.memory).single.waiting;
    for (const { pool } of this.processors) free += pool.freeCount;
    const interfaces = this.lanes.reduce(
      (sum, { outgoing }) => sum + outgoing.offered - outgoing.reclaimed,
      0,
    );
    return { free, interfaces, lanes: 0, processors, misplaced: 0 };
  }
}

/** A row of a table of packets: what is sent to the switch, and what must become of it. */
export interface Row {
  readonly name: string;
  readonly given?: (bench: SwitchBench) => unknown;
  readonly packetIn: PacketBuilder | Uint8Array;
  readonly ingress?: number;
  readonly reason: string;
  /** What leaves, in order of the interfaces; nothing when left out. */
  readonly packetOut?: readonly { egress: number; frame: PacketBuilder | Uint8Array }[];
}

/** Plays a row on a bench; a failure says which fields differ. */
export async function play(bench: SwitchBench, row: Row): Promise<void> {
  await row.given?.(bench);
  bench.settle();
  const { reasons, sent } = bench.pass(row.packetIn, row.ingress ?? EXT);
  expect(reasons).toEqual([row.reason]);
  const wanted = row.packetOut ?? [];
  for (const [i, { egress, frame }] of wanted.entries()) {
    if (sent[i] === undefined) break;
    expect(sent[i].egress, `interface of frame ${i}`).toBe(egress);
    expectSameFields(sent[i].bytes, frame instanceof PacketBuilder ? frame.bytes() : frame);
  }
  expect(sent.length, 'frames that left').toBe(wanted.length);
}
