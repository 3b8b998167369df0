// Clients that stay with their backend: for how long, by which part of their address, and what ends it.
// Method: SYNs of many clients through the switch bench, whose round robin would otherwise take turns.

import { describe, expect, it } from 'vitest';
import {
  CLIENT,
  EXT,
  INT,
  type Outcome,
  SwitchBench,
  service,
} from '../../test/support/switch-bench.ts';
import { ACK, answer, query, request, SYN, SYN_ACK } from '../../test/support/switch-packets.ts';
import { readCounters } from '../memory/counters.ts';
import { readBackend } from '../tables/connection-backends.ts';
import { snapshotConnections } from '../tables/connection-snapshot.ts';

const SERVERS = [11, 12, 13, 14];
const backends = (weights = [1, 1, 1, 1]) =>
  weights.map((weight, i) => ({ name: `b${i}`, address: `10.2.0.${11 + i}`, port: 8080, weight }));
const TIMEOUT_S = 60;

function web(rest: Record<string, unknown> = {}): object {
  return service('web', {
    scheduler: 'rr',
    backends: backends(),
    persistence: { timeout: `${TIMEOUT_S}s` },
    ...rest,
  });
}

async function benchOf(services: object[], more = {}): Promise<SwitchBench> {
  const known = [CLIENT, ...SERVERS.map((last) => `10.2.0.${last}`)];
  return SwitchBench.create({ configuration: { services }, known, ...more });
}

let port = 1024;
/** The last byte of the address of the server that a new connection goes to, or undefined. */
function serverOf({ reasons, sent }: Outcome): number | undefined {
  return reasons[0] === 'new-connection'
    ? sent.find(({ egress }) => egress === INT)?.bytes[5]
    : undefined;
}
function connect(bench: SwitchBench, source = CLIENT, destinationPort = 80, queue = 0) {
  port += 1;
  const syn = request({ ...SYN, sourcePort: port, destinationPort }, { source });
  return serverOf(bench.pass(syn, EXT, queue));
}
function ask(bench: SwitchBench, source = CLIENT) {
  port += 1;
  return serverOf(
    bench.pass(query({ sourcePort: port, destinationPort: 80 }, { source }).payload('?')),
  );
}
/** Servers of twelve connections in a row. */
const twelve = (bench: SwitchBench, source = CLIENT, destinationPort = 80) =>
  new Set(Array.from({ length: 12 }, () => connect(bench, source, destinationPort)));

/** Templates, as the connection table shows them. */
const templates = (bench: SwitchBench) =>
  snapshotConnections(bench.memory, 4096, ({ state }) => state === 'persistence');

describe('a client', () => {
  it('goes to one backend, others to others; without persistence to all', async () => {
    const bench = await benchOf([web(), web({ name: 'not', port: 81, persistence: undefined })]);
    expect(twelve(bench).size).toBe(1);
    const servers = SERVERS.map((_, i) => twelve(bench, `10.1.0.${20 + i}`));
    for (const each of servers) expect(each.size).toBe(1);
    expect(new Set(servers.flatMap((each) => [...each])).size).toBe(4);
    expect(twelve(bench, CLIENT, 81).size).toBe(4);
  });

  it('is known by as much of its address as the mask says', async () => {
    const bench = await benchOf([web({ persistence: { timeout: '60s', mask: 24 } })]);
    const servers = Array.from({ length: 50 }, (_, i) => connect(bench, `10.1.0.${20 + i}`));
    expect(new Set(servers).size).toBe(1);
    expect(connect(bench, '10.1.1.20')).not.toBe(servers[0]);
  });

  it('is remembered from its last new connection on, however long the connections last', async () => {
    const bench = await benchOf([web()]);
    const first = connect(bench);
    for (let i = 0; i < 5; i++) {
      for (let step = 0; step < TIMEOUT_S - 5; step++) bench.advance(1000);
      expect(connect(bench)).toBe(first);
    }
    for (let step = 0; step < TIMEOUT_S + 10; step++) bench.advance(1000);
    expect(templates(bench)).toEqual([]);
    expect(connect(bench)).not.toBe(first);
  });

  it('has a backend of its own in each service and for each protocol', async () => {
    const udp = web({ name: 'udp', protocol: 'udp' });
    const bench = await benchOf([web({ backends: backends([1, 0, 0, 0]) }), udp]);
    expect(twelve(bench)).toEqual(new Set([11]));
    const asked = new Set(Array.from({ length: 4 }, () => ask(bench, '10.1.0.20')));
    asked.add(ask(bench, '10.1.0.21'));
    expect(asked.size).toBe(2);
    connect(bench, '10.1.0.21');
    expect(twelve(bench, '10.1.0.21')).toEqual(new Set([11]));
    expect(templates(bench)).toHaveLength(4);
  });

  it('has the same backend on every processor', async () => {
    const bench = await benchOf([web()], {
      queues: [
        [0, 1],
        [0, 1],
      ],
    });
    const servers = Array.from({ length: 12 }, (_, i) => connect(bench, CLIENT, 80, i & 1));
    expect(new Set(servers).size).toBe(1);
    expect(templates(bench)).toHaveLength(1);
  });

  it('stays with direct server return, too', async () => {
    const bench = await benchOf([
      web({ forwarding: 'dsr', backends: backends().map((each) => ({ ...each, port: 80 })) }),
    ]);
    expect(twelve(bench).size).toBe(1);
  });
});

describe('a template', () => {
  it('is no connection: it counts for nobody, and no packet is of it', async () => {
    const timeouts = { 'syn-sent': '5s' };
    const bench = await benchOf([web({ backends: backends([1, 0, 0, 0]), timeouts })]);
    connect(bench);
    const { single } = readCounters(bench.memory);
    expect([single.connectionsInserted, single.halfOpen]).toEqual([1, 1]);
    expect(single.connectionsTaken).toBe(2);
    const { active, open, connections } = readBackend(bench.memory, 0);
    expect([active, open, connections]).toEqual([1, 1, 1]);
    const [template] = templates(bench);
    expect(template).toMatchObject({ protocol: 6, clientPort: 0, servicePort: 80, backend: 0 });
    for (let step = 0; step < 75; step++) bench.advance(1000);
    expect(readBackend(bench.memory, 0)).toMatchObject({ active: 0, open: 0 });
    expect(templates(bench)).toEqual([]);
  });

  it('is replaced when its backend takes no more connections, and not taken back', async () => {
    const bench = await benchOf([web({ backends: backends([1, 0, 0, 0]) })]);
    expect(connect(bench)).toBe(11);
    await bench.publish({ services: [web({ backends: backends([0, 1, 0, 0]) })] });
    expect(twelve(bench)).toEqual(new Set([12]));
    await bench.publish({ services: [web({ backends: backends([1, 1, 0, 0]) })] });
    expect(twelve(bench)).toEqual(new Set([12]));
    expect(templates(bench)).toHaveLength(1);
  });

  it('is replaced when its backend is configured no longer, or by another service', async () => {
    const bench = await benchOf([web({ backends: backends().slice(0, 1) })]);
    expect(connect(bench)).toBe(11);
    const others = backends().slice(2);
    await bench.publish({ services: [web({ backends: others })] });
    const [server] = twelve(bench);
    expect([13, 14]).toContain(server);
    expect(templates(bench)).toHaveLength(1);
  });

  it('holds within the pool of a rule only', async () => {
    const labelled = backends().map((each, i) => ({ ...each, labels: i > 1 ? ['gpu'] : [] }));
    const rules = [{ name: 'gpu', 'client-ports': '1-1023', requires: ['gpu'] }];
    const bench = await benchOf([web({ backends: labelled, rules })]);
    const low = () => serverOf(bench.pass(request({ ...SYN, sourcePort: (port += 1) % 1000 })));
    const first = connect(bench);
    const inPool = new Set(Array.from({ length: 12 }, low));
    expect(inPool.size).toBe(1);
    expect(inPool.has(13) || inPool.has(14)).toBe(true);
    expect(twelve(bench)).toEqual(new Set([first]));
    // The pool of the same number has other backends now.
    const moved = backends().map((each, i) => ({ ...each, labels: i < 2 ? ['gpu'] : [] }));
    await bench.publish({ services: [web({ backends: moved, rules })] });
    const after = new Set(Array.from({ length: 12 }, low));
    expect(after.size).toBe(1);
    expect(after.has(11) || after.has(12)).toBe(true);
  });

  it('stays when its backend is full: the client goes elsewhere this time', async () => {
    const limited = backends([1, 1, 0, 0]).map((each, i) => {
      return i === 0 ? { ...each, 'connection-limit': 2 } : each;
    });
    const bench = await benchOf([web({ backends: backends([1, 0, 0, 0]) })]);
    expect(connect(bench)).toBe(11);
    await bench.publish({ services: [web({ backends: limited })] });
    const sourcePort = port + 1;
    expect([connect(bench), connect(bench), connect(bench)]).toEqual([11, 12, 12]);
    bench.pass(answer({ flags: ['RST'], sequence: 9001, destinationPort: sourcePort }), INT);
    expect(connect(bench)).toBe(11);
  });

  it('makes room for connections when the table is full; established ones stay', async () => {
    const bench = await benchOf([web({ persistence: { timeout: '1h' } })], { connections: 1024 });
    const source = (n: number) => `10.1.${4 + (n >> 8)}.${n & 255}`;
    const established: number[] = [];
    for (let n = 0; n < 50; n++) {
      const server = `10.2.0.${connect(bench, source(n))}`;
      established.push(port);
      const toClient = { destinationPort: port };
      bench.pass(answer({ ...SYN_ACK, ...toClient }, { destination: source(n) }, server), INT);
      bench.pass(request({ ...ACK, sourcePort: port }, { source: source(n) }));
    }
    let refused = 0;
    for (let n = 50; n < 1500; n++) {
      if (connect(bench, source(n)) === undefined) refused++;
      const reset = { flags: ['RST'], sequence: 1001, sourcePort: port } as const;
      bench.pass(request(reset, { source: source(n) }));
      bench.advance(100);
    }
    // Pressure takes a round or two until it reaches what has an hour.
    expect(refused).toBeLessThan(10);
    expect(readCounters(bench.memory).single.evicted).toBeGreaterThan(400);
    expect(templates(bench).length).toBeGreaterThan(400);
    established.forEach((sourcePort, n) => {
      const again = bench.pass(request({ ...ACK, sourcePort }, { source: source(n) }));
      expect(again.reasons).toEqual(['connection']);
    });
  });
});
