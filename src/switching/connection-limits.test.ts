// Limits of connections, per backend and per service: who is refused, under which reason, and when there is
// room again. Which backends are skipped under each scheduler: choose-backend.test.ts.

import { describe, expect, it } from 'vitest';
import { B1, B2, EXT, INT, play, SwitchBench, service } from '../../test/support/switch-bench.ts';
import { ACK, answer, query, request, SYN } from '../../test/support/switch-packets.ts';
import { readCounters } from '../memory/counters.ts';

const two = (limits: (number | undefined)[]) =>
  [B1, B2].map((address, i) => {
    const limit = limits[i] === undefined ? {} : { 'connection-limit': limits[i] };
    return { name: `b${i}`, address, port: 8080, ...limit };
  });
const web = (rest: Record<string, unknown>) => service('web', rest);
const create = (services: object[], more = {}) =>
  SwitchBench.create({ configuration: { services }, ...more });

const connect = (bench: SwitchBench, sourcePort: number, queue = 0) =>
  bench.pass(request({ ...SYN, sourcePort }), EXT, queue).reasons[0];
/** A segment of its server ends a connection for good. */
const end = (bench: SwitchBench, destinationPort: number, server = B1) =>
  bench.pass(answer({ flags: ['RST'], sequence: 9001, destinationPort }, {}, server), INT);

describe('of a service', () => {
  it('refuses with a reset while there are as many as it may have', async () => {
    const bench = await create([web({ 'connection-limit': 3, backends: two([]) })]);
    const first = [1, 2, 3, 4].map((port) => connect(bench, port));
    expect(first).toEqual(['new-connection', 'new-connection', 'new-connection', 'reset-limit']);
    // Those that there are go on.
    await play(bench, {
      name: '',
      packetIn: request({ ...ACK, sourcePort: 1 }),
      reason: 'connection',
      packetOut: [
        { egress: INT, frame: bench.pass(request({ ...ACK, sourcePort: 1 })).sent[0].bytes },
      ],
    });
    end(bench, 1);
    bench.advance(1);
    expect([connect(bench, 4), connect(bench, 5)]).toEqual(['new-connection', 'reset-limit']);
  });

  it('counts the connections of all processors', async () => {
    const queues = [
      [0, 1],
      [0, 1],
    ];
    const bench = await create([web({ 'connection-limit': 4, backends: two([]) })], { queues });
    const reasons = [1, 2, 3, 4, 5, 6].map((port) => {
      bench.advance(1);
      return connect(bench, port, port & 1);
    });
    expect(reasons.filter((reason) => reason === 'new-connection')).toHaveLength(4);
    expect(reasons.slice(4)).toEqual(['reset-limit', 'reset-limit']);
  });

  it('drops datagrams, and segments when no more resets may be sent', async () => {
    const dns = { protocol: 'udp', port: 53, 'connection-limit': 1, backends: two([]) };
    const services = [service('dns', dns), web({ 'connection-limit': 1, backends: two([]) })];
    const bench = await SwitchBench.create({
      configuration: { services, 'rate-limits': { resets: 1, 'echo-replies': 1 } },
    });
    const asked = [1, 2].map((sourcePort) => bench.pass(query({ sourcePort })).reasons[0]);
    expect(asked).toEqual(['new-connection', 'service-limit']);
    const reasons = [1, 2, 3].map((port) => connect(bench, port));
    expect(reasons).toEqual(['new-connection', 'reset-limit', 'service-limit']);
  });

  it('is not passed by what several processors begin in the same moment', async () => {
    const queues = [
      [0, 1],
      [0, 1],
    ];
    const many = Array.from({ length: 300 }, (_, i) => {
      return { name: `b${i}`, address: `10.2.0.${2 + (i % 250)}`, port: 8080 + ((i / 250) | 0) };
    });
    const bench = await create([web({ 'connection-limit': 8, backends: many })], { queues });
    for (let sourcePort = 1; sourcePort <= 24; sourcePort++) {
      bench.inject(request({ ...SYN, sourcePort }), EXT, sourcePort & 1);
    }
    bench.settle();
    const { single, reasons } = readCounters(bench.memory);
    expect([single.connectionsInserted, reasons['reset-limit']]).toEqual([8, 16]);
  });

  it('counts also connections to backends that are configured no longer', async () => {
    const [first, second] = two([]);
    const limited = (backends: object[]) => web({ 'connection-limit': 2, backends });
    const bench = await create([limited([first])]);
    expect([1, 2].map((port) => connect(bench, port))).toEqual([
      'new-connection',
      'new-connection',
    ]);
    await bench.publish({ services: [limited([second])] });
    expect(connect(bench, 3)).toBe('reset-limit');
    end(bench, 1);
    expect(connect(bench, 4)).toBe('new-connection');
  });
});

describe('of a backend', () => {
  it('sends connections to the others, and refuses when all are full', async () => {
    const bench = await create([web({ backends: two([1, 2]) })]);
    const reasons = [1, 2, 3, 4].map((port) => connect(bench, port));
    expect(reasons).toEqual(['new-connection', 'new-connection', 'new-connection', 'reset-limit']);
    end(bench, 1, B1);
    end(bench, 2, B2);
    const { reasons: again, sent } = bench.pass(request({ ...SYN, sourcePort: 5 }));
    expect(again).toEqual(['new-connection']);
    expect([11, 12]).toContain(sent[0].bytes[5]);
  });

  it('drops datagrams, and segments when no more resets may be sent', async () => {
    const dns = service('dns', { protocol: 'udp', port: 53, backends: two([1, 1]) });
    const bench = await SwitchBench.create({
      configuration: {
        services: [dns, web({ backends: two([1, 1]) })],
        'rate-limits': { resets: 1, 'echo-replies': 1 },
      },
    });
    const asked = [1, 2, 3].map((sourcePort) => bench.pass(query({ sourcePort })).reasons[0]);
    expect(asked).toEqual(['new-connection', 'new-connection', 'backend-limit']);
    const reasons = [1, 2, 3, 4].map((port) => connect(bench, port));
    expect(reasons.slice(2)).toEqual(['reset-limit', 'backend-limit']);
  });
});
