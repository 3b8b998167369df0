// AF_PACKET sockets with rings (TPACKET_V2): the way to move frames that works on every interface and
// in user namespaces, where AF_XDP is not to be had. The supervisor opens and binds the socket; the
// switching processor that inherits it maps the rings, receive ring first, transmit ring behind it.
// Kernel documentation: Documentation/networking/packet_mmap.rst, uapi linux/if_packet.h.
//
// A slot of either ring starts with tpacket2_hdr (32 bytes, little-endian here):
//   0 status u32 │ 4 len u32 │ 8 snaplen u32 │ 12 mac u16 │ 14 net u16 │ 16 sec u32 │ 20 nsec u32
//   24 vlan_tci u16 │ 26 vlan_tpid u16 │ 28 padding
// A received frame starts `mac` bytes into the slot; a frame to send TX_DATA_OFFSET bytes into it.

import { assert } from '../base/assert.ts';
import { addressOf, closeFd, libc, must, setIntOption } from './libc.ts';
import { PAGE_SIZE, type ReservedRange } from './main-memory.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const ETH_P_ALL = 0x0003;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_SNDBUFFORCE = 32;

const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_VERSION = 10;
const PACKET_TX_RING = 13;
const PACKET_LOSS = 14;
const PACKET_FANOUT = 18;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const TPACKET_V2 = 1;

// Byte offsets in a slot.
export const SLOT_STATUS = 0;
export const SLOT_LENGTH = 4;
export const SLOT_CAPTURED_LENGTH = 8;
export const SLOT_MAC = 12;
export const SLOT_VLAN_TCI = 24;
export const SLOT_VLAN_TPID = 26;
/** Where the kernel expects the first byte of a frame to send: header, then sockaddr_ll left out. */
export const TX_DATA_OFFSET = 32;

// Bits of a slot's status.
export const STATUS_KERNEL = 0;
export const STATUS_USER = 1;
export const STATUS_LOSING = 1 << 2;
export const STATUS_CHECKSUM_NOT_READY = 1 << 3;
export const STATUS_VLAN_VALID = 1 << 4;
export const STATUS_VLAN_TPID_VALID = 1 << 6;
// Of a transmit slot.
export const STATUS_SEND_REQUEST = 1;
export const STATUS_SENDING = 2;

export const FANOUT_HASH = 0;

/** Form of one ring: slots of a power of two, never straddling a block. */
export interface PacketRingSize {
  readonly slotSize: number;
  readonly slotCount: number;
}

export interface PacketSocketOptions {
  readonly interfaceIndex: number;
  /** For error messages. */
  readonly interfaceName: string;
  readonly receive?: PacketRingSize;
  readonly transmit?: PacketRingSize;
  /** Frames go straight to the driver (default), not through the queueing discipline. */
  readonly bypassQdisc?: boolean;
  /** Takes frames to any MAC address for as long as the socket is open. */
  readonly promiscuous?: boolean;
  /** Several sockets on one interface share its frames: the same id (u16), one of FANOUT_*. */
  readonly fanout?: { readonly id: number; readonly mode: number };
  /** EtherType of the frames to take; all when left out. */
  readonly protocol?: number;
  /** Which of them arrive: a classic BPF program, see `filterInstruction`. */
  readonly filter?: readonly Uint8Array[];
}

/**
 * One instruction of a socket filter (uapi linux/filter.h, struct sock_filter).
 * @param whenTrue instructions to skip
 */
export function filterInstruction(
  code: number,
  whenTrue: number,
  whenFalse: number,
  value: number,
): Uint8Array {
  const instruction = new DataView(new ArrayBuffer(8));
  instruction.setUint16(0, code, true);
  instruction.setUint8(2, whenTrue);
  instruction.setUint8(3, whenFalse);
  instruction.setUint32(4, value, true);
  return new Uint8Array(instruction.buffer);
}

function attachFilter(fd: number, instructions: readonly Uint8Array[], on: string): void {
  const program = Buffer.concat(instructions);
  const description = new DataView(new ArrayBuffer(16)); // sock_fprog
  description.setUint16(0, instructions.length, true);
  description.setBigUint64(8, BigInt(addressOf(program)), true);
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, description, 16);
  must(result, 'setsockopt(SO_ATTACH_FILTER)', `${on}, ${program.length} bytes`);
}

/** Where the rings of one socket stand in the process's ArrayBuffer. */
export interface PacketRings {
  /** Offset of receive slot 0, or -1. */
  readonly receive: number;
  /** Offset of transmit slot 0, or -1. */
  readonly transmit: number;
  /** Bytes mapped, for ReservedRange.unmapRing. */
  readonly size: number;
}

function ringBytes(ring: PacketRingSize | undefined): number {
  if (ring === undefined) return 0;
  const { slotSize, slotCount } = ring;
  assert(slotSize >= 128 && (slotSize & (slotSize - 1)) === 0, `slot size ${slotSize}`);
  assert((slotSize * slotCount) % PAGE_SIZE === 0, `ring of ${slotCount} × ${slotSize}`);
  return slotSize * slotCount;
}

function setUpRing(fd: number, option: number, ring: PacketRingSize, call: string, on: string) {
  // Blocks are contiguous memory in the kernel: small ones are always to be had. All slots are of a
  // power of two, so slot n stands at n × slotSize over all blocks.
  const blockSize = Math.min(Math.max(PAGE_SIZE, ring.slotSize, 1 << 16), ringBytes(ring));
  assert(ringBytes(ring) % blockSize === 0, 'ring is no whole number of blocks');
  const blocks = ringBytes(ring) / blockSize;
  const request = new Uint32Array([blockSize, blocks, ring.slotSize, ring.slotCount]);
  must(libc.setsockopt(fd, SOL_PACKET, option, request, 16), call, on);
}

function configure(fd: number, options: PacketSocketOptions, on: string): void {
  const set = (option: number, value: number, call: string): void =>
    setIntOption(fd, SOL_PACKET, option, value, `setsockopt(${call})`, on);
  set(PACKET_VERSION, TPACKET_V2, 'PACKET_VERSION');
  // Else every frame that we send comes back to us.
  set(PACKET_IGNORE_OUTGOING, 1, 'PACKET_IGNORE_OUTGOING');
  if (options.bypassQdisc !== false) set(PACKET_QDISC_BYPASS, 1, 'PACKET_QDISC_BYPASS');
  const { receive, transmit } = options;
  // A frame that cannot be sent is dropped instead of stopping the ring. Comes before any ring.
  if (transmit) set(PACKET_LOSS, 1, 'PACKET_LOSS');
  if (receive) setUpRing(fd, PACKET_RX_RING, receive, 'setsockopt(PACKET_RX_RING)', on);
  if (transmit) {
    setUpRing(fd, PACKET_TX_RING, transmit, 'setsockopt(PACKET_TX_RING)', on);
    // Best effort: without the right to force it, the default is merely slower.
    libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, new Int32Array([8 << 20]), 4);
  }
}

function bindPacketSocket(fd: number, options: PacketSocketOptions, on: string): void {
  const address = new DataView(new ArrayBuffer(20)); // sockaddr_ll
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, options.protocol ?? ETH_P_ALL, false);
  address.setInt32(4, options.interfaceIndex, true);
  must(libc.bind(fd, address, 20), 'bind(AF_PACKET)', on);
  if (options.promiscuous === true) {
    const membership = new DataView(new ArrayBuffer(16)); // packet_mreq
    membership.setInt32(0, options.interfaceIndex, true);
    membership.setUint16(4, PACKET_MR_PROMISC, true);
    const result = libc.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership, 16);
    must(result, 'setsockopt(PACKET_ADD_MEMBERSHIP)', on);
  }
  if (options.fanout !== undefined) {
    const { id, mode } = options.fanout;
    const value = (mode << 16) | (id & 0xffff);
    setIntOption(fd, SOL_PACKET, PACKET_FANOUT, value, 'setsockopt(PACKET_FANOUT)', on);
  }
}

/**
 * Opens, configures and binds a packet socket. From here on frames arrive in its receive ring.
 * @returns the file descriptor.
 * @throws SystemError; ERR_MISSING_CAPABILITY without CAP_NET_RAW.
 */
export function openPacketSocket(options: PacketSocketOptions): number {
  const on = `interface ${options.interfaceName}`;
  // Protocol 0: nothing arrives before bind says what.
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = must(libc.socket(AF_PACKET, type, 0), 'socket(AF_PACKET)', on);
  try {
    configure(fd, options, on);
    if (options.filter !== undefined) attachFilter(fd, options.filter, on);
    bindPacketSocket(fd, options, on);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/**
 * Maps the rings of a packet socket, in whichever process is to use them. The sizes must be those it
 * was opened with.
 */
export function mapPacketRings(
  range: ReservedRange,
  fd: number,
  receive: PacketRingSize | undefined,
  transmit: PacketRingSize | undefined,
): PacketRings {
  const receiveBytes = ringBytes(receive);
  const size = receiveBytes + ringBytes(transmit);
  const start = range.mapRing(fd, size, 0);
  return {
    receive: receive === undefined ? -1 : start,
    transmit: transmit === undefined ? -1 : start + receiveBytes,
    size,
  };
}

interface PacketStatistics {
  packets: number;
  drops: number;
}

// Made once: a queue that loses frames asks again and again.
const STATISTICS_SIZE = 8;
const statistics: PacketStatistics = { packets: 0, drops: 0 };
const statisticsWords = new Uint32Array(2);
const statisticsSize = new Uint32Array(1);

/**
 * Frames seen and dropped since the last call (reading resets both).
 * @returns always the same object: the next call overwrites it.
 */
export function readPacketStatistics(fd: number): Readonly<PacketStatistics> {
  statisticsSize[0] = STATISTICS_SIZE;
  const result = libc.getsockopt(
    fd,
    SOL_PACKET,
    PACKET_STATISTICS,
    statisticsWords,
    statisticsSize,
  );
  // The text is made only when it is needed: under overload this is asked some hundred times a second.
  if (result === -1) must(result, 'getsockopt(PACKET_STATISTICS)', `fd ${fd}`);
  statistics.packets = statisticsWords[0];
  statistics.drops = statisticsWords[1];
  return statistics;
}
