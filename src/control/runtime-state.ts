// What control knows beside the configuration and must not forget when it is killed: operators' changes, the
// master's memory, which backends were down. Its JSON stands in main memory (memory-text.ts); the next
// control processor goes on from there, so that a drained backend stays drained and no weight jumps.
//
// Invariant: what is read back is checked; what is not as it should be counts as nothing. When it is too
// long for its place the operators' changes alone are kept.

import { z } from 'zod';
import { LOAD_SOURCES } from '../load/load-report.ts';
import type { MasterMemory } from './master.ts';
import type { MemoryText } from './memory-text.ts';
import { OperatorChanges } from './operator-changes.ts';

export interface RuntimeState {
  readonly operator: OperatorChanges;
  readonly master: MasterMemory;
  /** Backends that were down, or not yet known to be up, by key. */
  readonly health: Readonly<Record<string, 'up' | 'down'>>;
}

const SERVICE_MEMORY = z.looseObject({
  atMs: z.number(),
  backends: z.array(z.looseObject({ name: z.string() })),
});

const REPORT = z.looseObject({
  backend: z.string(),
  source: z.enum(LOAD_SOURCES),
  identity: z.string(),
  sequence: z.number(),
  receivedAtMs: z.number(),
  figures: z.record(z.string(), z.number()),
});

const NO_MEMORY = { services: {}, reports: [] };

const STATE = z.object({
  operator: z.unknown(),
  master: z
    .object({
      services: z.record(z.string(), SERVICE_MEMORY).catch({}),
      reports: z.array(REPORT).catch([]),
    })
    .catch(NO_MEMORY),
  health: z.record(z.string(), z.enum(['up', 'down'])).catch({}),
});

/** What a predecessor left, or nothing. */
export function readRuntimeState(text: string | undefined): RuntimeState {
  let value: unknown;
  try {
    value = JSON.parse(text ?? '{}');
  } catch {
    value = {};
  }
  const parsed = STATE.safeParse(value);
  const { operator, master, health } = parsed.success
    ? parsed.data
    : { operator: undefined, master: NO_MEMORY, health: {} };
  return {
    operator: OperatorChanges.fromJSON(operator),
    master: master as unknown as MasterMemory,
    health,
  };
}

/** Keeps a state in main memory. @returns whether all of it had room */
export function writeRuntimeState(place: MemoryText, state: RuntimeState): boolean {
  const operator = state.operator.toJSON();
  let bytes = Buffer.from(JSON.stringify({ ...state, operator }), 'utf8');
  const fits = bytes.length <= place.capacity;
  if (!fits) bytes = Buffer.from(JSON.stringify({ operator }), 'utf8');
  place.write(bytes);
  place.publish();
  return fits;
}
