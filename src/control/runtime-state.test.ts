import { describe, expect, it } from 'vitest';
import { DEFAULT_DISTRIBUTION } from '../distribution/settings.ts';
import { synthesize } from '../distribution/synthesis.ts';
import { runtimeBuffer } from '../memory/double-buffer.ts';
import { HEADER_RUNTIME_LENGTH_A, RUNTIME_STATE_SIZE } from '../memory/layout.ts';
import { runningMemory } from './control.harness.ts';
import { MemoryText } from './memory-text.ts';
import { OperatorChanges } from './operator-changes.ts';
import { type RuntimeState, readRuntimeState, writeRuntimeState } from './runtime-state.ts';

function place(capacity = RUNTIME_STATE_SIZE): MemoryText {
  const memory = runningMemory();
  return new MemoryText(memory, runtimeBuffer(memory), HEADER_RUNTIME_LENGTH_A, capacity);
}

const OPERATOR = new OperatorChanges().withWeight('web/b1', 3, { by: 'ann', atMs: 5 });

const STATE: RuntimeState = {
  operator: OPERATOR,
  master: {
    services: {},
    reports: [
      {
        backend: 'web/b1',
        source: 'agent',
        identity: 'b1',
        sequence: 7,
        receivedAtMs: 1234.5,
        figures: { cpuUtilization: 0.5 },
      },
    ],
  },
  health: { 'web/b2': 'down' },
};

describe('the runtime state', () => {
  it('is read as it was written, twice over', () => {
    const text = place();
    expect(writeRuntimeState(text, { ...STATE, health: {} })).toBe(true);
    expect(writeRuntimeState(text, STATE)).toBe(true);
    const read = readRuntimeState(text.read());
    expect(read.operator.toJSON()).toEqual(OPERATOR.toJSON());
    expect(read.master).toEqual(STATE.master);
    expect(read.health).toEqual({ 'web/b2': 'down' });
  });

  it('nothing is there at first', () => {
    const { operator, master, health } = readRuntimeState(place().read());
    expect([operator.backends, master, health]).toEqual([[], { services: {}, reports: [] }, {}]);
  });

  it('what is not as it should be counts as nothing, the rest counts', () => {
    for (const text of ['', '{', '[]', 'null', '7', '{"operator":7,"master":[],"health":"x"}']) {
      const { operator, master, health } = readRuntimeState(text);
      expect([operator.backends, master.reports, health]).toEqual([[], [], {}]);
    }
    const operator = OPERATOR.toJSON();
    const mixed = readRuntimeState(JSON.stringify({ operator, master: 7, health: { a: 'sick' } }));
    expect(mixed.operator.weight('web/b1')).toBe(3);
    expect(mixed.health).toEqual({});
  });

  it('a memory with a number that is none is no memory', () => {
    const settings = { ...DEFAULT_DISTRIBUTION, algorithm: 'even-load' as const, blackoutMs: 0 };
    const backend = {
      name: 'b1',
      configuredWeight: 1,
      isFallback: false,
      health: 'up' as const,
      administrative: 'ready' as const,
      activeConnections: 1,
      begunConnections: 1,
      report: STATE.master.reports[0],
    };
    const { next } = synthesize(settings, [backend], undefined, 1300);
    const again = synthesize(settings, [backend], next, 2300).next;
    const read = (service: unknown) =>
      readRuntimeState(JSON.stringify({ master: { services: { web: service }, reports: [] } }))
        .master.services;
    // All of what a synthesis leaves is read back, so that nothing of it is lost here.
    expect(again.backends[0].estimate?.slope).toBeDefined();
    expect(read(again)).toEqual({ web: again });
    for (const key of Object.keys(again.backends[0])) {
      if (key === 'slowStart' || key === 'report' || key === 'estimate') continue;
      const broken = { ...again.backends[0], [key]: Number.NaN };
      expect(read({ ...again, backends: [broken] }), key).toEqual({});
    }
  });

  it('of what has no room the least needed is left out: operators’ changes never', () => {
    const health = { 'web/b2': 'down' as const };
    const many = Array.from({ length: 9 }, (_, n) => ({ ...STATE.master.reports[0], sequence: n }));
    const state = { ...STATE, master: { services: {}, reports: many }, health };
    const kept = place(600);
    expect(writeRuntimeState(kept, state)).toBe(false);
    const read = readRuntimeState(kept.read());
    expect([read.master.reports, read.health]).toEqual([[], health]);
    expect(read.operator.weight('web/b1')).toBe(3);
  });

  it('operators’ changes have room when not everything has', () => {
    const text = place(600);
    const health = Object.fromEntries(
      Array.from({ length: 100 }, (_, n) => [`web/b${n}`, 'up' as const]),
    );
    expect(writeRuntimeState(text, { ...STATE, health })).toBe(false);
    const read = readRuntimeState(text.read());
    expect(read.operator.weight('web/b1')).toBe(3);
    expect(read.health).toEqual({});
  });
});
