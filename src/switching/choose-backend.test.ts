// Goal: new connections follow the weights to within one round of the table, for any number of
// processors, and Maglev chooses alike on all of them. Method: the real configuration table.

import { describe, expect, it } from 'vitest';
import { maglevTable } from '../distribution/maglev.ts';
import { weightedRoundRobinTable } from '../distribution/weighted-round-robin.ts';
import {
  CONFIGURATION_TABLE_WORDS,
  NOT_FOUND,
  SCHEDULER_MAGLEV,
  SCHEDULER_WEIGHTED_ROUND_ROBIN,
} from '../tables/configuration-table.ts';
import { writeConfigurationTable } from '../tables/configuration-writer.ts';
import { BackendChooser } from './choose-backend.ts';

function tableWith(weights: number[], scheduler: number): Int32Array {
  const words = new Int32Array(CONFIGURATION_TABLE_WORDS);
  const order =
    scheduler === SCHEDULER_MAGLEV
      ? maglevTable(
          weights.map((weight, i) => ({ id: `b${i}`, weight })),
          1021,
        )
      : weightedRoundRobinTable(weights, 4096);
  const timeouts = new Int32Array(16).fill(1000);
  writeConfigurationTable(words, 0, {
    services: [
      {
        id: 7,
        address: 0x0a010064,
        port: 80,
        protocol: 6,
        forwarding: 0,
        scheduler,
        timeouts,
        selection: order,
        backends: weights.map((weight, i) => ({
          id: i,
          address: 0x0a020000 + i,
          port: 80,
          weight,
        })),
      },
    ],
    interfaceAddresses: [],
    defaultTimeouts: timeouts,
    resetsPerSecond: 0,
    echoRepliesPerSecond: 0,
  });
  return words;
}

describe('BackendChooser', () => {
  it.each([1, 2, 3, 5])('keeps the shares with %i processors', (processors) => {
    const weights = [5, 3, 1];
    const words = tableWith(weights, SCHEDULER_WEIGHTED_ROUND_ROBIN);
    const counts = [0, 0, 0];
    for (let processor = 0; processor < processors; processor++) {
      const chooser = new BackendChooser(words, processor, processors);
      for (let i = 0; i < 900; i++) counts[chooser.choose(0, 7, i, i)]++;
    }
    expect(counts).toEqual(weights.map((weight) => weight * 100 * processors));
  });

  it('starts each processor elsewhere, so that few connections are spread too', () => {
    const words = tableWith([1, 1, 1, 1], SCHEDULER_WEIGHTED_ROUND_ROBIN);
    const first = [0, 1, 2, 3].map((p) => new BackendChooser(words, p, 4).choose(0, 7, 1, 1));
    expect(new Set(first).size).toBe(4);
  });

  it('goes on when the table has become shorter', () => {
    const chooser = new BackendChooser(tableWith([9, 1], SCHEDULER_WEIGHTED_ROUND_ROBIN), 0, 1);
    for (let i = 0; i < 9; i++) chooser.choose(0, 7, i, i);
    const words = (chooser as unknown as { words: Int32Array }).words;
    words.set(tableWith([1, 1], SCHEDULER_WEIGHTED_ROUND_ROBIN));
    const chosen = [chooser.choose(0, 7, 0, 0), chooser.choose(0, 7, 0, 0)].sort();
    expect(chosen).toEqual([0, 1]);
  });

  it('chooses by hash alike on every processor, and not always the same backend', () => {
    const words = tableWith([1, 1, 1], SCHEDULER_MAGLEV);
    const choosers = [0, 1, 2].map((p) => new BackendChooser(words, p, 3));
    const counts = [0, 0, 0];
    for (let port = 1024; port < 4024; port++) {
      const chosen = choosers.map((c) => c.choose(0, 7, 0x0a01000a, (port << 16) | 80));
      expect(new Set(chosen).size).toBe(1);
      counts[chosen[0]]++;
    }
    for (const count of counts) expect(count).toBeGreaterThan(800);
  });

  it('finds nobody where no backend has a weight', () => {
    const words = tableWith([0, 0], SCHEDULER_WEIGHTED_ROUND_ROBIN);
    expect(new BackendChooser(words, 0, 1).choose(0, 7, 1, 1)).toBe(NOT_FOUND);
  });
});
