// What each backend has carried: two cache lines per (processor, backend), written by that processor
// only, so counting is a plain addition and the sums over all processors are right. (A single
// processor's `active` may be negative: it counts down what another had counted up.)
//
//   float64  0 active connections   1 connections ever
//            2 packets to the backend    3 bytes to it    4 packets from it    5 bytes from it
//            6 open connections, those that are closing left out
//            7 connections that it has answered    9 … of these, by a reset    10 resets from it
//           11 sum of answer times in ms    12 answer times (connection-answers.ts)
//           13 client network of the last reset that was no refusal    15 how often it was another one
//            8, 14 the gauges 0 and 6 once more: their second book (connection-gauges.ts)
//
// With direct server return the server's packets are not seen: 4, 5, 7, 9 … 13 and 15 stay 0.

import { BACKEND_COUNTERS_SIZE, MAX_BACKENDS } from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';

export const BACKEND_ACTIVE = 0;
export const BACKEND_CONNECTIONS = 1;
export const BACKEND_PACKETS_IN = 2;
export const BACKEND_BYTES_IN = 3;
export const BACKEND_PACKETS_OUT = 4;
export const BACKEND_BYTES_OUT = 5;
export const BACKEND_OPEN = 6;
export const BACKEND_ANSWERED = 7;
export const BACKEND_REFUSED = 9;
export const BACKEND_RESETS = 10;
export const BACKEND_ANSWER_TIME_MS = 11;
export const BACKEND_ANSWER_TIMES = 12;
export const BACKEND_RESET_NETWORK = 13;
export const BACKEND_RESETS_APART = 15;
/** From a gauge to its place in the second book. */
export const BACKEND_SECOND_BOOK = 8;
const BACKEND_DOUBLES = BACKEND_COUNTERS_SIZE / 8;

export interface BackendReading {
  /** Closing ones included, until their timeout. */
  readonly active: number;
  readonly open: number;
  readonly connections: number;
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly answered: number;
  readonly refused: number;
  readonly resets: number;
  /** Those that were no refusals; of several in a row to one client network only the first. */
  readonly resetsApart: number;
  /** Sum over `answers`, those of which the time was measured. */
  readonly answerTimeMs: number;
  readonly answers: number;
}

/** Index into `doubles` of the counters that `processor` keeps of backend 0. */
export function backendCountersBase(memory: MainMemory, processor: number): number {
  return (memory.layout.backendCounters + processor * MAX_BACKENDS * BACKEND_COUNTERS_SIZE) >> 3;
}

/** Index into `doubles` of a backend's counters; `base` from backendCountersBase. @hot */
export function backendCounters(base: number, backend: number): number {
  return base + Math.imul(backend, BACKEND_DOUBLES);
}

/** Sum over all processors of one counter (BACKEND_*) of a backend, of a gauge in both books. @hot */
export function sumBackend(memory: MainMemory, backend: number, counter: number): number {
  const sum = sumPlace(memory, backend, counter);
  if (counter !== BACKEND_ACTIVE && counter !== BACKEND_OPEN) return sum;
  return sum + sumPlace(memory, backend, counter + BACKEND_SECOND_BOOK);
}

/** @hot */
function sumPlace(memory: MainMemory, backend: number, counter: number): number {
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
    open: sumBackend(memory, backend, BACKEND_OPEN),
    connections: sumBackend(memory, backend, BACKEND_CONNECTIONS),
    packetsIn: sumBackend(memory, backend, BACKEND_PACKETS_IN),
    bytesIn: sumBackend(memory, backend, BACKEND_BYTES_IN),
    packetsOut: sumBackend(memory, backend, BACKEND_PACKETS_OUT),
    bytesOut: sumBackend(memory, backend, BACKEND_BYTES_OUT),
    answered: sumBackend(memory, backend, BACKEND_ANSWERED),
    refused: sumBackend(memory, backend, BACKEND_REFUSED),
    resets: sumBackend(memory, backend, BACKEND_RESETS),
    resetsApart: sumBackend(memory, backend, BACKEND_RESETS_APART),
    answerTimeMs: sumBackend(memory, backend, BACKEND_ANSWER_TIME_MS),
    answers: sumBackend(memory, backend, BACKEND_ANSWER_TIMES),
  };
}
