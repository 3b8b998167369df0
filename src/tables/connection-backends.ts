// What each backend has carried: one cache line per (processor, backend), written by that processor
// only, so counting is a plain addition and the sums over all processors are right. (A single
// processor's `active` may be negative: it counts down what another had counted up.)
//
//   float64 0 active connections   1 connections ever
//           2 packets to the backend    3 bytes to it    4 packets from it    5 bytes from it

import { BACKEND_COUNTERS_SIZE, MAX_BACKENDS } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';

export const BACKEND_ACTIVE = 0;
export const BACKEND_CONNECTIONS = 1;
export const BACKEND_PACKETS_IN = 2;
export const BACKEND_BYTES_IN = 3;
export const BACKEND_PACKETS_OUT = 4;
export const BACKEND_BYTES_OUT = 5;
const BACKEND_DOUBLES = BACKEND_COUNTERS_SIZE / 8;

export interface BackendReading {
  readonly active: number;
  readonly connections: number;
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
}

/** Index into `doubles` of the counters that `processor` keeps of backend 0. */
export function backendCountersBase(memory: MainMemory, processor: number): number {
  return (memory.layout.backendCounters + processor * MAX_BACKENDS * BACKEND_COUNTERS_SIZE) >> 3;
}

/** Index into `doubles` of a backend's counters; `base` from backendCountersBase. @hot */
export function backendCounters(base: number, backend: number): number {
  return base + Math.imul(backend, BACKEND_DOUBLES);
}

/** Sum over all processors of one counter (BACKEND_*) of a backend. @hot */
export function sumBackend(memory: MainMemory, backend: number, counter: number): number {
  let index = backendCounters(memory.layout.backendCounters >> 3, backend) + counter;
  let sum = 0;
  for (let p = memory.layout.processors; p > 0; p--) {
    sum += memory.doubles[index];
    index = (index + MAX_BACKENDS * BACKEND_DOUBLES) | 0;
  }
  return sum;
}

/** All sums of a backend, for control. */
export function readBackend(memory: MainMemory, backend: number): BackendReading {
  return {
    active: sumBackend(memory, backend, BACKEND_ACTIVE),
    connections: sumBackend(memory, backend, BACKEND_CONNECTIONS),
    packetsIn: sumBackend(memory, backend, BACKEND_PACKETS_IN),
    bytesIn: sumBackend(memory, backend, BACKEND_BYTES_IN),
    packetsOut: sumBackend(memory, backend, BACKEND_PACKETS_OUT),
    bytesOut: sumBackend(memory, backend, BACKEND_BYTES_OUT),
  };
}
