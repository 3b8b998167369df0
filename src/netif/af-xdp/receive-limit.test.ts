import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { receiveLimit } from './af-xdp-queue.ts';

describe('receiveLimit', () => {
  it('is a full ring where there are frames enough', () => {
    expect(receiveLimit(16_384, 1, 2, 2048)).toBe(2048);
    expect(receiveLimit(16_384, 2, 2, 2048)).toBe(2048);
  });

  it('leaves every queue a part, and a quarter for what is sent', () => {
    // One ring alone could take all frames that the processor has.
    expect(receiveLimit(2048, 1, 2, 2048)).toBe(768);
    expect(receiveLimit(4096, 2, 2, 2048)).toBe(768);
    expect(receiveLimit(4096, 3, 1, 2048)).toBe(1023);
  });

  it('never lends the kernel more than three quarters of the frames', () => {
    const count = fc.integer({ min: 1, max: 64 });
    const power = fc.integer({ min: 8, max: 18 });
    fc.assert(
      fc.property(power, count, count, (exponent, processors, ownQueues) => {
        const frames = 2 ** exponent;
        const limit = receiveLimit(frames, processors, ownQueues, 2048);
        expect(limit).toBeGreaterThanOrEqual(1);
        expect(limit).toBeLessThanOrEqual(2048);
        if (limit > 1) expect(limit * ownQueues * processors).toBeLessThanOrEqual(frames * 0.75);
      }),
    );
  });
});
