// What is learned about a connection and its backend when the marks of one of its directions change
// (connection-states.ts): some six times in the life of a TCP connection, so that it costs nothing to
// the packets in between.
//
//   answered   the server's first packet has come; a connection without it for long speaks for a dead server
//   refused    … and was a reset, in answer to a SYN        resets: those of later, too
//   resets apart   of those of later, the ones to another client network than the one before. A client can
//              have a server reset its connections as often as it likes (it acknowledges what was never
//              sent, or talks on where nobody listens any more), so that one alone must not count for
//              much; a SYN is refused only by a server that wants nobody
//   answer time   from the client's first push (TCP: its request, whole or in part; without one, its last
//              packet; UDP: its last datagram) to the server's first one: the time that the application
//              took, not the kernel that acknowledges. In ms of the turns that saw the two.
//   open       neither side has sent a FIN or a reset
//
// Whether a connection is open stands in its life (LIFE_CLOSING), because each direction's marks are
// written by a processor of its own: of two that see it closing, one compare-and-swap takes it out of
// the gauge. A reset that is taken back by a later segment makes it open again.

import type { MainMemory } from '../memory/region.ts';
import { FORWARDING_DSR } from './configuration-table.ts';
import {
  BACKEND_ANSWER_TIME_MS,
  BACKEND_ANSWER_TIMES,
  BACKEND_ANSWERED,
  BACKEND_REFUSED,
  BACKEND_RESET_NETWORK,
  BACKEND_RESETS,
  BACKEND_RESETS_APART,
  backendCounters,
  backendCountersBase,
} from './connection-backends.ts';
import type { ConnectionGauges } from './connection-gauges.ts';
import * as record from './connection-record.ts';
import {
  PUSHED_AT_SHIFT,
  SEEN_ACK,
  SEEN_CLOSE,
  SEEN_PUSH,
  SEEN_RST,
  SEEN_SYN,
} from './connection-states.ts';

/** More contention over one life than this there is not: two processors, a few changes each. */
const ATTEMPTS = 16;
/** Client addresses that differ only in their last so many bits are one network. */
const NETWORK_SHIFT = 8;

export class ConnectionAnswers {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly lines: number;
  private readonly backends: number;
  private readonly gauges: ConnectionGauges;

  constructor(memory: MainMemory, processor: number, gauges: ConnectionGauges) {
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.lines = memory.layout.connectionRecords >> 2;
    this.backends = backendCountersBase(memory, processor);
    this.gauges = gauges;
  }

  /** A TCP segment changes the marks of an entry. @hot */
  change(entry: number, before: number, after: number, nowMs: number): void {
    const client = this.lines + ((entry >> 1) << record.RECORD_SHIFT);
    const fresh = after & ~before;
    if ((entry & 1) === 0) {
      const pushedAt = (fresh & SEEN_PUSH) !== 0 ? nowMs << PUSHED_AT_SHIFT : 0;
      Atomics.store(this.words, client + record.LINE_MARKS, after | pushedAt);
    } else {
      Atomics.store(this.words, client + record.LINE_WORDS + record.LINE_MARKS, after);
      if (before === 0) this.count(client, BACKEND_ANSWERED, 1);
      if ((fresh & SEEN_RST) !== 0) this.reset(client, before);
      if ((fresh & SEEN_PUSH) !== 0) this.measure(client, nowMs);
    }
    if (((before ^ after) & SEEN_CLOSE) !== 0) this.settle(client);
  }

  /** The first datagram of an entry. @hot */
  firstDatagram(entry: number, nowMs: number): void {
    const client = this.lines + ((entry >> 1) << record.RECORD_SHIFT);
    this.words[this.lines + (entry << record.LINE_SHIFT) + record.LINE_MARKS] = SEEN_ACK;
    if ((entry & 1) === 0) return;
    this.count(client, BACKEND_ANSWERED, 1);
    this.measure(client, nowMs);
  }

  /**
   * The client of a half-open connection has acknowledged something; it is complete unless the server has
   * said nothing yet, or no SYN to the client's. @hot
   */
  shakeHands(client: number, marks: number): void {
    const { words } = this;
    if ((words[client + record.LINE_PORT] & 0xff) !== FORWARDING_DSR) {
      const wanted = (marks & SEEN_SYN) !== 0 ? SEEN_SYN : SEEN_SYN | SEEN_ACK;
      if ((words[client + record.LINE_WORDS + record.LINE_MARKS] & wanted) === 0) return;
    }
    let life = Atomics.load(words, client);
    while ((life & record.LIFE_STATE) === record.LIFE_HALF_OPEN) {
      const live = life ^ record.LIFE_HALF_OPEN ^ record.LIFE_LIVE;
      const seen = Atomics.compareExchange(words, client, life, live);
      if (seen === life) {
        this.gauges.completed(life);
        return;
      }
      life = seen;
    }
  }

  /** The server resets; `before` are the marks that it had. @hot */
  private reset(client: number, before: number): void {
    const { words, doubles } = this;
    this.count(client, BACKEND_RESETS, 1);
    if (before === 0 && (words[client + record.LINE_MARKS] & SEEN_SYN) !== 0) {
      this.count(client, BACKEND_REFUSED, 1);
      return;
    }
    const backend = backendCounters(this.backends, words[client + record.LINE_IDS] & 0xffff);
    const network = words[client + record.LINE_SOURCE] >> NETWORK_SHIFT;
    if (doubles[backend + BACKEND_RESET_NETWORK] === network) return;
    doubles[backend + BACKEND_RESET_NETWORK] = network;
    doubles[backend + BACKEND_RESETS_APART] += 1;
  }

  /** @hot */
  private measure(client: number, nowMs: number): void {
    const marks = this.words[client + record.LINE_MARKS];
    // Of the push only the lowest 20 bits of its time are known: so shifted, the rest falls away.
    const elapsed =
      (marks & SEEN_PUSH) !== 0
        ? ((nowMs << PUSHED_AT_SHIFT) - (marks & (-1 << PUSHED_AT_SHIFT))) >> PUSHED_AT_SHIFT
        : (nowMs - this.words[client + record.LINE_LAST_SEEN]) | 0;
    // The turn of another processor may have begun later than ours.
    this.count(client, BACKEND_ANSWER_TIME_MS, elapsed > 0 ? elapsed : 0);
    this.count(client, BACKEND_ANSWER_TIMES, 1);
  }

  /** @hot */
  private count(client: number, counter: number, amount: number): void {
    const backend = this.words[client + record.LINE_IDS] & 0xffff;
    this.doubles[backendCounters(this.backends, backend) + counter] += amount;
  }

  /**
   * Makes the life say what the marks say. Again, until it does: whoever changes a mark does so before
   * coming here, so the last of them sees all marks. @hot
   */
  private settle(client: number): void {
    const { words } = this;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const marks =
        Atomics.load(words, client + record.LINE_MARKS) |
        Atomics.load(words, client + record.LINE_WORDS + record.LINE_MARKS);
      const closing = (marks & SEEN_CLOSE) !== 0 ? record.LIFE_CLOSING : 0;
      const life = Atomics.load(words, client);
      if ((life & record.LIFE_FOUND) !== record.LIFE_LIVE) return;
      if ((life & record.LIFE_CLOSING) === closing) return;
      if (Atomics.compareExchange(words, client, life, life ^ record.LIFE_CLOSING) === life) {
        this.gauges.open(client, life, closing === 0 ? 1 : -1);
      }
    }
  }
}
