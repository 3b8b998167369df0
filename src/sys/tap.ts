// TAP devices: network interfaces of the kernel whose cable ends in a file descriptor. What is written
// there the kernel receives as a frame, what it sends is read there, one frame at a time, without waiting.
// The device lives for as long as any process has the descriptor open; one that was deleted from
// outside leaves the descriptor behind, on which the device can be made again: so whoever has inherited
// the descriptor has the new device at once. Documentation/networking/tuntap.rst.

import { constants, openSync } from 'node:fs';
import { systemError } from './advice.ts';
import { lastErrno, libc, must } from './libc.ts';

const DEVICE = '/dev/net/tun';
const TUNSETIFF = 0x400454ca;
const TUNGETIFF = 0x800454d2;
/** _IO('T', 227): since Linux 5.2. */
const TUNGETDEVNETNS = 0x54e3;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFREQ_SIZE = 40;
const IFREQ_DATA = 16;
const NAME_SIZE = 16;

/** Opens the cable's end, without a device yet; it never waits. @throws SystemError */
export function openTap(): number {
  try {
    return openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    throw systemError(`open(${DEVICE})`, -errno, '');
  }
}

/**
 * Makes the device `name` on a descriptor that has none, in the network namespace in which this thread was
 * at `openTap`. @throws SystemError
 */
export function makeTap(fd: number, name: string): void {
  const request = new DataView(new ArrayBuffer(IFREQ_SIZE));
  new Uint8Array(request.buffer).set(new TextEncoder().encode(name).subarray(0, NAME_SIZE - 1));
  request.setUint16(IFREQ_DATA, IFF_TAP | IFF_NO_PI, true);
  must(libc.ioctl(fd, TUNSETIFF, request), 'ioctl(TUNSETIFF)', `interface ${name}`);
}

/** Whether the descriptor has a device, wherever that has been moved to. */
export function hasTap(fd: number): boolean {
  return libc.ioctl(fd, TUNGETIFF, new Uint8Array(IFREQ_SIZE)) === 0;
}

/** Opens the namespace that the device is in now. The caller closes it. @throws SystemError */
export function openTapNamespace(fd: number): number {
  return must(libc.ioctl(fd, TUNGETDEVNETNS, null), 'ioctl(TUNGETDEVNETNS)');
}

/** Writes a frame of `length` bytes at `address` to the device. @returns 0, or the errno. */
export function writeFrame(fd: number, address: number, length: number): number {
  return libc.write(fd, address, length) === -1 ? lastErrno() : 0;
}

/** Reads a frame to `address`, at most `size` bytes. @returns its length; -1: there is none. */
export function readFrame(fd: number, address: number, size: number): number {
  return libc.read(fd, address, size);
}
