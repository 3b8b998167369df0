// Part 'connections': new TCP connections, each with one request, and requests on connections that
// stay open, both offered at the same rates to all contenders, so that what is compared is what the
// balancer needs and adds, not what the clients can do. New connections come from a client without
// a TCP stack (src/lab/tcp-client.ts), which costs next to nothing; requests from h2load; answers
// from nginx. Weir sleeps when there is nothing to do while CPU time is measured: polling without
// end uses a whole CPU whatever it carries. Latency is taken under both.
// One server takes part, so that direct, which knows only one, has the same servers as the others.
// It and the clients share one CPU: the highest rate of direct is what they can do themselves.

import { setTimeout as sleep } from 'node:timers/promises';
import { execute } from '../../../src/lab/command.ts';
import { startNginx } from '../../../src/lab/servers.ts';
import { startTcpClient, type TcpClientReport } from '../../../src/lab/traffic.ts';
import {
  type CostFound,
  type Idle,
  idlesOf,
  type LatencyFound,
  receivesItself,
  recordCosts,
  recordLatencies,
  seriesName,
  withoutTwin,
} from '../balancer-cost.ts';
import {
  type BenchNetwork,
  CONTENDER_CPU,
  DIRECT_CLIENT_ADDRESS,
  LOAD_CPU,
} from '../bench-network.ts';
import type { RunningContender, Wanted } from '../contender.ts';
import { confine, onLoadCpu, whileMeasuringCpu } from '../cpu-time.ts';
import { offerHttp } from '../load/h2load.ts';
import { highestRate } from '../load/highest-rate.ts';
import type { Part, PartContext } from '../part.ts';
import type { Condition } from '../result.ts';

const PORT = 80;
const CPUS = [CONTENDER_CPU];
const REQUEST = 'GET / HTTP/1.0\r\n\r\n';
const MICROSECONDS = 1000;
/** For answers after the last connection was opened; the first repetition comes after 200 ms. */
const PATIENCE_MS = 300;
const REST_MS = 1000;
/** Of the rate that is wanted; at less the load would not be that of the others. */
const OFFERED_PART = 0.9;
/** Of connections opened, those that must have come to their end for a rate to count as carried. */
const CARRIED_PART = 0.999;

interface Plan {
  /** Long enough that what is compiled while it runs has been compiled. */
  readonly warmUpSeconds: number;
  /** New connections per second. */
  readonly connectionRates: readonly number[];
  readonly connectionSeconds: number;
  /** Requests per second on open connections. */
  readonly requestRates: readonly number[];
  readonly requestSeconds: number;
  /** Trials in the search for the highest rate of new connections; a quick run has none. */
  readonly searchTrials: number;
}

const QUICK: Plan = {
  warmUpSeconds: 0.4,
  connectionRates: [2000],
  connectionSeconds: 0.8,
  requestRates: [1000],
  requestSeconds: 1,
  searchTrials: 0,
};
const FULL: Plan = {
  warmUpSeconds: 2,
  connectionRates: [1000, 2000, 5000],
  connectionSeconds: 2,
  requestRates: [1000, 5000],
  requestSeconds: 2,
  searchTrials: 5,
};
/** Where the new connections come from: the servers' way back to them is the switch, or direct. */
const SOURCES = '10.64';
const DIRECT_SOURCES = '10.66';
const SEARCH = { from: 2000, to: 64_000, seconds: 0.6 };

/** What is measured on one contender, and where its figures of this round go. */
interface Turn {
  readonly context: PartContext;
  readonly plan: Plan;
  readonly series: string;
  readonly running: RunningContender;
  readonly network: BenchNetwork;
  readonly round: Round;
}

class Round {
  readonly connectionCosts = new Map<number, CostFound[]>();
  readonly requestCosts = new Map<number, CostFound[]>();
  readonly connectionLatencies = new Map<number, LatencyFound[]>();
  readonly requestLatencies = new Map<number, LatencyFound[]>();

  record(context: PartContext): void {
    const connection = { each: 'connection', shortEach: 'connection', unit: 'us' } as const;
    const request = { each: 'request', shortEach: 'request', unit: 'us' } as const;
    for (const [rate, found] of this.connectionCosts) {
      recordCosts(context, connection, { rate }, found);
    }
    for (const [rate, found] of this.requestCosts) recordCosts(context, request, { rate }, found);
    for (const [rate, found] of this.requestLatencies) {
      recordLatencies(context, 'request latency', { rate }, found);
    }
    for (const [rate, found] of this.connectionLatencies) {
      recordLatencies(context, 'latency with a new connection', { rate }, found);
    }
  }
}

function add<Found>(map: Map<number, Found[]>, rate: number, found: Found): void {
  const sofar = map.get(rate);
  if (sofar === undefined) map.set(rate, [found]);
  else sofar.push(found);
}

function wanted(idle: Idle): Wanted {
  return {
    protocol: 'tcp',
    port: PORT,
    backends: 1,
    connections: 65_536,
    processors: 1,
    cpus: CPUS,
    idle,
    receivesItself: receivesItself(idle),
  };
}

function openConnections({ running, network }: Turn, rate: number, seconds: number) {
  const { address, port, clientInterface, nextHopMac } = running.target;
  return startTcpClient({
    namespace: network.client.namespace,
    interface: clientInterface,
    destination: address,
    destinationMac: nextHopMac,
    destinationPort: port,
    rate,
    seconds,
    request: REQUEST,
    sourceNetwork:
      running.target.clientInterface === network.directEnd.interface ? DIRECT_SOURCES : SOURCES,
    cpu: LOAD_CPU,
    patienceMs: PATIENCE_MS,
  });
}

/** Failures are recorded, and what a failing contender needed or added is not. */
function isCarried(turn: Turn, what: string, offered: number, carried: number): boolean {
  if (carried >= offered * CARRIED_PART) return true;
  const reason = `${what}: ${carried} of ${offered} came to their end`;
  turn.context.missing(turn.series, reason);
  return false;
}

async function measureConnections(turn: Turn, rate: number, withCost: boolean): Promise<void> {
  const { context, plan, series, running, round } = turn;
  context.say(`${series}: ${rate} new connections per second`);
  const client = await openConnections(turn, rate, plan.connectionSeconds);
  const { result, use } = await whileMeasuringCpu(running.processes, CPUS, () => client.report);
  const { opened, finishLatency } = result;
  // A FIN that is sent again is counted again.
  const finished = Math.min(opened, result.finished);
  if (result.rate < rate * OFFERED_PART) {
    const reason = `the client opened ${Math.round(result.rate)} of ${rate} connections per second`;
    context.missing(series, reason);
    return;
  }
  const condition: Condition = { rate };
  if (withCost) {
    const measure = 'connections that came to their end';
    context.record(
      series,
      { measure, unit: '%', better: 'more', condition },
      (100 * finished) / Math.max(1, opened),
    );
  }
  if (!isCarried(turn, `${rate} connections per second`, opened, finished)) return;
  if (withCost) add(round.connectionCosts, rate, { contender: series, use, carried: finished });
  const { p50, p99, p999 } = finishLatency;
  add(round.connectionLatencies, rate, {
    contender: series,
    latencyUs: {
      p50: p50 / MICROSECONDS,
      p99: p99 / MICROSECONDS,
      p999: p999 / MICROSECONDS,
    },
    observations: finishLatency.count,
  });
}

async function measureRequests(turn: Turn, rate: number, withCost: boolean): Promise<void> {
  const { context, plan, series, running, network, round } = turn;
  const { namespace } = network.client;
  const { address, port } = running.target;
  const url = `http://${address}:${port}/`;
  context.say(`${series}: ${rate} requests per second`);
  const { result, use } = await whileMeasuringCpu(running.processes, CPUS, () =>
    offerHttp({ namespace, url, rate, seconds: plan.requestSeconds }),
  );
  const { requests, failed, latencyUs } = result;
  if (!isCarried(turn, `${rate} requests per second`, requests + failed, requests)) return;
  if (withCost) add(round.requestCosts, rate, { contender: series, use, carried: requests });
  add(round.requestLatencies, rate, { contender: series, latencyUs, observations: requests });
}

async function searchHighestRate(turn: Turn): Promise<void> {
  const { context, plan, series } = turn;
  const isGood = ({ opened, finished, reset }: TcpClientReport, rate: number) =>
    // A client that cannot keep up with its own rate has not offered it.
    finished >= opened * CARRIED_PART && reset === 0 && opened >= rate * SEARCH.seconds * 0.95;
  const found = await highestRate(SEARCH, plan.searchTrials, async (rate) => {
    context.say(`${series}: up to ${rate} new connections per second?`);
    const client = await openConnections(turn, rate, SEARCH.seconds);
    return isGood(await client.report, rate);
  });
  const measure = 'highest rate of new connections';
  context.record(series, { measure, unit: 'k/s', better: 'more' }, found / 1000);
}

/** What is used while nothing at all is carried: part of every figure, the more so at low rates. */
async function measureRest({ context, series, running }: Turn): Promise<void> {
  context.say(`${series}: at rest`);
  const { use } = await whileMeasuringCpu(running.processes, CPUS, () => sleep(REST_MS));
  const measure = 'CPU in use while nothing is carried';
  context.record(
    series,
    { measure, unit: '%', better: 'less' },
    (100 * use.taskSeconds) / use.seconds,
  );
}

async function measureOne(turn: Turn, idle: Idle): Promise<void> {
  const { context, plan, running, series } = turn;
  const withCost = idle === 'adaptive';
  confine(running.processes(), CPUS);
  context.say(`${series}: warming up`);
  const [warmUpRate] = plan.connectionRates.slice(-1);
  await (await openConnections(turn, warmUpRate, plan.warmUpSeconds)).report;
  for (const rate of plan.connectionRates) await measureConnections(turn, rate, withCost);
  for (const rate of plan.requestRates) await measureRequests(turn, rate, withCost);
  if (!withCost || context.isQuick) return;
  await searchHighestRate(turn);
  if (running.processes().length > 0) await measureRest(turn);
}

/** Servers reach the addresses that the direct client uses without the switch, too. */
function leadBackDirectly({ servers }: BenchNetwork): void {
  const way = [`${DIRECT_SOURCES}.0.0/16`, 'via', DIRECT_CLIENT_ADDRESS];
  for (const { namespace } of servers) execute('ip', ['route', 'replace', ...way], { namespace });
}

async function run(context: PartContext): Promise<void> {
  const plan = context.isQuick ? QUICK : FULL;
  const network = await context.network();
  leadBackDirectly(network);
  const server = await onLoadCpu(() => startNginx(network.servers[0], { port: PORT }));
  try {
    for (let index = 0; index < context.rounds; index += 1) {
      const round = new Round();
      for (const contender of withoutTwin(context.contenders('tcp', index))) {
        for (const idle of idlesOf(contender.name, context.isQuick)) {
          const series = seriesName(contender.name, idle);
          await context.withContender(contender, wanted(idle), (running) => {
            const turn = { context, plan, series, running, network, round };
            return onLoadCpu(() => measureOne(turn, idle));
          });
        }
      }
      round.record(context);
    }
  } finally {
    await server.stop();
  }
}

export const part: Part = {
  name: 'connections',
  what: 'new TCP connections and HTTP requests: CPU time for each, latency added to direct',
  needsRoot: true,
  run,
};
