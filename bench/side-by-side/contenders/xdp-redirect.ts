// The ceiling: an XDP program that rewrites the addresses of every packet to the same server and hands
// it to the other interface (redirect-program.ts). No contender that does more can be faster over these
// cables. It takes one server only, whatever is wanted, and UDP.

import { join } from 'node:path';
import { execPath } from 'node:process';
import { macAddress } from '../../../src/lab/addressing.ts';
import { makeScratchFolder } from '../../../src/lab/clean-up.ts';
import { start as startProgram, topFolder, waitUntil } from '../../../src/lab/command.ts';
import { skipReason } from '../../../src/lab/privileges.ts';
import type { BenchNetwork } from '../bench-network.ts';
import type { Contender, Wanted } from '../contender.ts';
import { takeKernelStack } from './kernel.ts';
import type { RedirectWay } from './redirect-program.ts';

function ways(network: BenchNetwork): RedirectWay[] {
  const { client, external, internal, virtualAddress } = network;
  const [server] = network.servers;
  return [
    {
      from: external.name,
      to: internal.name,
      sourceMac: internal.macAddress,
      destinationMac: macAddress(server.address),
      field: 'destination',
      before: virtualAddress,
      after: server.address,
    },
    {
      from: internal.name,
      to: external.name,
      sourceMac: external.macAddress,
      destinationMac: macAddress(client.address),
      field: 'source',
      before: server.address,
      after: virtualAddress,
    },
  ];
}

async function start(network: BenchNetwork, wanted: Wanted) {
  // The kernel answers ARP; polling by threads, so that the program runs on the CPU under test.
  const stack = takeKernelStack(network, wanted.cpus);
  const folder = makeScratchFolder('redirect');
  const path = join(topFolder(), 'dist/bench/side-by-side/contenders/redirect-program.js');
  const holder = startProgram(execPath, [path, JSON.stringify({ ways: ways(network) })], {
    namespace: network.switchNamespace,
    logFile: join(folder, 'redirect.log'),
  });
  const stop = async () => {
    await holder.stop();
    stack.undo();
  };
  try {
    await waitUntil('the redirecting programs are in place', () => {
      if (!holder.isRunning()) throw new Error(`no redirecting programs: ${holder.log().trim()}`);
      return holder.log().includes('ready');
    });
    await network.waitUntilReachable(network.virtualAddress);
  } catch (error) {
    await stop();
    throw error;
  }
  return { target: network.serviceTarget(wanted.port), processes: () => stack.threads, stop };
}

export const xdpRedirect: Contender = {
  name: 'xdp-redirect',
  label: 'bare XDP redirect',
  protocols: ['udp'],
  unavailable: () => skipReason({ bpf: true }),
  start,
};
