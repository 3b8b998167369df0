// Part 'flip': does forwarding stop while a new configuration comes into force? Steady UDP traffic at
// half of what the contender carries, over connections that exist; the receiver records the longest
// time between two packets. Three windows tell the causes apart:
//   nothing     the machine's own pauses
//   parsing     weir reads, parses and checks a file and then refuses it, for it changes what is fixed
//               at start: the work of a reload without the flip. With two CPUs this work takes CPU time
//               from generator and receiver, and it is they who pause then, not the switch
//   replacing   the configuration is replaced again and again; each differs in every service
// What a flip costs in forwarding is the last window beside the one before it. For nftables replacing is
// `nft -f` with the whole table in one transaction.

import {
  type GeneratorReport,
  type Receiver,
  type ReceiverReading,
  startReceiver,
  startTraffic,
  type TrafficOptions,
  type TrafficRun,
} from '../../../src/lab/traffic.ts';
import { type BenchNetwork, CONTENDER_CPU, LOAD_CPU } from '../bench-network.ts';
import type { RunningContender, Wanted } from '../contender.ts';
import { onLoadCpu } from '../cpu-time.ts';
import type { Part, PartContext } from '../part.ts';
import type { Condition } from '../result.ts';
import { median } from '../statistics.ts';
import { type Flippable, flippable } from './flip-contenders.ts';
import { BACKENDS_PER_SERVICE, compileTimes, manyServices, servicesText } from './many-services.ts';

const PORT = 9;
const FLOWS = 4096;
const MAKING_RATE = 100_000;
/** Of what the contender carries. */
const LOAD_SHARE = 0.5;
/** Traffic is under way, and its first packets are no gap. */
const SETTLE_MS = 150;
const DRAIN_MS = 100;
const LONGEST_WINDOW_MS = 10_000;
const FLOWING_DEADLINE_MS = 5000;
/** Packets per second below which a gap says nothing. */
const LEAST_RATE = 10_000;
/** Of the packets that should have come: with two CPUs parsing takes its part of the generator's. */
const LEAST_SHARE = 0.1;
/** Longer than any window; it is ended when the window is over. */
const ENDLESS_SECONDS = 120;
const LARGE = 1000;
/** Read by the control processor's parser, so it needs the rest of a configuration too. */
const COMMON_TEXT = `interfaces:
  - { name: ext0, addresses: [10.1.0.1/24] }
  - { name: int0, addresses: [10.2.0.1/24] }
`;
const COMPILED_SERVERS = ['10.2.0.11', '10.2.0.12', '10.2.0.13', '10.2.0.14'];

/** Configurations of a size, and how many of them come into force one after the other. */
interface Size {
  readonly services: number;
  readonly flips: number;
}

interface Plan {
  readonly sizes: readonly Size[];
  readonly quietMs: number;
  readonly fullRateSeconds: number;
  /** Texts of 1,000 services that are compiled in this process. */
  readonly compiled: number;
}

const FULL: Plan = {
  sizes: [
    { services: 10, flips: 10 },
    { services: LARGE, flips: 2 },
  ],
  quietMs: 3000,
  fullRateSeconds: 1,
  compiled: 3,
};
const QUICK: Plan = {
  sizes: [{ services: 100, flips: 2 }],
  quietMs: 500,
  fullRateSeconds: 0.4,
  compiled: 1,
};
const TRIAL: Plan = {
  sizes: [{ services: 10, flips: 1 }],
  quietMs: 200,
  fullRateSeconds: 0.2,
  compiled: 0,
};

function planOf({ isTrial, isQuick }: PartContext): Plan {
  if (isTrial) return TRIAL;
  return isQuick ? QUICK : FULL;
}

const WANTED: Wanted = {
  protocol: 'udp',
  port: PORT,
  backends: 4,
  connections: FLOWS,
  processors: 1,
  cpus: [CONTENDER_CPU],
  idle: 'busy',
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A signal that interrupts the kernel's call may be heard only after the next one: it is sent twice. */
async function ended(traffic: TrafficRun): Promise<GeneratorReport> {
  void traffic.stop();
  await sleep(DRAIN_MS);
  return traffic.stop();
}

/** What came in while something went on. */
interface Window extends ReceiverReading {
  /** Packets, had all been offered and none been lost. */
  readonly expected: number;
  readonly seconds: number;
}

/** Traffic through one running contender, and its receiver. */
class Load {
  readonly #traffic: TrafficOptions;
  readonly #receiver: Receiver;

  constructor(network: BenchNetwork, { target }: RunningContender, receiver: Receiver) {
    this.#receiver = receiver;
    this.#traffic = {
      namespace: network.client.namespace,
      interface: target.clientInterface,
      destination: target.address,
      destinationMac: target.nextHopMac,
      destinationPort: target.port,
      cpu: LOAD_CPU,
      flows: FLOWS,
      seconds: ENDLESS_SECONDS,
    };
  }

  /** Offers packets while `work` goes on; counts those of that time alone. */
  async while(rate: number, work: () => Promise<unknown>): Promise<Window> {
    const traffic = startTraffic({ ...this.#traffic, rate });
    try {
      await this.#untilFlowing();
      await this.#receiver.reset();
      const start = performance.now();
      await work();
      const reading = await this.#nextPacket();
      const seconds = (performance.now() - start) / 1000;
      await ended(traffic);
      return { ...reading, seconds, expected: rate * seconds };
    } catch (error) {
      await ended(traffic);
      throw error;
    }
  }

  async #untilFlowing(): Promise<void> {
    const deadline = performance.now() + FLOWING_DEADLINE_MS;
    while ((await this.#receiver.read()).packets === 0) {
      if (performance.now() > deadline) throw new Error('no packet came through');
      await sleep(20);
    }
    await sleep(SETTLE_MS);
  }

  /** Reads when another packet has come: a gap that is still open at the end is a gap, too. */
  async #nextPacket(): Promise<ReceiverReading> {
    const deadline = performance.now() + FLOWING_DEADLINE_MS;
    const { packets } = await this.#receiver.read();
    for (;;) {
      const reading = await this.#receiver.read();
      if (reading.packets > packets) return reading;
      if (performance.now() > deadline) throw new Error('packets come through no more');
      await sleep(1);
    }
  }

  /** Every connection is made, twice for what was lost the first time. */
  async makeConnections(): Promise<void> {
    const order = { order: 'sequential', packets: FLOWS, rate: MAKING_RATE } as const;
    for (let pass = 0; pass < 2; pass += 1) {
      await startTraffic({ ...this.#traffic, ...order }).report;
    }
  }

  /** Packets per second that get through when as many come as can. The receiver goes first. */
  async fullRate(seconds: number): Promise<number> {
    await this.#receiver.reset();
    const report = await startTraffic({ ...this.#traffic, seconds, niceness: 10 }).report;
    await sleep(DRAIN_MS);
    return (await this.#receiver.read()).packets / report.seconds;
  }
}

function recordWindow(
  context: PartContext,
  contender: string,
  condition: Condition,
  { longestGapNs, missing, packets, seconds, expected }: Window,
): void {
  if (packets < expected * LEAST_SHARE) {
    const share = Math.round((packets / expected) * 100);
    const { services, meanwhile } = condition;
    const under = `${services} services, meanwhile ${meanwhile}`;
    context.missing(contender, `${under}: only ${share} % of the packets came through`);
    return;
  }
  const less = { better: 'less', condition } as const;
  const gap = { measure: 'longest gap between two packets', unit: 'ms', ...less } as const;
  context.record(contender, gap, longestGapNs / 1e6);
  context.record(contender, { measure: 'packets lost', unit: 'packets', ...less }, missing);
  const passed = {
    measure: 'packets that passed meanwhile',
    unit: 'Mpps',
    better: 'more',
  } as const;
  context.record(contender, { ...passed, condition }, packets / seconds / 1e6);
}

/** Does something several times, fewer if it takes long; gives the milliseconds of each. */
async function timed(times: number, work: () => Promise<void>): Promise<number[]> {
  const found: number[] = [];
  const end = performance.now() + LONGEST_WINDOW_MS;
  for (let i = 0; i < times && performance.now() < end; i += 1) {
    const start = performance.now();
    await work();
    found.push(performance.now() - start);
    // A flip is seen by the processors, and its consequences by the receiver, within this.
    await sleep(DRAIN_MS);
  }
  return found;
}

async function measure(
  context: PartContext,
  plan: Plan,
  { services, flips }: Size,
  { contender, replace, refuse }: Flippable,
  load: Load,
): Promise<void> {
  const { name, label } = contender;
  const say = (what: string) => context.say(`${label}, ${services} services: ${what}`);
  const active = (meanwhile: string) => ({
    measure: 'time until a new configuration is active',
    unit: 'ms',
    better: 'less' as const,
    condition: { services, traffic: meanwhile },
  });
  say('reloads without traffic');
  context.record(name, active('none'), median(await timed(flips, replace)));
  await load.makeConnections();
  const rate = Math.round((await load.fullRate(plan.fullRateSeconds)) * LOAD_SHARE);
  if (rate < LEAST_RATE) throw new Error(`only ${rate} packets per second get through`);
  const window = async (meanwhile: string, work: () => Promise<unknown>) => {
    say(meanwhile);
    const found = await load.while(rate, work);
    recordWindow(context, name, { services, meanwhile }, found);
  };
  await window('nothing', () => sleep(plan.quietMs));
  if (refuse !== undefined) await window('parsing', () => timed(flips, refuse));
  let times: number[] = [];
  await window('replacing', async () => {
    times = await timed(flips, replace);
  });
  context.record(name, active('half of what it carries'), median(times));
}

async function measureCompiling(context: PartContext, count: number): Promise<void> {
  if (count === 0) return;
  context.say(`${LARGE} services are compiled`);
  const common = { virtualAddress: '10.1.0.100', port: PORT, servers: COMPILED_SERVERS };
  const texts = Array.from({ length: count }, (_, variant) => {
    return COMMON_TEXT + servicesText(manyServices({ ...common, count: LARGE, variant }));
  });
  const times = await compileTimes(texts);
  const condition = { services: LARGE, backends: LARGE * BACKENDS_PER_SERVICE };
  const ms = { unit: 'ms', better: 'less', condition } as const;
  const parse = median(times.map(({ parseMs }) => parseMs));
  const publish = median(times.map(({ publishMs }) => publishMs));
  context.record('weir', { measure: 'time to parse and check a file', ...ms }, parse);
  context.record('weir', { measure: 'time to compile and publish it', ...ms }, publish);
}

async function run(context: PartContext): Promise<void> {
  const plan = planOf(context);
  const network = await context.network();
  for (let round = 0; round < context.rounds; round += 1) {
    await onLoadCpu(() => measureCompiling(context, plan.compiled));
    for (const size of plan.sizes) {
      for (const contender of context.contenders('udp', round)) {
        if (context.isQuick && contender.name === 'weir-af-packet') continue;
        const able = flippable(contender, size.services);
        if (able === undefined) continue;
        await context.withContender(able.contender, WANTED, async (running) => {
          const receiver = await startReceiver(network.receiverOf(running.target));
          try {
            const load = new Load(network, running, receiver);
            await onLoadCpu(() => measure(context, plan, size, able, load));
          } finally {
            await receiver.stop();
          }
        });
      }
    }
  }
}

export const part: Part = {
  name: 'flip',
  what: 'the longest gap in forwarding while configurations are replaced, and what compiling takes',
  needsRoot: true,
  run,
};
