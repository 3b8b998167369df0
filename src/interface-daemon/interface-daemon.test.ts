// The interface daemon between a device and lanes that the test holds: what goes where, in bulk, what is
// dropped and counted, and when it sleeps.

import { beforeEach, describe, expect, it } from 'vitest';
import { packet } from '../../test/support/packet-builder.ts';
import { FRAME_DATA_MAX, PROCESSOR_SLEEPING, STORAGE_LANE_CAPACITY } from '../memory/layout.ts';
import {
  DAEMON_SLEEPING,
  daemonWord,
  laneFromHost,
  laneToHost,
  readStorageCounters,
  StorageLane,
} from '../memory/packet-storage.ts';
import { type MainMemory, plainMainMemory } from '../memory/region.ts';
import { BURST, InterfaceDaemon } from './interface-daemon.ts';

const EIO = 5;

class TestDevice {
  readonly scratch: number;
  readonly written: string[] = [];
  readonly toRead: Uint8Array[] = [];
  errno = 0;
  private readonly memory: MainMemory;

  constructor(memory: MainMemory) {
    this.memory = memory;
    this.scratch = memory.layout.framesStart;
  }

  write(offset: number, length: number): number {
    if (this.errno !== 0) return this.errno;
    this.written.push(Buffer.from(this.memory.bytes.slice(offset, offset + length)).toString());
    return 0;
  }

  read(): number {
    const frame = this.toRead.shift();
    if (frame === undefined) return -1;
    this.memory.bytes.set(frame, this.scratch);
    return frame.length;
  }
}

const PROCESSORS = 2;
let memory: MainMemory;
let device: TestDevice;
let daemon: InterfaceDaemon;
let woken: number[];

beforeEach(() => {
  memory = plainMainMemory({ connections: 1024, frames: 256, processors: PROCESSORS });
  device = new TestDevice(memory);
  woken = [];
  daemon = new InterfaceDaemon(memory, device, (processor) => woken.push(processor));
});

const lane = (processor: number, direction: 'to' | 'from'): StorageLane =>
  new StorageLane(
    memory,
    (direction === 'to' ? laneToHost : laneFromHost)(memory.layout, processor),
  );

function leave(processor: number, ...texts: string[]): void {
  const producer = lane(processor, 'to');
  for (const text of texts) {
    memory.bytes.set(Buffer.from(text), producer.reserve());
    producer.commit(text.length);
  }
  producer.publish();
}

const frame = (source: string, destination = '10.1.0.10') =>
  packet().ethernet({}).ipv4({ source, destination }).udp().bytes();
const isSleeping = () => memory.words[daemonWord(memory.layout, DAEMON_SLEEPING)];

describe('to the device', () => {
  it('goes what all processors have left', () => {
    leave(0, 'first frame of 0', 'second frame of 0');
    leave(1, 'first frame of 1');
    expect(daemon.turn(0)).toBe(3);
    expect(device.written).toEqual(['first frame of 0', 'second frame of 0', 'first frame of 1']);
    expect(daemon.turn(0)).toBe(0);
    expect(readStorageCounters(memory)).toMatchObject({ toHostPackets: 3, toHostBytes: 49 });
  });

  it('goes no more than a burst of each lane a turn', () => {
    leave(0, ...Array.from({ length: BURST + 5 }, (_, i) => `frame of many: ${i}`));
    leave(1, 'the other is not kept waiting');
    expect([daemon.turn(0), daemon.turn(0)]).toEqual([BURST + 1, 5]);
  });

  it('is dropped and counted while the device takes nothing, and nothing waits', () => {
    device.errno = EIO;
    leave(0, 'into the void it goes');
    expect(daemon.turn(0)).toBe(1);
    device.errno = 0;
    leave(0, 'and this one arrives');
    daemon.turn(0);
    expect(device.written).toEqual(['and this one arrives']);
    expect(readStorageCounters(memory)).toMatchObject({ toHostPackets: 1, toHostRefused: 1 });
  });
});

describe('from the device', () => {
  it('frames between the same two hosts go to the same processor, in order', () => {
    const hosts = Array.from({ length: 20 }, (_, i) => `10.1.0.${i + 1}`);
    device.toRead.push(...hosts.map((host) => frame(host)), ...hosts.map((host) => frame(host)));
    expect(daemon.turn(0)).toBe(40);
    const sources = [0, 1].map((processor) => {
      const consumer = lane(processor, 'from');
      return Array.from({ length: consumer.available() }, (_, i) => {
        const at = consumer.frame(i);
        return memory.bytes.slice(at + 26, at + 30).join('.');
      });
    });
    for (const seen of sources) {
      expect(seen.length).toBeGreaterThan(0);
      expect(seen.slice(seen.length / 2)).toEqual(seen.slice(0, seen.length / 2));
    }
    expect(sources.flat().length).toBe(40);
  });

  it('wakes the processors that sleep, once', () => {
    memory.words[memory.processorWord(0, PROCESSOR_SLEEPING)] = 1;
    const arp = packet().ethernet({}).arp({}).bytes();
    device.toRead.push(arp, arp, arp);
    daemon.turn(0);
    expect(woken).toEqual([0]);
  });

  it('is dropped and counted when the lane is full, or it is too long', () => {
    const arp = packet().ethernet({}).arp({}).bytes();
    for (let i = 0; i < STORAGE_LANE_CAPACITY + 3; i++) device.toRead.push(arp);
    while (daemon.turn(0) > 0);
    lane(0, 'from').release(10);
    device.toRead.push(new Uint8Array(FRAME_DATA_MAX + 1), arp);
    daemon.turn(0);
    expect(readStorageCounters(memory)).toMatchObject({
      fromHostPackets: STORAGE_LANE_CAPACITY + 1,
      fromHostDropped: 4,
    });
  });
});

describe('before it sleeps', () => {
  it('shows so, and looks once more', () => {
    expect(daemon.prepareToSleep()).toBe(true);
    expect(isSleeping()).toBe(1);
    daemon.woke();
    expect(isSleeping()).toBe(0);
    leave(1, 'at the last moment');
    expect(daemon.prepareToSleep()).toBe(false);
    expect(isSleeping()).toBe(0);
  });
});
