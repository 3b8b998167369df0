import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { builtModule } from '../../test/support/built-module.ts';
import { countingAtomics, Killed, killableProcess } from '../../test/support/killable-memory.ts';
import { Prng } from '../base/prng.ts';
import { MAX_NEIGHBORS, NEIGHBOR_SIZE } from '../memory/layout.ts';
import { plainMainMemory } from '../memory/region.ts';
import * as entry from './neighbor-entry.ts';
import * as neighbor from './neighbor-table.ts';
import { NeighborTable } from './neighbor-table.ts';

const BASE = 16;
const TABLE_WORDS = (MAX_NEIGHBORS * NEIGHBOR_SIZE) / 4;
const ADDRESS = (10 << 24) | 5;
/** Close to where int32 milliseconds wrap, so that every wait below crosses it. */
const START = 0x7ffffff0;
const { SEND, SEND_AND_PROBE, WAIT, WAIT_AND_PROBE, UNREACHABLE } = neighbor;

function made(): { words: Int32Array; table: NeighborTable } {
  const words = new Int32Array(BASE + TABLE_WORDS);
  return { words, table: new NeighborTable(words, BASE) };
}

/** A table with one neighbor that has answered at START. */
function resolved() {
  const { words, table } = made();
  const index = table.findOrCreate(3, ADDRESS, START);
  expect(table.use(index, START)).toBe(WAIT_AND_PROBE);
  expect(table.learn(index, 0x0200, 0x11223344, START)).toBe(1);
  return { words, table, index, at: BASE + index * entry.ENTRY_WORDS };
}

const after = (ms: number) => (START + ms) | 0;

describe('neighbor entries', () => {
  it('are found by interface and address, and by nothing else', () => {
    const { table } = made();
    expect(table.find(3, ADDRESS)).toBe(neighbor.NOT_FOUND);
    const index = table.findOrCreate(3, ADDRESS, START);
    expect(table.findOrCreate(3, ADDRESS, START)).toBe(index);
    expect(table.find(3, ADDRESS)).toBe(index);
    expect(table.find(2, ADDRESS)).toBe(neighbor.NOT_FOUND);
    expect(table.find(3, ADDRESS + 1)).toBe(neighbor.NOT_FOUND);
    expect(table.findOrCreate(2, ADDRESS, START)).not.toBe(index);
    expect(table.matches(index, 3, ADDRESS)).toBe(1);
    expect(table.matches(index, 2, ADDRESS)).toBe(0);
    expect(table.matches(index, 3, ADDRESS + 1)).toBe(0);
    expect(table.interfaceNumber(index)).toBe(3);
    expect(table.address(index)).toBe(ADDRESS);
    expect(table.state(index)).toBe(entry.NEIGHBOR_NONE);
    expect(table.readMac(index)).toBe(0);
  });

  it('hold every MAC address as it was learned', () => {
    const { table, index } = resolved();
    const seed = 7;
    const random = new Prng(seed);
    for (let i = 0; i < 1000; i++) {
      const high = random.below(65536);
      const low = random.next();
      expect(table.learn(index, high, low, START)).toBe(1);
      expect(table.readMac(index)).toBe(1);
      expect([table.macHigh, table.macLow]).toEqual([high, low]);
    }
  });

  it('can be learned at any time, also when the clock reads 0', () => {
    const { table } = made();
    for (const now of [0, 1, -1, -2147483648, 2147483647]) {
      expect(table.learn(table.findOrCreate(1, ADDRESS, now), 1, 2, now)).toBe(1);
    }
  });

  it('share the table: a second view of the same words sees them', () => {
    const { words, index } = resolved();
    const other = new NeighborTable(words, BASE);
    expect(other.find(3, ADDRESS)).toBe(index);
    expect(other.readMac(index)).toBe(1);
    expect([other.macHigh, other.macLow]).toEqual([0x0200, 0x11223344]);
  });

  it('fill most of the table before one finds no room', () => {
    const { table } = made();
    let count = 0;
    while (table.findOrCreate(1, count, START) !== neighbor.NOT_FOUND) count++;
    expect(count).toBeGreaterThan(MAX_NEIGHBORS / 2);
    for (let address = 0; address < count; address++) {
      expect(table.matches(table.find(1, address), 1, address)).toBe(1);
    }
  });
});

describe('recycling', () => {
  /** Fills the table; the last address is the first that found no room. */
  function full(use: boolean) {
    const { table, words } = made();
    let address = 0;
    for (; ; address++) {
      const index = table.findOrCreate(1, address, START);
      if (index === neighbor.NOT_FOUND) break;
      if (use) table.use(index, START);
      table.learn(index, 1, address, START);
    }
    return { table, words, address };
  }

  it('gives an entry that was never used away after a second, with nothing of the old', () => {
    const { table, address } = full(false);
    expect(table.findOrCreate(1, address, after(999))).toBe(neighbor.NOT_FOUND);
    const index = table.findOrCreate(1, address, after(1000));
    expect(index).not.toBe(neighbor.NOT_FOUND);
    expect(table.find(1, address)).toBe(index);
    expect(table.recycled(index)).toBe(1);
    expect(table.recycled((index + 1) & (MAX_NEIGHBORS - 1))).toBe(0);
    expect(table.readMac(index)).toBe(0);
    expect(table.use(index, after(1000))).toBe(WAIT_AND_PROBE);
    expect(table.learn(index, 9, 9, after(1000))).toBe(1);
    expect(table.readMac(index)).toBe(1);
    expect([table.macHigh, table.macLow]).toEqual([9, 9]);
    const old = Array.from({ length: address }, (_, each) => each);
    expect(old.filter((each) => table.find(1, each) === neighbor.NOT_FOUND)).toHaveLength(1);
    for (const each of old) expect(table.matches(index, 1, each)).toBe(0);
  });

  it('gives a used entry away after a minute, and never a permanent one', () => {
    const { table, address } = full(true);
    expect(table.findOrCreate(1, address, after(59_999))).toBe(neighbor.NOT_FOUND);
    for (let each = 0; each < address; each++) {
      table.setPermanent(table.find(1, each), 1, each, START);
    }
    expect(table.findOrCreate(1, address, after(60_000))).toBe(neighbor.NOT_FOUND);
  });

  it('refuses what was meant for the neighbor that had the entry before', () => {
    const { table, words, address } = full(false);
    const slow = new NeighborTable(words, BASE);
    const taken = table.findOrCreate(1, address, after(1000));
    // `slow` found the entry when it still was the old neighbor's: as if it had been interrupted.
    Object.assign(slow, { foundIndex: taken, foundKey: 2 });
    expect(slow.learn(taken, 6, 6, after(1000))).toBe(0);
    expect(table.readMac(taken)).toBe(0);
  });
});

describe('states', () => {
  it('asks once a second, three times, gives up, and tries again after a while', () => {
    const { table } = made();
    const index = table.findOrCreate(3, ADDRESS, START);
    const walk = (ms: number) => table.use(index, after(ms));
    expect(walk(0)).toBe(WAIT_AND_PROBE);
    expect(table.isProbeUnicast).toBe(0);
    expect(walk(0)).toBe(WAIT);
    expect(walk(999)).toBe(WAIT);
    expect(table.shouldProbe(index, after(999))).toBe(0);
    expect(table.shouldProbe(index, after(1000))).toBe(1);
    expect(walk(1001)).toBe(WAIT);
    expect(walk(2000)).toBe(WAIT_AND_PROBE);
    expect(walk(2999)).toBe(WAIT);
    expect(table.isUnreachable(index)).toBe(false);
    expect(walk(3000)).toBe(UNREACHABLE);
    expect(table.isUnreachable(index)).toBe(true);
    expect(walk(4999)).toBe(UNREACHABLE);
    expect(walk(5000)).toBe(WAIT_AND_PROBE);
    expect(table.state(index)).toBe(entry.NEIGHBOR_INCOMPLETE);
    expect(walk(5001)).toBe(WAIT);
    expect(table.learn(index, 1, 2, after(5002))).toBe(1);
    expect(walk(5003)).toBe(SEND);
    expect(table.readMac(index)).toBe(1);
  });

  it('is asked anew when nobody has wanted it since it was asked in vain', () => {
    const { table } = made();
    const index = table.findOrCreate(3, ADDRESS, START);
    for (const ms of [0, 1000, 2000]) expect(table.use(index, after(ms))).toBe(WAIT_AND_PROBE);
    expect(table.use(index, after(60_000))).toBe(WAIT_AND_PROBE);
    expect(table.use(index, after(61_000))).toBe(WAIT_AND_PROBE);
    expect(table.use(index, after(62_000))).toBe(WAIT_AND_PROBE);
    expect(table.use(index, after(63_000))).toBe(UNREACHABLE);
  });

  it('goes out of date, is used on, delays, and is asked before it is given up', () => {
    const { table, index } = resolved();
    const walk = (ms: number) => table.use(index, after(ms));
    const state = () => entry.NEIGHBOR_STATES[table.state(index)];
    expect(walk(29_999)).toBe(SEND);
    expect(state()).toBe('reachable');
    expect(walk(30_000)).toBe(SEND);
    expect(state()).toBe('delay');
    expect(walk(34_999)).toBe(SEND);
    expect(walk(35_000)).toBe(SEND_AND_PROBE);
    expect([state(), table.isProbeUnicast]).toEqual(['probe', 1]);
    expect(walk(35_000)).toBe(SEND);
    expect(walk(36_000)).toBe(SEND_AND_PROBE);
    expect(table.isProbeUnicast).toBe(1);
    expect(walk(36_999)).toBe(SEND);
    expect(walk(37_000)).toBe(SEND_AND_PROBE);
    expect(table.isProbeUnicast).toBe(0);
    expect(table.readMac(index)).toBe(1);
    expect(walk(38_000)).toBe(UNREACHABLE);
    expect([state(), table.readMac(index)]).toEqual(['failed', 0]);
  });

  it('is reachable again by an answer at any point', () => {
    for (const ms of [0, 30_000, 35_000, 36_000, 37_000]) {
      const { table, index } = resolved();
      for (let now = 0; now <= ms; now += 500) table.use(index, after(now));
      expect(table.learn(index, 0x0200, 0x11223344, after(ms))).toBe(1);
      expect(table.state(index)).toBe(entry.NEIGHBOR_REACHABLE);
      expect(table.use(index, after(ms + 29_999))).toBe(SEND);
      expect(table.state(index)).toBe(entry.NEIGHBOR_REACHABLE);
    }
  });

  it('stays reachable while connections confirm it, and only then', () => {
    const { table, index } = resolved();
    for (let ms = 0; ms < 120_000; ms += 5000) {
      expect(table.use(index, after(ms))).toBe(SEND);
      table.confirm(index, after(ms));
      expect(table.state(index)).toBe(entry.NEIGHBOR_REACHABLE);
    }
    table.use(index, after(115_000 + 30_000));
    expect(table.state(index)).toBe(entry.NEIGHBOR_DELAY);
    table.confirm(index, after(115_000 + 31_000));
    expect(table.state(index)).toBe(entry.NEIGHBOR_REACHABLE);
    const unknown = table.findOrCreate(3, 99, START);
    table.confirm(unknown, START);
    expect(table.state(unknown)).toBe(entry.NEIGHBOR_NONE);
  });

  it('never asks for nor changes a permanent neighbor', () => {
    const { table, index } = resolved();
    expect(table.setPermanent(index, 7, 8, START)).toBe(1);
    for (const ms of [0, 40_000, 1 << 30]) expect(table.use(index, after(ms))).toBe(SEND);
    expect(table.learn(index, 1, 1, START)).toBe(0);
    table.confirm(index, START);
    expect(table.state(index)).toBe(entry.NEIGHBOR_PERMANENT);
    expect(table.readMac(index)).toBe(1);
    expect([table.macHigh, table.macLow]).toEqual([7, 8]);
  });

  it('is not taken for fresh when the clock has wrapped since', () => {
    const { table, index } = resolved();
    table.use(index, after(0x80001000 | 0));
    expect(table.state(index)).toBe(entry.NEIGHBOR_DELAY);
  });
});

describe('a writer that dies', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('at any write while learning leaves the old address or the new, and is superseded', () => {
    vi.stubGlobal('Atomics', countingAtomics);
    const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
    const base = memory.layout.neighborTable >> 2;
    const table = new NeighborTable(memory.words, base);
    const process = killableProcess(memory);
    const doomed = new NeighborTable(process.memory.words, base);
    const index = table.findOrCreate(1, ADDRESS, START);
    table.use(index, START);
    let deaths = 0;
    for (let writes = 0; ; writes++) {
      const then = after(writes * 5000);
      expect(table.learn(index, 1, 1, then)).toBe(1);
      expect(doomed.find(1, ADDRESS)).toBe(index);
      process.allow(writes);
      let isDead = false;
      try {
        doomed.learn(index, 2, 2, then);
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        isDead = true;
      }
      expect(table.readMac(index)).toBe(1);
      expect(table.macHigh === table.macLow).toBe(true);
      if (!isDead) break;
      deaths++;
      // Held by the dead for a second at most; unless it died before it took the writer word.
      expect(table.learn(index, 3, 3, (then + 990) | 0)).toBe(writes === 0 ? 1 : 0);
      expect(table.learn(index, 3, 3, (then + 1010) | 0)).toBe(1);
      expect(table.readMac(index)).toBe(1);
      expect([table.macHigh, table.macLow]).toEqual([3, 3]);
    }
    expect(deaths).toBeGreaterThan(6);
  });

  it('while claiming an entry costs that place, and after a second nothing else', () => {
    vi.stubGlobal('Atomics', countingAtomics);
    const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
    const base = memory.layout.neighborTable >> 2;
    const process = killableProcess(memory);
    const doomed = new NeighborTable(process.memory.words, base);
    for (let writes = 1; writes < 7; writes++) {
      memory.words.fill(0, base, base + TABLE_WORDS);
      process.allow(writes);
      expect(() => doomed.findOrCreate(1, ADDRESS, START)).toThrow(Killed);
      const table = new NeighborTable(memory.words, base);
      expect(table.find(1, ADDRESS)).toBe(neighbor.NOT_FOUND);
      expect(table.findOrCreate(1, ADDRESS, after(990))).toBe(neighbor.NOT_FOUND);
      const index = table.findOrCreate(1, ADDRESS, after(1010));
      expect(table.matches(index, 1, ADDRESS)).toBe(1);
      expect(table.find(1, ADDRESS)).toBe(index);
    }
  });

  it('and wakes up after it was superseded cannot make a mixed address readable', () => {
    const { words, table, index, at } = resolved();
    const version = words[at + entry.VERSION];
    // A processor takes the writer word and falls asleep before it writes the slot …
    expect(entry.lock(words, at, START)).not.toBe(0);
    expect(table.learn(index, 5, 5, after(2000))).toBe(1);
    expect(words[at + entry.VERSION]).toBe(version + 3);
    // … and wakes to write the upper word of what would have been its version.
    const slot = at + entry.SLOTS + (((version + 1) & 1) << 1);
    const good = words[slot];
    words[slot] = (0xdead << 16) | ((version + 1) & 0xff);
    expect(words[slot]).not.toBe(good);
    expect(table.readMac(index)).toBe(0);
    // It is asked for anew.
    expect(table.use(index, after(2001))).toBe(WAIT_AND_PROBE);
    expect(table.learn(index, 6, 6, after(2002))).toBe(1);
    expect(table.readMac(index)).toBe(1);
    expect([table.macHigh, table.macLow]).toEqual([6, 6]);
  });
});

// Two threads on the same words. The lower half of an address follows from the upper one, so a
// mixture of two shows. Then both want the same new neighbors at
// the same moment, and a second later both find that they are to be asked again.
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
import(workerData.url).then(({ NeighborTable }) => {
  const { words, base, seed, rounds, neighbors } = workerData;
  const table = new NeighborTable(words, base);
  const lowOf = (high) => Math.imul(high + 1, 0x9e3779b1);
  const result = { learned: 0, read: 0, torn: 0, probes: 0, probesAgain: 0, indexes: [] };
  Atomics.add(words, 0, 1);
  while (Atomics.load(words, 0) < 2);
  const index = table.findOrCreate(1, 77, 1);
  let high = seed;
  for (let i = 0; i < rounds; i++) {
    high = (Math.imul(high, 1103515245) + 12345) & 0xffff;
    if ((i & 7) === 0) result.learned += table.learn(index, high, lowOf(high), Date.now() | 0);
    if (table.readMac(index) === 0) continue;
    result.read++;
    if (table.macLow !== lowOf(table.macHigh)) result.torn++;
  }
  // In step, so that they meet inside of what must happen once.
  let steps = 0;
  const step = () => {
    steps += 2;
    Atomics.add(words, 1, 1);
    while (Atomics.load(words, 1) < steps);
  };
  for (let i = 0; i < neighbors; i++) {
    step();
    const each = table.findOrCreate(2, i, 5);
    result.indexes.push(each);
    if (each >= 0 && table.use(each, 5) === 2) result.probes++;
    step();
    // The mark of the first probe may be a millisecond ahead.
    if (each >= 0 && table.use(each, 1006) === 2) result.probesAgain++;
  }
  parentPort.postMessage(result);
});
`;

describe('two processors at once', () => {
  it('never read a mixed address, make no neighbor twice, and probe once', async () => {
    const neighbors = 1500;
    const words = new Int32Array(new SharedArrayBuffer((BASE + TABLE_WORDS) * 4));
    const url = builtModule('src/tables/neighbor-table.ts');
    const results = await Promise.all(
      [1, 2].map(async (seed) => {
        const workerData = { url, words, base: BASE, seed, rounds: 1_000_000, neighbors };
        const worker = new Worker(THREAD, { eval: true, workerData });
        const [result] = await once(worker, 'message');
        await worker.terminate();
        return result;
      }),
    );
    for (const { learned, read, torn } of results) {
      expect(torn).toBe(0);
      expect(learned).toBeGreaterThan(1000);
      expect(read).toBeGreaterThan(100_000);
    }
    const table = new NeighborTable(words, BASE);
    const found = Array.from({ length: neighbors }, (_, i) => table.find(2, i));
    expect(new Set(found).size).toBe(neighbors);
    for (const { indexes } of results) {
      // A processor may be interrupted while claiming; then the other is told to come again.
      for (let i = 0; i < neighbors; i++) expect([found[i], -1]).toContain(indexes[i]);
    }
    expect(results[0].probes + results[1].probes).toBe(neighbors);
    expect(results[0].probesAgain + results[1].probesAgain).toBe(neighbors);
  });
});
