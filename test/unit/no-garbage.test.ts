// A warm switching processor leaves no garbage and its code stays as it was compiled: a million packets,
// for every reason that one packet can meet, through interfaces made of memory, in a process of its own
// (test/support/garbage-meter.ts). Real interfaces: test/scenario/no-garbage.test.ts.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { REASONS } from '../../src/memory/reasons.ts';
import { builtModule } from '../support/built-module.ts';

const PACKETS = 1_000_000;
/** The meter's own readings, some 10 kB. One number object in each turn would be 250 kB. */
const BYTES_MAX = 64 * 1024;

/** Reasons that the mix does not reach in any kind, each with why. */
const UNREACHED: Readonly<Record<string, string>> = {
  'tuple-in-use': 'needs a port that another service has taken for the same server',
  'insert-race': 'needs two processes at the same instant',
  'app-failed': 'needs an application that throws, and an exception is garbage',
  'lane-full': 'needs a processor that stands still for longer than its frames last',
};

interface Measured {
  readonly packets: number;
  readonly collections: number;
  readonly bytes: number;
  readonly deoptimisations: string[];
  readonly handedOver: number;
  readonly expired: number;
  readonly evicted: number;
  readonly reasons: Readonly<Record<string, number>>;
}

function measure(kind: string): Measured {
  const folder = mkdtempSync(join(tmpdir(), 'weir-garbage-'));
  const trace = join(folder, 'deoptimisations');
  try {
    const program = fileURLToPath(builtModule('test/support/garbage-meter.ts'));
    const flags = ['--trace-deopt', '--redirect-code-traces', `--redirect-code-traces-to=${trace}`];
    const args = [...flags, program, kind, String(PACKETS), trace];
    const { stdout, stderr, status } = spawnSync(execPath, args, { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    // V8 writes pieces of what it traces to the standard output all the same.
    const line = stdout.split('\n').find((each) => each.startsWith('{'));
    return JSON.parse(line ?? '') as Measured;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** 'poll: wrong map': the function and why its code was thrown away. */
function inWords(line: string): string {
  const [, reason] = /reason: ([^)]*)\)/.exec(line) ?? [];
  const [, name] = /<JSFunction (\S+)/.exec(line) ?? [];
  return `${name}: ${reason}`;
}

/** A branch that was taken for the first time after its function had been made fast: costs once. */
const FIRST_MEETING = 'Insufficient type feedback';
/** On a busy machine an application may overrun its time, which nothing here makes it do otherwise. */
const FIRST_MEETINGS_MAX = 1;

describe('a million packets through a warm processor', () => {
  const reached = new Set<string>();

  it.each(['loopback', 'lanes', 'pcap', 'applications'])(
    '%s: no garbage, and no code thrown away',
    (kind) => {
      const measured = measure(kind);
      for (const [name, count] of Object.entries(measured.reasons)) {
        if (count > 0) reached.add(name);
      }
      expect(measured.packets).toBeGreaterThanOrEqual(PACKETS);
      const thrownAway = measured.deoptimisations.map(inWords);
      const met = thrownAway.filter((each) => each.includes(FIRST_MEETING));
      expect(thrownAway.filter((each) => !met.includes(each))).toEqual([]);
      expect(met.length, met.join()).toBeLessThanOrEqual(FIRST_MEETINGS_MAX);
      expect(measured.collections).toBe(0);
      expect(measured.bytes).toBeLessThan(BYTES_MAX);
      // Housekeeping had its share.
      expect(measured.expired).toBeGreaterThan(1000);
      expect(measured.evicted).toBeGreaterThan(1000);
      if (kind === 'lanes') expect(measured.handedOver).toBeGreaterThan(PACKETS / 10);
    },
  );

  it('met every reason that one packet can meet', () => {
    const missed: string[] = REASONS.map(([name]) => name).filter((name) => !reached.has(name));
    expect(missed.sort()).toEqual(Object.keys(UNREACHED).sort());
  });

  it('would be seen to leave garbage and to lose code', () => {
    const { collections, bytes, deoptimisations } = measure('wasteful');
    expect(collections).toBeGreaterThan(0);
    expect(bytes).toBeGreaterThan(BYTES_MAX);
    // In `waste`, or in its caller where V8 has made one of the two.
    expect(deoptimisations.map(inWords).join()).toContain(': wrong map');
  });
});
