// What the switch gives to one application (apps/contract.ts: ApplicationHost): free frames and the way
// out for packets of its own (Fig. 12), services, counters and its table in main memory.
// Invariant: a frame that an application has is marked as its own, so that it can give back or send no
// other, has no more than it may, and loses all of them when it is switched off.

import type { ApplicationHost, Options } from '../apps/contract.ts';
import { UDP_DATA } from '../apps/contract.ts';
import { type ActiveTables, ServiceView } from '../apps/service-view.ts';
import type { ApplicationPlan } from '../base/application-plan.ts';
import {
  type ApplicationShare,
  COUNTER_NAME_MAX,
  SHARE_FRAMES,
  TALLY_SENT,
  tableOffset,
} from '../memory/application-memory.ts';
import type { FramePool } from '../memory/frame-pool.ts';
import { APPLICATION_TABLE_SIZE, FRAME_SIZE, HEADER_HASH_SEED } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import { PacketContext } from './packet-context.ts';
import * as reasons from './reasons.ts';
import { NO_WAY_OUT, type WayOut } from './way-out.ts';

const TIME_TO_LIVE = 64;

/** What hosts are made of; all of one switching processor. */
export interface HostParts {
  readonly memory: MainMemory;
  readonly processor: number;
  readonly pool: FramePool;
  readonly wayOut: WayOut;
  readonly active: ActiveTables;
}

export class Host implements ApplicationHost {
  readonly processor: number;
  readonly processors: number;
  readonly options: Options;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly table: Int32Array;
  readonly seed: number;
  private readonly plan: ApplicationPlan;
  private readonly memory: MainMemory;
  private readonly pool: FramePool;
  private readonly wayOut: WayOut;
  private readonly active: ActiveTables;
  private readonly share: ApplicationShare;
  /** Of packets of its own. */
  private readonly context = new PacketContext();
  /** By frame: 1 while the application has it. */
  private readonly isHeld: Uint8Array;
  private held = 0;
  private isClosed = false;

  constructor(parts: HostParts, plan: ApplicationPlan, share: ApplicationShare) {
    const { memory } = parts;
    this.processor = parts.processor;
    this.processors = memory.layout.processors;
    this.options = plan.options;
    this.view = memory.view;
    this.bytes = memory.bytes;
    const start = tableOffset(memory, plan.slot) >> 2;
    this.table = memory.words.subarray(start, start + APPLICATION_TABLE_SIZE / 4);
    this.seed = memory.header(HEADER_HASH_SEED);
    this.plan = plan;
    this.memory = memory;
    this.pool = parts.pool;
    this.wayOut = parts.wayOut;
    this.active = parts.active;
    this.share = share;
    this.isHeld = new Uint8Array(memory.layout.frames);
    // The runner calls it too: nobody puts other functions in place of these.
    Object.seal(this);
  }

  service(name: string): ServiceView {
    const found = this.plan.services.find((service) => service.name === name);
    if (found === undefined) {
      throw new Error(`service ${name} is not listed under services of ${this.plan.name}`);
    }
    return new ServiceView(name, found.id, found.backends, this.memory.words, this.active);
  }

  counter(name: string): number {
    if (!/^[\x20-\x7e]+$/.test(name) || name.length > COUNTER_NAME_MAX) {
      throw new Error(`a counter's name has 1 to ${COUNTER_NAME_MAX} ASCII characters: ${name}`);
    }
    const counter = this.share.nameCounter(name);
    if (counter < 0) throw new Error(`no room for a counter ${name}: there are 16`);
    return counter;
  }

  /** @hot */
  count(counter: number, amount: number): void {
    this.share.count(counter, amount);
  }

  /** Step 321. @hot */
  take(): number {
    if (!this.mayHold()) return -1;
    const offset = this.pool.take();
    if (offset >= 0) this.hold(offset);
    return offset;
  }

  /** Whether the application may have one more frame. @hot */
  mayHold(): boolean {
    return !this.isClosed && this.held < this.plan.frames;
  }

  /** The frame is the application's now. @hot */
  hold(offset: number): void {
    this.isHeld[this.pool.frameOf(offset)] = 1;
    this.setHeld((this.held + 1) | 0);
  }

  /** @hot */
  private setHeld(count: number): void {
    this.held = count;
    this.share.setWord(SHARE_FRAMES, count);
  }

  /** @hot */
  private has(offset: number): boolean {
    const frame = this.pool.frameOf(offset);
    return frame >= 0 && frame < this.isHeld.length && this.isHeld[frame] !== 0;
  }

  /** Part of step 322. @hot */
  writeUdp(
    offset: number,
    source: number,
    sourcePort: number,
    destination: number,
    destinationPort: number,
    dataLength: number,
  ): number {
    const { view } = this;
    ethernet.setType(view, offset, ethernet.TYPE_IPV4);
    const network = (offset + ethernet.HEADER_SIZE) | 0;
    const length = (udp.HEADER_SIZE + dataLength) | 0;
    const protocol = ipv4.PROTOCOL_UDP;
    ipv4.writeHeader(view, network, source, destination, protocol, TIME_TO_LIVE, length);
    const transport = (network + ipv4.HEADER_SIZE) | 0;
    udp.setSourcePort(view, transport, sourcePort);
    udp.setDestinationPort(view, transport, destinationPort);
    udp.setLength(view, transport, length);
    udp.setChecksum(view, transport, 0);
    const pseudo = checksum.pseudoHeaderSum(source, destination, protocol, length);
    const value = checksum.complement(checksum.sum(view, transport, length, pseudo));
    udp.setChecksum(view, transport, value === 0 ? 0xffff : value);
    return (UDP_DATA + dataLength) | 0;
  }

  /** Steps 323 and 324; 325 and 326 are the interface queue's (netif/contract.ts: reclaim). @hot */
  send(offset: number, length: number, nowMs: number): number {
    if (!this.has(offset)) return 0;
    const { context, view, wayOut } = this;
    const room = (FRAME_SIZE - (offset & (FRAME_SIZE - 1))) | 0;
    if (length < ethernet.HEADER_SIZE || length > room) return 0;
    context.begin(offset, length, -1);
    const network = (offset + ethernet.HEADER_SIZE) | 0;
    const end = (offset + length) | 0;
    if (ipv4.isComplete(view, network, end) !== ipv4.COMPLETE) return 0;
    context.networkOffset = network;
    context.packetEnd = (network + ipv4.totalLength(view, network)) | 0;
    const towards = ipv4.destination(view, network);
    if (wayOut.find(context, towards, nowMs) === NO_WAY_OUT) return 0;
    // 323: the interface has it; 324 comes at the end of the turn, for all frames (transmitter.ts: flush).
    if (wayOut.sendNow(context, nowMs) !== reasons.CONTINUE) return 0;
    this.isHeld[this.pool.frameOf(offset)] = 0;
    this.setHeld((this.held - 1) | 0);
    this.share.add(TALLY_SENT, 1);
    return 1;
  }

  /** Step 326 for a frame that was never sent, 347 for one that was kept. @hot */
  give(offset: number): number {
    if (!this.has(offset)) return 0;
    this.isHeld[this.pool.frameOf(offset)] = 0;
    this.setHeld((this.held - 1) | 0);
    this.pool.give(offset);
    return 1;
  }

  /** Tells again how many frames it has: another one wrote into the same share until now. */
  showFrames(): void {
    this.share.setWord(SHARE_FRAMES, this.held);
  }

  /**
   * Takes back whatever the application has, for good: it is switched off, or another one in its place. It
   * may still be called by a timer or a promise that the application should not have made.
   */
  close(): void {
    this.isClosed = true;
    const { framesStart } = this.memory.layout;
    for (let frame = 0; this.held > 0 && frame < this.isHeld.length; frame++) {
      if (this.isHeld[frame] !== 0) this.give(framesStart + frame * FRAME_SIZE);
    }
  }
}

Object.freeze(Host.prototype);
