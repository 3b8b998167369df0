// The control host by an interface of the kernel's under malformed frames, both ways. Two switches go side by
// side whose free frames hold other bytes: were a byte read outside of a packet, they would sooner or later
// differ. No real address gets outside, no virtual one inside; every packet ends under one reason, every frame
// has its owner.
//
// The seed is printed; WEIR_SEED=… repeats a run, WEIR_FUZZ_FRAMES=… changes its length.

import { env } from 'node:process';
import { expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { readCounters } from '../../src/memory/counters.ts';
import { OWNER_FREE } from '../../src/memory/frame-pool.ts';
import { FRAME_SIZE } from '../../src/memory/layout.ts';
import { plainChecksum } from '../support/bytes.ts';
import {
  about,
  answered,
  asked,
  datagram,
  PAIRS,
  REAL,
  startWithPairs,
  VIRTUAL,
} from '../support/control-pair-packets.ts';
import { mutate } from '../support/frame-mutator.ts';
import type { Ipv4Spec, PacketBuilder } from '../support/packet-builder.ts';
import { B1, CLIENT, EXT, INT, type SwitchBench, VIP } from '../support/switch-bench.ts';
import { SYN } from '../support/switch-packets.ts';

const FRAMES = Math.ceil(Number(env.WEIR_FUZZ_FRAMES ?? 1_000_000) / 50);
const SEED = Number(env.WEIR_SEED ?? Date.now() % 0x7fffffff);
const POISON_EVERY = 64;
const LONG = 'x'.repeat(40);
/** By the interface: what must not be seen there. */
const HIDDEN = [PAIRS.map(({ real }) => real), PAIRS.map(({ virtual }) => virtual)];

const kinds = (from: (ip?: Ipv4Spec) => PacketBuilder) => [
  datagram(from()),
  from().tcp(SYN).payload(LONG),
  from({ moreFragments: true }).udp().payload(LONG),
  from({ fragmentOffset: 1480, protocol: 6 }).payload(LONG),
  from({ protocol: 47 }).payload(LONG),
  from().icmp({ type: 8 }).payload(LONG),
];
const INWARDS = [
  ...kinds(asked),
  asked().icmp({ type: 3, code: 4, embedded: about(VIRTUAL, CLIENT) }),
].map((each) => each.bytes());
const OUTWARDS = [
  ...kinds(answered),
  answered({ destination: VIRTUAL }).udp().payload(LONG),
  answered({ destination: VIP }).tcp({ ...SYN, destinationPort: 80 }),
  answered({ destination: B1 }).udp().payload(LONG),
  answered().icmp({ type: 3, code: 3, embedded: about(CLIENT, REAL) }),
].map((each) => each.bytes());

function poison({ memory }: SwitchBench, value: number): void {
  const { framesStart, frameOwners, frames } = memory.layout;
  for (let frame = 0; frame < frames; frame++) {
    if (memory.words[(frameOwners >> 2) + frame] !== OWNER_FREE) continue;
    const start = framesStart + frame * FRAME_SIZE;
    memory.bytes.fill(value, start, start + FRAME_SIZE);
  }
}

/** '' or what is wrong with a frame that has left. */
function judge(egress: number, bytes: Uint8Array): string {
  if (bytes[12] !== 8 || bytes[13] !== 0) return '';
  const header = bytes.subarray(14, 14 + (bytes[14] & 15) * 4);
  if (plainChecksum(header) !== 0) return 'header checksum';
  const at = egress === EXT ? 26 : 30;
  const address = bytes.slice(at, at + 4).join('.');
  return HIDDEN[egress].includes(address) ? `${address} is seen` : '';
}

it(`${FRAMES} damaged frames from the control host and for it`, { timeout: 120_000 }, async () => {
  console.log(`seed ${SEED}`);
  const random = new Prng(SEED);
  const rates = { resets: 1_000_000, 'echo-replies': 1_000_000, 'icmp-errors': 1_000_000 };
  const benches = [0, 1].map(() => startWithPairs({ 'rate-limits': rates }));
  const [one, other] = await Promise.all(benches);
  const all = [...INWARDS, ...OUTWARDS];
  for (let i = 0; i < FRAMES; i++) {
    if (i % POISON_EVERY === 0) {
      poison(one, 0x00);
      poison(other, 0xff);
    }
    const side = random.below(2) === 0 ? EXT : INT;
    const given = side === EXT ? INWARDS : OUTWARDS;
    const bytes = mutate(random, given[random.below(given.length)], all);
    const [sent, same] = [one, other].map((bench) => {
      bench.inject(bytes, side);
      bench.advance(1);
      return bench.collect();
    });
    const what = `seed ${SEED}, frame ${i}: ${Buffer.from(bytes).toString('hex')}`;
    expect(sent.map(({ egress, bytes }) => judge(egress, bytes)).join(''), what).toBe('');
    const isSame = sent.every((each, n) => Buffer.compare(each.bytes, same[n].bytes) === 0);
    expect(isSame && sent.length === same.length, what).toBe(true);
    if (one.reasonsSum() !== other.reasonsSum()) throw new Error(`decided otherwise: ${what}`);
  }
  one.settle();
  const { reasons } = readCounters(one.memory);
  const seen = Object.entries(reasons).filter(([, count]) => count > 0);
  console.log(seen.map(([name, count]) => `${name} ${count}`).join(', '));
  // Damage that is only ever dropped would prove little.
  expect(reasons['to-control-interface']).toBeGreaterThan(FRAMES / 50);
  expect(reasons['from-control-interface']).toBeGreaterThan(FRAMES / 50);
});
