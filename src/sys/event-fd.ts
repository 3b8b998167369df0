// Wake-ups between processes: an eventfd(2) is a counter that poll(2) waits on. Whoever hands work to
// a processor that sleeps signals its event; the sleeper drains it. Both are allocation-free.
// Made by the supervisor, one per switching processor, and inherited by all of them and by control.

import { addressOf, libc, must } from './libc.ts';

const EFD_NONBLOCK = 0x800;
const SIZE = 8;

// Behind each other in one block: the 1 that is written, and room for what is read.
const block = new ArrayBuffer(64);
const words = new Int32Array(block);
words[0] = 1;
const oneAddress = addressOf(block);
const readAddress = oneAddress + SIZE;

/** Makes an event; its file descriptor is inheritable and never blocks. @throws SystemError */
export function createEvent(): number {
  return must(libc.eventfd(0, EFD_NONBLOCK), 'eventfd');
}

/** Wakes whoever sleeps on the event; harmless when nobody does. @hot */
export function signalEvent(fd: number): void {
  libc.write(fd, oneAddress, SIZE);
}

/** Takes all signals off the event. @returns 1 when there were any, else 0. @hot */
export function drainEvent(fd: number): number {
  return libc.read(fd, readAddress, SIZE) === SIZE ? 1 : 0;
}
