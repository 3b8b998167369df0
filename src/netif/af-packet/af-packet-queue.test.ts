// AF_PACKET on a veth pair in a network namespace of this process: the interface contract, and what
// only packet sockets do: tags and checksums put back, frames too long, sharing among queues.

import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hex, toHex } from '../../../test/support/bytes.ts';
import {
  enterPrivateNetwork,
  FarEnd,
  ip,
  makeVethPair,
} from '../../../test/support/private-network.ts';
import { FramePool } from '../../memory/frame-pool.ts';
import { computeLayout } from '../../memory/layout.ts';
import { formatMainMemory, type MainMemory } from '../../memory/region.ts';
import { closeFd } from '../../sys/libc.ts';
import { readLink, setLinkUp } from '../../sys/link.ts';
import { attachMemoryFile, createMemoryFile, type ReservedRange } from '../../sys/main-memory.ts';
import { mapPacketRings, type PacketRings } from '../../sys/packet-socket.ts';
import { transportChecksumIsValid } from '../../wire/checksum.ts';
import { type ContractFixture, socketFrames, testFrame } from '../contract.harness.ts';
import { describeInterfaceContract } from '../contract.suite.ts';
import { AfPacketQueue } from './af-packet-queue.ts';
import type { PacketGeometry } from './geometry.ts';
import { type AfPacketOptions, openAfPacket } from './open.ts';

const SIZES = { connections: 1024, frames: 1024, processors: 1 };
const SOCKET = 9;
/** Small rings, so that the tests go around them many times. */
const GEOMETRY: PacketGeometry = {
  receive: { slotSize: 2048, slotCount: 128 },
  transmit: { slotSize: 2048, slotCount: 64 },
};
const TEST_TYPE = 0x88b5;
const skip = enterPrivateNetwork();

let range: ReservedRange;
let memorySize = 0;

beforeAll(() => {
  if (skip !== undefined) return;
  makeVethPair('weir0', 'far0');
  memorySize = computeLayout(SIZES).totalSize;
  const file = createMemoryFile('weir-test', memorySize, false);
  range = attachMemoryFile(file.fd, memorySize);
  closeFd(file.fd);
});

afterAll(() => {
  if (skip === undefined) ip('link del weir0');
});

/** One queue of an opened interface, mapped as a switching processor maps it. */
class MappedQueue {
  readonly rings: PacketRings;
  pool: FramePool;
  queue: AfPacketQueue;
  readonly memory: MainMemory;
  private readonly fd: number;
  private readonly socket: number;

  constructor(memory: MainMemory, fd: number, socket: number) {
    this.memory = memory;
    this.fd = fd;
    this.socket = socket;
    this.rings = mapPacketRings(range, fd, GEOMETRY.receive, GEOMETRY.transmit);
    this.pool = new FramePool(memory, 0);
    this.queue = this.attach();
    this.pool.recover(socketFrames(this.memory, this.queue));
  }

  private attach(): AfPacketQueue {
    return new AfPacketQueue(this.memory, this.pool, this.socket, this.fd, this.rings, GEOMETRY);
  }

  reopen(): void {
    this.pool = new FramePool(this.memory, 0);
    this.queue = this.attach();
    this.pool.recover(socketFrames(this.memory, this.queue));
  }

  close(): void {
    this.queue.close();
    range.unmapRing(this.rings.receive, this.rings.size);
    closeFd(this.fd);
  }
}

function freshMemory(): MainMemory {
  new Uint8Array(range.buffer, 0, memorySize).fill(0);
  return formatMainMemory(range.buffer, SIZES);
}

function openQueue(options: Partial<AfPacketOptions> = {}): MappedQueue {
  const opened = openAfPacket({
    interfaceName: 'weir0',
    queues: 1,
    geometry: GEOMETRY,
    ...options,
  });
  return new MappedQueue(freshMemory(), opened.fileDescriptors[0], SOCKET);
}

class AfPacketFixture implements ContractFixture {
  readonly transmitCapacity = GEOMETRY.transmit.slotCount;
  readonly receivesIntoRefilled = false;
  readonly far = new FarEnd('far0', TEST_TYPE);
  private readonly mapped: MappedQueue;

  constructor(options: Partial<AfPacketOptions> = {}) {
    this.mapped = openQueue(options);
  }

  get memory(): MainMemory {
    return this.mapped.memory;
  }

  get pool(): FramePool {
    return this.mapped.pool;
  }

  get queue(): AfPacketQueue {
    return this.mapped.queue;
  }

  get ringStart(): number {
    return this.mapped.rings.receive;
  }

  get transmitStart(): number {
    return this.mapped.rings.transmit;
  }

  send(bytes: Uint8Array): void {
    this.far.send(bytes);
  }

  collect(): Uint8Array[] {
    return this.far.collect();
  }

  reopen(): void {
    this.mapped.reopen();
  }

  confirmSuspects(): void {
    this.pool.confirmSuspects(socketFrames(this.memory, this.queue));
  }

  setLinkUp(up: boolean): void {
    setLinkUp('weir0', up);
  }

  close(): void {
    this.mapped.close();
    this.far.close();
  }
}

describeInterfaceContract('af-packet', () => new AfPacketFixture(), { skip });
describeInterfaceContract(
  'af-packet through the queueing discipline',
  () => new AfPacketFixture({ bypassQdisc: false }),
  { skip },
);

/** Polls until a frame has come, and gives its bytes. */
function receiveOne({ queue, pool, memory }: MappedQueue | AfPacketFixture): Uint8Array {
  const offsets = new Int32Array(1);
  const lengths = new Int32Array(1);
  const deadline = Date.now() + 5000;
  while (queue.receiveBurst(offsets, lengths, 1) === 0) {
    if (Date.now() > deadline) throw new Error('no frame came');
  }
  const bytes = memory.bytes.slice(offsets[0], offsets[0] + lengths[0]);
  expect(pool.give(offsets[0])).toBe(1);
  return bytes;
}

describe.skipIf(skip !== undefined)('af-packet', () => {
  const macs = '020000000002 020000000001';

  it.each([
    ['one tag', '81002005 88b5 01020304'],
    ['a service tag', '88a80007 88b5 01020304'],
    ['two tags', '88a80007 81000006 88b5 01020304'],
    ['the tag of VLAN 0 with a priority', '8100e000 88b5 01020304'],
  ])('puts %s back into the frame', (_name, rest) => {
    const fixture = new AfPacketFixture();
    const bytes = hex(macs + rest + '00'.repeat(40));
    fixture.send(bytes);
    expect(toHex(receiveOne(fixture))).toBe(toHex(bytes));
    fixture.close();
  });

  it('completes the checksum that a local sender left to hardware', () => {
    const fixture = new AfPacketFixture();
    ip('address add 10.9.0.2/24 dev far0');
    ip('neighbor replace 10.9.0.1 lladdr 02:00:00:00:00:02 dev far0 nud permanent');
    execFileSync('bash', ['-c', 'echo hello > /dev/udp/10.9.0.1/5000']);
    const frame = receiveOne(fixture);
    const view = new DataView(frame.buffer);
    expect(fixture.queue.completedChecksumCount).toBe(1);
    expect(toHex(frame.subarray(12, 14))).toBe('08 00');
    expect(view.getUint16(40)).not.toBe(0);
    expect(transportChecksumIsValid(view, 14, 34, 14, 17)).toBe(true);
    ip('address flush dev far0');
    fixture.close();
  });

  it('drops and counts what is longer than a chunk', () => {
    ip('link set far0 mtu 3000');
    ip('link set weir0 mtu 1700');
    const fixture = new AfPacketFixture();
    ip('link set weir0 mtu 3000');
    for (const length of [1793, 2500, 1792]) fixture.send(testFrame(length, length));
    expect(receiveOne(fixture)).toEqual(testFrame(1792, 1792));
    expect(fixture.queue.truncatedCount).toBe(2);
    expect(fixture.pool.freeCount).toBe(SIZES.frames);
    fixture.close();
    for (const name of ['weir0', 'far0']) ip(`link set ${name} mtu 1500`);
  });

  it('counts what the kernel had no slot for', () => {
    const fixture = new AfPacketFixture();
    for (let i = 0; i < 200; i++) fixture.send(testFrame(i, 60));
    for (let i = 0; i < 128; i++) expect(receiveOne(fixture)).toEqual(testFrame(i, 60));
    // The mark stands on the frames that came after the loss.
    fixture.send(testFrame(300, 60));
    expect(receiveOne(fixture)).toEqual(testFrame(300, 60));
    fixture.queue.checkSocket();
    expect(fixture.queue.lostCount).toBe(72);
    fixture.close();
  });

  it('lets a successor go on with a receive ring that is full', () => {
    const fixture = new AfPacketFixture();
    for (let i = 0; i < 50; i++) fixture.send(testFrame(i, 60));
    for (let i = 0; i < 50; i++) receiveOne(fixture);
    for (let i = 0; i < 150; i++) fixture.send(testFrame(i, 60));
    fixture.reopen();
    const seen: number[] = [];
    for (let i = 0; i < 128; i++) {
      seen.push(new DataView(receiveOne(fixture).buffer).getUint32(8));
    }
    expect(seen).toEqual([...Array(128).keys()]);
    fixture.send(testFrame(500, 60));
    expect(receiveOne(fixture)).toEqual(testFrame(500, 60));
    fixture.close();
  });

  it('takes a frame again whose slot the killed process had not given back', () => {
    const fixture = new AfPacketFixture();
    for (let i = 0; i < 3; i++) fixture.send(testFrame(i, 60));
    expect(receiveOne(fixture)).toEqual(testFrame(0, 60));
    // As if it had died before its last store: the slot's status.
    const word = fixture.ringStart >> 2;
    fixture.memory.words[word] = 1;
    fixture.reopen();
    for (let i = 0; i < 3; i++) expect(receiveOne(fixture)).toEqual(testFrame(i, 60));
    for (let i = 0; i < 300; i++) {
      fixture.send(testFrame(i, 60));
      expect(receiveOne(fixture)).toEqual(testFrame(i, 60));
    }
    fixture.close();
  });

  it('sends a frame whose slot was filled but not counted', () => {
    const fixture = new AfPacketFixture();
    const { memory, pool, queue } = fixture;
    const offset = pool.take();
    memory.bytes.set(testFrame(1, 60), offset);
    expect(queue.transmit(offset, 60)).toBe(1);
    // As if it had died before its last store: the offered cursor, in the tail of slot 0.
    const cursor = (fixture.transmitStart + 2048 - 16 + 8) >> 2;
    expect(memory.words[cursor]).toBe(1);
    memory.words[cursor] = 0;
    fixture.reopen();
    fixture.queue.flush();
    for (let i = 2; i < 200; i++) {
      const next = fixture.pool.take();
      memory.bytes.set(testFrame(i, 60), next);
      expect(fixture.queue.transmit(next, 60)).toBe(1);
      fixture.queue.flush();
      fixture.queue.reclaim();
    }
    const frames = fixture.collect();
    expect(frames.length).toBe(199);
    for (const [at, frame] of frames.entries()) expect(frame).toEqual(testFrame(at + 1, 60));
    expect(fixture.pool.freeCount).toBe(SIZES.frames);
    fixture.close();
  });

  it('lets go of the error of a link that went down, so that poll(2) can wait again', () => {
    const fixture = new AfPacketFixture();
    fixture.setLinkUp(false);
    fixture.queue.checkSocket();
    expect(fixture.queue.lastError).toBe(100);
    fixture.queue.lastError = 0;
    fixture.queue.checkSocket();
    expect(fixture.queue.lastError).toBe(0);
    fixture.setLinkUp(true);
    fixture.close();
  });

  it('shares frames among queues: each frame in one, both directions of a flow in the same', () => {
    const far = new FarEnd('far0', TEST_TYPE);
    const opened = openAfPacket({ interfaceName: 'weir0', queues: 2, geometry: GEOMETRY });
    expect(opened.fileDescriptors.length).toBe(2);
    const memory = freshMemory();
    const queues = opened.fileDescriptors.map((fd, at) => new MappedQueue(memory, fd, at));
    const ports: number[][] = [[], []];
    const take = (pause: number): void => {
      const deadline = Date.now() + pause;
      const offsets = new Int32Array(32);
      const lengths = new Int32Array(32);
      while (Date.now() < deadline && ports[0].length + ports[1].length < 80) {
        for (const [at, { queue, pool }] of queues.entries()) {
          const count = queue.receiveBurst(offsets, lengths, 32);
          for (let i = 0; i < count; i++) {
            const source = memory.view.getUint16(offsets[i] + 34);
            const destination = memory.view.getUint16(offsets[i] + 36);
            ports[at].push(Math.max(source, destination));
            pool.give(offsets[i]);
          }
        }
      }
    };
    const udp = (from: string, to: string, ends: string): Uint8Array =>
      hex(`${macs} 0800 4500001c 00000000 4011 0000 ${from} ${to} ${ends} 00080000`);
    for (let port = 2000; port < 2040; port++) {
      const there = port.toString(16).padStart(4, '0');
      far.send(udp('0a000001', '0a000002', `${there}0035`));
      far.send(udp('0a000002', '0a000001', `0035${there}`));
    }
    take(5000);
    expect(ports[0].length + ports[1].length).toBe(80);
    for (const list of ports) {
      expect(list.length).toBeGreaterThan(0);
      for (const port of list) expect(list.filter((other) => other === port).length).toBe(2);
    }
    for (const mapped of queues) mapped.close();
    far.close();
  });
});

describe.skipIf(skip !== undefined)('opening', () => {
  const options = { interfaceName: 'weir0', queues: 1, geometry: GEOMETRY };

  it('refuses an interface on which the kernel has an address, or only warns', () => {
    ip('address add 10.9.0.1/24 dev weir0');
    expect(() => openAfPacket(options)).toThrow(/10\.9\.0\.1\/24 on weir0.*\n.*ip address del/);
    const opened = openAfPacket({ ...options, allowKernelAddress: true });
    expect(opened.warnings[0]).toContain('10.9.0.1/24');
    for (const fd of opened.fileDescriptors) closeFd(fd);
    ip('address flush dev weir0');
    const again = openAfPacket(options);
    expect(again.warnings).toEqual([]);
    expect(again.mtu).toBe(1500);
    for (const fd of again.fileDescriptors) closeFd(fd);
  });

  it('sets up an interface that is down, with several queues, too', () => {
    setLinkUp('weir0', false);
    const opened = openAfPacket({ ...options, queues: 2 });
    expect(readLink('weir0').up).toBe(true);
    for (const fd of opened.fileDescriptors) closeFd(fd);
  });

  it('warns when the kernel forwards', () => {
    execFileSync('sysctl', ['-qw', 'net.ipv4.conf.weir0.forwarding=1']);
    const opened = openAfPacket(options);
    expect(opened.warnings.join()).toContain('net.ipv4.conf.weir0.forwarding=0');
    for (const fd of opened.fileDescriptors) closeFd(fd);
    execFileSync('sysctl', ['-qw', 'net.ipv4.conf.weir0.forwarding=0']);
  });

  it('turns off what joins received segments, and says so', () => {
    execFileSync('ethtool', ['-K', 'weir0', 'gro', 'on']);
    const opened = openAfPacket(options);
    expect(opened.warnings.join()).toContain('weir0 joined received segments');
    expect(execFileSync('ethtool', ['-k', 'weir0']).toString()).toContain(
      'generic-receive-offload: off',
    );
    for (const fd of opened.fileDescriptors) closeFd(fd);
    const again = openAfPacket(options);
    expect(again.warnings).toEqual([]);
    for (const fd of again.fileDescriptors) closeFd(fd);
  });

  it('refuses a large MTU, the kernel’s loopback, and a name that is none', () => {
    ip('link set weir0 mtu 9000');
    expect(() => openAfPacket(options)).toThrow(/MTU of 9000/);
    ip('link set weir0 mtu 1500');
    expect(() => openAfPacket({ ...options, interfaceName: 'lo' })).toThrow(/loopback/);
    expect(() => openAfPacket({ ...options, interfaceName: 'none9' })).toThrow(/none9/);
  });
});
