// Connections of a backend whose connections are to be ended: which are, how fast, and who is told what. That
// real TCPs believe what they are told: test/scenario/endings.test.ts.

import { describe, expect, it } from 'vitest';
import { type PacketBuilder, packet } from '../../test/support/packet-builder.ts';
import { expectSameFields } from '../../test/support/packet-fields.ts';
import {
  B1,
  B2,
  CLIENT,
  EXT,
  EXT_MAC,
  INT,
  INT_MAC,
  macOf,
  type Sent,
  SwitchBench,
  service,
  VIP,
} from '../../test/support/switch-bench.ts';
import {
  ACK,
  answer,
  handshake,
  query,
  reply,
  request,
  requestAtServer,
  SYN,
  SYN_ACK,
} from '../../test/support/switch-packets.ts';
import { readCounters } from '../memory/counters.ts';
import { countConnections } from '../tables/connection-snapshot.ts';

const B1_ONLY = [{ name: 'b1', address: B1, port: 8080 }];
const BOTH = [...B1_ONLY, { name: 'b2', address: B2, port: 8080 }];
/** A sweep's round and a half when something is urgent. */
const ROUND_MS = 750;

/** Everything that leaves within so many milliseconds. */
function run(bench: SwitchBench, ms: number): Sent[] {
  const sent: Sent[] = [];
  for (let i = 0; i < ms; i++) {
    bench.advance(1);
    sent.push(...bench.collect());
  }
  bench.settle();
  return sent;
}

const ended = (bench: SwitchBench) => readCounters(bench.memory).single.ended;
const live = (bench: SwitchBench) =>
  Object.values(countConnections(bench.memory)).reduce((sum, count) => sum + count, 0);

const isReset = ({ bytes }: Sent) => bytes[12] === 8 && bytes[13] === 0 && (bytes[47] & 4) !== 0;

/** The resets that the two ends get: written down here, byte by byte. */
function reset(to: 'client' | 'server', sequence: number, clientPort = 40_000): PacketBuilder {
  const ethernet =
    to === 'client'
      ? { source: EXT_MAC, destination: macOf(CLIENT) }
      : { source: INT_MAC, destination: macOf(B1) };
  const ip =
    to === 'client' ? { source: VIP, destination: CLIENT } : { source: CLIENT, destination: B1 };
  const ports =
    to === 'client'
      ? { sourcePort: 80, destinationPort: clientPort }
      : { sourcePort: clientPort, destinationPort: 8080 };
  return packet()
    .ethernet(ethernet)
    .ipv4({ ...ip, timeToLive: 64, identification: 0, dontFragment: true })
    .tcp({ ...ports, sequence, acknowledgment: 0, window: 0, flags: ['RST'] })
    .padTo(60);
}

async function bench(rest: object = {}, options: object = {}): Promise<SwitchBench> {
  const services = [
    service('web', { backends: B1_ONLY, ...rest }),
    service('dns', { protocol: 'udp', port: 53, backends: [{ ...B1_ONLY[0], port: 5353 }] }),
    service('other', { port: 81, backends: B1_ONLY }),
  ];
  return SwitchBench.create({ configuration: { services }, ...options });
}

describe('connections that are to be ended', () => {
  it('are, and both ends are told by a reset with what they acknowledged last', async () => {
    const weir = await bench();
    handshake(weir);
    weir.pass(request({ ...ACK, sequence: 1001, acknowledgment: 9501 }));
    weir.pass(answer({ flags: ['ACK'], sequence: 9501, acknowledgment: 1301 }), INT);
    await weir.endConnections('web/b1');
    const sent = run(weir, ROUND_MS);
    expect(sent.map(({ egress }) => egress).sort()).toEqual([EXT, INT]);
    const at = (egress: number) => sent.find((each) => each.egress === egress)!.bytes;
    expectSameFields(at(EXT), reset('client', 9501).bytes());
    expectSameFields(at(INT), reset('server', 1301).bytes());
    expect(live(weir)).toBe(0);
    expect(ended(weir)).toBe(1);
    expect(weir.pass(request(ACK)).reasons).toEqual(['reset-unknown-connection']);
  });

  it('are those of this backend and this service only', async () => {
    const weir = await bench();
    handshake(weir);
    weir.pass(request({ ...SYN, sourcePort: 5, destinationPort: 81 }));
    weir.pass(query());
    await weir.endConnections('other/b1');
    run(weir, 2 * ROUND_MS);
    expect(countConnections(weir.memory)).toMatchObject({ established: 1, udp: 1, 'syn-sent': 0 });
    expect(ended(weir)).toBe(1);
    await weir.endConnections();
    run(weir, 2 * ROUND_MS);
    expect(live(weir)).toBe(2);
  });

  it('end in silence when nobody waits in silence: UDP, half-open, closed', async () => {
    const weir = await bench();
    weir.pass(query());
    weir.pass(request({ ...SYN, sourcePort: 1 }));
    weir.pass(request({ ...SYN, sourcePort: 2 }));
    weir.pass(answer({ ...SYN_ACK, destinationPort: 2 }), INT);
    weir.pass(answer({ flags: ['RST'], destinationPort: 2 }), INT);
    expect(live(weir)).toBe(3);
    await weir.endConnections('web/b1', 'dns/b1');
    expect(run(weir, ROUND_MS)).toEqual([]);
    expect(live(weir)).toBe(0);
    expect(ended(weir)).toBe(3);
  });

  it('of direct server return: the client is told, the server is not seen', async () => {
    const weir = await bench({ forwarding: 'dsr', backends: [{ ...B1_ONLY[0], port: 80 }] });
    weir.pass(request(SYN));
    weir.pass(request({ ...ACK, acknowledgment: 7777 }));
    await weir.endConnections('web/b1');
    const sent = run(weir, ROUND_MS);
    expect(sent.map(({ egress }) => egress)).toEqual([EXT]);
    expectSameFields(sent[0].bytes, reset('client', 7777).bytes());
  });

  it('wait until the next hop of the client is known', async () => {
    const weir = await bench({}, { known: [B1] });
    handshake(weir);
    await weir.endConnections('web/b1');
    expect(run(weir, ROUND_MS).filter(isReset)).toEqual([]);
    expect(live(weir)).toBe(1);
    weir.know(CLIENT);
    expect(run(weir, ROUND_MS).filter(isReset)).toHaveLength(2);
    expect(live(weir)).toBe(0);
  });

  it('do not wait for the server, nor for a client that does not answer ARP', async () => {
    const weir = await bench({}, { known: [CLIENT] });
    handshake(weir);
    await weir.endConnections('web/b1');
    expect(run(weir, ROUND_MS).filter(isReset)).toHaveLength(1);
    expect(live(weir)).toBe(0);
    const other = await bench({}, { known: [B1] });
    handshake(other);
    await other.endConnections('web/b1');
    expect(
      run(other, 10_000)
        .filter(isReset)
        .map(({ egress }) => egress),
    ).toEqual([INT]);
    expect(live(other)).toBe(0);
  });

  it('are many: all told within a second, whatever the rings take at once', async () => {
    const count = 2000;
    const weir = await bench({}, { connections: 4096, frames: 1024, wire: 64 });
    for (let i = 0; i < count; i++) {
      const port = 1024 + i;
      weir.pass(request({ ...SYN, sourcePort: port }));
      weir.pass(answer({ ...SYN_ACK, destinationPort: port }), INT);
      weir.pass(request({ ...ACK, sourcePort: port }));
    }
    expect(live(weir)).toBe(count);
    await weir.endConnections('web/b1');
    const sent = run(weir, 1500);
    expect(live(weir)).toBe(0);
    const toClients = sent.filter(({ egress }) => egress === EXT);
    const ports = new Set(toClients.map(({ bytes }) => (bytes[36] << 8) | bytes[37]));
    expect(ports.size).toBe(count);
    expect(ended(weir)).toBe(count);
  });

  it('are each told once when two processors sweep', async () => {
    const weir = await bench({}, { queues: [[0], [1]] });
    for (let port = 1; port <= 40; port++) {
      weir.pass(request({ ...SYN, sourcePort: port }));
      weir.pass(answer({ ...SYN_ACK, destinationPort: port }), INT);
      weir.pass(request({ ...ACK, sourcePort: port }));
    }
    await weir.endConnections('web/b1');
    const sent = run(weir, ROUND_MS);
    expect(sent.filter(({ egress }) => egress === EXT)).toHaveLength(40);
    expect(sent.filter(({ egress }) => egress === INT)).toHaveLength(40);
    expect(ended(weir)).toBe(40);
  });
});

describe('with on-down: rebalance', () => {
  const options = { 'on-down': 'rebalance', health: { type: 'tcp' }, backends: BOTH };

  it('a TCP segment goes on to another backend, and the client is not told', async () => {
    const weir = await bench(options);
    handshake(weir);
    await weir.endConnections('web/b1');
    expect(run(weir, ROUND_MS)).toEqual([]);
    expect(live(weir)).toBe(0);
    const { reasons, sent } = weir.pass(request(ACK));
    expect(reasons).toEqual(['new-connection']);
    expectSameFields(sent[0].bytes, requestAtServer(ACK, {}, B2).bytes());
    // What a server says that knows nothing of it.
    weir.pass(answer({ flags: ['RST'], sequence: 9001 }, {}, B2), INT);
    expect(countConnections(weir.memory)).toMatchObject({ close: 1, established: 0 });
  });

  it('what nobody has answered is not established, however many there are', async () => {
    const weir = await bench(options);
    for (let port = 1; port <= 20; port++) weir.pass(request({ ...ACK, sourcePort: port }));
    expect(countConnections(weir.memory)).toMatchObject({ 'syn-sent': 20, established: 0 });
    expect(readCounters(weir.memory).single.halfOpen).toBe(20);
    for (const from of [B1, B2]) weir.pass(answer({ ...ACK, destinationPort: 1 }, {}, from), INT);
    weir.pass(request({ ...ACK, sourcePort: 1 }));
    expect(readCounters(weir.memory).single.halfOpen).toBe(19);
  });

  it('no more of them begin in a second than resets may be sent', async () => {
    const weir = await SwitchBench.create({
      configuration: {
        services: [service('web', options)],
        'rate-limits': { resets: 10, 'echo-replies': 10 },
      },
    });
    for (let port = 1; port <= 30; port++) weir.pass(request({ ...ACK, sourcePort: port }));
    expect(weir.count('new-connection')).toBe(10);
    expect(weir.count('reset-rate-limited')).toBe(20);
  });

  it('a reset, a SYN+ACK or a FIN begins nothing', async () => {
    const weir = await bench(options);
    expect(weir.pass(request({ ...ACK, flags: ['RST'] })).reasons).toEqual(['reset-received']);
    for (const flags of [
      ['SYN', 'ACK'],
      ['FIN', 'ACK'],
    ] as const) {
      const { reasons } = weir.pass(request({ ...ACK, flags: [...flags] }));
      expect(reasons).toEqual(['reset-unknown-connection']);
    }
    expect(live(weir)).toBe(0);
  });

  it('a UDP conversation goes on with another backend', async () => {
    const weir = await SwitchBench.create({
      configuration: {
        services: [
          service('dns', {
            protocol: 'udp',
            port: 53,
            'on-down': 'rebalance',
            health: { type: 'udp', send: 'x', expect: 'x' },
            backends: BOTH.map((each) => ({ ...each, port: 5353 })),
          }),
        ],
      },
    });
    weir.pass(query());
    weir.pass(reply(), INT);
    await weir.endConnections('dns/b1');
    run(weir, ROUND_MS);
    const { reasons, sent } = weir.pass(query());
    expect(reasons).toEqual(['new-connection']);
    expect(sent[0].bytes.slice(0, 6)).toEqual(
      Uint8Array.from(macOf(B2).split(':'), (part) => Number.parseInt(part, 16)),
    );
  });
});
