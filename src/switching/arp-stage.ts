// ARP in the data plane (C5, RFC 826): answers who asks for one of our addresses or services, learns
// from answers (and from questions put to us), and asks on behalf of packets that wait. The cache with
// its states is tables/neighbor-table.ts; the frames that wait are in waiting-packets.ts.
// Invariants: a claim to one of our own addresses is never learned and never answered by silence about
// it (it is counted); nothing is learned from a packet that was not for us, unless we asked.

import type { FramePool } from '../memory/frame-pool.ts';
import { CONTROL_INTERFACE } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import type { NeighborTable } from '../tables/neighbor-table.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import type { PacketContext } from './packet-context.ts';
import * as reasons from './reasons.ts';
import { swapMacAddresses } from './reset.ts';
import type { Transmitter } from './transmitter.ts';

// Offsets in the ARP message (RFC 826) that are rewritten to answer in place.
const OPERATION = 6;
const SENDER_MAC = 8;
const SENDER_ADDRESS = 14;
const TARGET_MAC = 18;
const TARGET_ADDRESS = 24;

export class ArpStage {
  private readonly memory: MainMemory;
  private readonly pool: FramePool;
  private readonly neighbors: NeighborTable;
  private readonly transmitter: Transmitter;
  private readonly macHighOf: Int32Array;
  private readonly macLowOf: Int32Array;

  constructor(
    memory: MainMemory,
    pool: FramePool,
    neighbors: NeighborTable,
    transmitter: Transmitter,
    macHighOf: Int32Array,
    macLowOf: Int32Array,
  ) {
    this.memory = memory;
    this.pool = pool;
    this.neighbors = neighbors;
    this.transmitter = transmitter;
    this.macHighOf = macHighOf;
    this.macLowOf = macLowOf;
  }

  /**
   * An ARP packet at `context.networkOffset`. An answer leaves in the frame of the question.
   * @returns a reason. @hot
   */
  process(context: PacketContext, configuration: number, nowMs: number): number {
    const { view, words } = this.memory;
    const message = context.networkOffset;
    if (!arp.isComplete(view, message, (context.offset + context.length) | 0)) {
      return reasons.BAD_ARP;
    }
    context.packetEnd = (message + arp.MESSAGE_SIZE) | 0;
    const operation = arp.operation(view, message);
    const sender = arp.senderAddress(view, message);
    const target = arp.targetAddress(view, message);
    // Other operations mean other things by the same fields (RARP, RFC 903).
    if (operation !== arp.OPERATION_REQUEST && operation !== arp.OPERATION_REPLY) {
      return reasons.ARP_IGNORED;
    }
    if (context.ingress === CONTROL_INTERFACE) {
      return this.processOfHost(context, operation, target, configuration);
    }
    if (table.isOwnAddress(words, configuration, sender) !== 0) return reasons.ARP_IGNORED;
    const isForUs = this.isAnsweredOn(context.ingress, target, configuration);
    const learned = this.learn(context.ingress, message, sender, isForUs, nowMs);
    if (operation === arp.OPERATION_REQUEST && isForUs) return this.answer(context, target);
    if (learned) return reasons.ARP_LEARNED;
    return reasons.ARP_IGNORED;
  }

  /**
   * The control host is told that everybody is here, so that it sends everything to the switch, which
   * routes by IP; but not that its own addresses are, which it may ask for to see whether they are free.
   * @hot
   */
  private processOfHost(
    context: PacketContext,
    operation: number,
    target: number,
    configuration: number,
  ): number {
    const { words } = this.memory;
    const own = table.findOwnAddress(words, configuration, target);
    const isHosts = own !== table.NOT_FOUND && table.isControlAddress(words, own);
    if (operation !== arp.OPERATION_REQUEST || isHosts) return reasons.ARP_IGNORED;
    return this.answer(context, target);
  }

  /**
   * Whether a question for `target` is answered on this interface: addresses of services everywhere,
   * an interface's own address only there. @hot
   */
  private isAnsweredOn(ingress: number, target: number, configuration: number): boolean {
    const { words } = this.memory;
    const entry = table.findOwnAddress(words, configuration, target);
    if (entry === table.NOT_FOUND) return false;
    const on = table.ownAddressInterface(words, entry);
    return on === -1 || on === ingress;
  }

  /** RFC 826's merge: a known sender is refreshed; a new one is kept only if it asks for us. @hot */
  private learn(
    ingress: number,
    message: number,
    sender: number,
    isForUs: boolean,
    nowMs: number,
  ): boolean {
    const { view } = this.memory;
    const high = arp.senderHigh(view, message);
    const low = arp.senderLow(view, message);
    // A sender without an address probes (RFC 5227); a group address is nobody's.
    if (sender === 0 || (high & 0x100) !== 0 || (high | low) === 0) return false;
    const index = isForUs
      ? this.neighbors.findOrCreate(ingress, sender, nowMs)
      : this.neighbors.find(ingress, sender);
    if (index < 0) return false;
    this.neighbors.learn(index, high, low, nowMs);
    return true;
  }

  /** Rewrites the question into its answer and sends it back. @hot */
  private answer(context: PacketContext, target: number): number {
    const { view } = this.memory;
    const message = context.networkOffset;
    const { ingress, offset } = context;
    const high = this.macHighOf[ingress];
    const low = this.macLowOf[ingress];
    const asker = arp.senderAddress(view, message);
    const askerHigh = arp.senderHigh(view, message);
    const askerLow = arp.senderLow(view, message);
    view.setUint16(message + OPERATION, arp.OPERATION_REPLY);
    view.setUint16(message + SENDER_MAC, high);
    view.setInt32(message + SENDER_MAC + 2, low);
    view.setInt32(message + SENDER_ADDRESS, target);
    view.setUint16(message + TARGET_MAC, askerHigh);
    view.setInt32(message + TARGET_MAC + 2, askerLow);
    view.setInt32(message + TARGET_ADDRESS, asker);
    swapMacAddresses(view, offset);
    ethernet.setSource(view, offset, high, low);
    const refused = this.transmitter.send(ingress, offset, context.lengthToSend());
    if (refused !== reasons.CONTINUE) return refused;
    context.hasLeft = 1;
    return reasons.ARP_ANSWERED;
  }

  /**
   * Asks for the MAC address of `target` on an interface: by broadcast, or straight to the last known
   * MAC address when `toKnown` (a probe, RFC 1122 §2.3.2.1). Costs a frame of the pool. @hot
   */
  ask(egress: number, target: number, configuration: number, neighbor: number, toKnown: boolean) {
    const frame = this.pool.take();
    if (frame < 0) return;
    const { view, words } = this.memory;
    const source = table.sourceAddressFor(words, configuration, egress, target);
    const high = this.macHighOf[egress];
    const low = this.macLowOf[egress];
    arp.writeRequest(view, frame, high, low, source, target);
    if (toKnown && this.neighbors.readMac(neighbor) !== 0) {
      ethernet.setDestination(view, frame, this.neighbors.macHigh, this.neighbors.macLow);
    }
    if (this.transmitter.send(egress, frame, arp.FRAME_SIZE) !== reasons.CONTINUE) {
      this.pool.give(frame);
    }
  }

  /** Announces one of our addresses on an interface (gratuitous ARP, RFC 5227 §3). */
  announce(egress: number, address: number): void {
    const frame = this.pool.take();
    if (frame < 0) return;
    const { view } = this.memory;
    const high = this.macHighOf[egress];
    const low = this.macLowOf[egress];
    arp.writeRequest(view, frame, high, low, address, address);
    if (this.transmitter.send(egress, frame, arp.FRAME_SIZE) !== reasons.CONTINUE) {
      this.pool.give(frame);
    }
  }
}
