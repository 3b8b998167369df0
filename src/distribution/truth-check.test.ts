import { describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import { distrust } from './truth-check.ts';

const honest = [
  { utilization: 0.6, answerTimeMs: 4 },
  { utilization: 0.5, answerTimeMs: 6 },
  { utilization: 0.55, answerTimeMs: 5 },
];

describe('distrust', () => {
  it('of who says it is idle and answers slowly: beside the median of the others', () => {
    expect(distrust([{ utilization: 0.1, answerTimeMs: 300 }, ...honest])[0]).toBe(5);
  });

  it.each([
    ['says that it is busy', { utilization: 0.9, answerTimeMs: 300 }],
    ['is only farther away', { utilization: 0.1, answerTimeMs: 80 }],
    ['is quick', { utilization: 0.1, answerTimeMs: 5 }],
    ['was not measured', { utilization: 0.1 }],
    ['says nothing', { answerTimeMs: 300 }],
  ])('not of who %s', (_, testimony) => {
    expect(distrust([testimony, ...honest])[0]).toBeUndefined();
  });

  it('not without others to compare with', () => {
    expect(distrust([{ utilization: 0.1, answerTimeMs: 300 }])[0]).toBeUndefined();
  });

  it('of each as if it alone were asked about', () => {
    const prng = new Prng(3);
    for (let run = 0; run < 500; run++) {
      const testimonies = Array.from({ length: 1 + prng.below(9) }, () => ({
        ...(prng.below(5) > 0 && { utilization: prng.below(10) / 10 }),
        ...(prng.below(5) > 0 && { answerTimeMs: prng.below(3) * 300 + prng.below(20) }),
      }));
      testimonies.forEach(({ utilization, answerTimeMs }, i) => {
        const others = testimonies.filter((_, n) => n !== i);
        const times = others.flatMap((each) => each.answerTimeMs ?? []).sort((a, b) => a - b);
        const claims = others.flatMap((each) => each.utilization ?? []);
        const mean = claims.reduce((sum, claim) => sum + claim, 0) / claims.length;
        const median = times[times.length >> 1];
        const isIdle = claims.length > 0 && (utilization ?? mean) < mean - 1e-9;
        const isSlow = (answerTimeMs ?? 0) > Math.max(median * 5, median + 100);
        expect(distrust(testimonies)[i]).toBe(isIdle && isSlow ? median : undefined);
      });
    }
  });
});
