// What operators change at run time and the file does not say: weights set by hand, and drains. They
// outlast reloads (the file says what is normal, an operator's change is the exception of today), and
// they are listed everywhere as what they are. The control processor keeps their JSON in main memory, so
// that they outlast its death too; they end with weir.
// Invariants: immutable: every change gives a new object. What is read back is checked entry by entry,
// and an entry that is not as it should be is left out. At most MAX_OPERATOR_CHANGES backends.

import { z } from 'zod';
import { WeirError } from '../base/errors.ts';
import { DRAIN_ENDS, type DrainEnd, type RuntimeChange } from './backend-view.ts';
import { type DrainCounts, type DrainOrder, type DrainProgress, stepDrain } from './drain.ts';

/** Backends that can have changes at once: bounds the JSON, about 1 KiB each at most. */
export const MAX_OPERATOR_CHANGES = 512;
/** Longest name of an operator. */
export const MAX_OPERATOR_NAME = 64;
export const MAX_WEIGHT = 65_535;

/** Who changes something, and when. */
export interface Operation {
  readonly by: string;
  /** Unix milliseconds. */
  readonly atMs: number;
}

export interface WeightChange extends Operation {
  readonly weight: number;
}

export interface DrainChange {
  readonly order: DrainOrder;
  /** undefined until the first step. */
  readonly progress?: DrainProgress;
}

interface BackendChanges {
  readonly weight?: WeightChange;
  readonly drain?: DrainChange;
}

export interface DrainRequest {
  /** From now on; null: no deadline. */
  readonly deadlineMs: number | null;
  readonly atDeadline: DrainEnd;
}

const by = z.string().max(MAX_OPERATOR_NAME);
// Dates end at 8.64e15 (ECMA-262 §21.4.1.1), and a deadline is the sum of two times.
const time = z.number().min(0).max(4e15);
const number = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

const WEIGHT = z.object({ weight: z.int().min(0).max(MAX_WEIGHT), by, atMs: time });

const COUNTS = z.object({
  tcp: z.number(),
  udp: z.number(),
  begun: number,
  takesNewConnections: z.boolean(),
});

const PROGRESS = z.object({
  atStart: number,
  begunAtStart: number,
  counts: COUNTS,
  drainedMs: time.nullable(),
  samples: z.array(z.object({ atMs: time, gone: number })).max(64),
});

const DRAIN = z.object({
  order: z.object({
    atMs: time,
    startedMs: time,
    deadlineMs: time.nullable(),
    atDeadline: z.enum(DRAIN_ENDS),
    by,
  }),
  progress: PROGRESS.optional().catch(undefined),
});

const ENTRY = z.object({
  backend: z.string().regex(/^[^/]{1,63}\/[^/]{1,63}$/),
  weight: WEIGHT.optional().catch(undefined),
  drain: DRAIN.optional().catch(undefined),
});
const FILE = z.object({ changes: z.array(z.unknown()) });

export interface OperatorChangesJson {
  readonly changes: readonly ({ readonly backend: string } & BackendChanges)[];
}

/** Backends are named by key, 'service/backend'. */
export class OperatorChanges {
  private readonly entries: ReadonlyMap<string, BackendChanges>;

  constructor(entries: ReadonlyMap<string, BackendChanges> = new Map()) {
    this.entries = entries;
  }

  /** What `toJSON` gave once, whatever has become of it. Never fails. */
  static fromJSON(value: unknown): OperatorChanges {
    const file = FILE.safeParse(value);
    const entries = new Map<string, BackendChanges>();
    for (const raw of file.success ? file.data.changes : []) {
      const entry = ENTRY.safeParse(raw);
      if (!entry.success || entries.size >= MAX_OPERATOR_CHANGES) continue;
      const { backend, weight, drain } = entry.data;
      if (weight !== undefined || drain !== undefined) entries.set(backend, { weight, drain });
    }
    return new OperatorChanges(entries);
  }

  /** Plain JSON, without what can be measured anew: the samples of a drain's rate. */
  toJSON(): OperatorChangesJson {
    const changes = [...this.entries].map(([backend, { weight, drain }]) => ({
      backend,
      ...(weight === undefined ? {} : { weight }),
      ...(drain === undefined ? {} : { drain: withoutSamples(drain) }),
    }));
    return { changes };
  }

  /** Keys of the backends that have changes. */
  get backends(): readonly string[] {
    return [...this.entries.keys()];
  }

  /** The weight set for a backend; undefined: none. */
  weight(backend: string): number | undefined {
    return this.entries.get(backend)?.weight?.weight;
  }

  drain(backend: string): DrainChange | undefined {
    return this.entries.get(backend)?.drain;
  }

  /** @throws WeirError ERR_TABLE_FULL when there are MAX_OPERATOR_CHANGES already */
  withWeight(backend: string, weight: number, { by, atMs }: Operation): OperatorChanges {
    return this.with(backend, { ...this.entries.get(backend), weight: { weight, by, atMs } });
  }

  /** Back to the configured weight. */
  withoutWeight(backend: string): OperatorChanges {
    return this.with(backend, { ...this.entries.get(backend), weight: undefined });
  }

  /**
   * Begins a drain, or gives one that is under way another deadline and end.
   * @param monotonicMs of CLOCK_MONOTONIC, not wrapped
   * @throws WeirError ERR_TABLE_FULL
   */
  withDrain(
    backend: string,
    request: DrainRequest,
    { by, atMs }: Operation,
    monotonicMs: number,
  ): OperatorChanges {
    const before = this.drain(backend);
    const order: DrainOrder = {
      atMs: before?.order.atMs ?? atMs,
      startedMs: before?.order.startedMs ?? monotonicMs,
      deadlineMs: request.deadlineMs === null ? null : monotonicMs + request.deadlineMs,
      atDeadline: request.atDeadline,
      by,
    };
    const drain = { ...before, order };
    return this.with(backend, { ...this.entries.get(backend), drain });
  }

  /** The drain of a backend one step on, see stepDrain; the same object where there is none. */
  withDrainStep(backend: string, counts: DrainCounts, monotonicMs: number): OperatorChanges {
    const drain = this.drain(backend);
    if (drain === undefined) return this;
    const progress = stepDrain(drain.order, drain.progress, counts, monotonicMs);
    const changed = { order: drain.order, progress };
    return this.with(backend, { ...this.entries.get(backend), drain: changed });
  }

  /** Takes a drain back. */
  withoutDrain(backend: string): OperatorChanges {
    return this.with(backend, { ...this.entries.get(backend), drain: undefined });
  }

  /** With the changes of one backend as `other` has them: to take back one that could not be made. */
  withThoseOf(backend: string, other: OperatorChanges): OperatorChanges {
    return this.with(backend, other.entries.get(backend) ?? {});
  }

  /**
   * Drops the changes of backends that are not configured any more. Not done by itself: a backend that
   * a faulty file has lost for a moment comes back drained, as it was.
   */
  withOnly(isConfigured: (backend: string) => boolean): OperatorChanges {
    const kept = [...this.entries].filter(([backend]) => isConfigured(backend));
    return kept.length === this.entries.size ? this : new OperatorChanges(new Map(kept));
  }

  /**
   * All changes, for `weir backends`, sorted by backend.
   * @param configuredWeight of a backend by the running configuration; undefined: it has no such backend
   */
  list(configuredWeight: (backend: string) => number | undefined): RuntimeChange[] {
    return [...this.entries]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([key, { weight, drain }]) => {
        const configured = configuredWeight(key);
        const [service, backend] = key.split('/');
        const common = { service, backend, isConfigured: configured !== undefined };
        const changes: RuntimeChange[] = [];
        if (weight !== undefined) {
          const file = configured === undefined ? '' : `, the file says ${configured}`;
          const text = `weight ${weight.weight}${file}`;
          const at = new Date(weight.atMs).toISOString();
          const change = { ...common, kind: 'weight' as const, text, by: weight.by, at };
          changes.push({ ...change, weight: weight.weight });
        }
        if (drain !== undefined) {
          const at = new Date(drain.order.atMs).toISOString();
          const text = drainChangeText(drain.order);
          changes.push({ ...common, kind: 'drain', text, weight: null, by: drain.order.by, at });
        }
        return changes;
      });
  }

  private with(backend: string, { weight, drain }: BackendChanges): OperatorChanges {
    const entries = new Map(this.entries);
    if (weight === undefined && drain === undefined) entries.delete(backend);
    else entries.set(backend, { weight, drain });
    if (entries.size > MAX_OPERATOR_CHANGES) {
      throw new WeirError(
        'ERR_TABLE_FULL',
        `${MAX_OPERATOR_CHANGES} backends have changes of operators already`,
        'what is to last belongs into the file: write it there, reload, and take the change back',
      );
    }
    return new OperatorChanges(entries);
  }
}

function withoutSamples({ order, progress }: DrainChange): DrainChange {
  if (progress === undefined) return { order };
  const { tcp, udp, begun, takesNewConnections } = progress.counts;
  const counts = { tcp, udp, begun, takesNewConnections };
  return { order, progress: { ...progress, counts, samples: [] } };
}

function drainChangeText({ deadlineMs, startedMs, atMs, atDeadline }: DrainOrder): string {
  if (deadlineMs === null) return 'drain, without a deadline';
  const deadline = new Date(atMs + Math.round(deadlineMs - startedMs)).toISOString();
  return `drain until ${deadline.replace(/\.\d+Z$/, 'Z')}, then ${atDeadline}`;
}

/** What a reload says of the changes that it has not touched, a line each. */
export function remainingChanges(changes: readonly RuntimeChange[]): string[] {
  return changes.map(({ service, backend, text, by, isConfigured }) => {
    const where = isConfigured ? '' : ' (not configured now)';
    return `${service}/${backend}: ${text}: changed at run time by ${by}, remains${where}`;
  });
}
