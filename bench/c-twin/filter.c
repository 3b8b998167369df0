// The C twin's packet filter alone, driven as bench/micro/filter.ts drives weir's: the same packets
// of the same flows in bursts of 64 over a treadmill of frames that neither come in nor leave, so
// that nanoseconds of CPU time per packet can be set beside those of TypeScript. The cost of making
// packets is measured by itself and told beside the others.
//   filter [--connections N,N…] [--rounds N] [--packets N]     one JSON line
//   filter --transform TOPOLOGY…     frames from stdin, rewritten to stdout:
// each is ingress or egress (u32), length (u32), bytes; counters go to stderr. For the test that
// both filters write the same bytes.

#include <sys/resource.h>
#include <time.h>

#include "decide.h"
#include "filter.h"
#include "topology.h"

enum { FRAMES = 8192, FRAME_LENGTH = 60, PORTS = 32768, SENT_MAX = 4096, RESULTS_MAX = 99 };
static const uint32_t CLIENT_NETWORK = 0x0a400000, SERVICE = 0x0a010064, BACKEND = 0x0a02000b;
/** The 16-bit words of the header that are the same in all packets, added up. */
static const uint32_t REST_OF_HEADER = 0x4500 + 0x002e + 0x4000 + 0x4011 + 0x0a01 + 0x0064;
static const uint32_t SERVICE_PORT = 53, OTHER_PORT = 54, GENERATOR_BITS = 25;

static uint32_t sent_offsets[SENT_MAX], sent_count;
static FILE *frames_out;

static inline bool transmit(struct twin *twin, uint32_t egress, uint32_t offset, uint32_t length) {
  if (frames_out != NULL) {
    const uint32_t head[2] = {egress, length};
    fwrite(head, sizeof head, 1, frames_out);
    fwrite(twin->memory.base + offset, length, 1, frames_out);
  }
  if (sent_count == SENT_MAX) return false;
  sent_offsets[sent_count++] = offset;
  return true;
}

static void reclaim(struct twin *twin) {
  for (uint32_t i = 0; i < sent_count; i++) give_frame(&twin->pool, &twin->memory, sent_offsets[i]);
  sent_count = 0;
}

/** Which packets the treadmill makes. */
struct treadmill {
  uint32_t connections, state, next, port;
  bool is_in_order;
};

static uint32_t draw(struct treadmill *treadmill) {
  if (treadmill->is_in_order) {
    const uint32_t number = treadmill->next++;
    if (treadmill->next == treadmill->connections) treadmill->next = 0;
    return number;
  }
  treadmill->state = treadmill->state * 1103515245u + 12345u;
  const uint64_t random = treadmill->state >> (32 - GENERATOR_BITS);
  return (uint32_t)(random * treadmill->connections >> GENERATOR_BITS);
}

/** Writes every byte that the filter reads or has changed. */
static void write_packet(uint8_t *frame, uint32_t connection, uint32_t port) {
  store16(frame, 0x0200);
  store32(frame + 2, 0x0a000001);
  store16(frame + 12, TYPE_IPV4);
  uint8_t *network = frame + ETHERNET_SIZE, *transport = network + IPV4_SIZE;
  store32(network, 0x4500002e);
  store32(network + 4, 0x00004000);
  store32(network + 8, 0x40110000);
  const uint32_t source = CLIENT_NETWORK + connection / PORTS + 1;
  store32(network + 12, source);
  store32(network + 16, SERVICE);
  store16(network + 10, ~fold(REST_OF_HEADER + (source >> 16) + (source & 0xffff)) & 0xffff);
  store16(transport, 1024 + connection % PORTS);
  store16(transport + 2, port);
  store16(transport + 4, 26);
  store16(transport + 6, 0);
}

static void receive(struct twin *twin, struct treadmill *treadmill, uint32_t *offsets,
                    uint32_t *lengths) {
  for (int i = 0; i < BURST_SIZE; i++) {
    offsets[i] = take_frame(&twin->pool, &twin->memory);
    lengths[i] = FRAME_LENGTH;
    write_packet(twin->memory.base + offsets[i], draw(treadmill), treadmill->port);
  }
}

static uint64_t cpu_nanoseconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const struct timeval user = usage.ru_utime, system = usage.ru_stime;
  return (uint64_t)(user.tv_sec + system.tv_sec) * 1000000000ull +
         (uint64_t)(user.tv_usec + system.tv_usec) * 1000ull;
}

/** Packets made, switched and given back. @returns nanoseconds for each. */
static double run(struct twin *twin, struct treadmill *treadmill, uint64_t packets, uint32_t now,
                  bool is_filtered) {
  uint32_t offsets[BURST_SIZE], lengths[BURST_SIZE];
  const uint64_t start = cpu_nanoseconds();
  for (uint64_t done = 0; done < packets; done += BURST_SIZE) {
    receive(twin, treadmill, offsets, lengths);
    if (is_filtered) {
      filter_burst(twin, 0, offsets, lengths, BURST_SIZE, now);
    } else {
      for (int i = 0; i < BURST_SIZE; i++) transmit(twin, 1, offsets[i], lengths[i]);
    }
    reclaim(twin);
  }
  return (double)(cpu_nanoseconds() - start) / (double)packets;
}

/** The table as after start; its pages stay. */
static void wipe(struct twin *twin) {
  const struct memory *memory = &twin->memory;
  const uint64_t end = memory->records + 128ull * memory->connections;
  memset(memory->base + memory->bitmap, 0, end - memory->bitmap);
  twin->table.cursor = 0;
  twin->table.taken = 0;
}

static struct twin prepare(uint32_t connections) {
  const uint64_t room = ((uint64_t)connections * 11 + 9) / 10;
  struct twin twin = make_twin(room < 1024 ? 1024 : (uint32_t)room, FRAMES, 0);
  struct topology topology = {.interfaces = 0};
  char options[][2][48] = {
      {"--route", "0.0.0.0/0,10.1.0.254"},
      {"--interface", "ext0,10.1.0.1/24,02:00:0a:00:00:01"},
      {"--interface", "int0,10.2.0.1/24,02:00:0a:00:00:02"},
      {"--service", "udp,10.1.0.100,53"},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    take_option(&twin, &topology, options[i][0], options[i][1]);
  }
  for (uint32_t id = 0; id < 4; id++) {
    add_backend(twin.configuration, 0, id, BACKEND + id, SERVICE_PORT);
    const int32_t index = find_neighbor(twin.neighbors, 1, BACKEND + id, true);
    learn_neighbor(&twin.neighbors[index], (struct mac){0x0200, 77 + id});
  }
  wipe(&twin);
  return twin;
}

/** First packets of all connections, again and again until there were enough to measure. */
static double measure_new(struct twin *twin, uint32_t connections, uint64_t packets) {
  struct treadmill treadmill = {.connections = connections, .port = SERVICE_PORT,
                                .is_in_order = true};
  const uint64_t bursts = connections / BURST_SIZE, each = bursts * BURST_SIZE;
  double total = 0;
  uint64_t passes = 0;
  for (uint64_t done = 0; done < packets || passes == 0; done += each, passes++) {
    wipe(twin);
    treadmill.next = 0;
    total += run(twin, &treadmill, each, 1000, true);
  }
  // Those that do not fill a burst are needed, not measured.
  if (each != connections) run(twin, &treadmill, BURST_SIZE, 1000, true);
  return total / (double)passes;
}

static void print_values(const char *name, const double *values, int rounds) {
  printf(",\"%s\":[", name);
  for (int i = 0; i < rounds; i++) printf("%s%.2f", i == 0 ? "" : ",", values[i]);
  printf("]");
}

static void measure(uint32_t connections, int rounds, uint64_t packets) {
  struct twin twin = prepare(connections);
  struct treadmill random = {.connections = connections, .state = 12345, .port = SERVICE_PORT};
  double making[RESULTS_MAX], known[RESULTS_MAX], missing[RESULTS_MAX], fresh[RESULTS_MAX];
  measure_new(&twin, connections, 1);
  run(&twin, &random, packets / 4, 1000, true);
  for (int round = 0; round < rounds; round++) {
    const uint32_t now = 1000 + 10 * (uint32_t)round;
    random.port = SERVICE_PORT;
    making[round] = run(&twin, &random, packets, now, false);
    known[round] = run(&twin, &random, packets, now, true) - making[round];
    random.port = OTHER_PORT;
    missing[round] = run(&twin, &random, packets, now, true) - making[round];
    fresh[round] = measure_new(&twin, connections, packets) - making[round];
  }
  const struct counters *counters = twin.counters;
  printf("{\"connections\":%u,\"held\":%llu,\"bytesPerConnection\":%.2f,\"pages\":\"%s\"",
           connections,
         (unsigned long long)twin.table.taken, bytes_per_connection(&twin.memory),
         twin.memory.has_huge_pages ? "huge" : "small");
  print_values("making", making, rounds);
  print_values("known", known, rounds);
  print_values("noService", missing, rounds);
  print_values("new", fresh, rounds);
  printf(",\"reasons\":{\"connection\":%llu,\"new-connection\":%llu,\"invalid-service\":%llu}}",
         (unsigned long long)counters->reasons[CONNECTION],
         (unsigned long long)counters->reasons[NEW_CONNECTION],
         (unsigned long long)counters->reasons[INVALID_SERVICE]);
  munmap(twin.memory.base, twin.memory.size);
  free(twin.pool.stack);
}

static int transform(int count, char **options) {
  struct twin twin = make_twin(4096, 256, 0);
  struct topology topology = {.interfaces = 0};
  for (int i = 0; i + 1 < count; i += 2) {
    if (take_option(&twin, &topology, options[i], options[i + 1])) continue;
    fprintf(stderr, "unknown option %s\n", options[i]);
    return 2;
  }
  frames_out = stdout;
  uint32_t offsets[BURST_SIZE], lengths[BURST_SIZE], head[2], next[2];
  bool is_more = fread(head, sizeof head, 1, stdin) == 1;
  while (is_more) {
    uint32_t burst = 0;
    do {
      if (head[0] >= INTERFACES_MAX || head[1] > FRAME_SIZE - FRAME_HEADROOM) return 2;
      offsets[burst] = take_frame(&twin.pool, &twin.memory);
      lengths[burst] = head[1];
      uint8_t *frame = twin.memory.base + offsets[burst++];
      if (head[1] > 0 && fread(frame, head[1], 1, stdin) != 1) return 2;
      is_more = fread(next, sizeof next, 1, stdin) == 1;
      if (!is_more || next[0] != head[0] || burst == BURST_SIZE) break;
      memcpy(head, next, sizeof head);
    } while (true);
    filter_burst(&twin, head[0], offsets, lengths, burst, 1000);
    reclaim(&twin);
    memcpy(head, next, sizeof head);
  }
  fflush(stdout);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  print_counters(&twin);
  return 0;
}

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "--transform") == 0) {
    return transform(count - 2, arguments + 2);
  }
  char standard[] = "1024,65536,1048576";
  char *sizes = standard;
  int rounds = 9;
  uint64_t packets = 2000000;
  for (int i = 1; i + 1 < count; i += 2) {
    if (strcmp(arguments[i], "--connections") == 0) sizes = arguments[i + 1];
    if (strcmp(arguments[i], "--rounds") == 0) rounds = atoi(arguments[i + 1]);
    if (strcmp(arguments[i], "--packets") == 0) packets = strtoull(arguments[i + 1], NULL, 10);
  }
  if (rounds < 1 || rounds > RESULTS_MAX) rounds = 1;
  packets = (packets + BURST_SIZE - 1) / BURST_SIZE * BURST_SIZE;
  printf("{\"filter\":\"C twin\",\"rounds\":%d,\"packetsPerRound\":%llu,\"results\":[", rounds,
         (unsigned long long)packets);
  const char *comma = "";
  for (char *size = strtok(sizes, ","); size != NULL; size = strtok(NULL, ",")) {
    printf("%s", comma);
    comma = ",";
    const unsigned long connections = strtoul(size, NULL, 10);
    measure(connections < BURST_SIZE ? BURST_SIZE : (uint32_t)connections, rounds, packets);
    fflush(stdout);
  }
  printf("]}\n");
  return 0;
}
