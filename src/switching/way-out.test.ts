// The way out that a connection remembers: used while it is true, found anew when routes have changed or
// the neighbor's place in the table has gone to somebody else.

import { describe, expect, it } from 'vitest';
import { decodeFrame } from '../../test/support/packet-fields.ts';
import {
  B1,
  CLIENT,
  EXT,
  INT,
  macOf,
  type Outcome,
  SwitchBench,
} from '../../test/support/switch-bench.ts';
import { ACK, handshake, query, reply, request } from '../../test/support/switch-packets.ts';
import { INTERFACE_LINK_UP } from '../memory/layout.ts';
import { ADDRESS, ENTRY_WORDS, KEY } from '../tables/neighbor-entry.ts';
import { parseAddress } from '../wire/ipv4.ts';

const FAR = '192.0.2.1';
const ROUTERS = ['10.1.0.253', '10.1.0.254'];
const via = (router: string) => ({ routes: [{ to: 'default', via: router }] });
const nextHops = ({ sent }: Outcome) =>
  sent.map(({ bytes }) => decodeFrame(bytes).ethernet?.destination);

describe('the way out of a connection', () => {
  it('leads to the router, not to the address behind it, and follows the routes', async () => {
    const known = [CLIENT, B1, ...ROUTERS];
    const bench = await SwitchBench.create({ known, configuration: via(ROUTERS[0]) });
    bench.pass(query({}, { source: FAR }));
    for (const router of [...ROUTERS, ROUTERS[0]]) {
      await bench.publish(via(router));
      bench.settle();
      for (let i = 0; i < 2; i++) {
        const outcome = bench.pass(reply({}, { destination: FAR }), INT);
        expect(outcome.reasons).toEqual(['connection']);
        expect(nextHops(outcome)).toEqual([macOf(router)]);
      }
    }
  });

  it('does not lead to whoever has got the place of the neighbor', async () => {
    const bench = await SwitchBench.create();
    handshake(bench);
    const { words, layout } = bench.memory;
    const index = bench.processors[0].neighbors.find(INT, parseAddress(B1));
    const at = (layout.neighborTable >> 2) + index * ENTRY_WORDS;
    words[at + KEY] += 1 << 8;
    words[at + ADDRESS] = parseAddress('10.2.0.77');
    const outcome = bench.pass(request(ACK));
    expect(outcome.reasons).toEqual(['waiting']);
    expect(nextHops(outcome)).toEqual(['ff:ff:ff:ff:ff:ff']);
  });
});

describe('a route', () => {
  const prefix = parseAddress('192.0.2.0');
  const fromKernel = { prefix, length: 24, origin: 'kernel', metric: 32 } as const;

  it.each(['blackhole', 'unreachable', 'prohibit'] as const)('can say %s', async (refuses) => {
    const bench = await SwitchBench.create();
    bench.pass(query({}, { source: FAR }));
    await bench.followRoutes({ ...fromKernel, refuses });
    const reason = `route-${refuses === 'prohibit' ? 'prohibited' : refuses}`;
    expect(bench.pass(reply({}, { destination: FAR }), INT)).toEqual({
      reasons: [reason],
      sent: [],
    });
  });

  it('with several ways gives each flow one of them, by their weights', async () => {
    const bench = await SwitchBench.create({ known: [CLIENT, B1, ...ROUTERS] });
    const ways = ROUTERS.map((router, i) => {
      return { interfaceNumber: 0, gateway: parseAddress(router), weight: 1 + 2 * i };
    });
    await bench.followRoutes({ ...fromKernel, ways });
    const chosen: Record<string, number> = {};
    for (let client = 1; client <= 200; client++) {
      const source = `192.0.2.${client}`;
      bench.pass(query({}, { source }));
      const hops = [0, 1].map(() => nextHops(bench.pass(reply({}, { destination: source }), INT)));
      expect(hops[0]).toEqual(hops[1]);
      chosen[`${hops[0]}`] = (chosen[`${hops[0]}`] ?? 0) + 1;
    }
    expect(Object.keys(chosen).sort()).toEqual(ROUTERS.map(macOf).sort());
    expect(chosen[macOf(ROUTERS[1])] / 200).toBeGreaterThan(0.6);
    expect(chosen[macOf(ROUTERS[1])] / 200).toBeLessThan(0.9);
  });

  it('with several ways: a flow keeps its own while its link is up, and while others come and go', async () => {
    const routers = [...ROUTERS, '10.2.0.254'];
    const bench = await SwitchBench.create({ known: [CLIENT, B1, ...routers] });
    const follow = (...some: string[]) =>
      bench.followRoutes({
        ...fromKernel,
        ways: some.map((router) => ({
          interfaceNumber: router.startsWith('10.2.') ? INT : EXT,
          gateway: parseAddress(router),
          weight: 1,
        })),
      });
    await follow(...routers);
    const clients = Array.from({ length: 60 }, (_, i) => `192.0.2.${i + 1}`);
    for (const source of clients) bench.pass(query({}, { source }));
    const chosen = () =>
      clients.map((destination) => `${nextHops(bench.pass(reply({}, { destination }), INT))}`);
    const all = chosen();
    expect(new Set(all)).toEqual(new Set(routers.map(macOf)));
    // Of connections that have a way already, and without anything new from the routing daemon.
    bench.setInterface(INT, INTERFACE_LINK_UP, 0);
    const without = chosen();
    const lost = macOf(routers[2]);
    expect(without.every((hop, i) => hop !== lost && (hop === all[i] || all[i] === lost))).toBe(
      true,
    );
    bench.setInterface(INT, INTERFACE_LINK_UP, 1);
    await follow(...ROUTERS);
    expect(chosen()).toEqual(without);
    await follow(...routers);
    expect(chosen()).toEqual(all);
  });
});
