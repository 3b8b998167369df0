// What control leaves in main memory for its successor: read back as it was, checked, and with room for as many
// backends as a configuration may have.

import { describe, expect, it } from 'vitest';
import { DEFAULT_DISTRIBUTION } from '../distribution/settings.ts';
import { type ServiceMemory, synthesize } from '../distribution/synthesis.ts';
import type { HealthMemory } from '../health/checker.ts';
import type { LoadReport } from '../load/load-report.ts';
import { LOAD_FIGURES } from '../load/report-limits.ts';
import { runtimeBuffer } from '../memory/double-buffer.ts';
import { HEADER_RUNTIME_LENGTH_A, MAX_BACKENDS, RUNTIME_STATE_SIZE } from '../memory/layout.ts';
import { runningMemory } from './control.harness.ts';
import { MemoryText } from './memory-text.ts';
import { OperatorChanges } from './operator-changes.ts';
import { ROW_LENGTH } from './runtime-rows.ts';
import { readRuntimeState, type StateSource, writeRuntimeState } from './runtime-state.ts';

function place(capacity = RUNTIME_STATE_SIZE): MemoryText {
  const memory = runningMemory();
  return new MemoryText(memory, runtimeBuffer(memory), HEADER_RUNTIME_LENGTH_A, capacity);
}

const OPERATOR = new OperatorChanges().withWeight('web/b1', 3, { by: 'ann', atMs: 5 });
const FLAPPING: HealthMemory = {
  ...{ status: 'down', sinceMs: 7.25, flaps: 3, flapLevel: 2 },
  ...{ returnedAtMs: 5, heldUntilMs: 99.5 },
};
const ON_PROBATION: HealthMemory = {
  ...{ status: 'up', sinceMs: 8, flaps: 0, flapLevel: 0, onProbation: true },
};

function reportOf(backend: string, more: Partial<LoadReport> = {}): LoadReport {
  const head = { backend, source: 'agent' as const, identity: 'b1', sequence: 7 };
  return { ...head, receivedAtMs: 1234.5, figures: { cpuUtilization: 0.5 }, ...more };
}

interface Kept {
  readonly names: string[];
  readonly memory?: ServiceMemory;
  readonly reports?: LoadReport[];
  readonly health?: Record<string, HealthMemory>;
}

/** A source with one service, 'web'. */
function source({ names, memory, reports = [], health = {} }: Kept): StateSource {
  const known = new Map(reports.map((report) => [report.backend, report]));
  const backends = names.map((name) => ({ name, key: `web/${name}` }));
  return {
    operator: OPERATOR,
    services: [{ name: 'web', backends }],
    memory: () => memory,
    report: (key) => known.get(key),
    health: (key) => health[key],
  };
}

/** What two synthesises leave of a service: all that a memory can have, slow start included. */
function memoryOf(names: string[], reports: LoadReport[]): ServiceMemory {
  const settings = { ...DEFAULT_DISTRIBUTION, algorithm: 'even-load' as const, blackoutMs: 0 };
  const inputs = (weight: number) =>
    names.map((name, n) => ({
      ...{ name, configuredWeight: weight, isFallback: false, health: 'up' as const },
      ...{ administrative: 'ready' as const, activeConnections: n % 9, begunConnections: n },
      report: reports[n],
    }));
  const { next } = synthesize(settings, inputs(1), undefined, 1300);
  return synthesize(settings, inputs(2), next, 2300).next;
}

describe('the runtime state', () => {
  it('is read as it was written, twice over', () => {
    const text = place();
    const names = ['b1', 'b2', 'b3'];
    const reports = [
      reportOf('web/b1', {
        source: 'agent-check',
        wish: { weightPercent: 50, administrative: 'drain', operational: 'down', reason: 'Käse' },
      }),
      reportOf('web/b3', { figures: {}, wish: { connectionLimit: 9, weight: 0 } }),
    ];
    const memory = memoryOf(names, [reportOf('web/b1')]);
    const health = { 'web/b2': FLAPPING, 'web/b3': ON_PROBATION };
    expect(writeRuntimeState(text, source({ names: ['b1'] }))).toBe(true);
    expect(writeRuntimeState(text, source({ names, memory, reports, health }))).toBe(true);
    const read = readRuntimeState(text.readBytes());
    expect(read.operator.toJSON()).toEqual(OPERATOR.toJSON());
    // All of what a synthesis leaves is read back, so that nothing of it is lost here.
    expect(memory.backends[0].estimate?.slope).toBeDefined();
    expect(memory.backends[0].slowStart).toBeDefined();
    expect(read.master.services).toEqual({ web: memory });
    expect(read.master.reports).toEqual(reports);
    expect(Object.fromEntries(read.health)).toEqual(health);
  });

  it('has every figure of a report', () => {
    const figures = Object.fromEntries(LOAD_FIGURES.map((name, n) => [name, n / 8]));
    const text = place();
    const reports = [reportOf('web/b1', { figures })];
    writeRuntimeState(text, source({ names: ['b1'], reports }));
    expect(readRuntimeState(text.readBytes()).master.reports).toEqual(reports);
  });

  it('nothing is there at first', () => {
    const { operator, master, health } = readRuntimeState(place().readBytes());
    expect([operator.backends, master, health.size]).toEqual([
      [],
      { services: {}, reports: [] },
      0,
    ]);
  });

  it('what is not as it should be counts as nothing, the rest counts', () => {
    const text = place();
    const names = ['b1', 'b2'];
    const reports = names.map((name) => reportOf(`web/${name}`));
    const memory = memoryOf(names, reports);
    const health = { 'web/b1': FLAPPING, 'web/b2': FLAPPING };
    writeRuntimeState(text, source({ names, memory, reports, health }));
    const good = new Uint8Array(text.readBytes() as Uint8Array);
    for (const length of [0, 7, 16, 100, good.length - 1]) {
      const read = readRuntimeState(good.subarray(0, length));
      expect([read.operator.backends, read.master.reports, read.health.size]).toEqual([[], [], 0]);
    }
    const memories = { web: memory };
    for (let at = 0; at < ROW_LENGTH; at++) {
      const broken = new Uint8Array(good);
      new DataView(broken.buffer).setFloat64((2 + at) * 8, Number.NaN, true);
      const read = readRuntimeState(broken);
      expect(read.operator.weight('web/b1')).toBe(3);
      expect(read.master.reports.at(-1)).toEqual(reports[1]);
      expect(read.health.get('web/b2')).toEqual(FLAPPING);
      for (const each of read.master.services.web?.backends ?? []) {
        const kept = Object.values(each).filter((value) => typeof value === 'number');
        expect(kept.every(Number.isFinite)).toBe(true);
      }
      // Ten numbers and whether it takes connections: without one of them there is no memory.
      if (at < 11) expect(read.master.services).toEqual({});
      else expect(Object.keys(read.master.services)).toEqual(Object.keys(memories));
    }
  });

  it('has room for as many backends as a configuration may have, with the longest names', () => {
    const names = Array.from({ length: MAX_BACKENDS }, (_, n) => `${n}`.padEnd(63, 'b'));
    const figures = Object.fromEntries(LOAD_FIGURES.map((name) => [name, 1 / 3]));
    const identity = 'a'.repeat(63);
    const reports = names.map((name) => reportOf(`web/${name}`, { figures, identity }));
    const memory = memoryOf(names, reports);
    const health = Object.fromEntries(names.map((name) => [`web/${name}`, FLAPPING]));
    const text = place();
    expect(writeRuntimeState(text, source({ names, memory, reports, health }))).toBe(true);
    const bytes = text.readBytes() as Uint8Array;
    const mebibytes = (bytes.length / 2 ** 20).toFixed(1);
    console.log(`the runtime state of ${MAX_BACKENDS} backends: ${mebibytes} MiB`);
    const read = readRuntimeState(bytes);
    // Some of them: all would take vitest seconds.
    const { backends } = read.master.services.web;
    for (const n of [0, 1, 9999, MAX_BACKENDS - 1]) {
      expect(backends[n]).toEqual(memory.backends[n]);
      expect(read.master.reports[n]).toEqual(reports[n]);
    }
    const counts = [backends.length, read.master.reports.length, read.health.size];
    expect(counts).toEqual([MAX_BACKENDS, MAX_BACKENDS, MAX_BACKENDS]);
  }, 60_000);

  it('of what has no room the least needed is left out: operators’ changes never', () => {
    const names = ['b1', 'b2'];
    const reports = names.map((name) => reportOf(`web/${name}`, { identity: 'i'.repeat(400) }));
    const health = { 'web/b2': FLAPPING };
    const rows = 8 * (2 + 2 * ROW_LENGTH);
    const kept = place(rows + 500);
    expect(writeRuntimeState(kept, source({ names, reports, health }))).toBe(false);
    const read = readRuntimeState(kept.readBytes());
    expect([read.master.reports, Object.fromEntries(read.health)]).toEqual([[], health]);
    expect(read.operator.weight('web/b1')).toBe(3);

    const small = place(600);
    expect(writeRuntimeState(small, source({ names, reports, health }))).toBe(false);
    const least = readRuntimeState(small.readBytes());
    expect([least.operator.weight('web/b1'), least.health.size]).toEqual([3, 0]);
    expect(() => writeRuntimeState(place(100), source({ names }))).toThrow('too long');
  });
});
