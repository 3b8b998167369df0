import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { HealthState } from '../health/checker.ts';
import { headline, withCause } from './headline.ts';

const DOWN: HealthState = {
  key: 'web/b1',
  status: 'down',
  cause: 'connection refused',
  sinceMs: 0,
  checks: 3,
  failures: 3,
  flaps: 0,
};
const reason = (code: string) => ({ code, text: `text of ${code}` });

describe('headline', () => {
  it('what keeps connections away comes before what moves the weight', () => {
    const reasons = ['configured-weight', 'report', 'slow-start', 'result'].map(reason);
    expect(headline(reasons, undefined)).toBe('text of slow-start');
    expect(headline([...reasons, reason('drain')], undefined)).toBe('text of drain');
    expect(headline(reasons.slice(0, 2), undefined)).toBe('text of report');
    expect(headline(reasons.slice(0, 1), undefined)).toBe('text of configured-weight');
  });

  it('a dead server’s is what its checks found', () => {
    expect(headline([reason('down')], DOWN)).toBe('its health checks fail: connection refused');
    expect(withCause(reason('down'), undefined)).toEqual(reason('down'));
    expect(headline([], DOWN)).toBe('connection refused');
  });

  it('knows every code that keeps a backend from connections, by the name that it is given', () => {
    const given = readFileSync(new URL('../distribution/reasons.ts', import.meta.url), 'utf8');
    const known = readFileSync(new URL('headline.ts', import.meta.url), 'utf8');
    const list = known.slice(known.indexOf('TELLING = ['), known.indexOf('];'));
    for (const [, code] of list.matchAll(/'([a-z-]+)'/g)) {
      expect(given, code).toMatch(new RegExp(`'${code}'`));
    }
  });
});
