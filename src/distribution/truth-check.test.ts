import { describe, expect, it } from 'vitest';
import { distrust } from './truth-check.ts';

const honest = [
  { utilization: 0.6, answerTimeMs: 4 },
  { utilization: 0.5, answerTimeMs: 6 },
  { utilization: 0.55, answerTimeMs: 5 },
];

describe('distrust', () => {
  it('of who says it is idle and answers slowly: beside the median of the others', () => {
    expect(distrust([{ utilization: 0.1, answerTimeMs: 300 }, ...honest], 0)).toBe(5);
  });

  it.each([
    ['says that it is busy', { utilization: 0.9, answerTimeMs: 300 }],
    ['is only farther away', { utilization: 0.1, answerTimeMs: 80 }],
    ['is quick', { utilization: 0.1, answerTimeMs: 5 }],
    ['was not measured', { utilization: 0.1 }],
    ['says nothing', { answerTimeMs: 300 }],
  ])('not of who %s', (_, testimony) => {
    expect(distrust([testimony, ...honest], 0)).toBeUndefined();
  });

  it('not without others to compare with', () => {
    expect(distrust([{ utilization: 0.1, answerTimeMs: 300 }], 0)).toBeUndefined();
  });
});
