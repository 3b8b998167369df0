// The connection table of the C twin: the counterpart of src/tables/connection-*.ts with the same
// buckets, slots, records, hash and rules of placing, so that the same connections stand in the
// same places. Buckets of 64 bytes hold 16 slots (tag of 7 bits, direction, record number + 1); a
// key may be in either of two; a record is 128 bytes, one cache line for each direction. Slots,
// lives and the bitmap of free records change by compare-and-swap as in weir, whose table is shared
// by several processors. What only matters between processors is left out: epochs, reservations of
// the dead, undecided conflicts. So a removed record is free at once.

#pragma once
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "memory.h"
#include "wire.h"

enum { NOT_FOUND = -1, TUPLE_IN_USE = -3, INDEX_FULL = -4, PUBLISHED = -1 };
enum { LIFE_FREE = 0, LIFE_RESERVED = 1, LIFE_LIVE = 2, LIFE_HALF_OPEN = 3, LIFE_DYING = 4 };
enum { LIFE_STATE = 7, LIFE_FOUND = 6, LIFE_EPOCH_SHIFT = 3 };
enum { TAG_SHIFT = 25, RECORD_MASK = 0xffffff, SLOT_SHIFT = 21, NEARLY_FULL = 13 };
enum { SEEN_FIN = 0x01, SEEN_SYN = 0x02, SEEN_RST = 0x04, SEEN_ACK = 0x10, SEEN_AFTER_FIN = 0x100 };

/** One direction of a connection: all that a packet of this direction needs. */
struct line {
  uint32_t life;
  uint32_t source, destination, ports;
  uint32_t ids;      // service << 16 | backend
  uint32_t address;  // that replaces the destination (to the server) or the source (to the client)
  uint32_t port;     // new port << 16 | protocol << 8 | forwarding
  uint32_t checksums;
  uint32_t way_out, way_out_generation;
  uint32_t last_seen, marks;
  uint64_t packets, bytes;
};
_Static_assert(sizeof(struct line) == 64, "a line of a record is a cache line");

struct bucket {
  uint32_t slots[BUCKET_SLOTS];
};

struct table {
  struct bucket *buckets;
  struct line *lines;
  uint32_t *bitmap;
  uint32_t mask, seed;
  uint32_t connections, bitmap_words, cursor;
  uint32_t epoch;
  uint64_t taken, inserted, half_open;
};

static inline struct table make_table(const struct memory *memory, uint32_t seed) {
  return (struct table){
      .buckets = (struct bucket *)(memory->base + memory->index),
      .lines = (struct line *)(memory->base + memory->records),
      .bitmap = (uint32_t *)(memory->base + memory->bitmap),
      .mask = memory->buckets - 1,
      .seed = seed,
      .connections = memory->connections,
      .bitmap_words = (memory->connections + 31) / 32,
  };
}

static inline uint32_t key_hash(uint32_t seed, uint32_t source, uint32_t destination,
                                uint32_t ports, uint32_t protocol) {
  uint32_t h = (source ^ seed ^ (protocol << 24)) * 0x9e3779b1u;
  h = (h ^ (h >> 15) ^ ports ^ (seed >> 7)) * 0x85ebca6bu;
  h = (h ^ (h >> 13) ^ destination) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

static inline uint32_t second_hash(uint32_t hash) {
  const uint32_t h = (hash ^ (hash >> 11)) * 0x2c1b3c6du;
  return h ^ (h >> 15);
}

static inline uint32_t protocol_of(const struct line *line) { return (line->port >> 8) & 0xff; }

static inline struct bucket *first_bucket(const struct table *table, uint32_t hash) {
  return &table->buckets[hash & table->mask];
}

static inline struct bucket *second_bucket(const struct table *table, uint32_t hash) {
  return &table->buckets[second_hash(hash) & table->mask];
}

static inline uint32_t entry_of(uint32_t slot) {
  return (((slot & RECORD_MASK) - 1) << 1) | ((slot >> 24) & 1);
}

/** One bit for each slot that bears the tag of the hash. */
static inline uint32_t matching_slots(const struct bucket *bucket, uint32_t hash) {
#ifdef __AVX2__
  const __m256i zero = _mm256_setzero_si256();
  const __m256i mask = _mm256_set1_epi32((int)(0xffffffffu << TAG_SHIFT));
  const __m256i tag = _mm256_and_si256(_mm256_set1_epi32((int)hash), mask);
  uint32_t matches = 0;
  for (int half = 0; half < 2; half++) {
    const __m256i slots = _mm256_loadu_si256((const __m256i *)&bucket->slots[half * 8]);
    const __m256i equal = _mm256_cmpeq_epi32(_mm256_and_si256(slots, mask), tag);
    const __m256i used = _mm256_andnot_si256(_mm256_cmpeq_epi32(slots, zero), equal);
    matches |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(used)) << (half * 8);
  }
  return matches;
#else
  uint32_t matches = 0;
  for (int i = 0; i < BUCKET_SLOTS; i++) {
    const uint32_t slot = bucket->slots[i];
    matches |= (uint32_t)((slot != 0) & ((slot ^ hash) >> TAG_SHIFT == 0)) << i;
  }
  return matches;
#endif
}

static inline bool bears_key(const struct line *line, uint32_t source, uint32_t destination,
                             uint32_t ports, uint32_t protocol) {
  return line->source == source && line->ports == ports && line->destination == destination &&
         protocol_of(line) == protocol;
}

/** The matches in the order in which a key is looked for: from its own slot on. */
static inline uint32_t from_own_slot(uint32_t matches, uint32_t hash) {
  const uint32_t start = (hash >> SLOT_SHIFT) & 15;
  return ((matches >> start) | (matches << (16 - start))) & 0xffff;
}

static inline uint32_t slot_at(const struct bucket *bucket, uint32_t hash, uint32_t distance) {
  return bucket->slots[((hash >> SLOT_SHIFT) + distance) & 15];
}

/**
 * Brings the record nearer that a lookup with this hash will most likely end in. @returns its
 * entry.
 */
static inline int32_t prefetch_record(const struct table *table, uint32_t hash) {
  const struct bucket *bucket = first_bucket(table, hash);
  const uint32_t matches = from_own_slot(matching_slots(bucket, hash), hash);
  if (matches == 0) {
    __builtin_prefetch(second_bucket(table, hash));
    return NOT_FOUND;
  }
  const uint32_t entry = entry_of(slot_at(bucket, hash, (uint32_t)__builtin_ctz(matches)));
  __builtin_prefetch(&table->lines[entry], 1);
  return (int32_t)entry;
}

static inline int32_t lookup_in(const struct table *table, const struct bucket *bucket,
                                uint32_t hash,
                                uint32_t source, uint32_t destination, uint32_t ports,
                                uint32_t protocol) {
  uint32_t matches = from_own_slot(matching_slots(bucket, hash), hash);
  for (; matches != 0; matches &= matches - 1) {
    const uint32_t entry = entry_of(slot_at(bucket, hash, (uint32_t)__builtin_ctz(matches)));
    const struct line *line = &table->lines[entry];
    if (bears_key(line, source, destination, ports, protocol) &&
        (line->life & LIFE_FOUND) == LIFE_LIVE) {
      return (int32_t)entry;
    }
  }
  return NOT_FOUND;
}

/** The entry of a connection that bears this key, or NOT_FOUND. */
static inline int32_t lookup(const struct table *table, uint32_t hash, uint32_t source,
                             uint32_t destination, uint32_t ports, uint32_t protocol) {
  const int32_t entry = lookup_in(table, first_bucket(table, hash), hash, source, destination,
                                  ports, protocol);
  if (entry != NOT_FOUND) return entry;
  return lookup_in(table, second_bucket(table, hash), hash, source, destination, ports, protocol);
}

static inline bool compare_and_swap(uint32_t *at, uint32_t expected, uint32_t value) {
  return __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}

static inline uint32_t used_slots(const struct bucket *bucket) {
  uint32_t used = 0;
  for (int i = 0; i < BUCKET_SLOTS; i++) used += bucket->slots[i] != 0;
  return used;
}

static inline uint32_t slot_value(uint32_t hash, uint32_t entry) {
  return (hash & (0xffffffffu << TAG_SHIFT)) | ((entry & 1) << 24) | ((entry >> 1) + 1);
}

static inline bool place_in(struct bucket *bucket, uint32_t hash, uint32_t value) {
  for (uint32_t i = 0; i < BUCKET_SLOTS; i++) {
    uint32_t *slot = &bucket->slots[((hash >> SLOT_SHIFT) + i) & 15];
    if (*slot == 0 && compare_and_swap(slot, 0, value)) return true;
  }
  return false;
}

/** Puts an entry into one of the buckets of its key; false when both are full. */
static inline bool place(struct table *table, uint32_t hash, uint32_t entry) {
  struct bucket *first = first_bucket(table, hash), *second = second_bucket(table, hash);
  const uint32_t value = slot_value(hash, entry), used = used_slots(first);
  if (used >= NEARLY_FULL && used > used_slots(second)) {
    struct bucket *other = first;
    first = second;
    second = other;
  }
  return place_in(first, hash, value) || place_in(second, hash, value);
}

static inline void clear_in(struct bucket *bucket, uint32_t value) {
  for (int i = 0; i < BUCKET_SLOTS; i++) {
    if (bucket->slots[i] == value) compare_and_swap(&bucket->slots[i], value, 0);
  }
}

static inline uint32_t hash_of_line(const struct table *table, const struct line *line) {
  return key_hash(table->seed, line->source, line->destination, line->ports, protocol_of(line));
}

static inline void clear(struct table *table, uint32_t entry) {
  const uint32_t hash = hash_of_line(table, &table->lines[entry]);
  clear_in(first_bucket(table, hash), slot_value(hash, entry));
  clear_in(second_bucket(table, hash), slot_value(hash, entry));
}

static inline int32_t conflict_in(const struct table *table, const struct bucket *bucket,
                                  uint32_t hash, uint32_t entry) {
  const struct line *own = &table->lines[entry];
  for (uint32_t matches = matching_slots(bucket, hash); matches != 0; matches &= matches - 1) {
    const uint32_t other = entry_of(bucket->slots[__builtin_ctz(matches)]);
    if (other >> 1 == entry >> 1) continue;
    const struct line *line = &table->lines[other];
    if (!bears_key(line, own->source, own->destination, own->ports, protocol_of(own))) continue;
    if ((table->lines[other & ~1u].life & LIFE_FOUND) == LIFE_LIVE) return (int32_t)other;
  }
  return NOT_FOUND;
}

/** Whether another record bears the key of `entry`, which has been placed. */
static inline int32_t conflict(const struct table *table, uint32_t hash, uint32_t entry) {
  const struct bucket *first = first_bucket(table, hash), *second = second_bucket(table, hash);
  const int32_t here = conflict_in(table, first, hash, entry);
  if (here >= 0 || first == second) return here;
  return conflict_in(table, second, hash, entry);
}

/** A free record, RESERVED and zeroed; NOT_FOUND when there is none. */
static inline int32_t reserve(struct table *table) {
  for (uint32_t tried = 0; tried < table->bitmap_words; tried++) {
    uint32_t *word = &table->bitmap[table->cursor];
    const uint32_t unused =
        table->cursor == table->bitmap_words - 1 && table->connections % 32 != 0
            ? 0xffffffffu << (table->connections % 32)
            : 0;
    const uint32_t free = ~(*word | unused);
    if (free != 0) {
      const uint32_t bit = free & -free;
      if (!compare_and_swap(word, *word, *word | bit)) continue;
      const uint32_t number = (table->cursor << 5) + (uint32_t)__builtin_ctz(bit);
      struct line *line = &table->lines[number << 1];
      const uint32_t epoch = __atomic_load_n(&table->epoch, __ATOMIC_SEQ_CST);
      compare_and_swap(&line->life, LIFE_FREE, (epoch << LIFE_EPOCH_SHIFT) | LIFE_RESERVED);
      memset((uint8_t *)line + 4, 0, 2 * sizeof *line - 4);
      table->taken++;
      return (int32_t)number;
    }
    table->cursor = table->cursor + 1 == table->bitmap_words ? 0 : table->cursor + 1;
  }
  return NOT_FOUND;
}

static inline void release(struct table *table, uint32_t number) {
  clear(table, number << 1);
  clear(table, (number << 1) | 1);
  __atomic_store_n(&table->lines[number << 1].life, LIFE_FREE, __ATOMIC_SEQ_CST);
  __atomic_fetch_and(&table->bitmap[number >> 5], ~(1u << (number & 31)), __ATOMIC_SEQ_CST);
  table->taken--;
}

/** Shows a filled connection. PUBLISHED; or why not, and then the record is free again. */
static inline int32_t publish(struct table *table, uint32_t number, uint32_t client_hash,
                              uint32_t now) {
  const uint32_t entry = number << 1;
  struct line *client = &table->lines[entry], *server = client + 1;
  const uint32_t server_hash = hash_of_line(table, server);
  client->last_seen = server->last_seen = now;
  if (!place(table, client_hash, entry) || !place(table, server_hash, entry | 1)) {
    release(table, number);
    return INDEX_FULL;
  }
  if (conflict(table, client_hash, entry) != NOT_FOUND ||
      conflict(table, server_hash, entry | 1) != NOT_FOUND) {
    release(table, number);
    return TUPLE_IN_USE;
  }
  const bool is_tcp = protocol_of(client) == PROTOCOL_TCP;
  __atomic_store_n(&server->life, (now & ~(uint32_t)LIFE_STATE) | LIFE_LIVE, __ATOMIC_SEQ_CST);
  __atomic_store_n(&client->life, is_tcp ? LIFE_HALF_OPEN : LIFE_LIVE, __ATOMIC_SEQ_CST);
  if (is_tcp) table->half_open++;
  table->inserted++;
  return PUBLISHED;
}

/** The marks of a direction after a segment with `flags` has passed in it. */
static inline uint32_t marks_after(uint32_t marks, uint32_t flags) {
  if (flags & FLAG_RST) return marks | SEEN_RST;
  uint32_t after = (marks & ~(uint32_t)SEEN_RST) | (flags & (FLAG_SYN | FLAG_FIN));
  if ((flags & (FLAG_ACK | FLAG_SYN)) == FLAG_ACK) after |= SEEN_ACK;
  if ((marks & SEEN_FIN) && !(flags & FLAG_FIN)) after |= SEEN_AFTER_FIN;
  return after;
}

/** Whether a TCP connection has ended either way: CLOSE or TIME_WAIT in weir's words. */
static inline bool has_ended(const struct line *client) {
  const uint32_t there = client[0].marks, back = client[1].marks;
  if ((there | back) & SEEN_RST) return true;
  return (there & back & SEEN_FIN) && ((there | back) & SEEN_AFTER_FIN);
}
