// What the processes that the supervisor starts inherit: file descriptors, and under which numbers. Every
// switching processor inherits everything that keeps the machine alive, so that a supervisor that takes
// over finds all of it in any of them, under the numbers that the state file has.

import type { Machine } from './supervisor.ts';

/** In a child, inherited descriptors are numbered from here on, in the order of their list. */
const FIRST_INHERITED = 3;

/** Descriptors that a child inherits, in order; each keeps one number however often it is added. */
export class InheritanceList {
  readonly list: number[] = [];

  /** @returns its number in the child */
  add(fd: number): number {
    const known = this.list.indexOf(fd);
    if (known >= 0) return FIRST_INHERITED + known;
    return FIRST_INHERITED + this.list.push(fd) - 1;
  }
}

/** What every switching processor inherits, and the machine's descriptors as numbered there. */
export function inheritance(machine: Machine) {
  const inherited = new InheritanceList();
  const numbered = {
    memoryFileDescriptor: inherited.add(machine.memoryFileDescriptor),
    eventFileDescriptors: machine.eventFileDescriptors.map((fd) => inherited.add(fd)),
    interfaces: machine.interfaces.map(({ isShared, queues, heldFileDescriptors }) => ({
      isShared,
      queues: queues.map((queue) => ({
        ...queue,
        fileDescriptor: inherited.add(queue.fileDescriptor),
      })),
      heldFileDescriptors: heldFileDescriptors.map((fd) => inherited.add(fd)),
    })),
    control: machine.control && {
      settings: machine.control.settings,
      deviceFileDescriptor: inherited.add(machine.control.deviceFileDescriptor),
      daemonEventFileDescriptor: inherited.add(machine.control.daemonEventFileDescriptor),
    },
  };
  return { list: inherited.list, numbered };
}
