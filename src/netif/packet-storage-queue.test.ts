// A processor's end of packet storage with a real event: when the interface daemon is woken, and what
// becomes of frames that cannot be taken now or ever.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FramePool } from '../memory/frame-pool.ts';
import { FRAME_DATA_MAX, STORAGE_LANE_CAPACITY } from '../memory/layout.ts';
import {
  DAEMON_SLEEPING,
  daemonWord,
  laneFromHost,
  laneToHost,
  StorageLane,
} from '../memory/packet-storage.ts';
import { type MainMemory, plainMainMemory } from '../memory/region.ts';
import { createEvent, drainEvent } from '../sys/event-fd.ts';
import { closeFd } from '../sys/libc.ts';
import { PacketStorageQueue } from './packet-storage-queue.ts';

const FRAMES = 256;
let memory: MainMemory;
let pools: FramePool[];
let queues: PacketStorageQueue[];
let event: number;

beforeEach(() => {
  memory = plainMainMemory({ connections: 1024, frames: FRAMES, processors: 2 });
  event = createEvent();
  pools = [0, 1].map((processor) => new FramePool(memory, processor));
  for (const pool of pools) pool.recover([]);
  queues = pools.map((pool, processor) => new PacketStorageQueue(memory, pool, processor, event));
});

afterEach(() => closeFd(event));

const setSleeping = (value: number): void => {
  memory.words[daemonWord(memory.layout, DAEMON_SLEEPING)] = value;
};
const isSleeping = () => memory.words[daemonWord(memory.layout, DAEMON_SLEEPING)];
const send = (processor: number, length = 60) => {
  const offset = pools[processor].take();
  const sent = queues[processor].transmit(offset, length);
  if (sent === 0) pools[processor].give(offset);
  return sent;
};

describe('the interface daemon', () => {
  it('is woken when it sleeps and there is something, by one of several', () => {
    setSleeping(1);
    for (const queue of queues) queue.flush();
    expect([drainEvent(event), isSleeping()]).toEqual([0, 1]);
    send(0);
    // Not before the frame can be seen.
    expect(drainEvent(event)).toBe(0);
    queues[0].flush();
    expect([drainEvent(event), isSleeping()]).toEqual([1, 0]);
    send(1);
    queues[1].flush();
    expect(drainEvent(event)).toBe(0);
    const lanes = [0, 1].map((each) => new StorageLane(memory, laneToHost(memory.layout, each)));
    expect(lanes.map((lane) => lane.available())).toEqual([1, 1]);
  });

  it('is left alone while it is awake', () => {
    setSleeping(0);
    send(0);
    queues[0].flush();
    expect(drainEvent(event)).toBe(0);
  });
});

describe('a lane that is full', () => {
  it('refuses, and keeps no frame of the pool', () => {
    for (let i = 0; i < STORAGE_LANE_CAPACITY; i++) expect(send(0)).toBe(1);
    expect(send(0)).toBe(0);
    const free = [];
    for (let offset = pools[0].take(); offset >= 0; offset = pools[0].take()) free.push(offset);
    expect(free.length).toBe(FRAMES / 2);
  });
});

describe('frames from the host', () => {
  const offsets = new Int32Array(64);
  const lengths = new Int32Array(64);
  let daemon: StorageLane;

  beforeEach(() => {
    daemon = new StorageLane(memory, laneFromHost(memory.layout, 0));
  });

  function leave(...sizes: number[]): void {
    for (const size of sizes) {
      const at = daemon.reserve();
      memory.bytes.fill(size & 0xff, at, at + Math.min(size, FRAME_DATA_MAX));
      daemon.commit(size);
    }
    daemon.publish();
  }

  it('wait while the pool is empty, and are whole then', () => {
    const taken = [];
    for (let offset = pools[0].take(); offset >= 0; offset = pools[0].take()) taken.push(offset);
    leave(60, 61);
    expect(queues[0].receiveBurst(offsets, lengths, 64)).toBe(0);
    expect(queues[0].hasArrived()).toBe(true);
    pools[0].give(taken.pop()!);
    expect(queues[0].receiveBurst(offsets, lengths, 64)).toBe(1);
    expect([lengths[0], memory.bytes[offsets[0]], memory.bytes[offsets[0] + 59]]).toEqual([
      60, 60, 60,
    ]);
    pools[0].give(offsets[0]);
    expect(queues[0].receiveBurst(offsets, lengths, 64)).toBe(1);
    expect([lengths[0], memory.bytes[offsets[0] + 60]]).toEqual([61, 61]);
    expect(queues[0].hasArrived()).toBe(false);
  });

  it('that are none, or too long, cost their slot only', () => {
    leave(13, 60, FRAME_DATA_MAX + 1, FRAME_DATA_MAX, -1);
    expect(queues[0].receiveBurst(offsets, lengths, 64)).toBe(2);
    expect([...lengths.slice(0, 2)]).toEqual([60, FRAME_DATA_MAX]);
    expect(queues[0].truncatedCount).toBe(1);
    expect(queues[0].hasArrived()).toBe(false);
  });

  it('come no more than were asked for', () => {
    leave(60, 60, 60);
    expect(queues[0].receiveBurst(offsets, lengths, 2)).toBe(2);
    expect(queues[0].receiveBurst(offsets, lengths, 2)).toBe(1);
  });
});
