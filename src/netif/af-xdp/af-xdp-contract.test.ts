// The interface contract on AF_XDP, on a veth pair in a network namespace of this process, in each
// mode that veth has. Needs the right to load BPF programs, so not in a user namespace.

import { afterAll, describe, expect, it, vi } from 'vitest';
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
import { readBusyPolling, readNapiId, whyRefused } from '../../sys/busy-poll.ts';
import { closeFd, libc } from '../../sys/libc.ts';
import { setLinkUp } from '../../sys/link.ts';
import { attachMemoryFile, createMemoryFile, type ReservedRange } from '../../sys/main-memory.ts';
import { type ContractFixture, type RecoverableQueue, socketFrames } from '../contract.harness.ts';
import { describeInterfaceContract } from '../contract.suite.ts';
import type { InterfaceQueue } from '../contract.ts';
import { AfXdpQueue } from './af-xdp-queue.ts';
import { type AfXdpInterface, type AfXdpMode, AfXdpOpener, type AfXdpOptions } from './open.ts';
import type { ConsumerRing } from './rings.ts';

const SIZES = { connections: 1024, frames: 1024, processors: 1 };
const SOCKET = 9;
/** Small rings, so that the tests go around them many times. */
const RING_SIZES = { fill: 128, completion: 64, receive: 128, transmit: 64 };
const TEST_TYPE = 0x88b5;
const BUDGET = 64;
const FRAMES = 8;
const BEYOND_BUDGET = 1 << 16;

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

/** A frame that says which it is. */
function frame(number: number): Uint8Array {
  const bytes = new Uint8Array(60);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, TEST_TYPE >> 8, TEST_TYPE & 0xff, number]);
  return bytes;
}

/** Frames that stand in the receive ring, seen without taking them. */
function waitingFrames({ queue }: AfXdpFixture): number {
  return (Reflect.get(queue, 'received') as ConsumerRing).available();
}

/** The kernel lets go of a closed socket's queue a little later. */
function openWhenFree(opener: AfXdpOpener, options: Partial<AfXdpOptions>): AfXdpInterface {
  const deadline = Date.now() + 5000;
  for (;;) {
    try {
      return opener.open({ name: 'weir0', ringSizes: RING_SIZES, ...options });
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
  readonly opened: AfXdpInterface;
  private readonly isBusyPolled: boolean;
  private readonly far: FarEnd;

  constructor(mode: AfXdpMode, busyPollBudget?: number) {
    this.isBusyPolled = busyPollBudget !== undefined;
    const opener = new AfXdpOpener(range, this.memory.layout);
    this.opened = openWhenFree(opener, { modes: [mode], busyPollBudget });
    this.queue = this.attach();
    this.pool.recover(socketFrames(this.memory, this.queue));
    this.far = new FarEnd('far0', TEST_TYPE);
  }

  private attach(): AfXdpQueue {
    const [{ fileDescriptor, ringSizes }] = this.opened.sockets;
    const { memory, pool, isBusyPolled } = this;
    const parts = { fileDescriptor, ringSizes, isBusyPolled, socket: SOCKET };
    return new AfXdpQueue({ ...parts, range, memory, pool });
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

describe.skipIf(skip !== undefined)('busy polling', () => {
  const opened = (budget: number | undefined): AfXdpFixture =>
    new AfXdpFixture('native copy', budget);

  it('is what the socket says when it was asked for, and only then', () => {
    const on = opened(BUDGET);
    const [{ fileDescriptor }] = on.opened.sockets;
    expect(on.opened.busyPollErrno).toBe(0);
    expect(readBusyPolling(fileDescriptor)).toEqual({ isPreferred: true, microseconds: 20 });
    // A veth has none: what `weir status` says then is busy-polling-status.ts.
    expect(readNapiId(fileDescriptor)).toBe(0);
    on.close();
    const off = opened(undefined);
    const socket = off.opened.sockets[0].fileDescriptor;
    expect(readBusyPolling(socket)).toEqual({ isPreferred: false, microseconds: 0 });
    off.close();
  });

  it('makes a call for each look at an empty queue, none for a full one, and traffic goes', async () => {
    const calls = vi.spyOn(libc, 'recvfrom');
    const offsets = new Int32Array(FRAMES);
    const lengths = new Int32Array(FRAMES);
    for (const budget of [BUDGET, undefined]) {
      const fixture = opened(budget);
      const { queue } = fixture;
      queue.refill();
      calls.mockClear();
      for (let i = 0; i < 3; i++) expect(queue.receiveBurst(offsets, lengths, FRAMES)).toBe(0);
      expect(calls).toHaveBeenCalledTimes(budget === undefined ? 0 : 3);
      for (let i = 0; i < FRAMES; i++) fixture.send(frame(i));
      await vi.waitFor(() => expect(waitingFrames(fixture)).toBe(FRAMES));
      calls.mockClear();
      for (let i = 0; i < FRAMES; i++) {
        expect(queue.receiveBurst(offsets, lengths, 1)).toBe(1);
        expect(fixture.memory.bytes[offsets[0] + 14]).toBe(i);
        expect(queue.transmit(offsets[0], lengths[0])).toBe(1);
      }
      expect(calls).toHaveBeenCalledTimes(0);
      expect(queue.receiveBurst(offsets, lengths, 1)).toBe(0);
      expect(calls).toHaveBeenCalledTimes(budget === undefined ? 0 : 1);
      const back: Uint8Array[] = [];
      await vi.waitFor(() => {
        queue.flush();
        back.push(...fixture.collect());
        expect(back).toHaveLength(FRAMES);
      });
      fixture.close();
    }
    calls.mockRestore();
  });

  it('that the kernel refuses is not on, and the interface is open all the same', () => {
    const refused = opened(BEYOND_BUDGET);
    expect(whyRefused(refused.opened.busyPollErrno)).toBe('the kernel refused it: EINVAL');
    const [{ fileDescriptor }] = refused.opened.sockets;
    expect(readBusyPolling(fileDescriptor)).toEqual({ isPreferred: false, microseconds: 0 });
    refused.close();
  });
});
