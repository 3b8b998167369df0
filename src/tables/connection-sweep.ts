// Expiry of connections, and everything else that is owed to a record after its life: freeing what
// has been in limbo long enough, and cleaning up what killed processors have left half done. Part of
// the packet engine's housekeeping: a bounded step per turn.
//
// Each processor sweeps its own, contiguous share of the records, so only one process ever frees a
// given record. The hand moves over the bitmap and skips free records 32 at a time; with the budget
// of `budgetFor` it comes round in about four seconds, or in half a second while there is something urgent
// to be found.
//
// Connections of backends whose connections are to be ended (BACKEND_ENDS_CONNECTIONS) are ended when the
// hand finds them; those of TCP whose ends must be told are only listed in `endings`, for whoever can send
// (switching/end-connections.ts) to end them in the same turn, or to leave them for the next round.
//
// When fewer than 1/64 of the records are free, connections that are not (or no more) established
// are ended early, until 1/32 are free: those idle for 1/8 of their timeout in the first round, for
// 1/64 in the next, and so on, so the oldest go first. The level falls again round by round, so that
// a flood that goes on does not begin anew. Established ones and answered UDP conversations stay.

import {
  COUNTER_CONNECTIONS_TAKEN,
  COUNTER_ENDED,
  COUNTER_EVICTED,
  COUNTER_EXPIRED,
  COUNTER_HALF_OPEN,
  COUNTER_RECORDS_RECLAIMED,
  COUNTER_SWEPT,
  countersBase,
  sumCounter,
} from '../memory/counters.ts';
import type { MainMemory } from '../memory/region.ts';
import {
  BACKEND_ENDS_CONNECTIONS,
  backendFlags,
  endingBackendCount,
  FORWARDING_DSR,
  FORWARDING_SOURCE_NAT,
  SERVICE_ADOPTS_CONNECTIONS,
  serviceFlags,
  timeoutMs,
} from './configuration-table.ts';
import * as record from './connection-record.ts';
import { ConnectionRecount } from './connection-recount.ts';
import { STATE_CLOSE, STATE_ESTABLISHED, STATE_TIME_WAIT, STATE_UDP } from './connection-states.ts';
import type { ConnectionTable } from './connection-table.ts';

/** Milliseconds in which the hand comes round. */
const SWEEP_ROUND_MS = 4000;
const URGENT_ROUND_MS = 500;
/** Endings listed in one step: no more are looked for then. A word of the bitmap may add 32. */
const ENDINGS_MAX = 96;
/** Under pressure each round cuts the timeouts of what is not established by another 2^3. */
const PRESSURE_SHIFT = 3;
const PRESSURE_LEVEL_MAX = 10;
/** Not even pressure ends what was seen this recently: else no handshake could ever be completed. */
const PRESSURE_IDLE_MS = 250;
const PRESSURE_BUDGET = 4;
/** Longer than any timeout. */
export const PATIENT = 0x7fffffff;

export class ConnectionSweep {
  private readonly memory: MainMemory;
  private readonly table: ConnectionTable;
  private readonly recount: ConnectionRecount;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly lines: number;
  private readonly bitmap: number;
  private readonly firstWord: number;
  private readonly endWord: number;
  /** The budget that a whole round takes when every record is taken. */
  private readonly roundWork: number;
  private readonly counters: number;
  /** More taken records than this raise the pressure, … */
  private readonly pressureLimit: number;
  /** … and while there are more than this, it is acted on. */
  private readonly reliefLimit: number;
  /** Word of the bitmap that the hand points at. */
  private hand: number;
  /** 0: no pressure; otherwise how many rounds it has lasted, up to PRESSURE_LEVEL_MAX. */
  private level: number;
  /** The level, or 0 in a step that need not act on it. */
  private pressure: number;
  /** Index into `words` of the active configuration table; -1: not known, nothing expires. */
  private configuration: number;
  private handshakePatienceMs = PATIENT;
  /** Whether there are backends whose connections are to be ended. */
  private isEnding = false;
  /** Rounds, the present one included, in which some may be found. */
  private urgentRounds = 0;
  /** Records whose TCP connections are to be ended, as the last step has found them. */
  readonly endings = new Int32Array(ENDINGS_MAX + 32);
  endingCount = 0;

  constructor(memory: MainMemory, processor: number, table: ConnectionTable) {
    const { layout } = memory;
    const bitmapWords = Math.ceil(layout.connections / 32);
    this.memory = memory;
    this.table = table;
    this.recount = new ConnectionRecount(memory, processor, table);
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.lines = layout.connectionRecords >> 2;
    this.bitmap = layout.connectionBitmap >> 2;
    this.firstWord = Math.floor((processor * bitmapWords) / layout.processors);
    this.endWord = Math.floor(((processor + 1) * bitmapWords) / layout.processors);
    this.roundWork = (this.endWord - this.firstWord) * 33;
    this.counters = countersBase(memory, processor);
    this.pressureLimit = layout.connections - Math.ceil(layout.connections / 64);
    this.reliefLimit = layout.connections - Math.ceil(layout.connections / 32);
    this.hand = this.firstWord;
    this.pressure = 0;
    this.level = 0;
    this.configuration = -1;
  }

  /** The configuration table that holds the timeouts: whenever its generation has changed. @hot */
  useConfiguration(wordsBase: number): void {
    this.configuration = wordsBase;
    this.isEnding = endingBackendCount(this.words, wordsBase) > 0;
    // What is left of this round, and a whole one.
    this.urgentRounds = this.isEnding ? 2 : 0;
  }

  /** The budget that brings the hand round in time, `elapsedMs` after the last step. @hot */
  budgetFor(elapsedMs: number): number {
    const isUrgent = this.urgentRounds > 0 || this.recount.isUnderWay();
    const roundMs = isUrgent ? URGENT_ROUND_MS : SWEEP_ROUND_MS;
    return Math.min(Math.ceil((this.roundWork * elapsedMs) / roundMs), this.roundWork);
  }

  /**
   * Moves the hand on; `budget` is in bitmap words and records looked at, exceeded by one word at
   * most. Returns how many records were looked at. @hot
   */
  sweep(nowMs: number, budget: number): number {
    this.table.epoch.tryAdvance();
    this.recount.step();
    this.endingCount = 0;
    if (this.firstWord === this.endWord) {
      this.recount.endRound();
      return 0;
    }
    this.feelPressure();
    const wanted = this.pressure > 0 ? budget * PRESSURE_BUDGET : budget;
    let left = Math.min(wanted, this.roundWork);
    let looked = 0;
    while (left > 0 && this.endingCount < ENDINGS_MAX) {
      let taken = this.words[this.bitmap + this.hand];
      const first = this.hand << 5;
      while (taken !== 0) {
        const bit = taken & -taken;
        taken ^= bit;
        this.look(first + 31 - Math.clz32(bit), nowMs);
        looked = (looked + 1) | 0;
        left = (left - 1) | 0;
      }
      left = (left - 1) | 0;
      this.hand = (this.hand + 1) | 0;
      if (this.hand >= this.endWord) {
        this.endRound();
        break;
      }
    }
    this.doubles[this.counters + COUNTER_SWEPT] += looked;
    return looked;
  }

  /**
   * How long a client may leave its handshake incomplete and say nothing: during a flood of them less than
   * the timeouts say. @hot
   */
  setHandshakePatience(ms: number): void {
    this.handshakePatienceMs = ms;
  }

  /** Records that are taken, over all processors. @hot */
  takenCount(): number {
    return sumCounter(this.memory, COUNTER_CONNECTIONS_TAKEN);
  }

  /** TCP connections whose handshake is not complete, over all processors. @hot */
  halfOpenCount(): number {
    return sumCounter(this.memory, COUNTER_HALF_OPEN);
  }

  /** Whether free records are so few that connections are ended early. @hot */
  isUnderPressure(): boolean {
    return this.pressure > 0;
  }

  /** @hot */
  private feelPressure(): void {
    const taken = this.takenCount();
    if (this.level === 0 && taken > this.pressureLimit) this.level = 1;
    this.pressure = taken > this.reliefLimit ? this.level : 0;
  }

  /** @hot */
  private endRound(): void {
    this.hand = this.firstWord;
    this.recount.endRound();
    if (this.urgentRounds > 0) this.urgentRounds = (this.urgentRounds - 1) | 0;
    if (this.level === 0) return;
    const isFull = this.takenCount() > this.pressureLimit;
    if (!isFull) this.level = (this.level - 1) | 0;
    else if (this.level < PRESSURE_LEVEL_MAX) this.level = (this.level + 1) | 0;
  }

  /** What the sweep owes to one taken record. @hot */
  private look(number: number, nowMs: number): void {
    const line = this.lines + (number << record.RECORD_SHIFT);
    const life = this.recount.carry(line, this.words[line]);
    const state = life & record.LIFE_STATE;
    if (state === record.LIFE_LIVE || state === record.LIFE_HALF_OPEN) {
      if (this.configuration >= 0) this.expire(number, line, nowMs);
      return;
    }
    const epoch = this.table.epoch;
    if (state === record.LIFE_FREE) {
      // Being reserved at this moment, or by somebody who was killed then.
      const suspect = (epoch.now() << record.LIFE_EPOCH_SHIFT) | record.LIFE_SUSPECT;
      Atomics.compareExchange(this.words, line, life, suspect);
      return;
    }
    if (!epoch.hasPassed(life >>> record.LIFE_EPOCH_SHIFT)) return;
    if (state === record.LIFE_LIMBO) {
      this.table.release(number);
      return;
    }
    if (state === record.LIFE_SUSPECT) {
      const seen = Atomics.compareExchange(this.words, line, life, record.LIFE_FREE);
      if (seen !== life) return;
      this.table.releaseUnreserved(number);
    } else {
      this.table.bury(number);
    }
    this.doubles[this.counters + COUNTER_RECORDS_RECLAIMED] += 1;
  }

  /** @hot */
  private expire(number: number, line: number, nowMs: number): void {
    const words = this.words;
    if (this.isEnding && this.isToEnd(line)) {
      this.end(number, line);
      return;
    }
    const server = line + record.LINE_WORDS;
    const sinceClient = (nowMs - words[line + record.LINE_LAST_SEEN]) | 0;
    const sinceServer = (nowMs - words[server + record.LINE_LAST_SEEN]) | 0;
    const idleMs = Math.min(sinceClient, sinceServer);
    const state = this.table.stateOf(number);
    const service = words[line + record.LINE_IDS] >>> 16;
    const timeout = timeoutMs(words, this.configuration, service, state);
    if (idleMs >= timeout) {
      if (this.table.remove(number) === 1) this.doubles[this.counters + COUNTER_EXPIRED] += 1;
      return;
    }
    const isHalfOpen = (words[line] & record.LIFE_STATE) === record.LIFE_HALF_OPEN;
    if (isHalfOpen && sinceClient >= this.handshakePatienceMs) {
      if (this.table.remove(number) === 1) this.doubles[this.counters + COUNTER_EVICTED] += 1;
      return;
    }
    if (this.pressure === 0 || this.isSettled(state, line)) return;
    const enough = timeout >> (this.pressure * PRESSURE_SHIFT);
    if (idleMs < Math.max(enough, PRESSURE_IDLE_MS)) return;
    if (this.table.remove(number) === 1) this.doubles[this.counters + COUNTER_EVICTED] += 1;
  }

  /** Whether it is a connection of a backend whose connections are to be ended. @hot */
  private isToEnd(line: number): boolean {
    const backend = this.words[line + record.LINE_IDS] & 0xffff;
    const flags = backendFlags(this.words, this.configuration, backend);
    if ((flags & BACKEND_ENDS_CONNECTIONS) === 0) return false;
    return !record.isTemplate(this.words[line + record.LINE_PORT]);
  }

  /** @hot */
  private end(number: number, line: number): void {
    // There may be more than one step can list, or than may be told at once.
    if (this.urgentRounds === 0) this.urgentRounds = 1;
    if (this.mustBeTold(number, line)) {
      this.endings[this.endingCount] = number;
      this.endingCount = (this.endingCount + 1) | 0;
    } else if (this.table.remove(number) === 1) {
      this.doubles[this.counters + COUNTER_ENDED] += 1;
    }
  }

  /**
   * Whether its ends must be told that it has ended: not UDP's, which never learn; not what is closed or
   * half-open, where nobody waits in silence; and not where another backend takes over what goes on. @hot
   */
  private mustBeTold(number: number, line: number): boolean {
    const { words } = this;
    if ((words[line] & record.LIFE_STATE) === record.LIFE_HALF_OPEN) return false;
    const state = this.table.stateOf(number);
    if (state === STATE_UDP || state === STATE_TIME_WAIT || state === STATE_CLOSE) return false;
    const flags = serviceFlags(words, this.configuration, words[line + record.LINE_IDS] >>> 16);
    return (flags & SERVICE_ADOPTS_CONNECTIONS) === 0;
  }

  /** Whether pressure spares it: established, or UDP that the server has answered. @hot */
  private isSettled(state: number, line: number): boolean {
    if (state === STATE_ESTABLISHED) return true;
    if (state !== STATE_UDP) return false;
    const forwarding = this.words[line + record.LINE_PORT] & 0xff;
    if (forwarding === FORWARDING_DSR) return true;
    if (forwarding === FORWARDING_SOURCE_NAT) return this.words[line + record.LINE_MARKS] !== 0;
    return this.words[line + record.LINE_WORDS + record.LINE_MARKS] !== 0;
  }
}
