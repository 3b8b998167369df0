// A program that sends packets of every kind through a warm switching processor and tells what V8 did
// meanwhile: collections of garbage, bytes of new objects, code that was thrown away. A process of its own,
// so that only the switch and the few lines that feed it are in it:
//   node --redirect-code-traces --redirect-code-traces-to=FILE --trace-deopt garbage-meter.js KIND PACKETS FILE
// KIND is loopback, lanes (two processors that hand frames over), pcap (with the control host by an interface of
// the kernel's, where the others have its device), or applications; or wasteful, which is loopback with what
// the meter must find: a small object at every burst, code that meets what it has never met, and in the end
// so many objects that they are collected. Prints one line of JSON.
//
// New objects are counted in V8's new space, where every object of ours begins. The whole heap says less:
// what V8 notes of code that it compiles late is old from the start, and when that takes a page, the page
// counts as used from its first byte to its last, 256 KiB.

import '../../src/switching/inlining.ts';
import { existsSync, readFileSync } from 'node:fs';
import { PerformanceObserver, performance } from 'node:perf_hooks';
import { argv, stdout } from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { readCounters } from '../../src/memory/counters.ts';
import { INTERFACE_LINK_UP, INTERFACE_MTU } from '../../src/memory/layout.ts';
import type { LoopbackLane, LoopbackQueue } from '../../src/netif/loopback.ts';
import { type FrameSource, PcapQueue } from '../../src/netif/pcap.ts';
import { SwitchingProcessor } from '../../src/switching/processor.ts';
import { moduleFile, planOf, runApplications } from './application-bench.ts';
import { HOST } from './host-end.ts';
import {
  MIX,
  MIX_CONTROL,
  MIX_CONTROL_PAIRS,
  MIX_FORWARDING,
  MIX_OF_PAIRS,
  MIX_REAL,
  MIX_ROUTES,
  MIX_SERVICES,
  makeNew,
} from './packet-mix.ts';
import { DEFAULT_SERVICES, EXT, INT, SwitchBench } from './switch-bench.ts';

/** Packets for each millisecond of the switch's clock. */
const BURST = 64;
/** V8 compiles again and again until it has seen everything. */
const WARM_UP_PACKETS = 1_500_000;
/** Every so many bursts a link goes down for one, and wires are not emptied for some. */
const DOWN_EVERY = 400;
const STUCK_EVERY = 256;
const STUCK_FOR = 40;
/** The control host takes nothing for as many bursts as fill packet storage, and then for as many all. */
const HOST_STUCK_FOR = 2048;
/** Bytes that the way to clients takes: less than the longest packet of the mix. */
const LEAST_MTU = 600;
/** Less than the mix asks for. */
const RATE_LIMITS = { resets: 3000, 'echo-replies': 500 };

const [kind, packetsText, traceFile] = argv.slice(2);

/** The next packet of the mix, round and round. */
class Cursor {
  private readonly packets;
  private index = -1;
  private round = 0;

  /** @param side only what arrives there; -1: everything */
  constructor(side: number) {
    this.packets = (kind === 'pcap' ? [...MIX, ...MIX_OF_PAIRS] : MIX).filter(
      (each) => side < 0 || each.side === side,
    );
  }

  next() {
    this.index += 1;
    if (this.index === this.packets.length) {
      this.index = 0;
      this.round += 1;
    }
    const packet = this.packets[this.index];
    if (packet.isNew) makeNew(packet, this.round);
    return packet;
  }
}

/** A capture that has no end but pauses after every burst. */
class EndlessCapture implements FrameSource {
  bytes = new Uint8Array(0);
  readonly dataOffset = 0;
  capturedLength = 0;
  originalLength = 0;
  left = 0;
  private readonly cursor: Cursor;

  constructor(side: number) {
    this.cursor = new Cursor(side);
  }

  next(): boolean {
    if (this.left === 0) return false;
    this.left -= 1;
    this.bytes = this.cursor.next().bytes;
    this.capturedLength = this.bytes.length;
    this.originalLength = this.bytes.length;
    return true;
  }
}

const isWasteful = kind === 'wasteful';
const isUsingLanes = kind === 'lanes';
const bench = await SwitchBench.create({
  queues: isUsingLanes ? [[0], [1]] : [[0], [0]],
  connections: 11_776,
  frames: 4096,
  configuration: {
    services: [...DEFAULT_SERVICES, ...MIX_SERVICES],
    routes: MIX_ROUTES,
    forwarding: MIX_FORWARDING,
    // Captures have no packets of the device's.
    control: kind === 'pcap' ? MIX_CONTROL_PAIRS : MIX_CONTROL,
    timeouts: { udp: 1 },
    'rate-limits': RATE_LIMITS,
  },
});
bench.setInterface(EXT, INTERFACE_MTU, LEAST_MTU);
bench.know(MIX_REAL);
bench.settle();

/** Every verdict in turn, of all datagrams that come from clients. */
const APPLICATION = `
let n = 0;
export const match = { protocol: 'udp', address: '10.1.0.0/16' };
export const tickMs = 10;
export function onTick() {}
export function onPacket(packet) {
  n = (n + 1) & 7;
  switch (n) {
    case 1: return packet.drop();
    case 2: return packet.consume();
    case 3: return packet.reply(packet.payloadLength);
    case 4: packet.fillChecksums(); return packet.forward();
  }
  return packet.pass();
}`;
if (kind === 'applications') {
  const plan = planOf({ module: moduleFile(APPLICATION), failures: 1_000_000 });
  await runApplications(bench, plan);
}

/** What a loopback queue sends into; tests of its own kind are the only others that look inside. */
function outgoing(queue: LoopbackQueue): LoopbackLane {
  // biome-ignore lint/complexity/useLiteralKeys: how TypeScript lets a private field be read.
  return queue['outgoing'];
}

function feedLoopback(): (burst: number) => void {
  const cursor = new Cursor(-1);
  const wires = [EXT, INT].map((i) => outgoing(bench.queues[i][0]));
  return (burst) => {
    for (let i = 0; i < BURST; i++) {
      const { bytes, side } = cursor.next();
      const end = side === HOST ? bench.hosts[0] : bench.queues[side][0];
      if (!end.inject(bytes)) throw new Error('the wire to the switch is full');
    }
    for (let i = 0; i < bench.processors.length; i++) bench.processors[i].turn(bench.now);
    if ((burst & HOST_STUCK_FOR) === 0) bench.hosts[0].drain();
    if (burst % STUCK_EVERY < STUCK_FOR) return;
    for (let i = 0; i < wires.length; i++) wires[i].consumed = wires[i].published;
  };
}

function feedPcap(): (burst: number) => void {
  const captures = [EXT, INT].map((side) => new EndlessCapture(side));
  const queues = captures.map((source, i) => ({
    interfaceNumber: i,
    socketNumber: i,
    open: (pool: SwitchingProcessor['pool']) =>
      new PcapQueue(bench.memory, pool, i, { source, wallClockMs: () => 0 }),
  }));
  const processor = new SwitchingProcessor(bench.memory, 0, queues, () => {}, bench.now);
  return () => {
    for (let i = 0; i < captures.length; i++) captures[i].left = BURST >> 1;
    processor.turn(bench.now);
  };
}

let last: { readonly value: number; readonly other?: number } = { value: 0 };
let wasted = 0;

/** A small object for every burst, and in the middle one of another shape. */
function waste(burst: number): void {
  const isStrange = burst > (WARM_UP_PACKETS / BURST) * 1.2;
  last = isStrange ? { other: 1, value: 0.5 } : { value: burst };
  wasted += last.value;
}

/** More than a young heap may have without being collected. */
function wasteMuch(): void {
  for (let i = 0; i < 20_000; i++) wasted += new Array<number>(500).fill(i).length;
}

const feed = kind === 'pcap' ? feedPcap() : feedLoopback();
const linkWord = bench.memory.interfaceWord(INT, INTERFACE_LINK_UP);
let bursts = 0;

function run(packets: number): void {
  for (let sent = 0; sent < packets; sent += BURST) {
    bursts = (bursts + 1) | 0;
    bench.now = (bench.now + 1) | 0;
    bench.memory.words[linkWord] = bursts % DOWN_EVERY === 0 ? 0 : 1;
    feed(bursts);
    if (isWasteful) waste(bursts);
  }
}

const collections: { readonly startTime: number; readonly duration: number }[] = [];
const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()));
observer.observe({ entryTypes: ['gc'] });
/** Objects that no collection has met yet; large ones have a space of their own. */
const newSpaces = () =>
  getHeapSpaceStatistics().filter(({ space_name }) => space_name.startsWith('new_'));
const bytesOfNewObjects = () =>
  newSpaces().reduce((sum, { space_used_size }) => sum + space_used_size, 0);
const traceText = () => (existsSync(traceFile) ? readFileSync(traceFile, 'utf8') : '');

run(WARM_UP_PACKETS);
await setImmediate();
const before = readCounters(bench.memory);
const tracedBefore = traceText().length;
const bytesBefore = bytesOfNewObjects();
const began = performance.now();
run(Number(packetsText));
const bytesAfter = bytesOfNewObjects();
if (isWasteful) wasteMuch();
const ended = performance.now();
const traced = traceText().slice(tracedBefore);
const after = readCounters(bench.memory);
await setImmediate();
await setImmediate();

const names = Object.keys(after.reasons);
stdout.write(
  `${JSON.stringify({
    packets: after.single.received - before.single.received,
    collections: collections.filter((each) => each.startTime > began && each.startTime < ended)
      .length,
    collectionsBefore: collections.filter((each) => each.startTime <= began).length,
    bytes: bytesAfter - bytesBefore,
    deoptimisations: traced.split('\n').filter((line) => line.startsWith('[bailout')),
    handedOver: after.single.handedOver - before.single.handedOver,
    expired: after.single.expired - before.single.expired,
    evicted: after.single.evicted - before.single.evicted,
    wasted,
    nanoseconds: ((ended - began) * 1e6) / Number(packetsText),
    reasons: Object.fromEntries(
      names.map((name) => [name, after.reasons[name] - before.reasons[name]]),
    ),
  })}\n`,
);
