// Main memory of the C twin: the same sections with the same sizes in the same order as weir's
// (src/memory/layout.ts), in a memory file of the same kind of pages, so that both meet the same
// caches and the same translations of addresses. One processor, so lanes exist but carry nothing.
// Frames and who owns each of them are those of src/memory/frame-pool.ts: a frame's word is written
// at every change of hands. Invariant: what is called an offset counts bytes from the start of main
// memory.

#pragma once
#include <linux/memfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  MAX_PROCESSORS = 64,
  MAX_INTERFACES = 64,
  MAX_SERVICES = 4096,
  MAX_BACKENDS = 16384,
  MAX_NEIGHBORS = 4096,
  COUNTERS_SIZE = 4096,
  BUCKET_SLOTS = 16,
  FRAME_SIZE = 2048,
  FRAME_SHIFT = 11,
  FRAME_HEADROOM = 256,
  CONFIGURATION_SIZE = 8 << 20,
  ROUTING_SIZE = 6 << 20,
  HUGE_PAGE = 2 << 20,
  COLLAPSE = 25,  // MADV_COLLAPSE, unknown to older headers
};

enum { OWNER_FREE = 0, OWNER_INTERFACE = 0x10000, OWNER_PROCESSOR = 0x40000 };

/** Words of an interface's block that the packet path reads. */
struct interface_block {
  uint32_t kind, mode, index, mac_high, mac_low, mtu, queues, link_up;
  uint32_t unused[56];
};

struct frame_pool {
  uint32_t *owners;
  uint32_t *stack;
  uint32_t depth;
  uint64_t misplaced;
};

struct memory {
  uint8_t *base;
  uint64_t size;
  uint32_t connections, frames, buckets;
  int has_huge_pages;
  uint64_t counters, interfaces, configuration, routing, neighbors, backend_counters;
  uint64_t bitmap, index, records, owners, frames_start;
};

static inline uint64_t power_of_two_at_least(uint64_t value) {
  uint64_t power = 1;
  while (power < value) power *= 2;
  return power;
}

static uint64_t place_section(uint64_t *next, uint64_t size, uint64_t alignment) {
  const uint64_t start = (*next + alignment - 1) / alignment * alignment;
  *next = start + size;
  return start;
}

static inline void place_sections(struct memory *memory) {
  const uint64_t connections = memory->connections, frames = memory->frames;
  // Two entries for each connection fill at most three quarters of the slots.
  const uint64_t full = BUCKET_SLOTS * 3 / 4;
  memory->buckets = (uint32_t)power_of_two_at_least((connections * 2 + full - 1) / full);
  uint64_t next = 0;
  place_section(&next, 4096, 4096);                 // header
  place_section(&next, 256 * MAX_PROCESSORS, 4096);  // processor blocks
  memory->counters = place_section(&next, COUNTERS_SIZE, 4096);
  memory->interfaces = place_section(&next, 256 * MAX_INTERFACES, 4096);
  place_section(&next, 2 << 20, 4096);  // configuration text
  memory->configuration = place_section(&next, CONFIGURATION_SIZE * 2, 4096);
  memory->routing = place_section(&next, ROUTING_SIZE * 2, 4096);
  memory->neighbors = place_section(&next, 64 * MAX_NEIGHBORS, 4096);
  memory->backend_counters = place_section(&next, 64 * MAX_BACKENDS, 4096);
  memory->bitmap = place_section(&next, ((connections + 7) / 8 + 63) / 64 * 64, 4096);
  memory->index = place_section(&next, 64ull * memory->buckets, 4096);
  memory->records = place_section(&next, 128 * connections, 4096);
  place_section(&next, 128 + 8 * 1024, 4096);                               // hand-over lane
  place_section(&next, 128 + 8 * power_of_two_at_least(frames), 4096);  // return lane
  memory->owners = place_section(&next, 4 * frames, 4096);
  memory->frames_start = place_section(&next, FRAME_SIZE * frames, HUGE_PAGE);
  memory->size = (next + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/** Bytes that the connection table takes for each connection that it can hold. */
static inline double bytes_per_connection(const struct memory *memory) {
  const uint64_t end = memory->records + 128ull * memory->connections;
  return (double)(end - memory->bitmap) / memory->connections;
}

static int create_memory_file(uint64_t size, int try_huge, int *has_huge) {
  *has_huge = 0;
  if (try_huge) {
    const int fd = memfd_create("c-twin", MFD_HUGETLB | MFD_HUGE_2MB);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
      void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (mapped != MAP_FAILED) {
        munmap(mapped, size);
        *has_huge = 1;
        return fd;
      }
    }
    if (fd >= 0) close(fd);
  }
  const int fd = memfd_create("c-twin", 0);
  if (fd < 0 || ftruncate(fd, (off_t)size) != 0) fail("memory file");
  return fd;
}

/** Has the kernel make huge pages of it, as weir does where none are set aside (Linux 6.1). */
static int collapse(uint8_t *base, uint64_t size) {
  for (uint64_t offset = 0; offset < size; offset += HUGE_PAGE) base[offset] = 0;
  return madvise(base, size, COLLAPSE) == 0;
}

/** Makes main memory, zeroed. `PAGES=small` in the environment forbids huge pages, as for weir. */
static inline struct memory make_memory(uint32_t connections, uint32_t frames) {
  struct memory memory = {.connections = connections, .frames = frames};
  place_sections(&memory);
  const char *pages = getenv("PAGES");
  const int try_huge = pages == NULL || strcmp(pages, "small") != 0;
  const int fd = create_memory_file(memory.size, try_huge, &memory.has_huge_pages);
  uint8_t *reserved = mmap(NULL, memory.size + HUGE_PAGE, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) fail("address space");
  const uintptr_t mask = HUGE_PAGE - 1;
  memory.base = (uint8_t *)(((uintptr_t)reserved + mask) & ~mask);
  void *mapped = mmap(memory.base, memory.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                      fd, 0);
  if (mapped == MAP_FAILED) fail("main memory");
  close(fd);
  if (try_huge && !memory.has_huge_pages) {
    memory.has_huge_pages = collapse(memory.base, memory.size);
  }
  return memory;
}

static inline struct frame_pool make_pool(const struct memory *memory) {
  struct frame_pool pool = {.owners = (uint32_t *)(memory->base + memory->owners)};
  pool.stack = calloc(memory->frames, sizeof *pool.stack);
  if (pool.stack == NULL) fail("frame pool");
  for (uint32_t frame = 0; frame < memory->frames; frame++) pool.stack[pool.depth++] = frame;
  return pool;
}

static inline uint32_t frame_of(const struct memory *memory, uint32_t offset) {
  return (offset - (uint32_t)memory->frames_start) >> FRAME_SHIFT;
}

/** Offset of a free frame's first byte behind its headroom, or 0: there is none. */
static inline uint32_t take_frame(struct frame_pool *pool, const struct memory *memory) {
  if (pool->depth == 0) return 0;
  const uint32_t frame = pool->stack[--pool->depth];
  pool->owners[frame] = OWNER_PROCESSOR;
  return (uint32_t)memory->frames_start + (frame << FRAME_SHIFT) + FRAME_HEADROOM;
}

static inline void give_frame(struct frame_pool *pool, const struct memory *memory,
                              uint32_t offset) {
  const uint32_t frame = frame_of(memory, offset);
  if (pool->owners[frame] != OWNER_PROCESSOR) {
    pool->misplaced++;
    return;
  }
  pool->owners[frame] = OWNER_FREE;
  pool->stack[pool->depth++] = frame;
}

static inline void frame_to_interface(struct frame_pool *pool, const struct memory *memory,
                                      uint32_t offset, uint32_t socket) {
  pool->owners[frame_of(memory, offset)] = OWNER_INTERFACE | socket;
}

/** 0 when the frame belongs to no interface: the ring's entry must be skipped. */
static inline int frame_from_interface(struct frame_pool *pool, const struct memory *memory,
                                       uint32_t offset) {
  const uint32_t frame = frame_of(memory, offset);
  if ((pool->owners[frame] & ~0xffffu) != OWNER_INTERFACE) {
    pool->misplaced++;
    return 0;
  }
  pool->owners[frame] = OWNER_PROCESSOR;
  return 1;
}
