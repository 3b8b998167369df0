// The media relay (Internet telephony and fax on the switching processors): takes the packets that one
// party of a call sends to a port of ours and sends them on to the other party, from the port of ours that
// the other party knows. RTP and RTCP (RFC 3550), T.38's UDPTL, and DTLS where it was signalled. What a
// packet contains is neither read, but for its header, nor changed.
//
// Which ports belong to which call, control writes into the application's table (tables/media-relay-table.ts)
// at the behest of a SIP proxy (src/call-control). Where each party is, is learned here (latch.ts).
// Invariant: only what comes from the party that a leg was made for is relayed, and only to its peer.

import * as table from '../../tables/media-relay-table.ts';
import { MediaRelayTable } from '../../tables/media-relay-table.ts';
import * as checksum from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as rtp from '../../wire/rtp.ts';
import * as udp from '../../wire/udp.ts';
import type { Application, ApplicationHost, Match, Options } from '../contract.ts';
import type { Packet } from '../packet.ts';
import { Latch, LEARNED, REFUSED, TOOK_OVER } from './latch.ts';
import { StreamStatistics } from './stream-statistics.ts';

/** A call that comes back to this relay passes through again without leaving the processor. */
const MOST_PASSES = 4;
const NO_SEQUENCE = -1;

/** What a datagram is, on the port that it came to. */
const NO_MEDIA = 0;
const MEDIA = 1;
const CONTROL = 2;
const OPAQUE = 3;

/** Which packets are the relay's: those to its addresses and ports. */
function match(options: Options): Match[] {
  const interfaces = options.interfaces as readonly { readonly address: string }[];
  const ports = /^(\d+)-(\d+)$/.exec(String(options.ports));
  if (!Array.isArray(interfaces) || ports === null) throw new Error('interfaces and ports needed');
  const port = [Number(ports[1]), Number(ports[2])] as const;
  const addresses = new Set(interfaces.map(({ address }) => address));
  return [...addresses].map((address) => ({ protocol: 'udp', address, port }));
}

export class MediaRelay {
  readonly name = 'media-relay';
  readonly match = match;
  private host!: ApplicationHost;
  private relayTable!: MediaRelayTable;
  private words!: Int32Array;
  private doubles!: Float64Array;
  private latch!: Latch;
  private statistics!: StreamStatistics;
  private processor = 0;
  private noCall = 0;
  private noMedia = 0;
  private strangers = 0;
  private noDestination = 0;
  private learned = 0;
  private circles = 0;
  /** Of the datagram in hand: its SSRC and, of media, its sequence number. */
  private ssrc = 0;
  private sequence = NO_SEQUENCE;

  setup(host: ApplicationHost): void {
    this.host = host;
    this.relayTable = new MediaRelayTable(host.table, host.processors);
    this.words = this.relayTable.words;
    this.doubles = this.relayTable.doubles;
    this.latch = new Latch(this.relayTable, host.processor);
    this.statistics = new StreamStatistics(this.words);
    this.processor = host.processor;
    this.noCall = host.counter('to a port without call');
    this.noMedia = host.counter('no media');
    this.strangers = host.counter('strangers refused');
    this.noDestination = host.counter('other party unknown');
    this.learned = host.counter('parties learned');
    this.circles = host.counter('sent in a circle');
  }

  /** @hot */
  onPacket(packet: Packet, nowMs: number): number {
    for (let pass = 0; pass < MOST_PASSES; pass = (pass + 1) | 0) {
      const leg = this.relayTable.find(packet.destination, packet.destinationPort);
      if (leg === table.NO_LEG) {
        // What has passed once is on its way to somebody else.
        if (pass > 0) return packet.forward();
        this.host.count(this.noCall, 1);
        return packet.drop();
      }
      if (this.relay(leg, packet, nowMs) === 0) return packet.drop();
    }
    this.host.count(this.circles, 1);
    return packet.drop();
  }

  /** From one leg to its peer. @returns 0: it is not to be relayed, and was counted. @hot */
  private relay(leg: number, packet: Packet, nowMs: number): number {
    const { words, host } = this;
    const line = this.relayTable.line(leg, this.processor);
    const kind = this.describe(leg, packet);
    if (kind === NO_MEDIA) {
      words[line + table.LINE_NO_MEDIA] = (words[line + table.LINE_NO_MEDIA] + 1) | 0;
      host.count(this.noMedia, 1);
      return 0;
    }
    const channel = packet.destinationPort & 1;
    const { source, sourcePort } = packet;
    const { ssrc, sequence } = this;
    const found = this.latch.admit(leg, channel, source, sourcePort, ssrc, sequence, nowMs);
    if (found === REFUSED) {
      words[line + table.LINE_STRANGERS] = (words[line + table.LINE_STRANGERS] + 1) | 0;
      host.count(this.strangers, 1);
      return 0;
    }
    if (found === LEARNED || found === TOOK_OVER) host.count(this.learned, 1);
    if (found === TOOK_OVER && channel === table.CHANNEL_RTP) this.statistics.forget(line);
    this.count(leg, line, kind, packet, nowMs);
    const peer = this.relayTable.peerOf(leg);
    if (peer !== table.NO_LEG && this.address(peer, kind, channel, packet) !== 0) return 1;
    host.count(this.noDestination, 1);
    return 0;
  }

  /** What a datagram is; its SSRC and sequence number are kept. @returns NO_MEDIA … OPAQUE. @hot */
  private describe(leg: number, packet: Packet): number {
    const { view, payloadOffset, payloadLength } = packet;
    const flags = this.words[leg + table.LEG_FLAGS];
    this.ssrc = 0;
    this.sequence = NO_SEQUENCE;
    const isOdd = (packet.destinationPort & 1) !== 0;
    if (isOdd || (flags & table.FLAG_RTCP_MUX) !== 0) {
      if (rtp.isRtcp(view, payloadOffset, payloadLength)) {
        this.ssrc = rtp.rtcpSource(view, payloadOffset);
        return CONTROL;
      }
    }
    if (!isOdd && (flags & table.FLAG_UDPTL) !== 0) {
      if (payloadLength < rtp.UDPTL_SIZE) return NO_MEDIA;
      this.sequence = rtp.udptlSequenceNumber(view, payloadOffset);
      return MEDIA;
    }
    if (!isOdd && rtp.isRtp(view, payloadOffset, payloadLength)) {
      this.ssrc = rtp.source(view, payloadOffset);
      this.sequence = rtp.sequenceNumber(view, payloadOffset);
      return MEDIA;
    }
    const isDtls = (flags & table.FLAG_DTLS) !== 0;
    return isDtls && rtp.isDtls(view, payloadOffset, payloadLength) ? OPAQUE : NO_MEDIA;
  }

  /** Into the line of this processor. @hot */
  private count(leg: number, line: number, kind: number, packet: Packet, nowMs: number): void {
    const { words, doubles } = this;
    words[line + table.LINE_LAST_AT] = nowMs;
    const pair = kind === CONTROL ? table.LINE_RTCP_PACKETS : table.LINE_RTP_PACKETS;
    const at = ((line >> 1) + pair) | 0;
    doubles[at] += 1;
    doubles[at + 1] += packet.payloadLength;
    if (kind !== MEDIA) return;
    const isUdptl = (words[leg + table.LEG_FLAGS] & table.FLAG_UDPTL) !== 0;
    const timestamp = isUdptl ? 0 : rtp.timestamp(packet.view, packet.payloadOffset);
    const clockRate = isUdptl ? 0 : words[leg + table.LEG_CLOCK_RATE];
    this.statistics.receive(line, this.ssrc, this.sequence, timestamp, clockRate, nowMs);
  }

  /** Addresses the packet to the party behind `peer`. @returns 0: nobody knows where that is. @hot */
  private address(peer: number, kind: number, channel: number, packet: Packet): number {
    const { words } = this;
    const flags = words[peer + table.LEG_FLAGS];
    let towards = channel;
    if (kind === CONTROL) towards = (flags & table.FLAG_RTCP_MUX) !== 0 ? 0 : table.CHANNEL_RTCP;
    const latch = words[peer + table.LEG_LATCH + towards];
    const isLearned = latch !== 0 && (flags & table.FLAG_ASYMMETRIC) === 0;
    const at = isLearned
      ? this.relayTable.sourceOf(peer, towards, latch)
      : (peer + table.LEG_EXPECTED + (towards << 1)) | 0;
    const address = words[at];
    const port = words[at + 1] & 0xffff;
    if (address === 0 || port === 0) return 0;
    rewrite(
      packet,
      words[peer + table.LEG_ADDRESS],
      words[peer + table.LEG_PORT] + towards,
      address,
      port,
    );
    return 1;
  }
}

/**
 * Other addresses and ports, and the checksums by the difference (RFC 1624), so that the payload is not
 * read. The time to live goes on falling: calls that were sent round in a circle come to an end. @hot
 */
function rewrite(
  packet: Packet,
  source: number,
  sourcePort: number,
  destination: number,
  destinationPort: number,
): void {
  const { view, networkOffset, transportOffset } = packet;
  const addresses = checksum.addDifferences(
    checksum.difference32(packet.source, source),
    checksum.difference32(packet.destination, destination),
  );
  const ports = checksum.addDifferences(
    checksum.difference16(packet.sourcePort, sourcePort),
    checksum.difference16(packet.destinationPort, destinationPort),
  );
  const header = ipv4.headerChecksum(view, networkOffset);
  ipv4.setHeaderChecksum(view, networkOffset, checksum.apply(header, addresses));
  const before = udp.checksum(view, transportOffset);
  const after = checksum.applyUdp(before, checksum.addDifferences(addresses, ports));
  udp.setChecksum(view, transportOffset, after);
  packet.setSource(source, sourcePort);
  packet.setDestination(destination, destinationPort);
}

/** The application, as the loader makes it. */
export function createMediaRelay(): Application {
  return new MediaRelay();
}
