// A media relay without a switch around it: the application on one or several processors over one table, a
// control part that opens calls in it, and packets as they come and go. For tests and nothing else.

import { type ApplicationHost, FORWARD } from '../../src/apps/contract.ts';
import { MediaRelay } from '../../src/apps/media-relay/media-relay.ts';
import { Packet } from '../../src/apps/packet.ts';
import { Calls } from '../../src/call-control/calls.ts';
import { Legs } from '../../src/call-control/legs.ts';
import type { RelaySettings } from '../../src/call-control/settings.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { packet, type UdpSpec } from './packet-builder.ts';

export const EXTERNAL = '10.1.0.1';
export const INTERNAL = '10.2.0.1';
export const TABLE_WORDS = 262_144;
const ROOM = 2048;

export const RELAY_SETTINGS: RelaySettings = {
  interfaces: [
    { name: 'external', address: EXTERNAL, advertise: EXTERNAL },
    { name: 'internal', address: INTERNAL, advertise: INTERNAL },
  ],
  firstPort: 30_000,
  lastPort: 39_999,
  ng: { address: '127.0.0.1', port: 0, allow: [] },
  timeoutMs: 60_000,
  silentTimeoutMs: 3_600_000,
  latchWindowMs: 3000,
  ssrcGuardMs: 0,
};

export interface Datagram {
  readonly from: string;
  readonly to: string;
  readonly payload: Uint8Array;
}

/** A packet that left, and the one that came, as the whole frames that they were. */
export interface Relayed extends Datagram {
  readonly verdict: number;
  readonly bytes: Uint8Array;
}

/** `10.1.0.1:30000` taken apart. */
export function endpointOf(text: string): [address: string, port: number] {
  const [address, port] = text.split(':');
  return [address, Number(port)];
}

export class RelayBench {
  readonly words: Int32Array;
  readonly calls: Calls;
  readonly legs: Legs;
  readonly counts = new Map<string, number>();
  private readonly relays: { readonly relay: MediaRelay; readonly packet: Packet }[];
  nowMs = 1_000_000;

  constructor(settings: Partial<RelaySettings> = {}, processors = 1) {
    const all = { ...RELAY_SETTINGS, ...settings };
    // The table is not at the start of its buffer: main memory's never is.
    const buffer = new ArrayBuffer(4096 + TABLE_WORDS * 4);
    this.words = new Int32Array(buffer, 4096, TABLE_WORDS);
    this.legs = new Legs(this.words, processors, all);
    this.calls = new Calls(this.legs, all);
    this.calls.begin(this.nowMs);
    const { firstPort, lastPort, interfaces } = all;
    const options = { ports: `${firstPort}-${lastPort}`, interfaces };
    this.relays = Array.from({ length: processors }, (_, processor) => {
      const relay = new MediaRelay();
      const bytes = new Uint8Array(ROOM);
      const view = new DataView(bytes.buffer);
      const names: string[] = [];
      relay.setup({
        processor,
        processors,
        options,
        view,
        bytes,
        table: this.words,
        counter: (name: string) => names.push(name) - 1,
        count: (counter: number, amount: number) => {
          const name = names[counter];
          this.counts.set(name, (this.counts.get(name) ?? 0) + amount);
        },
      } as unknown as ApplicationHost);
      return { relay, packet: new Packet(view, bytes) };
    });
  }

  /** A call with one media, whose parties have been told their ports: those of its two legs. */
  open(): { call: ReturnType<Calls['create']>; legs: [number, number]; ports: [number, number] } {
    const call = this.calls.create(`call-${this.calls.size}`, 'a', 'b', this.nowMs);
    const addresses = [ipv4.parseAddress(EXTERNAL), ipv4.parseAddress(INTERNAL)] as const;
    const { legs } = this.calls.addMedia(call, addresses, this.nowMs);
    const [a, b] = legs;
    for (const leg of legs) this.expect(leg, '');
    return { call, legs: [a, b], ports: [this.legs.portOf(a), this.legs.portOf(b)] };
  }

  /** What signalling says of a party; '' leaves RTCP at the next port. */
  expect(
    leg: number,
    rtp: string,
    { flags = 0, clockRate = 8000, rtcp = '', signalling = '' } = {},
  ): void {
    const endpoint = (text: string, plus: number) => {
      const [address, port] = endpointOf(text);
      return { address: ipv4.parseAddress(address), port: port + plus };
    };
    const expected = {
      rtp: rtp === '' ? undefined : endpoint(rtp, 0),
      rtcp: rtcp !== '' ? endpoint(rtcp, 0) : rtp === '' ? undefined : endpoint(rtp, 1),
      signalling: signalling === '' ? undefined : ipv4.parseAddress(signalling),
      clockRate,
      flags,
    };
    this.legs.expect(leg, expected, this.nowMs);
  }

  /** Lets the relay see a datagram. @returns undefined: it was dropped */
  send({ from, to, payload }: Datagram, udp: UdpSpec = {}, processor = 0): Relayed | undefined {
    const [source, sourcePort] = endpointOf(from);
    const [destination, destinationPort] = endpointOf(to);
    const frame = packet()
      .ethernet({})
      .ipv4({ source, destination, timeToLive: 64 })
      .udp({ sourcePort, destinationPort, ...udp })
      .payload(payload)
      .bytes();
    return this.sendFrame(frame, processor);
  }

  /** The same datagram again and again, its sequence number counted up, without making anything. */
  spin({ from, to, payload }: Datagram, packets: number): void {
    const [source, sourcePort] = endpointOf(from);
    const [destination, destinationPort] = endpointOf(to);
    const frame = packet()
      .ethernet({})
      .ipv4({ source, destination, timeToLive: 64 })
      .udp({ sourcePort, destinationPort })
      .payload(payload)
      .bytes();
    const { relay, packet: seen } = this.relays[0];
    const { view, bytes } = seen;
    const copy = ROOM >> 1;
    bytes.set(frame, copy);
    for (let i = 0; i < packets; i += 1) {
      bytes.copyWithin(0, copy, copy + 60);
      view.setUint16(44, i & 0xffff);
      this.open4(seen, frame.length);
      relay.onPacket(seen, (this.nowMs + i) | 0);
    }
  }

  sendFrame(frame: Uint8Array, processor = 0): Relayed | undefined {
    const { relay, packet: seen } = this.relays[processor];
    const { view } = seen;
    seen.bytes.fill(0xa5);
    seen.bytes.set(frame);
    this.open4(seen, frame.length);
    const verdict = relay.onPacket(seen, this.nowMs);
    if (verdict !== FORWARD) return undefined;
    const at = seen.payloadOffset;
    return {
      verdict,
      from: `${ipv4.formatAddress(ipv4.source(view, 14))}:${view.getUint16(seen.transportOffset)}`,
      to: `${ipv4.formatAddress(ipv4.destination(view, 14))}:${view.getUint16(seen.transportOffset + 2)}`,
      payload: seen.bytes.slice(at, at + seen.payloadLength),
      bytes: seen.bytes.slice(0, frame.length),
    };
  }

  /** What the runner of applications does for a frame at the start of memory. */
  private open4(seen: Packet, length: number): void {
    const { view } = seen;
    seen.offset = 0;
    seen.length = length;
    seen.networkOffset = 14;
    seen.transportOffset = 14 + ipv4.headerLength(view, 14);
    seen.packetEnd = 14 + ipv4.totalLength(view, 14);
    seen.protocol = ipv4.protocol(view, 14);
    seen.source = ipv4.source(view, 14);
    seen.destination = ipv4.destination(view, 14);
    seen.open();
  }
}

export interface RtpSpec {
  sequence?: number;
  timestamp?: number;
  ssrc?: number;
  payloadType?: number;
  size?: number;
}

/** A packet of RTP with `size` bytes of sound. */
export function rtp(spec: RtpSpec = {}): Uint8Array {
  const { sequence = 1, timestamp = 160, ssrc = 0x1234_5678, payloadType = 8, size = 160 } = spec;
  const bytes = Buffer.alloc(12 + size, 0xd5);
  bytes[0] = 0x80;
  bytes[1] = payloadType;
  bytes.writeUInt16BE(sequence & 0xffff, 2);
  bytes.writeInt32BE(timestamp | 0, 4);
  bytes.writeInt32BE(ssrc | 0, 8);
  return bytes;
}

/** A receiver report without blocks. */
export function rtcp(ssrc = 0x1234_5678): Uint8Array {
  const bytes = Buffer.from([0x80, 201, 0, 1, 0, 0, 0, 0]);
  bytes.writeInt32BE(ssrc | 0, 4);
  return bytes;
}

export const ALICE = '192.0.2.10:4000';
export const ALICE_RTCP = '192.0.2.10:4001';
export const BOB = '198.51.100.20:6000';
export const BOB_RTCP = '198.51.100.20:6001';
export const STRANGER = '203.0.113.66:4000';

/** A relay with one call whose parties are where signalling says. */
export function withCall(settings = {}, flags = 0, processors = 1) {
  const bench = new RelayBench(settings, processors);
  const { legs, ports, call } = bench.open();
  bench.expect(legs[0], ALICE, { flags });
  bench.expect(legs[1], BOB, { flags });
  const [a, b] = ports;
  return {
    bench,
    call,
    legs,
    toA: `${EXTERNAL}:${a}`,
    toARtcp: `${EXTERNAL}:${a + 1}`,
    toB: `${INTERNAL}:${b}`,
    toBRtcp: `${INTERNAL}:${b + 1}`,
  };
}
