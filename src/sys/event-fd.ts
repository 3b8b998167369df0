// Wake-ups between processes: an eventfd(2) is a counter that poll(2) waits on. Whoever hands work to
// a processor that sleeps signals its event; the sleeper drains it. Both are allocation-free.
// Made by the supervisor, one per switching processor, and given to all of them and to control.

import { addressOf, libc, must } from './libc.ts';

const EFD_CLOEXEC = 0x80000;
const EFD_NONBLOCK = 0x800;
const SIZE = 8;

// Behind each other in one block: the 1 that is written, and room for what is read. The functions
// below touch it by name: what only the kernel knows, by its address, would be collected.
const words = new Int32Array(new ArrayBuffer(64));
const oneAddress = addressOf(words);
const readAddress = oneAddress + SIZE;

/** Makes an event; its file descriptor never blocks. @throws SystemError */
export function createEvent(): number {
  return must(libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), 'eventfd');
}

/** Wakes whoever sleeps on the event; harmless when nobody does. @hot */
export function signalEvent(fd: number): void {
  words[0] = 1;
  libc.write(fd, oneAddress, SIZE);
}

/** Takes all signals off the event. @returns 1 when there were any, else 0. @hot */
export function drainEvent(fd: number): number {
  words[2] = 0;
  return libc.read(fd, readAddress, SIZE) === SIZE ? 1 : 0;
}
