// What the garbage collector and the compiler do in a switching processor under full load: 60-byte UDP
// packets of 65,536 connections, as many as can be made, for a minute. The first two seconds are not
// counted, in which V8 compiles what it sees often. After that there should be nothing: a collection is a
// pause of the switch.

import { CollectionTrace, traceTimeMs } from '../../../src/lab/collections.ts';
import { waitUntil } from '../../../src/lab/command.ts';
import { startTraffic } from '../../../src/lab/traffic.ts';
import { WeirProcess } from '../../../src/lab/weir-process.ts';
import { CONTENDER_CPU, LOAD_CPU } from '../bench-network.ts';
import type { Wanted } from '../contender.ts';
import { weirConfiguration } from '../contenders/weir.ts';
import type { Measure, Part, PartContext } from '../part.ts';

const PORT = 9;
const FLOWS = 65_536;
const WARM_UP_SECONDS = 2;
const SECONDS = 60;
const QUICK_SECONDS = 5;
const MILLION = 1e6;
const SETTLE_MS = 500;
/** At which connections are made, and how long that may take. */
const MAKING_RATE = 200_000;
const MAKING_SECONDS = 2;

const KINDS = { 'weir-af-xdp': 'af-xdp', 'weir-af-packet': 'af-packet' } as const;
type WeirName = keyof typeof KINDS;

const WANTED: Wanted = {
  protocol: 'udp',
  port: PORT,
  backends: 1,
  connections: FLOWS,
  processors: 1,
  cpus: [CONTENDER_CPU],
  idle: 'busy',
};

function sleepUntil(timeMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, timeMs - Date.now())));
}

/** Packets that have been switched. */
async function received(weir: WeirProcess): Promise<number> {
  return (await weir.status())?.totals.received ?? 0;
}

async function measure(context: PartContext, name: WeirName, seconds: number): Promise<void> {
  const kind = KINDS[name];
  const network = await context.network();
  network.forgetNeighbors();
  const leave: (() => void)[] = [];
  const trace = new CollectionTrace();
  const configuration = weirConfiguration(network, kind, WANTED);
  const { environment } = trace;
  const weir = await WeirProcess.start(network.switchNamespace, configuration, { environment });
  try {
    // After the start: weir itself turns GRO off on interfaces that it opens by AF_PACKET.
    if (kind === 'af-packet') {
      for (const end of network.switchEnds) leave.push(network.acceptRedirected(end));
    }
    await network.waitUntilReachable(network.virtualAddress);
    const target = network.serviceTarget(PORT);
    const load = {
      namespace: network.client.namespace,
      interface: target.clientInterface,
      destination: target.address,
      destinationMac: target.nextHopMac,
      destinationPort: PORT,
      flows: FLOWS,
      cpu: LOAD_CPU,
      niceness: 10,
      seconds: WARM_UP_SECONDS + seconds + 1,
    };
    // All connections first, twice, for what was lost the first time.
    for (let pass = 0; pass < 2; pass += 1) {
      const each = { order: 'sequential', packets: FLOWS, rate: MAKING_RATE } as const;
      await startTraffic({ ...load, ...each, seconds: MAKING_SECONDS }).report;
    }
    const before = await received(weir);
    const traffic = startTraffic(load);
    await waitUntil('packets come in', async () => (await received(weir)) > before);
    await sleepUntil(Date.now() + WARM_UP_SECONDS * 1000);
    const fromMs = traceTimeMs();
    const lost = trace.deoptimisations().length;
    const from = await received(weir);
    context.say(`${name}: ${seconds} seconds of full load`);
    await sleepUntil(Date.now() + seconds * 1000);
    const toMs = traceTimeMs();
    const packets = (await received(weir)) - from;
    const thrownAway = trace.deoptimisations().slice(lost);
    await traffic.stop();
    // A process that ends collects once more: well after the time that counts.
    await sleepUntil(Date.now() + SETTLE_MS);
    await weir.stop();
    if (trace.processes !== 1) throw new Error(`${trace.processes} processors were traced`);
    const record = (what: string, unit: string, better: Measure['better'], value: number) =>
      context.record(name, { measure: what, unit, better, condition: { seconds } }, value);
    for (const { inFunction, reason } of thrownAway) context.say(`${inFunction}: ${reason}`);
    const collections = trace.collections(weir.log(), fromMs, toMs);
    record('collections under full load', 'collections', 'less', collections.length);
    record('code thrown away under full load', 'functions', 'less', thrownAway.length);
    record('packets switched meanwhile', 'million packets', 'more', packets / MILLION);
  } finally {
    await weir.stop();
    for (const undo of leave) undo();
  }
}

function isWeir(name: string): name is WeirName {
  return name in KINDS;
}

export const part: Part = {
  name: 'garbage',
  what: 'collections of garbage, and code compiled anew, in a switching processor under full load',
  needsRoot: true,
  async run(context) {
    // A minute says as much as many rounds of one.
    const seconds = context.isQuick ? QUICK_SECONDS : SECONDS;
    for (const { name } of context.contenders('udp', 0)) {
      if (!isWeir(name) || (context.isQuick && name === 'weir-af-packet')) continue;
      try {
        await measure(context, name, seconds);
      } catch (error) {
        context.missing(name, error instanceof Error ? error.message : String(error));
      }
    }
  },
};
