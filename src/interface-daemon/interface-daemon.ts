// The interface daemon (53 of Fig. 8): moves frames between packet storage and the pseudo-network
// device. What switching processors left for the host is written to the device, what the kernel sends is
// read into the lane of a switching processor, in bulk: up to BURST frames of each lane and of the device
// a turn, and as many turns as there is something. Then it sleeps in poll(2) until either side wakes it.
// Invariant: it never waits for either side. A lane that is full, or a device that takes nothing, costs
// the frame, which is counted. All frames of one conversation go to one processor, so that they stay in
// order.

import { finish, mix } from '../base/hash.ts';
import { FRAME_DATA_MAX, PROCESSOR_SLEEPING } from '../memory/layout.ts';
import {
  DAEMON_HEARTBEAT,
  DAEMON_SLEEPING,
  daemonWord,
  laneFromHost,
  laneToHost,
  STORAGE_FROM_HOST_BYTES,
  STORAGE_FROM_HOST_DROPPED,
  STORAGE_FROM_HOST_PACKETS,
  STORAGE_TO_HOST_BYTES,
  STORAGE_TO_HOST_PACKETS,
  STORAGE_TO_HOST_REFUSED,
  STORAGE_WAKE_UPS,
  StorageLane,
  storageCounters,
} from '../memory/packet-storage.ts';
import type { MainMemory } from '../memory/region.ts';

/** Most frames moved from one place before the next has its turn. */
export const BURST = 64;

/** The device, as the daemon uses it: sys/tap.ts, or a test's. Addresses are offsets in main memory. */
export interface FrameDevice {
  /** @returns 0, or the errno */
  write(offset: number, length: number): number;
  /** A frame to the scratch place. @returns its length; -1: there is none */
  read(): number;
  /** Where `read` puts a frame, as an offset in the buffer of main memory. */
  readonly scratch: number;
}

export class InterfaceDaemon {
  private readonly memory: MainMemory;
  private readonly device: FrameDevice;
  private readonly wake: (processor: number) => void;
  private readonly toHost: StorageLane[] = [];
  private readonly fromHost: StorageLane[] = [];
  private readonly counters: number;
  private readonly sleepingWord: number;

  /** `wake` ends the sleep of a switching processor. */
  constructor(memory: MainMemory, device: FrameDevice, wake: (processor: number) => void) {
    this.memory = memory;
    this.device = device;
    this.wake = wake;
    const { layout } = memory;
    for (let processor = 0; processor < layout.processors; processor++) {
      this.toHost.push(new StorageLane(memory, laneToHost(layout, processor)));
      this.fromHost.push(new StorageLane(memory, laneFromHost(layout, processor)));
    }
    this.counters = storageCounters(layout);
    this.sleepingWord = daemonWord(layout, DAEMON_SLEEPING);
    Atomics.store(memory.words, this.sleepingWord, 0);
  }

  /** One turn in both directions. @returns how many frames it has moved. */
  turn(nowMs: number): number {
    const { words, layout } = this.memory;
    Atomics.store(words, daemonWord(layout, DAEMON_HEARTBEAT), nowMs);
    let moved = this.readFromDevice();
    for (const lane of this.toHost) moved += this.writeToDevice(lane);
    return moved;
  }

  /**
   * Before sleeping: shows that it sleeps, then looks once more (whoever leaves a frame looks at the mark
   * after publishing). @returns whether it may sleep
   */
  prepareToSleep(): boolean {
    Atomics.store(this.memory.words, this.sleepingWord, 1);
    if (this.toHost.every((lane) => lane.available() === 0)) return true;
    this.woke();
    return false;
  }

  /** After sleeping, before anything else. */
  woke(): void {
    Atomics.store(this.memory.words, this.sleepingWord, 0);
    this.count(STORAGE_WAKE_UPS, 1);
  }

  private writeToDevice(lane: StorageLane): number {
    const available = lane.available();
    const count = available > BURST ? BURST : available;
    let packets = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const length = lane.length(i);
      if (length === 0 || this.device.write(lane.frame(i), length) !== 0) continue;
      packets += 1;
      bytes += length;
    }
    lane.release(count);
    this.count(STORAGE_TO_HOST_PACKETS, packets);
    this.count(STORAGE_TO_HOST_BYTES, bytes);
    this.count(STORAGE_TO_HOST_REFUSED, count - packets);
    return count;
  }

  private readFromDevice(): number {
    let count = 0;
    while (count < BURST) {
      const length = this.device.read();
      if (length <= 0) break;
      count += 1;
      this.leave(length);
    }
    if (count > 0) this.publish();
    return count;
  }

  /** Leaves the frame that was read for the switching processor of its conversation. */
  private leave(length: number): void {
    const { bytes } = this.memory;
    const { scratch } = this.device;
    const lane = this.fromHost[this.processorFor(scratch, length)];
    const to = length > FRAME_DATA_MAX ? -1 : lane.reserve();
    if (to < 0) {
      this.count(STORAGE_FROM_HOST_DROPPED, 1);
      return;
    }
    bytes.copyWithin(to, scratch, scratch + length);
    lane.commit(length);
    this.count(STORAGE_FROM_HOST_PACKETS, 1);
    this.count(STORAGE_FROM_HOST_BYTES, length);
  }

  /** By the two IPv4 addresses, which fragments have as well; other frames go to the first. */
  private processorFor(frame: number, length: number): number {
    const processors = this.fromHost.length;
    if (processors === 1 || length < 34) return 0;
    const { view } = this.memory;
    if (view.getUint16(frame + 12) !== 0x0800) return 0;
    const hash = finish(mix(mix(0, view.getInt32(frame + 26)), view.getInt32(frame + 30)));
    return (hash >>> 1) % processors;
  }

  private publish(): void {
    for (const [processor, lane] of this.fromHost.entries()) {
      if (lane.publish() === 0) continue;
      const sleeping = this.memory.processorWord(processor, PROCESSOR_SLEEPING);
      if (Atomics.load(this.memory.words, sleeping) !== 0) this.wake(processor);
    }
  }

  private count(counter: number, amount: number): void {
    this.memory.doubles[this.counters + counter] += amount;
  }
}
