// A network of a test file's own: the process goes into a fresh network namespace, which ends with
// it, and makes veth pairs there. Works as root, and as root of a user namespace (unshare --user
// --map-root-user); everybody else is told why not. vitest runs each test file in a process of its
// own, whose main thread this is: the namespace belongs to that thread and to what it starts.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { arch } from 'node:process';
import { errnoName } from '../../src/sys/advice.ts';
import { closeFd, lastErrno, libc, must } from '../../src/sys/libc.ts';
import { readLink } from '../../src/sys/link.ts';
import { openPacketSocket } from '../../src/sys/packet-socket.ts';

const CLONE_NEWNET = 0x40000000;
const UNSHARE: Readonly<Record<string, number>> = { x64: 272, arm64: 97 };
const MSG_DONTWAIT = 0x40;

/** Moves this process into a new network namespace. @returns why it cannot; undefined when it has. */
export function enterPrivateNetwork(): string | undefined {
  const number = UNSHARE[arch];
  if (number === undefined) return `unshare(2) is not known on ${arch}`;
  if (libc.syscall(number, CLONE_NEWNET, 0, 0, 0, 0) === -1) {
    const advice = 'run as root, or under `unshare --user --map-root-user`';
    return `no network namespace of its own (unshare: ${errnoName(lastErrno())}): ${advice}`;
  }
  try {
    // The kernel's own IPv6 messages would come between the frames of a test.
    for (const scope of ['all', 'default']) {
      writeFileSync(`/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`, '1');
    }
  } catch {
    // A kernel without IPv6, or a /proc that may not be written: far ends pass over such messages.
  }
  return undefined;
}

/** Runs `ip` with the arguments that stand in one text. */
export function ip(text: string): void {
  execFileSync('ip', text.split(' '), { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Makes two interfaces joined by a wire, both up. `queues` is that of the near one. */
export function makeVethPair(near: string, far: string, queues = 1): void {
  const count = `numrxqueues ${queues} numtxqueues ${queues}`;
  ip(`link add ${near} ${count} type veth peer name ${far} ${count}`);
  ip(`link set ${near} up`);
  ip(`link set ${far} up`);
}

/** The far end of a wire: an ordinary packet socket, no ring. */
export class FarEnd {
  readonly fd: number;
  private readonly buffer = new Uint8Array(65536);
  private readonly type: number;

  /** Only frames of this Ethernet type are collected. */
  constructor(interfaceName: string, type: number) {
    const interfaceIndex = readLink(interfaceName).index;
    this.fd = openPacketSocket({ interfaceIndex, interfaceName });
    this.type = type;
  }

  send(bytes: Uint8Array): void {
    must(libc.send(this.fd, bytes, bytes.length, 0), 'send', `${bytes.length} bytes`);
  }

  /** Everything that has arrived since the last call. */
  collect(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (;;) {
      const length = libc.recv(this.fd, this.buffer, this.buffer.length, MSG_DONTWAIT);
      if (length === -1) {
        const errno = errnoName(lastErrno());
        // Told once, after the link was down.
        if (errno === 'ENETDOWN') continue;
        if (errno === 'EAGAIN') return frames;
        throw new Error(`recv: ${errno}`);
      }
      if (((this.buffer[12] << 8) | this.buffer[13]) !== this.type) continue;
      frames.push(this.buffer.slice(0, length));
    }
  }

  close(): void {
    closeFd(this.fd);
  }
}
