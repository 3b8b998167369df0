// The C twin of one switching processor with two AF_XDP interfaces: the same filter (filter.h,
// decide.h) in the same turn as weir's (src/switching/processor.ts): every queue polled, then
// everything flushed. One thread on one CPU, spinning; nothing is configured while it runs, nothing
// expires but what has ended, and there is no other process. It exists to be measured and is no
// product.
//   forwarder TOPOLOGY… [--cpu N] [--connections N] [--frames N] [--tx-budget N]
// Says "ready" when it forwards; at SIGTERM it ends and writes its counters.

#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>

#include "decide.h"
#include "topology.h"
#include "xdp.h"

/** Records looked at in each millisecond for connections that have ended. */
enum { SWEEP_BUDGET = 1024, ENDED_FOR_MS = 10000 };

static struct socket sockets[INTERFACES_MAX];
static volatile sig_atomic_t is_stopping;

static void stop(int signal) {
  (void)signal;
  is_stopping = 1;
}

static inline bool put_to_send(struct twin *twin, struct socket *socket, uint32_t number,
                               uint32_t offset, uint32_t length) {
  struct ring *ring = &socket->to_send;
  if (room(ring, 1) == 0) return false;
  frame_to_interface(&twin->pool, &twin->memory, offset, number);
  struct xdp_desc *descriptors = ring->entries;
  const uint64_t address = offset - twin->memory.frames_start;
  descriptors[ring->mine++ % RING_SIZE] = (struct xdp_desc){.addr = address, .len = length};
  return true;
}

static inline bool transmit(struct twin *twin, uint32_t egress, uint32_t offset, uint32_t length) {
  struct socket *socket = &sockets[egress];
  if (put_to_send(twin, socket, egress, offset, length)) return true;
  flush(socket);
  reclaim(twin, socket);
  return put_to_send(twin, socket, egress, offset, length);
}

static uint32_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/** Frees TCP connections that have ended some time ago, so that new ones find room. */
static void sweep(struct twin *twin, uint32_t *cursor, uint32_t now) {
  struct table *table = &twin->table;
  for (int i = 0; i < SWEEP_BUDGET && table->taken > 0; i++) {
    *cursor = *cursor + 1 >= table->connections ? 0 : *cursor + 1;
    const struct line *client = &table->lines[*cursor << 1];
    if ((client->life & LIFE_FOUND) != LIFE_LIVE || !has_ended(client)) continue;
    const uint32_t seen = (int32_t)(client[1].last_seen - client->last_seen) > 0
                              ? client[1].last_seen
                              : client->last_seen;
    if ((int32_t)(now - seen) < ENDED_FOR_MS) continue;
    twin->backends[client->ids & 0xffff].active--;
    if (client->life == LIFE_HALF_OPEN) table->half_open--;
    release(table, *cursor);
  }
}

/** Index and MAC address of an interface, which is brought up. */
static unsigned int find_interface(const char *name, struct mac *mac) {
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0) fail(name);
  const uint8_t *bytes = (const uint8_t *)request.ifr_hwaddr.sa_data;
  *mac = (struct mac){load16(bytes), load32(bytes + 2)};
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) fail(name);
  request.ifr_flags |= IFF_UP;
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) fail(name);
  close(fd);
  return if_nametoindex(name);
}

static void open_interfaces(struct twin *twin, const struct topology *topology, int tx_budget) {
  const uint32_t share = twin->memory.frames * 3 / 4 / topology->interfaces;
  unsigned int indexes[INTERFACES_MAX];
  for (uint32_t i = 0; i < topology->interfaces; i++) {
    indexes[i] = find_interface(topology->names[i], &twin->macs[i]);
    const int shared = i == 0 ? -1 : sockets[0].fd;
    sockets[i] = open_socket(&twin->memory, indexes[i], shared, tx_budget);
    sockets[i].receive_limit = share < RING_SIZE ? share : RING_SIZE;
    refill(twin, &sockets[i], i);
  }
  for (uint32_t i = 0; i < topology->interfaces; i++) attach_program(indexes[i], sockets[i].fd);
}

static void run(struct twin *twin, uint32_t interfaces) {
  uint32_t offsets[BURST_SIZE], lengths[BURST_SIZE], cursor = 0, swept_at = now_ms();
  while (!is_stopping) {
    const uint32_t now = now_ms();
    for (uint32_t i = 0; i < interfaces; i++) {
      reclaim(twin, &sockets[i]);
      const uint32_t count = receive_burst(twin, &sockets[i], offsets, lengths);
      if (count > 0) filter_burst(twin, i, offsets, lengths, count, now);
      refill(twin, &sockets[i], i);
    }
    if (now != swept_at) {
      sweep(twin, &cursor, now);
      swept_at = now;
    }
    for (uint32_t i = 0; i < interfaces; i++) flush(&sockets[i]);
  }
}

static void pin(int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) fail("CPU affinity");
}

/** The value of an option, or `otherwise`. */
static long number_option(int count, char **arguments, const char *option, long otherwise) {
  for (int i = 1; i + 1 < count; i += 2) {
    if (strcmp(arguments[i], option) == 0) return strtol(arguments[i + 1], NULL, 10);
  }
  return otherwise;
}

int main(int count, char **arguments) {
  const char *const numbers[] = {"--cpu", "--connections", "--frames", "--tx-budget"};
  const long cpu = number_option(count, arguments, numbers[0], -1);
  const uint32_t connections = (uint32_t)number_option(count, arguments, numbers[1], 65536);
  const uint32_t frames = (uint32_t)number_option(count, arguments, numbers[2], 16384);
  uint32_t seed;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) fail("random seed");
  struct twin twin = make_twin(connections, frames, seed);
  struct topology topology = {.interfaces = 0};
  for (int i = 1; i + 1 < count; i += 2) {
    bool is_known = take_option(&twin, &topology, arguments[i], arguments[i + 1]);
    for (int n = 0; n < 4; n++) is_known |= strcmp(arguments[i], numbers[n]) == 0;
    if (is_known) continue;
    fprintf(stderr, "unknown option %s\n", arguments[i]);
    return 2;
  }
  if (topology.interfaces == 0) {
    fprintf(stderr, "at least one --interface is needed\n");
    return 2;
  }
  if (cpu >= 0) pin((int)cpu);
  open_interfaces(&twin, &topology, (int)number_option(count, arguments, numbers[3], 0));
  const struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  puts("ready");
  fflush(stdout);
  run(&twin, topology.interfaces);
  print_counters(&twin);
  return 0;
}
