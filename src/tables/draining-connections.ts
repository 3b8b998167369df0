// What the connections of backends that are drained are doing: how many are in each state, how long the idlest
// has been idle, how old the oldest is. For control: it reads the whole connection table (bitmap first, then
// one line of each live record), so it is asked once in a while, and only while something is drained.
//
// The counters of a backend tell how many connections neither side has begun to close; a drain also waits
// for those that are closed on one side only, because the other may still be sending. They end within the
// timeouts `close-wait` and `fin-wait`.

import type { MainMemory } from '../memory/region.ts';
import { LIFE_STATE, LINE_IDS, LINE_LAST_SEEN, LINE_WORDS } from './connection-record.ts';
import { eachLive } from './connection-snapshot.ts';
import {
  CONNECTION_STATES,
  STATE_CLOSE,
  STATE_LAST_ACK,
  STATE_TIME_WAIT,
  STATE_UDP,
  stateAt,
} from './connection-states.ts';

export interface DrainingConnections {
  /** TCP connections on which either side may still send. */
  readonly tcp: number;
  /** UDP conversations within their timeout. */
  readonly udp: number;
  /** All of these by state; only states that occur. */
  readonly states: Readonly<Record<string, number>>;
  /** Since the last packet, either way, of the one that has been idle longest; 0 when there is none. */
  readonly idlestMs: number;
  readonly oldestMs: number;
}

class Tally {
  readonly states = new Float64Array(CONNECTION_STATES.length);
  idlestMs = 0;
  oldestMs = 0;
}

/**
 * Reads the connections of some backends.
 * @param backends numbers of the backends
 * @param nowMs monotonic millisecond, int32
 */
export function drainingConnections(
  memory: MainMemory,
  backends: Iterable<number>,
  nowMs: number,
): Map<number, DrainingConnections> {
  const tallies = new Map([...backends].map((backend) => [backend, new Tally()]));
  const { words } = memory;
  if (tallies.size > 0) {
    eachLive(memory, (_, line) => {
      const tally = tallies.get(words[line + LINE_IDS] & 0xffff);
      if (tally !== undefined) add(tally, words, line, nowMs);
      return true;
    });
  }
  return new Map([...tallies].map(([backend, tally]) => [backend, result(tally)]));
}

/** Whether nobody sends on it any more; a record that keeps a client with its backend is none at all. */
function isOver(state: number): boolean {
  return (
    state === STATE_TIME_WAIT ||
    state === STATE_CLOSE ||
    state === STATE_LAST_ACK ||
    state > STATE_UDP
  );
}

function add(tally: Tally, words: Int32Array, line: number, nowMs: number): void {
  const state = stateAt(words, line);
  if (isOver(state)) return;
  const server = line + LINE_WORDS;
  const idle = Math.min(
    (nowMs - words[line + LINE_LAST_SEEN]) | 0,
    (nowMs - words[server + LINE_LAST_SEEN]) | 0,
  );
  tally.states[state] += 1;
  tally.idlestMs = Math.max(tally.idlestMs, idle);
  tally.oldestMs = Math.max(tally.oldestMs, (nowMs - (words[server] & ~LIFE_STATE)) | 0);
}

function result({ states, idlestMs, oldestMs }: Tally): DrainingConnections {
  const occurring = CONNECTION_STATES.map((name, state) => [name, states[state]] as const).filter(
    ([, number]) => number > 0,
  );
  const all = states.reduce((sum, number) => sum + number, 0);
  const udp = states[STATE_UDP];
  return { tcp: all - udp, udp, states: Object.fromEntries(occurring), idlestMs, oldestMs };
}
