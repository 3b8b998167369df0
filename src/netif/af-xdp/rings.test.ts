import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { XdpRingPlace } from '../../sys/xdp-socket.ts';
import { ADDRESS_SHIFT, ConsumerRing, DESCRIPTOR_SHIFT, ProducerRing } from './rings.ts';

const SIZE = 8;
const PLACE: XdpRingPlace = {
  producer: 64,
  consumer: 128,
  flags: 192,
  descriptors: 256,
  size: SIZE,
};

/** Memory with both cursors at `start`. */
function ringMemory(start: number): Int32Array {
  const words = new Int32Array(256);
  words[PLACE.producer >> 2] = start;
  words[PLACE.consumer >> 2] = start;
  return words;
}

describe('descriptor rings', () => {
  it('lay out addresses and descriptors as the kernel reads them', () => {
    const words = ringMemory(0);
    const fill = new ProducerRing(words, PLACE, ADDRESS_SHIFT);
    fill.putAddress(0x1800);
    fill.putAddress(0x2000);
    expect([...words.subarray(64, 68)]).toEqual([0x1800, 0, 0x2000, 0]);
    const other = ringMemory(0);
    other[69] = other[71] = -1;
    const ring = new ProducerRing(other, PLACE, DESCRIPTOR_SHIFT);
    ring.putDescriptor(0x900, 1500);
    ring.putDescriptor(0x1900, 60);
    expect([...other.subarray(64, 72)]).toEqual([0x900, 0, 1500, 0, 0x1900, 0, 60, 0]);
  });

  it('show nothing before it is published, and a new process goes on from what was', () => {
    const words = ringMemory(5);
    const ring = new ProducerRing(words, PLACE, ADDRESS_SHIFT);
    ring.putAddress(1 << 11);
    expect(words[PLACE.producer >> 2]).toBe(5);
    ring.publish();
    expect(words[PLACE.producer >> 2]).toBe(6);
    ring.putAddress(2 << 11);
    // Killed here: the second address was never published.
    const next = new ProducerRing(words, PLACE, ADDRESS_SHIFT);
    expect(next.producer).toBe(6);
    expect(next.waiting()).toBe(1);
    const marks = new Uint8Array(16);
    next.markFrames(marks, 11);
    expect([...marks.keys()].filter((frame) => marks[frame] === 1)).toEqual([1]);
  });

  it('tell whether the kernel must be woken', () => {
    const words = ringMemory(0);
    const ring = new ProducerRing(words, PLACE, ADDRESS_SHIFT);
    expect(ring.needsWakeup()).toBe(0);
    words[PLACE.flags >> 2] = 1;
    expect(ring.needsWakeup()).toBe(1);
  });

  it('carry everything once and in order, over the wrap of the cursors', () => {
    const steps = fc.array(fc.tuple(fc.nat(SIZE), fc.nat(SIZE)), { maxLength: 60 });
    const start = fc.constantFrom(0, 0x7fffffff, -3, -1, 0x7ffffffc);
    fc.assert(
      fc.property(start, steps, (cursor, plan) => {
        const words = ringMemory(cursor | 0);
        const producer = new ProducerRing(words, PLACE, DESCRIPTOR_SHIFT);
        const consumer = new ConsumerRing(words, PLACE, DESCRIPTOR_SHIFT);
        let put = 0;
        let taken = 0;
        for (const [offered, wanted] of plan) {
          const room = producer.room(offered);
          expect(room).toBeGreaterThanOrEqual(Math.min(offered, SIZE - (put - taken)));
          expect(room).toBeLessThanOrEqual(SIZE - (put - taken));
          for (let i = 0; i < Math.min(offered, room); i++, put++) {
            producer.putDescriptor(put << 11, put + 60);
          }
          producer.publish();
          expect(producer.waiting()).toBe(put - taken);
          expect(consumer.available()).toBe(put - taken);
          const count = Math.min(wanted, consumer.available());
          for (let i = 0; i < count; i++, taken++) {
            expect(consumer.address(i)).toBe(taken << 11);
            expect(consumer.length(i)).toBe(taken + 60);
          }
          consumer.release(count);
        }
      }),
    );
  });
});
