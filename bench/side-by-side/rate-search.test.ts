import { describe, expect, it } from 'vitest';
import { searchRate, type Trial } from './rate-search.ts';

/** Something that loses all that comes beyond its capacity. */
function withCapacity(capacity: number) {
  const tried: number[] = [];
  const attempt = async (rate: number): Promise<Trial> => {
    tried.push(rate);
    const lost = Math.max(0, rate - capacity);
    return { lost, lossRatio: lost / rate, offeredRate: rate };
  };
  return { tried, attempt };
}

describe('searchRate', () => {
  it('is content when the first trial loses nothing', async () => {
    const { tried, attempt } = withCapacity(2000);
    const found = await searchRate(1000, 7, 1e-5, attempt);
    expect(found).toEqual({ tolerated: 1000, lossless: 1000 });
    expect(tried).toEqual([1000]);
  });

  it('comes close from below', async () => {
    const { tried, attempt } = withCapacity(700);
    const { lossless } = await searchRate(1000, 10, 1e-5, attempt);
    expect(lossless).toBeLessThanOrEqual(700);
    expect(lossless).toBeGreaterThan(700 - 1000 / 2 ** 8);
    expect(tried.length).toBe(10);
  });

  it('tells a rate with a tolerated loss from one with none', async () => {
    const attempt = async (rate: number): Promise<Trial> => {
      const lost = rate > 500 ? 1 : 0;
      return { lost, lossRatio: lost / 1e6, offeredRate: rate - 1 };
    };
    const found = await searchRate(1000, 5, 1e-5, attempt);
    expect(found).toEqual({ tolerated: 999, lossless: 0 });
  });

  it('finds nothing where every trial loses', async () => {
    const found = await searchRate(1000, 4, 1e-5, withCapacity(0).attempt);
    expect(found).toEqual({ tolerated: 0, lossless: 0 });
  });
});
