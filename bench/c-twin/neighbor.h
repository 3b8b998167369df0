// The neighbor table of the C twin: the counterpart of src/tables/neighbor-*.ts, with entries of
// the same 64 bytes in the same places. Who reads a MAC address reads it as weir does: two tagged
// words of the slot in force, and the version before and after. Entries are given on the command
// line or learned from ARP and never expire, so of the states two are enough.

#pragma once
#include "memory.h"
#include "wire.h"

enum { NEIGHBOR_NONE = 0, NEIGHBOR_PERMANENT = 7, NEIGHBOR_TOUCH_MS = 1000, PROBE_LIMIT = 32 };

struct neighbor {
  uint32_t key, address, state, version;
  uint32_t slots[2][2];
  uint32_t writer, confirmed_at, last_used, last_probe_at, probes, used;
  uint32_t unused[2];
};
_Static_assert(sizeof(struct neighbor) == 64, "a neighbor is a cache line");

struct mac {
  uint32_t high, low;
};

static inline uint32_t mix(uint32_t hash, uint32_t word) {
  uint32_t k = word * 0xcc9e2d51u;
  k = (k << 15) | (k >> 17);
  k *= 0x1b873593u;
  const uint32_t h = hash ^ k;
  return ((h << 13) | (h >> 19)) * 5 + 0xe6546b64u;
}

static inline uint32_t finish(uint32_t hash) {
  uint32_t h = hash;
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

/** The index of a neighbor, made if `create` and there is none; -1: there is none, or no room. */
static inline int32_t find_neighbor(struct neighbor *neighbors, uint32_t interface,
                                    uint32_t address, bool create) {
  uint32_t index = finish(mix(mix(0, address), interface)) & (MAX_NEIGHBORS - 1);
  for (int probe = 0; probe < PROBE_LIMIT; probe++, index = (index + 1) & (MAX_NEIGHBORS - 1)) {
    struct neighbor *at = &neighbors[index];
    const uint32_t key = __atomic_load_n(&at->key, __ATOMIC_SEQ_CST);
    if (key == 0) {
      if (!create) return -1;
      at->address = address;
      __atomic_store_n(&at->key, interface + 1, __ATOMIC_SEQ_CST);
      return (int32_t)index;
    }
    if ((key & 0xff) == interface + 1 && at->address == address) return (int32_t)index;
  }
  return -1;
}

static inline void learn_neighbor(struct neighbor *neighbor, struct mac mac) {
  const uint32_t next = neighbor->version + 1, tag = next & 0xff;
  neighbor->slots[next & 1][0] = (mac.high << 16) | ((mac.low >> 24) << 8) | tag;
  neighbor->slots[next & 1][1] = (mac.low << 8) | tag;
  __atomic_store_n(&neighbor->version, next, __ATOMIC_SEQ_CST);
  neighbor->state = NEIGHBOR_PERMANENT;
}

/** Reads a neighbor's MAC address; false: it has none. */
static inline bool read_mac(struct neighbor *neighbor, uint32_t now, struct mac *mac) {
  const int32_t age = (int32_t)(now - neighbor->last_used);
  if (age >= NEIGHBOR_TOUCH_MS || age <= -NEIGHBOR_TOUCH_MS || neighbor->used == 0) {
    neighbor->last_used = now;
    neighbor->used = 1;
  }
  if (neighbor->state != NEIGHBOR_PERMANENT) return false;
  const uint32_t version = __atomic_load_n(&neighbor->version, __ATOMIC_RELAXED);
  const uint32_t upper = neighbor->slots[version & 1][0], lower = neighbor->slots[version & 1][1];
  if (((upper ^ version) | (lower ^ version)) & 0xff) return false;
  if (__atomic_load_n(&neighbor->version, __ATOMIC_RELAXED) != version) return false;
  mac->high = upper >> 16;
  mac->low = ((upper & 0xff00) << 16) | (lower >> 8);
  return true;
}
