// What the C twin is told: services and their backends, own addresses, routes. The sections that
// the packet path reads are placed and searched as weir's are (src/tables/configuration-table.ts,
// routing-table.ts): open hashing, selection tables, three steps of a route. Written once, before
// the first packet; only read after that.

#pragma once
#include "memory.h"
#include "neighbor.h"

enum { SERVICE_SLOTS = MAX_SERVICES * 2, OWN_SLOTS = 16384, NEXT_HOPS = 4096, CHUNKS = 1024 };

struct service {
  uint32_t valid, address, port, protocol, forwarding, scheduler;
  uint32_t selection_offset, selection_length, list_offset, backend_count;
  uint32_t unused[6], timeouts[16];
};

struct backend {
  uint32_t valid, address, port, weight, service, unused[3];
};

struct lookup_entry {
  uint32_t address, second, value, unused;
};

struct configuration {
  uint32_t header[256];
  struct service services[MAX_SERVICES];
  struct backend backends[MAX_BACKENDS];
  struct lookup_entry service_lookup[SERVICE_SLOTS];
  struct lookup_entry endpoint_lookup[MAX_BACKENDS * 2];
  struct lookup_entry own_lookup[OWN_SLOTS];
  uint32_t selection[MAX_BACKENDS];
};
_Static_assert(sizeof(struct configuration) <= CONFIGURATION_SIZE, "the configuration fits");

struct next_hop {
  uint32_t interface, gateway, unused[2];
};

struct routing {
  uint32_t header[64];
  struct next_hop next_hops[NEXT_HOPS];
  int32_t root[65536];           // 0 no route, > 0 next hop + 1, < 0 minus the chunk's number - 1
  int32_t chunks[CHUNKS][256];
};
_Static_assert(sizeof(struct routing) <= ROUTING_SIZE, "the routes fit");

static inline void put_lookup(struct lookup_entry *entries, uint32_t slots, uint32_t address,
                              uint32_t second, uint32_t value) {
  uint32_t slot = finish(mix(mix(0, address), second)) & (slots - 1);
  while (entries[slot].value != 0) slot = (slot + 1) & (slots - 1);
  entries[slot] = (struct lookup_entry){address, second, value, 0};
}

/** The value of a key, or 0. */
static inline uint32_t get_lookup(const struct lookup_entry *entries, uint32_t slots,
                                  uint32_t address, uint32_t second) {
  uint32_t slot = finish(mix(mix(0, address), second)) & (slots - 1);
  for (uint32_t probe = 0; probe < slots; probe++, slot = (slot + 1) & (slots - 1)) {
    if (entries[slot].value == 0) return 0;
    if (entries[slot].address == address && entries[slot].second == second) {
      return entries[slot].value;
    }
  }
  return 0;
}

static inline uint32_t port_and_protocol(uint32_t port, uint32_t protocol) {
  return (port << 16) | protocol;
}

static inline int32_t find_service(const struct configuration *configuration, uint32_t address,
                                   uint32_t port, uint32_t protocol) {
  const uint32_t key = port_and_protocol(port, protocol);
  return (int32_t)get_lookup(configuration->service_lookup, SERVICE_SLOTS, address, key) - 1;
}

/**
 * Number of the interface that bears an own address + 2, 1 for a service's address, 0: not ours.
 */
static inline uint32_t own_address(const struct configuration *configuration, uint32_t address) {
  return get_lookup(configuration->own_lookup, OWN_SLOTS, address, 0);
}

static inline void add_own_address(struct configuration *configuration, uint32_t address,
                                   uint32_t value) {
  if (own_address(configuration, address) == 0) {
    put_lookup(configuration->own_lookup, OWN_SLOTS, address, 0, value);
  }
}

static inline void add_service(struct configuration *configuration, uint32_t id, uint32_t address,
                               uint32_t port, uint32_t protocol) {
  configuration->services[id] = (struct service){
      .valid = 1, .address = address, .port = port, .protocol = protocol};
  const uint32_t key = port_and_protocol(port, protocol);
  put_lookup(configuration->service_lookup, SERVICE_SLOTS, address, key, id + 1);
  add_own_address(configuration, address, 1);
}

/** Backends of a service follow one another; each has one position of its selection table. */
static inline void add_backend(struct configuration *configuration, uint32_t service, uint32_t id,
                               uint32_t address, uint32_t port) {
  struct service *of = &configuration->services[service];
  configuration->backends[id] = (struct backend){1, address, port, 1, service, {0}};
  if (of->selection_length == 0) of->selection_offset = id;
  configuration->selection[id] = id;
  of->selection_length++;
  of->backend_count++;
  put_lookup(configuration->endpoint_lookup, MAX_BACKENDS * 2, address,
             port_and_protocol(port, of->protocol), 1);
}

static inline bool is_backend_endpoint(const struct configuration *configuration, uint32_t address,
                                       uint32_t port, uint32_t protocol) {
  return get_lookup(configuration->endpoint_lookup, MAX_BACKENDS * 2, address,
                    port_and_protocol(port, protocol)) != 0;
}

/** Chunk below an entry, made from the entry if need be. */
static inline int32_t *chunk_below(struct routing *routing, int32_t *entry) {
  if (*entry >= 0) {
    const int32_t chunk = (int32_t)routing->header[2]++;
    if (chunk >= CHUNKS) fail("too many routes");
    for (int i = 0; i < 256; i++) routing->chunks[chunk][i] = *entry;
    *entry = -chunk - 1;
  }
  return routing->chunks[-*entry - 1];
}

/** Routes are to be added in the order of their lengths, the shortest first. */
static inline void add_route(struct routing *routing, uint32_t prefix, uint32_t length,
                             uint32_t interface, uint32_t gateway) {
  const uint32_t hop = routing->header[1]++;
  routing->next_hops[hop] = (struct next_hop){interface, gateway, {0}};
  const int32_t entry = (int32_t)hop + 1;
  int32_t *entries = routing->root;
  uint32_t first = prefix >> 16, bits = 16;
  if (length > 16) {
    entries = chunk_below(routing, &routing->root[prefix >> 16]);
    first = (prefix >> 8) & 0xff;
    bits = 24;
  }
  if (length > 24) {
    entries = chunk_below(routing, &entries[first]);
    first = prefix & 0xff;
    bits = 32;
  }
  for (uint32_t i = 0; i < 1u << (bits - length); i++) entries[first + i] = entry;
}

static inline const struct next_hop *find_route(const struct routing *routing, uint32_t address) {
  int32_t entry = routing->root[address >> 16];
  if (entry < 0) {
    entry = routing->chunks[-entry - 1][(address >> 8) & 0xff];
    if (entry < 0) entry = routing->chunks[-entry - 1][address & 0xff];
  }
  return entry == 0 ? NULL : &routing->next_hops[entry - 1];
}
