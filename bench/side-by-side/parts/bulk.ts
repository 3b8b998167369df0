// Part 'bulk': what a few connections carry that send as much as they can, and the balancer's CPU
// time for a gigabyte. The time is taken at a rate that every contender can carry, and the same for
// all: at its limit each would be measured at a different load.
// One server takes part, so that direct, which knows only one, has the same servers as the others.

import { execute } from '../../../src/lab/command.ts';
import { startIperf3 } from '../../../src/lab/servers.ts';
import { type CostFound, receivesItself, recordCosts, withoutTwin } from '../balancer-cost.ts';
import { type BenchNetwork, CONTENDER_CPU } from '../bench-network.ts';
import type { RunningContender, Wanted } from '../contender.ts';
import { confine, onLoadCpu, whileMeasuringCpu } from '../cpu-time.ts';
import { type BulkResult, transferBulk } from '../load/iperf3.ts';
import type { Part, PartContext } from '../part.ts';

const PORT = 5201;
const PACED_BITS_PER_SECOND = 4e8;
/** As long as that of a network interface is by default. */
const QUEUE_PACKETS = 1000;
/** Of what is offered; less is no longer the same load. */
const CARRIED_PART = 0.95;
/** What a packet on a cable has room for, and the kernel's own limit for joined ones. */
const GIGABYTE = 1e9;
const CPUS = [CONTENDER_CPU];
const TO_SERVERS = 'to servers';
const FROM_SERVERS = 'from servers';

interface Plan {
  readonly seconds: number;
  readonly transfers: readonly { readonly streams: number; readonly isReverse: boolean }[];
  readonly pacedStreams: readonly number[];
}

const QUICK: Plan = {
  seconds: 1,
  transfers: [{ streams: 8, isReverse: false }],
  pacedStreams: [1],
};
const FULL: Plan = {
  seconds: 2,
  transfers: [
    { streams: 1, isReverse: false },
    { streams: 8, isReverse: false },
    { streams: 8, isReverse: true },
  ],
  pacedStreams: [1, 8],
};

const WANTED: Wanted = {
  protocol: 'tcp',
  port: PORT,
  backends: 1,
  connections: 1024,
  processors: 1,
  cpus: CPUS,
  idle: 'adaptive',
  receivesItself: receivesItself('adaptive'),
};

/** One round's costs by the number of streams. */
type Round = Map<number, CostFound[]>;

/**
 * A cable between network namespaces holds 256 packets and drops what does not fit, unless there is
 * a queue in front of it, as in front of every real network interface: then the sender waits
 * (kernel 6.16 and later). Without it tens of thousands of segments a second are lost even without
 * a balancer.
 * @returns takes the queues away again
 */
function queueInFront(network: BenchNetwork): () => void {
  const { clientEnd, receiverEnd, directEnd, directReceiverEnd, switchEnds } = network;
  const servers = network.servers.map(({ namespace }) => ({ namespace, interface: 'eth0' }));
  const ends = [clientEnd, receiverEnd, directEnd, directReceiverEnd, ...switchEnds, ...servers];
  const onEach = (...args: string[]) => {
    for (const { namespace, interface: name } of ends) {
      execute('tc', ['qdisc', args[0], 'dev', name, 'root', ...args.slice(1)], { namespace });
    }
  };
  onEach('replace', 'pfifo', 'limit', String(QUEUE_PACKETS));
  return () => onEach('del');
}

async function measureOne(
  context: PartContext,
  plan: Plan,
  round: Round,
  contender: string,
  running: RunningContender,
  network: BenchNetwork,
): Promise<void> {
  const { address, port } = running.target;
  const transfer = (streams: number, seconds: number, more = {}): Promise<BulkResult> =>
    transferBulk({
      namespace: network.client.namespace,
      address,
      port,
      streams,
      seconds,
      ...more,
    });
  confine(running.processes(), CPUS);
  for (const { streams, isReverse } of plan.transfers) {
    const direction = isReverse ? FROM_SERVERS : TO_SERVERS;
    context.say(`${contender}: ${streams} streams ${direction}`);
    const result = await transfer(streams, plan.seconds, { isReverse });
    const condition = { streams, direction };
    context.record(
      contender,
      { measure: 'bulk throughput', unit: 'GB/s', better: 'more', condition },
      result.bytesPerSecond / GIGABYTE,
    );
    context.record(
      contender,
      { measure: 'segments sent again', unit: '1/GB', better: 'less', condition },
      (result.retransmits * GIGABYTE) / result.bytes,
    );
  }
  for (const streams of plan.pacedStreams) {
    context.say(`${contender}: ${streams} paced streams`);
    const { result, use } = await whileMeasuringCpu(running.processes, CPUS, () =>
      transfer(streams, plan.seconds, { bitsPerSecond: PACED_BITS_PER_SECOND }),
    );
    if (result.bytesPerSecond * 8 < PACED_BITS_PER_SECOND * CARRIED_PART) {
      const carried = (result.bytesPerSecond / GIGABYTE).toFixed(3);
      context.missing(
        contender,
        `${streams} paced streams: only ${carried} GB/s of what was offered`,
      );
      continue;
    }
    const sofar = round.get(streams) ?? [];
    round.set(streams, [...sofar, { contender, use, carried: result.bytes / GIGABYTE }]);
  }
}

async function run(context: PartContext): Promise<void> {
  const plan = context.isQuick ? QUICK : FULL;
  const network = await context.network();
  const unqueue = queueInFront(network);
  const server = await onLoadCpu(() => startIperf3(network.servers[0], PORT));
  try {
    for (let round = 0; round < context.rounds; round += 1) {
      const found: Round = new Map();
      for (const contender of withoutTwin(context.contenders('tcp', round))) {
        const { name } = contender;
        await context.withContender(contender, WANTED, (running) =>
          onLoadCpu(() => measureOne(context, plan, found, name, running, network)),
        );
      }
      for (const [streams, costs] of found) {
        const condition = { streams, offered: `${PACED_BITS_PER_SECOND / (8 * GIGABYTE)} GB/s` };
        recordCosts(context, { each: 'gigabyte', shortEach: 'GB', unit: 's' }, condition, costs);
      }
    }
  } finally {
    await server.stop();
    unqueue();
  }
}

export const part: Part = {
  name: 'bulk',
  what: 'throughput of 1 and 8 TCP connections, and CPU time per gigabyte',
  needsRoot: true,
  run,
};
