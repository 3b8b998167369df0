// What applications post: one process, several, none any more, and what is refused.

import { describe, expect, it } from 'vitest';
import { ApplicationLoad, MAX_REPORTERS } from './application-load.ts';

const post = (load: ApplicationLoad, body: unknown, nowMs = 0) => load.post(body, nowMs)?.rejected;

describe('an application', () => {
  it('is heard until it has been silent for too long', () => {
    const load = new ApplicationLoad(['web/b1'], 5000);
    expect(load.report('web/b1', 0)).toBeUndefined();
    expect(post(load, { figures: { clients: 3 }, wish: { weight: 5 } }, 1000)).toBeUndefined();
    expect(load.report('web/b1', 6000)).toEqual({ figures: { clients: 3 }, wish: { weight: 5 } });
    expect(load.report('web/b1', 6001)).toBeUndefined();
    expect(post(load, {}, 7000)).toBeUndefined();
    expect(load.report('web/b1', 7000)).toEqual({ figures: {} });
  });

  it('that asked to be drained before it fell silent is not taken for ready again', () => {
    const load = new ApplicationLoad(['web/b1'], 5000);
    const drain = { administrative: 'drain', weight: 5 };
    post(load, { reporter: 'a', wish: drain }, 0);
    post(load, { reporter: 'b' }, 1000);
    expect(load.report('web/b1', 5500)).toEqual({ figures: {} });
    expect(load.report('web/b1', 6500)).toBeUndefined();
    // The last one had asked for nothing.
    expect(load.lastWish('web/b1')).toBeUndefined();

    post(load, { reporter: 'a', wish: drain }, 10_000);
    expect(load.report('web/b1', 16_000)).toBeUndefined();
    expect(load.lastWish('web/b1')).toEqual({ administrative: 'drain' });
    expect(load.report('web/b1', 99_000)).toBeUndefined();
    expect(load.lastWish('web/b1')).toEqual({ administrative: 'drain' });
    // Started again, it says otherwise.
    post(load, { reporter: 'c' }, 100_000);
    expect(load.lastWish('web/b1')).toBeUndefined();
  });

  it('of several processes is put together', () => {
    const load = new ApplicationLoad(['web/b1'], 5000);
    const figures = (requestsPerSecond: number, executionTimeMs: number, utilization: number) => ({
      requestsPerSecond,
      executionTimeMs,
      applicationUtilization: utilization,
    });
    post(load, { reporter: 'a', figures: figures(30, 10, 0.25), wish: { weight: 1 } }, 0);
    post(load, { reporter: 'b', figures: figures(10, 50, 0.75), wish: { weight: 2 } }, 1000);
    post(load, { reporter: 'c', figures: { clients: 7 } }, 2000);
    expect(load.report('web/b1', 3000)).toEqual({
      figures: {
        requestsPerSecond: 40,
        executionTimeMs: 20,
        applicationUtilization: 0.5,
        clients: 7,
      },
      wish: { weight: 2 },
    });
    // The first two have gone.
    expect(load.report('web/b1', 6500)).toEqual({ figures: { clients: 7 } });
  });

  it('without requests just now still has a time', () => {
    const load = new ApplicationLoad(['web/b1'], 5000);
    for (const reporter of ['a', 'b']) {
      post(load, { reporter, figures: { requestsPerSecond: 0, executionTimeMs: 4 } });
    }
    expect(load.report('web/b1', 0)?.figures).toEqual({ requestsPerSecond: 0, executionTimeMs: 4 });
  });

  it('names its backend where there are several', () => {
    const load = new ApplicationLoad(['web/b1', 'dns/b1'], 5000);
    expect(post(load, { figures: { clients: 1 } })).toBe('malformed');
    expect(post(load, { backend: 'dns/b1', figures: { clients: 1 } })).toBeUndefined();
    expect(post(load, { backend: 'dns/b2', figures: { clients: 1 } })).toBe('wrong-backend');
    expect(load.report('web/b1', 0)).toBeUndefined();
    expect(load.report('dns/b1', 0)).toEqual({ figures: { clients: 1 } });
  });

  it.each([
    [null, 'malformed'],
    [[], 'malformed'],
    ['text', 'malformed'],
    [{ figures: [] }, 'malformed'],
    [{ backend: 5 }, 'malformed'],
    [{ reporter: 5 }, 'malformed'],
    [{ reporter: 'x'.repeat(65) }, 'malformed'],
    [{ backend: '__proto__', figures: {} }, 'wrong-backend'],
    [{ figures: { clients: -1 } }, 'negative'],
    [{ figures: { clients: '1' } }, 'not-a-number'],
    [{ figures: { memoryUtilization: 2 } }, 'out-of-range'],
    [{ wish: { administrative: 'off' } }, 'malformed'],
    [{ wish: { weight: 1.5 } }, 'malformed'],
    [{ wish: { reason: 'x\n' } }, 'malformed'],
  ])('is refused with %j', (body, reason) => {
    const load = new ApplicationLoad(['web/b1'], 5000);
    expect(post(load, body)).toBe(reason);
    expect(load.report('web/b1', 0)).toBeUndefined();
  });

  it('has a bounded number of processes', () => {
    const load = new ApplicationLoad(['web/b1'], 5000);
    for (let i = 0; i < MAX_REPORTERS; i++) {
      expect(post(load, { reporter: `${i}` })).toBeUndefined();
    }
    expect(post(load, { reporter: 'one more' })).toBe('too-many');
    expect(post(load, { reporter: '0' })).toBeUndefined();
    expect(post(load, { reporter: 'one more' }, 5001)).toBeUndefined();
  });
});
