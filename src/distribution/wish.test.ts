import { describe, expect, it } from 'vitest';
import type { LoadWish } from '../load/load-report.ts';
import type { BackendInput } from './service-distribution.ts';
import { DEFAULT_DISTRIBUTION as SETTINGS } from './settings.ts';
import { administrativeOf, healthOf, wishedFactor, wishedLimit } from './wish.ts';

const report = (wish: LoadWish) => ({
  backend: 'web/b1',
  source: 'agent-check' as const,
  identity: '10.2.0.11:9777',
  sequence: 1,
  receivedAtMs: 1000,
  figures: {},
  wish,
});

const backend = (wish: LoadWish, changes: Partial<BackendInput> = {}): BackendInput => ({
  name: 'b1',
  configuredWeight: 2,
  isFallback: false,
  health: 'up',
  administrative: 'ready',
  activeConnections: 0,
  begunConnections: 0,
  report: report(wish),
  ...changes,
});

describe('wishedFactor', () => {
  it.each([
    ['percent of the configured weight', { weightPercent: 75 }, 0.75],
    ['an absolute weight', { weight: 3 }, 1.5],
    ['no more than the ceiling', { weight: 256 }, 4],
    ['no less than the floor', { weightPercent: 1 }, 0.05],
    ['nothing at all', { weightPercent: 0 }, 0],
    ['weight 0', { weight: 0 }, 0],
    ['something else', { connectionLimit: 5 }, undefined],
  ] as [string, LoadWish, number | undefined][])('%s', (_, wish, expected) => {
    expect(wishedFactor(SETTINGS, report(wish), 2, 1500)).toBe(expected);
  });

  it('lapses with the report', () => {
    expect(wishedFactor(SETTINGS, report({ weight: 1 }), 2, 11_000)).toBe(0.5);
    expect(wishedFactor(SETTINGS, report({ weight: 1 }), 2, 11_001)).toBeUndefined();
    expect(wishedFactor(SETTINGS, undefined, 2, 0)).toBeUndefined();
  });
});

describe('administrativeOf', () => {
  it('is the stricter one of operator and server', () => {
    expect(administrativeOf(backend({}))).toBe('ready');
    expect(administrativeOf(backend({ administrative: 'drain' }))).toBe('drain');
    expect(administrativeOf(backend({ administrative: 'maint' }))).toBe('maintenance');
    expect(
      administrativeOf(backend({ administrative: 'ready' }, { administrative: 'drain' })),
    ).toBe('drain');
    const kept = backend({ administrative: 'drain' }, { administrative: 'maintenance' });
    expect(administrativeOf(kept)).toBe('maintenance');
  });
});

describe('healthOf', () => {
  it('is down when the server says so, until that lapses', () => {
    const saysDown = backend({ operational: 'down' });
    expect(healthOf(SETTINGS, saysDown, 2000)).toBe('down');
    expect(healthOf(SETTINGS, saysDown, 20_000)).toBe('up');
  });

  it('is not up because the server says so', () => {
    expect(healthOf(SETTINGS, backend({ operational: 'up' }, { health: 'down' }), 2000)).toBe(
      'down',
    );
  });
});

describe('wishedLimit', () => {
  it('is what was asked for, until the report expires', () => {
    const limited = report({ connectionLimit: 30 });
    expect(wishedLimit(SETTINGS, limited, 11_000)).toBe(30);
    expect(wishedLimit(SETTINGS, limited, 11_001)).toBeUndefined();
  });

  it('is none where 0 was asked for: that must not lift a limit that is configured', () => {
    expect(wishedLimit(SETTINGS, report({ connectionLimit: 0 }), 1000)).toBeUndefined();
    expect(wishedLimit(SETTINGS, report({}), 1000)).toBeUndefined();
    expect(wishedLimit(SETTINGS, undefined, 1000)).toBeUndefined();
  });
});
