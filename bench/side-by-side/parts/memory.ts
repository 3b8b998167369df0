// Part 'memory': what is resident, how much of it a connection takes, and whether it stays as it is.
// weir: UDP connections are made by the packet generator, and memory is read after the start, after load
// over few connections, over many, and once more over many: what is fixed after start does not grow
// between the last two. In huge pages the whole of main memory is there from the start, so what grows is
// what the switching processors have touched of it (process-memory.ts).
// Proxies: TCP connections that are open and idle, and what the proxy's processes grow by; the kernel's
// memory for its sockets is not among it. A connection in the kernel's connection tracking is an object
// whose size the kernel tells, without extensions and its place in the hash table.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { type LabProcess, start, topFolder, waitUntil } from '../../../src/lab/command.ts';
import { startTraffic, type TrafficOptions } from '../../../src/lab/traffic.ts';
import { BUCKET_SIZE, CONNECTION_SIZE, computeLayout } from '../../../src/memory/layout.ts';
import { type BenchNetwork, CONTENDER_CPU, LOAD_CPU } from '../bench-network.ts';
import type { Contender, RunningContender, Wanted } from '../contender.ts';
import { onLoadCpu } from '../cpu-time.ts';
import type { Measure, Part, PartContext } from '../part.ts';
import type { Condition } from '../result.ts';
import {
  type MainMemoryUse,
  parseSlabObjectSize,
  readMainMemory,
  readProcessMemory,
} from './process-memory.ts';

const UDP_PORT = 9;
const TCP_PORT = 8080;
const MIB = 1 << 20;
const FEW_FLOWS = 1024;
/** Low enough that none is lost, so that every connection is made. */
const MAKING_RATE = 200_000;
const DEADLINE_MS = 20_000;
/** They pay for what is made once. */
const FEW_IDLE = 50;

interface Plan {
  readonly manyFlows: number;
  readonly loadSeconds: number;
  readonly idleConnections: number;
}

const FULL: Plan = { manyFlows: 1 << 20, loadSeconds: 10, idleConnections: 5000 };
const QUICK: Plan = { manyFlows: 1 << 16, loadSeconds: 0.5, idleConnections: 0 };
const TRIAL: Plan = { manyFlows: 1 << 12, loadSeconds: 0.1, idleConnections: 0 };

function planOf({ isTrial, isQuick }: PartContext): Plan {
  if (isTrial) return TRIAL;
  return isQuick ? QUICK : FULL;
}

function less(measure: string, unit: string, condition: Condition): Measure {
  return { measure, unit, better: 'less', condition };
}

/** Bytes of main memory that the switching processors have touched. */
function touchedBySwitching(running: RunningContender): number {
  const switching = running.processes().filter(({ name }) => name.startsWith('weir: switching'));
  return switching.reduce((sum, { pid }) => sum + readProcessMemory(pid).shared, 0);
}

function mainMemoryOf(running: RunningContender): MainMemoryUse | undefined {
  const pid = running.processes()[0]?.pid;
  return pid === undefined ? undefined : readMainMemory(pid);
}

/** One reading of all processes of weir. */
function recordProcesses(
  context: PartContext,
  contender: string,
  running: RunningContender,
  when: string,
): void {
  for (const { pid, name } of running.processes()) {
    const process = name.replace(/^weir: /, '');
    const { own, shared } = readProcessMemory(pid);
    const condition = { process, when };
    context.record(contender, less('resident, of the process alone', 'MiB', condition), own / MIB);
    context.record(contender, less('resident, shared main memory', 'MiB', condition), shared / MIB);
  }
  const main = mainMemoryOf(running);
  if (main === undefined) return;
  context.record(contender, less('main memory in use', 'MiB', { when }), main.inUse / MIB);
}

/** What the layout sets aside for a connection: record, its part of the index, its bit. */
export function bytesPerConnection(connections: number): number {
  const { connectionBuckets } = computeLayout({ connections, frames: 512, processors: 1 });
  return CONNECTION_SIZE + (connectionBuckets * BUCKET_SIZE) / connections + 1 / 8;
}

function trafficTo(network: BenchNetwork, { target }: RunningContender): TrafficOptions {
  return {
    namespace: network.client.namespace,
    interface: target.clientInterface,
    destination: target.address,
    destinationMac: target.nextHopMac,
    destinationPort: target.port,
    cpu: LOAD_CPU,
    seconds: DEADLINE_MS / 1000,
  };
}

function wantedWeir(flows: number): Wanted {
  return {
    protocol: 'udp',
    port: UDP_PORT,
    backends: 4,
    connections: flows,
    processors: 1,
    cpus: [CONTENDER_CPU],
    idle: 'adaptive',
  };
}

async function measureWeir(
  context: PartContext,
  plan: Plan,
  { name, label }: Contender,
  running: RunningContender,
  network: BenchNetwork,
): Promise<void> {
  const traffic = trafficTo(network, running);
  const load = async (flows: number, when: string) => {
    context.say(`${label}: ${when}`);
    const seconds = plan.loadSeconds;
    await startTraffic({ ...traffic, flows, seconds, niceness: 10 }).report;
    recordProcesses(context, name, running, when);
    return touchedBySwitching(running);
  };
  recordProcesses(context, name, running, 'after the start');
  await load(FEW_FLOWS, 'after load');
  const touchedByFew = await makeConnections(traffic, running, FEW_FLOWS);
  const touchedByMany = await makeConnections(traffic, running, plan.manyFlows);
  const first = await load(plan.manyFlows, 'after load over many connections');
  const second = await load(plan.manyFlows, 'after the same once more');
  const flows = plan.manyFlows;
  const { connections } = limitsOf(flows);
  const touched = (touchedByMany - touchedByFew) / (flows - FEW_FLOWS);
  const perConnection = (how: string) =>
    less('memory of a connection', 'bytes', { connections: flows, how });
  context.record(name, perConnection('set aside by the layout'), bytesPerConnection(connections));
  context.record(name, perConnection('touched for it, measured'), touched);
  context.record(
    name,
    less('main memory touched anew under the same load', 'MiB', { connections: flows }),
    (second - first) / MIB,
  );
  const size = mainMemoryOf(running)?.size ?? Number.NaN;
  context.record(name, less('main memory, size', 'MiB', { connections }), size / MIB);
}

/** Capacity that the contender is started with: twice what is wanted. */
function limitsOf(flows: number): { connections: number } {
  return { connections: Math.max(65_536, flows * 2) };
}

/** Makes so many connections, twice for what was lost; gives the bytes of main memory then touched. */
async function makeConnections(
  traffic: TrafficOptions,
  running: RunningContender,
  flows: number,
): Promise<number> {
  for (let pass = 0; pass < 2; pass += 1) {
    const order = { order: 'sequential', packets: flows, rate: MAKING_RATE } as const;
    await startTraffic({ ...traffic, ...order, flows }).report;
  }
  return touchedBySwitching(running);
}

/** Starts idle-connections and waits for its line. */
async function idleProcess(namespace: string, args: readonly string[]): Promise<LabProcess> {
  const folder = ['dist', 'bench', 'side-by-side', 'parts'];
  const program = join(topFolder(), ...folder, 'idle-connections.js');
  const process = start(execPath, [program, ...args], { namespace, pipeOutput: true });
  let text = '';
  process.child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  try {
    await waitUntil(
      `idle connections: ${args.join(' ')}`,
      () => {
        if (!process.isRunning()) throw new Error(`idle connections: ${args[0]} has failed`);
        return text.includes('\n');
      },
      DEADLINE_MS,
    );
  } catch (error) {
    await process.stop();
    throw error;
  }
  return process;
}

/** What all processes of a proxy hold. */
function totalBytes(running: RunningContender): number {
  const own = running.processes().map(({ pid }) => readProcessMemory(pid).own);
  return own.reduce((sum, each) => sum + each, 0);
}

async function measureIdle(
  context: PartContext,
  { idleConnections: connections }: Plan,
  { name, label }: Contender,
  running: RunningContender,
  network: BenchNetwork,
): Promise<void> {
  context.say(`${label}: ${connections} idle TCP connections`);
  const { address, port } = running.target;
  const open = (count: number) => {
    return idleProcess(network.client.namespace, ['connect', address, String(port), String(count)]);
  };
  const first = await open(FEW_IDLE);
  try {
    const before = totalBytes(running);
    const clients = await open(connections);
    try {
      const bytes = (totalBytes(running) - before) / connections;
      const condition = { connections };
      const measure = less(
        'memory of an idle TCP connection in the proxy’s processes',
        'bytes',
        condition,
      );
      context.record(name, measure, bytes);
    } finally {
      await clients.stop();
    }
  } finally {
    await first.stop();
  }
}

function recordTracking(context: PartContext): void {
  try {
    const bytes = parseSlabObjectSize(readFileSync('/proc/slabinfo', 'latin1'), 'nf_conntrack');
    if (bytes === undefined)
      context.missing('nftables', 'no object nf_conntrack in /proc/slabinfo');
    else {
      const measure = less('memory of a connection', 'bytes', { how: 'object nf_conntrack' });
      context.record('nftables', measure, bytes);
    }
  } catch (error) {
    context.missing('nftables', `/proc/slabinfo: ${(error as NodeJS.ErrnoException).code}`);
  }
}

async function runIdle(context: PartContext, plan: Plan, round: number): Promise<void> {
  const { idleConnections: connections } = plan;
  if (connections === 0) return;
  const network = await context.network();
  const common = { protocol: 'tcp', port: TCP_PORT, backends: 1, processors: 1 } as const;
  const wanted: Wanted = { ...common, connections, cpus: [CONTENDER_CPU], idle: 'adaptive' };
  const server = await idleProcess(network.servers[0].namespace, ['listen', String(TCP_PORT)]);
  try {
    for (const contender of context.contenders('tcp', round)) {
      const isMeasured = /^(haproxy|nginx)$/.test(contender.name);
      if (!isMeasured) continue;
      await context.withContender(contender, wanted, (running) =>
        onLoadCpu(() => measureIdle(context, plan, contender, running, network)),
      );
    }
  } finally {
    await server.stop();
  }
}

async function run(context: PartContext): Promise<void> {
  const plan = planOf(context);
  for (let round = 0; round < context.rounds; round += 1) {
    for (const contender of context.contenders('udp', round)) {
      const isWeir = contender.name.startsWith('weir');
      if (contender.name === 'nftables') {
        recordTracking(context);
      } else if (isWeir) {
        await context.withContender(contender, wantedWeir(plan.manyFlows), (running, network) =>
          onLoadCpu(() => measureWeir(context, plan, contender, running, network)),
        );
      }
    }
    await runIdle(context, plan, round);
  }
}

export const part: Part = {
  name: 'memory',
  what: 'resident memory of each process, memory of a connection, growth under load',
  needsRoot: true,
  run,
};
