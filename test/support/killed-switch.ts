// What the scenarios need that kill processes of the switch or hinder them: a load whose connections
// must all come out whole, the balance of packets and frames where a killed process may have taken some
// along, and the start of a supervisor after another.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { expect } from 'vitest';
import { HttpLoad } from '../../src/lab/clients.ts';
import { type LabProcess, start, topFolder, waitUntil } from '../../src/lab/command.ts';
import type { LoadReport } from '../../src/lab/http-load-report.ts';
import type { LabNetwork } from '../../src/lab/network.ts';
import type { WeirProcess } from '../../src/lab/weir-process.ts';
import { COUNTER_CONNECTIONS_TAKEN, sumCounter } from '../../src/memory/counters.ts';
import { OWNER_FREE, OWNER_INTERFACE } from '../../src/memory/frame-pool.ts';
import { MAX_BACKENDS } from '../../src/memory/layout.ts';
import { attachMainMemory, type MainMemory } from '../../src/memory/region.ts';
import { readBackend } from '../../src/tables/connection-backends.ts';
import {
  LIFE_CLOSING,
  LIFE_FOUND,
  LIFE_FREE,
  LIFE_LIVE,
  RECORD_SHIFT,
} from '../../src/tables/connection-record.ts';

export const UNHARMED = {
  open: 0,
  connectErrors: 0,
  brokenConnections: 0,
  movedConnections: 0,
  failedRequests: 0,
  failures: {},
};
const REST_DEADLINE_MS = 5000;

export const sleep = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/**
 * Does something while connections through the switch are busy. All are open before it begins, all
 * must still be open after it, and no request may have failed.
 * @param pauseMs of each connection between two requests; 0: as much load as there can be
 */
export async function underLoad(
  network: Pick<LabNetwork, 'client' | 'virtualAddress'>,
  connections: number,
  action: (load: HttpLoad) => Promise<void>,
  pauseMs = 0,
): Promise<LoadReport> {
  const options = { host: network.virtualAddress, connections, pauseMs, intervalMs: 100 };
  const load = new HttpLoad(network.client, options);
  await waitUntil('all connections are open', () => load.latest?.open === connections);
  await sleep(300);
  await action(load);
  await sleep(300);
  expect(load.latest?.open, JSON.stringify(load.latest)).toBe(connections);
  const report = await load.stop();
  expect(report, JSON.stringify(report.failures)).toMatchObject(UNHARMED);
  expect(report.connectionsOpened).toBe(connections);
  return report;
}

/** Requests answered per second while so much time goes by. */
export async function rateOver(load: HttpLoad, milliseconds: number): Promise<number> {
  const before = load.latest!;
  await sleep(milliseconds);
  const after = load.latest!;
  const seconds = (after.elapsedMs - before.elapsedMs) / 1000;
  return Math.round((after.requests - before.requests) / seconds);
}

/**
 * Waits until nothing moves any more, and gives the status then. Packets are counted one by one when
 * they come in and when their verdict stands, so each kill may have left one without a verdict.
 */
// biome-ignore lint/suspicious/noExplicitAny: the shape is that of control/status-shape.ts as JSON.
export async function restAfterKills(weir: WeirProcess, kills: number): Promise<any> {
  let status = await weir.status();
  await waitUntil(
    'the switch is at rest',
    async () => {
      const before = status.totals.received;
      await sleep(50);
      status = await weir.status();
      return status.totals.received === before;
    },
    REST_DEADLINE_MS,
    () => JSON.stringify(status.processes.switching, null, 1),
  );
  let without = 0;
  for (const each of status.processes.switching) {
    expect(each).toMatchObject({ state: 'running', waiting: 0 });
    without += Math.abs(each.balance);
  }
  expect(without, 'packets without a verdict').toBeLessThanOrEqual(kills);
  return status;
}

/** Starts weir once more, with the same command line, where its supervisor was killed. */
export function startAgain(weir: WeirProcess): LabProcess {
  const { configFile, socketPath, folder, namespace } = weir;
  const args = [join(topFolder(), 'bin', 'weir'), 'run'];
  args.push('--config', configFile, '--socket', socketPath);
  return start(execPath, args, { namespace, logFile: join(folder, 'again.log') });
}

/** What holds frames when nothing is under way. */
export interface FramesAtRest {
  readonly free: number;
  /** Given to the kernel for receiving, by socket. */
  readonly bySocket: Readonly<Record<string, number>>;
  /** In a processor's hands or between two processors: nobody may hold any at rest. */
  readonly elsewhere: number;
}

/** A copy of the switch's main memory, a moment of it after the other. */
function copyMemory(weir: WeirProcess): MainMemory {
  const folder = `/proc/${weir.pid('supervisor')}/fd`;
  const isMemory = (fd: string) => readlinkSync(`${folder}/${fd}`).includes('weir main memory');
  const bytes = readFileSync(`${folder}/${readdirSync(folder).find(isMemory)}`);
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return attachMainMemory(copy);
}

/** What the gauges say of all connections, and what the records do: live, and those that are open. */
export function connectionsAtRest(weir: WeirProcess) {
  const memory = copyMemory(weir);
  const { words, layout } = memory;
  const gauges = { live: 0, open: 0, taken: sumCounter(memory, COUNTER_CONNECTIONS_TAKEN) };
  for (let id = 0; id < MAX_BACKENDS; id += 1) {
    const { active, open } = readBackend(memory, id);
    gauges.live += active;
    gauges.open += open;
  }
  const records = { live: 0, open: 0, taken: 0 };
  for (let number = 0; number < layout.connections; number += 1) {
    const life = words[(layout.connectionRecords >> 2) + (number << RECORD_SHIFT)];
    if (life !== LIFE_FREE) records.taken += 1;
    if ((life & LIFE_FOUND) !== LIFE_LIVE) continue;
    records.live += 1;
    if ((life & LIFE_CLOSING) === 0) records.open += 1;
  }
  return { gauges, records };
}

/** Reads out of the switch's main memory who owns each frame. */
export function framesAtRest(weir: WeirProcess): FramesAtRest {
  const { words, layout } = copyMemory(weir);
  let free = 0;
  let elsewhere = 0;
  const bySocket: Record<string, number> = {};
  for (const owner of words.subarray(layout.frameOwners >> 2).subarray(0, layout.frames)) {
    const isInterface = (owner & ~0xffff) === OWNER_INTERFACE;
    if (owner === OWNER_FREE) free += 1;
    else if (isInterface) bySocket[owner & 0xffff] = (bySocket[owner & 0xffff] ?? 0) + 1;
    else elsewhere += 1;
  }
  return { free, bySocket, elsewhere };
}
