// Stage 3 of the C twin's filter: what becomes of a packet whose headers have been read, and doing
// it. The counterpart of packet-filter.ts from step 206 on, new-connection.ts, rewrite.ts and way-
// out.ts. Invariant: every packet is counted under exactly one reason, and its frame has left or is
// given back.

#pragma once
#include "filter.h"

/** Length of the frame without what stands behind its packet, but for Ethernet's padding. */
static inline uint32_t length_to_send(const struct twin *twin, const struct packet *packet) {
  const uint8_t *frame = twin->memory.base + packet->offset;
  const uint32_t needed = (uint32_t)(packet->network - frame) + packet->end;
  const uint32_t least = needed > ETHERNET_FRAME_MIN ? needed : ETHERNET_FRAME_MIN;
  return packet->length > least ? least : packet->length;
}

static inline bool send_frame(struct twin *twin, uint32_t egress, uint32_t offset,
                              uint32_t length) {
  if (!transmit(twin, egress, offset, length)) return false;
  twin->counters->interfaces[egress].sent++;
  twin->counters->interfaces[egress].sent_bytes += length;
  return true;
}

static inline void store_mac(uint8_t *at, const struct mac *mac) {
  store16(at, mac->high);
  store32(at + 2, mac->low);
}

/** Steps 216 and 220: addresses, port, time to live, checksums. */
static inline void rewrite(const struct line *line, bool is_to_server,
                           const struct packet *packet) {
  uint8_t *network = packet->network, *transport = packet->transport;
  store32(network + (is_to_server ? 16 : 12), line->address);
  store16(transport + (is_to_server ? 2 : 0), line->port >> 16);
  network[8]--;
  const uint32_t header = fold((line->checksums >> 16) + TIME_TO_LIVE_DIFFERENCE);
  store16(network + 10, apply_difference(load16(network + 10), header));
  const uint32_t payload = line->checksums & 0xffff;
  if (packet->protocol == PROTOCOL_TCP) {
    store16(transport + 16, apply_difference(load16(transport + 16), payload));
  } else {
    store16(transport + 6, apply_difference_udp(load16(transport + 6), payload));
  }
}

/** Finds the next hop: the word that a connection remembers, or NO_WAY_OUT and a reason. */
static inline uint32_t find_way_out(struct twin *twin, uint32_t destination, uint32_t *reason) {
  const struct next_hop *hop = find_route(twin->routing, destination);
  *reason = NO_ROUTE;
  if (hop == NULL) return NO_WAY_OUT;
  const uint32_t address = hop->gateway == 0 ? destination : hop->gateway;
  const int32_t index = find_neighbor(twin->neighbors, hop->interface, address, true);
  *reason = NEIGHBOR_UNRESOLVED;
  if (index < 0) return NO_WAY_OUT;
  const uint32_t recycled = twin->neighbors[index].key >> 8;
  return (recycled << 20) | ((hop->interface + 1) << 12) | (uint32_t)index;
}

/** Step 224: MAC addresses, and out. */
static inline uint32_t send_out(struct twin *twin, const struct packet *packet, uint32_t way_out,
                                uint32_t reason, uint32_t now) {
  const uint32_t egress = ((way_out >> 12) & 0xff) - 1;
  const struct interface_block *interface = &twin->interfaces[egress];
  if (interface->link_up == 0) return INTERFACE_DOWN;
  if (packet->end > interface->mtu) return FRAME_TOO_LONG;
  struct mac mac;
  if (!read_mac(&twin->neighbors[way_out & 0xfff], now, &mac)) return NEIGHBOR_UNRESOLVED;
  uint8_t *frame = twin->memory.base + packet->offset;
  store_mac(frame, &mac);
  store_mac(frame + 6, &twin->macs[egress]);
  const uint32_t length = length_to_send(twin, packet);
  return send_frame(twin, egress, packet->offset, length) ? reason : TRANSMIT_FULL;
}

static inline void count_packet(struct twin *twin, struct line *line, bool is_to_server,
                                uint32_t now, uint32_t length) {
  line->last_seen = now;
  line->packets++;
  line->bytes += length;
  struct backend_counters *backend = &twin->backends[line->ids & 0xffff];
  uint64_t *pair = is_to_server ? &backend->packets_in : &backend->packets_out;
  pair[0]++;
  pair[1] += length;
}

/** A segment has passed: marks, and the end of the handshake. */
static inline void follow_tcp(struct table *table, uint32_t entry, uint32_t flags) {
  struct line *line = &table->lines[entry];
  const uint32_t after = marks_after(line->marks, flags);
  if (after != line->marks) line->marks = after;
  if ((entry & 1) || line->life != LIFE_HALF_OPEN || !(after & SEEN_ACK)) return;
  if ((after & SEEN_SYN) && !(line[1].marks & SEEN_SYN)) return;
  if (compare_and_swap(&line->life, LIFE_HALF_OPEN, LIFE_LIVE)) table->half_open--;
}

/** A packet of a connection whose record is at hand. */
static inline uint32_t forward(struct twin *twin, const struct packet *packet, uint32_t entry,
                               uint32_t reason, uint32_t now) {
  if (packet->network[8] < 2) return TTL_EXPIRED;
  struct line *line = &twin->table.lines[entry];
  const bool is_to_server = (entry & 1) == 0;
  count_packet(twin, line, is_to_server, now, packet->end);
  if (packet->protocol == PROTOCOL_TCP) follow_tcp(&twin->table, entry, packet->flags);
  rewrite(line, is_to_server, packet);
  uint32_t way_out = line->way_out;
  const uint32_t recycled = twin->neighbors[way_out & 0xfff].key >> 8;
  const bool is_fresh = way_out != NO_WAY_OUT &&
                        line->way_out_generation == twin->routing_generation &&
                        ((recycled ^ (way_out >> 20)) & 0xfff) == 0;
  if (!is_fresh) {
    uint32_t fault;
    way_out = find_way_out(twin, is_to_server ? line->address : packet->destination, &fault);
    if (way_out == NO_WAY_OUT) return fault;
    line->way_out = way_out;
    line->way_out_generation = twin->routing_generation;
  }
  return send_out(twin, packet, way_out, reason, now);
}

static inline bool is_intact(const struct packet *packet) {
  const uint32_t behind = packet->end - (uint32_t)(packet->transport - packet->network);
  const uint32_t length =
      packet->protocol == PROTOCOL_UDP ? load16(packet->transport + 4) : behind;
  return is_transport_valid(packet->network, packet->transport, length, packet->protocol);
}

/** Step 208. No resets are sent: each is one too many, as weir says when its rate is zero. */
static inline uint32_t refuse(const struct packet *packet, uint32_t datagram_reason) {
  if (packet->protocol != PROTOCOL_TCP) return datagram_reason;
  if (packet->flags & FLAG_RST) return RESET_RECEIVED;
  return is_intact(packet) ? RESET_RATE_LIMITED : BAD_TRANSPORT_CHECKSUM;
}

/** Steps 214 and 218: chooses a backend and records both directions. */
static inline int32_t record_connection(struct twin *twin, const struct packet *packet,
                                        uint32_t service, uint32_t now) {
  const struct service *of = &twin->configuration->services[service];
  uint32_t position = twin->positions[service];
  if (position >= of->selection_length) position = 0;
  twin->positions[service] = position + 1;
  const uint32_t id = twin->configuration->selection[of->selection_offset + position];
  const struct backend *backend = &twin->configuration->backends[id];
  const int32_t number = reserve(&twin->table);
  if (number == NOT_FOUND) return INDEX_FULL;
  struct line *client = &twin->table.lines[number << 1], *server = client + 1;
  const uint32_t service_port = packet->ports & 0xffff, protocol = (uint32_t)packet->protocol << 8;
  client->source = packet->source;
  client->destination = packet->destination;
  client->ports = packet->ports;
  client->ids = server->ids = (service << 16) | id;
  client->address = backend->address;
  client->port = (backend->port << 16) | protocol;
  uint32_t address = difference32(packet->destination, backend->address);
  uint32_t port = difference16(service_port, backend->port);
  client->checksums = (address << 16) | fold(address + port);
  server->source = backend->address;
  server->destination = packet->source;
  server->ports = (backend->port << 16) | (packet->ports >> 16);
  server->address = packet->destination;
  server->port = (service_port << 16) | protocol;
  address = difference32(backend->address, packet->destination);
  port = difference16(backend->port, service_port);
  server->checksums = (address << 16) | fold(address + port);
  const int32_t result = publish(&twin->table, (uint32_t)number, packet->hash, now);
  if (result != PUBLISHED) return result;
  twin->backends[id].active++;
  twin->backends[id].connections++;
  return number;
}

/** A packet of no connection: begins one (210), or is refused (208). */
static inline uint32_t decide_unknown(struct twin *twin, const struct packet *packet,
                                      uint32_t now) {
  const struct configuration *configuration = twin->configuration;
  if (own_address(configuration, packet->source) != 0) return BAD_IP_SOURCE;
  const uint32_t protocol = packet->protocol;
  const int32_t service =
      find_service(configuration, packet->destination, packet->ports & 0xffff, protocol);
  if (service < 0) {
    const bool is_ours = own_address(configuration, packet->destination) != 0;
    if (is_ours) return refuse(packet, INVALID_SERVICE);
    if (is_backend_endpoint(configuration, packet->source, packet->ports >> 16, protocol)) {
      return refuse(packet, UNKNOWN_CONNECTION);
    }
    return NOT_OURS;
  }
  if (protocol == PROTOCOL_TCP && (packet->flags & (FLAG_SYN | FLAG_ACK)) != FLAG_SYN) {
    return refuse(packet, UNKNOWN_CONNECTION);
  }
  if (!is_intact(packet)) return BAD_TRANSPORT_CHECKSUM;
  if (packet->network[8] < 2) return TTL_EXPIRED;
  if (configuration->services[service].selection_length == 0) return NO_BACKEND;
  for (int attempt = 0; attempt < 3; attempt++) {
    const int32_t number = record_connection(twin, packet, (uint32_t)service, now);
    if (number >= 0) return forward(twin, packet, (uint32_t)number << 1, NEW_CONNECTION, now);
    if (number == INDEX_FULL) return TABLE_FULL;
  }
  return TUPLE_TAKEN;
}

static inline uint32_t decide(struct twin *twin, const struct packet *packet, uint32_t now) {
  const struct table *table = &twin->table;
  int32_t entry = packet->candidate;
  const struct line *line = &table->lines[entry < 0 ? 0 : entry];
  const uint32_t protocol = packet->protocol;
  if (entry < 0 || (line->life & LIFE_FOUND) != LIFE_LIVE ||
      !bears_key(line, packet->source, packet->destination, packet->ports, protocol)) {
    entry = lookup(table, packet->hash, packet->source, packet->destination, packet->ports,
                   protocol);
    if (entry == NOT_FOUND) return decide_unknown(twin, packet, now);
    line = &table->lines[entry];
  }
  const bool is_first = (packet->flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN;
  if (is_first && (entry & 1) == 0 && has_ended(line) && packet->network[8] >= 2 &&
      is_intact(packet)) {
    twin->backends[line->ids & 0xffff].active--;
    if (line->life == LIFE_HALF_OPEN) twin->table.half_open--;
    release(&twin->table, (uint32_t)entry >> 1);
    return decide_unknown(twin, packet, now);
  }
  return forward(twin, packet, (uint32_t)entry, CONNECTION, now);
}

/** ARP: answers for our addresses, learns who asks for them. */
static inline uint32_t decide_arp(struct twin *twin, uint32_t ingress, struct packet *packet) {
  uint8_t *message = packet->network, *frame = twin->memory.base + packet->offset;
  if (packet->length - (uint32_t)(message - frame) < ARP_SIZE || load32(message) != 0x00010800 ||
      load16(message + 4) != 0x0604) {
    return BAD_ARP;
  }
  packet->end = ARP_SIZE;
  const uint32_t operation = load16(message + 6), sender = load32(message + 14);
  const uint32_t target = load32(message + 24), own = own_address(twin->configuration, target);
  const bool is_for_us = own == 1 || own == ingress + 2;
  if (operation != 1 && operation != 2) return ARP_IGNORED;
  if (own_address(twin->configuration, sender) != 0) return ARP_IGNORED;
  const struct mac mac = {load16(message + 8), load32(message + 10)};
  const bool is_usable = sender != 0 && !(mac.high & 0x100) && (mac.high | mac.low) != 0;
  const int32_t index =
      is_usable ? find_neighbor(twin->neighbors, ingress, sender, is_for_us) : NOT_FOUND;
  if (index >= 0) learn_neighbor(&twin->neighbors[index], mac);
  if (operation != 1 || !is_for_us) return index >= 0 ? ARP_LEARNED : ARP_IGNORED;
  memcpy(message + 18, message + 8, 10);
  memcpy(frame, frame + 6, 6);
  const struct mac *ours = &twin->macs[ingress];
  store16(message + 6, 2);
  store_mac(message + 8, ours);
  store_mac(frame + 6, ours);
  store32(message + 14, target);
  const uint32_t length = length_to_send(twin, packet);
  return send_frame(twin, ingress, packet->offset, length) ? ARP_ANSWERED : TRANSMIT_FULL;
}

/** Stage 1: headers and hash; asks for the bucket. */
static inline void read_packet(struct twin *twin, uint32_t ingress, struct packet *packet,
                               uint32_t offset, uint32_t length) {
  struct counters *counters = twin->counters;
  packet->offset = offset;
  packet->length = length;
  packet->fault = read_headers(twin, ingress, packet);
  counters->single[0]++;
  counters->interfaces[ingress].received++;
  counters->interfaces[ingress].received_bytes += length;
  if (packet->fault != CONTINUE) return;
  packet->hash = key_hash(twin->table.seed, packet->source, packet->destination, packet->ports,
                          packet->protocol);
  __builtin_prefetch(first_bucket(&twin->table, packet->hash));
}

/** Stage 3: decides, and gives the frame back unless it has left. */
static inline void finish_packet(struct twin *twin, uint32_t ingress, struct packet *packet,
                                 uint32_t now) {
  uint32_t reason = packet->fault;
  if (reason == CONTINUE) {
    reason = decide(twin, packet, now);
  } else if (reason == IS_ARP) {
    reason = decide_arp(twin, ingress, packet);
  }
  twin->counters->reasons[reason]++;
  if (reason > ARP_ANSWERED) give_frame(&twin->pool, &twin->memory, packet->offset);
}

/**
 * Takes a burst of frames that came in on one interface through all stages. A packet is DISTANCE
 * packets ahead of the next stage: far enough for memory to answer, and no more requests under way
 * than the processor can keep. One stage after the other for the whole burst is slower, since 64
 * requests at once are too many: 75 ns a packet instead of 58 at a million connections.
 */
static inline void filter_burst(struct twin *twin, uint32_t ingress, const uint32_t *offsets,
                                const uint32_t *lengths, uint32_t count, uint32_t now) {
  struct packet packets[BURST_SIZE];
  for (uint32_t i = 0; i < count && i < DISTANCE; i++) {
    __builtin_prefetch(twin->memory.base + offsets[i], 1);
  }
  for (uint32_t i = 0; i < count + 2 * DISTANCE; i++) {
    if (i + DISTANCE < count) __builtin_prefetch(twin->memory.base + offsets[i + DISTANCE], 1);
    if (i < count) read_packet(twin, ingress, &packets[i], offsets[i], lengths[i]);
    if (i >= DISTANCE && i - DISTANCE < count) {
      struct packet *packet = &packets[i - DISTANCE];
      if (packet->fault == CONTINUE) {
        packet->candidate = prefetch_record(&twin->table, packet->hash);
      }
    }
    if (i >= 2 * DISTANCE) finish_packet(twin, ingress, &packets[i - 2 * DISTANCE], now);
  }
}

static inline void print_counters(const struct twin *twin) {
#define NAMED(symbol, name) name,
  static const char *const names[] = {REASONS(NAMED)};
#undef NAMED
  printf("{\"received\":%llu,\"reasons\":{", (unsigned long long)twin->counters->single[0]);
  const char *comma = "";
  for (int i = 0; i < REASON_COUNT; i++) {
    if (twin->counters->reasons[i] == 0) continue;
    printf("%s\"%s\":%llu", comma, names[i], (unsigned long long)twin->counters->reasons[i]);
    comma = ",";
  }
  printf("},\"connections\":%llu}\n", (unsigned long long)twin->table.taken);
}
