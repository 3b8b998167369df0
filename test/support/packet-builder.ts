// Builds packets for tests, from the outermost header inwards:
//
//   packet()
//     .ethernet({ source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' })
//     .ipv4({ source: '10.0.0.1', destination: '10.0.0.2', timeToLive: 64 })
//     .tcp({ sourcePort: 1000, destinationPort: 80, flags: ['SYN'], sequence: 1 })
//     .payload('hello')
//     .bytes();
//
// Types, protocols, lengths and checksums come out right unless given, and any of them may be given
// wrong. A builder never changes: each call returns a new one, so tests may share a beginning.
// Without `ethernet` the result is a packet and not a frame, such as an ICMP error embeds.
// Written with Buffer and not with src/wire, which it helps to test.

import { plainChecksum, pseudoHeader } from './bytes.ts';

const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'] as const;
export type TcpFlag = (typeof TCP_FLAGS)[number];

export interface EthernetSpec {
  source?: string;
  destination?: string;
  type?: number;
}

export interface VlanSpec {
  /** The type that announces this tag: 0x8100, or 0x88a8 for the outer one of two. */
  tagType?: number;
  priority?: number;
  type?: number;
}

export interface ArpSpec {
  operation?: 'request' | 'reply' | number;
  senderMac?: string;
  senderAddress?: string;
  targetMac?: string;
  targetAddress?: string;
  hardwareType?: number;
  protocolType?: number;
  hardwareLength?: number;
  protocolLength?: number;
}

export interface Ipv4Spec {
  source?: string;
  destination?: string;
  timeToLive?: number;
  typeOfService?: number;
  identification?: number;
  dontFragment?: boolean;
  moreFragments?: boolean;
  /** In bytes, a multiple of eight. */
  fragmentOffset?: number;
  /** A multiple of four bytes. */
  options?: Uint8Array;
  protocol?: number;
  version?: number;
  /** In bytes. */
  headerLength?: number;
  totalLength?: number;
  headerChecksum?: number;
}

export interface TcpSpec {
  sourcePort?: number;
  destinationPort?: number;
  sequence?: number;
  acknowledgment?: number;
  flags?: readonly TcpFlag[];
  window?: number;
  urgentPointer?: number;
  /** A multiple of four bytes. */
  options?: Uint8Array;
  /** In bytes. */
  dataOffset?: number;
  checksum?: number;
}

export interface UdpSpec {
  sourcePort?: number;
  destinationPort?: number;
  length?: number;
  /** 0: the sender computed none. */
  checksum?: number;
}

export interface IcmpSpec {
  type?: number;
  code?: number;
  identifier?: number;
  /** Also the place of the next hop's MTU in "fragmentation needed". */
  sequence?: number;
  /** The packet that an error is about, its IPv4 header first. */
  embedded?: Uint8Array | PacketBuilder;
  checksum?: number;
}

/** One header: what announces it outside, and how it is put before what it carries. */
interface Layer {
  readonly etherType?: number;
  readonly protocol?: number;
  /** Source and destination of an IPv4 header, for the checksums behind it. */
  readonly addresses?: Buffer;
  build(body: Buffer, inner: Layer | undefined, addresses: Buffer): Buffer;
}

/** A builder that has nothing yet. */
export function packet(): PacketBuilder {
  return new PacketBuilder([], Buffer.alloc(0), 0);
}

export class PacketBuilder {
  private readonly layers: readonly Layer[];
  private readonly data: Buffer;
  private readonly leastSize: number;

  constructor(layers: readonly Layer[], data: Buffer, leastSize: number) {
    this.layers = layers;
    this.data = data;
    this.leastSize = leastSize;
  }

  ethernet(spec: EthernetSpec = {}): PacketBuilder {
    return this.with({
      build(body, inner) {
        const type = spec.type ?? inner?.etherType ?? 0xffff;
        return Buffer.concat([
          macBytes(spec.destination ?? '02:00:00:00:00:02'),
          macBytes(spec.source ?? '02:00:00:00:00:01'),
          word(type),
          body,
        ]);
      },
    });
  }

  vlan(identifier: number, spec: VlanSpec = {}): PacketBuilder {
    return this.with({
      etherType: spec.tagType ?? 0x8100,
      build(body, inner) {
        const type = spec.type ?? inner?.etherType ?? 0xffff;
        return Buffer.concat([word(((spec.priority ?? 0) << 13) | identifier), word(type), body]);
      },
    });
  }

  arp(spec: ArpSpec = {}): PacketBuilder {
    const operation = spec.operation ?? 'request';
    return this.with({
      etherType: 0x0806,
      build(body) {
        return Buffer.concat([
          word(spec.hardwareType ?? 1),
          word(spec.protocolType ?? 0x0800),
          Buffer.of(spec.hardwareLength ?? 6, spec.protocolLength ?? 4),
          word(typeof operation === 'number' ? operation : operation === 'request' ? 1 : 2),
          macBytes(spec.senderMac ?? '02:00:00:00:00:01'),
          addressBytes(spec.senderAddress ?? '10.0.0.1'),
          macBytes(spec.targetMac ?? '00:00:00:00:00:00'),
          addressBytes(spec.targetAddress ?? '10.0.0.2'),
          body,
        ]);
      },
    });
  }

  ipv4(spec: Ipv4Spec = {}): PacketBuilder {
    const addresses = Buffer.concat([
      addressBytes(spec.source ?? '10.0.0.1'),
      addressBytes(spec.destination ?? '10.0.0.2'),
    ]);
    return this.with({
      etherType: 0x0800,
      addresses,
      build: (body, inner) => ipv4Bytes(spec, addresses, inner?.protocol ?? 253, body),
    });
  }

  tcp(spec: TcpSpec = {}): PacketBuilder {
    return this.with({
      protocol: 6,
      build(body, _inner, addresses) {
        const segment = Buffer.concat([tcpHeader(spec), body]);
        const pseudo = pseudoHeader(addresses, 6, segment.length);
        segment.writeUInt16BE(spec.checksum ?? plainChecksum(pseudo, segment), 16);
        return segment;
      },
    });
  }

  udp(spec: UdpSpec = {}): PacketBuilder {
    return this.with({
      protocol: 17,
      build(body, _inner, addresses) {
        const datagram = Buffer.concat([Buffer.alloc(8), body]);
        datagram.writeUInt16BE(spec.sourcePort ?? 1000, 0);
        datagram.writeUInt16BE(spec.destinationPort ?? 53, 2);
        datagram.writeUInt16BE(spec.length ?? datagram.length, 4);
        const pseudo = pseudoHeader(addresses, 17, spec.length ?? datagram.length);
        const computed = plainChecksum(pseudo, datagram) || 0xffff;
        datagram.writeUInt16BE(spec.checksum ?? computed, 6);
        return datagram;
      },
    });
  }

  icmp(spec: IcmpSpec = {}): PacketBuilder {
    const { embedded } = spec;
    const inside = embedded instanceof PacketBuilder ? embedded.bytes() : embedded;
    return this.with({
      protocol: 1,
      build(body) {
        const head = Buffer.alloc(8);
        head[0] = spec.type ?? 8;
        head[1] = spec.code ?? 0;
        head.writeUInt16BE(spec.identifier ?? 0, 4);
        head.writeUInt16BE(spec.sequence ?? 0, 6);
        const message = Buffer.concat([head, inside ?? Buffer.alloc(0), body]);
        message.writeUInt16BE(spec.checksum ?? plainChecksum(message), 2);
        return message;
      },
    });
  }

  /** What the innermost header carries; text as UTF-8. */
  payload(data: string | Uint8Array): PacketBuilder {
    return new PacketBuilder(this.layers, Buffer.from(data as Uint8Array), this.leastSize);
  }

  /** Zeros behind the packet, up to `size` bytes in all: Ethernet's least is 60. */
  padTo(size: number): PacketBuilder {
    return new PacketBuilder(this.layers, this.data, size);
  }

  /** The finished frame or packet, in memory of its own. */
  bytes(): Uint8Array<ArrayBuffer> {
    let body = this.data;
    for (let i = this.layers.length - 1; i >= 0; i--) {
      const outer = this.layers.slice(0, i).findLast((layer) => layer.addresses !== undefined);
      body = this.layers[i]!.build(body, this.layers[i + 1], outer?.addresses ?? Buffer.alloc(8));
    }
    const result = new Uint8Array(Math.max(body.length, this.leastSize));
    result.set(body);
    return result;
  }

  private with(layer: Layer): PacketBuilder {
    return new PacketBuilder([...this.layers, layer], this.data, this.leastSize);
  }
}

function ipv4Bytes(spec: Ipv4Spec, addresses: Buffer, protocol: number, body: Buffer): Buffer {
  const options = spec.options ?? Buffer.alloc(0);
  if (options.length % 4 !== 0 || options.length > 40) throw new Error('bad size of IPv4 options');
  const header = Buffer.concat([Buffer.alloc(12), addresses, options]);
  const fragment = spec.fragmentOffset ?? 0;
  if (fragment % 8 !== 0) throw new Error('a fragment begins at a multiple of eight bytes');
  header[0] = ((spec.version ?? 4) << 4) | ((spec.headerLength ?? header.length) >>> 2);
  header[1] = spec.typeOfService ?? 0;
  header.writeUInt16BE(spec.totalLength ?? header.length + body.length, 2);
  header.writeUInt16BE(spec.identification ?? 0, 4);
  const dontFragment = spec.dontFragment ? 0x4000 : 0;
  const moreFragments = spec.moreFragments ? 0x2000 : 0;
  header.writeUInt16BE(dontFragment | moreFragments | (fragment / 8), 6);
  header[8] = spec.timeToLive ?? 64;
  header[9] = spec.protocol ?? protocol;
  header.writeUInt16BE(spec.headerChecksum ?? plainChecksum(header), 10);
  return Buffer.concat([header, body]);
}

/** With the checksum's field zero. */
function tcpHeader(spec: TcpSpec): Buffer {
  const options = spec.options ?? Buffer.alloc(0);
  if (options.length % 4 !== 0 || options.length > 40) throw new Error('bad size of TCP options');
  const header = Buffer.concat([Buffer.alloc(20), options]);
  header.writeUInt16BE(spec.sourcePort ?? 1000, 0);
  header.writeUInt16BE(spec.destinationPort ?? 80, 2);
  header.writeUInt32BE((spec.sequence ?? 0) >>> 0, 4);
  header.writeUInt32BE((spec.acknowledgment ?? 0) >>> 0, 8);
  header[12] = ((spec.dataOffset ?? header.length) >>> 2) << 4;
  for (const flag of spec.flags ?? []) header[13]! |= 1 << TCP_FLAGS.indexOf(flag);
  header.writeUInt16BE(spec.window ?? 0xffff, 14);
  header.writeUInt16BE(spec.urgentPointer ?? 0, 18);
  return header;
}

function word(value: number): Buffer {
  return Buffer.of(value >>> 8, value & 0xff);
}

function macBytes(text: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new Error(`not a MAC address: ${text}`);
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

function addressBytes(text: string): Buffer {
  const octets = text.split('.').map(Number);
  if (octets.length !== 4 || octets.some((octet) => !(octet >= 0 && octet <= 255))) {
    throw new Error(`not an IPv4 address: ${text}`);
  }
  return Buffer.from(octets);
}
