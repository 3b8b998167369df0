// The command line of the C twin: what weir reads from its configuration. Each option's parts are
// separated by commas; an option may be repeated.
//   --interface NAME,ADDRESS/PREFIX[,MAC]   the first is 0 (outside), the second 1 (inside)
//   --route PREFIX/LENGTH,GATEWAY           the gateway decides the interface
//   --service udp|tcp,ADDRESS,PORT          the backends that follow are its own
//   --backend ADDRESS,PORT
//   --neighbor ADDRESS,MAC                  on the interface that leads to the address
// Routes of the interfaces' own networks are made from their addresses; give shorter ones first.

#pragma once
#include <arpa/inet.h>

#include "filter.h"

struct topology {
  char names[INTERFACES_MAX][16];
  uint32_t interfaces, services, backends;
};

static uint32_t parse_address(const char *text) {
  struct in_addr address;
  if (inet_pton(AF_INET, text, &address) != 1) {
    fprintf(stderr, "not an IPv4 address: %s\n", text);
    exit(2);
  }
  return ntohl(address.s_addr);
}

static struct mac parse_mac(const char *text) {
  unsigned int b[6];
  if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6) {
    fprintf(stderr, "not a MAC address: %s\n", text);
    exit(2);
  }
  return (struct mac){(b[0] << 8) | b[1], (b[2] << 24) | (b[3] << 16) | (b[4] << 8) | b[5]};
}

/** Splits a value at its commas, in place; parts that are not there are empty. */
static void split(char *value, char *parts[3]) {
  static char empty[] = "";
  for (int i = 0; i < 3; i++) {
    char *comma = strchr(value, ',');
    parts[i] = value;
    if (comma == NULL) {
      value = empty;
    } else {
      *comma = 0;
      value = comma + 1;
    }
  }
}

/** The prefix length behind the slash, which is cut off. */
static uint32_t cut_prefix_length(char *text) {
  char *slash = strchr(text, '/');
  if (slash == NULL) return 32;
  *slash = 0;
  return (uint32_t)atoi(slash + 1);
}

static void add_interface(struct twin *twin, struct topology *topology, char *parts[3]) {
  const uint32_t number = topology->interfaces++;
  if (number >= INTERFACES_MAX) {
    fprintf(stderr, "no more than %d interfaces\n", INTERFACES_MAX);
    exit(2);
  }
  snprintf(topology->names[number], sizeof topology->names[number], "%s", parts[0]);
  const uint32_t length = cut_prefix_length(parts[1]);
  const uint32_t address = parse_address(parts[1]);
  const uint32_t mask = length == 0 ? 0 : 0xffffffffu << (32 - length);
  add_own_address(twin->configuration, address, number + 2);
  add_route(twin->routing, address & mask, length, number, 0);
  if (*parts[2] != 0) twin->macs[number] = parse_mac(parts[2]);
  twin->interfaces[number].link_up = 1;
  twin->interfaces[number].mtu = 1500;
}

static uint32_t interface_towards(const struct twin *twin, uint32_t address) {
  const struct next_hop *hop = find_route(twin->routing, address);
  return hop == NULL ? 0 : hop->interface;
}

/** Takes one option of the topology. @returns false: it is none of ours. */
static inline bool take_option(struct twin *twin, struct topology *topology, const char *option,
                               char *value) {
  char *parts[3];
  struct configuration *configuration = twin->configuration;
  if (strcmp(option, "--interface") == 0) {
    split(value, parts);
    add_interface(twin, topology, parts);
  } else if (strcmp(option, "--route") == 0) {
    split(value, parts);
    const uint32_t length = cut_prefix_length(parts[0]), gateway = parse_address(parts[1]);
    const uint32_t interface = interface_towards(twin, gateway);
    add_route(twin->routing, parse_address(parts[0]), length, interface, gateway);
  } else if (strcmp(option, "--service") == 0) {
    split(value, parts);
    const uint32_t protocol = strcmp(parts[0], "udp") == 0 ? PROTOCOL_UDP : PROTOCOL_TCP;
    const uint32_t address = parse_address(parts[1]), port = (uint32_t)atoi(parts[2]);
    add_service(configuration, topology->services++, address, port, protocol);
  } else if (strcmp(option, "--backend") == 0 && topology->services > 0) {
    split(value, parts);
    const uint32_t address = parse_address(parts[0]), port = (uint32_t)atoi(parts[1]);
    add_backend(configuration, topology->services - 1, topology->backends++, address, port);
  } else if (strcmp(option, "--neighbor") == 0) {
    split(value, parts);
    const uint32_t address = parse_address(parts[0]);
    const uint32_t interface = interface_towards(twin, address);
    const int32_t index = find_neighbor(twin->neighbors, interface, address, true);
    if (index >= 0) learn_neighbor(&twin->neighbors[index], parse_mac(parts[1]));
  } else {
    return false;
  }
  return true;
}
