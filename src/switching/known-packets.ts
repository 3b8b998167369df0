// The short way through Fig. 6, for the packets that are nearly all of them: plain ones (Ethernet without
// tags, IPv4 without options, not a fragment, TCP or UDP, no SYN) of a known NAT connection whose next
// hop is known. A burst is taken in stages, each over all its packets, so that the memory that one packet
// needs is fetched while others are looked at:
//
//   204  `read`      headers read and checked; reads the line of the index where the key would stand
//   212  `find`      reads the record that it names
//   220  `forward`   makes sure of the record, counts, rewrites (216, 220), sends (224)
//
// Whatever is not plain, not known, or not to be sent at once is left untouched for packet-filter.ts, which
// decides everything and would do the same with these packets: known-packets.test.ts and test/fuzz hold
// the two together. Invariant: `forward` changes nothing before it is certain that the packet can leave here.

import type { MainMemory } from '../memory/region.ts';
import { FORWARDING_DSR } from '../tables/configuration-table.ts';
import { type ConnectionTable, NOT_FOUND } from '../tables/connection-table.ts';
import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { type HopCache, NO_HOP } from './hop-cache.ts';
import { lengthToSend } from './packet-context.ts';
import { areFlagsSane, isMartian } from './read-headers.ts';
import * as reasons from './reasons.ts';
import { rewrite } from './rewrite.ts';
import type { Transmitter } from './transmitter.ts';
import { NO_WAY_OUT, neighborOf } from './way-out.ts';

/** The longest burst. */
const BURST_MAX = 64;
/** Ethernet and IPv4 headers, and a UDP header: nothing shorter is plain. */
const PLAIN_LENGTH_MIN = 42;
const NETWORK = ethernet.HEADER_SIZE;
const TRANSPORT = NETWORK + ipv4.HEADER_SIZE;
/** Ethernet type 0x0800, then version 4 and a header of five words. */
const PLAIN_TYPE_AND_VERSION = 0x080045;
/** In the second word of the IPv4 header: more fragments, and the fragment offset. */
const FRAGMENT_BITS = 0x3fff;
/** Of `read`: the packet is not plain. */
const NOT_PLAIN = NOT_FOUND;

/** What it works with; all of one switching processor. */
export interface KnownPacketsParts {
  readonly memory: MainMemory;
  readonly connections: ConnectionTable;
  readonly hops: HopCache;
  readonly transmitter: Transmitter;
  readonly macHighOf: Int32Array;
  readonly macLowOf: Int32Array;
}

export class KnownPackets {
  private readonly view: DataView;
  private readonly connections: ConnectionTable;
  private readonly hops: HopCache;
  private readonly transmitter: Transmitter;
  private readonly macHighOf: Int32Array;
  private readonly macLowOf: Int32Array;
  /** Per packet of the burst: the hash of its key, then the entry that it probably belongs to. */
  private readonly hashes = new Int32Array(BURST_MAX);
  private readonly entries = new Int32Array(BURST_MAX);
  private routingGeneration = 0;

  constructor(parts: KnownPacketsParts) {
    this.view = parts.memory.view;
    this.connections = parts.connections;
    this.hops = parts.hops;
    this.transmitter = parts.transmitter;
    this.macHighOf = parts.macHighOf;
    this.macLowOf = parts.macLowOf;
  }

  /** Other routes are active now. */
  useRoutes(routingGeneration: number): void {
    this.routingGeneration = routingGeneration;
  }

  /** Stages 204 and 212 of a burst that came in on `ingress`: decides nothing. @hot */
  begin(ingress: number, offsets: Int32Array, lengths: Int32Array, count: number): void {
    this.hops.begin();
    const macHigh = this.macHighOf[ingress];
    const macLow = this.macLowOf[ingress];
    const { entries, hashes } = this;
    const { index } = this.connections;
    for (let i = 0; i < count; i = (i + 1) | 0) {
      entries[i] = this.read(i, offsets[i], lengths[i], macHigh, macLow);
    }
    index.touchBuckets(hashes, count);
    for (let i = 0; i < count; i = (i + 1) | 0) {
      if (entries[i] !== NOT_PLAIN) entries[i] = index.likelyEntry(hashes[i]);
    }
    index.touchEntries(entries, count);
  }

  /** 204: whether a packet is plain; its hash is noted then. @returns 0 or NOT_PLAIN. @hot */
  private read(i: number, offset: number, length: number, macHigh: number, macLow: number): number {
    const { view } = this;
    if (length < PLAIN_LENGTH_MIN) return NOT_PLAIN;
    if (ethernet.destinationLow(view, offset) !== macLow) return NOT_PLAIN;
    if (ethernet.destinationHigh(view, offset) !== macHigh) return NOT_PLAIN;
    // The type, IPv4's version and header length in one read.
    if (view.getInt32(offset + 12) >>> 8 !== PLAIN_TYPE_AND_VERSION) return NOT_PLAIN;
    const network = (offset + NETWORK) | 0;
    const first = view.getInt32(network);
    const second = view.getInt32(network + 4);
    const third = view.getInt32(network + 8);
    const source = ipv4.source(view, network);
    const destination = ipv4.destination(view, network);
    const total = first & 0xffff;
    if (total > length - NETWORK || (second & FRAGMENT_BITS) !== 0) return NOT_PLAIN;
    const sum =
      (first >>> 16) +
      total +
      (second >>> 16) +
      (second & 0xffff) +
      (third >>> 16) +
      (third & 0xffff) +
      (source >>> 16) +
      (source & 0xffff) +
      (destination >>> 16) +
      (destination & 0xffff);
    if (checksum.fold(sum) !== 0xffff || isMartian(source)) return NOT_PLAIN;
    if (third >>> 24 < 2) return NOT_PLAIN;
    const transport = (offset + TRANSPORT) | 0;
    const end = (network + total) | 0;
    const protocol = (third >>> 16) & 0xff;
    if (protocol === ipv4.PROTOCOL_TCP) {
      if (!tcp.isComplete(view, transport, end)) return NOT_PLAIN;
      const flags = tcp.flags(view, transport);
      if ((flags & tcp.FLAG_SYN) !== 0 || !areFlagsSane(flags)) return NOT_PLAIN;
    } else if (protocol !== ipv4.PROTOCOL_UDP || !udp.isComplete(view, transport, end)) {
      return NOT_PLAIN;
    }
    const ports = view.getInt32(transport);
    this.hashes[i] = this.connections.index.hash(source, destination, ports, protocol);
    return 0;
  }

  /**
   * Packet `i` of the burst (216, 220, 224).
   * @returns CONNECTION: it has left; CONTINUE: nothing has been done, it goes the long way; or why it
   *   could not be sent. @hot
   */
  forward(i: number, offset: number, length: number, nowMs: number): number {
    const entry = this.entries[i];
    if (entry === NOT_PLAIN) return reasons.CONTINUE;
    const { connections, view } = this;
    const network = (offset + NETWORK) | 0;
    const transport = (offset + TRANSPORT) | 0;
    const protocol = ipv4.protocol(view, network);
    if (!this.isOf(entry, network, transport, protocol)) return reasons.CONTINUE;
    const wayOut = connections.wayOut(entry);
    if (wayOut === NO_WAY_OUT) return reasons.CONTINUE;
    if (connections.wayOutGeneration(entry) !== this.routingGeneration) return reasons.CONTINUE;
    const hop = this.hops.find(wayOut, neighborOf(wayOut), nowMs);
    if (hop === NO_HOP) return reasons.CONTINUE;
    const total = ipv4.totalLength(view, network);
    if (total > this.hops.mtu(hop)) return reasons.CONTINUE;

    if (protocol === ipv4.PROTOCOL_TCP) {
      connections.updateTcp(entry, tcp.flags(view, transport), nowMs, total);
      connections.acknowledge(entry, tcp.acknowledgmentNumber(view, transport));
    } else {
      connections.updateUdp(entry, nowMs, total);
    }
    rewrite(view, connections, entry, network, transport);
    this.hops.writeMacAddresses(hop, view, offset);
    const toSend = lengthToSend(length, (total + NETWORK) | 0);
    const refused = this.transmitter.send(this.hops.egress(hop), offset, toSend);
    return refused === reasons.CONTINUE ? reasons.CONNECTION : refused;
  }

  /** Whether a packet bears the key of this entry, which must be live and rewrite. @hot */
  private isOf(entry: number, network: number, transport: number, protocol: number): boolean {
    const { view } = this;
    return (
      this.connections.index.bears(
        entry,
        ipv4.source(view, network),
        ipv4.destination(view, network),
        view.getInt32(transport),
        protocol,
      ) && this.connections.forwarding(entry) !== FORWARDING_DSR
    );
  }
}
