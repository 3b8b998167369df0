// What a process has open, as /proc shows it: for scenarios that prove that it was given no more than it needs.

import { readdirSync, readlinkSync } from 'node:fs';

/** One entry for each descriptor: 'socket:[123]', '/dev/net/tun', 'anon_inode:[eventfd]' …. */
export function openFiles(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).map((fd) => readlinkSync(`${folder}/${fd}`));
}

/** Sockets that two processes share, once for each descriptor that the first has. */
export function sharedSockets(pid: number, other: number): string[] {
  const others = new Set(openFiles(other));
  return openFiles(pid).filter((file) => file.startsWith('socket:') && others.has(file));
}
