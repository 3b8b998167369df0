// Several processors: frames handed over to the one that owns the way out, their return home, what a
// full ring and a full lane refuse, and one connection that two processors see.

import { describe, expect, it } from 'vitest';
import { expectSameFields } from '../../test/support/packet-fields.ts';
import { CLIENT, EXT, INT, SwitchBench } from '../../test/support/switch-bench.ts';
import {
  ACK,
  answer,
  answerAtClient,
  query,
  request,
  requestAtServer,
  SYN,
  SYN_ACK,
} from '../../test/support/switch-packets.ts';
import { readCounters } from '../memory/counters.ts';
import {
  HAND_OVER_LANE_CAPACITY,
  INTERFACE_QUEUE_PROCESSOR,
  PROCESSOR_SLEEPING,
} from '../memory/layout.ts';

/** Processor 0 has the clients' interface, processor 1 the servers'. */
const CROSSED = { queues: [[0], [1]] };
/** Each has one queue of each interface. */
const SHARED = {
  queues: [
    [0, 1],
    [0, 1],
  ],
};
const single = (bench: SwitchBench, p: number) => readCounters(bench.memory, p).single;

describe('frames for a queue of another processor', () => {
  it('are handed over both ways, and the frames come home', async () => {
    const bench = await SwitchBench.create(CROSSED);
    for (let i = 0; i < 1000; i++) {
      const there = bench.pass(i === 0 ? request(SYN) : request(ACK));
      expectSameFields(
        there.sent[0].bytes,
        (i === 0 ? requestAtServer(SYN) : requestAtServer(ACK)).bytes(),
      );
      const back = bench.pass(answer(SYN_ACK), INT);
      expectSameFields(back.sent[0].bytes, answerAtClient(SYN_ACK).bytes());
    }
    expect(single(bench, 0)).toMatchObject({ handedOver: 1000, takenOver: 1000, received: 1000 });
    expect(single(bench, 1)).toMatchObject({ handedOver: 1000, takenOver: 1000, received: 1000 });
    for (const { pool } of bench.processors) expect(pool.freeCount).toBe(128);
  });

  it('wake their new owner if it sleeps', async () => {
    const bench = await SwitchBench.create(CROSSED);
    expect(bench.processors[1].prepareToSleep()).toBe(true);
    bench.woken.length = 0;
    bench.inject(request(SYN), EXT);
    bench.processors[0].turn(bench.now);
    expect(bench.woken).toEqual([1]);
    expect(bench.processors[1].prepareToSleep()).toBe(false);
    const sleeping = bench.memory.processorWord(1, PROCESSOR_SLEEPING);
    expect(bench.memory.words[sleeping]).toBe(0);
    expect(bench.settle().length).toBe(1);
  });

  it('are refused when the lane is full, and all others arrive', async () => {
    const frames = 4096;
    const bench = await SwitchBench.create({ ...CROSSED, frames, wire: 2048 });
    const count = HAND_OVER_LANE_CAPACITY + 100;
    for (let i = 0; i < count; i++) bench.inject(query(), EXT);
    for (let i = 0; i < 40; i++) bench.processors[0].turn(bench.now);
    expect(bench.count('lane-full')).toBe(100);
    const sent = [];
    for (let i = 0; i < 40; i++) {
      bench.turn();
      sent.push(...bench.collect());
    }
    expect(sent.length).toBe(HAND_OVER_LANE_CAPACITY);
    bench.settle();
  });

  it('wait in the lane while the ring is full, and none is lost', async () => {
    const bench = await SwitchBench.create({ ...CROSSED, wire: 128 });
    const sent = [];
    for (let i = 0; i < 500; i++) {
      bench.inject(query(), EXT);
      bench.turn();
      // The far end takes a frame now and then only.
      if (i % 200 === 199) sent.push(...bench.collect());
    }
    for (let i = 0; i < 20; i++) {
      bench.turn();
      sent.push(...bench.collect());
    }
    bench.settle();
    const lost = bench.count('lane-full') + 500 - readCounters(bench.memory).single.received;
    expect(sent.length + lost).toBe(500);
  });

  it('are not sent where nobody polls', async () => {
    const bench = await SwitchBench.create({ queues: [[0], [1]] });
    bench.setInterface(INT, INTERFACE_QUEUE_PROCESSOR, -1);
    const stale = bench.pass(request(SYN));
    expect(stale.reasons).toEqual(['new-connection']);
  });
});

describe('a full ring', () => {
  it('refuses, is counted, and goes on when there is room', async () => {
    const bench = await SwitchBench.create({ wire: 64 });
    for (let i = 0; i < 70; i++) {
      bench.inject(query(), EXT);
      bench.turn();
    }
    expect(bench.count('transmit-full')).toBe(70 - 64);
    expect(bench.collect().length).toBe(64);
    bench.settle();
    expect(bench.pass(query()).reasons).toEqual(['connection']);
  });
});

describe('a connection that two processors see', () => {
  it('is one connection, whichever queue its packets come in on', async () => {
    const bench = await SwitchBench.create(SHARED);
    expect(bench.pass(request(SYN), EXT, 0).reasons).toEqual(['new-connection']);
    const back = bench.pass(answer(SYN_ACK), INT, 1);
    expect(back.reasons).toEqual(['connection']);
    expectSameFields(back.sent[0].bytes, answerAtClient(SYN_ACK).bytes());
    expect(bench.pass(request(ACK), EXT, 1).reasons).toEqual(['connection']);
    expect(bench.pass(request(ACK), EXT, 0).reasons).toEqual(['connection']);
    expect(readCounters(bench.memory).single).toMatchObject({
      connectionsInserted: 1,
      halfOpen: 0,
    });
  });

  it('begins once when its first packets come to both', async () => {
    const bench = await SwitchBench.create(SHARED);
    bench.inject(request(SYN), EXT, 0);
    bench.inject(request(SYN), EXT, 1);
    const sent = bench.settle();
    expect(bench.count('new-connection')).toBe(1);
    expect(bench.count('connection')).toBe(1);
    expectSameFields(sent[0].bytes, sent[1].bytes);
  });

  it('is left alone while the other processor is just recording it', async () => {
    const bench = await SwitchBench.create(SHARED);
    const other = bench.processors[1].connections;
    other.enterTurn();
    const record = other.reserve();
    const client = (10 << 24) | (1 << 16) | 10;
    const service = (10 << 24) | (1 << 16) | 100;
    other.setClientKey(record, client, service, (40_000 << 16) | 80, 6);
    other.index.place(record << 1, other.index.hashOf(record << 1));
    bench.inject(request(SYN), EXT, 0);
    bench.processors[0].turn(bench.now);
    expect(bench.count('insert-race')).toBe(1);
    other.index.clear(record << 1);
    other.abandon(record);
    expect(bench.pass(request(SYN)).reasons).toEqual(['new-connection']);
  });

  it('holds its packets with the processor that received them', async () => {
    const bench = await SwitchBench.create({ ...SHARED, known: [CLIENT] });
    bench.pass(request(SYN), EXT, 0);
    bench.pass(request(SYN), EXT, 1);
    expect(single(bench, 0).waiting).toBe(1);
    expect(single(bench, 1).waiting).toBe(1);
  });
});
