// The parts that bound what strangers can make the resource manager do: token buckets, the flood
// gate, the log, and what is said about rejections.

import { describe, expect, it } from 'vitest';
import { rejection } from '../load/rejections.ts';
import { BoundedLog, LINES_AT_ONCE } from './bounded-log.ts';
import { FloodGate } from './flood-gate.ts';
import { pauseMs } from './poll-loop.ts';
import { QUIET_MS, RejectionJournal, STRANGERS } from './rejection-journal.ts';
import { TokenBucket } from './token-bucket.ts';

function memoryLog() {
  const lines: string[] = [];
  return {
    lines,
    info: (line: string) => void lines.push(`info ${line}`),
    warning: (line: string) => void lines.push(`warning ${line}`),
  };
}

describe('TokenBucket', () => {
  it('allows a burst, then the rate, and no more after a long pause', () => {
    const bucket = new TokenBucket(10, 5, 0);
    const taken = (nowMs: number) => {
      let count = 0;
      while (bucket.take(nowMs)) count++;
      return count;
    };
    expect(taken(0)).toBe(5);
    expect(taken(100)).toBe(1);
    expect(taken(350)).toBe(2);
    expect(taken(1_000_000)).toBe(5);
  });

  it('gives nothing for a clock that goes back', () => {
    const bucket = new TokenBucket(10, 1, 1000);
    expect(bucket.take(1000)).toBe(true);
    expect(bucket.take(0)).toBe(false);
    expect(bucket.take(1050)).toBe(false);
    expect(bucket.take(1101)).toBe(true);
  });
});

describe('FloodGate', () => {
  it('leaves room for others when one address floods', () => {
    const gate = new FloodGate(20, 0);
    let flood = 0;
    let honest = 0;
    for (let ms = 0; ms < 10_000; ms++) {
      for (let i = 0; i < 10; i++) if (gate.pass('10.0.0.66', ms)) flood++;
      if (ms % 50 === 0 && gate.pass('10.0.0.1', ms)) honest++;
    }
    expect(honest).toBe(200);
    expect(flood).toBeLessThanOrEqual(500 * 10 + 250);
    expect(flood).toBeGreaterThan(4500);
  });

  it('lets through no more than the budget of all from a million addresses, in bounded memory', () => {
    const gate = new FloodGate(20, 0);
    let passed = 0;
    for (let i = 0; i < 1_000_000; i++) {
      if (gate.pass(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, i / 1000)) passed++;
    }
    expect(passed).toBeLessThanOrEqual(1000 + 500);
    expect((gate as unknown as { byAddress: Map<string, unknown> }).byAddress.size).toBe(1024);
  });

  it('grows with the number of agents', () => {
    const gate = new FloodGate(100 * 20, 0);
    let passed = 0;
    for (let ms = 0; ms < 1000; ms++) {
      for (let i = 0; i < 2; i++) if (gate.pass(`10.0.0.${i}`, ms)) passed++;
    }
    expect(passed).toBe(2000);
  });
});

describe('BoundedLog', () => {
  it('writes a bounded number of lines, and tells how many it left out', () => {
    const log = memoryLog();
    let nowMs = 0;
    const bounded = new BoundedLog(log, () => nowMs);
    for (let i = 0; i < 10_000; i++) bounded.warning(`line ${i}`);
    expect(log.lines.length).toBe(LINES_AT_ONCE);
    nowMs = 10_000;
    bounded.info('next');
    bounded.info('too much');
    expect(log.lines.slice(LINES_AT_ONCE)).toEqual([
      `info next (${10_000 - LINES_AT_ONCE} lines before this were left out)`,
    ]);
  });
});

describe('RejectionJournal', () => {
  function journal() {
    const log = memoryLog();
    const clock = { ms: 0 };
    return { log, clock, journal: new RejectionJournal(log, () => clock.ms) };
  }

  it('says each reason of each agent once, until it has been well', () => {
    const { log, clock, journal: it } = journal();
    for (let i = 0; i < 100; i++) it.rejected('agent b1', rejection('wrong-key', 'no key fits'));
    it.rejected('agent b1', rejection('negative', 'clients is -1'));
    it.rejected('agent b2', rejection('wrong-key', 'no key fits'));
    expect(log.lines).toEqual([
      'warning a report of agent b1 is rejected: wrong-key: no key fits',
      'warning a report of agent b1 is rejected: negative: clients is -1',
      'warning a report of agent b2 is rejected: wrong-key: no key fits',
    ]);
    expect(it.counts['wrong-key']).toBe(101);
    expect(it.counts.negative).toBe(1);

    // An accepted report in between does not make it well: somebody else sends the bad ones.
    log.lines.length = 0;
    it.accepted('agent b1');
    it.rejected('agent b1', rejection('wrong-key', 'no key fits'));
    clock.ms = QUIET_MS + 1;
    it.accepted('agent b1');
    expect(log.lines).toEqual([
      'info reports of agent b1 are again accepted; before: wrong-key 101×, negative 1×',
    ]);
    it.accepted('agent b1');
    expect(log.lines.length).toBe(1);
    it.rejected('agent b1', rejection('wrong-key', 'no key fits'));
    expect(log.lines.length).toBe(2);
  });

  it('says little of strangers, however many names they have', () => {
    const { log, clock, journal: it } = journal();
    for (let i = 0; i < 10_000; i++) {
      it.rejected(STRANGERS, rejection('unknown-agent', `'name-${i}'`));
      clock.ms += 100;
    }
    expect(log.lines).toEqual([
      "warning a report of no known agent is rejected: unknown-agent: 'name-0'",
    ]);
    clock.ms += 700_000;
    it.rejected(STRANGERS, rejection('unknown-agent', "'later'"));
    expect(log.lines.length).toBe(2);
  });

  it('forgets who is not configured any more', () => {
    const { log, journal: it } = journal();
    it.rejected('agent b1', rejection('negative', '-1'));
    it.keepOnly(new Set(['agent b2']));
    it.rejected('agent b1', rejection('negative', '-1'));
    expect(log.lines.length).toBe(2);
  });
});

describe('pauseMs', () => {
  it('doubles with each failure, up to eight intervals or thirty seconds', () => {
    const pauses = [0, 1, 2, 3, 4, 100].map((failures) => pauseMs(1000, failures, 0.5));
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 8000, 8000]);
    expect(pauseMs(10_000, 5, 0.5)).toBe(30_000);
    expect(pauseMs(60_000, 5, 0.5)).toBe(60_000);
  });

  it('differs by a tenth to both sides', () => {
    expect(pauseMs(1000, 0, 0)).toBeCloseTo(900);
    expect(pauseMs(1000, 0, 1)).toBeCloseTo(1100);
  });
});
