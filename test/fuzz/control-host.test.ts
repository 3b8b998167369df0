// The control host under malformed frames, both ways: what its programs may send is anything, and so is
// what comes in for its addresses. Nothing reaches a network but untagged packets in the name of an
// address of ours, and nothing reaches the kernel but whole packets for an address of its own; every packet
// ends under one reason, every frame has its owner.
//
// The seed is printed; WEIR_SEED=… repeats a run, WEIR_FUZZ_FRAMES=… changes its length.

import { env } from 'node:process';
import { expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { readCounters } from '../../src/memory/counters.ts';
import { plainChecksum } from '../support/bytes.ts';
import { mutate } from '../support/frame-mutator.ts';
import { HOST, HOST_MAC_TEXT, PEER_MAC_TEXT } from '../support/host-end.ts';
import { CONTROL, CONTROL_CONFIGURATION, FAR, fromHost } from '../support/host-packets.ts';
import { type PacketBuilder, packet } from '../support/packet-builder.ts';
import { B1, CLIENT, EXT, SwitchBench, VIP } from '../support/switch-bench.ts';
import { fromClient, icmpFromClient, SYN } from '../support/switch-packets.ts';

const FRAMES = Math.ceil(Number(env.WEIR_FUZZ_FRAMES ?? 1_000_000) / 40);
const SEED = Number(env.WEIR_SEED ?? Date.now() % 0x7fffffff);
const OWN = [CONTROL, FAR, VIP, '10.1.0.1', '10.2.0.1'];
const HOSTS = [CONTROL, FAR, VIP, '10.1.0.1'];
const IPV4 = 0x0800;
const ARP = 0x0806;

const udp = { sourcePort: 5000, destinationPort: 6000 };
const error = (embedded: PacketBuilder) => ({ type: 3, code: 3, embedded });
const FROM_HOST = [
  fromHost(CLIENT).udp(udp).payload('x'.repeat(40)),
  fromHost(CLIENT, { moreFragments: true }).udp(udp).payload('x'.repeat(40)),
  fromHost(VIP).tcp({ ...SYN, destinationPort: 80 }),
  fromHost(B1, { source: FAR }).tcp({ flags: ['ACK'], destinationPort: 80 }),
  fromHost('203.0.113.5').icmp({ type: 8 }).payload('ping'),
  fromHost(CLIENT).icmp(error(packet().ipv4({ source: CLIENT, destination: CONTROL }).udp(udp))),
  packet()
    .ethernet({ source: HOST_MAC_TEXT, destination: PEER_MAC_TEXT })
    .vlan(7)
    .ipv4({ source: CONTROL, destination: CLIENT })
    .udp(udp),
  packet()
    .ethernet({ source: HOST_MAC_TEXT, destination: 'ff:ff:ff:ff:ff:ff' })
    .arp({ senderMac: HOST_MAC_TEXT, senderAddress: CONTROL, targetAddress: CLIENT }),
].map((each) => each.bytes());
const TO_HOST = [
  fromClient({ destination: CONTROL }).udp(udp).payload('x'.repeat(40)),
  fromClient({ destination: FAR, moreFragments: true }).udp(udp).payload('x'.repeat(40)),
  fromClient({ destination: CONTROL })
    .tcp({ ...SYN, destinationPort: 22 })
    .padTo(60),
  fromClient({ destination: FAR, protocol: 89 }).payload('hello'),
  icmpFromClient({ type: 8 }, { destination: '10.1.0.1' }).payload('ping'),
  icmpFromClient(error(packet().ipv4({ source: CONTROL }).udp(udp)), { destination: CONTROL }),
].map((each) => each.bytes());

/** '' or what is wrong with a frame that has left. */
function judge(egress: number, bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = view.getUint16(12);
  if (type === ARP) return '';
  if (type !== IPV4) return `type ${type.toString(16)}`;
  const address = (at: number) => bytes.slice(at, at + 4).join('.');
  const end = 14 + view.getUint16(16);
  if (end > bytes.length) return 'longer than its frame';
  if (plainChecksum(bytes.subarray(14, 14 + (bytes[14] & 15) * 4)) !== 0) return 'header checksum';
  if (egress !== HOST) return '';
  if (!HOSTS.includes(address(30))) return `for ${address(30)}`;
  return end === bytes.length || bytes.length <= 60 ? '' : 'padding';
}

it(`${FRAMES} damaged frames from the control host and for it`, { timeout: 120_000 }, async () => {
  console.log(`seed ${SEED}`);
  const random = new Prng(SEED);
  const rateLimits = { resets: 1_000_000, 'echo-replies': 1_000_000 };
  const configuration = { control: CONTROL_CONFIGURATION, 'rate-limits': rateLimits };
  const bench = await SwitchBench.create({ configuration });
  const all = [...FROM_HOST, ...TO_HOST];
  for (let i = 0; i < FRAMES; i++) {
    const isFromHost = random.below(2) === 0;
    const kinds = isFromHost ? FROM_HOST : TO_HOST;
    const bytes = mutate(random, kinds[random.below(kinds.length)], all);
    bench.inject(bytes, isFromHost ? HOST : EXT);
    bench.advance(1);
    for (const sent of bench.collect()) {
      // What the networks say to each other is judged in filter.test.ts.
      if (!isFromHost && sent.egress !== HOST) continue;
      const isRouted = isFromHost && sent.egress !== HOST && sent.bytes[12] === 8;
      const source = sent.bytes.slice(26, 30).join('.');
      const fault =
        isRouted && sent.bytes[13] === 0 && !OWN.includes(source)
          ? `in the name of ${source}`
          : judge(sent.egress, sent.bytes);
      const what = `seed ${SEED}, frame ${i}: ${Buffer.from(bytes).toString('hex')}`;
      expect(fault, what).toBe('');
    }
    if (i % 1000 === 0) bench.settle();
  }
  bench.settle();
  const { reasons } = readCounters(bench.memory);
  const seen = Object.entries(reasons).filter(([, count]) => count > 0);
  console.log(seen.map(([name, count]) => `${name} ${count}`).join(', '));
  // Damage that is only ever dropped would prove little.
  expect(reasons['to-control']).toBeGreaterThan(FRAMES / 50);
  expect(reasons['from-control']).toBeGreaterThan(FRAMES / 50);
});
