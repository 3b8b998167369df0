// How the control host is: its device, its interface daemon and what has passed between them. Read from
// main memory, where the supervisor and the daemon write it; part of the status. Only reads: figures that
// belong together may be a frame apart.

import { readCounters } from '../memory/counters.ts';
import * as layout from '../memory/layout.ts';
import {
  DAEMON_HEARTBEAT,
  DAEMON_PID,
  DAEMON_RESTARTS,
  DAEMON_SLEEPING,
  daemonWord,
  readStorageCounters,
} from '../memory/packet-storage.ts';
import type { MainMemory } from '../memory/region.ts';
import type { Configuration } from './config/schema.ts';
import type { ControlHostStatus } from './status-shape.ts';

/** @param monotonicMs now, as in main memory */
export function controlHostStatus(
  memory: MainMemory,
  control: NonNullable<Configuration['control']>,
  monotonicMs: number,
): ControlHostStatus {
  const device = (word: number): number =>
    memory.words[memory.interfaceWord(layout.CONTROL_INTERFACE, word)];
  const daemon = (word: number): number =>
    Atomics.load(memory.words, daemonWord(memory.layout, word));
  const counters = readStorageCounters(memory);
  const { reasons } = readCounters(memory);
  return {
    device: control.device,
    namespace: control.namespace ?? null,
    addresses: control.addresses,
    mtu: device(layout.INTERFACE_MTU),
    up: device(layout.INTERFACE_LINK_UP) !== 0,
    madeAnew: device(layout.INTERFACE_REOPENED),
    daemon: {
      pid: daemon(DAEMON_PID),
      restarts: daemon(DAEMON_RESTARTS),
      heartbeatAgeMs: (monotonicMs - daemon(DAEMON_HEARTBEAT)) | 0,
      sleeping: daemon(DAEMON_SLEEPING) !== 0,
      wakeUps: counters.wakeUps,
    },
    toHost: {
      packets: counters.toHostPackets,
      bytes: counters.toHostBytes,
      droppedFull: reasons['packet-storage-full'],
      refusedByDevice: counters.toHostRefused,
    },
    fromHost: {
      packets: counters.fromHostPackets,
      bytes: counters.fromHostBytes,
      droppedFull: counters.fromHostDropped,
    },
  };
}
