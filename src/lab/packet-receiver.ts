// The packet receiver, a process of its own in a receiver's namespace: an XDP program that counts and
// drops the packets of the packet generator, and looks for lost, late and doubled ones. Run as
//   packet-receiver.js '{"interface":"up0","latency":true}'
// Writes {"ready":true}, then a JSON line for each line that it reads: 'read' gives a ReceiverReading,
// 'reset' sets all to zero. Ends when its standard input does.

import { cpus } from 'node:os';
import { stdin, stdout } from 'node:process';
import { createInterface } from 'node:readline';
import {
  createMap,
  linkXdpProgram,
  loadXdpProgram,
  MAP_TYPE_ARRAY,
  readMapValue,
  updateMapValue,
  XDP_FLAGS_DRIVER,
  XDP_FLAGS_GENERIC,
} from '../sys/bpf.ts';
import { readLink } from '../sys/link.ts';
import { BpfMeter, cpuSlots } from './bpf-meter.ts';
import { type Percentiles, percentilesOf } from './latency-histogram.ts';
import { ORDER_STATE_SIZE, RECEIVER_COUNTERS, receiverInstructions } from './receiver-program.ts';

/** What the receiver is told, as JSON in its first argument. */
export interface ReceiverOptions {
  readonly interface: string;
  /** Look for packets out of order, doubled or missing. Default true; costs some 20 ns a packet. */
  readonly order?: boolean;
  /** Measure the longest time without a packet. Default true. */
  readonly gap?: boolean;
  /** Keep a histogram of the time from the generator to here. Default false. */
  readonly latency?: boolean;
  /** How the program is attached: 'generic' works on every interface. Default 'native'. */
  readonly mode?: 'native' | 'generic';
}

/** What has come in since the receiver was set to zero. */
export interface ReceiverReading {
  /** Of the generator, doubled ones too. */
  readonly packets: number;
  /** Whole frames, without the frame check sequence. */
  readonly bytes: number;
  /** The same packet once more (seen among the last 64 of its flow). */
  readonly duplicates: number;
  /** After one of the same flow that was sent later. */
  readonly reordered: number;
  /** Numbers passed over and not received up to now; what was lost at the very end is not among them. */
  readonly missing: number;
  /** 0 when not measured or with less than two packets. */
  readonly longestGapNs: number;
  /** One way, in ns. */
  readonly latency?: Percentiles;
}

function singleValueMap(name: string, valueSize: number): number {
  return createMap({ type: MAP_TYPE_ARRAY, keySize: 4, valueSize, entries: 1, name });
}

const options = JSON.parse(process.argv[2] ?? '{}') as ReceiverOptions;
const meter = new BpfMeter(RECEIVER_COUNTERS, ['latency'], cpuSlots(cpus().length));
const hasOrder = options.order ?? true;
const gapFd = (options.gap ?? true) ? singleValueMap('weir_gap', 16) : undefined;
const program = loadXdpProgram(
  receiverInstructions({
    meter,
    orderFd: hasOrder ? singleValueMap('weir_order', ORDER_STATE_SIZE) : undefined,
    gapFd,
    latency: options.latency ?? false,
  }),
  'weir_receiver',
);
const flags = options.mode === 'generic' ? XDP_FLAGS_GENERIC : XDP_FLAGS_DRIVER;
linkXdpProgram(program, readLink(options.interface).index, flags, options.interface);

function longestGap(): number {
  if (gapFd === undefined) return 0;
  const gap = new BigUint64Array(2);
  readMapValue(gapFd, 0, gap);
  return Number(gap[1]);
}

function reading(): ReceiverReading {
  const { counters, histograms } = meter.read();
  const { packets, bytes, duplicates, reordered, passedOver } = counters;
  return {
    packets,
    bytes,
    duplicates,
    reordered,
    missing: passedOver - reordered,
    longestGapNs: longestGap(),
    ...(options.latency ? { latency: percentilesOf(histograms.latency) } : {}),
  };
}

function answer(command: string): object {
  if (command === 'read') return reading();
  meter.reset();
  if (gapFd !== undefined) updateMapValue(gapFd, 0, new BigUint64Array(2));
  return { reset: true };
}

stdout.write(`${JSON.stringify({ ready: true })}\n`);
for await (const line of createInterface({ input: stdin })) {
  stdout.write(`${JSON.stringify(answer(line))}\n`);
}
process.exit(0);
