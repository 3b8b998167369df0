// The C twin does the same work as weir: the same frames through weir's own modules and through the C
// filter come out byte for byte alike, and are refused for the same reasons. Skipped where clang is
// missing; what the C twin leaves out (resets, ICMP) is not sent here.

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { type PacketBuilder, packet, type TcpFlag } from '../../test/support/packet-builder.ts';
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
import { buildCTwin } from './build.ts';

const built = buildCTwin();
const filter = 'filter' in built ? built.filter : '';
const skipped = 'reason' in built ? ` (skipped: ${built.reason})` : '';
const SEED = 20261120;
const PACKETS = 1500;
const HEAD_SIZE = 8;

interface Arriving {
  readonly ingress: number;
  readonly bytes: Uint8Array;
}

const TOPOLOGY = [
  ...['--interface', `ext0,10.1.0.1/24,${EXT_MAC}`, '--interface', `int0,10.2.0.1/24,${INT_MAC}`],
  ...['--service', `tcp,${VIP},80`, '--backend', `${B1},8080`, '--backend', `${B2},8080`],
  ...['--service', `udp,${VIP},53`, '--backend', `${B1},5353`],
  ...[CLIENT, B1, B2].flatMap((address) => ['--neighbor', `${address},${macOf(address)}`]),
];

/** The same services for weir; no resets, which the C twin does not send. */
const CONFIGURATION = {
  'rate-limits': { resets: 0, 'echo-replies': 0 },
  services: [
    service('web'),
    service('dns', {
      protocol: 'udp',
      port: 53,
      backends: [{ name: 'd', address: B1, port: 5353 }],
    }),
  ],
};

/** One conversation: what client and server have sent, drawn by chance, faults included. */
class Mix {
  readonly #random: Prng;

  constructor(seed: number) {
    this.#random = new Prng(seed);
  }

  next(): Arriving {
    const isTcp = this.#random.below(2) === 0;
    const isReply = this.#random.below(3) === 0;
    const port = 2000 + this.#random.below(12);
    const server = this.#random.below(2) === 0 ? B1 : B2;
    const [source, destination] = isReply ? [server, CLIENT] : [CLIENT, VIP];
    const ip = {
      source,
      destination,
      timeToLive: this.#one([64, 64, 64, 64, 64, 2, 1, 255]),
      typeOfService: this.#random.below(256),
      identification: this.#random.below(65536),
      moreFragments: this.#rarely(),
      ...(this.#rarely() ? { options: Uint8Array.of(1, 1, 1, 0) } : {}),
      ...(this.#rarely() ? { headerChecksum: 0x1234 } : {}),
      ...(this.#rarely()
        ? { source: this.#one(['127.0.0.1', '224.0.0.1', '10.1.0.1', '10.9.9.9']) }
        : {}),
    };
    const [sourceMac, destinationMac] = isReply ? [server, INT_MAC] : [CLIENT, EXT_MAC];
    const ethernet = {
      source: macOf(sourceMac),
      destination: this.#rarely() ? '02:00:00:00:00:99' : destinationMac,
    };
    const outer = packet().ethernet(ethernet);
    const tagged = this.#rarely() ? outer.vlan(7) : outer;
    const inner = this.#transport(tagged.ipv4(ip), isTcp, isReply, port);
    const bytes = inner
      .payload(this.#text())
      .padTo(this.#one([60, 60, 64, 0]))
      .bytes();
    const cut = this.#random.below(40) === 0 ? this.#random.below(bytes.length) : bytes.length;
    return { ingress: isReply ? INT : EXT, bytes: bytes.slice(0, cut) };
  }

  #transport(network: PacketBuilder, isTcp: boolean, isReply: boolean, port: number) {
    const service = isTcp ? (isReply ? 8080 : 80) : isReply ? 5353 : 53;
    const other = this.#random.below(12) === 0 ? service + 1 : service;
    const ports = isReply
      ? { sourcePort: other, destinationPort: port }
      : { sourcePort: port, destinationPort: other };
    const wrong = this.#rarely() ? { checksum: 0x4321 } : {};
    if (!isTcp) return network.udp({ ...ports, ...(this.#rarely() ? { checksum: 0 } : wrong) });
    const flags = this.#one<TcpFlag[]>([
      ['SYN'],
      ['SYN'],
      ['ACK'],
      ['ACK', 'PSH'],
      ['FIN', 'ACK'],
      ['RST'],
      ['SYN', 'ACK'],
      ['SYN', 'FIN'],
    ]);
    return network.tcp({ ...ports, flags, sequence: this.#random.next(), ...wrong });
  }

  #one<Value>(values: readonly Value[]): Value {
    return values[this.#random.below(values.length)];
  }

  #rarely(): boolean {
    return this.#random.below(25) === 0;
  }

  #text(): string {
    return 'x'.repeat(
      this.#random.below(4) === 0 ? this.#random.below(1200) : this.#random.below(24),
    );
  }
}

async function throughWeir(arriving: readonly Arriving[]) {
  const bench = await SwitchBench.create({ configuration: CONFIGURATION });
  const reasons: Record<string, number> = {};
  const sent: Sent[] = [];
  for (const { ingress, bytes } of arriving) {
    const outcome = bench.pass(bytes, ingress);
    sent.push(...outcome.sent);
    for (const reason of outcome.reasons) reasons[reason] = (reasons[reason] ?? 0) + 1;
  }
  return { sent, reasons };
}

function throughC(arriving: readonly Arriving[]) {
  const input = arriving.flatMap(({ ingress, bytes }) => {
    const head = Buffer.alloc(HEAD_SIZE);
    head.writeUInt32LE(ingress, 0);
    head.writeUInt32LE(bytes.length, 4);
    return [head, bytes];
  });
  const result = spawnSync(filter, ['--transform', ...TOPOLOGY], { input: Buffer.concat(input) });
  expect(result.status, result.stderr.toString()).toBe(0);
  const sent: Sent[] = [];
  const { stdout } = result;
  for (let at = 0; at < stdout.length; ) {
    const length = stdout.readUInt32LE(at + 4);
    const bytes = new Uint8Array(stdout.subarray(at + HEAD_SIZE, at + HEAD_SIZE + length));
    sent.push({ egress: stdout.readUInt32LE(at), bytes });
    at += HEAD_SIZE + length;
  }
  const { reasons } = JSON.parse(result.stderr.toString()) as { reasons: Record<string, number> };
  return { sent, reasons };
}

const hex = ({ egress, bytes }: Sent): string => `${egress} ${Buffer.from(bytes).toString('hex')}`;

describe.skipIf(filter === '')(`the C twin${skipped}`, () => {
  it(`writes the same frames as weir and refuses for the same reasons (seed ${SEED})`, async () => {
    const mix = new Mix(SEED);
    const arriving = Array.from({ length: PACKETS }, () => mix.next());
    const weir = await throughWeir(arriving);
    const twin = throughC(arriving);
    expect(twin.reasons).toEqual(weir.reasons);
    expect(twin.sent.map(hex)).toEqual(weir.sent.map(hex));
    // The mix is worth something only if both directions and both protocols get through.
    expect(weir.reasons.connection).toBeGreaterThan(PACKETS / 10);
    expect(new Set(weir.sent.map(({ egress }) => egress))).toEqual(new Set([EXT, INT]));
  });

  it('answers ARP with the same frame', async () => {
    const question = packet()
      .ethernet({ source: macOf(CLIENT), destination: 'ff:ff:ff:ff:ff:ff' })
      .arp({ senderMac: macOf(CLIENT), senderAddress: CLIENT, targetAddress: VIP })
      .padTo(60)
      .bytes();
    const arriving = [{ ingress: EXT, bytes: question }];
    const weir = await throughWeir(arriving);
    const twin = throughC(arriving);
    expect(weir.reasons).toEqual({ 'arp-answered': 1 });
    expect(twin.reasons).toEqual(weir.reasons);
    expect(twin.sent.map(hex)).toEqual(weir.sent.map(hex));
  });
});
