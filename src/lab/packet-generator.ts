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
  readonly protocol?: 'udp' | 'tcp-syn';
  readonly destination: string;
  readonly destinationMac: string;
  readonly destinationPort: number;
  /** Default 65536; a power of two. */
  readonly flows?: number;
  /** Two numbers, as in '10.64'. Default '10.64'. */
  readonly sourceNetwork?: string;
  readonly seconds: number;
  /** CPU to run on. */
  readonly cpu?: number;
  /** 0 … 19: how willingly it lets others on its CPU go first. Default 0. */
  readonly niceness?: number;
  /** Frames per call: more make bursts steadier, fewer end sooner. Default 1,000,000. */
  readonly repeat?: number;
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
const repeat = options.repeat ?? 1_000_000;
const frame = new Uint8Array(GENERATED_LENGTH);
const start = performance.now();
let packets = 0;
while (performance.now() - start < options.seconds * 1000) {
  runLiveFrames(program, frame, link.index, repeat);
  packets += repeat;
}
const seconds = (performance.now() - start) / 1000;
process.stdout.write(`${JSON.stringify({ packets, seconds })}\n`);
