// What a process does to itself: its limits, its title, starting itself anew with other rights, and
// taking over file descriptors of another process that it may look into.
// man 2 prctl, execve, pidfd_open, pidfd_getfd, getrlimit.

import { env, execPath } from 'node:process';
import { closeFd, libc, must, setInheritable, systemCallNumber } from './libc.ts';

const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_PTRACER = 0x59616d61;
const PR_SET_PTRACER_ANY = -1;
const RLIMIT_NOFILE = 7;
const RLIMIT_MEMLOCK = 8;
const UNLIMITED = 2n ** 64n - 1n;

/** The name under which tools such as ps and top show this process. */
export function setProcessTitle(title: string): void {
  process.title = title;
}

/** No program that is started from here on gains rights by set-user-id or file capabilities. */
export function forbidNewPrivileges(): void {
  must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 'prctl(PR_SET_NO_NEW_PRIVS)');
}

/**
 * Lets any process of the same user look into this one where Yama would allow only its parents to: a
 * supervisor that comes after a killed one takes the file descriptors from here. Without Yama it is so
 * already, and the call fails.
 */
export function allowTakeOver(): void {
  libc.prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
}

/**
 * Replaces this process by a fresh Node with the same pid. All threads but the caller end; the new
 * process has the capabilities that the calling thread was prepared for (capabilities.ts).
 * @param args what follows `node` on the command line
 * @param keep file descriptors that stay open beside the standard three: Node marks all that it
 *   finds at its start to be closed
 * @throws SystemError; it does not return otherwise.
 */
export function executeNode(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = env,
  keep: readonly number[] = [],
): never {
  for (const fd of [0, 1, 2, ...keep]) setInheritable(fd);
  const variables = Object.entries(environment)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
  const result = libc.execve(execPath, [execPath, ...args, null], [...variables, null]);
  must(result, 'execve', execPath);
  throw new Error('unreachable: execve returned');
}

/**
 * A copy of a file descriptor that another process has open. Needs the right to trace it.
 * @throws SystemError
 */
export function takeFileDescriptor(pid: number, fd: number): number {
  const subject = `process ${pid}`;
  const open = libc.syscall(systemCallNumber('pidfd_open'), pid, 0, null, null, null);
  const pidFd = must(open, 'pidfd_open', subject);
  try {
    const number = systemCallNumber('pidfd_getfd');
    const copy = libc.syscall(number, pidFd, fd, 0, null, null);
    return must(copy, 'pidfd_getfd', `${subject} fd ${fd}`);
  } finally {
    closeFd(pidFd);
  }
}

function raiseLimit(resource: number, call: string): bigint {
  const limits = new BigUint64Array(2); // soft, hard
  must(libc.getrlimit(resource, limits), 'getrlimit', call);
  if (limits[0] === UNLIMITED) return UNLIMITED;
  // Beyond the hard limit with CAP_SYS_RESOURCE only; up to it always.
  if (libc.setrlimit(resource, new BigUint64Array([UNLIMITED, UNLIMITED])) === 0) return UNLIMITED;
  libc.setrlimit(resource, new BigUint64Array([limits[1], limits[1]]));
  return limits[1];
}

/**
 * Raises the limit of locked memory, which the frames count against (unless CAP_IPC_LOCK is held),
 * as far as is allowed. @returns the limit in bytes, 2^64-1 for none.
 */
export function raiseLockedMemoryLimit(): bigint {
  return raiseLimit(RLIMIT_MEMLOCK, 'RLIMIT_MEMLOCK');
}

/** Raises the limit of open file descriptors to the hard limit. @returns it. */
export function raiseOpenFilesLimit(): bigint {
  const limits = new BigUint64Array(2);
  must(libc.getrlimit(RLIMIT_NOFILE, limits), 'getrlimit', 'RLIMIT_NOFILE');
  libc.setrlimit(RLIMIT_NOFILE, new BigUint64Array([limits[1], limits[1]]));
  return limits[1];
}
