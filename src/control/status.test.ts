import { describe, expect, it } from 'vitest';
import { COUNTER_CONNECTIONS_TAKEN, COUNTER_FRAMES_RECLAIMED } from '../memory/counters.ts';
import * as layout from '../memory/layout.ts';
import { reason } from '../memory/reasons.ts';
import type { MainMemory } from '../memory/region.ts';
import {
  BACKEND_ACTIVE,
  BACKEND_BYTES_IN,
  BACKEND_CONNECTIONS,
  BACKEND_PACKETS_IN,
  BACKEND_PACKETS_OUT,
  backendCounters,
  backendCountersBase,
} from '../tables/connection-backends.ts';
import { NeighborTable } from '../tables/neighbor-table.ts';
import { parseAddress } from '../wire/ipv4.ts';
import {
  counters,
  fileText,
  parsed,
  runningMemory,
  serviceText,
  set,
  takeOver,
} from './control.harness.ts';
import { Publisher } from './publisher.ts';
import { buildStatus, type Status, type StatusSources } from './status.ts';

const TEXT = fileText([serviceText('web', 80, [11, 12])]);

async function publishedMemory() {
  const memory = runningMemory();
  const publisher = new Publisher(memory);
  await publisher.publish(parsed(TEXT), TEXT);
  takeOver(memory);
  return { memory, publisher };
}

function sourcesOf(memory: MainMemory, publisher: Publisher): StatusSources {
  return {
    memory,
    plan: { configurationFile: '/etc/weir.yaml', interfaceNames: ['ext0', 'int0'] },
    version: '0.1.0',
    configuration: publisher.generation === 0 ? undefined : parsed(TEXT),
    ids: publisher.runningIds,
    formerBackends: publisher.formerBackends,
    applications: [],
    generation: publisher.configurationGeneration,
    flips: publisher.generation,
    routing: { routes: 3, flips: 1, fromKernel: null, error: null },
    monotonicMs: 1500,
    wallClockMs: 1_700_000_060_000,
  };
}

function statusOf(memory: MainMemory, publisher: Publisher): Status {
  return buildStatus(sourcesOf(memory, publisher));
}

describe('buildStatus', () => {
  it('is starting, and says so without a configuration', () => {
    const memory = runningMemory();
    const status = statusOf(memory, new Publisher(memory));
    expect(status).toMatchObject({ state: 'starting', uptimeSeconds: 60, services: [] });
    expect(status.configuration.appliedAt).toBeNull();
    expect(status.startedAt).toBe('2023-11-14T22:13:20.000Z');
  });

  it('is ready while every processor switches by the running configuration or sleeps', async () => {
    const { memory, publisher } = await publishedMemory();
    expect(statusOf(memory, publisher).state).toBe('ready');
    set(memory, 1, layout.PROCESSOR_CONFIGURATION_GENERATION, 0);
    expect(statusOf(memory, publisher).state).toBe('starting');
    set(memory, 1, layout.PROCESSOR_SLEEPING, 1);
    expect(statusOf(memory, publisher).state).toBe('ready');
    set(memory, 1, layout.PROCESSOR_STATE, layout.STATE_DEAD);
    expect(statusOf(memory, publisher).state).toBe('starting');
  });

  it('tells of a shared interface what its program did, and how many claims there are', async () => {
    const { memory, publisher } = await publishedMemory();
    const sources = sourcesOf(memory, publisher);
    expect(buildStatus(sources)).toMatchObject({
      claims: null,
      interfaces: [{ shared: null }, {}],
    });
    const text = TEXT.replace('{ name: ext0,', '{ name: ext0, mode: shared,');
    const claims = { inForce: 7, capacity: 9, former: 1, refused: 0 };
    const status = buildStatus({
      ...sources,
      configuration: parsed(text),
      claims: {
        status: () => claims,
        interfaceStatus: (i) => ({ framesTaken: 5 + i, framesLeftToKernel: 6 }),
      },
    });
    expect(status.claims).toEqual(claims);
    expect(status.interfaces.map(({ shared }) => shared)).toEqual([
      { framesTaken: 5, framesLeftToKernel: 6 },
      null,
    ]);
  });

  it('tells whether busy polling is in effect, and why not', async () => {
    const { memory, publisher } = await publishedMemory();
    const told = (values: Record<number, number>): string | null => {
      for (const [word, value] of Object.entries(values)) {
        memory.words[memory.interfaceWord(0, Number(word))] = value;
      }
      const { busyPolling } = statusOf(memory, publisher).interfaces[0];
      expect(busyPolling.inEffect).toBe(busyPolling.reason === null);
      return busyPolling.reason;
    };
    expect(told({ [layout.INTERFACE_QUEUES]: 2 })).toBe('not configured');
    const budget = layout.INTERFACE_BUSY_POLL_BUDGET;
    expect(told({ [budget]: 64, [layout.INTERFACE_KIND]: 1 })).toMatch(/packet rings/);
    expect(told({ [layout.INTERFACE_KIND]: 0 })).toMatch(/no NAPI instance/);
    expect(told({ [layout.INTERFACE_QUEUES_WITH_NAPI]: 1 })).toMatch(/1 of 2 queues only/);
    expect(told({ [layout.INTERFACE_QUEUES_WITH_NAPI]: 2 })).toBeNull();
    expect(told({ [layout.INTERFACE_BUSY_POLL_ERRNO]: 1 })).toBe('CAP_NET_ADMIN is missing');
  });

  it('tells of processors and where their packets went', async () => {
    const { memory, publisher } = await publishedMemory();
    const first = counters(memory, 0);
    for (let i = 0; i < 5; i++) first.received(0, 1, 100);
    first.count(reason('connection'));
    first.count(reason('new-connection'));
    first.count(reason('no-route'));
    first.setWaiting(1);
    first.add(COUNTER_FRAMES_RECLAIMED, 3);
    set(memory, 1, layout.PROCESSOR_PID, 4242);
    set(memory, 1, layout.PROCESSOR_CPU, 3);
    set(memory, 1, layout.PROCESSOR_RESTARTS, 2);
    const status = statusOf(memory, publisher);
    expect(status.processes.switching[0]).toMatchObject({
      processor: 0,
      state: 'running',
      cpu: null,
      heartbeatAgeMs: 500,
      runningSinceMs: 1000,
      received: 5,
      forwarded: 2,
      dropped: 1,
      waiting: 1,
      framesReclaimed: 3,
      balance: 1,
    });
    expect(status.processes.switching[1]).toMatchObject({ pid: 4242, cpu: 3, restarts: 2 });
    expect(status.totals).toMatchObject({ received: 5, verdicts: { forwarded: 2, dropped: 1 } });
    expect(status.totals.reasons).toEqual({
      connection: { count: 1, verdict: 'forwarded', meaning: expect.any(String) },
      'new-connection': { count: 1, verdict: 'forwarded', meaning: expect.any(String) },
      'no-route': { count: 1, verdict: 'dropped', meaning: 'no route to the destination' },
    });
  });

  it('tells whether the supervisor lives', async () => {
    const { memory, publisher } = await publishedMemory();
    memory.setHeader(layout.HEADER_SUPERVISOR_PID, process.pid);
    expect(statusOf(memory, publisher).processes.supervisor.alive).toBe(true);
    memory.setHeader(layout.HEADER_SUPERVISOR_PID, 0x7ffffff0);
    expect(statusOf(memory, publisher).processes.supervisor.alive).toBe(false);
  });

  it('tells of interfaces', async () => {
    const { memory, publisher } = await publishedMemory();
    const write = (word: number, value: number): void => {
      memory.words[memory.interfaceWord(1, word)] = value;
    };
    write(layout.INTERFACE_KIND, 1);
    write(layout.INTERFACE_MODE, 3);
    write(layout.INTERFACE_MAC_HIGH, 0x0200);
    write(layout.INTERFACE_MAC_LOW, 0x0a020001);
    write(layout.INTERFACE_MTU, 1500);
    write(layout.INTERFACE_QUEUES, 2);
    write(layout.INTERFACE_QUEUE_PROCESSOR + 1, 1);
    write(layout.INTERFACE_LINK_UP, 1);
    counters(memory, 0).received(1, 1, 60);
    counters(memory, 1).transmitted(1, 1500);
    expect(statusOf(memory, publisher).interfaces[1]).toEqual({
      name: 'int0',
      kind: 'af-packet',
      shared: null,
      busyPolling: { budget: null, queuesWithNapi: 0, inEffect: false, reason: 'not configured' },
      mode: 'packet ring',
      up: true,
      mac: '02:00:0a:02:00:01',
      mtu: 1500,
      queues: [
        { queue: 0, processor: 0 },
        { queue: 1, processor: 1 },
      ],
      receivedPackets: 1,
      receivedBytes: 60,
      sentPackets: 1,
      sentBytes: 1500,
    });
  });

  it('tells of backends, summed over the processors, with their shares', async () => {
    const { memory, publisher } = await publishedMemory();
    const count = (processor: number, name: string, counter: number, amount: number): void => {
      const id = publisher.runningIds.backends.get(name) as number;
      memory.doubles[backendCounters(backendCountersBase(memory, processor), id) + counter] =
        amount;
    };
    count(0, 'web/b11', BACKEND_CONNECTIONS, 2);
    count(1, 'web/b11', BACKEND_CONNECTIONS, 1);
    count(0, 'web/b12', BACKEND_CONNECTIONS, 1);
    count(0, 'web/b11', BACKEND_ACTIVE, 2);
    count(1, 'web/b11', BACKEND_ACTIVE, -1);
    count(1, 'web/b11', BACKEND_PACKETS_IN, 7);
    count(1, 'web/b11', BACKEND_BYTES_IN, 700);
    count(0, 'web/b11', BACKEND_PACKETS_OUT, 6);
    counters(memory, 1).add(COUNTER_CONNECTIONS_TAKEN, 2);
    const status = statusOf(memory, publisher);
    const [web] = status.services;
    expect(web).toMatchObject({ name: 'web', connectionsActive: 1, connectionsTotal: 4 });
    expect(web.backends[0]).toMatchObject({
      name: 'b11',
      connectionsActive: 1,
      connectionsTotal: 3,
      packetsIn: 7,
      bytesIn: 700,
      packetsOut: 6,
      share: 0.75,
    });
    expect(web.backends[1].share).toBe(0.25);
    expect(status.connections).toMatchObject({ capacity: 1024, live: 1, taken: 2 });
  });

  it('counts the connections of backends that are configured no longer', async () => {
    const { memory, publisher } = await publishedMemory();
    const gone = publisher.runningIds.backends.get('web/b11') as number;
    memory.doubles[backendCounters(backendCountersBase(memory, 0), gone) + BACKEND_ACTIVE] = 5;
    const next = fileText([serviceText('web', 80, [12])]);
    await publisher.publish(parsed(next), next);
    const status = buildStatus({ ...sourcesOf(memory, publisher), configuration: parsed(next) });
    expect(status.services[0].connectionsActive).toBe(0);
    expect(status.connections.live).toBe(5);
  });

  it('lists neighbors by interface and address', async () => {
    const { memory, publisher } = await publishedMemory();
    const neighbors = new NeighborTable(memory.words, memory.layout.neighborTable >> 2);
    neighbors.findOrCreate(1, parseAddress('10.2.0.12'), 0);
    const index = neighbors.findOrCreate(1, parseAddress('10.2.0.9'), 0);
    neighbors.learn(index, 0x0200, 0x0a020009, 0);
    expect(statusOf(memory, publisher).neighbors).toEqual([
      { interface: 'int0', address: '10.2.0.9', mac: '02:00:0a:02:00:09', state: 'reachable' },
      { interface: 'int0', address: '10.2.0.12', mac: null, state: 'none' },
    ]);
  });
});
