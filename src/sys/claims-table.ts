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
  CLAIMS_MAC_ADDRESSES,
  CLAIMS_SLOTS_START,
  claimSlot,
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
    if (claims.length > MAX_CLAIMS) throw full(claims.length);
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

function full(count: number): WeirError {
  return new WeirError(
    'ERR_TABLE_FULL',
    `${count} addresses, services and servers are more than the claims of shared interfaces hold`,
    'make the configuration smaller, or use a dedicated interface',
  );
}
