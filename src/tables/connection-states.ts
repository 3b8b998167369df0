// The state of a connection, derived from what was seen in each of its two directions. Each direction
// keeps a word of marks that only the processor handling that direction writes; nobody writes a state.
// Pure functions; the number of a state is also the index of its timeout.
//
// TCP, seen from the server as in Linux's IPVS; C: a mark of the client's direction, S: of the server's.
//
//   CLOSE         RST either way (a later segment of the same direction takes the mark back: a reset
//                 that its target ignored must not end an idle connection; cf. RFC 5961 §3)
//   LAST_ACK      FIN both ways, nothing after either
//   TIME_WAIT     FIN both ways, and something after one of them
//   CLOSE_WAIT    FIN of the client only
//   FIN_WAIT      FIN of the server only
//   SYN_SENT      C has SYN, S has none; or C has none (taken up in its midst), and S nothing
//   SYN_RECEIVED  both have SYN, C has no other segment with ACK
//   ESTABLISHED   all else
//
// One-sided (direct server return: the server's packets never pass here): SYN_RECEIVED until the client
// acknowledges, ESTABLISHED, FIN_WAIT after its FIN (it may only be half closed), TIME_WAIT when it
// has sent anything behind its FIN, CLOSE after its RST.

import { FORWARDING_DSR, FORWARDING_SOURCE_NAT } from './configuration-table.ts';
import * as record from './connection-record.ts';

const PROTOCOL_TCP = 6;

export const STATE_SYN_SENT = 0;
export const STATE_SYN_RECEIVED = 1;
export const STATE_ESTABLISHED = 2;
export const STATE_FIN_WAIT = 3;
export const STATE_TIME_WAIT = 4;
export const STATE_CLOSE = 5;
export const STATE_CLOSE_WAIT = 6;
export const STATE_LAST_ACK = 7;
export const STATE_UDP = 8;
/** No connection: it says with which backend the connections of a client are to begin. */
export const STATE_PERSISTENCE = 9;

/** Names of the states, as metrics and `weir connections` show them. */
export const CONNECTION_STATES = [
  'syn-sent',
  'syn-received',
  'established',
  'fin-wait',
  'time-wait',
  'close',
  'close-wait',
  'last-ack',
  'udp',
  'persistence',
] as const;
export type ConnectionState = (typeof CONNECTION_STATES)[number];

// Places of the timeouts (milliseconds) in a service's TIMEOUT_WORDS.
export const TIMEOUT_SYN_SENT = STATE_SYN_SENT;
export const TIMEOUT_SYN_RECEIVED = STATE_SYN_RECEIVED;
export const TIMEOUT_ESTABLISHED = STATE_ESTABLISHED;
export const TIMEOUT_FIN_WAIT = STATE_FIN_WAIT;
export const TIMEOUT_TIME_WAIT = STATE_TIME_WAIT;
export const TIMEOUT_CLOSE = STATE_CLOSE;
export const TIMEOUT_CLOSE_WAIT = STATE_CLOSE_WAIT;
export const TIMEOUT_LAST_ACK = STATE_LAST_ACK;
export const TIMEOUT_UDP = STATE_UDP;
export const TIMEOUT_PERSISTENCE = STATE_PERSISTENCE;

// Marks of one direction; the first four stand where TCP has them (RFC 9293 §3.1).
const SEEN_FIN = 0x01;
export const SEEN_SYN = 0x02;
export const SEEN_RST = 0x04;
export const SEEN_CLOSE = SEEN_FIN | SEEN_RST;
/** A sender has something for the application at the other end, and waits for more from itself no longer. */
export const SEEN_PUSH = 0x08;
/** A segment with ACK and without SYN. */
export const SEEN_ACK = 0x10;
/** A segment without FIN after one with it. */
const SEEN_AFTER_FIN = 0x100;
/** Above: the lowest 20 bits of the millisecond of the client's first push (connection-answers.ts). */
export const PUSHED_AT_SHIFT = 12;

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const PSH = 0x08;
const ACK = 0x10;

/** The marks of a direction after a segment with `flags` has passed in it. @hot */
export function marksAfter(marks: number, flags: number): number {
  if ((flags & RST) !== 0) return marks | SEEN_RST;
  let after = (marks & ~SEEN_RST) | (flags & (SYN | FIN | PSH));
  if ((flags & (ACK | SYN)) === ACK) after |= SEEN_ACK;
  if ((marks & SEEN_FIN) !== 0 && (flags & FIN) === 0) after |= SEEN_AFTER_FIN;
  return after;
}

/** State of a TCP connection of which both directions pass here. @hot */
export function tcpState(client: number, server: number): number {
  if (((client | server) & SEEN_RST) !== 0) return STATE_CLOSE;
  if ((client & server & SEEN_FIN) !== 0) {
    return ((client | server) & SEEN_AFTER_FIN) !== 0 ? STATE_TIME_WAIT : STATE_LAST_ACK;
  }
  if ((client & SEEN_FIN) !== 0) return STATE_CLOSE_WAIT;
  if ((server & SEEN_FIN) !== 0) return STATE_FIN_WAIT;
  if ((client & SEEN_SYN) === 0) return server === 0 ? STATE_SYN_SENT : STATE_ESTABLISHED;
  if ((server & SEEN_SYN) === 0) return STATE_SYN_SENT;
  return (client & SEEN_ACK) === 0 ? STATE_SYN_RECEIVED : STATE_ESTABLISHED;
}

/** State of a TCP connection of which only the client's direction passes here. @hot */
export function tcpStateOneSided(client: number): number {
  if ((client & SEEN_RST) !== 0) return STATE_CLOSE;
  if ((client & SEEN_FIN) !== 0) {
    return (client & SEEN_AFTER_FIN) !== 0 ? STATE_TIME_WAIT : STATE_FIN_WAIT;
  }
  return (client & SEEN_ACK) === 0 ? STATE_SYN_RECEIVED : STATE_ESTABLISHED;
}

/** STATE_* of the live record whose first line is at `line`, from the marks of both its directions. @hot */
export function stateAt(words: Int32Array, line: number): number {
  const port = words[line + record.LINE_PORT];
  if (record.protocolOf(port) !== PROTOCOL_TCP) {
    return record.isTemplate(port) ? STATE_PERSISTENCE : STATE_UDP;
  }
  const forwarding = port & 0xff;
  const client = words[line + record.LINE_MARKS];
  if (forwarding === FORWARDING_DSR) return tcpStateOneSided(client);
  const server = words[line + record.LINE_WORDS + record.LINE_MARKS];
  return forwarding === FORWARDING_SOURCE_NAT ? tcpState(server, client) : tcpState(client, server);
}
