// The contract of an interface queue (contract.ts) as tests: one suite that every kind of interface
// is held against, so that the packet engine may know only the contract. A kind brings a fixture: a
// queue, and a far end at which frames can be put on the wire and taken off it.
// The invariant behind most of it: every frame is in exactly one place (contract.harness.ts).

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import { OWNER_PROCESSOR } from '../memory/frame-pool.ts';
import {
  type ContractFixture,
  ETHERNET_MINIMUM,
  expectSame,
  Harness,
  MAXIMUM_LENGTH,
  MINIMUM_LENGTH,
  testFrame,
  WINDOW,
} from './contract.harness.ts';

const SEED = 20261120;

export interface ContractOptions {
  /** Why the suite cannot run here; it is printed. */
  readonly skip?: string | undefined;
}

/** Runs the contract against one kind of interface. `makeFixture` is called before each test. */
export function describeInterfaceContract(
  name: string,
  makeFixture: () => ContractFixture,
  options: ContractOptions = {},
): void {
  if (options.skip !== undefined) {
    console.warn(`skipped: the interface contract on ${name}: ${options.skip}`);
  }
  describe.skipIf(options.skip !== undefined)(`the interface contract: ${name}`, () => {
    let fixture: ContractFixture;
    let harness: Harness;
    beforeEach(() => {
      fixture = makeFixture();
      harness = new Harness(fixture);
    });
    afterEach(() => fixture.close());
    const current = () => ({ fixture, harness });
    describeReceiving(current);
    describeTransmitting(current);
    describeOwnership(current);
    describeTrouble(current);
  });
}

type Current = () => { fixture: ContractFixture; harness: Harness };

function describeReceiving(current: Current): void {
  it('gives nothing when nothing has come', () => {
    const { harness } = current();
    for (let i = 0; i < 5; i++) expect(harness.receive()).toBe(0);
    harness.checkOwners();
  });

  it('keeps to the limit of a burst, and to the order', () => {
    const { fixture, harness } = current();
    for (let i = 0; i < 20; i++) fixture.send(testFrame(i, 60));
    const seen: number[] = [];
    harness.until(() => {
      const count = harness.receive(8);
      for (let i = 0; i < count; i++) {
        seen.push(new DataView(harness.bytesOf(i).buffer).getUint32(8));
        harness.give(harness.offsets[i]);
      }
      return seen.length >= 20;
    }, '20 frames');
    expect(seen).toEqual([...seen.keys()]);
    expect(seen.length).toBe(20);
    harness.checkOwners();
  });

  it('takes a limit of one and of nought', () => {
    const { fixture, harness } = current();
    fixture.send(testFrame(1, 60));
    fixture.send(testFrame(2, 60));
    expect(harness.receive(0)).toBe(0);
    harness.until(() => harness.receive(1) === 1, 'one frame');
    expectSame(harness.bytesOf(0), testFrame(1, 60), false);
    harness.give(harness.offsets[0]);
    expectSame(harness.receiveFrames(1)[0], testFrame(2, 60), false);
    harness.checkOwners();
  });

  it('receives every length byte for byte', () => {
    const { fixture, harness } = current();
    for (let start = MINIMUM_LENGTH; start <= MAXIMUM_LENGTH; start += WINDOW) {
      const end = Math.min(start + WINDOW, MAXIMUM_LENGTH + 1);
      for (let length = start; length < end; length++) fixture.send(testFrame(length, length));
      const frames = harness.receiveFrames(end - start);
      for (const [at, frame] of frames.entries()) {
        expectSame(frame, testFrame(start + at, start + at), fixture.padsToMinimum === true);
      }
    }
    harness.checkOwners();
  });
}

function describeTransmitting(current: Current): void {
  it('sends every length byte for byte, from anywhere in the chunk', () => {
    const { fixture, harness } = current();
    for (let start = MINIMUM_LENGTH; start <= MAXIMUM_LENGTH; start += WINDOW) {
      const end = Math.min(start + WINDOW, MAXIMUM_LENGTH + 1);
      for (let length = start; length < end; length++) {
        harness.transmitBytes(testFrame(length, length), (length % 256) - 128);
      }
      fixture.queue.flush();
      const frames = harness.collectFrames(end - start);
      for (const [at, frame] of frames.entries()) {
        expectSame(frame, testFrame(start + at, start + at), fixture.padsToMinimum === true);
      }
      harness.reclaimAll();
    }
    harness.checkOwners();
  });

  it('sends nothing before flush', () => {
    const { fixture, harness } = current();
    harness.transmitBytes(testFrame(1, 60));
    expect(fixture.collect()).toEqual([]);
    fixture.queue.flush();
    expect(harness.collectFrames(1).length).toBe(1);
    harness.reclaimAll();
    harness.checkOwners();
  });

  it('refuses when it is full, and the frame stays the caller’s', () => {
    const { fixture, harness } = current();
    const bytes = testFrame(1, 60);
    for (let i = 0; i < fixture.transmitCapacity; i++) harness.transmitBytes(bytes);
    const refused = harness.take();
    fixture.memory.bytes.set(bytes, refused);
    expect(harness.transmit(refused, bytes.length)).toBe(0);
    expect(harness.transmit(refused, bytes.length)).toBe(0);
    harness.checkOwners();
    const frame = fixture.pool.frameOf(refused);
    expect(fixture.pool.ownerOf(frame) & ~0xffff).toBe(OWNER_PROCESSOR);
    harness.until(() => {
      fixture.queue.flush();
      fixture.collect();
      return harness.reclaim() > 0;
    }, 'room again');
    expect(harness.transmit(refused, bytes.length)).toBe(1);
    harness.until(() => {
      fixture.collect();
      harness.reclaimAll();
      return true;
    }, 'all reclaimed');
    harness.checkOwners();
  });

  it('does no harm when it flushes or reclaims nothing', () => {
    const { fixture, harness } = current();
    for (let i = 0; i < 3; i++) {
      fixture.queue.flush();
      expect(harness.reclaim()).toBe(0);
    }
    expect(fixture.collect()).toEqual([]);
    harness.transmitBytes(testFrame(1, 60));
    fixture.queue.flush();
    fixture.queue.flush();
    harness.collectFrames(1);
    harness.reclaimAll();
    expect(harness.reclaim()).toBe(0);
    harness.checkOwners();
  });
}

function describeOwnership(current: Current): void {
  it('receives again after the pool was empty', () => {
    const { fixture, harness } = current();
    const taken: number[] = [];
    for (let offset = harness.take(); offset !== -1; offset = harness.take()) taken.push(offset);
    expect(harness.refill()).toBe(0);
    if (!fixture.receivesIntoRefilled) {
      fixture.send(testFrame(1, 60));
      for (let i = 0; i < 20; i++) expect(harness.receive()).toBe(0);
    }
    harness.checkOwners();
    for (const offset of taken) harness.give(offset);
    harness.refill();
    if (fixture.receivesIntoRefilled) fixture.send(testFrame(1, 60));
    fixture.send(testFrame(2, 60));
    const frames = harness.receiveFrames(2);
    expectSame(frames[0], testFrame(1, 60), false);
    expectSame(frames[1], testFrame(2, 60), false);
    harness.checkOwners();
  });

  it('forwards 10,000 frames, each once, in order, unchanged', () => {
    const { fixture, harness } = current();
    const random = new Prng(SEED);
    const lengthOf = () => ETHERNET_MINIMUM + random.below(MAXIMUM_LENGTH - ETHERNET_MINIMUM + 1);
    for (let sent = 0; sent < 10_000; ) {
      const count = Math.min(1 + random.below(WINDOW), 10_000 - sent);
      const expected: Uint8Array[] = [];
      for (let i = 0; i < count; i++) expected.push(testFrame(sent + i, lengthOf()));
      for (const bytes of expected) fixture.send(bytes);
      let forwarded = 0;
      harness.until(
        () => {
          const received = harness.receive();
          for (let i = 0; i < received; i++) {
            expect(harness.transmit(harness.offsets[i], harness.lengths[i])).toBe(1);
          }
          fixture.queue.flush();
          harness.reclaim();
          harness.refill();
          forwarded += received;
          return forwarded >= count;
        },
        `frame ${sent + forwarded} of seed ${SEED}`,
      );
      const frames = harness.collectFrames(count);
      for (const [at, frame] of frames.entries()) expectSame(frame, expected[at], false);
      sent += count;
    }
    harness.reclaimAll();
    harness.checkOwners();
  }, 120_000);
}

function describeTrouble(current: Current): void {
  it('goes on after the link was down', ({ skip }) => {
    const { fixture, harness } = current();
    if (fixture.setLinkUp === undefined) return skip('it has no link');
    for (let round = 0; round < 2; round++) {
      fixture.setLinkUp(false);
      for (let i = 0; i < 2000; i++) expect(harness.receive()).toBe(0);
      fixture.queue.flush();
      fixture.setLinkUp(true);
      harness.until(() => {
        // What a link that has just come up loses, no interface can promise to deliver.
        fixture.send(testFrame(7, 60));
        const count = harness.receive();
        for (let i = 0; i < count; i++) harness.give(harness.offsets[i]);
        return count > 0;
      }, 'a frame after the link came up');
      harness.until(() => {
        const count = harness.receive();
        for (let i = 0; i < count; i++) harness.give(harness.offsets[i]);
        return count === 0;
      }, 'silence');
      harness.refill();
      harness.until(() => {
        harness.transmitBytes(testFrame(8, 60));
        fixture.queue.flush();
        harness.reclaim();
        return fixture.collect().length > 0;
      }, 'a frame sent after the link came up');
      harness.reclaimAll();
      fixture.collect();
      harness.checkOwners();
    }
  });

  it('lets a successor go on where a killed process has stopped', ({ skip }) => {
    const { fixture, harness } = current();
    if (fixture.reopen === undefined) return skip('it ends with its process');
    for (let round = 0; round < 12; round++) {
      // Left behind: frames not yet received, one in the hands, some sent but not reclaimed.
      for (let i = 0; i < 5 + round; i++) fixture.send(testFrame(i, 60 + i));
      harness.until(() => harness.receive(1) === 1, 'the first frame');
      expectSame(harness.bytesOf(0), testFrame(0, 60), false);
      for (let i = 0; i < round; i++) harness.transmitBytes(testFrame(100 + i, 100 + i));
      fixture.queue.flush();
      harness.reopen();
      const received = harness.receiveFrames(4 + round);
      for (const [at, frame] of received.entries()) {
        expectSame(frame, testFrame(1 + at, 61 + at), false);
      }
      const sent = harness.collectFrames(round);
      for (const [at, frame] of sent.entries()) {
        expectSame(frame, testFrame(100 + at, 100 + at), false);
      }
      harness.transmitBytes(testFrame(200, 200));
      fixture.queue.flush();
      expectSame(harness.collectFrames(1)[0], testFrame(200, 200), false);
      harness.reclaimAll();
      fixture.confirmSuspects?.();
      harness.refill();
      harness.checkOwners();
    }
  });

  it('sends what was offered but not flushed at most once after a restart', ({ skip }) => {
    const { fixture, harness } = current();
    if (fixture.reopen === undefined) return skip('it ends with its process');
    harness.transmitBytes(testFrame(1, 60));
    harness.transmitBytes(testFrame(2, 60));
    harness.reopen();
    harness.transmitBytes(testFrame(3, 60));
    fixture.queue.flush();
    const numbers: number[] = [];
    harness.until(() => {
      for (const frame of fixture.collect()) {
        numbers.push(new DataView(frame.buffer, frame.byteOffset).getUint32(8));
      }
      return numbers.includes(3);
    }, 'the frame offered after the restart');
    expect([[1, 2, 3], [3]]).toContainEqual(numbers);
    // What was never published never reached the interface: those frames are the pool's to find.
    if (numbers.length === 1) harness.forgetTransmitted(2);
    harness.reclaimAll();
    fixture.confirmSuspects?.();
    harness.checkOwners();
  });
}
