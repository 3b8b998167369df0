import { describe, expect, it } from 'vitest';
import type { Status } from '../control/status-shape.ts';
import { emptyLoadReport, type LoadReport } from '../lab/http-load-report.ts';
import { renderSummary, summarize, summarizeFeedback } from './demo-summary.ts';
import {
  type DemoView,
  eventText,
  failures,
  perSecond,
  renderLine,
  renderView,
} from './demo-view.ts';
import { paint, visibleWidth } from './status-terminal.ts';

const plain = paint(false);
const colors = paint(true);

/** A status after both switching processors have received so many packets. */
function statusOf(first: number, second: number): Status {
  const switching = [first, second].map((received, processor) => ({
    processor,
    pid: 100 + processor,
    state: 'running',
    restarts: processor,
    received,
    forwarded: received - 1,
  }));
  const backend = { name: 'b1', connectionsTotal: 12 };
  return {
    version: '0.1.0',
    interfaces: [{ kind: 'af-xdp', mode: 'native copy' }],
    processes: { control: { pid: 99, restarts: 0 }, switching },
    totals: {
      received: first + second,
      verdicts: { forwarded: first + second - 2, dropped: 2, punted: 0, consumed: 0 },
      reasons: {
        connection: { count: first + second - 2, verdict: 'forwarded', meaning: '' },
        fragment: { count: 2, verdict: 'dropped', meaning: '' },
      },
    },
    connections: { inserted: 12 },
    services: [{ backends: [backend] }],
  } as unknown as Status;
}

function loadOf(changes: Partial<LoadReport>): LoadReport {
  return { ...emptyLoadReport(), elapsedMs: 4000, ...changes };
}

const GOOD = loadOf({ requests: 300, open: 24, perServer: { b1: 100, b2: 200 } });

const VIEW: DemoView = {
  durationMs: 20_000,
  elapsedMs: 4000,
  load: {
    before: { atMs: 3500, value: loadOf({ requests: 250 }) },
    now: { atMs: 4000, value: GOOD },
  },
  status: {
    before: { atMs: 3000, value: statusOf(1000, 2000) },
    now: { atMs: 4000, value: statusOf(2000, 5000) },
  },
  isControlAnswering: true,
  events: [{ process: 'switching 0', atMs: 2000, backAfterMs: 93.4 }],
  servers: ['b1', 'b2', 'b3'],
  serverKind: 'nginx',
};

describe('perSecond', () => {
  it('goes by the times of the measurements', () => {
    const pair = { before: { atMs: 100, value: 10 }, now: { atMs: 600, value: 30 } };
    expect(perSecond(pair, (value) => value)).toBe(40);
    expect(perSecond({ before: pair.now, now: pair.now }, (value) => value)).toBe(0);
  });
});

describe('failures', () => {
  it('counts each kind', () => {
    const kinds = ['failedRequests', 'connectErrors', 'brokenConnections', 'movedConnections'];
    for (const kind of kinds) expect(failures(loadOf({ [kind]: 1 }))).toBe(1);
    expect(failures(GOOD)).toBe(0);
  });
});

describe('eventText', () => {
  it('tells what was killed and when it was back', () => {
    const event = { process: 'switching 0', atMs: 8000, backAfterMs: 93.4 };
    expect(eventText(event, plain)).toBe(
      '  8.0 s  switching 0 killed (SIGKILL)  forwarding again after 93 ms',
    );
    expect(eventText({ ...event, process: 'control', backAfterMs: null }, plain)).toBe(
      '  8.0 s  control killed (SIGKILL)  not answering yet',
    );
  });
});

describe('renderView', () => {
  const text = renderView(VIEW, plain, 100).join('\n');

  it('shows rates, shares, processors, drops and events', () => {
    expect(text).toContain('4 of 20 s');
    expect(text).toMatch(/requests +100 \/s +300 answered, 0 failed/);
    expect(text).toMatch(/packets +4,000 \/s +7,000 received/);
    expect(text).toMatch(/b2 +█+.* 66\.7 % +200 requests/);
    expect(text).toMatch(/b3 +░+ +0\.0 % +0 requests/);
    expect(text).toMatch(/switching 1 █{18}░{6} +3,000 packets\/s +running, pid 101/);
    expect(text).toContain('dropped     fragment 2');
    expect(text).toContain('forwarding again after 93 ms');
  });

  it('says that control is dead', () => {
    const dead = { ...VIEW, isControlAnswering: false };
    expect(renderView(dead, plain, 100).join('\n')).toMatch(/control +dead: switching goes on/);
    expect(renderLine(dead)).toContain('control is dead');
  });

  it('has no line wider than the terminal', () => {
    for (const width of [20, 40, 60]) {
      const widths = renderView(VIEW, colors, width).map(visibleWidth);
      expect(Math.max(...widths)).toBeLessThanOrEqual(width);
    }
  });
});

describe('renderLine', () => {
  it('says the same in one line', () => {
    expect(renderLine(VIEW)).toBe(
      '  4.0 s |    100 requests/s | 0 failed | b1 33.3 % b2 66.7 % b3 0.0 % | ' +
        '1,000 + 3,000 packets/s',
    );
  });
});

describe('summarize', () => {
  const outcome = { events: [], awayAfterMs: 3000, lowestShare: 0.1, backAfterMs: 5000 };
  const sample = { atMs: 0, latencyMs: 7, server: 'b1', failure: '' };
  const feedback = summarizeFeedback(outcome, [sample]);
  const summary = (load: LoadReport, backAfterMs: number | null = 90) => {
    const events = [{ process: 'control', atMs: 1, backAfterMs }];
    return summarize(load, statusOf(2000, 5000), events, ['b1', 'b2'], 'nginx', feedback);
  };

  it('has passed when all was answered and all came back', () => {
    expect(summary(GOOD)).toMatchObject({
      passed: true,
      requests: 300,
      failed: 0,
      connections: 12,
      servers: [
        { name: 'b1', requests: 100, connections: 12 },
        { name: 'b2', requests: 200, connections: 0 },
      ],
      packets: { received: 7000, forwarded: 6998, dropped: 2 },
      drops: { fragment: 2 },
    });
    expect(summary(GOOD).processors.map(({ restarts }) => restarts)).toEqual([0, 1]);
  });

  it('has not passed when anything failed, nothing was asked, or something stayed dead', () => {
    expect(summary(loadOf({ requests: 300, failedRequests: 1 })).passed).toBe(false);
    expect(summary(loadOf({ requests: 300, brokenConnections: 1 })).passed).toBe(false);
    expect(summary(loadOf({ requests: 300, movedConnections: 1 })).passed).toBe(false);
    expect(summary(loadOf({ requests: 0 })).passed).toBe(false);
    expect(summary(GOOD, null).passed).toBe(false);
  });

  it('is told in words', () => {
    const good = renderSummary(summary(GOOD), plain);
    expect(good).toContain('✔ every one of 300 requests in 4.0 s was answered');
    expect(good).toContain('dropped: 2 of 7,000 packets (fragment 2)');
    const load = loadOf({ requests: 300, connectErrors: 2, failures: { 'connect timeout': 2 } });
    const bad = renderSummary(summary(load), plain);
    expect(bad).toContain('✘ 2 failures beside 300 requests');
    expect(bad).toContain('connect timeout: 2');
  });
});
