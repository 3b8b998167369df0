// Part 'latency': how long a UDP request and its answer take, there and back, by a real client and
// a real server. At a low rate every packet finds everybody asleep, and what counts is how soon
// they wake up; at a higher one also how long a packet waits for those before it. weir runs both
// ways of waiting: polling without end, which needs a CPU of its own, and sleeping when there is
// nothing to do.

import {
  type Idle,
  idlesOf,
  type LatencyFound,
  receivesItself,
  recordLatencies,
  seriesName,
  withoutTwin,
} from '../balancer-cost.ts';
import { type BenchNetwork, CONTENDER_CPU } from '../bench-network.ts';
import type { RunningContender, Wanted } from '../contender.ts';
import { confine, onLoadCpu } from '../cpu-time.ts';
import { offerUdpRequests, startUdpEcho } from '../load/sockperf.ts';
import type { Part, PartContext } from '../part.ts';

const PORT = 11111;
const CPUS = [CONTENDER_CPU];
/** Answers that may be missing before a latency of the others means nothing: 1 in 100. */
const TOLERATED_LOSS = 0.01;
/** Of the rate that is wanted; a client that sends less has measured something else. */
const OFFERED_PART = 0.9;

interface Load {
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
}

const QUICK: readonly Load[] = [{ rate: 1000, seconds: 0.5 }];
const FULL: readonly Load[] = [
  { rate: 1000, seconds: 3 },
  { rate: 20_000, seconds: 1 },
];

/** One round's latencies by rate. */
type Round = Map<number, LatencyFound[]>;

function wanted(idle: Idle): Wanted {
  return {
    protocol: 'udp',
    port: PORT,
    backends: 1,
    connections: 1024,
    processors: 1,
    cpus: CPUS,
    idle,
    receivesItself: receivesItself(idle),
  };
}

async function measureOne(
  context: PartContext,
  round: Round,
  series: string,
  running: RunningContender,
  network: BenchNetwork,
): Promise<void> {
  const { address, port } = running.target;
  const { namespace } = network.client;
  confine(running.processes(), CPUS);
  for (const { rate, seconds } of context.isQuick ? QUICK : FULL) {
    context.say(`${series}: ${rate} requests per second`);
    const result = await offerUdpRequests({ namespace, address, port, rate, seconds });
    const { sent, received } = result;
    if (result.rate < rate * OFFERED_PART) {
      context.missing(series, `the client sent ${Math.round(result.rate)} of ${rate} per second`);
      continue;
    }
    if (received < sent * (1 - TOLERATED_LOSS)) {
      context.missing(series, `${rate} requests per second: ${sent - received} of ${sent} lost`);
      continue;
    }
    const found = { contender: series, latencyUs: result.roundTripUs, observations: received };
    round.set(rate, [...(round.get(rate) ?? []), found]);
  }
}

async function run(context: PartContext): Promise<void> {
  const network = await context.network();
  const server = await onLoadCpu(() => startUdpEcho(network.servers[0], PORT));
  try {
    for (let round = 0; round < context.rounds; round += 1) {
      const found: Round = new Map();
      for (const contender of withoutTwin(context.contenders('udp', round))) {
        for (const idle of idlesOf(contender.name, context.isQuick)) {
          const series = seriesName(contender.name, idle);
          await context.withContender(contender, wanted(idle), (running) =>
            onLoadCpu(() => measureOne(context, found, series, running, network)),
          );
        }
      }
      for (const [rate, latencies] of found) {
        recordLatencies(context, 'round trip', { rate }, latencies);
      }
    }
  } finally {
    await server.stop();
  }
}

export const part: Part = {
  name: 'latency',
  what: 'UDP round trips, weir sleeping and polling, and what is added to direct',
  needsRoot: true,
  run,
};
