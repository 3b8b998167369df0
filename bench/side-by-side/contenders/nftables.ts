// nftables as a contender: DNAT in the kernel with connection tracking, servers in turn, what a Linux
// router does without any balancer installed. All its work is done by the threads that poll ext0 and
// int0. The way back needs no rule: the servers' gateway is the switch, and the connection is known.
// The kernel's table of connections is one for the machine: its limits are raised while this runs.

import { readFileSync, writeFileSync } from 'node:fs';
import { execute, findProgram, ipBatch } from '../../../src/lab/command.ts';
import type { BenchNetwork } from '../bench-network.ts';
import type { Contender, Wanted } from '../contender.ts';
import { takeKernelStack } from './kernel.ts';

const MAXIMUM = '/proc/sys/net/netfilter/nf_conntrack_max';
const BUCKETS = '/sys/module/nf_conntrack/parameters/hashsize';
const LEAST_CONNECTIONS = 262_144;
const TABLE = 'weir_bench';

/** The rules, as `nft -f` reads them. Also used to replace them under load. */
export function nftablesRules(
  virtualAddress: string,
  servers: readonly string[],
  { protocol, port }: Pick<Wanted, 'protocol' | 'port'>,
): string {
  const list = servers.map((address, index) => `${index} : ${address}`).join(', ');
  const server =
    servers.length === 1 ? servers[0] : `numgen inc mod ${servers.length} map { ${list} }`;
  return `table ip ${TABLE} {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr ${virtualAddress} ${protocol} dport ${port} dnat to ${server}
  }
}
`;
}

function raise(file: string, least: number): () => void {
  const before = readFileSync(file, 'utf8').trim();
  if (Number(before) >= least) return () => {};
  writeFileSync(file, String(least));
  return () => writeFileSync(file, before);
}

/** Room for twice the connections; a bucket for each, as generous as weir's own table. */
function makeRoom(connections: number): () => void {
  const wanted = Math.max(LEAST_CONNECTIONS, connections * 2);
  const undoes = [raise(MAXIMUM, wanted), raise(BUCKETS, wanted)];
  const undo = () => {
    for (const each of undoes.splice(0).reverse()) each();
    process.off('exit', undo);
  };
  // The machine gets its limits back when the benchmark is broken off, too.
  process.on('exit', undo);
  return undo;
}

async function start(network: BenchNetwork, wanted: Wanted) {
  const namespace = network.switchNamespace;
  const stack = takeKernelStack(network, wanted.cpus);
  let leaveRoom = () => {};
  const stop = async () => {
    execute('nft', ['delete', 'table', 'ip', TABLE], { namespace, mayFail: true });
    // Connections outlive the rules: the next round begins with none.
    if (findProgram('conntrack') !== undefined) {
      execute('conntrack', ['-F'], { namespace, mayFail: true });
    }
    stack.undo();
    leaveRoom();
  };
  try {
    const servers = network.servers.slice(0, wanted.backends).map(({ address }) => address);
    const rules = nftablesRules(network.virtualAddress, servers, wanted);
    execute('nft', ['-f', '-'], { namespace, input: rules });
    // The first use of connection tracking makes the files below /proc.
    leaveRoom = makeRoom(wanted.connections);
    await network.waitUntilReachable(network.virtualAddress);
    ipBatch(
      servers.map((address) => `neigh replace ${address} dev ${network.internal.name} use`),
      namespace,
    );
    return { target: network.serviceTarget(wanted.port), processes: () => stack.threads, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export const nftables: Contender = {
  name: 'nftables',
  label: 'nftables DNAT',
  protocols: ['udp', 'tcp'],
  unavailable: () => (findProgram('nft') === undefined ? 'nft is not installed' : undefined),
  start,
};
