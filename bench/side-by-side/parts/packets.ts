// Packets per second through one switching processor: how many pass when more is offered than anybody
// can carry, how many are lost at which rate, and the highest rate at which none are. 60-byte UDP frames
// over a number of connections, which all exist before anything is counted. The receiver (XDP, it counts
// and drops) stands where the servers' bridge begins, as another host would, and sees by their numbers
// which packets are lost or out of order.
// The same is offered to everybody: as much as generator and receiver can carry together over a bare
// cable on their CPU. What nothing can pass is no measure of a switch.
// weir is measured twice: with the kernel's half of receiving on the sender's CPU, as a
// veth has it unless told otherwise, and with all of it on the one core that the kernel's own forwarding
// has to do with, too ('all on one core').
// The highest rate without loss is found by halving, in the spirit of RFC 2544 section 26.1.

import { cpus as machineCpus } from 'node:os';
import { startReceiver, startTraffic, type TrafficOptions } from '../../../src/lab/traffic.ts';
import { type BenchNetwork, CONTENDER_CPU } from '../bench-network.ts';
import type { Contender, RunningContender, Wanted } from '../contender.ts';
import { mostProxied } from '../contenders/proxy.ts';
import { onLoadCpu } from '../cpu-time.ts';
import { MAKING_RATE, PacketLoad, passed, trafficTo } from '../packet-load.ts';
import type { Measure, Part, PartContext } from '../part.ts';
import { searchRate } from '../rate-search.ts';

const PORT = 9;
const MEGA = 1e6;
/** Of a rate that is wanted: with less it has not been offered. */
const OFFERED_SHARE = 0.9;
/** Tolerated in a trial without loss: 0.001 %. */
const TOLERATED_LOSS = 1e-5;
const ONE_CORE = ', all on one core';
const SPINNING = `${ONE_CORE}, spinning`;
const CURVE_CONNECTIONS = 65_536;
/**
 * Those to whom the kernel hands packets over, so that its half of receiving may be elsewhere. The C
 * twin is one, too, but only spins: it would keep the kernel's threads from its CPU.
 */
const IN_TWO_HALVES: readonly string[] = ['weir-af-xdp', 'weir-af-packet'];
/** weir and its twin, which always spins. */
const ALIKE: readonly string[] = ['weir-af-xdp', 'c-twin'];
/** Two for generators and receivers, two for processors. */
const CPUS_FOR_TWO = 4;
const SECOND_NETWORK = '10.65';

interface Plan {
  readonly connections: readonly number[];
  readonly windowSeconds: number;
  readonly curvePercents: readonly number[];
  readonly curveSeconds: number;
  readonly trials: number;
  readonly trialSeconds: number;
}

const FULL: Plan = {
  connections: [1, 1024, CURVE_CONNECTIONS, 1_048_576],
  windowSeconds: 2.5,
  curvePercents: [10, 25, 50, 75, 90, 100, 125, 150],
  curveSeconds: 0.8,
  trials: 6,
  trialSeconds: 1,
};

const QUICK: Plan = {
  connections: [CURVE_CONNECTIONS],
  windowSeconds: 0.8,
  curvePercents: [50, 100],
  curveSeconds: 0.3,
  trials: 2,
  trialSeconds: 0.3,
};

const TRIAL: Plan = {
  ...QUICK,
  connections: [1024],
  windowSeconds: 0.3,
  curvePercents: [50],
  curveSeconds: 0.2,
  trials: 1,
  trialSeconds: 0.2,
};

function planOf({ isTrial, isQuick }: PartContext): Plan {
  if (isTrial) return TRIAL;
  return isQuick ? QUICK : FULL;
}

const rateMeasure = (measure: string, connections: number, processors?: number): Measure => ({
  measure,
  unit: 'Mpps',
  better: 'more',
  condition: processors === undefined ? { connections } : { connections, processors },
});

function wantedFor(connections: number): Wanted {
  return {
    protocol: 'udp',
    port: PORT,
    backends: 1,
    connections,
    processors: 1,
    cpus: [CONTENDER_CPU],
    idle: 'busy',
  };
}

/** What generator and receiver can carry together, with nothing but a cable between them. */
async function fullRate(context: PartContext, plan: Plan): Promise<number> {
  const network = await context.network();
  context.say('what a bare cable carries');
  const load = await PacketLoad.start(network, network.directTarget(PORT), CURVE_CONNECTIONS);
  try {
    return passed(await load.offer(undefined, plan.windowSeconds));
  } finally {
    await load.stop();
  }
}

async function measureThroughput(
  context: PartContext,
  { name, label }: Contender,
  load: PacketLoad,
  wanted: { readonly connections: number; readonly rate: number; readonly seconds: number },
): Promise<number> {
  const { connections, rate, seconds } = wanted;
  context.say(`${label}: throughput, ${connections} connections`);
  const result = await load.offer(rate, seconds);
  const throughput = passed(result);
  const condition = { connections };
  context.record(name, rateMeasure('throughput', connections), throughput / MEGA);
  context.record(
    name,
    { measure: 'rate offered meanwhile', unit: 'Mpps', better: 'more', condition },
    result.offeredRate / MEGA,
  );
  context.record(
    name,
    { measure: 'packets out of order', unit: '%', better: 'less', condition },
    result.packets === 0 ? Number.NaN : (result.reordered / result.packets) * 100,
  );
  return throughput;
}

async function measureLoss(
  context: PartContext,
  { name, label }: Contender,
  load: PacketLoad,
  plan: Plan,
  throughput: number,
): Promise<void> {
  for (const percent of plan.curvePercents) {
    context.say(`${label}: loss at ${percent} % of its throughput`);
    const wanted = (throughput * percent) / 100;
    const { lossRatio, offeredRate } = await load.offer(wanted, plan.curveSeconds);
    if (offeredRate < wanted * OFFERED_SHARE) {
      context.missing(name, `the loss at ${percent} % of its throughput: so much was not offered`);
      continue;
    }
    const condition = { connections: load.connections, offeredPercent: percent };
    context.record(
      name,
      { measure: 'packets lost', unit: '%', better: 'less', condition },
      Math.max(0, lossRatio) * 100,
    );
  }
}

async function measureWithoutLoss(
  context: PartContext,
  { name, label }: Contender,
  load: PacketLoad,
  plan: Plan,
  throughput: number,
): Promise<void> {
  const { tolerated, lossless } = await searchRate(
    throughput,
    plan.trials,
    TOLERATED_LOSS,
    async (rate) => {
      context.say(`${label}: is anything lost at ${(rate / MEGA).toFixed(2)} Mpps?`);
      return load.offer(rate, plan.trialSeconds);
    },
  );
  for (const [limit, rate] of [
    ['0.001 %', tolerated],
    ['not one', lossless],
  ] as const) {
    const measure = `highest rate without loss (${limit})`;
    if (rate > 0) context.record(name, rateMeasure(measure, load.connections), rate / MEGA);
    else context.missing(name, `${measure}: something was lost in each trial`);
  }
}

async function measureOne(
  context: PartContext,
  plan: Plan,
  contender: Contender,
  connections: number,
  rate: number,
): Promise<void> {
  const use = async (running: RunningContender, network: BenchNetwork) => {
    const load = await PacketLoad.start(network, running.target, connections);
    try {
      context.say(`${contender.label}: ${connections} connections are made`);
      await load.makeConnections();
      const seconds = plan.windowSeconds;
      const wanted = { connections, rate, seconds };
      const throughput = await measureThroughput(context, contender, load, wanted);
      if (throughput === 0) throw new Error(`nothing passed with ${connections} connections`);
      if (connections !== CURVE_CONNECTIONS && context.isTrial !== true) return;
      // That a bare cable loses nothing shows that the receiver does not; a quick run believes it.
      if (contender.name === 'direct' && context.isQuick) return;
      await measureLoss(context, contender, load, plan, throughput);
      await measureWithoutLoss(context, contender, load, plan, throughput);
    } finally {
      await load.stop();
    }
  };
  await context.withContender(contender, wantedFor(connections), use);
}

/**
 * Once more, with nothing done for the contender on the sender's CPU. Asleep when idle, it leaves the
 * kernel's threads their CPU; spinning it has to share it with them by time slices, which is worse, but the
 * same for weir and for a twin that knows nothing else.
 */
async function measureOnOneCore(
  context: PartContext,
  plan: Plan,
  contender: Contender,
  rate: number,
  how: typeof ONE_CORE | typeof SPINNING,
): Promise<void> {
  const { name, label } = contender;
  const connections = context.isTrial ? 1024 : CURVE_CONNECTIONS;
  await context.withContender(
    contender,
    {
      ...wantedFor(connections),
      idle: how === ONE_CORE ? 'adaptive' : 'busy',
      receivesItself: true,
    },
    async ({ target }, network) => {
      const load = await PacketLoad.start(network, target, connections);
      try {
        await load.makeConnections();
        context.say(`${label}: throughput${how}`);
        const result = await load.offer(rate, plan.windowSeconds);
        const offered = `rate offered meanwhile${how}`;
        context.record(name, rateMeasure(`throughput${how}`, connections), passed(result) / MEGA);
        context.record(name, rateMeasure(offered, connections), result.offeredRate / MEGA);
      } finally {
        await load.stop();
      }
    },
  );
}

/** The packets that two generators get through two processors. */
async function measureTwo(context: PartContext, contender: Contender, plan: Plan): Promise<void> {
  const connections = CURVE_CONNECTIONS;
  const cpus = [CONTENDER_CPU, CONTENDER_CPU + 1];
  const wanted = { ...wantedFor(connections), processors: 2, cpus };
  await context.withContender(contender, wanted, async ({ target }, network) => {
    const end = network.receiverOf(target);
    const receiver = await startReceiver({ ...end, gap: false, order: false });
    const both = (more: Partial<TrafficOptions>) =>
      Promise.all(
        network.loadCpus.map((cpu, index) => {
          const source = index === 0 ? {} : { sourceNetwork: SECOND_NETWORK };
          const options = { flows: connections / 2, cpu, ...source, ...more };
          return startTraffic(trafficTo(network, target, options)).report;
        }),
      );
    try {
      context.say(`${contender.label}: throughput of two processors`);
      await both({ rate: MAKING_RATE / 2, order: 'sequential', packets: connections / 2 });
      await receiver.reset();
      const reports = await both({ seconds: plan.windowSeconds });
      const { packets } = await receiver.read();
      const seconds = Math.max(...reports.map((report) => report.seconds));
      const measure = rateMeasure('throughput of two processors', connections, 2);
      context.record(contender.name, measure, packets / seconds / MEGA);
    } finally {
      await receiver.stop();
    }
  });
}

async function runTwo(context: PartContext, plan: Plan): Promise<void> {
  const cpuCount = machineCpus().length;
  if (cpuCount < CPUS_FOR_TWO || context.networkWithQueues === undefined) {
    const reason = `two processors: not measurable with ${cpuCount} CPUs, it takes ${CPUS_FOR_TWO}`;
    context.missing('weir-af-xdp', reason);
    return;
  }
  await context.networkWithQueues(2);
  for (let round = 0; round < context.rounds; round += 1) {
    for (const contender of context.contenders('udp', round)) {
      if (contender.name === 'direct') continue;
      await measureTwo(context, contender, plan);
    }
  }
}

async function run(context: PartContext): Promise<void> {
  const plan = planOf(context);
  const rate = await onLoadCpu(() => fullRate(context, plan));
  for (let round = 0; round < context.rounds; round += 1) {
    for (const connections of plan.connections) {
      for (const contender of context.contenders('udp', round)) {
        if (contender.name === 'nginx' && connections > mostProxied()) {
          context.missing(
            contender.name,
            `${connections} connections: two files for each, and no more than ${mostProxied() * 2}`,
          );
          continue;
        }
        await measureOne(context, plan, contender, connections, rate);
      }
    }
    for (const contender of context.contenders('udp', round)) {
      if (IN_TWO_HALVES.includes(contender.name)) {
        await measureOnOneCore(context, plan, contender, rate, ONE_CORE);
      }
      if (ALIKE.includes(contender.name)) {
        await measureOnOneCore(context, plan, contender, rate, SPINNING);
      }
    }
  }
  await runTwo(context, plan);
}

export const part: Part = {
  name: 'packets',
  what: 'UDP packets per second, loss against the rate offered, the highest rate without loss',
  needsRoot: true,
  run,
};
