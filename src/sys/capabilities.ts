// Capabilities (man 7 capabilities): what this process may do beyond an ordinary user, thread by
// thread, and how it gets rid of all the rest. They belong to threads, and a Node process has several
// before its first line runs; so the only way to change them on every thread is execve:
//
//   1. withOnlyCapabilities(list)   the calling thread is prepared: nothing but `list` is left, and
//                                   `list` is ambient, so that it passes through execve;
//   2. executeNode(…)               (process.ts) a new Node, all of whose threads have exactly `list`;
//   3. clearAmbientCapabilities()   children get none, unless `withAmbientCapabilities` starts them.
//
// Root is no exception: SECBIT_NOROOT makes user id 0 ordinary, locked for all descendants.
// It works the same for root, for another user whom systemd gave ambient capabilities, and for root
// of a user namespace.

import { readdirSync, readFileSync } from 'node:fs';
import { WeirError } from '../base/errors.ts';
import { libc, must, systemCallNumber } from './libc.ts';

/** The capabilities that weir names, with their bits. */
export const CAPABILITIES = {
  CAP_SETPCAP: 8,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_NICE: 23,
  CAP_SYS_RESOURCE: 24,
  CAP_BPF: 39,
} as const;
export type CapabilityName = keyof typeof CAPABILITIES;

/** What opening interfaces with XDP takes, and all that weir keeps. */
export const WEIR_CAPABILITIES: readonly CapabilityName[] = [
  'CAP_NET_RAW',
  'CAP_NET_ADMIN',
  'CAP_BPF',
];

/** One thread's sets, as bit masks. */
export interface ThreadCapabilities {
  readonly thread: number;
  readonly inheritable: bigint;
  readonly permitted: bigint;
  readonly effective: bigint;
  readonly bounding: bigint;
  readonly ambient: bigint;
}

const VERSION_3 = 0x20080522;
const PR_SET_SECUREBITS = 28;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_CAP_AMBIENT = 47;
const AMBIENT_RAISE = 2;
const AMBIENT_CLEAR_ALL = 4;
const SECBIT_NOROOT = 1 << 0;
const SECBIT_NOROOT_LOCKED = 1 << 1;

/** The mask with the bits of these capabilities. */
export function capabilityMask(names: readonly CapabilityName[]): bigint {
  return names.reduce((mask, name) => mask | (1n << BigInt(CAPABILITIES[name])), 0n);
}

/** The capability sets of every thread of a process. */
export function readCapabilities(pid: number | 'self' = 'self'): ThreadCapabilities[] {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).map((thread) => {
    const status = readFileSync(`${folder}/${thread}/status`, 'utf8');
    const set = (name: string): bigint => {
      const found = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status);
      return BigInt(`0x${found?.[1] ?? '0'}`);
    };
    return {
      thread: Number(thread),
      inheritable: set('CapInh'),
      permitted: set('CapPrm'),
      effective: set('CapEff'),
      bounding: set('CapBnd'),
      ambient: set('CapAmb'),
    };
  });
}

/** Those of `wanted` that the main thread does not have. */
export function missingCapabilities(wanted: readonly CapabilityName[]): CapabilityName[] {
  const permitted = mainThread().permitted;
  return wanted.filter((name) => ((permitted >> BigInt(CAPABILITIES[name])) & 1n) === 0n);
}

/** Node's JavaScript runs on the main thread, whose number is that of the process. */
function mainThread(): ThreadCapabilities {
  const found = readCapabilities().find(({ thread }) => thread === process.pid);
  if (found === undefined) throw new Error('a process without its main thread');
  return found;
}

function setCapabilities(effective: bigint, permitted: bigint, inheritable: bigint): void {
  const header = new Uint32Array([VERSION_3, 0]);
  const sets = new Uint32Array(6); // twice effective, permitted, inheritable: low and high words
  [effective, permitted, inheritable].forEach((mask, i) => {
    sets[i] = Number(mask & 0xffffffffn);
    sets[i + 3] = Number(mask >> 32n);
  });
  must(libc.syscall(systemCallNumber('capset'), header, sets, null, null, null), 'capset');
}

function raiseAmbient(mask: bigint): void {
  for (let bit = 0; bit < 64; bit++) {
    if (((mask >> BigInt(bit)) & 1n) === 0n) continue;
    const result = libc.prctl(PR_CAP_AMBIENT, AMBIENT_RAISE, bit, 0, 0);
    must(result, 'prctl(PR_CAP_AMBIENT)', `capability ${bit}`);
  }
}

/** Nothing that is started from here on can ever gain more than `mask`. */
function shrinkBoundingSet(mask: bigint): void {
  for (let bit = 0; libc.prctl(PR_CAPBSET_READ, bit, 0, 0, 0) !== -1; bit++) {
    if (((mask >> BigInt(bit)) & 1n) !== 0n) continue;
    must(libc.prctl(PR_CAPBSET_DROP, bit, 0, 0, 0), 'prctl(PR_CAPBSET_DROP)', `capability ${bit}`);
  }
}

/**
 * Prepares the calling thread: it keeps only `wanted`, and so will every program that it executes.
 * For good: what is dropped cannot be had again.
 * @returns those that it really has: the others were not there to keep.
 * @throws SystemError, WeirError ERR_MISSING_CAPABILITY for a root without CAP_SETPCAP
 */
export function withOnlyCapabilities(wanted: readonly CapabilityName[]): CapabilityName[] {
  const { permitted } = mainThread();
  const kept = wanted.filter((name) => (permitted & capabilityMask([name])) !== 0n);
  const mask = capabilityMask(kept);
  const setpcap = capabilityMask(['CAP_SETPCAP']);
  if ((permitted & setpcap) !== 0n) {
    setCapabilities(permitted, permitted, mask);
    shrinkBoundingSet(mask);
    const bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
    must(libc.prctl(PR_SET_SECUREBITS, bits, 0, 0, 0), 'prctl(PR_SET_SECUREBITS)');
  } else if (process.geteuid?.() === 0 && permitted !== mask) {
    // Without NOROOT an execve would give root all of its bounding set back.
    throw new WeirError(
      'ERR_MISSING_CAPABILITY',
      'root cannot give up its other rights without CAP_SETPCAP',
      'start weir as full root, or as another user with AmbientCapabilities=',
    );
  }
  must(libc.prctl(PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL, 0, 0, 0), 'prctl(PR_CAP_AMBIENT)');
  setCapabilities(mask, mask, mask);
  raiseAmbient(mask);
  return kept;
}

/** From here on, programs that this thread starts get no capabilities. */
export function clearAmbientCapabilities(): void {
  const { effective, permitted } = mainThread();
  // What is not inheritable cannot be ambient either: the kernel clears both.
  setCapabilities(effective, permitted, 0n);
}
