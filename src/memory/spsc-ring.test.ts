import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HAND_OVER_LANE_CAPACITY } from './layout.ts';
import { plainMainMemory } from './region.ts';
import { handOverLane, returnLane, SpscRing } from './spsc-ring.ts';

const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 3 });
const lane = handOverLane(memory.layout, 1, 2);
const CAPACITY = 8;

function clearLane(cursor: number): void {
  memory.words.fill(0, lane >> 2, (lane >> 2) + 256);
  memory.words[lane >> 2] = cursor;
  memory.words[(lane >> 2) + 16] = cursor;
}

describe('SpscRing', () => {
  it('shows nothing before it is published', () => {
    clearLane(0);
    const producer = new SpscRing(memory, lane, CAPACITY);
    const consumer = new SpscRing(memory, lane, CAPACITY);
    expect(producer.push(7, 8)).toBe(1);
    expect(consumer.available()).toBe(0);
    expect(producer.publish()).toBe(1);
    expect(producer.publish()).toBe(0);
    expect(consumer.available()).toBe(1);
    expect([consumer.first(0), consumer.second(0)]).toEqual([7, 8]);
  });

  it('refuses when full and takes again what was released', () => {
    clearLane(0);
    const producer = new SpscRing(memory, lane, CAPACITY);
    const consumer = new SpscRing(memory, lane, CAPACITY);
    for (let i = 0; i < CAPACITY; i++) expect(producer.push(i, -i)).toBe(1);
    expect(producer.push(99, 99)).toBe(0);
    producer.publish();
    consumer.release(3);
    for (let i = 0; i < 3; i++) expect(producer.push(100 + i, 0)).toBe(1);
    expect(producer.push(99, 99)).toBe(0);
    expect(consumer.first(0)).toBe(3);
  });

  // Every history of pushes, publications, releases and restarts of either side, with the cursors
  // starting just below the wrap of int32, against a plain array.
  it('behaves as a queue over every history, restarts and wrapping included', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.constant('push') },
      { weight: 3, arbitrary: fc.constant('publish') },
      { weight: 4, arbitrary: fc.constant('release') },
      { weight: 1, arbitrary: fc.constant('restart producer') },
      { weight: 1, arbitrary: fc.constant('restart consumer') },
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 200 }),
        fc.integer({ min: 0, max: 20 }),
        (steps, d) => {
          clearLane(0x7fffffff - d);
          let producer = new SpscRing(memory, lane, CAPACITY);
          let consumer = new SpscRing(memory, lane, CAPACITY);
          let pending: number[] = [];
          const shown: number[] = [];
          let next = 1;
          for (const [i, what] of steps.entries()) {
            if (what === 'push') {
              const taken = producer.push(next, next * 3);
              expect(taken).toBe(shown.length + pending.length < CAPACITY ? 1 : 0);
              if (taken === 1) pending.push(next++);
            } else if (what === 'publish') {
              expect(producer.publish()).toBe(pending.length);
              shown.push(...pending);
              pending = [];
            } else if (what === 'release') {
              const count = i % (consumer.available() + 1);
              consumer.release(count);
              shown.splice(0, count);
            } else if (what === 'restart producer') {
              producer = new SpscRing(memory, lane, CAPACITY);
              pending = [];
            } else {
              consumer = new SpscRing(memory, lane, CAPACITY);
            }
            expect(consumer.available()).toBe(shown.length);
            for (let k = 0; k < shown.length; k++) {
              expect([consumer.first(k), consumer.second(k)]).toEqual([shown[k], shown[k] * 3]);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('places every lane in its section, none over another', () => {
    const { layout } = memory;
    const seen = new Set<number>();
    for (let from = 0; from < 3; from++) {
      for (let to = 0; to < 3; to++) {
        const a = handOverLane(layout, from, to);
        const b = returnLane(layout, from, to);
        expect(a + 128 + 8 * HAND_OVER_LANE_CAPACITY).toBeLessThanOrEqual(layout.returnLanes);
        expect(b + 128 + 8 * layout.returnLaneCapacity).toBeLessThanOrEqual(layout.frameOwners);
        seen.add(a).add(b);
      }
    }
    expect(seen.size).toBe(18);
  });
});
