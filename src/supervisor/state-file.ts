// What a supervisor leaves beside the control socket for the one that comes after it, if it is killed:
// which processes it had started, and under which numbers these hold the descriptors of main memory, the
// sockets and the rest. Written anew at each start of a process; removed at the end of weir.
//
// A new `weir run` finds there whether a supervisor runs (then it refuses), or only its processes (then
// it takes the descriptors from a switching processor, adopts the processes, and nobody's traffic
// notices). Invariant: identities, not pids alone, so that a file from before a reboot means nothing; and
// nothing is believed, nor written through, that another user may have put there.

import { rmSync } from 'node:fs';
import { LAYOUT_VERSION } from '../memory/layout.ts';
import type { ControlDeviceParts } from './control-device.ts';
import type { InterfaceParts } from './open-interfaces.ts';
import { readOwnFile, writeOwnFile } from './own-file.ts';
import { isSameProcess, type ProcessIdentity } from './process-identity.ts';

/** Everything of a machine but its memory; descriptors are numbered as in a switching processor. */
export interface MachineState {
  readonly layoutVersion: number;
  readonly supervisor: ProcessIdentity;
  readonly switching: readonly (ProcessIdentity | undefined)[];
  readonly control: ProcessIdentity | undefined;
  readonly interfaceDaemon?: ProcessIdentity | undefined;
  readonly memorySize: number;
  readonly memoryFileDescriptor: number;
  readonly eventFileDescriptors: readonly number[];
  readonly interfaces: readonly InterfaceParts[];
  readonly interfaceNames: readonly string[];
  readonly controlDevice?: ControlDeviceParts | undefined;
  readonly idle: 'busy' | 'adaptive';
  readonly cpus: readonly number[];
}

/** Where the state of the weir with this control socket is kept. */
export function stateFilePath(socketPath: string): string {
  return `${socketPath}.state`;
}

export function writeStateFile(path: string, state: MachineState): void {
  writeOwnFile(path, JSON.stringify(state));
}

export function removeStateFile(path: string): void {
  rmSync(path, { force: true });
}

/** What the last supervisor left, or undefined when there is nothing to be made of it. */
export function readStateFile(path: string): MachineState | undefined {
  const state = readOwn(path);
  return state?.layoutVersion === LAYOUT_VERSION ? state : undefined;
}

/** A process of a weir with another layout of main memory that still runs: it cannot be taken over. */
export function runningOfOtherVersion(path: string): ProcessIdentity | undefined {
  const state = readOwn(path);
  if (state === undefined || state.layoutVersion === LAYOUT_VERSION) return undefined;
  return isSameProcess(state.supervisor) ? state.supervisor : liveSwitching(state);
}

/** The file's content if it is ours alone and looks like one of ours. */
function readOwn(path: string): MachineState | undefined {
  try {
    const state = JSON.parse(readOwnFile(path) ?? 'null') as MachineState | null;
    return typeof state?.supervisor?.pid === 'number' && Array.isArray(state.switching)
      ? state
      : undefined;
  } catch {
    return undefined;
  }
}

/** A switching processor of that state which still runs. */
export function liveSwitching(state: MachineState): ProcessIdentity | undefined {
  return state.switching.find((one) => one != null && isSameProcess(one)) ?? undefined;
}
