// Claims: what weir takes of the frames of an interface that stays the kernel's (`mode: shared`). They
// stand in a BPF array map with one value, which the control processor writes as ordinary memory (the
// map can be mapped, Linux 5.5) and the XDP program of each shared interface reads. So control needs no
// right for BPF, on no kernel, and a change of any size takes effect in one store.
//
//   0        buffer in force: 0 or 1
//   64       MAC address of interface 0, 1, …: 8 bytes each, of which 6 count
//   4096     frames of interface 0, 1, …, for each of 64 queues: 0 taken │ 8 left to the kernel │ 48 unused
//   266240   buffer 0, and BUFFER_SIZE behind it buffer 1:
//              0   seed of the hash │ 4 number of claims
//              64  SLOTS slots and as many more as a search may look at: no search wraps around
//   a slot:  0 address │ 4 port << 16 | protocol << 8 | kind; 0: empty │ 8 flags │ 12 unused
//
// Writer: control alone, only the buffer that is not in force; of the frames the XDP programs. Readers:
// XDP programs, which look at word 0 once a frame; control of the frames. Numbers are in the machine's
// own order; MAC addresses are bytes.
// Invariant: a claim stands within PROBES slots from the one that its hash names, and no empty slot
// stands between; the writer tries seeds until that holds (claims-table.ts).

import { createMap, MAP_TYPE_ARRAY } from './bpf.ts';

/** The memory of the map can be mapped by who holds it. */
const BPF_F_MMAPABLE = 1 << 10;

/** A service: its address, protocol and port are the destination of what is taken. */
export const CLAIM_SERVICE = 1;
/** A server's end of connections: the source of what is taken. */
export const CLAIM_ENDPOINT = 2;
/** An address, with flags that say whose. */
export const CLAIM_ADDRESS = 3;

/** Everything to that address is taken, ARP questions for it as well. */
export const ADDRESS_IS_WEIRS = 1;
/** It is one of the kernel's: replies to it are of its own connections. */
export const ADDRESS_IS_KERNELS = 2;

export const CLAIM_SLOTS = 131_072;
/** The upper bits of a 32-bit hash name a slot. */
export const CLAIM_SLOT_SHIFT = 32 - Math.log2(CLAIM_SLOTS);
export const CLAIM_SLOT_SIZE = 16;
/** Slots that a search looks at. */
export const CLAIM_PROBES = 16;
/**
 * A quarter of the slots: whatever the claims are, few seeds are drawn until no search gets too long.
 * With half of the slots 256 seeds do not do for 32,768 servers of one network.
 */
export const MAX_CLAIMS = CLAIM_SLOTS / 4;

export const CLAIMS_ACTIVE = 0;
export const CLAIMS_MAC_ADDRESSES = 64;
export const CLAIMS_FRAMES = 4096;
/** A cache line for each queue; queues beyond share those of others. */
export const FRAMES_OF_QUEUE_SIZE = 64;
export const FRAMES_QUEUES = 64;
export const FRAMES_TAKEN = 0;
export const FRAMES_LEFT = 8;
const MAX_INTERFACES = 64;
export const CLAIMS_BUFFERS = CLAIMS_FRAMES + MAX_INTERFACES * FRAMES_QUEUES * FRAMES_OF_QUEUE_SIZE;
export const CLAIMS_SLOTS_START = 64;
export const CLAIMS_BUFFER_SIZE = CLAIM_SLOTS * CLAIM_SLOT_SIZE + 4096;
/** Bytes of the map's value, whole pages of 4 KiB. */
export const CLAIMS_SIZE = CLAIMS_BUFFERS + 2 * CLAIMS_BUFFER_SIZE;

// Multipliers of the hash; odd, with bits everywhere.
export const HASH_ADDRESS = 0x9e3779b1 | 0;
export const HASH_KEY = 0x85ebca77 | 0;
export const HASH_MIX = 0x2c1b3c6d | 0;

/** The slot at which the search for a claim begins. The XDP program computes the same. */
export function claimSlot(address: number, key: number, seed: number): number {
  const sum = Math.imul(address, HASH_ADDRESS) ^ Math.imul(key, HASH_KEY) ^ seed;
  return Math.imul(sum ^ (sum >>> 15), HASH_MIX) >>> CLAIM_SLOT_SHIFT;
}

/** Second word of a slot. */
export function claimKey(kind: number, protocol: number, port: number): number {
  return (port << 16) | (protocol << 8) | kind;
}

/** An empty map of claims: nothing is taken. @returns its file descriptor. @throws SystemError */
export function createClaimsMap(): number {
  return createMap({
    type: MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: CLAIMS_SIZE,
    entries: 1,
    name: 'weir_claims',
    flags: BPF_F_MMAPABLE,
  });
}
