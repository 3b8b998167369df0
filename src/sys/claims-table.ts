// The control processor's side of the claims (claims-map.ts): writes the buffer that is not in force
// and puts it into force with one store. A frame finds either all claims of before or all of after.
// Invariant: the buffer in force is never written; nor is the one that was in force until a moment
// ago, which a program may still be searching in (SETTLED_MS).

import { monotonicMs } from '../base/clock.ts';
import { WeirError } from '../base/errors.ts';
import {
  CLAIM_PROBES,
  CLAIM_SLOT_SIZE,
  CLAIM_SLOTS,
  CLAIMS_ACTIVE,
  CLAIMS_BUFFER_SIZE,
  CLAIMS_BUFFERS,
  CLAIMS_FRAMES,
  CLAIMS_MAC_ADDRESSES,
  CLAIMS_SLOTS_START,
  claimSlot,
  FRAMES_LEFT,
  FRAMES_OF_QUEUE_SIZE,
  FRAMES_QUEUES,
  FRAMES_TAKEN,
  MAX_CLAIMS,
} from './claims-map.ts';

const SLOT_WORDS = CLAIM_SLOT_SIZE / 4;
const ALL_SLOT_WORDS = (CLAIM_SLOTS + CLAIM_PROBES) * SLOT_WORDS;
const MAX_SEEDS = 256;
/** An XDP program runs for a microsecond; the machine under it may stand still for longer. */
const SETTLED_MS = 10;

/** One claim, as it stands in a slot. */
export interface ClaimEntry {
  /** IPv4, int32. */
  readonly address: number;
  /** From `claimKey`. */
  readonly key: number;
  /** ADDRESS_IS_*; 0 for other kinds. */
  readonly flags: number;
}

/** What the program of an interface has done with frames, since the claims were made. */
export interface FrameCounts {
  /** Given to weir. */
  readonly taken: number;
  /** Left to the kernel. */
  readonly left: number;
}

export class ClaimsTable {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private writableAt = monotonicMs();

  /** @param offset where the map stands in `buffer`, a multiple of 4 */
  constructor(buffer: ArrayBuffer, offset: number) {
    const size = CLAIMS_BUFFERS + 2 * CLAIMS_BUFFER_SIZE;
    this.words = new Int32Array(buffer, offset, size / 4);
    this.bytes = new Uint8Array(buffer, offset, size);
  }

  /** The claims in force. */
  read(): ClaimEntry[] {
    const { words } = this;
    const first = this.firstWord(words[CLAIMS_ACTIVE] & 1) + CLAIMS_SLOTS_START / 4;
    const found: ClaimEntry[] = [];
    for (let at = first; at < first + ALL_SLOT_WORDS; at += SLOT_WORDS) {
      if (words[at + 1] === 0) continue;
      found.push({ address: words[at], key: words[at + 1], flags: words[at + 2] });
    }
    return found;
  }

  /**
   * Puts these claims into force instead of those before; no two may have the same address and key.
   * @throws WeirError ERR_TABLE_FULL; nothing has changed then
   */
  async replace(claims: readonly ClaimEntry[]): Promise<void> {
    checkClaimCount(claims.length);
    const early = (this.writableAt - monotonicMs()) | 0;
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    const standby = (this.words[CLAIMS_ACTIVE] & 1) ^ 1;
    this.write(standby, claims);
    Atomics.store(this.words, CLAIMS_ACTIVE, standby);
    this.writableAt = monotonicMs() + SETTLED_MS;
  }

  /** Frames to another MAC address than its own are not taken on an interface; it has six bytes. */
  setMacAddress(interfaceNumber: number, mac: Uint8Array): void {
    this.bytes.set(mac.subarray(0, 6), CLAIMS_MAC_ADDRESSES + interfaceNumber * 8);
  }

  /** The frames of an interface, in sum over its queues. */
  frames(interfaceNumber: number): FrameCounts {
    const { words } = this;
    let taken = 0;
    let left = 0;
    const first = CLAIMS_FRAMES + interfaceNumber * FRAMES_QUEUES * FRAMES_OF_QUEUE_SIZE;
    for (let queue = 0; queue < FRAMES_QUEUES; queue++) {
      const at = (first + queue * FRAMES_OF_QUEUE_SIZE) >> 2;
      taken += readCount(words, at + (FRAMES_TAKEN >> 2));
      left += readCount(words, at + (FRAMES_LEFT >> 2));
    }
    return { taken, left };
  }

  private firstWord(buffer: number): number {
    return (CLAIMS_BUFFERS + buffer * CLAIMS_BUFFER_SIZE) / 4;
  }

  private write(buffer: number, claims: readonly ClaimEntry[]): void {
    const first = this.firstWord(buffer);
    const slots = first + CLAIMS_SLOTS_START / 4;
    for (let attempt = 0; attempt < MAX_SEEDS; attempt++) {
      const seed = (Math.random() * 2 ** 32) | 0;
      this.words.fill(0, slots, slots + ALL_SLOT_WORDS);
      if (!claims.every((claim) => this.place(slots, claim, seed))) continue;
      this.words[first] = seed;
      this.words[first + 1] = claims.length;
      return;
    }
    throw full(claims.length);
  }

  /** False: no slot is free that a search would look at. */
  private place(slots: number, { address, key, flags }: ClaimEntry, seed: number): boolean {
    const { words } = this;
    let at = slots + claimSlot(address, key, seed) * SLOT_WORDS;
    for (let probe = 0; probe < CLAIM_PROBES; probe++, at += SLOT_WORDS) {
      if (words[at + 1] !== 0) continue;
      words[at] = address;
      words[at + 1] = key;
      words[at + 2] = flags;
      return true;
    }
    return false;
  }
}

/** Two words of a 64-bit number, the lower one first. */
function readCount(words: Int32Array, at: number): number {
  return words[at + 1] * 2 ** 32 + (words[at] >>> 0);
}

/** @throws WeirError ERR_TABLE_FULL when so many claims cannot be put into force */
export function checkClaimCount(count: number): void {
  if (count > MAX_CLAIMS) throw full(count);
}

function full(count: number): WeirError {
  return new WeirError(
    'ERR_TABLE_FULL',
    `shared interfaces hold ${MAX_CLAIMS} addresses and ports of services, servers and applications, ${count} are wanted`,
    'fewer of them (an application claims each port that it matches), or a dedicated interface',
  );
}
