// AF_XDP for the C twin, from the kernel's own headers alone: sockets over one registration of the
// frames, their four rings, and the XDP program that hands every frame to the socket of its queue.
// The counterpart of src/sys/xdp-socket.ts, xdp-program.ts and src/netif/af-xdp, with the same
// sizes. Kernel documentation: Documentation/networking/af_xdp.rst. Invariant: a cursor is
// published after the entries that it covers were written or read, once a burst.

#pragma once
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "filter.h"

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9  // Linux 6.17 and later
#endif

enum { RING_SIZE = 2048, REFILL_BATCH = 16, SEND_BUFFER_SIZE = 16 << 20 };

struct ring {
  uint32_t *producer, *consumer, *flags;
  void *entries;
  uint32_t mine;       // our cursor
  uint32_t theirs;     // the kernel's, when last looked at
  uint32_t published;  // ours, as the kernel knows it
};

struct socket {
  int fd;
  uint32_t receive_limit;
  struct ring fill, completion, received, to_send;
};

static long bpf(int command, union bpf_attr *attributes) {
  return syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static void set_option(int fd, int option, const void *value, socklen_t size, const char *what) {
  if (setsockopt(fd, SOL_XDP, option, value, size) != 0) fail(what);
}

static struct ring map_ring(int fd, const struct xdp_ring_offset *at, size_t entry_size,
                            off_t page_offset) {
  const size_t length = at->desc + RING_SIZE * entry_size;
  uint8_t *base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                       page_offset);
  if (base == MAP_FAILED) fail("mapping a ring");
  return (struct ring){.producer = (uint32_t *)(base + at->producer),
                       .consumer = (uint32_t *)(base + at->consumer),
                       .flags = (uint32_t *)(base + at->flags),
                       .entries = base + at->desc};
}

/**
 * A socket with its rings, bound in copy mode; `shared` is the socket that has the frames, or -1.
 */
static struct socket open_socket(const struct memory *memory, unsigned int interface, int shared,
                                 int tx_budget) {
  struct socket result = {.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)};
  const int fd = result.fd, size = RING_SIZE, buffer = SEND_BUFFER_SIZE;
  if (fd < 0) fail("AF_XDP socket");
  if (shared < 0) {
    const struct xdp_umem_reg frames = {
        .addr = (uintptr_t)(memory->base + memory->frames_start),
        .len = (uint64_t)memory->frames * FRAME_SIZE,
        .chunk_size = FRAME_SIZE,
    };
    set_option(fd, XDP_UMEM_REG, &frames, sizeof frames, "registering frames");
  }
  const int rings[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING};
  for (int i = 0; i < 4; i++) set_option(fd, rings[i], &size, sizeof size, "making a ring");
  // For speed alone: an older kernel merely does not know them.
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  if (tx_budget > 0) setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &tx_budget, sizeof tx_budget);
  struct xdp_mmap_offsets offsets;
  socklen_t length = sizeof offsets;
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) fail("ring offsets");
  const size_t descriptor = sizeof(struct xdp_desc);
  result.received = map_ring(fd, &offsets.rx, descriptor, XDP_PGOFF_RX_RING);
  result.to_send = map_ring(fd, &offsets.tx, descriptor, XDP_PGOFF_TX_RING);
  result.fill = map_ring(fd, &offsets.fr, 8, (off_t)XDP_UMEM_PGOFF_FILL_RING);
  result.completion = map_ring(fd, &offsets.cr, 8, (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
  const struct sockaddr_xdp address = {
      .sxdp_family = AF_XDP,
      .sxdp_flags = shared < 0 ? XDP_COPY | XDP_USE_NEED_WAKEUP : XDP_SHARED_UMEM,
      .sxdp_ifindex = interface,
      .sxdp_shared_umem_fd = shared < 0 ? 0 : (uint32_t)shared,
  };
  if (bind(fd, (const struct sockaddr *)&address,
           sizeof address) != 0) fail("binding to the queue");
  return result;
}

/**
 * Attaches `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS)` to an interface,
 * natively,
 * for as long as this process lives.
 */
static void attach_program(unsigned int interface, int socket) {
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4,
                        .max_entries = 1};
  const int map_fd = (int)bpf(BPF_MAP_CREATE, &map);
  if (map_fd < 0) fail("map of sockets");
  const struct bpf_insn program[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = 16},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD,
       .imm = map_fd},
      {.code = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_XDP,
                         .insn_cnt = sizeof program / sizeof *program,
                         .insns = (uintptr_t)program,
                         .license = (uintptr_t) "GPL",
                         .expected_attach_type = BPF_XDP};
  const int program_fd = (int)bpf(BPF_PROG_LOAD, &load);
  if (program_fd < 0) fail("loading the XDP program");
  const uint32_t key = 0;
  union bpf_attr update = {
      .map_fd = (uint32_t)map_fd, .key = (uintptr_t)&key, .value = (uintptr_t)&socket};
  if (bpf(BPF_MAP_UPDATE_ELEM, &update) != 0) fail("entering a socket into the map");
  union bpf_attr link = {.link_create = {.prog_fd = (uint32_t)program_fd,
                                         .target_ifindex = interface,
                                         .attach_type = BPF_XDP,
                                         .flags = XDP_FLAGS_DRV_MODE}};
  if (bpf(BPF_LINK_CREATE, &link) < 0) fail("attaching the XDP program");
}

/** Entries that the kernel has put into a ring for us. */
static inline uint32_t available(struct ring *ring) {
  return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) - ring->mine;
}

static inline void release_entries(struct ring *ring, uint32_t count) {
  ring->mine += count;
  __atomic_store_n(ring->consumer, ring->mine, __ATOMIC_RELEASE);
}

/** Room for at least `wanted` entries of ours, or all the room there is. */
static inline uint32_t room(struct ring *ring, uint32_t wanted) {
  const uint32_t known = RING_SIZE - (ring->mine - ring->theirs);
  if (known >= wanted) return known;
  ring->theirs = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
  return RING_SIZE - (ring->mine - ring->theirs);
}

static inline void publish_entries(struct ring *ring) {
  if (ring->mine == ring->published) return;
  __atomic_store_n(ring->producer, ring->mine, __ATOMIC_RELEASE);
  ring->published = ring->mine;
}

static inline bool needs_wakeup(const struct ring *ring) {
  return (__atomic_load_n(ring->flags, __ATOMIC_SEQ_CST) & XDP_RING_NEED_WAKEUP) != 0;
}

static inline uint32_t receive_burst(struct twin *twin, struct socket *socket, uint32_t *offsets,
                                     uint32_t *lengths) {
  uint32_t waiting = available(&socket->received), count = 0;
  if (waiting == 0) return 0;
  if (waiting > BURST_SIZE) waiting = BURST_SIZE;
  const struct xdp_desc *descriptors = socket->received.entries;
  for (uint32_t i = 0; i < waiting; i++) {
    const struct xdp_desc *descriptor = &descriptors[(socket->received.mine + i) % RING_SIZE];
    const uint32_t offset = (uint32_t)(twin->memory.frames_start + descriptor->addr);
    if (!frame_from_interface(&twin->pool, &twin->memory, offset)) continue;
    offsets[count] = offset;
    lengths[count++] = descriptor->len;
  }
  release_entries(&socket->received, waiting);
  return count;
}

/** Takes back the frames that have been sent. */
static inline void reclaim(struct twin *twin, struct socket *socket) {
  const uint32_t sent = available(&socket->completion);
  const uint64_t *addresses = socket->completion.entries;
  for (uint32_t i = 0; i < sent; i++) {
    const uint64_t address = addresses[(socket->completion.mine + i) % RING_SIZE];
    const uint32_t offset = (uint32_t)(twin->memory.frames_start + address);
    if (frame_from_interface(&twin->pool, &twin->memory, offset)) {
      give_frame(&twin->pool, &twin->memory, offset);
    }
  }
  if (sent > 0) release_entries(&socket->completion, sent);
}

/** Gives the kernel free frames to receive into. */
static inline void refill(struct twin *twin, struct socket *socket, uint32_t number) {
  struct ring *fill = &socket->fill;
  uint32_t wanted = socket->receive_limit - (fill->mine - socket->received.mine);
  if (wanted < REFILL_BATCH) return;
  const uint32_t free = room(fill, wanted);
  if (free < wanted) wanted = free;
  uint64_t *addresses = fill->entries;
  while (wanted-- > 0) {
    const uint32_t offset = take_frame(&twin->pool, &twin->memory);
    if (offset == 0) break;
    frame_to_interface(&twin->pool, &twin->memory, offset, number);
    const uint32_t address = offset - (uint32_t)twin->memory.frames_start;
    addresses[fill->mine++ % RING_SIZE] = address & ~(uint32_t)(FRAME_SIZE - 1);
  }
  publish_entries(fill);
  if (needs_wakeup(fill)) recvfrom(socket->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/** Publishes what was put to be sent, and tells the kernel where it sleeps. */
static inline void flush(struct socket *socket) {
  struct ring *ring = &socket->to_send;
  publish_entries(ring);
  if (ring->published == ring->theirs) return;
  ring->theirs = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
  if (ring->published == ring->theirs || !needs_wakeup(ring)) return;
  sendto(socket->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
}
