import { describe, expect, it } from 'vitest';
import { allowedCpus, onlineCpus, parseCpuList, runOnCpus } from './affinity.ts';
import { createEvent, drainEvent, signalEvent } from './event-fd.ts';
import { closeFd } from './libc.ts';
import { EVENT_INVALID, EVENT_READABLE, Sleeper } from './poll.ts';

describe('sleeping and waking', () => {
  it('ends when an event is signalled, and only then', () => {
    const quiet = createEvent();
    const loud = createEvent();
    const sleeper = new Sleeper([-1, quiet, loud]);
    expect(sleeper.sleep(0)).toBe(0);
    signalEvent(loud);
    signalEvent(loud);
    expect(sleeper.sleep(10_000)).toBe(1);
    expect(sleeper.events(1)).toBe(0);
    expect(sleeper.events(2)).toBe(EVENT_READABLE);
    // Two signals are one wake-up.
    expect(drainEvent(loud)).toBe(1);
    expect(drainEvent(loud)).toBe(0);
    expect(sleeper.sleep(0)).toBe(0);
    closeFd(quiet);
    closeFd(loud);
  });

  it('shows a file descriptor that is not open, and can ignore it', () => {
    const event = createEvent();
    const sleeper = new Sleeper([event]);
    closeFd(event);
    expect(sleeper.sleep(10_000)).toBe(1);
    expect(sleeper.events(0)).toBe(EVENT_INVALID);
    sleeper.ignore(0);
    expect(sleeper.sleep(0)).toBe(0);
  });
});

describe('CPUs', () => {
  it('are read from lists', () => {
    expect(parseCpuList('0-2,5\n')).toEqual([0, 1, 2, 5]);
    expect(parseCpuList('7')).toEqual([7]);
    expect(parseCpuList('\n')).toEqual([]);
  });

  it('can be chosen among those allowed', () => {
    const before = allowedCpus();
    expect(before.every((cpu) => onlineCpus().includes(cpu))).toBe(true);
    runOnCpus([before[0]]);
    expect(allowedCpus()).toEqual([before[0]]);
    runOnCpus(before);
    expect(allowedCpus()).toEqual(before);
    expect(() => runOnCpus([1023])).toThrow(/sched_setaffinity failed with EINVAL on CPU 1023/);
  });
});
