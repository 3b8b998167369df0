// The packet generator, a process of its own in a client's namespace: sends packets out of an interface
// as fast as the kernel can make them, for a limited time. Run as
//   packet-generator.js '{"interface":"eth0","destination":"10.1.0.100","destinationMac":"02:…", …}'
// Writes one JSON line at the end: {"packets": …, "seconds": …}.

import { setPriority } from 'node:os';
import { runOnCpus } from '../sys/affinity.ts';
import { loadXdpProgram, runLiveFrames } from '../sys/bpf.ts';
import { readLink } from '../sys/link.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { GENERATED_LENGTH, generatorInstructions } from './generator-program.ts';

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
  /** CPU to run on. */
  readonly cpu?: number;
  /** 0 … 19: how willingly it lets others on its CPU go first. Default 0. */
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

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

const options = JSON.parse(process.argv[2] ?? '{}') as GeneratorOptions;
if (options.cpu !== undefined) runOnCpus([options.cpu]);
setPriority(options.niceness ?? 0);
const link = readLink(options.interface);
const [first, second] = (options.sourceNetwork ?? '10.64').split('.').map(Number);
const program = loadXdpProgram(
  generatorInstructions({
    protocol: options.protocol ?? 'udp',
    sourceMac: link.mac,
    destinationMac: macBytes(options.destinationMac),
    sourceNetwork: (first << 8) | second,
    destination: parseAddress(options.destination),
    destinationPort: options.destinationPort,
    flows: options.flows ?? 65536,
  }),
  'weir_generator',
);
const repeat = 1_000_000;
const frame = new Uint8Array(GENERATED_LENGTH);
const start = performance.now();
let packets = 0;
while (performance.now() - start < options.seconds * 1000) {
  runLiveFrames(program, frame, link.index, repeat);
  packets += repeat;
}
const seconds = (performance.now() - start) / 1000;
process.stdout.write(`${JSON.stringify({ packets, seconds })}\n`);
