// Reads the kernel's table of TCP sockets as text, /proc/net/tcp and /proc/net/tcp6 (proc_net(5)),
// without ever having it as a whole: a server with 100,000 connections has 15 MB of it. Bytes come
// in parts of any size, and of a line only ports, state and the remote end are looked at.
//
//     sl  local_address rem_address   st …
//      0: 0100007F:1F90 0100007F:C350 01 …          (tcp6: 32 digits of address)
//
// Invariant: memory is one unfinished line, a count per port, and at most MAX_REMOTE_ENDS numbers.

import { Buffer } from 'node:buffer';

/** Remote ends that are kept to find the new ones; with more, new connections are not counted. */
export const MAX_REMOTE_ENDS = 200_000;

const ESTABLISHED = 0x01;
const LONGEST_LINE_BYTES = 512;
const COLON = 0x3a;
const NEWLINE = 0x0a;

/** Established connections of one port. */
export interface PortConnections {
  established: number;
  /** A number for each remote end; undefined when they are not wanted or were too many. */
  remoteEnds: Set<number> | undefined;
}

/** One reading of the table. */
export class SocketTable {
  /** By local port: those that were asked for. */
  readonly ports: ReadonlyMap<number, PortConnections>;
  /** Lines seen, of all ports and states. */
  sockets = 0;
  private remoteEnds = 0;
  private rest: Buffer = Buffer.alloc(0);

  /** @param withRemoteEnds whether remote ends are to be kept as well */
  constructor(ports: Iterable<number>, withRemoteEnds: boolean) {
    this.ports = new Map(
      [...ports].map((port) => [
        port,
        { established: 0, remoteEnds: withRemoteEnds ? new Set<number>() : undefined },
      ]),
    );
  }

  /** Takes the next bytes of a file. */
  push(chunk: Buffer): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      if (end < 0) break;
      this.takeLine(bytes, start, end);
      start = end + 1;
    }
    // No line of the kernel is that long: what is there without an end is none.
    const isLine = bytes.length - start <= LONGEST_LINE_BYTES;
    this.rest = isLine ? Buffer.from(bytes.subarray(start)) : Buffer.alloc(0);
  }

  /** Between two files. */
  endFile(): void {
    this.rest = Buffer.alloc(0);
  }

  private takeLine(bytes: Buffer, start: number, end: number): void {
    const number = bytes.indexOf(COLON, start);
    if (number < 0 || number >= end) return;
    const local = bytes.indexOf(COLON, number + 1);
    const remote = bytes.indexOf(COLON, local + 1);
    // ':' port ' ' address ':' port ' ' state: the heading has no colon and ends above.
    if (local < 0 || remote < 0 || remote + 8 > end) return;
    this.sockets++;
    if (hexadecimal(bytes, remote + 6, 2) !== ESTABLISHED) return;
    const port = this.ports.get(hexadecimal(bytes, local + 1, 4));
    if (port === undefined) return;
    port.established++;
    if (port.remoteEnds === undefined) return;
    if (++this.remoteEnds > MAX_REMOTE_ENDS) this.forgetRemoteEnds();
    else port.remoteEnds.add(hashOf(bytes, local + 6, remote + 5));
  }

  private forgetRemoteEnds(): void {
    for (const port of this.ports.values()) port.remoteEnds = undefined;
  }
}

function hexadecimal(bytes: Buffer, start: number, digits: number): number {
  let value = 0;
  for (let at = start; at < start + digits; at++) {
    const byte = bytes[at];
    // '0'…'9' are 0x30…, 'A'…'F' are 0x41…; the kernel writes capitals.
    value = value * 16 + (byte <= 0x39 ? byte - 0x30 : byte - 0x37);
  }
  return value;
}

/** 52 bits of a hash: two of 100,000 ends are the same once in a million readings. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let at = start; at < end; at++) {
    low = Math.imul(low ^ bytes[at], 0x01000193);
    high = Math.imul(high ^ bytes[at], 0x85ebca6b) ^ (high >>> 13);
  }
  return (high & 0xfffff) * 0x1_0000_0000 + (low >>> 0);
}
