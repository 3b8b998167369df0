import { describe, expect, it } from 'vitest';
import type { HealthState, HealthTarget } from '../health/checker.ts';
import { DEFAULT_HEALTH, NO_ACTIVE_CHECK } from '../health/settings.ts';
import { ExpectedHealth } from './expected-health.ts';

const DOWN = { status: 'down', sinceMs: 2, flaps: 1, flapLevel: 1 } as const;

function target(host: number, more: Partial<HealthTarget> = {}): HealthTarget {
  const key = `web/b${host}`;
  return { key, address: `10.2.0.${host}`, port: 80, settings: DEFAULT_HEALTH, ...more };
}

function setUp() {
  const known = new Map<string, HealthState>();
  const health = new ExpectedHealth({
    state: (key) => known.get(key),
    status: (key) => known.get(key)?.status,
    memory: () => undefined,
  });
  const up = ({ key }: HealthTarget): HealthState => {
    return { key, status: 'up', cause: '', sinceMs: 0, checks: 1, failures: 0, flaps: 0 };
  };
  const status = (host: number) => {
    const key = `web/b${host}`;
    expect(health.status(key)).toBe(health.state(key)?.status);
    return health.status(key);
  };
  return { known, health, up, status };
}

describe('the health of who is not checked yet', () => {
  it('begins as the predecessor left it, or not known, or up without a check', () => {
    const { health, status } = setUp();
    const passive = target(14, { settings: NO_ACTIVE_CHECK });
    health.expect([target(11, { previous: DOWN }), target(12), passive], 5);
    expect([11, 12, 14, 15].map(status)).toEqual(['down', 'unchecked', 'up', undefined]);
    expect(health.state('web/b11')).toMatchObject({ sinceMs: 2, failures: 0 });
    expect(health.memory('web/b11')).toEqual(DOWN);
    expect(health.memory('web/b12')).toBeUndefined();
  });

  it('is what the checker says from then on', () => {
    const { health, known, up, status } = setUp();
    health.expect([target(11, { previous: DOWN })], 0);
    known.set('web/b11', up(target(11)));
    expect(status(11)).toBe('down');
    health.follow([target(11)]);
    expect(status(11)).toBe('up');
  });

  it('of another server under the same name is not that of the one before', () => {
    const { health, known, up, status } = setUp();
    health.follow([target(11), target(12)]);
    for (const host of [11, 12]) known.set(`web/b${host}`, up(target(host)));
    health.expect([target(11, { address: '10.2.0.99' }), target(12), target(13)], 0);
    expect([11, 12, 13].map(status)).toEqual(['unchecked', 'up', 'unchecked']);
    // That configuration could not be published.
    health.expect([target(11), target(12)], 0);
    expect([11, 12, 13].map(status)).toEqual(['up', 'up', undefined]);
  });

  it('is nothing as soon as it is not to be checked any more', () => {
    const { health, known, up, status } = setUp();
    health.follow([target(11)]);
    known.set('web/b11', { ...up(target(11)), status: 'down' });
    health.expect([], 0);
    expect(status(11)).toBeUndefined();
  });
});
