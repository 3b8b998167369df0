// The way out that a connection remembers: used while it is true, found anew when routes have changed or
// the neighbor's place in the table has gone to somebody else.

import { describe, expect, it } from 'vitest';
import { decodeFrame } from '../../test/support/packet-fields.ts';
import {
  B1,
  CLIENT,
  INT,
  macOf,
  type Outcome,
  SwitchBench,
} from '../../test/support/switch-bench.ts';
import { ACK, handshake, query, reply, request } from '../../test/support/switch-packets.ts';
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
