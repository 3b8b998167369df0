// What control knows beside the configuration and must not forget when it is killed: operators' changes, the
// master's memory, which backends were down. Its JSON stands in main memory (memory-text.ts); the next
// control processor goes on from there, so that a drained backend stays drained and no weight jumps.
//
// Invariant: what is read back is checked; what is not as it should be counts as nothing. When it is too
// long for its place, the master's memory is left out, and then the health, but never operators' changes.

import { z } from 'zod';
import type { BackendMemory, LoadEstimate } from '../distribution/service-distribution.ts';
import { LOAD_SOURCES } from '../load/load-report.ts';
import type { MasterMemory } from './master.ts';
import type { MemoryText } from './memory-text.ts';
import { OperatorChanges } from './operator-changes.ts';

export interface RuntimeState {
  readonly operator: OperatorChanges;
  readonly master: MasterMemory;
  /** By key, of those that are checked; who is left out was not known yet. */
  readonly health: Readonly<Record<string, 'up' | 'down'>>;
}

// A number that is none would go through every mean to all weights of the service, so each is checked.
const n = z.number();

// And none is left out here: what is not named would be forgotten.
type Shape<Of> = Record<keyof Of, z.ZodType>;

const ESTIMATE = {
  carried: n,
  utilization: n.optional(),
  slope: n.optional(),
  last: z.object({ utilization: n, carried: n }).optional(),
  noise: n.optional(),
  rate: n.optional(),
  timeMs: n.optional(),
} satisfies Shape<LoadEstimate>;

const BACKEND_MEMORY = {
  name: z.string(),
  weight: n,
  connectionLimit: n,
  exactWeight: n,
  baseWeight: n,
  isTaking: z.boolean(),
  takingMs: n,
  feedback: n,
  wish: n,
  slowStart: z.object({ fromWeight: n, elapsedMs: n }).optional(),
  begunConnections: n,
  begunStock: n,
  weightStock: n,
  report: z.object({ sequence: n, receivedAtMs: n }).optional(),
  estimate: z.object(ESTIMATE).optional(),
} satisfies Shape<BackendMemory>;

const SERVICE_MEMORY = z.object({
  atMs: n,
  begunPerSecond: n,
  backends: z.array(z.object(BACKEND_MEMORY)),
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
  operator: z.unknown().optional(),
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

/** Shorter the memory of a backend is not: more of them than this allows need not be written to see it. */
const LEAST_BACKEND_BYTES = 150;

/** Keeps a state in main memory. @returns whether all of it had room */
export function writeRuntimeState(place: MemoryText, state: RuntimeState): boolean {
  const operator = state.operator.toJSON();
  const { master, health } = state;
  const services = Object.values(master.services);
  const backends = services.reduce((sum, service) => sum + service.backends.length, 0);
  const versions = [{ operator, master, health }, { operator, health }, { operator }];
  for (const version of versions) {
    if (version.master && backends * LEAST_BACKEND_BYTES > place.capacity) continue;
    const bytes = Buffer.from(JSON.stringify(version), 'utf8');
    if (bytes.length > place.capacity) continue;
    place.write(bytes);
    place.publish();
    return version.master !== undefined;
  }
  throw new RangeError('operators’ changes are too long for main memory');
}
