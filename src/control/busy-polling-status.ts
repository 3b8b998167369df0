// Busy polling of an interface as `weir status` and `weir doctor` tell it: whether it is in effect, and
// why not. From what the supervisor has noted in main memory (supervisor/interface-block.ts), because
// control has none of the sockets.

import {
  INTERFACE_BUSY_POLL_BUDGET,
  INTERFACE_BUSY_POLL_ERRNO,
  INTERFACE_KIND,
  INTERFACE_QUEUES,
  INTERFACE_QUEUES_WITH_NAPI,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { INTERFACE_KINDS } from '../netif/contract.ts';
import { whyRefused } from '../sys/busy-poll.ts';
import type { BusyPollingStatus } from './status-shape.ts';

export function busyPollingStatus(memory: MainMemory, interfaceNumber: number): BusyPollingStatus {
  const read = (word: number): number => memory.words[memory.interfaceWord(interfaceNumber, word)];
  const budget = read(INTERFACE_BUSY_POLL_BUDGET);
  const queuesWithNapi = read(INTERFACE_QUEUES_WITH_NAPI);
  const reason = whyNotInEffect(budget, queuesWithNapi, read);
  return {
    budget: budget === 0 ? null : budget,
    queuesWithNapi,
    inEffect: reason === null,
    reason,
  };
}

function whyNotInEffect(
  budget: number,
  queuesWithNapi: number,
  read: (word: number) => number,
): string | null {
  if (budget === 0) return 'not configured';
  if (INTERFACE_KINDS[read(INTERFACE_KIND)] !== 'af-xdp') {
    return 'packet rings are used: only an AF_XDP socket can poll its driver';
  }
  const errno = read(INTERFACE_BUSY_POLL_ERRNO);
  if (errno !== 0) return whyRefused(errno);
  const queues = read(INTERFACE_QUEUES);
  if (queuesWithNapi === queues) return null;
  if (queuesWithNapi > 0) {
    return `the kernel knows a NAPI instance for ${queuesWithNapi} of ${queues} queues only`;
  }
  return 'the kernel knows no NAPI instance for its queues (number 0): the driver has or names none';
}
