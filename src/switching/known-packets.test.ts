// Goal: the short way does to every packet exactly what the long one does, and is taken.
// Method: two switches, one of which goes the long way with everything, carry the same conversations, drawn
// by a seed: valid packets of several TCP and UDP connections in bursts, in both directions, with odd
// flags, times to live and sizes, while links, MTUs, neighbors and routes change. After each burst all
// that left, all counts and all connections must be the same.

import { describe, expect, it } from 'vitest';
import type { PacketBuilder } from '../../test/support/packet-builder.ts';
import { EXT, INT, SwitchBench } from '../../test/support/switch-bench.ts';
import {
  ACK,
  answer,
  query,
  reply,
  request,
  SYN,
  SYN_ACK,
} from '../../test/support/switch-packets.ts';
import { Prng } from '../base/prng.ts';
import { readCounters } from '../memory/counters.ts';
import { INTERFACE_LINK_UP, INTERFACE_MTU } from '../memory/layout.ts';
import { snapshotConnections } from '../tables/connection-snapshot.ts';
import { CONNECTION } from './reasons.ts';

const SEED = Number(process.env.WEIR_SEED ?? Date.now() % 0x7fffffff);
const BURSTS = 600;
const PORTS = 6;
const ODD_FLAGS = [
  ['FIN', 'ACK'],
  ['RST'],
  ['RST', 'ACK'],
  ['SYN'],
  ['PSH'],
  ['SYN', 'FIN'],
] as const;

interface Drawn {
  readonly side: number;
  readonly frame: PacketBuilder;
}

function draw(random: Prng): Drawn {
  const port = 40_000 + random.below(PORTS);
  const side = random.below(2) === 0 ? EXT : INT;
  const timeToLive = random.below(8) === 0 ? random.below(3) : 64;
  const payload = 'x'.repeat(random.below(8) === 0 ? 1200 : random.below(40));
  if (random.below(2) === 0) {
    const ip = { timeToLive };
    const checksum = random.below(3) === 0 ? { checksum: 0 } : {};
    const frame =
      side === EXT
        ? query({ sourcePort: port, ...checksum }, ip)
        : reply({ destinationPort: port, ...checksum }, ip);
    return { side, frame: frame.payload(payload).padTo(60) };
  }
  const odd = random.below(12) === 0 ? ODD_FLAGS[random.below(ODD_FLAGS.length)] : undefined;
  const tcp = { ...ACK, flags: odd ?? (payload === '' ? ['ACK'] : ['PSH', 'ACK']) } as const;
  const frame =
    side === EXT
      ? request({ ...tcp, sourcePort: port }, { timeToLive })
      : answer({ ...tcp, destinationPort: port }, { timeToLive });
  return { side, frame: frame.payload(payload).padTo(60) };
}

function handshake(bench: SwitchBench, port: number): void {
  bench.inject(request({ ...SYN, sourcePort: port }), EXT);
  bench.turn();
  bench.inject(answer({ ...SYN_ACK, destinationPort: port }), INT);
  bench.inject(request({ ...ACK, sourcePort: port }), EXT);
  bench.turn();
}

/** What may change while connections go on. */
async function disturb(benches: readonly SwitchBench[], random: Prng): Promise<void> {
  const what = random.below(6);
  const one = random.below(2);
  for (const bench of benches) {
    if (what === 0) bench.setInterface(one, INTERFACE_LINK_UP, 0);
    if (what === 1) bench.setInterface(one, INTERFACE_LINK_UP, 1);
    if (what === 2) bench.setInterface(one, INTERFACE_MTU, 600);
    if (what === 3) bench.setInterface(one, INTERFACE_MTU, 1500);
    if (what === 4) await bench.publish({});
    if (what === 5) bench.advance(31_000);
  }
}

function stateOf(bench: SwitchBench) {
  const { reasons, single, interfaces } = readCounters(bench.memory);
  return { reasons, single, interfaces, connections: snapshotConnections(bench.memory, 4096) };
}

describe('KnownPackets', () => {
  it('does what the long way does', { timeout: 60_000 }, async () => {
    console.log(`seed ${SEED}`);
    const random = new Prng(SEED);
    const benches = [await SwitchBench.create(), await SwitchBench.create()];
    benches[1].goTheLongWay();
    const { known } = benches[0].processors[0].filter;
    const forward = known.forward.bind(known);
    let taken = 0;
    known.forward = (i, offset, length, nowMs) => {
      const reason = forward(i, offset, length, nowMs);
      if (reason === CONNECTION) taken += 1;
      return reason;
    };
    for (let burst = 0; burst < BURSTS; burst++) {
      if (burst % 20 === 0) {
        const port = 40_000 + random.below(PORTS);
        for (const bench of benches) handshake(bench, port);
      }
      if (random.below(10) === 0) await disturb(benches, random);
      const drawn = Array.from({ length: 1 + random.below(30) }, () => draw(random));
      const outcomes = benches.map((bench) => {
        for (const { side, frame } of drawn) bench.inject(frame, side);
        bench.advance(1);
        return bench.collect();
      });
      expect(outcomes[0], `what left of burst ${burst}`).toEqual(outcomes[1]);
      expect(stateOf(benches[0]), `state after burst ${burst}`).toEqual(stateOf(benches[1]));
    }
    for (const bench of benches) bench.settle();
    const { forwarded } = readCounters(benches[0].memory).verdicts;
    expect(taken).toBeGreaterThan(forwarded / 2);
  });
});
