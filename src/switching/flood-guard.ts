// The guard against SYN floods. While half-open connections abound, the first SYN of a connection is
// dropped and remembered; sent again, as every TCP does after about a second (RFC 6298 §2), it begins
// the connection. A flood of made-up sources never repeats itself, so it costs a look here instead of a
// record, a packet to a server, the server's answer and its way back; established connections are not
// looked at. A well-behaved client loses one second; one that gives up after its first SYN loses.
//
// What is remembered: 16 bits of a hash of addresses, ports and sequence number, in the slot that other
// bits of it choose. A flood overwrites what it does not repeat: of R SYNs a second and N slots,
// exp(-R / N) of the clients are still known after a second, 79 % at a million, and the others by
// their second or third attempt. Of a million made-up SYNs about a hundred are let through.
//
// Half-open: the SYN has passed, the handshake is not complete. Their number is what tells a flood from
// many clients: 50,000 new connections a second over 150 ms keep 7,500 half-open, however large the table.
// Invariant: decides about SYNs of unknown connections only; memory is per processor and fixed.

import { finish, mix } from '../base/hash.ts';

const SLOTS = 1 << 22;
const FINGERPRINT_SHIFT = 16;
const FINGERPRINT_MASK = 0xffff;
const SLOT_SEED = 0x666c6f6f;
const FINGERPRINT_SEED = 0x67756172;
/** However large the table: more half-open ones than this are a flood. */
const HALF_OPEN_MAX = 8192;

export class FloodGuard {
  /** More half-open connections than this, over all processors, call the guard … */
  readonly alarmLimit: number;
  /** … and fewer than this send it away. */
  readonly reliefLimit: number;
  private readonly seen = new Uint16Array(SLOTS);
  private isOn = false;

  /** @param connections how many the table holds */
  constructor(connections: number) {
    const quarter = connections >> 2;
    this.alarmLimit = quarter < HALF_OPEN_MAX ? quarter : HALF_OPEN_MAX;
    this.reliefLimit = this.alarmLimit >> 1;
  }

  /** Tells how many connections are half-open: every few milliseconds. @hot */
  observe(halfOpen: number): void {
    if (halfOpen > this.alarmLimit) this.isOn = true;
    else if (halfOpen < this.reliefLimit) this.isOn = false;
  }

  /** Whether first SYNs are dropped now. @hot */
  get isGuarding(): boolean {
    return this.isOn;
  }

  /** Whether the SYN of an unknown connection may begin it; if not it is remembered. @hot */
  admits(source: number, destination: number, ports: number, sequence: number): boolean {
    if (!this.isOn) return true;
    const key = mix(mix(mix(mix(SLOT_SEED, source), destination), ports), sequence);
    const slot = finish(key) & (SLOTS - 1);
    // Never zero: that is a slot that remembers nothing.
    const fingerprint =
      (finish(mix(key, FINGERPRINT_SEED)) >>> FINGERPRINT_SHIFT) & FINGERPRINT_MASK || 1;
    if (this.seen[slot] === fingerprint) {
      this.seen[slot] = 0;
      return true;
    }
    this.seen[slot] = fingerprint;
    return false;
  }
}
