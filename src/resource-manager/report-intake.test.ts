// What becomes of datagrams, over a clock that the test moves: who is believed, what is new, how much.

import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RejectionReason } from '../load/rejections.ts';
import { type AgentReport, type BackendLoad, signReport } from '../load/signed-report.ts';
import { noRejections, RejectionJournal } from './rejection-journal.ts';
import { MAX_SKEW_MS, ReportIntake } from './report-intake.ts';

const KEY = Buffer.alloc(32, 1);
const OTHER_KEY = Buffer.alloc(32, 2);
const WALL = 1_700_000_000_000;

function fixture() {
  const clock = { ms: 0 };
  const accepted: [string, BackendLoad][] = [];
  const lines: string[] = [];
  const log = {
    info: (line: string) => void lines.push(line),
    warning: (line: string) => void lines.push(line),
  };
  const journal = new RejectionJournal(log, () => clock.ms);
  const intake = new ReportIntake(
    {
      now: () => clock.ms,
      wallNow: () => WALL + clock.ms,
      accept: (agent, load) => void accepted.push([agent, load]),
    },
    journal,
  );
  const agents = [
    { name: 'b1', keys: [KEY], backends: ['web/b1'] },
    { name: 'b2', keys: [OTHER_KEY], backends: ['web/b2', 'dns/b2'] },
  ];
  intake.update(agents, 20);
  const state = (name: string) => [...intake.states()].find((s) => s.settings.name === name)!;
  /** Sends a report of b1 that differs in what is named. @returns the reason, undefined: accepted */
  const send = (report: Partial<AgentReport> = {}, key = KEY): RejectionReason | undefined => {
    return receive(signReport({ ...GOOD, wallClockMs: WALL + clock.ms, ...report }, key));
  };
  const receive = (datagram: Uint8Array, address = '10.0.0.1'): RejectionReason | undefined => {
    const before = { ...journal.counts };
    const count = accepted.length;
    intake.receive(datagram, address);
    const reasons = Object.keys(noRejections()) as RejectionReason[];
    const rejected = reasons.filter((reason) => journal.counts[reason] !== before[reason]);
    expect(rejected.length).toBe(accepted.length > count ? 0 : 1);
    return rejected[0];
  };
  return { clock, accepted, lines, journal, intake, agents, state, send, receive };
}

const GOOD: AgentReport = {
  agent: 'b1',
  bootId: '0000000000000001',
  sequence: 1,
  wallClockMs: WALL,
  backends: [{ backend: 'web/b1', figures: { cpuUtilization: 0.5 } }],
};

/** Signed by who has the key, with figures that signReport would not write. */
function withFigures(json: string): Buffer {
  const content = Buffer.from(`{"backends":[{"backend":"web/b1","figures":{${json}}}]}`);
  const header = Buffer.from(signReport(GOOD, KEY).subarray(0, 32 + GOOD.agent.length));
  header.writeUInt16BE(content.length, 6);
  const signed = Buffer.concat([header, content]);
  return Buffer.concat([signed, createHmac('sha256', KEY).update(signed).digest()]);
}

describe('ReportIntake', () => {
  it('accepts reports of one who has the key, in rising sequence', () => {
    const { accepted, send, state } = fixture();
    expect(send()).toBeUndefined();
    expect(send({ sequence: 2 })).toBeUndefined();
    expect(send({ sequence: 900 })).toBeUndefined();
    expect(accepted.length).toBe(3);
    expect(accepted[0]).toEqual(['b1', GOOD.backends[0]]);
    expect(state('b1')).toMatchObject({ accepted: 3, sequence: 900, lastAcceptedAtMs: 0 });
  });

  it('refuses wrong keys, names and backends, and counts them at the agent', () => {
    const { send, state, lines } = fixture();
    expect(send({}, OTHER_KEY)).toBe('wrong-key');
    expect(send({ agent: 'nobody' })).toBe('unknown-agent');
    const foreign = [{ backend: 'web/b2', figures: {} }];
    expect(send({ backends: foreign })).toBe('wrong-backend');
    expect(send({ backends: [...GOOD.backends, ...foreign] })).toBe('wrong-backend');
    expect(state('b1').rejected).toMatchObject({ 'wrong-key': 1, 'wrong-backend': 2 });
    expect(state('b2').accepted).toBe(0);
    expect(lines.length).toBe(3);
    expect(lines[2]).toContain("it may not speak for 'web/b2'");
  });

  it('takes no report twice, and none that is older', () => {
    const { send, receive, clock } = fixture();
    const datagram = signReport({ ...GOOD, sequence: 7 }, KEY);
    expect(receive(datagram)).toBeUndefined();
    expect(receive(datagram)).toBe('replayed');
    expect(send({ sequence: 6 })).toBe('old-sequence');
    clock.ms = MAX_SKEW_MS - 1;
    expect(receive(datagram)).toBe('replayed');
    expect(send({ sequence: 8 })).toBeUndefined();
    expect(receive(datagram)).toBe('old-sequence');
  });

  it('takes another start of the agent only when its clock is later', () => {
    const { send, clock } = fixture();
    const second = '00000000000000aa';
    expect(send({ sequence: 500 })).toBeUndefined();
    expect(send({ bootId: second, wallClockMs: WALL })).toBe('old-sequence');
    clock.ms = 1000;
    expect(send({ bootId: second })).toBeUndefined();
    // What the first start sent cannot come again, whatever its sequence.
    expect(send({ sequence: 501, wallClockMs: WALL + 500 })).toBe('old-sequence');
  });

  it('refuses clocks that are half a minute off, to both sides', () => {
    const { send } = fixture();
    expect(send({ wallClockMs: WALL + MAX_SKEW_MS + 1 })).toBe('clock-skew');
    expect(send({ wallClockMs: WALL - MAX_SKEW_MS - 1 })).toBe('clock-skew');
    expect(send({ wallClockMs: WALL - MAX_SKEW_MS })).toBeUndefined();
    expect(send({ sequence: 2, wallClockMs: WALL + MAX_SKEW_MS })).toBeUndefined();
  });

  it.each([
    ['"clients":-1', 'negative'],
    ['"cpuUtilization":"NaN"', 'not-a-number'],
    ['"cpuUtilization":null', 'not-a-number'],
    ['"cpuUtilization":1e999', 'not-a-number'],
    ['"cpuUtilization":1e308', 'out-of-range'],
    ['"cpuUtilization":NaN', 'malformed'],
  ] as const)('refuses figures %s of who has the key: %s', (json, reason) => {
    const { receive, state } = fixture();
    expect(receive(withFigures(json))).toBe(reason);
    expect(state('b1').rejected[reason]).toBe(1);
    expect(receive(withFigures('"clients":1'))).toBeUndefined();
  });

  it('takes as many as are allowed, and a replay uses up none of them', () => {
    const { send, receive, clock, state, accepted } = fixture();
    const first = signReport({ ...GOOD, sequence: 1 }, KEY);
    expect(receive(first)).toBeUndefined();
    for (let i = 0; i < 100; i++) expect(receive(first, '10.0.0.66')).toBe('replayed');
    for (let second = 0; second < 10; second++) {
      for (let i = 0; i < 100; i++) {
        clock.ms = second * 1000 + i * 10;
        send({ sequence: 2 + second * 100 + i });
      }
    }
    // A burst of one second, then twenty per second.
    expect(accepted.length).toBeGreaterThanOrEqual(200);
    expect(accepted.length).toBeLessThanOrEqual(221);
    expect(state('b1').rejected['too-often']).toBe(1001 - accepted.length);
  });

  it('keeps sequences and counts over an update, and forgets agents that are gone', () => {
    const { send, receive, intake, agents, state, clock } = fixture();
    const datagram = signReport({ ...GOOD, sequence: 5 }, KEY);
    receive(datagram);
    intake.update([{ ...agents[0], keys: [OTHER_KEY, KEY] }, agents[1]], 20);
    expect(receive(datagram)).toBe('replayed');
    // While keys are changed both are good.
    expect(send({ sequence: 6 })).toBeUndefined();
    expect(send({ sequence: 7 }, OTHER_KEY)).toBeUndefined();
    intake.update([{ ...agents[0], backends: ['web/b9'] }], 50);
    expect(send({ sequence: 8 })).toBe('wrong-backend');
    expect(state('b1').accepted).toBe(3);
    expect(state('b2')).toBeUndefined();
    clock.ms += 100;
    expect(send({ agent: 'b2' }, OTHER_KEY)).toBe('unknown-agent');
  });

  it('drops a flood before it looks at it, and hears the others', () => {
    const { intake, journal, accepted, clock, lines } = fixture();
    const garbage = randomBytes(500);
    for (let ms = 0; ms < 2000; ms++) {
      clock.ms = ms;
      for (let i = 0; i < 20; i++) intake.receive(garbage, '10.0.0.66');
      if (ms % 100 === 0) {
        const report = { ...GOOD, sequence: ms + 1, wallClockMs: WALL + ms };
        intake.receive(signReport(report, KEY), '10.0.0.1');
      }
    }
    expect(accepted.length).toBe(20);
    expect(journal.counts.flood).toBeGreaterThan(38_000);
    expect(journal.counts.malformed).toBeLessThanOrEqual(500 * 2 + 250);
    expect(lines.length).toBe(2);
  });

  it('takes any bytes, also spoiled reports, and accepts none', () => {
    const { intake, accepted, journal } = fixture();
    const good = signReport(GOOD, KEY);
    let count = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(good.length - 1), (bytes, at) => {
        const spoiled = Buffer.from(good);
        spoiled[at] ^= 1 + ((bytes[0] ?? 0) % 255);
        for (const datagram of [bytes, spoiled, good.subarray(0, at)]) {
          intake.receive(datagram, `10.1.${count >> 8}.${count++ & 255}`);
        }
      }),
      { numRuns: 400 },
    );
    expect(accepted).toEqual([]);
    expect(Object.values(journal.counts).reduce((a, b) => a + b)).toBe(count);
  });
});
