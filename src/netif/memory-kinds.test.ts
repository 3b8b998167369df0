// The interface contract on the kinds that need nothing but memory: a loopback wire, capture files,
// and either behind a fault injector that injects nothing.

import { describe, expect, it } from 'vitest';
import { FramePool, OWNER_FREE } from '../memory/frame-pool.ts';
import { plainMainMemory } from '../memory/region.ts';
import { type ContractFixture, firstPool, socketFrames, testFrame } from './contract.harness.ts';
import { describeInterfaceContract } from './contract.suite.ts';
import type { InterfaceQueue } from './contract.ts';
import { FaultInjector } from './fault-injector.ts';
import { LoopbackLane, LoopbackQueue, loopbackPair, loopbackQueue } from './loopback.ts';
import { checkCapture, type FrameSource, PcapQueue } from './pcap.ts';
import { PcapReader, PcapWriter } from './pcap-file.ts';

const SIZES = { connections: 1024, frames: 1024, processors: 1 };
const SOCKET = 3;
const CAPACITY = 64;

class LoopbackFixture implements ContractFixture {
  readonly memory = plainMainMemory(SIZES);
  readonly transmitCapacity = CAPACITY;
  readonly receivesIntoRefilled = false;
  pool = firstPool(this.memory);
  private readonly incoming = new LoopbackLane(CAPACITY);
  private readonly outgoing = new LoopbackLane(CAPACITY);
  loopback = this.attach();
  queue: InterfaceQueue = this.loopback;

  private attach(): LoopbackQueue {
    return new LoopbackQueue(this.memory, this.pool, SOCKET, this.incoming, this.outgoing);
  }

  send(bytes: Uint8Array): void {
    expect(this.loopback.inject(bytes)).toBe(true);
  }

  collect(): Uint8Array[] {
    return this.loopback.collect();
  }

  reopen(): void {
    this.pool = new FramePool(this.memory, 0);
    this.loopback = this.attach();
    this.queue = this.loopback;
    this.pool.recover(socketFrames(this.memory, this.loopback));
  }

  confirmSuspects(): void {
    this.pool.confirmSuspects(socketFrames(this.memory, this.loopback));
  }

  close(): void {
    this.queue.close();
  }
}

describeInterfaceContract('loopback', () => new LoopbackFixture());

/** A capture that grows while it is played: one reader for each frame sent. */
class GrowingCapture implements FrameSource {
  bytes = new Uint8Array(0);
  dataOffset = 0;
  capturedLength = 0;
  originalLength = 0;
  private readonly readers: PcapReader[] = [];

  append(bytes: Uint8Array): void {
    const writer = new PcapWriter((written) => this.readers.push(new PcapReader(written.slice())));
    writer.write(bytes, 0, bytes.length, 0);
    writer.flush();
  }

  next(): boolean {
    const reader = this.readers.shift();
    if (reader === undefined || !reader.next()) return false;
    this.bytes = reader.bytes as Uint8Array<ArrayBuffer>;
    this.dataOffset = reader.dataOffset;
    this.capturedLength = reader.capturedLength;
    this.originalLength = reader.originalLength;
    return true;
  }
}

class PcapFixture implements ContractFixture {
  readonly memory = plainMainMemory(SIZES);
  readonly transmitCapacity = 256;
  readonly receivesIntoRefilled = false;
  readonly pool = firstPool(this.memory);
  private readonly source = new GrowingCapture();
  private written: Buffer[] = [];
  private header = Buffer.alloc(0);
  private readonly writer = new PcapWriter((bytes) => this.written.push(Buffer.from(bytes)));
  readonly queue = new PcapQueue(this.memory, this.pool, SOCKET, {
    source: this.source,
    writer: this.writer,
    wallClockMs: () => 1000,
  });

  send(bytes: Uint8Array): void {
    this.source.append(bytes);
  }

  collect(): Uint8Array[] {
    this.writer.flush();
    const all = Buffer.concat([this.header, ...this.written]);
    this.header = all.subarray(0, 24);
    this.written = [];
    const frames: Uint8Array[] = [];
    const reader = new PcapReader(all);
    while (reader.next()) {
      const end = reader.dataOffset + reader.capturedLength;
      frames.push(Uint8Array.prototype.slice.call(all, reader.dataOffset, end));
    }
    return frames;
  }

  close(): void {
    this.queue.close();
  }
}

describeInterfaceContract('pcap', () => new PcapFixture());

describeInterfaceContract('fault injector without faults', () => {
  const fixture = new LoopbackFixture();
  const reopen = fixture.reopen.bind(fixture);
  const wrap = () => {
    fixture.queue = new FaultInjector(fixture.loopback, fixture.memory, fixture.pool, {}, 1);
  };
  fixture.reopen = () => {
    reopen();
    wrap();
  };
  wrap();
  return fixture;
});

describe('loopback', () => {
  it('joins two switches with main memories of their own', () => {
    const left = plainMainMemory(SIZES);
    const right = plainMainMemory(SIZES);
    const leftPool = firstPool(left);
    const rightPool = firstPool(right);
    const [a, b] = loopbackPair(
      { memory: left, pool: leftPool, socket: 1 },
      { memory: right, pool: rightPool, socket: 2 },
      4,
    );
    const bytes = testFrame(5, 77);
    const offset = leftPool.take();
    left.bytes.set(bytes, offset);
    expect(a.transmit(offset, bytes.length)).toBe(1);
    const offsets = new Int32Array(1);
    const lengths = new Int32Array(1);
    expect(b.receiveBurst(offsets, lengths, 1)).toBe(0);
    a.flush();
    expect(a.receiveBurst(offsets, lengths, 1)).toBe(0);
    expect(b.receiveBurst(offsets, lengths, 1)).toBe(1);
    expect(right.bytes.slice(offsets[0], offsets[0] + lengths[0])).toEqual(bytes);
    expect(a.reclaim()).toBe(1);
    expect(rightPool.give(offsets[0])).toBe(1);
    expect([leftPool.freeCount, rightPool.freeCount]).toEqual([1024, 1024]);
  });

  it('refuses an injected frame when the wire is full, and takes it later', () => {
    const memory = plainMainMemory(SIZES);
    const queue = loopbackQueue({ memory, pool: firstPool(memory), socket: 1 }, 2);
    const bytes = testFrame(1, 60);
    expect([queue.inject(bytes), queue.inject(bytes), queue.inject(bytes)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(queue.receiveBurst(new Int32Array(1), new Int32Array(1), 1)).toBe(1);
    expect(queue.inject(bytes)).toBe(true);
  });
});

describe('pcap', () => {
  /** One whole frame, one that the capture cut, one longer than a chunk, one more whole one. */
  function capture(): PcapReader {
    const chunks: Buffer[] = [];
    const writer = new PcapWriter((bytes) => chunks.push(Buffer.from(bytes)));
    for (const length of [60, 100, 1793, 61]) writer.write(testFrame(1, length), 0, length, 0);
    writer.flush();
    const bytes = Buffer.concat(chunks);
    const cutRecord = 24 + 16 + 60;
    bytes.writeUInt32LE(1514, cutRecord + 12);
    return new PcapReader(bytes);
  }

  it('skips and counts what is not whole or too long', () => {
    const memory = plainMainMemory(SIZES);
    const source = capture();
    checkCapture(source);
    const queue = new PcapQueue(memory, firstPool(memory), 1, { source, wallClockMs: () => 0 });
    const lengths = new Int32Array(8);
    expect(queue.receiveBurst(new Int32Array(8), lengths, 8)).toBe(2);
    expect([...lengths.subarray(0, 2)]).toEqual([60, 61]);
    expect(queue.truncatedCount).toBe(2);
    expect(queue.finished).toBe(true);
  });

  it('keeps a frame for which the pool had no room', () => {
    const memory = plainMainMemory(SIZES);
    const pool = firstPool(memory);
    const taken: number[] = [];
    for (let offset = pool.take(); offset !== -1; offset = pool.take()) taken.push(offset);
    const queue = new PcapQueue(memory, pool, 1, { source: capture(), wallClockMs: () => 0 });
    const lengths = new Int32Array(8);
    expect(queue.receiveBurst(new Int32Array(8), lengths, 8)).toBe(0);
    expect(queue.finished).toBe(false);
    for (const offset of taken) pool.give(offset);
    expect(queue.receiveBurst(new Int32Array(8), lengths, 8)).toBe(2);
    expect(pool.ownerOf(0) === OWNER_FREE || pool.freeCount === 1022).toBe(true);
  });
});
