// What a queue of a network interface is to a switching processor, whatever carries the frames. The
// packet engine (Fig. 5) knows only this. Frames are named by the offset of their first byte in main
// memory; a frame belongs to exactly one owner (memory/frame-pool.ts): the processor, or the interface
// from refill until receiveBurst (Fig. 13) and from transmit until reclaim (Fig. 12).
// netif/contract.suite.ts holds every kind against this file.

/** Kinds of interface, as the configuration names them; the index stands in main memory. */
export const INTERFACE_KINDS = [
  'af-xdp',
  'af-packet',
  'loopback',
  'pcap',
  'packet-storage',
] as const;
export type InterfaceKind = (typeof INTERFACE_KINDS)[number];

/** How an interface moves its frames, best first; the index stands in main memory. */
export const INTERFACE_MODES = [
  'native zero-copy',
  'native copy',
  'generic copy',
  'packet ring',
  'memory',
] as const;
export type InterfaceMode = (typeof INTERFACE_MODES)[number];

/** One queue of one network interface, used by exactly one switching processor. */
export interface InterfaceQueue {
  /** For poll(2) while the processor sleeps; -1 where there is nothing to wait on. */
  readonly fileDescriptor: number;

  /**
   * Frames that came in since this queue was opened and did not fit into a chunk; they ended there, and
   * whoever polls the queue counts them. An int32 that wraps.
   */
  readonly truncatedCount: number;

  /**
   * Steps 342 to 344: takes up to `limit` received frames, if there are any. Their offsets (of the first byte, Ethernet header first)
   * and lengths in bytes go to the arrays from index 0. The frames belong to the processor now.
   * @returns how many. @hot
   */
  receiveBurst(offsets: Int32Array, lengths: Int32Array, limit: number): number;

  /**
   * Step 323: offers one frame for transmission; nothing is sent before `flush`. The first byte may stand
   * anywhere in its chunk.
   * @returns 1: the frame belongs to the interface now; 0: no room, it stays the processor's. @hot
   */
  transmit(offset: number, length: number): number;

  /**
   * Step 324: publishes what was offered and tells the kernel: at most one system call. To be called every turn:
   * what the interface could not take yet is offered to it again.
   * @returns how many offered frames it has not taken. @hot
   */
  flush(): number;

  /** Steps 325, 326: takes back what has been sent, for the frame pool. @returns how many. @hot */
  reclaim(): number;

  /** Step 341: gives free frames of the pool to the interface. @returns how many. @hot */
  refill(): number;

  /** Lets go of nothing that another process could still use: file descriptors stay open. */
  close(): void;
}
