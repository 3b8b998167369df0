import { describe, expect, it } from 'vitest';
import type { Measure } from './part.ts';
import { ResultLog } from './result-log.ts';

const RATE: Measure = { measure: 'rate', unit: 'Mpps', better: 'more' };

describe('ResultLog', () => {
  it('keeps a series for each contender and condition, and its values in order', () => {
    const log = new ResultLog();
    const few = { ...RATE, condition: { connections: 1 } };
    const many = { ...RATE, condition: { connections: 2 } };
    log.record('packets', 'a', few, 1);
    log.record('packets', 'b', few, 2);
    log.record('packets', 'a', many, 3);
    log.record('packets', 'a', few, 4);
    log.record('flip', 'a', few, 5);
    const shown = log.series.map(({ part, contender, condition, values }) => {
      return [part, contender, condition.connections, values];
    });
    expect(shown).toEqual([
      ['packets', 'a', 1, [1, 4]],
      ['packets', 'b', 1, [2]],
      ['packets', 'a', 2, [3]],
      ['flip', 'a', 1, [5]],
    ]);
  });

  it('takes no value that is no number', () => {
    const log = new ResultLog();
    log.record('packets', 'a', RATE, Number.NaN);
    log.record('packets', 'a', RATE, Number.POSITIVE_INFINITY);
    expect(log.series).toEqual([]);
    const reason = 'rate: no figure came of it';
    expect(log.allMissing).toEqual([{ part: 'packets', contender: 'a', reason }]);
  });

  it('says once what is missing in every round', () => {
    const log = new ResultLog();
    for (let round = 0; round < 3; round += 1) log.missing('bulk', 'a', 'not installed');
    log.missing('bulk', 'b', 'not installed');
    expect(log.allMissing).toHaveLength(2);
  });
});
