// A switching processor (44 in Fig. 2): everything it is made of, and its turn. In production one runs
// in a process of its own (main.ts); in unit tests and simulations several are stepped by hand on plain
// memory with loopback interfaces and a clock of the test's. One turn, in this order:
//   tables        shows its epoch, notices a new configuration or routing table
//   bursts        the packet engine polls every queue (Fig. 5)
//   lanes         sends what other processors handed over, takes back frames that come home
//   housekeeping  a bounded piece: waiting packets, expiry, announcements
//   flush         publishes everything that was sent: at most one system call per queue
// Invariant: a turn is bounded, allocates nothing, and nothing read under an old generation is used
// after the new one has been shown.

import { COUNTER_FRAMES_RECLAIMED, COUNTER_SLEEPS, Counters } from '../memory/counters.ts';
import { configurationBuffer, type DoubleBuffer, routingBuffer } from '../memory/double-buffer.ts';
import { FramePool, type SocketFrames } from '../memory/frame-pool.ts';
import {
  INTERFACE_MAC_HIGH,
  INTERFACE_MAC_LOW,
  INTERFACE_QUEUE_PROCESSOR,
  INTERFACE_QUEUES,
  MAX_INTERFACES,
  MAX_QUEUES,
  PROCESSOR_HEARTBEAT,
  PROCESSOR_RUNNING_SINCE,
  PROCESSOR_SLEEPING,
  PROCESSOR_STATE,
  STATE_RUNNING,
  STATE_STARTING,
  STATE_STOPPED,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import type { InterfaceQueue } from '../netif/contract.ts';
import { PacketStorageQueue } from '../netif/packet-storage-queue.ts';
import { addressesHash } from '../tables/configuration-table.ts';
import { wantRecount } from '../tables/connection-recount.ts';
import { ConnectionSweep, PATIENT } from '../tables/connection-sweep.ts';
import { ConnectionTable } from '../tables/connection-table.ts';
import { NeighborTable } from '../tables/neighbor-table.ts';
import { Announcer } from './announcer.ts';
import { Applications } from './applications.ts';
import { ArpStage } from './arp-stage.ts';
import { EndConnections } from './end-connections.ts';
import { FloodGuard } from './flood-guard.ts';
import { HopCache } from './hop-cache.ts';
import { KnownPackets } from './known-packets.ts';
import { PacketContext } from './packet-context.ts';
import { PacketEngine } from './packet-engine.ts';
import { PacketFilter } from './packet-filter.ts';
import { type OwnQueue, Transmitter, type Waker } from './transmitter.ts';
import { WaitingPackets } from './waiting-packets.ts';
import { WayOut } from './way-out.ts';

/** Most connection records looked at by one piece of housekeeping: about 50 microseconds. */
const SWEEP_BUDGET_MAX = 4096;
/** During a flood of SYNs: a client whose handshake is not complete has repeated itself by then. */
const IMPATIENT_MS = 5000;
/** How long after start the frames that the kernel seemed to hold are taken back. */
const CONFIRM_SUSPECTS_AFTER_MS = 2500;

/** A queue as the processor is given it. */
export interface ProcessorQueue {
  readonly interfaceNumber: number;
  readonly socketNumber: number;
  /** Opens the queue on the processor's frame pool. */
  open(pool: FramePool): InterfaceQueue & Recoverable;
}

/** What recovery asks a queue. */
interface Recoverable {
  framesInRings?(marks: Uint8Array): void;
  /** Whether a driver may have frames of it, for however long, that stand in none of its rings. */
  readonly mayHoldFramesUnseen?: boolean;
}

export class SwitchingProcessor {
  readonly context: PacketContext;
  readonly pool: FramePool;
  readonly counters: Counters;
  readonly connections: ConnectionTable;
  readonly neighbors: NeighborTable;
  private readonly sweep: ConnectionSweep;
  private readonly endings: EndConnections;
  private readonly guard: FloodGuard;
  private readonly memory: MainMemory;
  private readonly processor: number;
  private readonly configurationTable: DoubleBuffer;
  private readonly routingTable: DoubleBuffer;
  private readonly transmitter: Transmitter;
  private readonly waiting: WaitingPackets;
  private readonly wayOut: WayOut;
  readonly filter: PacketFilter;
  readonly applications: Applications;
  private readonly engine: PacketEngine;
  private readonly announcer: Announcer;
  /** Where the control host's packets come from, if there is a control host. */
  private storage: PacketStorageQueue | null = null;
  private readonly sockets: { socket: number; queue: Recoverable }[] = [];
  private readonly macHighOf = new Int32Array(MAX_INTERFACES);
  private readonly macLowOf = new Int32Array(MAX_INTERFACES);
  private configuration = 0;
  private configurationGeneration = 0;
  private routingGeneration = 0;
  private housekeepingAt = 0;
  private confirmSuspectsAt = 0;
  private areSuspectsPending = true;

  constructor(
    memory: MainMemory,
    processor: number,
    queues: readonly ProcessorQueue[],
    wake: Waker,
    nowMs: number,
  ) {
    const { layout } = memory;
    this.memory = memory;
    this.processor = processor;
    this.setWord(PROCESSOR_STATE, STATE_STARTING);
    this.configurationTable = configurationBuffer(memory);
    this.routingTable = routingBuffer(memory);
    this.context = new PacketContext();
    this.counters = new Counters(memory, processor);
    this.pool = new FramePool(memory, processor);
    const own = this.openQueues(queues);
    const reclaimed = this.pool.recover(this.socketFrames());
    this.counters.add(COUNTER_FRAMES_RECLAIMED, reclaimed);
    this.confirmSuspectsAt = (nowMs + CONFIRM_SUSPECTS_AFTER_MS) | 0;
    this.housekeepingAt = nowMs;

    this.readMacAddresses();
    const { pool, counters, macHighOf, macLowOf } = this;
    this.connections = new ConnectionTable(memory, processor);
    const ranSince = memory.words[memory.processorWord(processor, PROCESSOR_RUNNING_SINCE)];
    if (ranSince !== 0) wantRecount(memory);
    this.sweep = new ConnectionSweep(memory, processor, this.connections);
    this.guard = new FloodGuard(layout.connections);
    this.neighbors = new NeighborTable(memory.words, layout.neighborTable >> 2);
    const { neighbors } = this;
    const owners = this.queueOwners();
    this.transmitter = new Transmitter(memory, processor, pool, counters, own, owners, wake);
    const { transmitter } = this;
    const arp = new ArpStage(memory, pool, neighbors, transmitter, macHighOf, macLowOf);
    this.waiting = new WaitingPackets(
      memory,
      pool,
      counters,
      neighbors,
      transmitter,
      arp,
      macHighOf,
      macLowOf,
    );
    this.wayOut = new WayOut(
      memory,
      neighbors,
      transmitter,
      this.waiting,
      arp,
      macHighOf,
      macLowOf,
    );
    const { context, connections } = this;
    const { wayOut } = this;
    const hops = new HopCache(memory, neighbors, wayOut, context, macHighOf, macLowOf);
    const known = new KnownPackets({
      memory,
      connections,
      hops,
      transmitter,
      macHighOf,
      macLowOf,
    });
    this.endings = new EndConnections({ memory, connections, counters, pool, wayOut });
    const parts = { memory, processor, pool, counters, transmitter, wayOut, macHighOf, macLowOf };
    this.applications = new Applications(parts);
    this.filter = new PacketFilter({
      memory,
      processor,
      context,
      connections,
      guard: this.guard,
      counters,
      pool,
      known,
      transmitter,
      wayOut,
      arp,
      macHighOf,
      macLowOf,
    });
    this.engine = new PacketEngine(own, this.filter, counters, this.applications);
    this.announcer = new Announcer(memory, arp, this.announcedInterfaces());
    this.engine.start();
    this.setWord(PROCESSOR_RUNNING_SINCE, nowMs);
    this.setWord(PROCESSOR_HEARTBEAT, nowMs);
    this.setWord(PROCESSOR_SLEEPING, 0);
    this.setWord(PROCESSOR_STATE, STATE_RUNNING);
  }

  /** One turn. @returns how much it did; 0: nothing to do. @hot */
  turn(nowMs: number): number {
    this.memory.words[this.memory.processorWord(this.processor, PROCESSOR_HEARTBEAT)] = nowMs;
    this.connections.enterTurn();
    this.observeTables(nowMs);
    let work = 0;
    if (this.configurationGeneration !== 0) {
      work = this.engine.pollAll(nowMs);
      work = (work + this.transmitter.takeHandedOver()) | 0;
      work = (work + this.waiting.decide(this.configuration, nowMs)) | 0;
    }
    this.pool.collectReturned();
    if (((nowMs - this.housekeepingAt) | 0) >= 1) this.keepHouse(nowMs);
    this.transmitter.flush();
    this.pool.publishReturns();
    this.counters.turn(work);
    return work;
  }

  /**
   * Before sleeping: shows that it holds nothing of any table, then looks whether a frame came over a
   * lane meanwhile (whoever hands one over looks at the sleeping mark after publishing).
   * @returns whether it may sleep. @hot
   */
  prepareToSleep(): boolean {
    Atomics.store(
      this.memory.words,
      this.memory.processorWord(this.processor, PROCESSOR_SLEEPING),
      1,
    );
    this.connections.leave();
    if (this.transmitter.hasHandedOver() || this.hasHostLeftSomething()) {
      this.woke();
      return false;
    }
    this.counters.add(COUNTER_SLEEPS, 1);
    return true;
  }

  /** @hot */
  private hasHostLeftSomething(): boolean {
    const { storage } = this;
    return storage === null ? false : storage.hasArrived();
  }

  /** After sleeping, before anything else. @hot */
  woke(): void {
    Atomics.store(
      this.memory.words,
      this.memory.processorWord(this.processor, PROCESSOR_SLEEPING),
      0,
    );
    this.configurationGeneration = 0;
  }

  /** Frames that wait for a neighbor or for room to be sent: while there are some, sleep is short. */
  heldCount(): number {
    return (this.waiting.size + this.transmitter.unsentCount()) | 0;
  }

  /** Shows that it will not touch main memory any more. */
  stop(): void {
    this.connections.leave();
    this.setWord(PROCESSOR_STATE, STATE_STOPPED);
  }

  /** Notices new tables; once per turn. @hot */
  private observeTables(nowMs: number): void {
    const configuration = this.configurationTable.generation();
    const routing = this.routingTable.generation();
    if (configuration === this.configurationGeneration && routing === this.routingGeneration) {
      return;
    }
    this.enterTables(nowMs);
  }

  private enterTables(nowMs: number): void {
    const routing = this.routingTable.enter(this.processor);
    const configuration = this.configurationTable.enter(this.processor);
    // Awake again, it mostly finds what it left: a generation is the same tables for good.
    if (routing !== this.usedRouting || configuration !== this.usedConfiguration) {
      this.useTables(configuration, routing, nowMs);
    }
    this.routingGeneration = routing;
    this.configurationGeneration = configuration;
  }

  private useTables(configuration: number, routing: number, nowMs: number): void {
    this.usedConfiguration = configuration;
    this.usedRouting = routing;
    this.configuration = this.configurationTable.activeOffset(configuration) >> 2;
    this.wayOut.useTables(this.configuration, this.routingTable.activeOffset(routing) >> 2);
    this.sweep.useConfiguration(this.configuration);
    this.applications.useTables(this.configuration);
    this.filter.useTables(this.configuration, routing, nowMs);
    const addresses = addressesHash(this.memory.words, this.configuration);
    if (this.hasAnnounced && addresses === this.announcedAddresses) return;
    this.hasAnnounced = true;
    this.announcedAddresses = addresses;
    this.announcer.begin(nowMs);
  }

  /** Generations that were put to use last. */
  private usedConfiguration = 0;
  private usedRouting = 0;
  /** Which addresses were announced (`addressesHash`). */
  private announcedAddresses = 0;
  private hasAnnounced = false;

  /** A bounded piece of everything that is not urgent. @hot */
  private keepHouse(nowMs: number): void {
    const elapsedMs = (nowMs - this.housekeepingAt) | 0;
    this.housekeepingAt = nowMs;
    if (this.readMacAddresses() && this.configurationGeneration !== 0) this.announcer.begin(nowMs);
    if (this.configurationGeneration !== 0) {
      const budget = this.sweep.budgetFor(elapsedMs);
      this.guard.observe(this.sweep.halfOpenCount());
      this.sweep.setHandshakePatience(this.guard.isGuarding ? IMPATIENT_MS : PATIENT);
      this.sweep.sweep(nowMs, budget < SWEEP_BUDGET_MAX ? budget : SWEEP_BUDGET_MAX);
      this.endings.end(this.sweep.endings, this.sweep.endingCount, nowMs);
      this.announcer.step(this.configuration, nowMs);
      this.applications.keepHouse(nowMs);
    }
    if (this.areSuspectsPending && ((nowMs - this.confirmSuspectsAt) | 0) >= 0) {
      this.areSuspectsPending = false;
      this.reclaimSuspects();
    }
  }

  /** Our MAC addresses, which may be changed while we run. @returns whether one was. @hot */
  private readMacAddresses(): boolean {
    const { memory, macHighOf, macLowOf } = this;
    let isChanged = false;
    for (let i = 0; i < MAX_INTERFACES; i++) {
      const high = memory.words[memory.interfaceWord(i, INTERFACE_MAC_HIGH)];
      const low = memory.words[memory.interfaceWord(i, INTERFACE_MAC_LOW)];
      if (high === macHighOf[i] && low === macLowOf[i]) continue;
      macHighOf[i] = high;
      macLowOf[i] = low;
      isChanged = true;
    }
    return isChanged;
  }

  /** What a driver may hold unseen is never taken back: it could still be received into. */
  private reclaimSuspects(): void {
    const visible = this.sockets.filter(({ queue }) => queue.mayHoldFramesUnseen !== true);
    const reclaimed = this.pool.confirmSuspects(this.socketFrames(visible));
    this.counters.add(COUNTER_FRAMES_RECLAIMED, reclaimed);
  }

  private openQueues(queues: readonly ProcessorQueue[]): OwnQueue[] {
    return queues.map(({ interfaceNumber, socketNumber, open }) => {
      const queue = open(this.pool);
      if (queue instanceof PacketStorageQueue) this.storage = queue;
      this.sockets.push({ socket: socketNumber, queue });
      return { interfaceNumber, queue };
    });
  }

  private socketFrames(sockets = this.sockets): SocketFrames[] {
    return sockets.map(({ socket, queue }) => {
      const inRings = new Uint8Array(this.memory.layout.frames);
      queue.framesInRings?.(inRings);
      return { socket, inRings };
    });
  }

  /** For each interface the processor to hand frames to: spread over its queues' owners. */
  private queueOwners(): Int32Array {
    const { memory } = this;
    return Int32Array.from({ length: MAX_INTERFACES }, (_, i) => {
      const queues = memory.words[memory.interfaceWord(i, INTERFACE_QUEUES)];
      if (queues < 1 || queues > MAX_QUEUES) return -1;
      const queue = this.processor % queues;
      return memory.words[memory.interfaceWord(i, INTERFACE_QUEUE_PROCESSOR + queue)];
    });
  }

  private announcedInterfaces(): Int32Array {
    const { memory } = this;
    const mine: number[] = [];
    for (let i = 0; i < MAX_INTERFACES; i++) {
      const queues = memory.words[memory.interfaceWord(i, INTERFACE_QUEUES)];
      const first = memory.words[memory.interfaceWord(i, INTERFACE_QUEUE_PROCESSOR)];
      if (queues > 0 && first === this.processor) mine.push(i);
    }
    return Int32Array.from(mine);
  }

  private setWord(word: number, value: number): void {
    Atomics.store(this.memory.words, this.memory.processorWord(this.processor, word), value);
  }
}
