// The pages of `weir backends` and `weir why`, from literal views.

import { describe, expect, it } from 'vitest';
import { backendView, REPORT } from '../control/backend-actions.harness.ts';
import type { BackendsView, BackendView, DrainView, HealthView } from '../control/backend-view.ts';
import { figure, wrap } from './backend-texts.ts';
import { drainLine, renderBackends } from './backends-page.ts';
import { paint, visibleWidth } from './status-terminal.ts';
import { renderWhy } from './why-page.ts';

const HEALTH: HealthView = {
  status: 'up',
  cause: 'HTTP 200 in 3 ms',
  sinceMs: 720_000,
  lastCheck: { ok: true, durationMs: 3, detail: 'HTTP 200', ageMs: 800 },
  checks: 1234,
  failures: 2,
  flaps: 0,
  heldForMs: null,
};

const DRAIN: DrainView = {
  state: 'draining',
  by: 'anna',
  since: '2026-01-01T00:00:00.000Z',
  forMs: 40_000,
  deadline: '2026-01-01T00:05:00.000Z',
  deadlineInMs: 260_000,
  atDeadline: 'reset',
  isEnding: false,
  takesNewConnections: false,
  atStart: 40,
  begunSince: 0,
  waitingFor: { tcp: 14, udp: 0, states: null, idlestMs: null, oldestMs: null },
  gone: 26,
  progress: 0.65,
  gonePerSecond: 0.7,
  etaMs: 20_000,
  drainedAt: null,
  kept: 0,
  text: 'draining: 14 TCP connections left, 26 gone; about 20 s to go',
};

const LOADED: BackendView = backendView({
  name: 'b1',
  weight: { configured: 1, operator: null, now: 0.62, published: 62, share: 0.236 },
  why: 'CPU 87 %, the others have 41 % on average: weight lowered to 0.62',
  reasons: [
    { code: 'configured', text: 'the file gives weight 1' },
    { code: 'utilization', text: 'CPU 87 % where the others have 41 %: × 0.62', factor: 0.62 },
  ],
  health: HEALTH,
  report: { ...REPORT, wish: { weightPercent: 80, connectionLimit: 50 } },
  connections: { active: 15, open: 12, total: 4321, limit: 500 },
  rates: { ...backendView().rates, connectionsPerSecond: 3.44 },
});
const SET: BackendView = backendView({
  name: 'b2',
  weight: { configured: 1, operator: 3, now: 2, published: 200, share: 0.764 },
  why: 'weight 3 by an operator, slow start',
});
const DRAINED: BackendView = backendView({
  name: 'b3',
  state: 'draining',
  weight: { configured: 1, operator: null, now: 0, published: 0, share: 0 },
  why: 'drained by an operator',
  drain: DRAIN,
});
const DOWN: BackendView = backendView({
  service: 'dns',
  name: 'd1',
  protocol: 'udp',
  state: 'down',
  isFallback: true,
  health: {
    ...HEALTH,
    status: 'down',
    cause: 'no answer in 1 s, 3 times',
    sinceMs: 5000,
    heldForMs: 30_000,
  },
});
const VIEW: BackendsView = {
  backends: [LOADED, SET, DRAINED, DOWN],
  changes: [
    {
      service: 'web',
      backend: 'b2',
      kind: 'weight',
      weight: 3,
      text: 'weight 3, the file says 1',
      by: 'anna',
      at: '2026-01-01T00:00:00.000Z',
      isConfigured: true,
    },
    {
      service: 'web',
      backend: 'old',
      kind: 'drain',
      weight: null,
      text: 'drain, without a deadline',
      by: 'ben as root',
      at: '2026-01-01T00:00:00.000Z',
      isConfigured: false,
    },
  ],
};

function page(view: BackendsView = VIEW, width = 100): string {
  return renderBackends(view, width, paint(false));
}

/** The line that begins with these words, its spaces collapsed. */
function line(text: string, start: string): string | undefined {
  const lines = text.split('\n').map((each) => each.trim().replace(/ +/g, ' '));
  return lines.find((each) => each.startsWith(start));
}

describe('renderBackends', () => {
  it('has a row for each backend: state, weight, share, connections, rate, report', () => {
    const text = page();
    expect(line(text, 'web')).toBe('web tcp 2 of 3 backends up');
    expect(line(text, 'b1')).toMatch(
      /^b1 ● up 1 → 0.62 23.6 % █+[▏▎▍▌▋▊▉]?░+ 12 of 500 3.44 CPU 87 %, 1 s$/,
    );
    expect(line(text, 'b2')).toMatch(/^b2 ● up 3\* → 2 76.4 % \S+ 0 0 –$/);
    expect(line(text, 'b3')).toMatch(/^b3 ◐ draining 1 → 0 0.0 % ░+ 0 0 –$/);
    expect(line(text, 'd1')).toMatch(/^d1 \(fallback\) ● down 1 50.0 % /);
    expect(text).not.toContain('\u001b');
  });

  it('says below why, how the health is, and how a drain gets on', () => {
    const text = page();
    expect(line(text, 'why: CPU')).toBe(
      'why: CPU 87 %, the others have 41 % on average: weight lowered to 0.62',
    );
    expect(line(text, 'health: up')).toBe('health: up for 12 min 0 s: HTTP 200 in 3 ms');
    expect(line(text, 'health: down')).toBe(
      'health: down for 5 s: no answer in 1 s, 3 times; held for 30 s, it flapped',
    );
    expect(line(text, 'drain:')).toBe(
      'drain: 65.0 % done: 14 TCP connections left, 26 gone; about 20 s to go',
    );
  });

  it('ends with what was changed at run time, and marks such a weight', () => {
    const text = page();
    expect(text).toContain('* set by an operator at run time');
    const end = text.split('changed at run time, not in the file\n')[1];
    expect(end).toBe(
      '  web/b2   weight 3, the file says 1, by anna at 2026-01-01T00:00:00Z\n' +
        '  web/old  drain, without a deadline (not configured now), by ben as root at 2026-01-01T00:00:00Z\n',
    );
    const plain = page({ ...VIEW, backends: [LOADED], changes: [] });
    expect(plain).not.toMatch(/at run time/);
  });

  it.each([80, 100, 120])('fits %i columns', (width) => {
    const view = { ...VIEW, changes: [] };
    const pages = [view.backends[0], DRAINED, DOWN].map((each) =>
      renderWhy(each, view, width, paint(false)),
    );
    for (const text of [renderBackends(view, width, paint(false)), ...pages]) {
      expect(Math.max(...text.split('\n').map(visibleWidth))).toBeLessThanOrEqual(width);
    }
  });

  it('shortens long names, and breaks long reasons into lines', () => {
    const why = Array(40).fill('because').join(' ');
    const long = backendView({ name: `b${'x'.repeat(62)}`, why });
    const text = page({ backends: [long], changes: [] }, 80);
    expect(Math.max(...text.split('\n').map(visibleWidth))).toBeLessThanOrEqual(80);
    expect(text.match(/because/g)).toHaveLength(40);
    expect(line(text, 'bxx')).toContain('bxxxxxxxxxxxxxx…');
  });

  it('lets no text of a server reach the terminal as a command', () => {
    const evil = '\u001b[2Jgone';
    const report = { ...REPORT, identity: evil, wish: { reason: evil }, figures: { [evil]: 1 } };
    const backend = backendView({
      why: evil,
      report,
      health: { ...HEALTH, cause: evil, lastCheck: { ...HEALTH.lastCheck!, detail: evil } },
      reasons: [{ code: 'x', text: evil }],
      drain: { ...DRAIN, text: evil },
    });
    const view: BackendsView = {
      backends: [backend],
      changes: [{ ...VIEW.changes[0], backend: 'b1', by: evil, text: evil }],
    };
    expect(page(view)).not.toContain('\u001b');
    expect(renderWhy(backend, view, 100, paint(false))).not.toContain('\u001b');
    expect(drainLine('web/b1', backend, paint(false))).not.toContain('\u001b');
  });

  it('shows what is old or down in colour', () => {
    const old = backendView({ report: { ...REPORT, ageMs: 12_000 } });
    const text = renderBackends({ backends: [old, DOWN], changes: [] }, 100, paint(true));
    expect(text).toContain('\u001b[33mCPU 87 %, 12 s\u001b[39m');
    expect(text).toContain('\u001b[31m● down\u001b[39m');
  });

  it('says so when there is nothing', () => {
    expect(page({ backends: [], changes: [] })).toContain('no backends');
  });
});

describe('the report in a row', () => {
  const told = (report: Partial<BackendView['report'] & object>) =>
    page({ backends: [backendView({ report: { ...REPORT, ...report } })], changes: [] });

  it.each([
    [
      { figures: { clients: 3, applicationUtilization: 0.5, cpuUtilization: 0.9 } },
      'app 50 %, 1 s',
    ],
    [{ figures: { requestsPerSecond: 12, clients: 3 } }, 'clients 3, 1 s'],
    [{ figures: {}, wish: { weightPercent: 50, operational: 'up' } }, '50 % of its weight, 1 s'],
    [{ figures: {} }, 'no figures, 1 s'],
  ])('%j is %s', (report, text) => {
    expect(line(told(report), 'b1')).toMatch(new RegExp(`░ 0 0 ${text}$`));
  });
});

describe('drainLine', () => {
  it('has a bar, the time and what is left', () => {
    expect(drainLine('web/b3', DRAINED, paint(false))).toBe(
      `web/b3 ${'█'.repeat(13)}${'░'.repeat(7)} 40 s: 65.0 % done: ${DRAIN.text.slice(10)}`,
    );
  });
});

describe('renderWhy', () => {
  const text = renderWhy(LOADED, VIEW, 100, paint(false));

  it('tells what the server says, what checks and operators say, and the connections', () => {
    expect(line(text, 'web/b1')).toBe('web/b1 10.2.0.11:8080 tcp ● up');
    expect(line(text, 'report')).toBe(
      'report agent b1, 1 s ago: CPU 87 %, memory 43 %, clients 120, execution time 12.3 ms',
    );
    expect(line(text, 'asks for')).toBe('asks for 80 % of its weight, at most 50 connections');
    expect(line(text, 'health')).toBe('health up for 12 min 0 s: HTTP 200 in 3 ms');
    expect(line(text, 'checks')).toBe(
      'checks 1,234 checks, 2 failed; the last was good 800 ms ago in 3 ms: HTTP 200',
    );
    expect(line(text, 'connections')).toBe(
      'connections 12 of 500 open, 4,321 ever, 3.44 new per second',
    );
    const set = renderWhy(SET, VIEW, 100, paint(false));
    expect(line(set, 'operator')).toBe(
      'operator weight 3, the file says 1, by anna at 2026-01-01T00:00:00Z',
    );
    expect(line(set, 'report')).toBe('report none');
    expect(line(set, 'health')).toBe('health not checked');
  });

  it('has the steps in their order, then the weight, then the shares beside it', () => {
    const steps = text.slice(text.indexOf('from the configured weight'));
    expect(steps.split('\n').map((each) => each.trim().replace(/ +/g, ' '))).toEqual([
      'from the configured weight to the present one',
      '1. the file gives weight 1',
      '2. CPU 87 % where the others have 41 %: × 0.62',
      '→ weight 1 in the file → 0.62 now, 23.6 % of the new connections, 62 in the configuration table',
      '',
      'shares of the new connections of web',
      expect.stringMatching(/^▸ b1 23\.6 % \S+ weight 0\.62$/),
      expect.stringMatching(/^b2 76\.4 % \S+ weight 2$/),
      expect.stringMatching(/^b3 0\.0 % \S+ weight 0$/),
      '',
    ]);
  });

  it('tells what a drain waits for', () => {
    const states = { established: 1200, 'close-wait': 2, 'syn-sent': 0 };
    const waitingFor = { tcp: 1202, udp: 0, states, idlestMs: 240_000, oldestMs: 7_200_000 };
    const drain = { ...DRAIN, waitingFor };
    const told = renderWhy({ ...DRAINED, drain }, VIEW, 120, paint(false));
    expect(line(told, 'waits for')).toBe(
      'waits for 1,200 established, 2 close-wait; idle for up to 4 min 0 s; ' +
        'the oldest began 2 h 0 min ago',
    );
    const over = { ...drain, state: 'drained' as const, text: 'drained, 3 have ended' };
    const ended = renderWhy({ ...DRAINED, drain: over }, VIEW, 100, paint(false));
    expect(line(ended, 'drain ')).toBe('drain drained, 3 have ended');
  });

  it('says so where nothing is at work', () => {
    const plain = renderWhy(backendView(), { backends: [], changes: [] }, 100, paint(false));
    expect(plain).toContain('nothing is at work');
    const untold = renderWhy(SET, { backends: [], changes: [] }, 100, paint(false));
    expect(untold).not.toContain('nothing is at work');
  });
});

describe('texts', () => {
  it.each([
    [1, '1'],
    [0.6249, '0.625'],
    [12.5, '12.5'],
    [0, '0'],
    [1234.5, '1,235'],
    [Number.NaN, '–'],
  ])('figure %f is %s', (value, text) => {
    expect(figure(value)).toBe(text);
  });

  it('wrap keeps a word that is too long on a line of its own', () => {
    expect(wrap('a bb cccccccccc d', 6, ' ')).toEqual([' a bb', ' cccccccccc', ' d']);
    expect(wrap('', 6, ' ')).toEqual([]);
  });
});
