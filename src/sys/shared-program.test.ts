// The program of shared interfaces, run by the kernel on frames of every kind (BPF_PROG_TEST_RUN). What
// it takes leaves it here with XDP_TX, because a frame that is redirected to no socket looks like one
// that was passed on.

import { describe, expect, it } from 'vitest';
import { ClaimsOracle } from '../../test/support/claims-oracle.ts';
import { mutate } from '../../test/support/frame-mutator.ts';
import { type PacketBuilder, packet } from '../../test/support/packet-builder.ts';
import { WeirError } from '../base/errors.ts';
import { Prng } from '../base/prng.ts';
import { formatAddress, PROTOCOL_TCP, PROTOCOL_UDP, parseAddress } from '../wire/ipv4.ts';
import { loadXdpProgram, replaceXdpProgram, tryXdpProgram } from './bpf.ts';
import { R0 } from './bpf-assembler.ts';
import {
  ADDRESS_IS_KERNELS,
  ADDRESS_IS_WEIRS,
  CLAIM_ADDRESS,
  CLAIM_ENDPOINT,
  CLAIM_SERVICE,
  CLAIMS_SIZE,
  claimKey,
  createClaimsMap,
  MAX_CLAIMS,
} from './claims-map.ts';
import { type ClaimEntry, ClaimsTable } from './claims-table.ts';
import { closeFd } from './libc.ts';
import { ReservedRange } from './main-memory.ts';
import { createSharedProgram, sharedInstructions } from './shared-program.ts';

const PASS = 2;
const TAKE = 3;

const HOST = '192.0.2.10';
const ALONE = '192.0.2.100';
const SERVER = '192.0.2.21';
const CLIENT = '198.51.100.7';
const DAMAGED = 20_000;
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);
const GRE = 47;
const SERVICE_PORT = 80;
const SERVER_PORT = 8080;

function whyNot(): string {
  try {
    closeFd(createClaimsMap());
    return '';
  } catch (error) {
    if (error instanceof WeirError) return error.message;
    throw error;
  }
}

const reason = whyNot();
if (reason !== '') console.log(`skipped, the shared XDP program: ${reason}`);

const claim = (kind: number, address: string, protocol = 0, port = 0, flags = 0): ClaimEntry => {
  return { address: parseAddress(address), key: claimKey(kind, protocol, port), flags };
};

const CLAIMS = [
  claim(CLAIM_ADDRESS, HOST, 0, 0, ADDRESS_IS_KERNELS),
  claim(CLAIM_ADDRESS, ALONE, 0, 0, ADDRESS_IS_WEIRS),
  claim(CLAIM_SERVICE, HOST, PROTOCOL_TCP, SERVICE_PORT),
  claim(CLAIM_SERVICE, ALONE, PROTOCOL_TCP, SERVICE_PORT),
  claim(CLAIM_ENDPOINT, SERVER, PROTOCOL_TCP, SERVER_PORT),
];

const tcp = (from: string, to: string, sourcePort: number, destinationPort: number) =>
  packet().ethernet().ipv4({ source: from, destination: to }).tcp({ sourcePort, destinationPort });

/** What an ICMP error embeds. */
const sent = (from: string, to: string, sourcePort: number, destinationPort: number) =>
  packet().ipv4({ source: from, destination: to }).tcp({ sourcePort, destinationPort });

const error = (from: string, to: string, embedded: PacketBuilder, type = 3) =>
  packet().ethernet().ipv4({ source: from, destination: to }).icmp({ type, embedded });

const echo = (to: string) => packet().ethernet().ipv4({ source: CLIENT, destination: to }).icmp();

const question = (targetAddress: string) => {
  const destination = 'ff:ff:ff:ff:ff:ff';
  return packet().ethernet({ destination }).arp({ senderAddress: CLIENT, targetAddress });
};

const options = Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0);

const TAKEN: Record<string, PacketBuilder> = {
  'to a service on the address of the host': tcp(CLIENT, HOST, 1000, SERVICE_PORT),
  'the same with IP options': packet()
    .ethernet()
    .ipv4({ source: CLIENT, destination: HOST, options })
    .tcp({ sourcePort: 1000, destinationPort: SERVICE_PORT }),
  'to a service on an address alone': tcp(CLIENT, ALONE, 1000, SERVICE_PORT),
  'to another port of an address alone': tcp(CLIENT, ALONE, 1000, 22),
  'an error that embeds a packet with options': error(
    '203.0.113.1',
    HOST,
    packet().ipv4({ source: HOST, destination: CLIENT, options }).tcp({ sourcePort: SERVICE_PORT }),
  ),
  'a fragment to an address alone': packet()
    .ethernet()
    .ipv4({ source: CLIENT, destination: ALONE, fragmentOffset: 800 })
    .udp(),
  'a ping to an address alone': echo(ALONE),
  'a reply of a server': tcp(SERVER, CLIENT, SERVER_PORT, 1000),
  'ARP for an address alone': question(ALONE),
  'an error about a packet of a service': error(
    '203.0.113.1',
    HOST,
    sent(HOST, CLIENT, SERVICE_PORT, 1000),
  ),
  'an error about a packet to a server': error(
    SERVER,
    CLIENT,
    sent(CLIENT, SERVER, 1000, SERVER_PORT),
  ),
  'time exceeded about a packet of a service': error(
    '203.0.113.1',
    HOST,
    sent(HOST, CLIENT, SERVICE_PORT, 1000),
    11,
  ),
  'GRE to an address alone': packet()
    .ethernet()
    .ipv4({ source: CLIENT, destination: ALONE, protocol: GRE })
    .payload(new Uint8Array(20)),
};

const PASSED: Record<string, PacketBuilder> = {
  'to another port of the host': tcp(CLIENT, HOST, 1000, 22),
  'by another protocol to the port': packet()
    .ethernet()
    .ipv4({ source: CLIENT, destination: HOST })
    .udp({ destinationPort: SERVICE_PORT }),
  'a ping to the host': echo(HOST),
  "a server's answer to the host itself": tcp(SERVER, HOST, SERVER_PORT, 1000),
  'from another port of a server': tcp(SERVER, CLIENT, 22, 1000),
  'a fragment to the service on the host': packet()
    .ethernet()
    .ipv4({ source: CLIENT, destination: HOST, moreFragments: true })
    .tcp({ destinationPort: SERVICE_PORT }),
  'to another MAC address': packet()
    .ethernet({ destination: '02:00:00:00:00:09' })
    .ipv4({ source: CLIENT, destination: ALONE })
    .tcp({ destinationPort: SERVICE_PORT }),
  'with a VLAN tag': packet()
    .ethernet()
    .vlan(5)
    .ipv4({ source: CLIENT, destination: HOST })
    .tcp({ destinationPort: SERVICE_PORT }),
  'ARP for the host': question(HOST),
  'an ARP answer to the host': packet()
    .ethernet()
    .arp({ operation: 'reply', senderAddress: SERVER, targetAddress: HOST }),
  'an ARP answer to an address alone': packet()
    .ethernet()
    .arp({ operation: 'reply', senderAddress: SERVER, targetAddress: ALONE }),
  'an error about a packet of the host': error(SERVER, HOST, sent(HOST, SERVER, 1000, SERVER_PORT)),
  'an error about another port of the host': error(CLIENT, HOST, sent(HOST, CLIENT, 22, 1000)),
  'a packet cut off behind its IP header': packet()
    .ethernet()
    .ipv4({ source: CLIENT, destination: HOST, protocol: 6 }),
  'an IP header shorter than one is': packet()
    .ethernet()
    .ipv4({ source: CLIENT, destination: HOST, headerLength: 8 })
    .tcp({ destinationPort: SERVICE_PORT }),
  'the same port within GRE': packet()
    .ethernet()
    .ipv4({ source: CLIENT, destination: HOST, protocol: GRE })
    .payload(Uint8Array.of(0, 0, 0, SERVICE_PORT, 0, 0, 0, 0)),
  'two VLAN tags': packet()
    .ethernet()
    .vlan(7, { tagType: 0x88a8 })
    .vlan(5)
    .ipv4({ source: CLIENT, destination: ALONE })
    .tcp({ destinationPort: SERVICE_PORT }),
  'an error that embeds nothing': packet()
    .ethernet()
    .ipv4({ source: SERVER, destination: CLIENT })
    .icmp({ type: 3 }),
  IPv6: packet().ethernet({ type: 0x86dd }).payload(new Uint8Array(60)),
};

/** A frame whose headers say that they are of any length and type, and that has a port wherever they end. */
function withAnyLengths(random: Prng, frame: Uint8Array): Uint8Array {
  const long = new Uint8Array(200);
  for (let at = 0; at < long.length; at += 2) long[at + 1] = SERVICE_PORT;
  long.set(frame);
  long[14] = 0x40 | random.below(16);
  const end = 14 + (long[14] & 15) * 4;
  if (end > 34 && random.below(2) === 0) {
    long.set(frame.subarray(34, 34 + 40), end);
    long[end + 8] = 0x40 | random.below(16);
  }
  long[end] = random.below(16);
  return long.subarray(0, 34 + random.below(long.length - 34));
}

describe.skipIf(reason !== '')('the shared XDP program', () => {
  const claimsFd = reason === '' ? createClaimsMap() : -1;
  const range = reason === '' ? ReservedRange.reserve() : undefined;
  const offset = range?.mapRing(claimsFd, CLAIMS_SIZE, 0) ?? 0;
  const table = range && new ClaimsTable(range.buffer, offset);
  table?.setMacAddress(1, MAC);
  const instructions = sharedInstructions(claimsFd, 1, (program) => program.move(R0, TAKE));
  const programFd = reason === '' ? loadXdpProgram(instructions, 'weir_tried') : -1;
  const verdict = (frame: PacketBuilder): number => tryXdpProgram(programFd, frame.bytes()).verdict;

  it('passes everything while nothing is claimed', () => {
    for (const frame of Object.values(TAKEN)) expect(verdict(frame)).toBe(PASS);
  });

  it.each(Object.entries(TAKEN))('takes %s', async (_, frame) => {
    await table?.replace(CLAIMS);
    expect(verdict(frame)).toBe(TAKE);
  });

  it.each(Object.entries(PASSED))('passes %s', async (_, frame) => {
    await table?.replace(CLAIMS);
    expect(verdict(frame)).toBe(PASS);
  });

  it('counts each frame once, for its interface: taken, or left to the kernel', async () => {
    await table?.replace(CLAIMS);
    const before = table?.frames(1);
    for (const frame of Object.values(TAKEN)) verdict(frame);
    for (const frame of Object.values(PASSED)) verdict(frame);
    expect(table?.frames(1)).toEqual({
      taken: (before?.taken ?? 0) + Object.keys(TAKEN).length,
      left: (before?.left ?? 0) + Object.keys(PASSED).length,
    });
    expect(table?.frames(0)).toEqual({ taken: 0, left: 0 });
  });

  it('says of damaged frames what the plain way says of them', async () => {
    await table?.replace(CLAIMS);
    const oracle = new ClaimsOracle(CLAIMS, MAC);
    const seed = (Date.now() & 0x7fffffff) | 1;
    console.log(`damaged frames: seed ${seed}`);
    const random = new Prng(seed);
    const whole = [...Object.values(TAKEN), ...Object.values(PASSED)].map((one) => one.bytes());
    let taken = 0;
    for (let i = 0; i < DAMAGED; i++) {
      const one = whole[random.below(whole.length)];
      const frame =
        random.below(2) === 0 ? mutate(random, one, whole) : withAnyLengths(random, one);
      // The kernel runs a program on nothing shorter than an Ethernet header.
      if (frame.length < 14) continue;
      const isTaken = tryXdpProgram(programFd, frame).verdict === TAKE;
      const shown = () => `frame ${i}: ${Buffer.from(frame).toString('hex')}`;
      if (isTaken !== oracle.takes(frame)) expect.fail(shown());
      if (isTaken) taken += 1;
    }
    // Both are met often, or nothing is shown.
    expect(taken).toBeGreaterThan(DAMAGED / 20);
    expect(taken).toBeLessThan((DAMAGED * 19) / 20);
  });

  it.each([
    ['servers of one network', (i: number) => [0x0a090000 + i, 8080]],
    ['16 ports of each', (i: number) => [0x0a090000 + (i >> 4), 8080 + (i & 15)]],
  ])('finds all claims when there are as many as fit: %s', async (_, place) => {
    const claims = Array.from({ length: MAX_CLAIMS }, (_, i) => {
      const [address, port] = place(i);
      return { address, key: claimKey(CLAIM_ENDPOINT, PROTOCOL_TCP, port), flags: 0 };
    });
    await table?.replace(claims);
    for (let i = 0; i < MAX_CLAIMS; i += 61) {
      const [address, port] = place(i);
      const reply = (from: number) => tcp(formatAddress(address), CLIENT, from, 5);
      expect(verdict(reply(port))).toBe(TAKE);
      expect(verdict(reply(port + 16))).toBe(PASS);
    }
    await table?.replace(CLAIMS);
  });

  it('takes what a large table claims, and nothing else', async () => {
    const services = Array.from({ length: 4096 }, (_, i) =>
      claim(CLAIM_SERVICE, HOST, PROTOCOL_UDP, 1000 + i),
    );
    const servers = Array.from({ length: 16_384 }, (_, i) =>
      claim(CLAIM_ENDPOINT, `10.9.${i >> 8}.${i & 255}`, PROTOCOL_TCP, 8080),
    );
    await table?.replace([...CLAIMS, ...services, ...servers]);
    expect(table?.read()).toHaveLength(CLAIMS.length + 4096 + 16_384);
    const datagram = (destinationPort: number): PacketBuilder =>
      packet().ethernet().ipv4({ source: CLIENT, destination: HOST }).udp({ destinationPort });
    for (let i = 0; i < 4096; i += 7) expect(verdict(datagram(1000 + i))).toBe(TAKE);
    for (let i = 0; i < 16_384; i += 31) {
      const reply = (port: number) => tcp(`10.9.${i >> 8}.${i & 255}`, CLIENT, port, 5);
      expect(verdict(reply(8080))).toBe(TAKE);
      expect(verdict(reply(8081))).toBe(PASS);
    }
    const frames = {
      passed: tcp(CLIENT, HOST, 1000, 22),
      taken: datagram(1000),
      IPv6: PASSED.IPv6,
    };
    for (const [name, frame] of Object.entries(frames)) {
      const { nanoseconds } = tryXdpProgram(programFd, frame.bytes(), 1_000_000);
      console.log(`20,000 claims: ${nanoseconds} ns for a frame: ${name}`);
    }
    expect(verdict(datagram(999))).toBe(PASS);
    expect(verdict(datagram(1000 + 4096))).toBe(PASS);
    await table?.replace(CLAIMS);
    expect(verdict(datagram(1000))).toBe(PASS);
  });

  it('refuses more than fit and keeps what it has', async () => {
    const many = Array.from({ length: MAX_CLAIMS + 1 }, (_, i) => {
      return { address: i, key: CLAIM_ENDPOINT, flags: 0 };
    });
    await expect(table?.replace(many)).rejects.toThrow(/shared interfaces/);
    expect(verdict(TAKEN['a ping to an address alone'])).toBe(TAKE);
  });

  it('the loaded one passes the verifier, with sockets to redirect to', () => {
    const { programFd: real, mapFd } = createSharedProgram(4, claimsFd, 63);
    expect(tryXdpProgram(real, echo(HOST).bytes()).verdict).toBe(PASS);
    for (const fd of [real, mapFd]) closeFd(fd);
  });

  it('a link that is none cannot be given a program', () => {
    expect(() => replaceXdpProgram(claimsFd, programFd)).toThrow(/LINK_UPDATE/);
  });
});
