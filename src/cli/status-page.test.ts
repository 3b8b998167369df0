import { describe, expect, it } from 'vitest';
import type { Status } from '../control/status-shape.ts';
import { renderStatus } from './status-page.ts';
import { paint } from './status-terminal.ts';

const SWITCHING = {
  processor: 0,
  pid: 102,
  state: 'running',
  restarts: 0,
  cpu: null,
  heartbeatAgeMs: 3,
  runningSinceMs: 61_000,
  sleeping: false,
  received: 1_234_567,
  forwarded: 1_234_000,
  dropped: 500,
  punted: 0,
  consumed: 67,
  waiting: 0,
  handedOver: 0,
  takenOver: 0,
  turns: 5,
  idleTurns: 1,
  sleeps: 1,
  framesReclaimed: 0,
  balance: 0,
} as const;

const BACKEND = {
  name: 'b1',
  address: '10.2.0.11',
  port: 8080,
  weight: 3,
  connectionsActive: 4,
  connectionsTotal: 750,
  packetsIn: 9000,
  bytesIn: 1_500_000,
  packetsOut: 8000,
  bytesOut: 2_500_000,
  connectionsOpen: 3,
  connectionsAnswered: 750,
  connectionsRefused: 0,
  resets: 2,
  answerTimeMs: 1.5,
  share: 0.75,
} as const;

const STATUS: Status = {
  state: 'ready',
  version: '0.1.0',
  startedAt: '2026-01-01T00:00:00.000Z',
  uptimeSeconds: 3700,
  configuration: {
    generation: 4,
    flips: 9,
    appliedAt: '2026-01-01T00:10:00.000Z',
    file: '/etc/weir.yaml',
    reloadsRefused: 0,
  },
  routing: { routes: 3, flips: 1, fromKernel: null, error: null },
  forwarding: { pairs: 0, sourceNat: null },
  processes: {
    supervisor: { pid: 100, alive: true },
    control: { pid: 101, restarts: 0 },
    switching: [SWITCHING, { ...SWITCHING, processor: 1, pid: 103, cpu: 3, restarts: 2 }],
  },
  controlHost: null,
  controlInterface: null,
  applications: [
    { name: 'names', state: 'running', packets: 1200 },
    { name: 'guard', state: 'failed', packets: 3 },
  ],
  interfaces: [
    {
      name: 'ext0',
      kind: 'af-xdp',
      mode: 'native copy',
      shared: null,
      busyPolling: { budget: null, queuesWithNapi: 0, inEffect: false, reason: 'not configured' },
      up: true,
      mac: '02:00:0a:01:00:01',
      mtu: 1500,
      queues: [
        { queue: 0, processor: 0 },
        { queue: 1, processor: 1 },
      ],
      receivedPackets: 1_000_000,
      receivedBytes: 123_456_789,
      sentPackets: 7,
      sentBytes: 420,
    },
  ],
  claims: null,
  totals: {
    received: 2_469_134,
    verdicts: { forwarded: 2_468_000, dropped: 1000, punted: 0, consumed: 134 },
    reasons: {
      'no-route': { count: 1000, verdict: 'dropped', meaning: 'no route to the destination' },
      connection: { count: 2_468_000, verdict: 'forwarded', meaning: 'a known connection' },
    },
  },
  connections: {
    capacity: 1_048_576,
    live: 6,
    taken: 8,
    halfOpen: 1,
    inserted: 1000,
    expired: 900,
    evicted: 0,
    ended: 0,
  },
  services: [
    {
      name: 'web',
      address: '10.1.0.100',
      port: 80,
      protocol: 'tcp',
      scheduler: 'maglev',
      forwarding: 'nat',
      connectionsActive: 6,
      connectionsTotal: 1000,
      backends: [BACKEND, { ...BACKEND, name: 'b2', weight: 0, share: 0.25 }],
    },
  ],
  neighbors: [
    { interface: 'int0', address: '10.2.0.11', mac: '02:00:0a:02:00:0b', state: 'reachable' },
    { interface: 'int0', address: '10.2.0.99', mac: null, state: 'failed' },
  ],
};

function page(changes: Partial<Status> = {}): string {
  return renderStatus({ ...STATUS, ...changes }, paint(false));
}

/** The line that begins with these words, its spaces collapsed. */
function line(text: string, start: string): string | undefined {
  const lines = text.split('\n').map((each) => each.trim().replace(/ +/g, ' '));
  return lines.find((each) => each.startsWith(start));
}

describe('renderStatus', () => {
  it('has a line for everything', () => {
    const text = page();
    expect(line(text, 'weir')).toBe('weir 0.1.0 ● ready up 1 h 1 min');
    expect(line(text, 'configuration')).toContain('configuration 4 (2026-01-01T00:10:00.000Z)');
    expect(line(text, 'switching 0')).toBe(
      'switching 0 102 running – 0 1 min 1 s 1,234,567 1,234,000 500 67 0 0',
    );
    expect(line(text, 'switching 1')).toContain('103 running 3 2');
    expect(line(text, 'ext0')).toBe(
      'ext0 up af-xdp native copy 02:00:0a:01:00:01 1500 0 1 1,000,000 123.5 MB 7 420 B',
    );
    expect(line(text, 'web')).toBe(
      'web tcp 10.1.0.100:80 maglev, nat 6 connections now, 1,000 in all',
    );
    expect(line(text, 'b1')).toBe(
      'b1 10.2.0.11:8080 3 4 750 75.0 % ███████████████░░░░░ 9,000 1.5 MB 8,000 2.5 MB',
    );
    expect(line(text, 'connections')).toContain(
      '6 now, closing ones included, 1 half open; 8 of 1,048,576',
    );
    expect(line(text, '10.2.0.99')).toBe('10.2.0.99 int0 – failed');
    expect(text).not.toContain('\u001b');
    expect(text).not.toContain('unaccounted');
  });

  it('tells of a shared interface, of its claims, and of busy polling', () => {
    const [one] = STATUS.interfaces;
    const shared = { framesTaken: 12_345, framesLeftToKernel: 678 };
    const busyPolling = { budget: 64, queuesWithNapi: 0, inEffect: false, reason: 'no NAPI' };
    const claims = { inForce: 20, capacity: 32_768, former: 3, refused: 40_000 };
    const text = page({ interfaces: [{ ...one, shared, busyPolling }], claims });
    expect(text).toContain('  ext0 is shared: 12,345 frames taken, 678 left to the kernel\n');
    expect(text).toContain('  ext0: no busy polling: no NAPI\n');
    const former = '3 for connections of what is configured no longer';
    expect(text).toContain(`  claims of shared interfaces: 20 of 32,768, ${former}\n`);
    expect(text).toContain(
      '  40,000 claims are wanted and do not fit: those before are in force\n',
    );
    const polled = { ...busyPolling, queuesWithNapi: 2, inEffect: true, reason: null };
    const other = page({ interfaces: [{ ...one, busyPolling: polled }] });
    expect(other).toContain('  ext0: its driver is polled, 64 frames at a time\n');
    expect(other).not.toContain('claims');
  });

  it('names applications, and those that do not run', () => {
    const wanted = 'applications names 1,200 packets guard failed (weir apps)';
    expect(line(page(), 'applications')).toBe(wanted);
    expect(line(page({ applications: [] }), 'applications')).toBeUndefined();
  });

  it('orders reasons by how often they occurred', () => {
    const text = page();
    expect(text.indexOf('connection     ')).toBeLessThan(text.indexOf('no-route'));
    expect(line(text, 'no-route')).toBe('no-route dropped 1,000 0.0 % no route to the destination');
    expect(text).toContain('docs/reference/reasons.md');
  });

  it('aligns columns', () => {
    const rows = page()
      .split('\n')
      .filter((each) => each.startsWith('  switching') || each.startsWith('  PROCESS'));
    const ends = rows.map((row) => row.length);
    expect(new Set(ends).size).toBe(1);
  });

  it('shows what is wrong', () => {
    const switching = [
      { ...SWITCHING, state: 'dead' as const, runningSinceMs: null, balance: 400 },
    ];
    const text = page({
      state: 'starting',
      configuration: { ...STATUS.configuration, reloadsRefused: 2, appliedAt: null },
      processes: {
        ...STATUS.processes,
        supervisor: { pid: 100, alive: false },
        switching,
      },
      services: [],
      neighbors: [],
    });
    expect(text).toContain('○ starting');
    expect(text).toContain('2 reloads were refused');
    expect(line(text, 'supervisor')).toBe('supervisor 100 dead');
    expect(line(text, 'switching 0')).toContain('102 dead – 0 –');
    expect(text).toContain('switching 0: 400 packets unaccounted for');
    expect(text).toContain('no neighbors yet');
  });

  it('has colours when asked for them', () => {
    expect(renderStatus(STATUS, paint(true))).toContain('\u001b[32m● ready\u001b[39m');
  });
});
