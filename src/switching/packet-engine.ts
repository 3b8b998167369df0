// The packet engine: Fig. 5. Polls the receive queues that belong to this processor, one interface
// after the other (102, 106); where frames are available (104) it takes a burst of them (108), hands
// each to the applications that want it and to the packet filter (110), and goes on until the queue is empty or the burst is full (112).
// A full burst ends the visit so that no queue can starve the others; the next turn comes back.
// Invariant: every frame taken has been passed on, answered, held or given back when the visit ends.

import type { Counters } from '../memory/counters.ts';
import type { Applications } from './applications.ts';
import type { PacketFilter } from './packet-filter.ts';
import * as reasons from './reasons.ts';
import type { OwnQueue } from './transmitter.ts';

/** Most frames taken from one queue before the next queue has its turn. */
export const BURST_SIZE = 64;

export class PacketEngine {
  private readonly queues: readonly OwnQueue[];
  private readonly filter: PacketFilter;
  private readonly counters: Counters;
  private readonly applications: Applications;
  /** Per queue: truncated frames that have been counted. */
  private readonly truncatedSeen: Int32Array;
  private readonly offsets = new Int32Array(BURST_SIZE);
  private readonly lengths = new Int32Array(BURST_SIZE);

  constructor(
    queues: readonly OwnQueue[],
    filter: PacketFilter,
    counters: Counters,
    applications: Applications,
  ) {
    this.queues = queues;
    this.truncatedSeen = Int32Array.from(queues, ({ queue }) => queue.truncatedCount);
    this.filter = filter;
    this.counters = counters;
    this.applications = applications;
  }

  /** Start-up (100): gives every queue frames to receive into. */
  start(): void {
    for (const { queue } of this.queues) {
      queue.reclaim();
      queue.refill();
    }
  }

  /** One round over all queues of this processor. @returns frames taken. @hot */
  pollAll(nowMs: number): number {
    if (this.applications.isInUse) return this.pollAllWithApplications(nowMs);
    let taken = 0;
    for (let i = 0; i < this.queues.length; i++) taken = (taken + this.poll(i, nowMs)) | 0;
    return taken;
  }

  /** Polls one queue (102 … 112). @hot */
  private poll(index: number, nowMs: number): number {
    const { queue, interfaceNumber } = this.queues[index];
    const { offsets, lengths } = this;
    queue.reclaim();
    const count = queue.receiveBurst(offsets, lengths, BURST_SIZE);
    if (count > 0) this.filter.processBurst(interfaceNumber, offsets, lengths, count, nowMs);
    if (queue.truncatedCount !== this.truncatedSeen[index]) this.countTruncated(index);
    queue.refill();
    return count;
  }

  /**
   * The same where there are applications, with the steps of Fig. 13 that the engine takes for them (all but
   * 345 to 347, which are theirs: applications.ts). Beside it, so that nobody pays for what he has not. @hot
   */
  private pollAllWithApplications(nowMs: number): number {
    const { offsets, lengths, applications } = this;
    let taken = 0;
    for (let i = 0; i < this.queues.length; i++) {
      const { queue, interfaceNumber } = this.queues[i];
      // 325, 326 of what was sent before.
      queue.reclaim();
      // 342: has anything come in? 344: these frames are ours now.
      const count = queue.receiveBurst(offsets, lengths, BURST_SIZE);
      // 343: if not, the next queue has its turn.
      if (count > 0) {
        const left = applications.processBurst(interfaceNumber, offsets, lengths, count, nowMs);
        if (left > 0) this.filter.processBurst(interfaceNumber, offsets, lengths, left, nowMs);
      }
      if (queue.truncatedCount !== this.truncatedSeen[i]) this.countTruncated(i);
      // 341: others in their place.
      queue.refill();
      taken = (taken + count) | 0;
    }
    return taken;
  }

  /** Counts frames that came in but fitted no chunk: they were received, and dropped. @hot */
  private countTruncated(index: number): void {
    const { queue, interfaceNumber } = this.queues[index];
    let fresh = (queue.truncatedCount - this.truncatedSeen[index]) | 0;
    this.truncatedSeen[index] = queue.truncatedCount;
    for (; fresh > 0; fresh = (fresh - 1) | 0) {
      this.counters.received(interfaceNumber, 1, 0);
      this.counters.count(reasons.FRAME_TOO_LONG);
    }
  }
}
