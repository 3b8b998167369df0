// Where main memory lies in a process: 2 GiB of address space are reserved once; the memory file,
// which all processes share, is mapped at its start, and the rings of the network interfaces, which
// are private maps of kernel memory, behind it. One ArrayBuffer views the whole range, so everything
// is an int32 offset and `copyWithin` works between any two places.
// Invariant: an offset below the memory file's size means the same in every process; an offset of a
// ring means something only in the process that mapped it. mmap(2) with MAP_FIXED only ever replaces
// pages inside our own reservation.

import { writeSync } from 'node:fs';
import { assert } from '../base/assert.ts';
import { WeirError } from '../base/errors.ts';
import { lastErrno, libc, must, viewMemory } from './libc.ts';

/** 4096 on x86-64; up to 64 KiB on arm64. */
export const PAGE_SIZE = libc.getpagesize();
const HUGE_PAGE_SIZE = 2 << 20;
/** The whole range: every offset is an int32. */
export const RANGE_SIZE = 2 ** 31;

const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;

const MADV_COLLAPSE = 25;

const MFD_CLOEXEC = 1;
const MFD_HUGETLB = 4;
const MFD_HUGE_2MB = 21 << 26;

/** A memory file and what it is made of. */
export interface MemoryFile {
  readonly fd: number;
  readonly hugePages: boolean;
}

/** Free huge pages are taken at mmap, not at ftruncate: mapping it once shows whether they suffice. */
function hugePagesSuffice(fd: number, size: number): boolean {
  const address = libc.mmap(0, size, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  if (address === -1) return false;
  libc.munmap(address, size);
  return true;
}

/**
 * Has the kernel make huge pages of a new file's memory, as it can without any being set aside (Linux
 * 6.1): by one byte in each, then all of it at once. Whoever maps the file has them then. What the
 * kernel finds no contiguous memory for stays small, which is as right, only slower.
 * @returns whether all of it is in huge pages
 */
function collapse(fd: number, size: number): boolean {
  const zero = new Uint8Array(1);
  for (let offset = 0; offset < size; offset += HUGE_PAGE_SIZE) writeSync(fd, zero, 0, 1, offset);
  const reserve = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const found = libc.mmap(0, size + HUGE_PAGE_SIZE, PROT_NONE, reserve, -1, 0);
  if (found === -1) return false;
  const aligned = Math.ceil(found / HUGE_PAGE_SIZE) * HUGE_PAGE_SIZE;
  const mapped = libc.mmap(aligned, size, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  const isCollapsed = mapped !== -1 && libc.madvise(aligned, size, MADV_COLLAPSE) === 0;
  libc.munmap(found, size + HUGE_PAGE_SIZE);
  return isCollapsed;
}

/**
 * Makes the file that all processes map; they are given it as a file descriptor.
 * Huge pages are taken when the system has enough of them free, or can make them: a read at random
 * costs one cache miss then, not that and a walk through page tables.
 * @param size bytes, a multiple of 2 MiB
 * @throws SystemError
 */
export function createMemoryFile(name: string, size: number, tryHugePages = true): MemoryFile {
  assert(size > 0 && size <= RANGE_SIZE && size % HUGE_PAGE_SIZE === 0, `memory file: ${size}`);
  if (tryHugePages) {
    const fd = libc.memfd_create(name, MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
    if (fd !== -1) {
      if (libc.ftruncate(fd, size) === 0 && hugePagesSuffice(fd, size)) {
        return { fd, hugePages: true };
      }
      libc.close(fd);
    }
  }
  const fd = must(libc.memfd_create(name, MFD_CLOEXEC), 'memfd_create', name);
  if (libc.ftruncate(fd, size) === -1) {
    const errno = lastErrno();
    libc.close(fd);
    throw new WeirError(
      'ERR_MEMORY_SIZE',
      `no memory file of ${size} bytes (errno ${errno})`,
      'configure fewer connections or frames',
    );
  }
  return { fd, hugePages: tryHugePages && collapse(fd, size) };
}

/** The reserved range of this process. It is never given back. */
export class ReservedRange {
  /** All 2 GiB. Bytes that nothing is mapped to fault when they are touched. */
  readonly buffer: ArrayBuffer;
  readonly #address: number;
  #next = 0;
  /** Gaps that closed rings left, by their size in bytes. */
  readonly #free = new Map<number, number[]>();

  private constructor(address: number) {
    this.#address = address;
    this.buffer = viewMemory(address, RANGE_SIZE);
  }

  /** Reserves the range, with nothing mapped to it. @throws SystemError */
  static reserve(): ReservedRange {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    // A huge page more than needed: the start must be aligned to one.
    const found = libc.mmap(0, RANGE_SIZE + HUGE_PAGE_SIZE, PROT_NONE, flags, -1, 0);
    must(found, 'mmap', 'reserving 2 GiB of address space');
    return new ReservedRange(Math.ceil(found / HUGE_PAGE_SIZE) * HUGE_PAGE_SIZE);
  }

  /** The address of a byte, for the kernel. */
  addressOf(offset: number): bigint {
    return BigInt(this.#address + offset);
  }

  /** The same as a number: exact, because user addresses are below 2^47. */
  numericAddressOf(offset: number): number {
    return this.#address + offset;
  }

  /** Maps the memory file at offset 0; done once, before any ring. @throws SystemError */
  mapMemoryFile(fd: number, size: number): void {
    assert(this.#next === 0, 'the memory file comes first');
    const flags = MAP_SHARED | MAP_FIXED;
    const result = libc.mmap(this.#address, size, PROT_READ_WRITE, flags, fd, 0);
    must(result, 'mmap', `memory file of ${size} bytes`);
    // An unmapped page stands between the tables and the rings: overruns fault instead of corrupting.
    this.#next = size + HUGE_PAGE_SIZE;
  }

  /** Finds room for `size` bytes (whole pages) and an unmapped page behind them. */
  #place(size: number): number {
    const free = this.#free.get(size)?.pop();
    if (free !== undefined) return free;
    const offset = this.#next;
    if (offset + size + PAGE_SIZE > RANGE_SIZE) {
      throw new WeirError(
        'ERR_MEMORY_SIZE',
        `no room for ${size} bytes of rings: main memory and rings share 2 GiB`,
        'configure fewer connections, frames, or queues',
      );
    }
    this.#next += size + PAGE_SIZE;
    return offset;
  }

  /**
   * Maps a ring of a socket into the range.
   * @param length bytes; rounded up to whole pages
   * @param pageOffset what the kernel wants as mmap's offset for this ring
   * @returns the offset of the ring's first byte in `buffer`
   * @throws SystemError
   */
  mapRing(fd: number, length: number, pageOffset: number): number {
    const size = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const offset = this.#place(size);
    const flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    const at = this.#address + offset;
    const result = libc.mmap(at, size, PROT_READ_WRITE, flags, fd, pageOffset);
    must(result, 'mmap', `ring of ${size} bytes on fd ${fd}`);
    return offset;
  }

  /** Maps private, zeroed memory of this process, for arrays that the kernel reads by address. */
  mapPrivate(length: number): number {
    const size = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const offset = this.#place(size);
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const result = libc.mmap(this.#address + offset, size, PROT_READ_WRITE, flags, -1, 0);
    must(result, 'mmap', `${size} bytes`);
    return offset;
  }

  /** Takes a ring out again: its socket can then be destroyed, and its place be used again. */
  unmapRing(offset: number, length: number): void {
    const size = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    const result = libc.mmap(this.#address + offset, size, PROT_NONE, flags, -1, 0);
    must(result, 'mmap', 'returning a ring to the reservation');
    const gaps = this.#free.get(size);
    if (gaps === undefined) this.#free.set(size, [offset]);
    else gaps.push(offset);
  }
}

/** Reserves the range and maps the memory file at its start: what every process does first. */
export function attachMemoryFile(fd: number, size: number): ReservedRange {
  const range = ReservedRange.reserve();
  range.mapMemoryFile(fd, size);
  return range;
}
