// Sleeping until a file descriptor has something to read: poll(2) on an array that is written once.
// A processor that has run out of work sleeps here; frames, or a neighbor's wake-up, end it.
// Before it sleeps it has shown so in main memory (PROCESSOR_SLEEPING), for others to wake it.

import { addressOf, libc } from './libc.ts';

const POLLFD_SIZE = 8;
const POLLIN = 1;

/** Bits of what `events` gives. */
export const EVENT_READABLE = 1;
/** There is nothing behind the file descriptor, such as a network device that was deleted. */
export const EVENT_ERROR = 8;
/** The file descriptor is not open. */
export const EVENT_INVALID = 32;

export class Sleeper {
  private readonly fileDescriptors: Int32Array;
  private readonly flags: Int16Array;
  private readonly address: number;
  private readonly count: number;

  /** Negative file descriptors are allowed and never wake. */
  constructor(fds: readonly number[]) {
    // Memory of an ArrayBuffer does not move, so its address is taken once.
    const array = new ArrayBuffer(Math.max(64, fds.length * POLLFD_SIZE));
    this.fileDescriptors = new Int32Array(array);
    this.flags = new Int16Array(array);
    this.address = addressOf(array);
    this.count = fds.length;
    fds.forEach((fd, i) => {
      this.fileDescriptors[i * 2] = fd;
      this.flags[i * 4 + 2] = POLLIN;
    });
  }

  /**
   * Sleeps until something is readable or `timeoutMs` milliseconds are over.
   * @returns how many file descriptors have events; 0 also when a signal ended it. @hot
   */
  sleep(timeoutMs: number): number {
    const ready = libc.poll(this.address, this.count, timeoutMs);
    return Math.max(ready, 0);
  }

  /** EVENT_* of the file descriptor given as number `index`, at the last sleep. @hot */
  events(index: number): number {
    return this.flags[index * 4 + 3];
  }

  /** Leaves one out from now on: an interface that is gone would end every sleep at once. */
  ignore(index: number): void {
    this.fileDescriptors[index * 2] = -1;
  }
}
