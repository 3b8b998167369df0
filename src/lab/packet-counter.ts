// The packet counter, a process of its own in a receiver's namespace: an XDP program that counts and
// drops the packets of one protocol, the cheapest receiver there is. Run as
//   packet-counter.js INTERFACE PROTOCOL-NUMBER
// Writes a JSON line {"packets": …, "atMs": …} every 100 ms until it is ended.

import {
  createMap,
  linkXdpProgram,
  loadXdpProgram,
  MAP_TYPE_ARRAY,
  readMapCounter,
  XDP_FLAGS_DRIVER,
} from '../sys/bpf.ts';
import { readLink } from '../sys/link.ts';
import { counterInstructions } from './receiver-program.ts';

const INTERVAL_MS = 100;

const [name, protocol] = process.argv.slice(2);
const map = createMap({
  type: MAP_TYPE_ARRAY,
  keySize: 4,
  valueSize: 8,
  entries: 1,
  name: 'weir_counter',
});
const program = loadXdpProgram(counterInstructions(map, Number(protocol)), 'weir_counter');
linkXdpProgram(program, readLink(name).index, XDP_FLAGS_DRIVER, name);
setInterval(() => {
  const packets = Number(readMapCounter(map, 0));
  process.stdout.write(`${JSON.stringify({ packets, atMs: performance.now() })}\n`);
}, INTERVAL_MS);
