// Which process a pid meant when it was noted: a pid alone may belong to another by now, with the time
// of its start it cannot.
// proc(5). Used by the supervisor for what it adopts, and to tell whether another supervisor runs.

import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot, as in /proc/PID/stat. */
  readonly startTime: string;
}

// Fields of /proc/PID/stat behind the command's closing bracket (proc(5)).
const STATE_FIELD = 0;
const START_TIME_FIELD = 19;

function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** The identity of a process that runs now, or undefined. A zombie does not run. */
export function identify(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid);
  if (fields === undefined || fields[STATE_FIELD] === 'Z' || fields[STATE_FIELD] === 'X') {
    return undefined;
  }
  return { pid, startTime: fields[START_TIME_FIELD] };
}

/** Whether that very process still runs. */
export function isSameProcess(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTime === identity.startTime;
}

/** Whether a process has installed a handler for a signal; else, by most, it would be ended. */
export function catchesSignal(pid: number, signal: NodeJS.Signals): boolean {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return false;
  }
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status);
  return (
    caught !== null &&
    ((BigInt(`0x${caught[1]}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n
  );
}
