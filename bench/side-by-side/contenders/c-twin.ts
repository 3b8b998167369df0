// The C twin as a contender: weir's forwarder written in C (bench/c-twin), a single thread on the CPU
// under test with the same tables, frames, rings and transmit budget, between the same two interfaces.
// It says what TypeScript costs and is no product: one processor, one service, no configuration, no
// expiry of connections that have not ended. Since it only spins, a part that wants it adaptive gets
// a busy one.

import { join } from 'node:path';
import { macAddress } from '../../../src/lab/addressing.ts';
import { makeScratchFolder } from '../../../src/lab/clean-up.ts';
import { start as startProgram, waitUntil } from '../../../src/lab/command.ts';
import { skipReason } from '../../../src/lab/privileges.ts';
import { buildCTwin } from '../../c-twin/build.ts';
import type { BenchNetwork } from '../bench-network.ts';
import { GENERATOR_NETWORK } from '../bench-network.ts';
import type { Contender, RunningContender, Wanted } from '../contender.ts';

const LEAST_CONNECTIONS = 65_536;
const FRAMES = 16_384;
/** weir's own: as many as its transmit ring holds. */
const TRANSMIT_BUDGET = 2048;

/** The command line for a network and what is wanted of it. */
export function forwarderArguments(network: BenchNetwork, wanted: Wanted): string[] {
  const { client, external, internal, virtualAddress } = network;
  const servers = network.servers.slice(0, wanted.backends);
  const interfaces = [external, internal].flatMap(({ name, address, prefixLength }) => [
    '--interface',
    `${name},${address}/${prefixLength}`,
  ]);
  const neighbors = [client, ...servers].flatMap(({ address }) => [
    '--neighbor',
    `${address},${macAddress(address)}`,
  ]);
  return [
    ...interfaces,
    ...['--route', `${GENERATOR_NETWORK},${client.address}`],
    ...['--service', `${wanted.protocol},${virtualAddress},${wanted.port}`],
    ...servers.flatMap(({ address }) => ['--backend', `${address},${wanted.port}`]),
    ...neighbors,
    ...['--cpu', String(wanted.cpus[0])],
    ...['--connections', String(Math.max(LEAST_CONNECTIONS, wanted.connections * 2))],
    ...['--frames', String(FRAMES)],
    ...['--tx-budget', String(TRANSMIT_BUDGET)],
  ];
}

async function start(network: BenchNetwork, wanted: Wanted): Promise<RunningContender> {
  if (wanted.processors !== 1) throw new Error('the C twin has one processor');
  const built = buildCTwin();
  if ('reason' in built) throw new Error(built.reason);
  const pollings = wanted.receivesItself
    ? network.switchEnds.map((end) => network.pollByThread(end, ...wanted.cpus))
    : [];
  const leavePolling = () => {
    for (const { undo } of pollings) undo();
  };
  const program = startProgram(built.forwarder, forwarderArguments(network, wanted), {
    namespace: network.switchNamespace,
    logFile: join(makeScratchFolder('c-twin'), 'forwarder.log'),
  });
  try {
    await waitUntil('the C twin forwards', () => {
      if (!program.isRunning()) throw new Error(`the C twin ended: ${program.log().trim()}`);
      return program.log().includes('ready');
    });
    await network.waitUntilReachable(network.virtualAddress);
  } catch (error) {
    await program.stop();
    leavePolling();
    throw error;
  }
  return {
    target: network.serviceTarget(wanted.port),
    drivers: 'veth, af-xdp, native copy',
    processes: () => [
      { pid: program.pid, name: 'C twin' },
      ...pollings.flatMap(({ threads }) => threads),
    ],
    stop: async () => {
      await program.stop();
      leavePolling();
    },
  };
}

export const cTwin: Contender = {
  name: 'c-twin',
  label: 'C twin, af-xdp',
  protocols: ['udp', 'tcp'],
  unavailable: () => {
    const problem = skipReason({ bpf: true });
    if (problem !== undefined) return problem;
    const built = buildCTwin();
    return 'reason' in built ? built.reason : undefined;
  },
  start,
};
