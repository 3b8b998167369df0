// The demo's two killings: a switching processor and the control processor get SIGKILL, which no
// program can catch, and the time is taken until each does its work again: the switching processor
// forwards packets, the control processor answers.

import type { Status } from '../control/status-shape.ts';

const POLL_MS = 5;
const PATIENCE_MS = 10_000;

export interface KillEvent {
  /** 'switching 0' or 'control'. */
  readonly process: string;
  /** Milliseconds since the demo's traffic began. */
  readonly atMs: number;
  /** Until it did its work again; null while it does not. */
  backAfterMs: number | null;
}

export interface KillContext {
  /** Undefined while the control processor does not answer. */
  fetch(): Promise<Status | undefined>;
  kill(pid: number): void;
  /** Monotonic milliseconds. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

/** Milliseconds until `isBack`, or null when it took too long. */
async function untilBack(
  context: KillContext,
  isBack: (status: Status) => boolean,
): Promise<number | null> {
  const start = context.now();
  while (context.now() - start < PATIENCE_MS) {
    const status = await context.fetch();
    if (status !== undefined && isBack(status)) return context.now() - start;
    await context.sleep(POLL_MS);
  }
  return null;
}

/** Kills a switching processor; resolves when another process forwards packets in its place. */
export async function killSwitching(
  context: KillContext,
  processor: number,
  status: Status,
): Promise<number | null> {
  const { pid } = status.processes.switching[processor];
  context.kill(pid);
  // What the victim has forwarded to its end: its successor's counters go on from there.
  let forwarded = Number.POSITIVE_INFINITY;
  return untilBack(context, ({ processes }) => {
    const now = processes.switching[processor];
    if (forwarded === Number.POSITIVE_INFINITY) forwarded = now.forwarded;
    return now.pid !== pid && now.state === 'running' && now.forwarded > forwarded;
  });
}

/** Which switching processor has forwarded most: killing it is felt most. */
export function busiest(status: Status): number {
  const { switching } = status.processes;
  return switching.reduce((best, each) => (each.forwarded > best.forwarded ? each : best))
    .processor;
}

/** Kills the control processor; resolves when another one answers. */
export async function killControl(context: KillContext, status: Status): Promise<number | null> {
  const { pid } = status.processes.control;
  context.kill(pid);
  return untilBack(context, ({ processes, state }) => {
    return processes.control.pid !== pid && state === 'ready';
  });
}
