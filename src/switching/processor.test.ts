// The turn of a switching processor: what it reads under which generation, how it ends and begins again
// without losing a frame or a connection, and that every reason has its row in some table of packets.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { B2, EXT, INT, SwitchBench, service } from '../../test/support/switch-bench.ts';
import { ACK, answer, handshake, query, request, SYN } from '../../test/support/switch-packets.ts';
import {
  COUNTER_CONNECTIONS_TAKEN,
  COUNTER_HALF_OPEN,
  countersBase,
  readCounters,
} from '../memory/counters.ts';
import { PROCESSOR_STATE, STATE_STOPPED } from '../memory/layout.ts';
import { REASONS } from '../memory/reasons.ts';
import { BURST_SIZE } from './packet-engine.ts';

/** What is left of a round of the sweep, two rounds, and all backends struck out. */
const RECOUNT_MS = 2500;

describe('a turn', () => {
  it('reads one configuration from its beginning to its end', async () => {
    const bench = await SwitchBench.create();
    for (let i = 0; i < 10; i++) {
      bench.inject(request({ ...SYN, sourcePort: 100 + i }), EXT);
    }
    const onlySecond = [{ name: 'b2', address: B2, port: 8080 }];
    const published = bench.publish({ services: [service('web', { backends: onlySecond })] });
    // The turn of `publish` is the first under the new configuration: all ten go by it.
    await published;
    expect(bench.collect().filter(({ bytes }) => bytes[5] === 12).length).toBe(10);
    bench.settle();
  });

  it('takes a burst from each queue, and leaves the rest for the next', async () => {
    const bench = await SwitchBench.create();
    for (let i = 0; i < BURST_SIZE + 1; i++) bench.inject(query(), EXT);
    bench.inject(request(ACK), INT);
    expect(bench.processors[0].turn(bench.now)).toBe(BURST_SIZE + 1);
    expect(readCounters(bench.memory).single.received).toBe(BURST_SIZE + 1);
    expect(bench.processors[0].turn(bench.now)).toBe(1);
    expect(bench.processors[0].turn(bench.now)).toBe(0);
    bench.settle();
  });

  it('switches nothing before there is a configuration', async () => {
    const bench = SwitchBench.unconfigured();
    bench.inject(request(SYN), EXT);
    bench.turn();
    expect(readCounters(bench.memory).single.received).toBe(0);
    await bench.publish({});
    bench.advance(1);
    expect(readCounters(bench.memory).single.received).toBe(1);
  });

  it('goes on after sleep with what was published meanwhile', async () => {
    const bench = await SwitchBench.create();
    expect(bench.processors[0].prepareToSleep()).toBe(true);
    expect(readCounters(bench.memory).single.sleeps).toBe(1);
    await bench.publishWithoutTurn({ services: [service('web', { port: 99 })] });
    bench.processors[0].woke();
    expect(bench.pass(request(SYN)).reasons).toEqual(['reset-invalid-service']);
  });

  it('reads the other buffer only after it has shown so', async () => {
    const bench = await SwitchBench.create();
    for (let i = 0; i < 9; i++) {
      const port = 1000 + i;
      await bench.publish({ services: [service('web', { port })] });
      expect(
        bench.pass(request({ ...SYN, destinationPort: port, sourcePort: port })).reasons,
      ).toEqual(['new-connection']);
      expect(
        bench.pass(request({ ...SYN, destinationPort: port - 1, sourcePort: 5 })).reasons,
      ).toEqual(['reset-invalid-service']);
    }
  });
});

describe('a processor that begins again', () => {
  it('has all its frames, and the connections of the one before', async () => {
    const bench = await SwitchBench.create({ queues: [[0], [1]] });
    handshake(bench);
    bench.inject(request(ACK), EXT);
    // Killed after it has handed a frame over, and with frames in a ring of its own.
    bench.inject(answer(ACK), INT);
    bench.turn();
    bench.restart(0);
    bench.settle();
    expect(bench.pass(request(ACK)).reasons).toEqual(['connection']);
    expect(bench.pass(answer(ACK), INT).reasons).toEqual(['connection']);
    const free = bench.processors.reduce((sum, { pool }) => sum + pool.freeCount, 0);
    expect(free + bench.processors[0].pool.suspectCount).toBe(256);
  });

  it('gives back what it held for a neighbor', async () => {
    const bench = await SwitchBench.create({ known: [] });
    bench.pass(request(SYN));
    bench.restart(0);
    bench.turn();
    expect(bench.processors[0].pool.freeCount).toBe(256);
    expect(readCounters(bench.memory).single.waiting).toBe(0);
  });

  it('has the connections recounted, which may be wrong by what was under way', async () => {
    const bench = await SwitchBench.create({ queues: [[0], [1]] });
    handshake(bench);
    const { memory } = bench;
    const killed = countersBase(memory, 1);
    memory.doubles[killed + COUNTER_HALF_OPEN] += 1;
    memory.doubles[killed + COUNTER_CONNECTIONS_TAKEN] -= 1;
    const read = () => {
      const { connectionsTaken, halfOpen } = readCounters(memory).single;
      return { connectionsTaken, halfOpen };
    };
    expect(read()).toEqual({ connectionsTaken: 0, halfOpen: 1 });
    bench.restart(1);
    for (let i = 0; i < RECOUNT_MS; i++) bench.advance(1);
    expect(read()).toEqual({ connectionsTaken: 1, halfOpen: 0 });
    bench.settle();
  });

  it('shows when it has stopped', async () => {
    const bench = await SwitchBench.create();
    bench.processors[0].stop();
    const state = bench.memory.words[bench.memory.processorWord(0, PROCESSOR_STATE)];
    expect(state).toBe(STATE_STOPPED);
  });
});

describe('the reasons', () => {
  it('each have a packet that ends so in some test of this folder', () => {
    const folder = new URL('.', import.meta.url);
    const tests = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
    const text = tests.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
    const missing = REASONS.map(([name]) => name).filter((name) => !text.includes(`'${name}'`));
    expect(missing).toEqual([]);
  });
});
