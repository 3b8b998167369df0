// The TCP client without a TCP stack, a process of its own in a client's namespace: opens connections at a
// rate from many addresses and ports, and brings each to its end, at hardly any cost. Run as
//   tcp-client.js '{"interface":"eth0","destination":"10.1.0.100","rate":5000, …}'
// Writes {"ready":true}, then a TcpClientReport when it is through; SIGTERM brings the end about.
// SYNs go out of a packet socket one by one, each at its time; the process sleeps in between, for it
// shares its CPU with the servers. Answers are made by an XDP program (tcp-client-program.ts). The servers
// must find the way back: their route to the clients' network leads to this interface's host.

import { randomInt } from 'node:crypto';
import { cpus, setPriority } from 'node:os';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { runOnCpus } from '../sys/affinity.ts';
import { linkXdpProgram, loadXdpProgram, XDP_FLAGS_GENERIC } from '../sys/bpf.ts';
import { libc } from '../sys/libc.ts';
import { readLink } from '../sys/link.ts';
import { openPacketSocket } from '../sys/packet-socket.ts';
import { complement, pseudoHeaderSum, sum } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import { BpfMeter, cpuSlots } from './bpf-meter.ts';
import { addressOfFlow, portOfFlow } from './generator-program.ts';
import { type Percentiles, percentilesOf } from './latency-histogram.ts';
import {
  TCP_CLIENT_COUNTERS,
  TCP_CLIENT_HISTOGRAMS,
  tcpClientInstructions,
} from './tcp-client-program.ts';
import { GENERATED_LENGTH } from './traffic-packet.ts';

/** What the client is told, as JSON in its first argument. */
export interface TcpClientOptions {
  readonly interface: string;
  readonly destination: string;
  readonly destinationMac: string;
  readonly destinationPort: number;
  /** New connections per second. */
  readonly rate: number;
  readonly seconds: number;
  /**
   * Without one the client ends each connection at once (its ACK bears a FIN). With one it sends this
   * text (at most 64 characters) and waits for the server to answer and close.
   */
  readonly request?: string;
  /** A power of two; connections are made of them in turn. Default 2^24. */
  readonly flows?: number;
  /** Where in them to begin, so that a second run does not meet the first one's. Default: at random. */
  readonly firstFlow?: number;
  /** Two numbers, as in '10.64': the upper half of the clients' addresses. Default '10.64'. */
  readonly sourceNetwork?: string;
  readonly cpu?: number;
  /** Default 0. */
  readonly niceness?: number;
  /** How long to wait for answers after the last SYN. Default 500. */
  readonly patienceMs?: number;
}

export interface TcpClientReport {
  /** SYNs sent. */
  readonly opened: number;
  /** From the first SYN to the last. */
  readonly seconds: number;
  /** SYNs per second. */
  readonly rate: number;
  /** SYN-ACKs received (one sent again counts again, as in what follows). */
  readonly accepted: number;
  /** FINs received: closed by both sides. */
  readonly finished: number;
  /** RSTs received. */
  readonly reset: number;
  /** TCP payload received, in bytes. */
  readonly payloadBytes: number;
  /** SYN to SYN-ACK, in ns. */
  readonly connectLatency: Percentiles;
  /** SYN to the server's FIN, in ns. */
  readonly finishLatency: Percentiles;
}

const NETWORK = ethernet.HEADER_SIZE;
const TRANSPORT = NETWORK + ipv4.HEADER_SIZE;
const SYN_HEADER_SIZE = tcp.HEADER_SIZE + 4;
/** The option that says 1460, the only one. */
const MAXIMUM_SEGMENT_SIZE = 0x020405b4;
const PR_SET_TIMERSLACK = 29;
/** How much may be made up for after somebody else had the CPU. */
const CATCH_UP_MS = 5;
/** Signals are heard as often. */
const TURN_MS = 20;
const LONGEST_SLEEP_US = 10_000;

const options = JSON.parse(process.argv[2] ?? '{}') as TcpClientOptions;
const { rate } = options;
const flows = options.flows ?? 2 ** 24;
const firstFlow = options.firstFlow ?? randomInt(2 ** 31);
const destination = ipv4.parseAddress(options.destination);
const [first, second] = (options.sourceNetwork ?? '10.64').split('.').map(Number);
const sourceNetwork = (first << 8) | second;

if (options.cpu !== undefined) runOnCpus([options.cpu]);
setPriority(options.niceness ?? 0);
// Sleeps of 100 us shall not become 150.
libc.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
const link = readLink(options.interface);
const meter = new BpfMeter(TCP_CLIENT_COUNTERS, TCP_CLIENT_HISTOGRAMS, cpuSlots(cpus().length));
const { request } = options;
const service = {
  destination,
  destinationPort: options.destinationPort,
  sourceNetwork,
  request: request === undefined ? undefined : new TextEncoder().encode(request),
};
const program = loadXdpProgram(tcpClientInstructions(service, meter), 'weir_tcp_client');
// Behind the driver: a veth sends natively only to a peer that polls, which not every contender does.
linkXdpProgram(program, link.index, XDP_FLAGS_GENERIC, options.interface);
const socket = openPacketSocket({ interfaceIndex: link.index, interfaceName: options.interface });

/** A SYN with everything but the source, the sequence number and the checksums. */
function synFrame(): DataView {
  const view = new DataView(new ArrayBuffer(GENERATED_LENGTH));
  const mac = options.destinationMac;
  new Uint8Array(view.buffer).set(link.mac, 6);
  ethernet.setDestination(view, 0, ethernet.parseMacHigh(mac), ethernet.parseMacLow(mac));
  ethernet.setType(view, 0, ethernet.TYPE_IPV4);
  tcp.setDestinationPort(view, TRANSPORT, options.destinationPort);
  tcp.setDataOffset(view, TRANSPORT, SYN_HEADER_SIZE);
  tcp.setFlags(view, TRANSPORT, tcp.FLAG_SYN);
  tcp.setWindow(view, TRANSPORT, 0xffff);
  view.setInt32(TRANSPORT + tcp.HEADER_SIZE, MAXIMUM_SEGMENT_SIZE);
  return view;
}

const frame = synFrame();
const frameBytes = new Uint8Array(frame.buffer);

/** Sends the SYN of a flow. @returns whether the kernel took it */
function open(flow: number): boolean {
  const source = (sourceNetwork << 16) | addressOfFlow(flow);
  ipv4.writeHeader(frame, NETWORK, source, destination, ipv4.PROTOCOL_TCP, 64, SYN_HEADER_SIZE);
  tcp.setSourcePort(frame, TRANSPORT, portOfFlow(flow));
  // The clock is that of the answering program: CLOCK_MONOTONIC.
  const now = Number(BigInt.asIntN(32, process.hrtime.bigint()));
  tcp.setSequenceNumber(frame, TRANSPORT, now);
  tcp.setChecksum(frame, TRANSPORT, 0);
  const pseudo = pseudoHeaderSum(source, destination, ipv4.PROTOCOL_TCP, SYN_HEADER_SIZE);
  const total = sum(frame, TRANSPORT, SYN_HEADER_SIZE, pseudo);
  tcp.setChecksum(frame, TRANSPORT, complement(total));
  return libc.send(socket, frameBytes, GENERATED_LENGTH, 0) === GENERATED_LENGTH;
}

let isStopped = false;
process.on('SIGTERM', () => {
  isStopped = true;
});

/** Sends SYNs for as long as wanted, and tells how many and for how long. */
async function sendAll(): Promise<{ opened: number; seconds: number }> {
  const intervalMs = 1000 / rate;
  const begin = performance.now();
  let nextTurn = begin + TURN_MS;
  let due = begin;
  let last = begin;
  let opened = 0;
  for (let flow = 0; !isStopped; ) {
    const now = performance.now();
    if (now - begin >= options.seconds * 1000) break;
    due = Math.max(due, now - Math.max(CATCH_UP_MS, intervalMs));
    for (; due <= now; due += intervalMs) {
      if (open(((firstFlow + flow++) % 2 ** 31) % flows)) opened += 1;
      last = now;
    }
    const wait = Math.round((due - performance.now()) * 1000);
    if (wait > 0) libc.usleep(Math.min(wait, LONGEST_SLEEP_US));
    if (now > nextTurn) {
      nextTurn = now + TURN_MS;
      await turn();
    }
  }
  return { opened, seconds: (last - begin) / 1000 };
}

process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
const { opened, seconds } = await sendAll();
await sleep(options.patienceMs ?? 500);
const { counters, histograms } = meter.read();
const report: TcpClientReport = {
  opened,
  seconds,
  rate: seconds === 0 ? 0 : (opened - 1) / seconds,
  ...counters,
  connectLatency: percentilesOf(histograms.connect),
  finishLatency: percentilesOf(histograms.finish),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(0);
