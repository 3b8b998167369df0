// The byte map of a connection record: 128 bytes, two cache lines. Line 0 serves the client's packets
// (client → server), line 1 the server's (server → client). Each holds all that its direction needs, so
// a packet touches one line of the record. Connections are named by record number; one direction of one
// by its *entry*, record << 1 | direction, so that line n of the section is entry n's.
//
//   word  0       life                        see below
//   word  1       source address              of this direction's packets as they arrive: the key
//   word  2       destination address
//   word  3       source port << 16 | destination port
//   word  4       service id << 16 | backend id
//   word  5       new address                 of the side that is rewritten (client → server: the
//                                             destination; server → client: the source)
//   word  6       new port << 16 | protocol << 8 | forwarding
//   word  7       ones-complement differences: IP header << 16 | transport
//   word  8       way out, as the filter found it         written by this direction's processor
//   word  9       routing generation it was found under   "
//   word 10       monotonic ms it was last seen           "
//   word 11       marks (connection-states.ts)            "
//   word 12       packets, modulo 2^32                    "
//   word 13       acknowledged: the acknowledgment number of its last TCP segment, which is where the
//                 other direction goes on: the one sequence number that a reset to its sender must
//                 have (RFC 9293 §3.10.7.4)               "
//   word 14 … 15  bytes, float64                          "
//
// Words 1 … 7 are written by the inserting processor before publication and never again. Direct server
// return has no key in line 1: the server's packets do not pass here.
//
// Life, line 0: state in bits 0 … 2, epoch (connection-epoch.ts) in bits 3 … 30, bit 31 the book in which
// the record counts (connection-gauges.ts). While it is live bit 3 says that it is closing, and the
// others are 0.
//
//   FREE ──reserve──▶ RESERVED ──publish──▶ HALF_OPEN ──handshake──▶ LIVE
//    ▲                    │ withdrawn           └────────┬─────────────┘ remove
//    │                    ▼                              ▼
//    └───two epochs──── LIMBO ◀──slots cleared──────── DYING
//
//   RESERVED   being filled; the epoch is the one of its reservation. A reservation does not outlast
//              its turn, so one that is two epochs old belongs to a killed process.
//   DYING      no longer found by lookups, but its slots may still stand in the index.
//   LIMBO      out of the index since the epoch it carries; free again two epochs later.
//   SUSPECT    its bit is taken, its life is FREE: freed two epochs later unless reserved by then.
//
// A *template* is no connection: it says with which backend the connections of a client (or of a
// network of clients) to a service begin. Its protocol number is one that no packet bears here, its
// key (client address under the mask, service address, service port << 16 | pool number); it is
// one-sided like direct server return, and counts among the connections of nobody.
//
// All changes of line 0's life are compare-and-swap, so exactly one process makes each of them.
// Line 1's life is a copy for its own lookups: LIVE or 0 in bits 0 … 2; the bits above them
// hold the monotonic millisecond of insertion, without its lowest three bits.

/** Words of one line, and of one record. */
export const LINE_WORDS = 16;
export const LINE_SHIFT = 4;
export const RECORD_SHIFT = 5;

export const LINE_LIFE = 0;
export const LINE_SOURCE = 1;
export const LINE_DESTINATION = 2;
export const LINE_PORTS = 3;
export const LINE_IDS = 4;
export const LINE_ADDRESS = 5;
export const LINE_PORT = 6;
export const LINE_CHECKSUMS = 7;
export const LINE_WAY_OUT = 8;
export const LINE_WAY_OUT_GENERATION = 9;
export const LINE_LAST_SEEN = 10;
export const LINE_MARKS = 11;
export const LINE_PACKETS = 12;
export const LINE_ACKNOWLEDGED = 13;
/** In doubles from the line's first double. */
export const LINE_BYTES = 7;

export const LIFE_FREE = 0;
export const LIFE_RESERVED = 1;
export const LIFE_LIVE = 2;
export const LIFE_HALF_OPEN = 3;
export const LIFE_DYING = 4;
export const LIFE_LIMBO = 5;
export const LIFE_SUSPECT = 6;
export const LIFE_STATE = 7;
/** `(life & LIFE_FOUND) === LIFE_LIVE` holds for LIVE and HALF_OPEN: what lookups may return. */
export const LIFE_FOUND = 6;
export const LIFE_EPOCH_SHIFT = 3;
/** Of a live record: a FIN or a reset has been seen. */
export const LIFE_CLOSING = 8;
export const LIFE_SECOND_BOOK = 1 << 31;

export const DIRECTION_TO_SERVER = 0;
export const DIRECTION_TO_CLIENT = 1;

/** Instead of their protocol numbers in templates of TCP and of UDP services. */
export const PROTOCOL_TEMPLATE_TCP = 0xfe;
export const PROTOCOL_TEMPLATE_UDP = 0xff;

/** Whether a LINE_PORT word is a template's. @hot */
export function isTemplate(portWord: number): boolean {
  return protocolOf(portWord) >= PROTOCOL_TEMPLATE_TCP;
}

/** The protocol in a LINE_PORT word. @hot */
export function protocolOf(portWord: number): number {
  return (portWord >>> 8) & 0xff;
}
