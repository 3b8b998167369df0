// The packet filter of the C twin: what src/switching/packet-filter.ts decides and does for UDP and
// TCP by full NAT, in C as one writes it for speed. Packets go through in stages, some packets
// apart from each other, so that memory is asked for before it is needed:
//   1  headers read and checked (204), key hashed, bucket of the index asked for
//   2  bucket searched, record asked for
//   3  decided, rewritten (210 … 220), next hop's MAC address written, given to the interface (224)
// What weir's filter does besides is left out and counted as 'not-carried': ICMP, resets, the flood
// guard, DSR, Maglev, expiry; its table is not shared, so there are no epochs. Whoever includes
// this defines `transmit`; it is inlined.

#pragma once
#include "configuration.h"
#include "memory.h"
#include "neighbor.h"
#include "table.h"
#include "wire.h"

#define REASONS(X)                                                                              \
  X(CONNECTION, "connection")                                                                   \
  X(NEW_CONNECTION, "new-connection")                                                           \
  X(ARP_ANSWERED, "arp-answered")                                                               \
  X(ARP_LEARNED, "arp-learned")                                                                 \
  X(TRUNCATED, "truncated")                                                                     \
  X(FRAME_TOO_LONG, "frame-too-long")                                                           \
  X(NOT_FOR_US, "not-for-us")                                                                   \
  X(UNKNOWN_ETHERTYPE, "unknown-ethertype")                                                     \
  X(BAD_ARP, "bad-arp")                                                                         \
  X(ARP_IGNORED, "arp-ignored")                                                                 \
  X(BAD_IP_VERSION, "bad-ip-version")                                                           \
  X(BAD_IP_HEADER_LENGTH, "bad-ip-header-length")                                               \
  X(BAD_IP_TOTAL_LENGTH, "bad-ip-total-length")                                                 \
  X(BAD_IP_CHECKSUM, "bad-ip-checksum")                                                         \
  X(BAD_IP_SOURCE, "bad-ip-source")                                                             \
  X(FRAGMENT, "fragment")                                                                       \
  X(TTL_EXPIRED, "ttl-expired")                                                                 \
  X(UNKNOWN_PROTOCOL, "unknown-protocol")                                                       \
  X(BAD_TCP_HEADER, "bad-tcp-header")                                                           \
  X(BAD_TCP_FLAGS, "bad-tcp-flags")                                                             \
  X(BAD_UDP_LENGTH, "bad-udp-length")                                                           \
  X(BAD_TRANSPORT_CHECKSUM, "bad-transport-checksum")                                           \
  X(NOT_CARRIED, "not-carried")                                                                 \
  X(INVALID_SERVICE, "invalid-service")                                                         \
  X(UNKNOWN_CONNECTION, "unknown-connection")                                                   \
  X(RESET_RECEIVED, "reset-received")                                                           \
  X(RESET_RATE_LIMITED, "reset-rate-limited")                                                   \
  X(TABLE_FULL, "table-full")                                                                   \
  X(TUPLE_TAKEN, "tuple-in-use")                                                                \
  X(NO_BACKEND, "no-backend")                                                                   \
  X(NO_ROUTE, "no-route")                                                                       \
  X(NEIGHBOR_UNRESOLVED, "neighbor-unresolved")                                                 \
  X(TRANSMIT_FULL, "transmit-full")                                                             \
  X(INTERFACE_DOWN, "interface-down")                                                           \
  X(NOT_OURS, "not-ours")
#define NAMED(symbol, name) symbol,
enum reason { REASONS(NAMED) REASON_COUNT, CONTINUE, IS_ARP };
#undef NAMED

enum { BURST_SIZE = 64, INTERFACES_MAX = 2, DISTANCE = 12 };
enum { TIME_TO_LIVE_DIFFERENCE = 0xfeff, NO_WAY_OUT = 0 };

/** What this processor counts: the page of src/memory/counters.ts. */
struct counters {
  uint64_t single[64];
  uint64_t reasons[128];
  struct {
    uint64_t received, received_bytes, sent, sent_bytes;
  } interfaces[INTERFACES_MAX];
};
_Static_assert(sizeof(struct counters) <= COUNTERS_SIZE, "counters are a page");

struct backend_counters {
  uint64_t active, connections, packets_in, bytes_in, packets_out, bytes_out, unused[2];
};

/** One switching processor, and all that it works upon. */
struct twin {
  struct memory memory;
  struct frame_pool pool;
  struct table table;
  struct configuration *configuration;
  struct routing *routing;
  struct neighbor *neighbors;
  struct counters *counters;
  struct backend_counters *backends;
  struct interface_block *interfaces;
  struct mac macs[INTERFACES_MAX];
  uint32_t positions[MAX_SERVICES];
  uint32_t routing_generation;
};

/** What stage 1 found out about a packet. */
struct packet {
  uint8_t *network, *transport;
  uint32_t offset, length;
  uint32_t end;  // bytes of the IP packet, from `network`
  uint32_t source, destination, ports, hash;
  int32_t candidate;
  uint8_t protocol, flags;
  uint16_t fault;
};

/** Gives a frame to an interface; false: it takes no more. */
static inline bool transmit(struct twin *twin, uint32_t egress, uint32_t offset, uint32_t length);

static inline struct twin make_twin(uint32_t connections, uint32_t frames, uint32_t seed) {
  struct twin twin = {.memory = make_memory(connections, frames)};
  uint8_t *base = twin.memory.base;
  twin.pool = make_pool(&twin.memory);
  twin.table = make_table(&twin.memory, seed);
  twin.configuration = (struct configuration *)(base + twin.memory.configuration);
  twin.routing = (struct routing *)(base + twin.memory.routing);
  twin.neighbors = (struct neighbor *)(base + twin.memory.neighbors);
  twin.counters = (struct counters *)(base + twin.memory.counters);
  twin.backends = (struct backend_counters *)(base + twin.memory.backend_counters);
  twin.interfaces = (struct interface_block *)(base + twin.memory.interfaces);
  twin.routing_generation = 1;
  return twin;
}

static inline uint16_t read_transport(struct packet *packet) {
  const uint8_t *transport = packet->transport;
  const uint32_t available = packet->end - (uint32_t)(transport - packet->network);
  if (packet->protocol == PROTOCOL_UDP) {
    if (available < UDP_SIZE) return BAD_UDP_LENGTH;
    const uint32_t length = load16(transport + 4);
    if (length < UDP_SIZE || length > available) return BAD_UDP_LENGTH;
    packet->flags = 0;
  } else if (packet->protocol == PROTOCOL_TCP) {
    if (available < TCP_SIZE) return BAD_TCP_HEADER;
    const uint32_t size = (uint32_t)(transport[12] >> 4) << 2;
    if (size < TCP_SIZE || size > available) return BAD_TCP_HEADER;
    const uint32_t flags = packet->flags = transport[13];
    const bool is_sane = flags & FLAG_SYN ? !(flags & (FLAG_FIN | FLAG_RST))
                                          : (flags & (FLAG_ACK | FLAG_RST)) != 0;
    if (!is_sane) return BAD_TCP_FLAGS;
  } else {
    return packet->protocol == PROTOCOL_ICMP ? NOT_CARRIED : UNKNOWN_PROTOCOL;
  }
  packet->ports = load32(transport);
  return CONTINUE;
}

/** Step 204: the IPv4 header and what follows it. */
static inline uint16_t read_ipv4(struct packet *packet, uint32_t available) {
  uint8_t *network = packet->network;
  if (available < IPV4_SIZE) return TRUNCATED;
  if (network[0] >> 4 != 4) return BAD_IP_VERSION;
  const uint32_t header = (uint32_t)(network[0] & 15) << 2;
  if (header < IPV4_SIZE) return BAD_IP_HEADER_LENGTH;
  const uint32_t total = load16(network + 2);
  if (total < header) return BAD_IP_TOTAL_LENGTH;
  if (total > available) return TRUNCATED;
  const bool is_valid =
      header == IPV4_SIZE ? is_plain_header_valid(network) : sum(network, header, 0) == 0xffff;
  if (!is_valid) return BAD_IP_CHECKSUM;
  packet->source = load32(network + 12);
  const uint32_t first = packet->source >> 24;
  if (first == 0 || first == 127 || first >= 224) return BAD_IP_SOURCE;
  packet->destination = load32(network + 16);
  packet->end = total;
  if (load16(network + 6) & 0x3fff) return FRAGMENT;
  packet->transport = network + header;
  packet->protocol = network[9];
  return read_transport(packet);
}

/** Ethernet, with up to two VLAN tags, and what it carries. */
static inline uint16_t read_headers(const struct twin *twin, uint32_t ingress,
                                    struct packet *packet) {
  uint8_t *frame = twin->memory.base + packet->offset;
  if (packet->length < ETHERNET_SIZE) return TRUNCATED;
  uint32_t payload = ETHERNET_SIZE;
  uint32_t type = load16(frame + payload - 2);
  for (int tag = 0; tag < 2 && (type == TYPE_VLAN || type == TYPE_VLAN_SERVICE); tag++) {
    payload += 4;
    if (payload > packet->length) return TRUNCATED;
    type = load16(frame + payload - 2);
  }
  packet->network = frame + payload;
  const struct mac *mac = &twin->macs[ingress];
  const bool is_to_us = load32(frame + 2) == mac->low && load16(frame) == mac->high;
  if (type == TYPE_IPV4) {
    return is_to_us ? read_ipv4(packet, packet->length - payload) : NOT_FOR_US;
  }
  if (type != TYPE_ARP) return UNKNOWN_ETHERTYPE;
  return is_to_us || (frame[0] & 1) ? IS_ARP : NOT_FOR_US;
}
