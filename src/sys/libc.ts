// The door to Linux: libc through koffi. Every system call of weir is declared here, once, with the
// plain C signature; the neighbours in this folder give them names and types that the rest of the
// program uses. Two rules hold: a call that may fail goes through `must`, which turns -1 into a
// SystemError; and the few calls of the packet path take only numbers (addresses are below 2^47 and
// so exact in a double), because a number costs koffi nothing and a Buffer 120 ns and more.
// Variadic functions (syscall, prctl, ioctl, fcntl) are declared with fixed arguments: on x86-64 and
// arm64 Linux both are passed in the same registers as long as no floating point is among them.

import { arch } from 'node:process';
import koffi from 'koffi';
import { WeirError } from '../base/errors.ts';
import { systemError } from './advice.ts';

/** What koffi takes for a pointer: nothing, an address, or memory of our own. */
export type Pointer = null | number | bigint | ArrayBuffer | NodeJS.ArrayBufferView;

// The libc that Node itself is linked with, so glibc and musl both do.
const library = koffi.load(null);

function declare<Signature>(name: string, result: string, parameters: string[]): Signature {
  return library.func(name, result, parameters) as unknown as Signature;
}

type Integers1 = (a: number) => number;
type Integers2 = (a: number, b: number) => number;
type Integers3 = (a: number, b: number, c: number) => number;

/** The raw calls: they return -1 on failure, and `lastErrno()` says why. */
export const libc = {
  mmap: declare<
    (at: number, size: number, protection: number, flags: number, fd: number, pos: number) => number
  >('mmap', 'intptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']),
  munmap: declare<Integers2>('munmap', 'int', ['uintptr_t', 'size_t']),
  madvise: declare<Integers3>('madvise', 'int', ['uintptr_t', 'size_t', 'int']),
  memfd_create: declare<(name: string, flags: number) => number>('memfd_create', 'int', [
    'const char *',
    'uint',
  ]),
  ftruncate: declare<Integers2>('ftruncate', 'int', ['int', 'int64_t']),
  socket: declare<Integers3>('socket', 'int', ['int', 'int', 'int']),
  bind: declare<(fd: number, address: Pointer, size: number) => number>('bind', 'int', [
    'int',
    'void *',
    'uint',
  ]),
  setsockopt: declare<
    (fd: number, level: number, option: number, value: Pointer, size: number) => number
  >('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint']),
  getsockopt: declare<
    (fd: number, level: number, option: number, value: Pointer, size: Pointer) => number
  >('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']),
  /** All numbers: it stands in the packet path. @hot */
  sendto: declare<
    (fd: number, data: number, size: number, flags: number, to: number, toSize: number) => number
  >('sendto', 'intptr_t', ['int', 'uintptr_t', 'size_t', 'int', 'uintptr_t', 'uint']),
  /** All numbers: it stands in the packet path. @hot */
  recvfrom: declare<
    (
      fd: number,
      data: number,
      size: number,
      flags: number,
      from: number,
      fromSize: number,
    ) => number
  >('recvfrom', 'intptr_t', ['int', 'uintptr_t', 'size_t', 'int', 'uintptr_t', 'uintptr_t']),
  send: declare<(fd: number, data: Pointer, size: number, flags: number) => number>(
    'send',
    'intptr_t',
    ['int', 'void *', 'size_t', 'int'],
  ),
  recv: declare<(fd: number, data: Pointer, size: number, flags: number) => number>(
    'recv',
    'intptr_t',
    ['int', 'void *', 'size_t', 'int'],
  ),
  /** All numbers: it stands in the loop of an idle processor. @hot */
  poll: declare<Integers3>('poll', 'int', ['uintptr_t', 'ulong', 'int']),
  close: declare<Integers1>('close', 'int', ['int']),
  dup: declare<Integers1>('dup', 'int', ['int']),
  fcntl: declare<Integers3>('fcntl', 'int', ['int', 'int', 'intptr_t']),
  ioctl: declare<(fd: number, request: number, argument: Pointer) => number>('ioctl', 'int', [
    'int',
    'ulong',
    'void *',
  ]),
  /** With addresses for data, of an event: when a processor has slept. @hot */
  read: declare<(fd: number, data: Pointer, size: number) => number>('read', 'intptr_t', [
    'int',
    'void *',
    'size_t',
  ]),
  /** With addresses for data, of an event: to wake a processor that sleeps. @hot */
  write: declare<(fd: number, data: Pointer, size: number) => number>('write', 'intptr_t', [
    'int',
    'void *',
    'size_t',
  ]),
  /** Microseconds, below a million. */
  usleep: declare<Integers1>('usleep', 'int', ['uint']),
  setitimer: declare<(which: number, timer: Pointer, old: Pointer) => number>('setitimer', 'int', [
    'int',
    'void *',
    'void *',
  ]),
  getpagesize: declare<() => number>('getpagesize', 'int', []),
  /** @hot */
  flock: declare<(fd: number, operation: number) => number>('flock', 'int', ['int', 'int']),
  sched_setaffinity: declare<(pid: number, size: number, mask: Pointer) => number>(
    'sched_setaffinity',
    'int',
    ['int', 'size_t', 'void *'],
  ),
  sched_getaffinity: declare<(pid: number, size: number, mask: Pointer) => number>(
    'sched_getaffinity',
    'int',
    ['int', 'size_t', 'void *'],
  ),
  prctl: declare<(option: number, a: Pointer, b: number, c: number, d: number) => number>(
    'prctl',
    'int',
    ['int', 'void *', 'ulong', 'ulong', 'ulong'],
  ),
  eventfd: declare<Integers2>('eventfd', 'int', ['uint', 'int']),
  if_nametoindex: declare<(name: string) => number>('if_nametoindex', 'uint', ['const char *']),
  execve: declare<
    (path: string, args: (string | null)[], environment: (string | null)[]) => number
  >('execve', 'int', ['const char *', 'const char **', 'const char **']),
  /** Once per turn. @hot */
  clock_gettime: declare<(clock: number, time: Pointer) => number>('clock_gettime', 'int', [
    'int',
    'void *',
  ]),
  kill: declare<Integers2>('kill', 'int', ['int', 'int']),
  setns: declare<Integers2>('setns', 'int', ['int', 'int']),
  getrlimit: declare<(resource: number, limits: Pointer) => number>('getrlimit', 'int', [
    'int',
    'void *',
  ]),
  setrlimit: declare<(resource: number, limits: Pointer) => number>('setrlimit', 'int', [
    'int',
    'void *',
  ]),
  syscall: declare<
    (number: number, a: Pointer, b: Pointer, c: Pointer, d: Pointer, e: Pointer) => number
  >('syscall', 'intptr_t', ['long', 'void *', 'void *', 'void *', 'void *', 'void *']),
} as const;

/** Numbers of the system calls that libc has no function for. */
const NUMBERS: Readonly<Record<string, Readonly<Record<'bpf' | 'capget' | 'capset', number>>>> = {
  x64: { bpf: 321, capget: 125, capset: 126 },
  arm64: { bpf: 280, capget: 90, capset: 91 },
};

/** Numbers that are the same on every architecture (all calls since Linux 5.1). */
const PIDFD_OPEN = 434;
const PIDFD_GETFD = 438;

/** The number of a system call on this machine's architecture. */
export function systemCallNumber(
  name: 'bpf' | 'capget' | 'capset' | 'pidfd_open' | 'pidfd_getfd',
): number {
  if (name === 'pidfd_open') return PIDFD_OPEN;
  if (name === 'pidfd_getfd') return PIDFD_GETFD;
  const numbers = NUMBERS[arch];
  if (numbers === undefined) {
    throw new WeirError(
      'ERR_PLATFORM_UNSUPPORTED',
      `weir does not know the system calls of ${arch}`,
      'run it on x86-64 or arm64',
    );
  }
  return numbers[name];
}

/** errno of the last call on this thread: to be read before any other call. */
export function lastErrno(): number {
  return koffi.errno();
}

/**
 * Gives `result` back unless it is -1.
 * @throws SystemError with call, errno name, subject and advice.
 */
export function must(result: number, call: string, subject = ''): number {
  if (result === -1) throw systemError(call, koffi.errno(), subject);
  return result;
}

/** The address of memory of ours, as a number. The caller keeps the memory alive. */
export function addressOf(memory: ArrayBuffer | NodeJS.ArrayBufferView): number {
  return Number(koffi.address(memory));
}

/** An ArrayBuffer over memory that is mapped at `address`; it must stay mapped for good. */
export function viewMemory(address: number, size: number): ArrayBuffer {
  return koffi.view(BigInt(address), size);
}

export function koffiVersion(): string {
  return koffi.version;
}

/** What koffi believes about the sizes of C's types here, for the self-test. */
export function sizeOfCType(type: string): number {
  return koffi.sizeof(type);
}

/** Closes a file descriptor; closing one that is not open is not an error. */
export function closeFd(fd: number): void {
  if (fd >= 0) libc.close(fd);
}

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** The file descriptor survives an execve of this process: all others that weir makes do not. */
export function setInheritable(fd: number): void {
  const flags = must(libc.fcntl(fd, F_GETFD, 0), 'fcntl(F_GETFD)', `fd ${fd}`);
  must(libc.fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC), 'fcntl(F_SETFD)', `fd ${fd}`);
}

/** An int option of a socket. */
export function setIntOption(
  fd: number,
  level: number,
  option: number,
  value: number,
  call: string,
  subject = '',
): void {
  must(libc.setsockopt(fd, level, option, new Int32Array([value]), 4), call, subject);
}

const MSG_DONTWAIT = 0x40;

/**
 * Tells the kernel that there is something to send on a socket whose transmit ring is mapped. That it
 * is busy, short of buffers or the link down is normal life: what was not sent stays in the ring.
 * @returns 0 or more when it was accepted, -1 when not. @hot
 */
export function kickTransmit(fd: number): number {
  return libc.sendto(fd, 0, 0, MSG_DONTWAIT, 0, 0);
}

/** Tells a driver that sleeps for want of free frames that there are some. @hot */
export function kickReceive(fd: number): number {
  return libc.recvfrom(fd, 0, 0, MSG_DONTWAIT, 0, 0);
}
