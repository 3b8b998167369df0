// Bytes and fields of the headers that the C twin reads and writes, and the Internet checksum: the
// counterpart of src/wire. Multi-byte fields are in network order on the wire and in host order
// everywhere else, so that keys, hashes and tables are the same words as weir's. RFC 791, RFC 768,
// RFC 9293 §3.1, RFC 826, RFC 1071, RFC 1624 (equation 3).

#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
  ETHERNET_SIZE = 14,
  ETHERNET_FRAME_MIN = 60,
  IPV4_SIZE = 20,
  TCP_SIZE = 20,
  UDP_SIZE = 8,
  ARP_SIZE = 28,
  TYPE_IPV4 = 0x0800,
  TYPE_ARP = 0x0806,
  TYPE_VLAN = 0x8100,
  TYPE_VLAN_SERVICE = 0x88a8,
  PROTOCOL_ICMP = 1,
  PROTOCOL_TCP = 6,
  PROTOCOL_UDP = 17,
  FLAG_FIN = 0x01,
  FLAG_SYN = 0x02,
  FLAG_RST = 0x04,
  FLAG_ACK = 0x10,
};

static inline uint16_t load16(const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return __builtin_bswap16(value);
}

static inline uint32_t load32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return __builtin_bswap32(value);
}

static inline void store16(uint8_t *at, uint32_t value) {
  const uint16_t swapped = __builtin_bswap16((uint16_t)value);
  memcpy(at, &swapped, sizeof swapped);
}

static inline void store32(uint8_t *at, uint32_t value) {
  const uint32_t swapped = __builtin_bswap32(value);
  memcpy(at, &swapped, sizeof swapped);
}

static inline uint32_t fold(uint32_t total) {
  total = (total >> 16) + (total & 0xffff);
  return (total >> 16) + (total & 0xffff);
}

/**
 * The folded sum of `length` bytes, added to `initial`. The last byte may be the upper half of a
 * word.
 */
static inline uint32_t sum(const uint8_t *bytes, uint32_t length, uint32_t initial) {
  uint64_t total = initial;
  uint32_t at = 0;
  for (; at + 4 <= length; at += 4) total += load32(bytes + at);
  if (length & 2) {
    total += load16(bytes + at);
    at += 2;
  }
  if (length & 1) total += (uint32_t)bytes[at] << 8;
  total = (total >> 32) + (total & 0xffffffff);
  total = (total >> 32) + (total & 0xffffffff);
  return fold(fold((uint32_t)(total >> 16)) + (uint32_t)(total & 0xffff));
}

/** The five words of a header without options, summed without a loop. */
static inline bool is_plain_header_valid(const uint8_t *header) {
  uint64_t total = 0;
  for (int i = 0; i < IPV4_SIZE; i += 4) {
    // One's-complement sums do not mind the byte order (RFC 1071 §2 B): no swapping needed.
    uint32_t word;
    memcpy(&word, header + i, sizeof word);
    total += word;
  }
  total = (total >> 32) + (total & 0xffffffff);
  const uint32_t once = (uint32_t)(total >> 32) + (uint32_t)total;
  return fold((once >> 16) + (once & 0xffff)) == 0xffff;
}

static inline uint32_t difference16(uint32_t before, uint32_t after) {
  return fold((~before & 0xffff) + (after & 0xffff));
}

static inline uint32_t difference32(uint32_t before, uint32_t after) {
  const uint32_t inverted = ~before;
  return fold((inverted >> 16) + (inverted & 0xffff) + (after >> 16) + (after & 0xffff));
}

/** The checksum after a rewrite that adds `difference` to the sum. */
static inline uint32_t apply_difference(uint32_t checksum, uint32_t difference) {
  return ~fold((~checksum & 0xffff) + difference) & 0xffff;
}

/** As above for UDP, where zero says that there is none, and a computed zero is sent as 0xffff. */
static inline uint32_t apply_difference_udp(uint32_t checksum, uint32_t difference) {
  if (checksum == 0) return 0;
  const uint32_t updated = apply_difference(checksum, difference);
  return updated == 0 ? 0xffff : updated;
}

/** Whether the checksum of a TCP segment or UDP datagram of `length` bytes is right. */
static inline bool is_transport_valid(const uint8_t *network, const uint8_t *transport,
                                      uint32_t length, uint32_t protocol) {
  if (protocol == PROTOCOL_UDP && load16(transport + 6) == 0) return true;
  const uint32_t source = load32(network + 12);
  const uint32_t destination = load32(network + 16);
  const uint32_t pseudo = fold((source >> 16) + (source & 0xffff) + (destination >> 16) +
                               (destination & 0xffff) + protocol + length);
  return sum(transport, length, pseudo) == 0xffff;
}
