// The media relay's calls in main memory: the table of that application (memory/layout.ts), 1 MiB, shared
// by all processors. Control writes calls (src/call-control), switching processors relay by them
// (src/apps/media-relay) and write what they have seen.
//
// The unit is the *leg*: the pair of ports (RTP even, RTCP odd) to which one party of one media sends.
// A call with one media has two legs, each the other's peer. A leg's place follows from its port. Words:
//
//   header, 64:  0 magic  1 legs  2 first port  3 processors  4 latch window, ms  5 guard of SSRC, ms
//   leg, 48 + 48 × processors:
//     16, control's but the two latches:
//       0 state  1 flags  2 own address  3 own port (RTP)  4 peer, a leg's number, or -1
//       5, 6 address and port that signalling expects the party at, 0: unknown  7, 8 likewise for RTCP
//       9 clock rate of the media  10, 11 latches of RTP and RTCP
//      12 first leg of its call | (number of the media × 2 + side) << 16
//      13 address that the party's signalling comes from, 0: unknown
//      14 time of creation  15 time of the last command
//     32, control's: the call's names, for a control processor that begins anew (call-names.ts)
//     48 for each processor, written by that one alone:
//       0 …  7 float64: packets and bytes of RTP (or UDPTL), packets and bytes of RTCP
//       8 time of the last packet  9 SSRC  10 lowest, 11 highest sequence number, with cycles << 16
//      12 packets since 10  13 packets lost before 10  14 arrival  15 timestamp of the last packet
//      16 jitter × 16  17 most jitter × 16  18 changes of SSRC  19 sequence number after a jump
//      20 strangers refused  21 packets of no media  22 1: something was received
//      32 … 47 sources: RTP 0 and 1, RTCP 0 and 1, each address, port | level << 16, SSRC, time
//
// A latch says where the party really is: 0: not known yet; else (processor + 1) | number of that
// processor's source << 8. It is set by compare-and-swap after the source was written, and a processor
// never writes the source that is in force. So what a reader finds belongs together.
// Invariant: a leg is written by control only while its state is FREE, but for the words 1, 4 … 9, 13, 15 and
// the latches, which a processor may put to 0 or to a source of its own; a freed leg is left alone for as long
// as packets for it may be under way.

export const MAGIC = 0x324c524d;
export const HEADER_MAGIC = 0;
export const HEADER_LEGS = 1;
export const HEADER_FIRST_PORT = 2;
export const HEADER_PROCESSORS = 3;
export const HEADER_LATCH_WINDOW_MS = 4;
export const HEADER_SOURCE_GUARD_MS = 5;
const HEADER_WORDS = 64;

export const LEG_STATE = 0;
export const LEG_FLAGS = 1;
export const LEG_ADDRESS = 2;
export const LEG_PORT = 3;
export const LEG_PEER = 4;
/** With the port in the next word; for RTCP two words further on. */
export const LEG_EXPECTED = 5;
export const LEG_CLOCK_RATE = 9;
/** Of RTP; of RTCP in the next word. */
export const LEG_LATCH = 10;
/** With the leg's place in the call in the upper half. */
export const LEG_CALL = 12;
export const LEG_SIGNALLING = 13;
export const LEG_CREATED = 14;
export const LEG_SIGNALLED = 15;
export const LEG_NAMES = 16;
export const NAMES_WORDS = 32;

export const STATE_FREE = 0;
export const STATE_IN_USE = 1;

/** T.38 over UDPTL, or anything else that is no RTP. */
export const FLAG_UDPTL = 1;
/** RTCP comes and goes on the port of RTP (RFC 5761). */
export const FLAG_RTCP_MUX = 2;
/** The party receives elsewhere than where it sends from: as it was signalled. */
export const FLAG_ASYMMETRIC = 4;
/** Packets are taken from the signalled address only. */
export const FLAG_STRICT = 8;
/** The party may move: known by its SSRC and sequence numbers. */
export const FLAG_HANDOVER = 16;
/** DTLS is relayed, too. */
export const FLAG_DTLS = 32;
/** The media is on hold, so that silence is no sign of an end. */
export const FLAG_SILENT = 64;
/** The party has not been told this port yet: whatever comes to it was guessed. */
export const FLAG_UNTOLD = 128;

export const CHANNEL_RTP = 0;
export const CHANNEL_RTCP = 1;

const LEG_LINES = 48;
export const LINE_WORDS = 48;
/** Indices of float64, counted from the line's first. */
export const LINE_RTP_PACKETS = 0;
export const LINE_RTP_BYTES = 1;
export const LINE_RTCP_PACKETS = 2;
export const LINE_RTCP_BYTES = 3;
export const LINE_LAST_AT = 8;
export const LINE_SOURCE = 9;
export const LINE_LOWEST = 10;
export const LINE_HIGHEST = 11;
export const LINE_RECEIVED = 12;
export const LINE_LOST_BEFORE = 13;
export const LINE_ARRIVAL = 14;
export const LINE_TIMESTAMP = 15;
export const LINE_JITTER = 16;
export const LINE_MOST_JITTER = 17;
export const LINE_SOURCE_CHANGES = 18;
export const LINE_JUMPED_TO = 19;
export const LINE_STRANGERS = 20;
export const LINE_NO_MEDIA = 21;
export const LINE_STARTED = 22;
const LINE_SOURCES = 32;

export const SOURCE_ADDRESS = 0;
/** With the level in the upper half: how well it agrees with what was signalled. */
export const SOURCE_PORT = 1;
export const SOURCE_SSRC = 2;
export const SOURCE_SINCE = 3;

/** How well a source agrees with what signalling says of the party. */
export const LEVEL_STRANGER = 0;
/** RTCP: it is where RTP comes from. */
export const LEVEL_COMPANION = 1;
/** It is where the party's signalling comes from. */
export const LEVEL_SIGNALLING = 2;
/** It is the address that was signalled. */
export const LEVEL_ADDRESS = 3;
/** Address and port. */
export const LEVEL_EXACT = 4;

export const NO_LEG = -1;

/** Words of one leg, all processors' lines included. */
function legWords(processors: number): number {
  return LEG_LINES + LINE_WORDS * processors;
}

export class MediaRelayTable {
  readonly words: Int32Array;
  /** The same memory: packets and bytes. */
  readonly doubles: Float64Array;
  /** How many legs there is room for. */
  readonly capacity: number;
  private readonly wordsOfLeg: number;

  /** @param words the application's table; zeroed memory has no legs */
  constructor(words: Int32Array, processors: number) {
    this.words = words;
    this.doubles = new Float64Array(words.buffer, words.byteOffset, words.length >> 1);
    this.wordsOfLeg = legWords(processors);
    this.capacity = Math.floor((words.length - HEADER_WORDS) / this.wordsOfLeg);
  }

  /** Index of a leg's first word. @hot */
  leg(number: number): number {
    return (HEADER_WORDS + Math.imul(number, this.wordsOfLeg)) | 0;
  }

  /** Number of the leg whose first word this is. @hot */
  numberOf(leg: number): number {
    return ((leg - HEADER_WORDS) / this.wordsOfLeg) | 0;
  }

  /** First word of the leg in use that has a port of ours, or NO_LEG. @hot */
  find(address: number, port: number): number {
    const { words } = this;
    const even = port & 0xfffe;
    const number = (even - words[HEADER_FIRST_PORT]) >> 1;
    if (number < 0 || number >= words[HEADER_LEGS] || number >= this.capacity) return NO_LEG;
    const leg = this.leg(number);
    if (words[leg + LEG_STATE] !== STATE_IN_USE) return NO_LEG;
    if (words[leg + LEG_ADDRESS] !== address || words[leg + LEG_PORT] !== even) return NO_LEG;
    return leg;
  }

  /** First word of the other party's leg, or NO_LEG. @hot */
  peerOf(leg: number): number {
    const { words } = this;
    const peer = words[leg + LEG_PEER];
    if (peer < 0 || peer >= words[HEADER_LEGS] || peer >= this.capacity) return NO_LEG;
    const at = this.leg(peer);
    return words[at + LEG_STATE] === STATE_IN_USE ? at : NO_LEG;
  }

  /** First word of a processor's line of a leg. @hot */
  line(leg: number, processor: number): number {
    return (leg + LEG_LINES + Math.imul(processor, LINE_WORDS)) | 0;
  }

  /** First word of the source that a latch (not 0) names. @hot */
  sourceOf(leg: number, channel: number, latch: number): number {
    return this.sourceIn(this.line(leg, ((latch & 0xff) - 1) | 0), channel, (latch >> 8) & 1);
  }

  /** First word of one of a line's sources: `which` is 0 or 1. @hot */
  sourceIn(line: number, channel: number, which: number): number {
    return (line + LINE_SOURCES + (((channel << 1) | which) << 2)) | 0;
  }

  /** Bytes of a leg's names. */
  namesOf(leg: number): Uint8Array {
    const { buffer, byteOffset } = this.words;
    return new Uint8Array(buffer, byteOffset + (leg + LEG_NAMES) * 4, NAMES_WORDS * 4);
  }

  /** Empties a leg that is free, all lines included. */
  clear(leg: number): void {
    this.words.fill(0, leg, leg + this.wordsOfLeg);
  }
}
