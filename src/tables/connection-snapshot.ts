// The connection table as control sees it: read-only copies for `weir connections`, the API and the
// metrics. Control takes no part in the epochs, so a record may be ended and reused while it is read;
// a copy is checked against the record's life before and after, and dropped when that has changed.

import type { MainMemory } from '../memory/region.ts';
import * as record from './connection-record.ts';
import { CONNECTION_STATES, type ConnectionState, stateAt } from './connection-states.ts';

const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;

/** One direction's counts. */
export interface DirectionSnapshot {
  /** Modulo 2^32. */
  readonly packets: number;
  readonly bytes: number;
  /** Monotonic millisecond, int32. */
  readonly lastSeenMs: number;
}

export interface ConnectionSnapshot {
  readonly record: number;
  readonly protocol: number;
  readonly forwarding: number;
  readonly service: number;
  readonly backend: number;
  readonly clientAddress: number;
  readonly clientPort: number;
  readonly serviceAddress: number;
  readonly servicePort: number;
  readonly backendAddress: number;
  readonly backendPort: number;
  readonly state: ConnectionState;
  /** Monotonic millisecond of insertion, exact to 8 ms. */
  readonly insertedMs: number;
  readonly toServer: DirectionSnapshot;
  readonly toClient: DirectionSnapshot;
}

function isFound(life: number): boolean {
  return (life & record.LIFE_FOUND) === record.LIFE_LIVE;
}

/** TCP or UDP: of a template, the protocol of its service. */
function transportOf(portWord: number): number {
  if (!record.isTemplate(portWord)) return record.protocolOf(portWord);
  const isTcp = record.protocolOf(portWord) === record.PROTOCOL_TEMPLATE_TCP;
  return isTcp ? PROTOCOL_TCP : PROTOCOL_UDP;
}

function directionAt(memory: MainMemory, line: number): DirectionSnapshot {
  return {
    packets: memory.words[line + record.LINE_PACKETS] >>> 0,
    bytes: memory.doubles[(line >> 1) + record.LINE_BYTES],
    lastSeenMs: memory.words[line + record.LINE_LAST_SEEN],
  };
}

/** Copy of one connection; undefined when the record is not live. */
export function snapshotRecord(memory: MainMemory, number: number): ConnectionSnapshot | undefined {
  const { words } = memory;
  const line = (memory.layout.connectionRecords >> 2) + (number << record.RECORD_SHIFT);
  const server = line + record.LINE_WORDS;
  if (!isFound(Atomics.load(words, line))) return undefined;
  const copyLife = words[server];
  const isTemplate = record.isTemplate(words[line + record.LINE_PORT]);
  const copy: ConnectionSnapshot = {
    record: number,
    protocol: transportOf(words[line + record.LINE_PORT]),
    forwarding: words[line + record.LINE_PORT] & 0xff,
    service: words[line + record.LINE_IDS] >>> 16,
    backend: words[line + record.LINE_IDS] & 0xffff,
    clientAddress: words[line + record.LINE_SOURCE],
    clientPort: isTemplate ? 0 : words[line + record.LINE_PORTS] >>> 16,
    serviceAddress: words[line + record.LINE_DESTINATION],
    servicePort: (words[line + record.LINE_PORTS] >>> (isTemplate ? 16 : 0)) & 0xffff,
    backendAddress: words[line + record.LINE_ADDRESS],
    backendPort: words[line + record.LINE_PORT] >>> 16,
    state: CONNECTION_STATES[stateAt(words, line)],
    insertedMs: copyLife & ~record.LIFE_STATE,
    toServer: directionAt(memory, line),
    toClient: directionAt(memory, server),
  };
  const isSame = isFound(Atomics.load(words, line)) && Atomics.load(words, server) === copyLife;
  return isSame ? copy : undefined;
}

/** Calls `visit` with the number of each record that is live at that moment, until it says false. */
export function eachLive(
  memory: MainMemory,
  visit: (number: number, line: number) => boolean,
): void {
  const { words, layout } = memory;
  const bitmap = layout.connectionBitmap >> 2;
  const lines = layout.connectionRecords >> 2;
  for (let i = 0; i < Math.ceil(layout.connections / 32); i++) {
    for (let taken = words[bitmap + i]; taken !== 0; taken &= taken - 1) {
      const number = i * 32 + 31 - Math.clz32(taken & -taken);
      const line = lines + (number << record.RECORD_SHIFT);
      if (isFound(words[line]) && !visit(number, line)) return;
    }
  }
}

/** Copies of up to `limit` live connections that `filter` lets through, by record number. */
export function snapshotConnections(
  memory: MainMemory,
  limit: number,
  filter: (connection: ConnectionSnapshot) => boolean = () => true,
): ConnectionSnapshot[] {
  const copies: ConnectionSnapshot[] = [];
  if (limit <= 0) return copies;
  eachLive(memory, (number) => {
    const copy = snapshotRecord(memory, number);
    if (copy !== undefined && filter(copy)) copies.push(copy);
    return copies.length < limit;
  });
  return copies;
}

/** How many live connections are in each state. Reads the whole table: seconds apart, not per request. */
export function countConnections(memory: MainMemory): Record<ConnectionState, number> {
  const counts = Object.fromEntries(CONNECTION_STATES.map((name) => [name, 0]));
  eachLive(memory, (_, line) => {
    counts[CONNECTION_STATES[stateAt(memory.words, line)]] += 1;
    return true;
  });
  return counts as Record<ConnectionState, number>;
}
