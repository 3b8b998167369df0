// One lane of packet storage by itself, then two processes that move frames through it and are killed again
// and again: no frame may be torn or left out.

import { spawn } from 'node:child_process';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { builtModule } from '../../test/support/built-module.ts';
import { attachMemoryFile, createMemoryFile } from '../sys/main-memory.ts';
import { computeLayout, STORAGE_LANE_CAPACITY, STORAGE_LANE_SIZE } from './layout.ts';
import {
  laneFromHost,
  laneToHost,
  readStorageCounters,
  STORAGE_FRAME_MAX,
  STORAGE_TO_HOST_BYTES,
  StorageLane,
  storageCounters,
} from './packet-storage.ts';
import { formatMainMemory, plainMainMemory } from './region.ts';

const SIZES = { connections: 1024, frames: 256, processors: 2 };
const memory = plainMainMemory(SIZES);
const offset = laneToHost(memory.layout, 1);

beforeEach(() => memory.words.fill(0, offset >> 2, (offset + STORAGE_LANE_SIZE) >> 2));

function put(lane: StorageLane, text: string): boolean {
  const at = lane.reserve();
  if (at < 0) return false;
  memory.bytes.set(Buffer.from(text), at);
  lane.commit(text.length);
  return true;
}

function get(lane: StorageLane, index: number): string {
  const at = lane.frame(index);
  return Buffer.from(memory.bytes.slice(at, at + lane.length(index))).toString();
}

describe('a lane of packet storage', () => {
  it('shows frames when they are published, in order, until they are released', () => {
    const producer = new StorageLane(memory, offset);
    const consumer = new StorageLane(memory, offset);
    put(producer, 'the first of two frames');
    put(producer, 'the second of two');
    expect(consumer.available()).toBe(0);
    expect([producer.publish(), producer.publish()]).toEqual([2, 0]);
    expect(consumer.available()).toBe(2);
    expect([get(consumer, 0), get(consumer, 1)]).toEqual([
      'the first of two frames',
      'the second of two',
    ]);
    consumer.release(1);
    expect([consumer.available(), get(consumer, 0)]).toEqual([1, 'the second of two']);
  });

  it('refuses when it is full, over the wrap of its cursors too', () => {
    const start = 0x7fffffff - 5;
    memory.words[offset >> 2] = start;
    memory.words[(offset >> 2) + 16] = start;
    const producer = new StorageLane(memory, offset);
    const consumer = new StorageLane(memory, offset);
    for (let i = 0; i < STORAGE_LANE_CAPACITY; i++) put(producer, `frame number ${i}`);
    expect(put(producer, 'one too many frames')).toBe(false);
    producer.publish();
    expect(consumer.available()).toBe(STORAGE_LANE_CAPACITY);
    expect(get(consumer, 1023)).toBe('frame number 1023');
    consumer.release(1);
    expect(put(producer, 'there is room again')).toBe(true);
    expect(get(consumer, 0)).toBe('frame number 1');
  });

  it('goes on where a killed side stopped', () => {
    const before = new StorageLane(memory, offset);
    put(before, 'what was published');
    before.publish();
    put(before, 'what was not');
    const producer = new StorageLane(memory, offset);
    put(producer, 'what came after the kill');
    producer.publish();
    const seen = new StorageLane(memory, offset);
    expect(seen.available()).toBe(2);
    const consumer = new StorageLane(memory, offset);
    expect([get(consumer, 0), get(consumer, 1)]).toEqual([
      'what was published',
      'what came after the kill',
    ]);
  });

  it('believes no length and no cursor that cannot be', () => {
    const lane = new StorageLane(memory, offset);
    for (const [length, believed] of [
      [13, 0],
      [14, 14],
      [STORAGE_FRAME_MAX, STORAGE_FRAME_MAX],
      [STORAGE_FRAME_MAX + 1, 0],
      [-1, 0],
    ]) {
      memory.words[(offset + 128) >> 2] = length;
      expect(lane.length(0)).toBe(believed);
    }
    memory.words[offset >> 2] = STORAGE_LANE_CAPACITY + 1;
    expect(lane.available()).toBe(0);
    memory.words[offset >> 2] = -1;
    expect(lane.available()).toBe(0);
  });

  it('has a place of its own for each processor and way', () => {
    const { layout } = memory;
    const starts = [0, 1].flatMap((p) => [laneToHost(layout, p), laneFromHost(layout, p)]);
    for (const [i, start] of starts.entries()) {
      const next = starts[i + 1] ?? layout.frameOwners;
      expect(next - start).toBeGreaterThanOrEqual(STORAGE_LANE_SIZE);
    }
  });

  it('has its counters before it', () => {
    memory.doubles[storageCounters(memory.layout) + STORAGE_TO_HOST_BYTES] = 7;
    expect(readStorageCounters(memory)).toMatchObject({ toHostPackets: 0, toHostBytes: 7 });
  });
});

// Frames of every length between two processes, both of which are killed again and again: none is torn,
// none is left out; those of a burst may come twice.
it('stands two processes that are killed', { timeout: 60_000 }, async () => {
  const size = computeLayout(SIZES).totalSize;
  const { fd } = createMemoryFile('storage torture', size, false);
  formatMainMemory(attachMemoryFile(fd, size).buffer, SIZES);
  const program = fileURLToPath(builtModule('test/support/storage-torture.ts'));
  const run = async (role: string, milliseconds: number, killAfterMs?: number) => {
    const child = spawn(execPath, [program, role, '3', String(size), String(milliseconds)], {
      stdio: ['ignore', 'pipe', 'inherit', fd],
    });
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
    });
    if (killAfterMs !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    await new Promise((resolve) => child.once('close', resolve));
    return text;
  };
  for (let round = 0; round < 4; round++) {
    const killed = round % 2 === 0 ? 'producer' : 'consumer';
    const both = ['producer', 'consumer'].map((role) =>
      run(role, 900, role === killed ? 450 + round * 60 : undefined),
    );
    for (const text of await Promise.all(both)) expect(text).not.toContain('fault');
  }
  const [produced, consumed] = await Promise.all([run('producer', 800), run('consumer', 1600)]);
  const { last, taken } = JSON.parse(consumed);
  expect(taken).toBeGreaterThan(1000);
  expect(last).toBe(JSON.parse(produced).produced - 1);
});
