// What must hold before anything else is tried: that koffi calls libc as we think, that errno is
// read, that C's types have the sizes our structures count on, that memory mapped twice is the same
// memory with atomic operations on it, and that the kernel is new enough. Runs in some milliseconds
// at every start; a failure is a clear error instead of a crash later on.

import { release } from 'node:os';
import { arch, platform } from 'node:process';
import { WeirError } from '../base/errors.ts';
import { errnoName } from './advice.ts';
import { koffiVersion, lastErrno, libc, sizeOfCType, viewMemory } from './libc.ts';

/** The koffi that the declarations were tried with. */
const KOFFI_VERSION = '3.3.4';
/** XDP links came with 5.9. */
const KERNEL_MAJOR = 5;
const KERNEL_MINOR = 9;

function fail(what: string): never {
  throw new WeirError(
    'ERR_SELF_TEST',
    `self-test: ${what}`,
    'reinstall with `npm ci`; if it stays, this machine is not one that weir was tried on',
  );
}

/** Throws unless `version` ('6.1.0-18-amd64') is at least 5.9. */
export function checkKernelVersion(version: string): void {
  const [major, minor] = version.split(/[.-]/).map(Number);
  if (major > KERNEL_MAJOR || (major === KERNEL_MAJOR && minor >= KERNEL_MINOR)) return;
  throw new WeirError(
    'ERR_KERNEL_TOO_OLD',
    `Linux ${version} is too old: weir needs ${KERNEL_MAJOR}.${KERNEL_MINOR} or later`,
    'upgrade the kernel',
  );
}

function checkPlatform(): void {
  if (platform === 'linux' && (arch === 'x64' || arch === 'arm64')) return;
  throw new WeirError(
    'ERR_PLATFORM_UNSUPPORTED',
    `weir does not run on ${platform} ${arch}`,
    'run it on Linux, x86-64 or arm64',
  );
}

function checkTypes(): void {
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  if (!little) fail('the processor is big-endian');
  if (koffiVersion() !== KOFFI_VERSION) {
    fail(`koffi is ${koffiVersion()}, weir was built for ${KOFFI_VERSION}`);
  }
  for (const [type, size] of [
    ['int', 4],
    ['long', 8],
    ['size_t', 8],
    ['void *', 8],
    ['intptr_t', 8],
  ] as const) {
    if (sizeOfCType(type) !== size) fail(`${type} has ${sizeOfCType(type)} bytes, not ${size}`);
  }
}

function checkErrno(): void {
  const result = libc.close(-1);
  const name = errnoName(lastErrno());
  if (result !== -1 || name !== 'EBADF') fail(`close(-1) gave ${result}, ${name}`);
}

function checkSharedMemory(): void {
  const fd = libc.memfd_create('weir-self-test', 0);
  if (fd === -1) fail(`memfd_create gave ${errnoName(lastErrno())}`);
  if (libc.ftruncate(fd, 4096) === -1) fail(`ftruncate gave ${errnoName(lastErrno())}`);
  // Mapped twice and left so: a view must never outlive its memory, and 8 KiB hurt nobody.
  const first = libc.mmap(0, 4096, 3, 1, fd, 0);
  const second = libc.mmap(0, 4096, 3, 1, fd, 0);
  libc.close(fd);
  if (first === -1 || second === -1) fail(`mmap gave ${errnoName(lastErrno())}`);
  const written = new Int32Array(viewMemory(first, 4096));
  const read = new Int32Array(viewMemory(second, 4096));
  Atomics.store(written, 7, 0x57454952);
  if (Atomics.load(read, 7) !== 0x57454952) fail('two maps of one file differ');
  if (Atomics.compareExchange(read, 7, 0x57454952, -2) !== 0x57454952) fail('compare-and-swap');
  if (Atomics.add(written, 7, 1) !== -2 || read[7] !== -1) fail('atomic operations on a map');
}

/** Runs every check. @throws WeirError that says which one failed. */
export function runSelfTest(): void {
  checkPlatform();
  checkKernelVersion(release());
  checkTypes();
  checkErrno();
  checkSharedMemory();
}
