// A lock on a file: held by this process alone until it ends, however it ends. The supervisor has one
// beside its control socket, so that of two that are started at once one is refused. man 2 flock.
// Invariant: the file itself means nothing; only the lock does.

import { closeSync, constants, openSync } from 'node:fs';
import { libc } from './libc.ts';

const LOCK_EXCLUSIVE = 2;
const LOCK_NOT_BLOCKING = 4;

/**
 * Takes the lock of a file, which is made when it is not there and stays when the lock is gone. Programs
 * that are started from here do not hold it too: Node marks what it opens to be closed.
 * @returns the file descriptor that holds it, or -1: another process has it
 * @throws the error of fs.openSync
 */
export function takeLock(path: string): number {
  const { O_CREAT, O_RDWR, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_CREAT | O_RDWR | O_NOFOLLOW, 0o600);
  if (libc.flock(fd, LOCK_EXCLUSIVE | LOCK_NOT_BLOCKING) === 0) return fd;
  closeSync(fd);
  return -1;
}
