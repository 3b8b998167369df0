// The block of an interface in main memory (memory/layout.ts, INTERFACE_*), which control and the
// switching processors read: what it is, how it was opened, and what of it changes while it is open.
// Writer: the supervisor alone, word by word.

import {
  INTERFACE_BUSY_POLL_BUDGET,
  INTERFACE_BUSY_POLL_ERRNO,
  INTERFACE_INDEX,
  INTERFACE_KIND,
  INTERFACE_LINK_UP,
  INTERFACE_MAC_HIGH,
  INTERFACE_MAC_LOW,
  INTERFACE_MODE,
  INTERFACE_MTU,
  INTERFACE_NAME,
  INTERFACE_QUEUE_PROCESSOR,
  INTERFACE_QUEUES,
  INTERFACE_QUEUES_WITH_NAPI,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { INTERFACE_KINDS, INTERFACE_MODES, type InterfaceMode } from '../netif/contract.ts';
import { readNapiId } from '../sys/busy-poll.ts';
import type { LinkState } from '../sys/link.ts';

/** An interface as it was opened. */
export interface OpenedState {
  readonly kind: 'af-xdp' | 'af-packet';
  readonly mode: InterfaceMode;
  readonly link: LinkState;
  /** 0 where busy polling is not wanted. */
  readonly busyPollBudget: number;
  readonly busyPollErrno: number;
}

type Set = (word: number, value: number) => void;

function writer(memory: MainMemory, interfaceNumber: number): Set {
  return (word, value) => {
    Atomics.store(memory.words, memory.interfaceWord(interfaceNumber, word), value);
  };
}

/** Writes all of it, when the interface has been opened. */
export function writeInterfaceBlock(
  memory: MainMemory,
  interfaceNumber: number,
  opened: OpenedState,
  processorOfQueue: readonly number[],
): void {
  const { link, kind, mode, busyPollBudget, busyPollErrno } = opened;
  const set = writer(memory, interfaceNumber);
  set(INTERFACE_KIND, INTERFACE_KINDS.indexOf(kind));
  set(INTERFACE_MODE, INTERFACE_MODES.indexOf(mode));
  set(INTERFACE_QUEUES, processorOfQueue.length);
  set(INTERFACE_BUSY_POLL_BUDGET, busyPollBudget);
  set(INTERFACE_BUSY_POLL_ERRNO, busyPollErrno);
  set(INTERFACE_QUEUES_WITH_NAPI, 0);
  for (const [queue, processor] of processorOfQueue.entries()) {
    set(INTERFACE_QUEUE_PROCESSOR + queue, processor);
  }
  const start = memory.interfaceWord(interfaceNumber, INTERFACE_NAME) * 4;
  memory.bytes.fill(0, start, start + 16);
  memory.bytes.set(Buffer.from(link.name, 'ascii').subarray(0, 15), start);
  noteLink(memory, interfaceNumber, link);
}

/** Writes what can change of a link: state, MAC address, MTU. */
export function noteLink(memory: MainMemory, interfaceNumber: number, link: LinkState): void {
  const set = writer(memory, interfaceNumber);
  const mac = new DataView(link.mac.buffer, link.mac.byteOffset, 6);
  set(INTERFACE_INDEX, link.index);
  set(INTERFACE_MAC_HIGH, mac.getUint16(0));
  set(INTERFACE_MAC_LOW, mac.getInt32(2));
  set(INTERFACE_MTU, link.mtu);
  set(INTERFACE_LINK_UP, link.up && link.running ? 1 : 0);
}

/**
 * Writes of how many AF_XDP sockets the kernel knows the NAPI instance: before Linux 6.13 it learns that
 * from the first frame.
 */
export function noteNapi(
  memory: MainMemory,
  interfaceNumber: number,
  fileDescriptors: readonly number[],
): void {
  const known = fileDescriptors.filter((fd) => readNapiId(fd) !== 0).length;
  writer(memory, interfaceNumber)(INTERFACE_QUEUES_WITH_NAPI, known);
}
