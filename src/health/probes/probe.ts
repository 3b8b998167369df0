// What a probe is: one question to one server. Each type has its own file beside this one; the monitor
// (../monitor.ts) starts it, keeps the time and takes the result.
// Invariant, kept by every probe: `finish` is called once at most, never after `cancel`, and by then
// (or when `cancel` returns) its sockets are destroyed and its processes are killed. Whatever a server
// sends, a probe never throws after it has started and never keeps more than a bounded part of it.

import type { HealthTarget } from '../health-state.ts';
import { errorText, isLocalLack } from '../words.ts';

export interface ProbeResult {
  readonly ok: boolean;
  /** What was found, in plain words. */
  readonly detail: string;
  /** This machine lacked something: it says nothing about the server, and does not count. */
  readonly isInconclusive?: boolean;
}

export interface RunningProbe {
  /** What it means that the timeout has come now. Called before `cancel`. */
  expire(): ProbeResult;
  /** Ends it. What it returns resolves when even a killed process is gone. */
  cancel(): Promise<void> | undefined;
}

/** Starts one check of a target. May throw; then nothing of it is left. */
export type Probe = (target: HealthTarget, finish: (result: ProbeResult) => void) => RunningProbe;

export function passed(detail: string): ProbeResult {
  return { ok: true, detail };
}

export function failed(detail: string): ProbeResult {
  return { ok: false, detail };
}

/** A check that ended with an error. */
export function failedBy(error: unknown, prefix = ''): ProbeResult {
  const isInconclusive = isLocalLack(error);
  return { ok: false, detail: prefix + errorText(error), isInconclusive };
}
