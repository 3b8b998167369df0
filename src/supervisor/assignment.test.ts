import { describe, expect, it } from 'vitest';
import { assignQueues } from './assignment.ts';

describe('assignQueues', () => {
  it('gives each processor a queue of its own on every interface that has enough of them', () => {
    expect(assignQueues([{ queues: 2 }, { queues: 2 }], 2)).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  it('deals interfaces with one queue out in turn', () => {
    expect(assignQueues([{ queues: 1 }, { queues: 1 }, { queues: 1 }], 2)).toEqual([[0], [1], [0]]);
  });

  it('obeys the configuration', () => {
    const interfaces = [
      { queues: 1, processor: 0 },
      { queues: 1, processor: 1 },
      { queues: 1, processor: 0 },
      { queues: 3, processor: 1 },
    ];
    expect(assignQueues(interfaces, 2)).toEqual([[0], [1], [0], [1, 1, 1]]);
  });

  it('wraps round where there are more queues than processors', () => {
    expect(assignQueues([{ queues: 5 }], 2)).toEqual([[0, 1, 0, 1, 0]]);
  });
});
