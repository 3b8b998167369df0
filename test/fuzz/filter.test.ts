// The whole switch under malformed frames: every truncation of every kind of frame, and a million
// damaged ones. Two switches go side by side that differ only in what their memory holds around the
// frames: were one byte read outside a frame, they would sooner or later decide differently; were one
// written, the poison would show it. And one of them takes all packets the long way through the filter:
// were the short one to do anything else, they would differ as well. What leaves is judged by an oracle
// of its own (forwarding-oracle.ts).
//
// The seed is printed; WEIR_SEED=… repeats a run, WEIR_FUZZ_FRAMES=… changes its length.

import { env } from 'node:process';
import { expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { readCounters } from '../../src/memory/counters.ts';
import { OWNER_FREE } from '../../src/memory/frame-pool.ts';
import { FRAME_HEADROOM, FRAME_SIZE } from '../../src/memory/layout.ts';
import { snapshotConnections } from '../../src/tables/connection-snapshot.ts';
import { judge } from '../support/forwarding-oracle.ts';
import { mutate } from '../support/frame-mutator.ts';
import { EXT, EXT_MAC, INT_MAC, SwitchBench } from '../support/switch-bench.ts';
import { FIXTURES } from '../support/switch-fixtures.ts';
import { handshake, query, request, SYN } from '../support/switch-packets.ts';

const FRAMES = Number(env.WEIR_FUZZ_FRAMES ?? 1_000_000);
const SEED = Number(env.WEIR_SEED ?? Date.now() % 0x7fffffff);
/** Frames after which the poison is looked at and laid anew. */
const POISON_EVERY = 64;
/** Longest frame that the switch writes on its own. */
const WRITTEN_MAX = 60;

/** A frame of each switch when it is free: as unlike as can be. */
const POISONED = [0x00, 0xff].map((value) => new Uint8Array(FRAME_SIZE).fill(value));

/** Two switches that must do the same. */
class Pair {
  readonly benches: SwitchBench[];
  private longest = 0;
  private readonly isPoisoned: Uint8Array[];

  constructor(benches: SwitchBench[]) {
    this.benches = benches;
    this.isPoisoned = benches.map(({ memory }) => new Uint8Array(memory.layout.frames));
    this.layPoison();
  }

  static async create(): Promise<Pair> {
    const benches: SwitchBench[] = [];
    for (let i = 0; i < 2; i++) {
      const rateLimits = { resets: 1_000_000, 'echo-replies': 1_000_000 };
      const bench = await SwitchBench.create({ configuration: { 'rate-limits': rateLimits } });
      if (i === 1) bench.goTheLongWay();
      prepare(bench);
      benches.push(bench);
    }
    return new Pair(benches);
  }

  layPoison(): void {
    for (const [i, { memory }] of this.benches.entries()) {
      const { framesStart, frameOwners, frames } = memory.layout;
      for (let frame = 0; frame < frames; frame++) {
        // One that waits for a neighbor is nobody's to write.
        const isFree = memory.words[(frameOwners >> 2) + frame] === OWNER_FREE;
        this.isPoisoned[i][frame] = isFree ? 1 : 0;
        const start = framesStart + frame * FRAME_SIZE;
        if (isFree) memory.bytes.set(POISONED[i], start);
      }
    }
    this.longest = WRITTEN_MAX;
  }

  /** Nothing may have been written before a frame's first byte nor behind the longest frame. */
  checkPoison(): void {
    for (const [i, { memory }] of this.benches.entries()) {
      const { framesStart, frames } = memory.layout;
      for (let frame = 0; frame < frames; frame++) {
        if (this.isPoisoned[i][frame] === 0) continue;
        const start = framesStart + frame * FRAME_SIZE;
        const data = start + FRAME_HEADROOM;
        const head = memory.bytes.subarray(start, data);
        const tail = memory.bytes.subarray(data + this.longest, start + FRAME_SIZE);
        if (!isAll(head, POISONED[i]) || !isAll(tail, POISONED[i])) {
          throw new Error(`written outside of frame ${frame}`);
        }
      }
    }
  }

  /** Sends a frame through both. @returns '' or what is wrong. */
  pass(bytes: Uint8Array, side: number): string {
    this.longest = Math.max(this.longest, bytes.length);
    const outcomes = this.benches.map((bench) => {
      bench.inject(bytes, side);
      bench.advance(1);
      return { sent: bench.collect(), reasons: bench.reasonsSum() };
    });
    const [first, second] = outcomes;
    const otherwise = 'otherwise on the long way, or by bytes outside of the frame';
    if (first.reasons !== second.reasons) return `decided ${otherwise}`;
    if (first.sent.length !== second.sent.length) return `sent ${otherwise}`;
    for (const [i, sent] of first.sent.entries()) {
      if (Buffer.compare(sent.bytes, second.sent[i].bytes) !== 0) return 'leaks bytes of others';
      const fault = judge(bytes, side === EXT ? EXT_MAC : INT_MAC, sent);
      if (fault !== '') return `${fault}: ${Buffer.from(sent.bytes).toString('hex')}`;
    }
    return '';
  }

  /** Every frame has its owner, every packet its reason. */
  checkBalance(): void {
    for (const bench of this.benches) bench.settle();
    const [first, second] = this.benches.map(({ memory }) => snapshotConnections(memory, 4096));
    expect(first).toEqual(second);
  }
}

function isAll(bytes: Uint8Array, poisoned: Uint8Array): boolean {
  return Buffer.compare(bytes, poisoned.subarray(0, bytes.length)) === 0;
}

/** The connections that the fixtures belong to. */
function prepare(bench: SwitchBench): void {
  bench.pass(query());
  handshake(bench);
  bench.pass(request({ ...SYN, destinationPort: 81 }));
}

function expectGood(fault: string, bytes: Uint8Array, what: string): void {
  if (fault === '') return;
  throw new Error(`${what}: ${fault}\n  came of ${Buffer.from(bytes).toString('hex')}`);
}

it('every truncation of every frame', async () => {
  const pair = await Pair.create();
  for (const { name, side, bytes } of FIXTURES) {
    for (let length = 0; length <= bytes.length; length++) {
      const cut = bytes.slice(0, length);
      expectGood(pair.pass(cut, side), cut, `${name}, ${length} bytes`);
    }
    pair.checkPoison();
    pair.layPoison();
  }
  pair.checkBalance();
});

it('damaged frames from one processor to another', { timeout: 120_000 }, async () => {
  console.log(`seed ${SEED}`);
  const random = new Prng(SEED);
  const bench = await SwitchBench.create({ queues: [[0], [1]] });
  prepare(bench);
  const frames = FIXTURES.map(({ bytes }) => bytes);
  for (let i = 0; i < FRAMES / 10; i++) {
    const { side, bytes: whole } = FIXTURES[random.below(FIXTURES.length)];
    const bytes = mutate(random, whole, frames);
    bench.inject(bytes, side);
    // The second turn is for frames handed to the processor that has had its first.
    for (let turn = 0; turn < 2; turn++) bench.advance(1);
    for (const sent of bench.collect()) {
      const fault = judge(bytes, side === EXT ? EXT_MAC : INT_MAC, sent);
      expectGood(fault, bytes, `seed ${SEED}, frame ${i}, interface ${side}`);
    }
    if (i % 1000 === 0) bench.settle();
  }
  bench.settle();
  expect(readCounters(bench.memory).single.handedOver).toBeGreaterThan(FRAMES / 200);
});

it(`${FRAMES} damaged frames`, { timeout: 300_000 }, async () => {
  console.log(`seed ${SEED}`);
  const random = new Prng(SEED);
  const pair = await Pair.create();
  const frames = FIXTURES.map(({ bytes }) => bytes);
  for (let i = 0; i < FRAMES; i++) {
    const fixture = FIXTURES[random.below(FIXTURES.length)];
    const bytes = mutate(random, fixture.bytes, frames);
    const side = random.below(16) === 0 ? 1 - fixture.side : fixture.side;
    expectGood(pair.pass(bytes, side), bytes, `seed ${SEED}, frame ${i}, interface ${side}`);
    if (i % POISON_EVERY === POISON_EVERY - 1) {
      pair.checkPoison();
      pair.layPoison();
    }
  }
  pair.checkBalance();
  const [reading] = pair.benches.map(({ memory }) => readCounters(memory));
  const seen = Object.entries(reading.reasons).filter(([, count]) => count > 0);
  console.log(seen.map(([name, count]) => `${name} ${count}`).join(', '));
  // Damage that is only ever dropped would prove little.
  expect(reading.verdicts.forwarded).toBeGreaterThan(FRAMES / 20);
  expect(reading.verdicts.consumed).toBeGreaterThan(FRAMES / 100);
});
