// The packet that an application is asked about: checked before it gets it (345 of Fig. 13), and checked
// again before what it has made of it is sent. One per processor, overwritten by each packet.
// Invariant: whatever an application has written, no frame leaves that is longer than its piece of memory
// or than its link takes, or that bears no IPv4 packet.

import { Packet } from '../apps/packet.ts';
import { CONTROL_INTERFACE, FRAME_SIZE, INTERFACE_MTU } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import { PacketContext } from './packet-context.ts';
import { isForwardable, readHeaders } from './read-headers.ts';
import * as reasons from './reasons.ts';
import { swapMacAddresses } from './reset.ts';
import type { Transmitter } from './transmitter.ts';
import { NO_WAY_OUT, type WayOut } from './way-out.ts';

/** What `check` finds. */
export const SOUND = 0;
/** The filter is to say what is wrong with it. */
export const FOR_THE_FILTER = 1;
export const DAMAGED = 2;

export class ApplicationPacket {
  /** As the application sees it. */
  readonly packet: Packet;
  readonly context = new PacketContext();
  private lengthLeft = 0;
  private readonly memory: MainMemory;
  private readonly transmitter: Transmitter;
  private readonly wayOut: WayOut;

  constructor(memory: MainMemory, transmitter: Transmitter, wayOut: WayOut) {
    this.memory = memory;
    this.transmitter = transmitter;
    this.wayOut = wayOut;
    this.packet = new Packet(memory.view, memory.bytes);
    // All applications have the same one: what it is made of stays.
    const fixed = { writable: false };
    Object.defineProperties(Object.seal(this.packet), { view: fixed, bytes: fixed });
  }

  /** A frame whose IP header is at `network`. @hot */
  begin(offset: number, length: number, ingress: number, network: number): void {
    this.context.begin(offset, length, ingress);
    this.context.networkOffset = network;
  }

  /** Step 345, and fills in what the application sees. @returns SOUND, or why not. @hot */
  check(configuration: number): number {
    if (readHeaders(this.memory.view, this.context) !== reasons.CONTINUE) return FOR_THE_FILTER;
    if (this.isForged(configuration)) return FOR_THE_FILTER;
    if (!this.isTransportIntact()) return DAMAGED;
    this.open();
    return SOUND;
  }

  /**
   * Whether its source is an address of ours: what we would answer would come to ourselves. The control host
   * speaks in the name of its own addresses, and of no others. @hot
   */
  private isForged(configuration: number): boolean {
    const { words } = this.memory;
    const { ingress, source } = this.context;
    const entry = table.findOwnAddress(words, configuration, source);
    if (ingress !== CONTROL_INTERFACE) return entry !== table.NOT_FOUND;
    return entry === table.NOT_FOUND || !table.isControlAddress(words, entry);
  }

  /** @hot */
  private isTransportIntact(): boolean {
    const { view } = this.memory;
    const { networkOffset, transportOffset, packetEnd, protocol } = this.context;
    const isUdp = protocol === ipv4.PROTOCOL_UDP;
    const rest = (packetEnd - transportOffset) | 0;
    const length = isUdp ? udp.length(view, transportOffset) : rest;
    return checksum.transportChecksumIsValid(
      view,
      networkOffset,
      transportOffset,
      length,
      protocol,
    );
  }

  /** @hot */
  private open(): void {
    const { packet, context } = this;
    packet.offset = context.offset;
    packet.length = context.length;
    packet.ingress = context.ingress;
    packet.networkOffset = context.networkOffset;
    packet.transportOffset = context.transportOffset;
    packet.packetEnd = context.packetEnd;
    packet.protocol = context.protocol;
    packet.source = context.source;
    packet.destination = context.destination;
    packet.tcpFlags = context.tcpFlags;
    packet.open();
  }

  /** The length that the application has given it, whatever it has put there. May throw. */
  noteLength(): void {
    this.lengthLeft = this.packet.length | 0;
  }

  /**
   * Takes over the length that was noted.
   * @returns whether it is a packet at all, and its frame has room for it. @hot
   */
  isWhole(): boolean {
    const { context, lengthLeft: length } = this;
    const { view } = this.memory;
    const room = (FRAME_SIZE - (context.offset & (FRAME_SIZE - 1))) | 0;
    if (length < ethernet.HEADER_SIZE || length > room) return false;
    context.length = length;
    const end = (context.offset + length) | 0;
    const { networkOffset } = context;
    if (ipv4.isComplete(view, networkOffset, end) !== ipv4.COMPLETE) return false;
    context.packetEnd = (networkOffset + ipv4.totalLength(view, networkOffset)) | 0;
    return true;
  }

  /** Back to the host that sent it, whose MAC address stands in the frame. @hot */
  reply(): number {
    const { context } = this;
    const { words, view } = this.memory;
    const { offset, ingress } = context;
    const packetLength = (context.packetEnd - context.networkOffset) | 0;
    if (packetLength > words[this.memory.interfaceWord(ingress, INTERFACE_MTU)]) {
      return reasons.FRAME_TOO_LONG;
    }
    swapMacAddresses(view, offset);
    const refused = this.transmitter.send(ingress, offset, context.lengthToSend());
    if (refused !== reasons.CONTINUE) return refused;
    context.hasLeft = 1;
    return reasons.APP_REPLIED;
  }

  /** Step 224, past services and connections; one hop further, so that nothing goes round for ever. @hot */
  forward(nowMs: number): number {
    const { context, wayOut } = this;
    const { view } = this.memory;
    const { networkOffset } = context;
    if (!isForwardable(view, networkOffset, false)) return reasons.TTL_EXPIRED;
    const before = ipv4.timeToLiveAndProtocol(view, networkOffset);
    ipv4.setTimeToLive(view, networkOffset, (ipv4.timeToLive(view, networkOffset) - 1) | 0);
    const after = ipv4.timeToLiveAndProtocol(view, networkOffset);
    const old = ipv4.headerChecksum(view, networkOffset);
    ipv4.setHeaderChecksum(view, networkOffset, checksum.update16(old, before, after));
    const towards = ipv4.destination(view, networkOffset);
    if (wayOut.find(context, towards, nowMs) === NO_WAY_OUT) return context.reason;
    return wayOut.send(context, reasons.APP_FORWARDED, nowMs);
  }
}
