// The packet generator, a process of its own in a client's namespace: sends packets out of an interface
// at a rate or as fast as the kernel can make them, for a limited time. Run as
//   packet-generator.js '{"interface":"eth0","destination":"10.1.0.100","destinationMac":"02:…", …}'
// Writes one JSON line at the end, a GeneratorReport; SIGTERM brings the end about.
// All of it is a single call of the kernel if possible, for each has a pause of some 24 ms before it: an
// alarm ends the call when the time is over.

import { randomInt } from 'node:crypto';
import { setPriority } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { runOnCpus } from '../sys/affinity.ts';
import {
  createMap,
  loadXdpProgram,
  MAP_TYPE_ARRAY,
  readMapValue,
  runLiveFrames,
  updateMapValue,
} from '../sys/bpf.ts';
import { libc, must } from '../sys/libc.ts';
import { readLink } from '../sys/link.ts';
import { parseAddress } from '../wire/ipv4.ts';
import {
  GENERATOR_STATE_SIZE,
  generatorInstructions,
  initialState,
  type Sent,
  sentOf,
} from './generator-program.ts';
import { GENERATED_LENGTH, GROUPS } from './traffic-packet.ts';

/** What the generator is told, as JSON in its first argument. */
export interface GeneratorOptions {
  readonly interface: string;
  /** 'tcp-syn' floods: nobody takes notice of the answers. Default 'udp'. */
  readonly protocol?: 'udp' | 'tcp-syn';
  readonly destination: string;
  readonly destinationMac: string;
  readonly destinationPort: number;
  /** Packets per second, evenly; by default as many as the kernel can make. */
  readonly rate?: number;
  /** How many packets it may send at once to make up for having been late. Default 64. */
  readonly burst?: number;
  /** Default 65536; a power of two up to 2^24 (2^31 for those that need no order). */
  readonly flows?: number;
  /** Which flow is next: any one, or one after the other from 0 on. Default 'random'. */
  readonly order?: 'random' | 'sequential';
  /** Two numbers, as in '10.64'. Default '10.64'. */
  readonly sourceNetwork?: string;
  /** Ends after as much time. */
  readonly seconds: number;
  /** Ends after as many packets if that comes first. With 'sequential', `flows` makes each flow once. */
  readonly packets?: number;
  /** Computes UDP checksums; by default they are 0, which means none. */
  readonly checksum?: boolean;
  /** Frames per call of the kernel: pauses between. By default there is one call for all. */
  readonly repeat?: number;
  /** Writes {"ready":true} before it begins: from then on it may be stopped. */
  readonly announce?: boolean;
  /** CPU to run on. */
  readonly cpu?: number;
  /** -20 … 19: how willingly it lets others on its CPU go first. Default 0. */
  readonly niceness?: number;
}

/** What it writes when it has ended. */
export interface GeneratorReport {
  /** Handed to the interface by the program in the kernel, which counts them. */
  readonly packets: number;
  /** From the first to the last. */
  readonly seconds: number;
  /** Packets per second. */
  readonly rate: number;
}

/** As many as a call takes: 2^31 - 1. */
const MAXIMUM_REPEAT = 0x7fffffff;
/** At a rate: frames that wait until the last of them is made. */
const PACED_BATCH = 16;
const FREE_BATCH = 64;
/** From the call to the first frame, amply. */
const PREPARATION_SECONDS = 0.1;
const ITIMER_REAL = 0;

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

function singleValueMap(name: string, valueSize: number): number {
  return createMap({ type: MAP_TYPE_ARRAY, keySize: 4, valueSize, entries: 1, name });
}

/** SIGALRM in as many seconds, which interrupts a call of the kernel. */
function setAlarm(seconds: number): void {
  const whole = Math.floor(seconds);
  const microseconds = Math.round((seconds - whole) * 1e6);
  const timer = new BigInt64Array([0n, 0n, BigInt(whole), BigInt(microseconds)]);
  must(libc.setitimer(ITIMER_REAL, timer, null), 'setitimer');
}

const options = JSON.parse(process.argv[2] ?? '{}') as GeneratorOptions;
if (options.cpu !== undefined) runOnCpus([options.cpu]);
setPriority(options.niceness ?? 0);
const link = readLink(options.interface);
const [first, second] = (options.sourceNetwork ?? '10.64').split('.').map(Number);
const rate = options.rate ?? 0;
const limit = options.packets ?? Number.MAX_SAFE_INTEGER;
const stateFd = singleValueMap('weir_generator', GENERATOR_STATE_SIZE);
const numbersFd = singleValueMap('weir_numbers', GROUPS * 4);
const program = loadXdpProgram(
  generatorInstructions(
    {
      protocol: options.protocol ?? 'udp',
      sourceMac: link.mac,
      destinationMac: macBytes(options.destinationMac),
      sourceNetwork: (first << 8) | second,
      destination: parseAddress(options.destination),
      destinationPort: options.destinationPort,
      flows: options.flows ?? 65536,
      order: options.order ?? 'random',
      checksum: options.checksum ?? false,
      run: randomInt(1 << 16),
      paced: rate !== 0,
    },
    { stateFd, numbersFd },
  ),
  'weir_generator',
);
const { seconds } = options;
const burst = options.burst ?? 64;
updateMapValue(stateFd, 0, initialState({ rate, burst, packets: limit, seconds }));

function sent(): Sent {
  const state = new BigUint64Array(GENERATOR_STATE_SIZE / 8);
  readMapValue(stateFd, 0, state);
  return sentOf(state);
}

function report(): GeneratorReport {
  const { packets, firstNs, lastNs } = sent();
  const seconds = (lastNs - firstNs) / 1e9;
  return { packets, seconds, rate: seconds === 0 ? 0 : (packets - 1) / seconds };
}

let isStopped = false;
process.on('SIGTERM', () => {
  isStopped = true;
});
// An alarm only ends the call; without a listener it would end the process.
process.on('SIGALRM', () => {});
const frame = new Uint8Array(GENERATED_LENGTH);
const batch = rate === 0 ? FREE_BATCH : PACED_BATCH;
if (options.announce) process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
await turn();
let preparation = PREPARATION_SECONDS;
for (;;) {
  const { packets, firstNs } = sent();
  const left = limit - packets;
  const sinceFirst = firstNs === 0 ? 0 : (Number(process.hrtime.bigint()) - firstNs) / 1e9;
  const secondsLeft = seconds - sinceFirst;
  if (isStopped || left <= 0 || secondsLeft <= 0) break;
  const needed = rate === 0 ? secondsLeft : Math.min(secondsLeft, left / rate);
  setAlarm(preparation + needed);
  // At a rate most frames are made and dropped, so only the alarm can say when it is enough.
  const frames = rate === 0 ? Math.min(left, MAXIMUM_REPEAT) : MAXIMUM_REPEAT;
  runLiveFrames(program, frame, link.index, Math.min(options.repeat ?? frames, frames), batch);
  // On a busy machine the alarm may come before the first frame.
  preparation *= 2;
  // Signals are heard now: the first turn reads what has come in, the second has told the listeners.
  await turn();
  await turn();
}
process.stdout.write(`${JSON.stringify(report())}\n`);
process.exit(0);
