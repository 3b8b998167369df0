// What control knows beside the configuration and must not forget when it is killed: operators' changes, the
// master's memory, which backends were down and for how long they are held. It stands in main memory
// (memory-text.ts); the next control processor goes on from there, so that a drained backend stays drained, no
// weight jumps, and who flaps is not tried at once.
//
//   float64  0 number of rows   1 bytes of the JSON   then the rows (runtime-rows.ts), then the JSON: operators'
//   changes, services with the names of their backends, and what reports say in words, each with its row
//
// Invariant: what is read back is checked; what is not as it should be counts as nothing. There is room for as many
// backends as a configuration may have; should words of servers be too long for it, reports are left out, and
// then all but operators' changes, never those.

import { z } from 'zod';
import type { BackendMemory, ServiceMemory } from '../distribution/service-distribution.ts';
import type { HealthMemory } from '../health/checker.ts';
import type { LoadReport } from '../load/load-report.ts';
import type { MasterMemory } from './master.ts';
import type { MemoryText } from './memory-text.ts';
import { OperatorChanges } from './operator-changes.ts';
import { ROW_LENGTH, readHealth, readMemory, readReport, writeRow } from './runtime-rows.ts';

/** What a predecessor left. */
export interface RuntimeState {
  readonly operator: OperatorChanges;
  readonly master: MasterMemory;
  /** By key, of those that are checked; who is left out was not known yet. */
  readonly health: ReadonlyMap<string, HealthMemory>;
}

/** Where what is to be kept is asked for, backend by backend. */
export interface StateSource {
  readonly operator: OperatorChanges;
  readonly services: readonly {
    readonly name: string;
    readonly backends: readonly { readonly name: string; readonly key: string }[];
  }[];
  memory(service: string): ServiceMemory | undefined;
  report(key: string): LoadReport | undefined;
  health(key: string): HealthMemory | undefined;
}

const HEADER_LENGTH = 2;

const name = z.string();
const SERVICE = z.object({
  name,
  atMs: z.number().optional(),
  begunPerSecond: z.number().optional(),
  backends: z.array(name),
});
const WORDS = z.tuple([z.int().min(0), z.string(), z.string().optional()]);
const STATE = z.object({
  operator: z.unknown().optional(),
  services: z.array(SERVICE).catch([]),
  said: z.array(WORDS).catch([]),
});

/** What a predecessor left, or nothing. */
export function readRuntimeState(bytes: Uint8Array | undefined): RuntimeState {
  const { rows, json } = parts(bytes ?? new Uint8Array());
  const parsed = STATE.safeParse(json);
  const { operator, services, said } = parsed.success
    ? parsed.data
    : { operator: undefined, services: [], said: [] };
  const state = {
    operator: OperatorChanges.fromJSON(operator),
    master: { services: {} as Record<string, ServiceMemory>, reports: [] as LoadReport[] },
    health: new Map<string, HealthMemory>(),
  };
  const words = new Map(said.map(([row, identity, reason]) => [row, { identity, reason }]));
  let number = 0;
  for (const { name: service, atMs, begunPerSecond, backends } of services) {
    const memories: BackendMemory[] = [];
    for (const backend of backends) {
      const row = rows.subarray(number * ROW_LENGTH, (number + 1) * ROW_LENGTH);
      const key = `${service}/${backend}`;
      const memory = readMemory(row, backend);
      const report = withWords(row, key, words.get(number));
      const health = readHealth(row);
      if (memory !== undefined) memories.push(memory);
      if (report !== undefined) state.master.reports.push(report);
      if (health !== undefined) state.health.set(key, health);
      number++;
    }
    if (atMs === undefined || begunPerSecond === undefined) continue;
    // Who were missing would be taken for newcomers beside the others.
    if (memories.length < backends.length) continue;
    state.master.services[service] = { atMs, begunPerSecond, backends: memories };
  }
  return state;
}

/** The rows and the JSON; nothing of either where the bytes are not as they should be. */
function parts(bytes: Uint8Array): { rows: Float64Array; json: unknown } {
  // A copy: aligned, and in nobody's hands but ours.
  const copy = new Uint8Array(bytes);
  const numbers = new Float64Array(copy.buffer, 0, copy.length >> 3);
  const [rowCount = 0, jsonBytes = 0] = numbers;
  const end = HEADER_LENGTH + rowCount * ROW_LENGTH;
  const isWhole = Number.isInteger(end) && end * 8 + jsonBytes === copy.length;
  if (!isWhole) return { rows: new Float64Array(), json: {} };
  try {
    const json: unknown = JSON.parse(Buffer.from(copy.buffer, end * 8).toString('utf8'));
    return { rows: numbers.subarray(HEADER_LENGTH, end), json };
  } catch {
    return { rows: new Float64Array(), json: {} };
  }
}

function withWords(
  row: Float64Array,
  key: string,
  words: { identity: string; reason?: string | undefined } | undefined,
): LoadReport | undefined {
  if (words === undefined) return undefined;
  const report = readReport(row, key, words.identity);
  if (report?.wish === undefined || words.reason === undefined) return report;
  return { ...report, wish: { ...report.wish, reason: words.reason } };
}

/** Keeps a state in main memory. @returns whether all of it had room */
export function writeRuntimeState(place: MemoryText, source: StateSource): boolean {
  if (write(place, source)) return true;
  if (write(place, { ...source, report: () => undefined })) return false;
  if (write(place, { ...source, services: [] })) return false;
  throw new RangeError('operators’ changes are too long for main memory');
}

/** @returns whether it had room; if not nothing has changed */
function write(place: MemoryText, source: StateSource): boolean {
  const rowCount = source.services.reduce((sum, { backends }) => sum + backends.length, 0);
  const end = HEADER_LENGTH + rowCount * ROW_LENGTH;
  const standby = place.standby();
  if (end * 8 > standby.length) return false;
  const numbers = new Float64Array(standby.buffer, standby.byteOffset, standby.length >> 3);
  const said: [row: number, identity: string, reason?: string][] = [];
  let number = 0;
  const services = source.services.map((service) => {
    const memory = source.memory(service.name);
    service.backends.forEach(({ name, key }, n) => {
      const report = source.report(key);
      const row = { memory: memoryOf(memory, n, name), report, health: source.health(key) };
      writeRow(numbers, HEADER_LENGTH + number * ROW_LENGTH, row);
      const reason = report?.wish?.reason;
      if (report !== undefined) {
        said.push(
          reason === undefined ? [number, report.identity] : [number, report.identity, reason],
        );
      }
      number++;
    });
    const backends = service.backends.map(({ name }) => name);
    const { atMs, begunPerSecond } = memory ?? {};
    return { name: service.name, atMs, begunPerSecond, backends };
  });
  const json = Buffer.from(JSON.stringify({ operator: source.operator, services, said }), 'utf8');
  if (end * 8 + json.length > standby.length) return false;
  standby.set(json, end * 8);
  numbers[0] = rowCount;
  numbers[1] = json.length;
  place.publish(end * 8 + json.length);
  return true;
}

/** Nearly always at its own place. */
function memoryOf(memory: ServiceMemory | undefined, n: number, name: string) {
  const here = memory?.backends[n];
  return here?.name === name ? here : memory?.backends.find((each) => each.name === name);
}
