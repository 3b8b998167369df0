// The lab's XDP programs, run by the kernel on single frames: what the generator makes has the flows,
// numbers and checksums that it should have, the receiver agrees with a naive model of what came in, and
// the TCP client answers as RFC 9293 says. Skipped where BPF is not allowed.

import { cpus } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packet, type TcpSpec } from '../../test/support/packet-builder.ts';
import {
  createMap,
  loadXdpProgram,
  MAP_TYPE_ARRAY,
  readMapValue,
  tryXdpProgram,
  updateMapValue,
} from '../sys/bpf.ts';
import { closeFd } from '../sys/libc.ts';
import { pseudoHeaderSum, sum } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import { BpfMeter, cpuSlots } from './bpf-meter.ts';
import {
  addressOfFlow,
  GENERATOR_STATE_SIZE,
  type GeneratorPackets,
  generatorInstructions,
  initialState,
  portOfFlow,
  sentOf,
} from './generator-program.ts';
import { bucketOf } from './latency-histogram.ts';
import { privileges } from './privileges.ts';
import { ORDER_STATE_SIZE, RECEIVER_COUNTERS, receiverInstructions } from './receiver-program.ts';
import {
  TCP_CLIENT_COUNTERS,
  TCP_CLIENT_HISTOGRAMS,
  tcpClientInstructions,
} from './tcp-client-program.ts';
import { GENERATED_LENGTH, GROUP, GROUPS, NUMBER, RUN, runField, TIME } from './traffic-packet.ts';

const XDP_DROP = 1;
const XDP_PASS = 2;
const XDP_TX = 3;
const ETHERNET = 14;
const TRANSPORT = 34;
const slots = cpuSlots(cpus().length);

const { bpfProblem } = privileges();
if (bpfProblem !== undefined) console.log(`skipped, the lab's XDP programs: ${bpfProblem}`);

function singleValueMap(valueSize: number): number {
  return createMap({ type: MAP_TYPE_ARRAY, keySize: 4, valueSize, entries: 1, name: 'weir_test' });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The sum over pseudo-header and segment: 0xffff when the checksum is right. */
function transportSum(view: DataView): number {
  const length = ipv4.totalLength(view, ETHERNET) - 20;
  const ends = [ipv4.source(view, ETHERNET), ipv4.destination(view, ETHERNET)] as const;
  const pseudo = pseudoHeaderSum(...ends, ipv4.protocol(view, ETHERNET), length);
  return sum(view, TRANSPORT, length, pseudo);
}

const GENERATED: GeneratorPackets = {
  protocol: 'udp',
  sourceMac: Uint8Array.of(2, 0, 0, 0, 0, 1),
  destinationMac: Uint8Array.of(2, 0, 0, 0, 0, 2),
  sourceNetwork: 0x0a40,
  destination: ipv4.parseAddress('10.1.0.100'),
  destinationPort: 9,
  flows: 65536,
  order: 'random',
  checksum: true,
  run: 7,
  paced: false,
};

/** A generator whose frames are looked at one by one instead of being sent. */
function generator(packets: Partial<GeneratorPackets>, schedule = {}) {
  const stateFd = singleValueMap(GENERATOR_STATE_SIZE);
  const numbersFd = singleValueMap(GROUPS * 4);
  const plan = { rate: 0, burst: 1, packets: 1e9, seconds: 60, ...schedule };
  updateMapValue(stateFd, 0, initialState(plan));
  const instructions = generatorInstructions({ ...GENERATED, ...packets }, { stateFd, numbersFd });
  const programFd = loadXdpProgram(instructions, 'weir_test');
  const garbage = new Uint8Array(GENERATED_LENGTH).fill(0xa5);
  return {
    next: () => tryXdpProgram(programFd, garbage),
    sent: () => {
      const state = new BigUint64Array(GENERATOR_STATE_SIZE / 8);
      readMapValue(stateFd, 0, state);
      return sentOf(state).packets;
    },
    close: () => [stateFd, numbersFd, programFd].forEach(closeFd),
  };
}

describe.skipIf(bpfProblem !== undefined)('the generator', () => {
  it.each(['udp', 'tcp-syn'] as const)('makes %s packets with good checksums', (protocol) => {
    const made = generator({ protocol, flows: 2 ** 24 });
    for (let i = 0; i < 200; i++) {
      const { verdict, frame } = made.next();
      expect(verdict).toBe(XDP_TX);
      const view = viewOf(frame);
      expect(ipv4.isHeaderChecksumValid(view, ETHERNET)).toBe(true);
      expect(transportSum(view)).toBe(0xffff);
      expect(ipv4.source(view, ETHERNET) >>> 16).toBe(0x0a40);
    }
    expect(made.sent()).toBe(200);
    made.close();
  });

  it('leaves the UDP checksum out unless it is asked for', () => {
    const made = generator({ checksum: false });
    expect(viewOf(made.next().frame).getUint16(TRANSPORT + 6)).toBe(0);
    made.close();
  });

  it('goes through the flows in order, numbering the packets of each', () => {
    const made = generator({ order: 'sequential', flows: 4 });
    for (let i = 0; i < 12; i++) {
      const view = viewOf(made.next().frame);
      const flow = i % 4;
      expect(ipv4.source(view, ETHERNET) & 0xffff).toBe(addressOfFlow(flow));
      expect(view.getUint16(TRANSPORT)).toBe(portOfFlow(flow));
      expect(view.getUint16(GROUP, true)).toBe(flow);
      expect(view.getUint32(NUMBER, true)).toBe(Math.floor(i / 4));
      expect(view.getInt32(RUN, true)).toBe(runField(7));
      const age = process.hrtime.bigint() - view.getBigUint64(TIME, true);
      expect(age >= 0n && age < 10_000_000_000n).toBe(true);
    }
    made.close();
  });

  it('drops what is not due, and all beyond its limits', () => {
    const slow = generator({ paced: true }, { rate: 1 / 3600, burst: 0 });
    expect(slow.next().verdict).toBe(XDP_TX);
    expect(slow.next().verdict).toBe(XDP_DROP);
    expect(slow.sent()).toBe(1);
    slow.close();
    const few = generator({}, { packets: 2 });
    expect([1, 2, 3].map(() => few.next().verdict)).toEqual([XDP_TX, XDP_TX, XDP_DROP]);
    few.close();
    const short = generator({}, { seconds: 0 });
    short.next();
    expect(short.next().verdict).toBe(XDP_DROP);
    short.close();
  });
});

function generated(group: number, number: number, run = 1, time = 0n): Uint8Array {
  const bytes = packet()
    .ethernet({})
    .ipv4({ source: '10.64.0.1', destination: '10.2.0.11' })
    .udp({ sourcePort: 1024, destinationPort: 9 })
    .payload(new Uint8Array(18))
    .bytes();
  const view = viewOf(bytes);
  view.setInt32(RUN, runField(run), true);
  view.setUint32(NUMBER, number, true);
  view.setBigUint64(TIME, time, true);
  view.setUint16(GROUP, group, true);
  return bytes;
}

function receiver(latency = false) {
  const meter = new BpfMeter(RECEIVER_COUNTERS, ['latency'], slots);
  const orderFd = singleValueMap(ORDER_STATE_SIZE);
  const gapFd = singleValueMap(16);
  const instructions = receiverInstructions({ meter, orderFd, gapFd, latency });
  const programFd = loadXdpProgram(instructions, 'weir_test');
  return {
    meter,
    receive: (frame: Uint8Array) => tryXdpProgram(programFd, frame).verdict,
    gaps: () => {
      const gap = new BigUint64Array(2);
      readMapValue(gapFd, 0, gap);
      return gap;
    },
    close: () => [meter.mapFd, orderFd, gapFd, programFd].forEach(closeFd),
  };
}

/** What the receiver should count, from all that it has seen, without a window. */
function model(numbers: readonly number[]) {
  const seen = new Set<number>();
  let highest = -1;
  const counts = { duplicates: 0, reordered: 0 };
  for (const number of numbers) {
    if (seen.has(number) && highest - number < 64) counts.duplicates += 1;
    else if (number < highest) counts.reordered += 1;
    seen.add(number);
    highest = Math.max(highest, number);
  }
  return { ...counts, missing: highest + 1 - seen.size };
}

describe.skipIf(bpfProblem !== undefined)('the receiver', () => {
  it('counts as a naive model does', () => {
    const each = receiver();
    let run = 0;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 63 }), { minLength: 1 }), (numbers) => {
        run += 1;
        each.meter.reset();
        for (const number of numbers) {
          expect(each.receive(generated(5, number, run))).toBe(XDP_DROP);
        }
        const { packets, bytes, duplicates, reordered, passedOver } = each.meter.read().counters;
        expect({ packets, bytes }).toEqual({ packets: numbers.length, bytes: 60 * numbers.length });
        const missing = passedOver - reordered;
        expect({ duplicates, reordered, missing }).toEqual(model(numbers));
      }),
    );
    each.close();
  });

  it('tells late from doubled across long jumps, and keeps flows apart', () => {
    const each = receiver();
    // 100 is far ahead: what came before is out of the window; 37 is its last place, 36 is outside.
    for (const number of [0, 1, 100, 37, 37, 36]) each.receive(generated(65535, number));
    for (const number of [0, 1, 2]) each.receive(generated(0, number));
    const { counters } = each.meter.read();
    expect(counters).toMatchObject({ duplicates: 1, reordered: 2, passedOver: 98 });
    each.close();
  });

  it('lets pass what is not generated', () => {
    const each = receiver();
    const foreign = generated(1, 1);
    viewOf(foreign).setInt32(RUN, 0);
    expect(each.receive(foreign)).toBe(XDP_PASS);
    const other = packet().ethernet({}).ipv4({}).tcp({}).payload(new Uint8Array(20)).bytes();
    expect(each.receive(other)).toBe(XDP_PASS);
    expect(each.meter.read().counters.packets).toBe(0);
    each.close();
  });

  it('measures gaps and latencies on the machine clock', () => {
    const each = receiver(true);
    const ages = [0n, 5_000_000_000n, 1_000_000n];
    for (const age of ages) each.receive(generated(1, 1, 1, process.hrtime.bigint() - age));
    const { latency } = each.meter.read().histograms;
    expect(latency.reduce((total, count) => total + count, 0)).toBe(3);
    // Longer ones count as the longest; none is counted as shorter than it was.
    expect(latency[bucketOf(0x7fffffff)]).toBe(1);
    const above = latency.slice(bucketOf(1_000_000)).reduce((total, count) => total + count, 0);
    expect(above).toBeGreaterThanOrEqual(2);
    const before = process.hrtime.bigint();
    const [last, longest] = each.gaps();
    expect(last > 0n && last <= before && longest > 0n && longest < before).toBe(true);
    each.close();
  });
});

function tcpClient(request?: string) {
  const meter = new BpfMeter(TCP_CLIENT_COUNTERS, TCP_CLIENT_HISTOGRAMS, slots);
  const service = {
    destination: ipv4.parseAddress('10.1.0.100'),
    destinationPort: 80,
    sourceNetwork: 0x0a40,
    request: request === undefined ? undefined : new TextEncoder().encode(request),
  };
  const programFd = loadXdpProgram(tcpClientInstructions(service, meter), 'weir_test');
  return {
    meter,
    hear: (segment: TcpSpec, payload = '') => {
      const bytes = packet()
        .ethernet({ source: '02:00:00:00:00:02', destination: '02:00:00:00:00:01' })
        .ipv4({ source: '10.1.0.100', destination: '10.64.0.9' })
        .tcp({ sourcePort: 80, destinationPort: 5000, ...segment })
        .payload(payload)
        .bytes();
      return tryXdpProgram(programFd, bytes);
    },
    close: () => [meter.mapFd, programFd].forEach(closeFd),
  };
}

/** What of an answer matters; checks all the rest. */
function answered({ verdict, frame }: { verdict: number; frame: Uint8Array }) {
  expect(verdict).toBe(XDP_TX);
  const view = viewOf(frame);
  expect(Buffer.from(frame.subarray(0, 12)).toString('hex')).toBe('020000000002020000000001');
  expect(ipv4.formatAddress(ipv4.source(view, ETHERNET))).toBe('10.64.0.9');
  expect(ipv4.formatAddress(ipv4.destination(view, ETHERNET))).toBe('10.1.0.100');
  expect(ipv4.isHeaderChecksumValid(view, ETHERNET)).toBe(true);
  expect(transportSum(view)).toBe(0xffff);
  expect(ipv4.totalLength(view, ETHERNET)).toBe(frame.length - ETHERNET);
  expect([tcp.sourcePort(view, TRANSPORT), tcp.destinationPort(view, TRANSPORT)]).toEqual([
    5000, 80,
  ]);
  return {
    flags: tcp.flags(view, TRANSPORT),
    sequence: tcp.sequenceNumber(view, TRANSPORT) >>> 0,
    acknowledgment: tcp.acknowledgmentNumber(view, TRANSPORT) >>> 0,
    payload: Buffer.from(frame.subarray(54)).toString(),
  };
}

const FIN_ACK = tcp.FLAG_FIN | tcp.FLAG_ACK;

describe.skipIf(bpfProblem !== undefined)('the TCP client', () => {
  it('ends a connection as soon as it is accepted, and acknowledges the end', () => {
    const client = tcpClient();
    const mss = Uint8Array.of(2, 4, 5, 0xb4);
    const numbers = { sequence: 0xffffffff, acknowledgment: 1001 };
    const accept = client.hear({ flags: ['SYN', 'ACK'], options: mss, ...numbers });
    expect(answered(accept)).toEqual({
      flags: FIN_ACK,
      sequence: 1001,
      acknowledgment: 0,
      payload: '',
    });
    const end = client.hear({ flags: ['FIN', 'ACK'], sequence: 0, acknowledgment: 1002 });
    expect(answered(end)).toEqual({
      flags: tcp.FLAG_ACK,
      sequence: 1002,
      acknowledgment: 1,
      payload: '',
    });
    const { counters } = client.meter.read();
    expect(counters).toEqual({ accepted: 1, finished: 1, reset: 0, payloadBytes: 0 });
    client.close();
  });

  it.each(['GET /\r\n', 'GET / HTTP/1.0\r\n\r\n'])('sends the request %j', (request) => {
    const client = tcpClient(request);
    const accept = client.hear({ flags: ['SYN', 'ACK'], sequence: 70, acknowledgment: 11 });
    expect(answered(accept)).toEqual({
      flags: tcp.FLAG_PSH | tcp.FLAG_ACK,
      sequence: 11,
      acknowledgment: 71,
      payload: request,
    });
    const after = 11 + request.length;
    const numbers = { sequence: 71, acknowledgment: after };
    expect(client.hear({ flags: ['ACK'], ...numbers }).verdict).toBe(XDP_DROP);
    const some = client.hear({ flags: ['ACK'], ...numbers }, 'some of it');
    expect(answered(some)).toEqual({
      flags: tcp.FLAG_ACK,
      sequence: after,
      acknowledgment: 81,
      payload: '',
    });
    const rest = client.hear({ flags: ['FIN', 'PSH', 'ACK'], ...numbers, sequence: 81 }, 'rest');
    expect(answered(rest)).toEqual({
      flags: FIN_ACK,
      sequence: after,
      acknowledgment: 86,
      payload: '',
    });
    const { counters } = client.meter.read();
    expect(counters).toEqual({ accepted: 1, finished: 1, reset: 0, payloadBytes: 14 });
    client.close();
  });

  it('tells the time since the SYN from the number that is acknowledged', () => {
    const request = 'GET /\r\n';
    const client = tcpClient(request);
    const ageNs = 1_000_000_000;
    const syn = Number(BigInt.asUintN(32, process.hrtime.bigint())) - ageNs;
    const plus = (count: number) => (syn + count) >>> 0;
    client.hear({ flags: ['SYN', 'ACK'], acknowledgment: plus(1) });
    client.hear({ flags: ['FIN', 'ACK'], acknowledgment: plus(1 + request.length) });
    const { connect, finish } = client.meter.read().histograms;
    const least = (counts: readonly number[]) => counts.findIndex((count) => count > 0);
    expect(least(connect)).toBeGreaterThanOrEqual(bucketOf(ageNs));
    expect(least(finish)).toBeGreaterThanOrEqual(least(connect));
    // Not wrapped round: that would be seconds, and is above what the histogram holds.
    expect(least(finish)).toBeLessThan(bucketOf(0x7fffffff));
    client.close();
  });

  it('counts resets, answers none, and leaves others alone', () => {
    const client = tcpClient();
    expect(client.hear({ flags: ['RST', 'ACK'] }).verdict).toBe(XDP_DROP);
    expect(client.hear({ flags: ['SYN', 'ACK'], sourcePort: 81 }).verdict).toBe(XDP_PASS);
    expect(client.meter.read().counters).toMatchObject({ accepted: 0, reset: 1 });
    client.close();
  });
});
