// Decodes frames to named fields for tests, and compares two frames field by field, so that a
// failure reads "ipv4.timeToLive: expected 63, actual 64" and not as two rows of bytes.
// An independent decoder: written with Buffer, straight from the RFCs, and sharing nothing with
// src/wire, so that a mistake there cannot hide here.

import { plainChecksum, pseudoHeader, toHex } from './bytes.ts';
import type { TcpFlag } from './packet-builder.ts';

export interface EthernetFields {
  destination: string;
  source: string;
  /** Of what follows the tags, if there are any: `0x0800`. */
  type: string;
}

export interface VlanFields {
  tagType: string;
  identifier: number;
  priority: number;
}

export interface ArpFields {
  hardwareType: number;
  protocolType: string;
  hardwareLength: number;
  protocolLength: number;
  operation: number;
  senderMac: string;
  senderAddress: string;
  targetMac: string;
  targetAddress: string;
}

export interface Ipv4Fields {
  version: number;
  headerLength: number;
  typeOfService: number;
  totalLength: number;
  identification: number;
  dontFragment: boolean;
  moreFragments: boolean;
  fragmentOffset: number;
  timeToLive: number;
  protocol: number;
  headerChecksum: string;
  headerChecksumValid: boolean;
  source: string;
  destination: string;
  options: string;
}

export interface TcpFields {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgment: number;
  dataOffset: number;
  flags: TcpFlag[];
  window: number;
  checksum: string;
  checksumValid: boolean;
  urgentPointer: number;
  options: string;
}

export interface UdpFields {
  sourcePort: number;
  destinationPort: number;
  length: number;
  checksum: string;
  /** Also true where the sender computed none. */
  checksumValid: boolean;
}

export interface IcmpFields {
  type: number;
  code: number;
  checksum: string;
  checksumValid: boolean;
  identifier: number;
  sequence: number;
  /** The packet that an error is about, as far as it is there. */
  embedded?: PacketFields;
}

export interface PacketFields {
  ipv4?: Ipv4Fields;
  tcp?: TcpFields;
  udp?: UdpFields;
  icmp?: IcmpFields;
  /** Ports of an embedded packet that was cut within its TCP or UDP header. */
  ports?: { source: number; destination: number };
  /** What the innermost header decoded carries, in hexadecimal. */
  payload: string;
  /** What the frame has behind the packet. */
  padding: string;
}

export interface FrameFields extends PacketFields {
  ethernet?: EthernetFields;
  vlans: VlanFields[];
  arp?: ArpFields;
}

const TCP_FLAGS: readonly TcpFlag[] = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];
const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];

/** The fields of a frame. A header that is cut short is not decoded: its bytes are the payload. */
export function decodeFrame(bytes: Uint8Array): FrameFields {
  const frame = Buffer.from(bytes);
  const vlans: VlanFields[] = [];
  if (frame.length < 14) return { vlans, payload: toHex(frame), padding: '' };
  let at = 12;
  while (vlans.length < 2 && isTag(frame.readUInt16BE(at)) && frame.length >= at + 6) {
    const control = frame.readUInt16BE(at + 2);
    const tagType = hex16(frame.readUInt16BE(at));
    vlans.push({ tagType, identifier: control % 4096, priority: Math.floor(control / 8192) });
    at += 4;
  }
  const type = frame.readUInt16BE(at);
  const ethernet = { destination: mac(frame, 0), source: mac(frame, 6), type: hex16(type) };
  const rest = frame.subarray(at + 2);
  if (type === 0x0800) return { ethernet, vlans, ...decodePacket(rest) };
  if (type === 0x0806 && rest.length >= 28) {
    return {
      ethernet,
      vlans,
      arp: arpFields(rest),
      payload: '',
      padding: toHex(rest.subarray(28)),
    };
  }
  return { ethernet, vlans, payload: toHex(rest), padding: '' };
}

/** The fields of an IPv4 packet: a frame's content, or what an ICMP error embeds. */
export function decodePacket(bytes: Uint8Array): PacketFields {
  const packet = Buffer.from(bytes);
  const headerLength = packet.length > 0 ? (packet[0]! % 16) * 4 : 0;
  if (headerLength < 20 || packet.length < headerLength) {
    return { payload: toHex(packet), padding: '' };
  }
  const ipv4 = ipv4Fields(packet.subarray(0, headerLength));
  const body = packet.subarray(headerLength, ipv4.totalLength);
  const padding = toHex(packet.subarray(Math.max(ipv4.totalLength, headerLength)));
  if (ipv4.fragmentOffset > 0) return { ipv4, payload: toHex(body), padding };
  return { ipv4, ...transportFields(ipv4.protocol, packet.subarray(12, 20), body), padding };
}

/**
 * Fails with a list of the fields that differ. Each side may be the bytes of a frame or its fields.
 * Frames that have equal fields but not equal bytes (a reserved bit) fail as well.
 */
export function expectSameFields(
  actual: Uint8Array | FrameFields,
  expected: Uint8Array | FrameFields,
): void {
  const found = flatten(actual instanceof Uint8Array ? decodeFrame(actual) : actual);
  const wanted = flatten(expected instanceof Uint8Array ? decodeFrame(expected) : expected);
  const differences = [...new Set([...wanted.keys(), ...found.keys()])]
    .filter((name) => wanted.get(name) !== found.get(name))
    .map((name) => {
      const left = wanted.get(name) ?? '(absent)';
      return `  ${name}: expected ${left}, actual ${found.get(name) ?? '(absent)'}`;
    });
  if (differences.length === 0 && actual instanceof Uint8Array && expected instanceof Uint8Array) {
    const at = Buffer.compare(actual, expected) === 0 ? -1 : firstDifference(actual, expected);
    if (at >= 0) {
      differences.push(`  byte ${at}: expected ${expected[at]}, actual ${actual[at]} (no field)`);
    }
  }
  if (differences.length === 0) return;
  const error = new Error(`${differences.length} field(s) differ\n${differences.join('\n')}`);
  Error.captureStackTrace(error, expectSameFields);
  throw error;
}

function transportFields(
  protocol: number,
  addresses: Uint8Array,
  body: Buffer,
): Omit<PacketFields, 'padding'> {
  if (protocol === 6 && body.length >= 20) {
    const size = Math.floor(body[12]! / 16) * 4;
    if (size >= 20 && size <= body.length) {
      return { tcp: tcpFields(body, size, addresses), payload: toHex(body.subarray(size)) };
    }
  }
  if (protocol === 17 && body.length >= 8) {
    return { udp: udpFields(body, addresses), payload: toHex(body.subarray(8)) };
  }
  if (protocol === 1 && body.length >= 8) {
    const icmp: IcmpFields = {
      type: body[0]!,
      code: body[1]!,
      checksum: hex16(body.readUInt16BE(2)),
      checksumValid: plainChecksum(body) === 0,
      identifier: body.readUInt16BE(4),
      sequence: body.readUInt16BE(6),
    };
    if (!ICMP_ERRORS.includes(icmp.type)) return { icmp, payload: toHex(body.subarray(8)) };
    return { icmp: { ...icmp, embedded: decodePacket(body.subarray(8)) }, payload: '' };
  }
  if (protocol === 6 && body.length >= 4) {
    const ports = { source: body.readUInt16BE(0), destination: body.readUInt16BE(2) };
    return { ports, payload: toHex(body.subarray(4)) };
  }
  return { payload: toHex(body) };
}

function arpFields(message: Buffer): ArpFields {
  return {
    hardwareType: message.readUInt16BE(0),
    protocolType: hex16(message.readUInt16BE(2)),
    hardwareLength: message[4]!,
    protocolLength: message[5]!,
    operation: message.readUInt16BE(6),
    senderMac: mac(message, 8),
    senderAddress: address(message, 14),
    targetMac: mac(message, 18),
    targetAddress: address(message, 24),
  };
}

function ipv4Fields(header: Buffer): Ipv4Fields {
  const fragment = header.readUInt16BE(6);
  return {
    version: Math.floor(header[0]! / 16),
    headerLength: header.length,
    typeOfService: header[1]!,
    totalLength: header.readUInt16BE(2),
    identification: header.readUInt16BE(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment % 0x2000) * 8,
    timeToLive: header[8]!,
    protocol: header[9]!,
    headerChecksum: hex16(header.readUInt16BE(10)),
    headerChecksumValid: plainChecksum(header) === 0,
    source: address(header, 12),
    destination: address(header, 16),
    options: toHex(header.subarray(20)),
  };
}

function tcpFields(segment: Buffer, size: number, addresses: Uint8Array): TcpFields {
  return {
    sourcePort: segment.readUInt16BE(0),
    destinationPort: segment.readUInt16BE(2),
    sequence: segment.readUInt32BE(4),
    acknowledgment: segment.readUInt32BE(8),
    dataOffset: size,
    flags: TCP_FLAGS.filter((_flag, bit) => (segment[13]! & (1 << bit)) !== 0),
    window: segment.readUInt16BE(14),
    checksum: hex16(segment.readUInt16BE(16)),
    checksumValid: plainChecksum(pseudoHeader(addresses, 6, segment.length), segment) === 0,
    urgentPointer: segment.readUInt16BE(18),
    options: toHex(segment.subarray(20, size)),
  };
}

function udpFields(body: Buffer, addresses: Uint8Array): UdpFields {
  const length = body.readUInt16BE(4);
  const datagram = body.subarray(0, length);
  const checksum = body.readUInt16BE(6);
  return {
    sourcePort: body.readUInt16BE(0),
    destinationPort: body.readUInt16BE(2),
    length,
    checksum: hex16(checksum),
    checksumValid:
      checksum === 0 || plainChecksum(pseudoHeader(addresses, 17, length), datagram) === 0,
  };
}

/** Leaves by their path, as text: `ipv4.timeToLive` → `64`. */
function flatten(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  if (typeof value !== 'object' || value === null) {
    if (value !== undefined) into.set(path, JSON.stringify(value));
  } else if (Array.isArray(value) && value.every((item) => typeof item === 'string')) {
    if (path !== 'vlans') into.set(path, value.length === 0 ? 'none' : value.join('+'));
  } else {
    for (const [name, item] of Object.entries(value)) {
      flatten(item, path === '' ? name : `${path}.${name}`, into);
    }
  }
  return into;
}

function firstDifference(left: Uint8Array, right: Uint8Array): number {
  let at = 0;
  while (left[at] === right[at]) at++;
  return at;
}

function isTag(type: number): boolean {
  return type === 0x8100 || type === 0x88a8;
}

function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}

function mac(bytes: Buffer, at: number): string {
  return bytes.toString('hex', at, at + 6).replace(/..(?!$)/g, '$&:');
}

function address(bytes: Buffer, at: number): string {
  return [...bytes.subarray(at, at + 4)].join('.');
}
