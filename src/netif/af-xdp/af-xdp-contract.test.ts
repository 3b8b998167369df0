// The interface contract on AF_XDP, on a veth pair in a network namespace of this process, in each
// mode that veth has. Needs the right to load BPF programs, so not in a user namespace.

import { afterAll } from 'vitest';
import {
  enterPrivateNetwork,
  FarEnd,
  ip,
  makeVethPair,
} from '../../../test/support/private-network.ts';
import { SystemError } from '../../base/errors.ts';
import { FramePool } from '../../memory/frame-pool.ts';
import { computeLayout } from '../../memory/layout.ts';
import { formatMainMemory, type MainMemory } from '../../memory/region.ts';
import { closeFd } from '../../sys/libc.ts';
import { setLinkUp } from '../../sys/link.ts';
import { attachMemoryFile, createMemoryFile, type ReservedRange } from '../../sys/main-memory.ts';
import { type ContractFixture, type RecoverableQueue, socketFrames } from '../contract.harness.ts';
import { describeInterfaceContract } from '../contract.suite.ts';
import type { InterfaceQueue } from '../contract.ts';
import { AfXdpQueue } from './af-xdp-queue.ts';
import { type AfXdpInterface, type AfXdpMode, AfXdpOpener } from './open.ts';

const SIZES = { connections: 1024, frames: 1024, processors: 1 };
const SOCKET = 9;
/** Small rings, so that the tests go around them many times. */
const RING_SIZES = { fill: 128, completion: 64, receive: 128, transmit: 64 };
const TEST_TYPE = 0x88b5;

let range: ReservedRange;
let memorySize = 0;

function setUp(): void {
  makeVethPair('weir0', 'far0');
  memorySize = computeLayout(SIZES).totalSize;
  const file = createMemoryFile('weir-test', memorySize, false);
  range = attachMemoryFile(file.fd, memorySize);
  closeFd(file.fd);
}

function freshMemory(): MainMemory {
  new Uint8Array(range.buffer, 0, memorySize).fill(0);
  return formatMainMemory(range.buffer, SIZES);
}

/** The kernel lets go of a closed socket's queue a little later. */
function openWhenFree(opener: AfXdpOpener, mode: AfXdpMode): AfXdpInterface {
  const deadline = Date.now() + 5000;
  for (;;) {
    try {
      return opener.open({ name: 'weir0', modes: [mode], ringSizes: RING_SIZES });
    } catch (error) {
      const isBusy = error instanceof SystemError && error.errno === 'EBUSY';
      if (!isBusy || Date.now() > deadline) throw error;
    }
  }
}

class AfXdpFixture implements ContractFixture {
  readonly memory = freshMemory();
  readonly transmitCapacity = RING_SIZES.transmit;
  readonly receivesIntoRefilled = true;
  pool = new FramePool(this.memory, 0);
  queue: InterfaceQueue & RecoverableQueue;
  private readonly opened: AfXdpInterface;
  private readonly far: FarEnd;

  constructor(mode: AfXdpMode) {
    this.opened = openWhenFree(new AfXdpOpener(range, this.memory.layout), mode);
    this.queue = this.attach();
    this.pool.recover(socketFrames(this.memory, this.queue));
    this.far = new FarEnd('far0', TEST_TYPE);
  }

  private attach(): AfXdpQueue {
    const [{ fileDescriptor, ringSizes }] = this.opened.sockets;
    const { memory, pool } = this;
    return new AfXdpQueue({ fileDescriptor, ringSizes, socket: SOCKET, range, memory, pool });
  }

  send(bytes: Uint8Array): void {
    this.far.send(bytes);
  }

  collect(): Uint8Array[] {
    return this.far.collect();
  }

  reopen(): void {
    this.queue.close();
    this.pool = new FramePool(this.memory, 0);
    this.queue = this.attach();
    this.pool.recover(socketFrames(this.memory, this.queue));
  }

  confirmSuspects(): void {
    this.pool.confirmSuspects(socketFrames(this.memory, this.queue));
  }

  setLinkUp(up: boolean): void {
    setLinkUp('weir0', up);
  }

  close(): void {
    this.queue.close();
    this.opened.close();
    this.far.close();
  }
}

/** Why AF_XDP cannot be had here; found out by opening a socket of its own. */
function findObstacle(): string | undefined {
  const reason = enterPrivateNetwork();
  if (reason !== undefined) return reason;
  setUp();
  try {
    new AfXdpFixture('generic copy').close();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const skip = findObstacle();

afterAll(() => {
  if (memorySize !== 0) ip('link del weir0');
});

for (const mode of ['generic copy', 'native copy'] as const) {
  describeInterfaceContract(`af-xdp, ${mode}`, () => new AfXdpFixture(mode), { skip });
}
