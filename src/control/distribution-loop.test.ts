import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { DistributionLoop, PASS_PART, PERIOD_MS } from './distribution-loop.ts';

let loop: DistributionLoop | undefined;
afterEach(() => loop?.stop());

/** A loop whose passes take `passMs` and flip; the times at which they did. */
function flipping(passMs: number) {
  const flips: number[] = [];
  let last: Promise<unknown> = Promise.resolve();
  const made = new DistributionLoop({
    log: { info: () => {}, warning: () => {} },
    inTurn: <Result>(task: () => Promise<Result>) => {
      const result = last.then(task);
      last = result.catch(() => {});
      return result;
    },
    pass: async () => {
      await sleep(passMs);
      flips.push(performance.now());
      return true;
    },
  });
  loop = made;
  made.start();
  return { loop: made, flips };
}

describe('the loop', () => {
  it('flips at most once in a period, also for who asks while a pass is under way', async () => {
    const { loop, flips } = flipping(300);
    const first = loop.request();
    await sleep(100);
    await Promise.all([first, loop.request(), loop.request()]);
    expect(flips).toHaveLength(2);
    // Timers may fire up to a millisecond early.
    expect(flips[1] - flips[0]).toBeGreaterThanOrEqual(PERIOD_MS - 2);
  });

  it('leaves time between passes that cost much, also to who asks', async () => {
    let cpuMs = 0;
    const begun: number[] = [];
    loop = new DistributionLoop({
      log: { info: () => {}, warning: () => {} },
      inTurn: (task) => task(),
      cpuMs: () => cpuMs,
      pass: async () => {
        cpuMs += 500;
        begun.push(performance.now());
        return false;
      },
    });
    loop.start();
    await loop.request();
    // One dear pass may be chance; what it cost on the average counts.
    expect(loop.periodMs).toBeCloseTo((0.3 * 500) / PASS_PART);
    await loop.request();
    expect(begun[1] - begun[0]).toBeGreaterThanOrEqual(0.3 * (500 / PASS_PART) - 2);
    expect(loop.periodMs).toBeCloseTo((0.51 * 500) / PASS_PART);
  });

  it('says once that passes fail, and once that they work again', async () => {
    const lines: string[] = [];
    const note = (line: string) => void lines.push(line);
    let isStuck = true;
    loop = new DistributionLoop({
      log: { info: note, warning: note },
      inTurn: (task) => task(),
      pass: async () => {
        if (isStuck) throw new Error('a processor hangs');
        return false;
      },
    });
    loop.start();
    await expect(loop.request()).rejects.toThrow('hangs');
    await expect(loop.request()).rejects.toThrow('hangs');
    isStuck = false;
    await loop.request();
    await loop.request();
    expect(lines).toEqual([
      'the distribution stays as it is: a processor hangs',
      'the distribution follows again (failed 2 times)',
    ]);
  });

  it('lets nobody wait for a pass that will not come', async () => {
    const { loop } = flipping(0);
    await loop.request();
    const waiting = loop.request();
    loop.stop();
    await expect(waiting).rejects.toThrow('is being stopped');
    await expect(loop.request()).rejects.toThrow('is being stopped');
  });
});
