// weir as a contender: `weir run` as an operator would start it, with full NAT between ext0 and int0,
// its switching processors on the CPUs under test and its other processes on the CPU of the load.
// Who polls the two interfaces in the kernel and copies frames into weir's rings? Left alone a veth does
// it on the CPU of the sender: a part of weir's work that a second core does for it, as a card's
// interrupt on another CPU would. With `receivesItself` threads on weir's own CPU do it, in turn with
// weir: then one core is all that it has, as the kernel's forwarding has.

import { execute } from '../../../src/lab/command.ts';
import { WeirProcess } from '../../../src/lab/weir-process.ts';
import { type BenchNetwork, GENERATOR_NETWORK, type KernelThread } from '../bench-network.ts';
import type { Contender, RunningContender, Wanted } from '../contender.ts';

const FRAMES = 16_384;
const LEAST_CONNECTIONS = 65_536;

type Kind = 'af-xdp' | 'af-packet';

/** What `weir run` is told; parts that start weir themselves (flip, memory) build upon it. */
export function weirConfiguration(network: BenchNetwork, kind: Kind, wanted: Wanted): object {
  const servers = network.servers.slice(0, wanted.backends);
  return {
    interfaces: [network.external, network.internal].map(({ name, address, prefixLength }) => ({
      name,
      kind,
      addresses: [`${address}/${prefixLength}`],
    })),
    routes: [{ to: GENERATOR_NETWORK, via: network.client.address }],
    processors: { switching: wanted.processors, idle: wanted.idle, cpus: [...wanted.cpus] },
    limits: { connections: Math.max(LEAST_CONNECTIONS, wanted.connections * 2), frames: FRAMES },
    services: [
      {
        name: 'bench',
        address: network.virtualAddress,
        protocol: wanted.protocol,
        port: wanted.port,
        backends: servers.map(({ name, address }) => ({ name, address, port: wanted.port })),
      },
    ],
  };
}

interface InterfaceStatus {
  readonly kind: string;
  readonly mode?: string;
}

/** What the status says of the way in which the interfaces are driven: 'veth, af-xdp, native copy'. */
function driversOf(interfaces: readonly InterfaceStatus[]): string {
  const ways = interfaces.map(({ kind, mode }) => ['veth', kind, mode].filter(Boolean).join(', '));
  return [...new Set(ways)].join('; ');
}

/**
 * Of two that share a core the one that is further on goes first: what weir has received it sends before
 * the kernel receives more, and what is too much is left on the cable instead of being dropped late. An
 * operator would do it alike. Spinning, weir would never leave its core to them.
 */
function yieldToWeir(threads: readonly KernelThread[]): void {
  for (const { pid } of threads) execute('renice', ['-n', '19', '-p', String(pid)]);
}

async function start(kind: Kind, network: BenchNetwork, wanted: Wanted): Promise<RunningContender> {
  const undoes: (() => void)[] = [];
  const leavePolling = () => {
    for (const undo of undoes.splice(0)) undo();
  };
  const threads: KernelThread[] = [];
  try {
    const configuration = weirConfiguration(network, kind, wanted);
    const weir = await WeirProcess.start(network.switchNamespace, configuration);
    // After the start: weir itself turns GRO off on interfaces that it opens by AF_PACKET.
    for (const end of network.switchEnds) {
      if (wanted.receivesItself === true) {
        const polling = network.pollByThread(end, ...wanted.cpus);
        threads.push(...polling.threads);
        if (wanted.idle === 'adaptive') yieldToWeir(polling.threads);
        undoes.push(polling.undo);
      } else if (kind === 'af-packet') {
        // AF_XDP needs nothing: its own program makes the interfaces poll.
        undoes.push(network.acceptRedirected(end));
      }
    }
    if (kind === 'af-packet') undoes.push(network.leaveSegmentsApart());
    await network.waitUntilReachable(network.virtualAddress);
    return {
      drivers: driversOf((await weir.status())?.interfaces ?? []),
      target: network.serviceTarget(wanted.port),
      processes: () => [
        ...[...weir.pids()].map(([name, pid]) => ({ pid, name: `weir: ${name}` })),
        ...threads,
      ],
      stop: async () => {
        await weir.stop();
        leavePolling();
      },
    };
  } catch (error) {
    leavePolling();
    throw error;
  }
}

function contender(kind: Kind): Contender {
  return {
    name: `weir-${kind}`,
    label: `weir, ${kind}`,
    protocols: ['udp', 'tcp'],
    unavailable: () => undefined,
    start: (network, wanted) => start(kind, network, wanted),
  };
}

export const weirAfXdp = contender('af-xdp');
export const weirAfPacket = contender('af-packet');
