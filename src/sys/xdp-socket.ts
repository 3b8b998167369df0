// AF_XDP sockets: opening, registering the frames (UMEM), sizing and mapping the four rings, binding.
// The supervisor opens and binds; the switching processor that inherits the file descriptor maps the
// rings, whose cursors stand in the kernel's memory and so outlive every process that used them.
// Kernel documentation: Documentation/networking/af_xdp.rst, uapi linux/if_xdp.h.

import { closeFd, libc, must, setIntOption } from './libc.ts';
import type { ReservedRange } from './main-memory.ts';

const AF_XDP = 44;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_XDP = 283;

const XDP_MMAP_OFFSETS = 1;
const XDP_RX_RING = 2;
const XDP_TX_RING = 3;
const XDP_UMEM_REG = 4;
const XDP_UMEM_FILL_RING = 5;
const XDP_UMEM_COMPLETION_RING = 6;
const XDP_STATISTICS = 7;
/** Frames that one send in copy mode may take: Linux 6.17 and later, else 32. */
const XDP_MAX_TX_SKB_BUDGET = 9;

export const XDP_SHARED_UMEM = 1 << 0;
export const XDP_COPY = 1 << 1;
export const XDP_ZEROCOPY = 1 << 2;
export const XDP_USE_NEED_WAKEUP = 1 << 3;

// What mmap takes as its offset for each ring.
const PAGE_OFFSET_RX = 0;
const PAGE_OFFSET_TX = 0x80000000;
const PAGE_OFFSET_FILL = 0x100000000;
const PAGE_OFFSET_COMPLETION = 0x180000000;

const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SEND_BUFFER_SIZE = 16 << 20;

/** Bytes of one descriptor: address u64, length u32, options u32. */
export const DESCRIPTOR_SIZE = 16;
/** Bytes of one entry of the fill and completion rings: address u64. */
export const ADDRESS_SIZE = 8;

/** Entries of the four rings, powers of two. */
export interface XdpRingSizes {
  readonly fill: number;
  readonly completion: number;
  readonly receive: number;
  readonly transmit: number;
}

/** Byte offsets of one mapped ring, in the process's ArrayBuffer. */
export interface XdpRingPlace {
  readonly producer: number;
  readonly consumer: number;
  readonly flags: number;
  readonly descriptors: number;
  /** Entries. */
  readonly size: number;
}

export interface XdpRingPlaces {
  readonly fill: XdpRingPlace;
  readonly completion: XdpRingPlace;
  readonly receive: XdpRingPlace;
  readonly transmit: XdpRingPlace;
  /** What was mapped, as [offset, bytes], for `unmapXdpRings`. */
  readonly mapped: readonly (readonly [number, number])[];
}

/** Opens an AF_XDP socket. @throws SystemError */
export function openXdpSocket(subject: string): number {
  return must(libc.socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), 'socket(AF_XDP)', subject);
}

/** Registers memory as the frames of a socket: `address` and `size` in bytes, page-aligned. */
export function registerFrames(
  fd: number,
  address: bigint,
  size: number,
  chunkSize: number,
  headroom: number,
  subject: string,
): void {
  const registration = new DataView(new ArrayBuffer(32)); // xdp_umem_reg
  registration.setBigUint64(0, address, true);
  registration.setBigUint64(8, BigInt(size), true);
  registration.setUint32(16, chunkSize, true);
  registration.setUint32(20, headroom, true);
  const result = libc.setsockopt(fd, SOL_XDP, XDP_UMEM_REG, registration, 32);
  must(result, 'setsockopt(XDP_UMEM_REG)', `${subject}: ${size} bytes of frames`);
}

/** Creates the four rings. A socket that shares its frames with another needs all four as well. */
export function createXdpRings(fd: number, sizes: XdpRingSizes, subject: string): void {
  const set = (option: number, value: number, call: string): void =>
    setIntOption(fd, SOL_XDP, option, value, `setsockopt(${call})`, subject);
  set(XDP_UMEM_FILL_RING, sizes.fill, 'XDP_UMEM_FILL_RING');
  set(XDP_UMEM_COMPLETION_RING, sizes.completion, 'XDP_UMEM_COMPLETION_RING');
  set(XDP_RX_RING, sizes.receive, 'XDP_RX_RING');
  set(XDP_TX_RING, sizes.transmit, 'XDP_TX_RING');
  // Both are for speed alone, and an older kernel or a missing right merely makes them not so.
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, new Int32Array([SEND_BUFFER_SIZE]), 4);
  libc.setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, new Int32Array([sizes.transmit]), 4);
}

/**
 * Binds to one queue of an interface.
 * @param flags XDP_COPY or XDP_ZEROCOPY with XDP_USE_NEED_WAKEUP; or XDP_SHARED_UMEM alone, which
 *   takes all else from the socket `sharedFd`
 * @throws SystemError
 */
export function bindXdpSocket(
  fd: number,
  interfaceIndex: number,
  queue: number,
  flags: number,
  sharedFd: number,
  subject: string,
): void {
  const address = new DataView(new ArrayBuffer(16)); // sockaddr_xdp
  address.setUint16(0, AF_XDP, true);
  address.setUint16(2, flags, true);
  address.setUint32(4, interfaceIndex, true);
  address.setUint32(8, queue, true);
  address.setUint32(12, flags & XDP_SHARED_UMEM ? sharedFd : 0, true);
  must(libc.bind(fd, address, 16), 'bind(AF_XDP)', subject);
}

function readOption(fd: number, option: number, size: number, call: string): DataView {
  const value = new DataView(new ArrayBuffer(size));
  const length = new Uint32Array([size]);
  const result = libc.getsockopt(fd, SOL_XDP, option, value, length);
  must(result, `getsockopt(${call})`, `fd ${fd}`);
  return value;
}

export interface XdpStatistics {
  /** Lost for another reason than those below. */
  readonly receiveDropped: number;
  readonly receiveInvalidDescriptors: number;
  readonly transmitInvalidDescriptors: number;
  /** Lost because we did not take received frames fast enough. */
  readonly receiveRingFull: number;
  /** Lost because there was no free frame to receive into. */
  readonly fillRingEmpty: number;
  readonly transmitRingEmpty: number;
}

/** The kernel's own counts for a socket, since it was opened. */
export function readXdpStatistics(fd: number): XdpStatistics {
  const values = readOption(fd, XDP_STATISTICS, 48, 'XDP_STATISTICS');
  const count = (i: number): number => Number(values.getBigUint64(i * 8, true));
  return {
    receiveDropped: count(0),
    receiveInvalidDescriptors: count(1),
    transmitInvalidDescriptors: count(2),
    receiveRingFull: count(3),
    fillRingEmpty: count(4),
    transmitRingEmpty: count(5),
  };
}

/**
 * Maps the four rings of a socket behind main memory, in whichever process is to use them.
 * @param sizes those it was created with
 * @throws SystemError
 */
export function mapXdpRings(range: ReservedRange, fd: number, sizes: XdpRingSizes): XdpRingPlaces {
  // xdp_mmap_offsets: for rx, tx, fill, completion each producer, consumer, desc, flags (u64).
  const offsets = readOption(fd, XDP_MMAP_OFFSETS, 128, 'XDP_MMAP_OFFSETS');
  const mapped: [number, number][] = [];
  const map = (kind: number, size: number, entrySize: number, pageOffset: number): XdpRingPlace => {
    const at = (field: number): number => Number(offsets.getBigUint64(kind * 32 + field * 8, true));
    const bytes = at(2) + size * entrySize;
    const start = range.mapRing(fd, bytes, pageOffset);
    mapped.push([start, bytes]);
    const place = (field: number): number => start + at(field);
    return {
      producer: place(0),
      consumer: place(1),
      descriptors: place(2),
      flags: place(3),
      size,
    };
  };
  return {
    receive: map(0, sizes.receive, DESCRIPTOR_SIZE, PAGE_OFFSET_RX),
    transmit: map(1, sizes.transmit, DESCRIPTOR_SIZE, PAGE_OFFSET_TX),
    fill: map(2, sizes.fill, ADDRESS_SIZE, PAGE_OFFSET_FILL),
    completion: map(3, sizes.completion, ADDRESS_SIZE, PAGE_OFFSET_COMPLETION),
    mapped,
  };
}

/** Takes the rings out of the address space again. */
export function unmapXdpRings(range: ReservedRange, places: XdpRingPlaces): void {
  for (const [offset, bytes] of places.mapped) range.unmapRing(offset, bytes);
}

/** Closes a socket; the kernel frees it when no process has it open or its rings mapped. */
export function closeXdpSocket(fd: number): void {
  closeFd(fd);
}
