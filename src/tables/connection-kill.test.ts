import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  fill,
  insert,
  inspect,
  lookupClient,
  lookupServer,
  setRunning,
  settle,
  sweepOf,
  TCP,
} from '../../test/support/connection-fixture.ts';
import { countingAtomics, Killed, killableProcess } from '../../test/support/killable-memory.ts';
import { EPOCH_QUIESCENT, PROCESSOR_EPOCH, PROCESSOR_STATE, STATE_DEAD } from '../memory/layout.ts';
import { type MainMemory, plainMainMemory } from '../memory/region.ts';
import { readBackend } from './connection-backends.ts';
import { wantRecount } from './connection-recount.ts';
import { ConnectionTable, NOT_FOUND, PUBLISHED, RACE } from './connection-table.ts';

const KEY = 77;
/** Rounds of both sweeps within which a recount comes to its end. */
const RECOUNT_ROUNDS = 200;
/** Up to the midst of striking out, seen from a processor that begins a recount. */
const RECOUNT_STEPS = 20;
const HOW = { protocol: TCP, nowMs: 1000, backend: 3 };

/** What processor 0 does, to be killed at each of its writes. */
const SCENES: Record<
  string,
  (table: ConnectionTable, sweep: () => void, memory: MainMemory) => void
> = {
  'a whole connection': (table) => {
    insert(table, KEY, HOW);
    const entry = lookupClient(table, KEY, TCP);
    table.updateTcp(entry, 2, 1000, 60);
    table.updateTcp(entry | 1, 18, 1000, 60);
    table.updateTcp(entry, 16, 1000, 60);
    table.remove(entry >> 1);
  },
  'an insertion that finds the tuple in use': (table) => {
    insert(table, KEY + 65536, HOW);
    insert(table, KEY, HOW);
  },
  'a reservation given up': (table) => {
    const record = table.reserve();
    fill(table, record, KEY, HOW);
    table.abandon(record);
  },
  'a recount': (table, sweep, memory) => {
    insert(table, KEY, HOW);
    wantRecount(memory);
    for (let i = 0; i < RECOUNT_STEPS; i++) {
      table.enterTurn();
      sweep();
      // Some of it comes and goes meanwhile.
      if (i === 3) table.remove(lookupClient(table, KEY, TCP) >> 1);
      if (i === 4) insert(table, KEY + 1, HOW);
    }
  },
  'expiry and freeing': (table, sweep) => {
    insert(table, KEY, HOW);
    for (let i = 0; i < 8; i++) {
      table.enterTurn();
      sweep();
    }
  },
};

describe('ConnectionTable, killed at any write', () => {
  beforeAll(() => {
    vi.stubGlobal('Atomics', countingAtomics);
  });
  afterAll(() => {
    vi.unstubAllGlobals();
  });

  for (const [name, scene] of Object.entries(SCENES)) {
    it(`${name}: the others go on, and everything is found and freed`, () => {
      // One memory for all kills: each must leave it as if nothing had ever happened.
      const memory = plainMainMemory({ connections: 1024, frames: 256, processors: 2 });
      const survivor = new ConnectionTable(memory, 1);
      const survivorSweep = sweepOf(memory, 1, survivor);
      setRunning(memory, 1);
      let wasKilled = true;
      let kills = 0;
      for (let writes = 0; wasKilled; writes++) {
        wasKilled = false;
        const process = killableProcess(memory);
        const doomed = new ConnectionTable(process.memory, 0);
        const doomedSweep = sweepOf(process.memory, 0, doomed);
        setRunning(memory, 0);
        doomed.enterTurn();
        survivor.enterTurn();
        process.allow(writes);
        try {
          scene(
            doomed,
            () => {
              survivor.enterTurn();
              survivorSweep.sweep(1000, 1 << 30);
              doomedSweep.sweep(name === 'a recount' ? 1000 : 100_000, 1 << 30);
            },
            memory,
          );
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          wasKilled = true;
          kills += 1;
        }
        memory.words[memory.processorWord(0, PROCESSOR_STATE)] = STATE_DEAD;
        memory.words[memory.processorWord(0, PROCESSOR_EPOCH)] = EPOCH_QUIESCENT;

        // The survivor can have the same connection at once, or after two epochs at the latest.
        const first = insert(survivor, KEY, HOW);
        expect([PUBLISHED, RACE].includes(first) || first >= 0 || first === -3).toBe(true);
        for (let i = 0; i < 3; i++) {
          survivor.enterTurn();
          survivorSweep.sweep(1000, 1 << 30);
        }
        expect(insert(survivor, KEY, HOW) === RACE, `after ${writes} writes`).toBe(false);
        const found = lookupClient(survivor, KEY, TCP);
        if (found !== NOT_FOUND) expect(lookupServer(survivor, KEY, 3, TCP)).toBe(found | 1);

        const restarted = new ConnectionTable(memory, 0);
        const restartedSweep = sweepOf(memory, 0, restarted);
        setRunning(memory, 0);
        wantRecount(memory);
        settle([restarted, survivor], [restartedSweep, survivorSweep], 1000, RECOUNT_ROUNDS);
        // Whatever is there still is counted, and nothing else.
        const alive = inspect(memory);
        const { active, open } = readBackend(memory, HOW.backend);
        const halfOpen = survivorSweep.halfOpenCount();
        expect(
          { active, open, taken: survivorSweep.takenCount() },
          `after ${writes} writes`,
        ).toEqual({
          active: alive.live,
          open: alive.live,
          taken: alive.taken,
        });
        expect(halfOpen).toBeLessThanOrEqual(alive.live);
        settle([restarted, survivor], [restartedSweep, survivorSweep], 1000 + 60_000);
        expect([readBackend(memory, HOW.backend).open, survivorSweep.halfOpenCount()]).toEqual([
          0, 0,
        ]);
        expect(inspect(memory), `after ${writes} writes`).toEqual({ live: 0, taken: 0, slots: 0 });
      }
      expect(kills).toBeGreaterThan(20);
    });
  }
});
