// The packet in an application's hands: where it stands in main memory, its headers as numbers, and what
// can be done with it in place. One per switching processor, filled anew for every packet, so that none
// is made. Addresses are int32 (wire/ipv4.ts), lengths and offsets bytes; offsets count from the start
// of main memory.
//
// Invariant: when an application gets it, headers and checksums have been checked, and what `payloadOffset`
// and `payloadLength` say lies within the packet. What an application makes of it is checked again before
// anything is sent.

import * as checksum from '../wire/checksum.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { CONSUME, DROP, FORWARD, KEEP, PASS, REPLY } from './contract.ts';

/** The least length of an Ethernet frame, without its check sequence. */
const FRAME_MIN = 60;
/** Frames stand in pieces of 2048 bytes. */
const CHUNK_MASK = 2047;
/** Hops of an answer. */
const TIME_TO_LIVE = 64;
const DONT_FRAGMENT = 0x4000;

export class Packet {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  /** First byte of the frame, and its length. */
  offset = 0;
  length = 0;
  /** Number of the interface on which it came in. */
  ingress = 0;
  /** First byte of the IP header, of the TCP, UDP or ICMP header, and the one behind the packet. */
  networkOffset = 0;
  transportOffset = 0;
  packetEnd = 0;
  /** 1 ICMP, 6 TCP, 17 UDP. */
  protocol = 0;
  source = 0;
  destination = 0;
  /** 0 for ICMP. */
  sourcePort = 0;
  destinationPort = 0;
  /** Flags of a TCP segment (wire/tcp.ts); 0 for all else. */
  tcpFlags = 0;
  /** What the transport header is followed by. */
  payloadOffset = 0;
  payloadLength = 0;

  constructor(view: DataView, bytes: Uint8Array) {
    this.view = view;
    this.bytes = bytes;
  }

  /** Fills in what follows from the offsets, which the runner has set. @hot */
  open(): void {
    const { view, transportOffset } = this;
    this.sourcePort = 0;
    this.destinationPort = 0;
    let header = icmpv4.HEADER_SIZE;
    let end = this.packetEnd;
    if (this.protocol === ipv4.PROTOCOL_UDP) {
      this.sourcePort = udp.sourcePort(view, transportOffset);
      this.destinationPort = udp.destinationPort(view, transportOffset);
      header = udp.HEADER_SIZE;
      end = (transportOffset + udp.length(view, transportOffset)) | 0;
    } else if (this.protocol === ipv4.PROTOCOL_TCP) {
      this.sourcePort = tcp.sourcePort(view, transportOffset);
      this.destinationPort = tcp.destinationPort(view, transportOffset);
      header = tcp.dataOffset(view, transportOffset);
    }
    this.payloadOffset = (transportOffset + header) | 0;
    this.payloadLength = (end - this.payloadOffset) | 0;
  }

  /** A byte of the payload, -1 behind its end. @hot */
  payloadByte(index: number): number {
    return index >= 0 && index < this.payloadLength
      ? this.view.getUint8(this.payloadOffset + index)
      : -1;
  }

  /** Bytes that the payload can grow to in this frame; an Ethernet link takes at most 1472 for UDP. @hot */
  payloadRoom(): number {
    return ((this.offset | CHUNK_MASK) + 1 - this.payloadOffset) | 0;
  }

  /** Another length of the payload, written into the headers of IP and UDP. Checksums are not. @hot */
  setPayloadLength(bytes: number): void {
    const { view, networkOffset, transportOffset } = this;
    this.payloadLength = bytes | 0;
    this.packetEnd = (this.payloadOffset + bytes) | 0;
    ipv4.setTotalLength(view, networkOffset, (this.packetEnd - networkOffset) | 0);
    if (this.protocol === ipv4.PROTOCOL_UDP) {
      udp.setLength(view, transportOffset, (this.packetEnd - transportOffset) | 0);
    }
    let length = (this.packetEnd - this.offset) | 0;
    for (; length < FRAME_MIN; length = (length + 1) | 0) view.setUint8(this.offset + length, 0);
    this.length = length;
  }

  /** Addresses and ports the other way round, and the time to live of a fresh packet. @hot */
  swap(): void {
    const { view, networkOffset, transportOffset, source, sourcePort } = this;
    this.source = this.destination;
    this.destination = source;
    ipv4.setSource(view, networkOffset, this.source);
    ipv4.setDestination(view, networkOffset, source);
    ipv4.setTimeToLive(view, networkOffset, TIME_TO_LIVE);
    ipv4.setIdentification(view, networkOffset, 0);
    view.setUint16(networkOffset + 6, DONT_FRAGMENT);
    if (this.protocol === ipv4.PROTOCOL_ICMP) return;
    this.sourcePort = this.destinationPort;
    this.destinationPort = sourcePort;
    udp.setSourcePort(view, transportOffset, this.sourcePort);
    udp.setDestinationPort(view, transportOffset, sourcePort);
  }

  /** Another destination, in the packet and here; -1 for the port: as it is. Checksums are not. @hot */
  setDestination(address: number, port: number): void {
    this.destination = address | 0;
    ipv4.setDestination(this.view, this.networkOffset, address);
    if (port < 0 || this.protocol === ipv4.PROTOCOL_ICMP) return;
    this.destinationPort = port;
    udp.setDestinationPort(this.view, this.transportOffset, port);
  }

  /** Another source, in the packet and here; -1 for the port: as it is. Checksums are not. @hot */
  setSource(address: number, port: number): void {
    this.source = address | 0;
    ipv4.setSource(this.view, this.networkOffset, address);
    if (port < 0 || this.protocol === ipv4.PROTOCOL_ICMP) return;
    this.sourcePort = port;
    udp.setSourcePort(this.view, this.transportOffset, port);
  }

  /** Computes all checksums anew: after whatever was rewritten. @hot */
  fillChecksums(): void {
    const { view, networkOffset, transportOffset, protocol } = this;
    ipv4.setHeaderChecksum(view, networkOffset, ipv4.computeHeaderChecksum(view, networkOffset));
    const length =
      protocol === ipv4.PROTOCOL_UDP
        ? udp.length(view, transportOffset)
        : (this.packetEnd - transportOffset) | 0;
    if (protocol === ipv4.PROTOCOL_ICMP) {
      icmpv4.setChecksum(view, transportOffset, 0);
      const sum = checksum.sum(view, transportOffset, length, 0);
      icmpv4.setChecksum(view, transportOffset, checksum.complement(sum));
      return;
    }
    const source = ipv4.source(view, networkOffset);
    const destination = ipv4.destination(view, networkOffset);
    const pseudo = checksum.pseudoHeaderSum(source, destination, protocol, length);
    if (protocol === ipv4.PROTOCOL_UDP) {
      udp.setChecksum(view, transportOffset, 0);
      const value = checksum.complement(checksum.sum(view, transportOffset, length, pseudo));
      udp.setChecksum(view, transportOffset, value === 0 ? 0xffff : value);
      return;
    }
    tcp.setChecksum(view, transportOffset, 0);
    const value = checksum.complement(checksum.sum(view, transportOffset, length, pseudo));
    tcp.setChecksum(view, transportOffset, value);
  }

  /** Verdict: it goes on through the switch, as it is now. @hot */
  pass(): number {
    return PASS;
  }

  /** Verdict: it ends here, as `app-dropped`. @hot */
  drop(): number {
    return DROP;
  }

  /** Verdict: it ends here, as `app-consumed`. @hot */
  consume(): number {
    return CONSUME;
  }

  /**
   * Verdict: it goes back to who sent it with a payload of so many bytes, which the caller has written
   * where the received one stood. Turns it round and fills in lengths and checksums. @hot
   */
  reply(payloadLength: number): number {
    this.swap();
    this.setPayloadLength(payloadLength);
    this.fillChecksums();
    return REPLY;
  }

  /** Verdict: it goes to its IP destination by the routing table. After a rewrite: `fillChecksums`. @hot */
  forward(): number {
    return FORWARD;
  }

  /** Verdict: its frame is the application's, until `send` or `give`. @hot */
  keep(): number {
    return KEEP;
  }
}

// Of several applications that share it, none puts other functions in place of these.
Object.freeze(Packet.prototype);
