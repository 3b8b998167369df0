// nginx as a contender: its stream module for TCP and UDP, as many worker processes as processors, each
// bound to its CPU, servers in turn. With UDP every flow is a socket of its own towards the server.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeScratchFolder } from '../../../src/lab/clean-up.ts';
import { findProgram } from '../../../src/lab/command.ts';
import type { BenchNetwork } from '../bench-network.ts';
import type { Contender, Wanted } from '../contender.ts';
import { mostProxied, startProxy } from './proxy.ts';

const MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';
const LEAST_CONNECTIONS = 16_384;
/** Longer than any window, or flows would end in the middle of it. */
const UDP_TIMEOUT = '30s';

/** nginx names a worker's CPUs by a mask in binary digits, the last of them CPU 0. */
export function affinityMask(cpu: number): string {
  return `1${'0'.repeat(cpu)}`;
}

export function nginxConfiguration(network: BenchNetwork, wanted: Wanted, folder: string): string {
  const servers = network.servers
    .slice(0, wanted.backends)
    .map(({ address }) => `    server ${address}:${wanted.port};`);
  const isUdp = wanted.protocol === 'udp';
  const connections = Math.min(Math.max(LEAST_CONNECTIONS, wanted.connections), mostProxied());
  const timeout = isUdp ? UDP_TIMEOUT : '1h';
  return `load_module ${MODULE};
daemon off;
user root;
worker_processes ${wanted.processors};
worker_cpu_affinity ${wanted.cpus.map(affinityMask).join(' ')};
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections ${2 * connections}; }
stream {
  upstream servers {
${servers.join('\n')}
  }
  server {
    listen ${network.virtualAddress}:${wanted.port} ${isUdp ? 'udp ' : 'backlog=16384 '}reuseport;
    proxy_timeout ${timeout};
    proxy_pass servers;
  }
}
`;
}

function unavailable(): string | undefined {
  if (findProgram('nginx') === undefined) return 'nginx is not installed';
  if (!existsSync(MODULE))
    return 'the stream module of nginx (libnginx-mod-stream) is not installed';
  return undefined;
}

export const nginx: Contender = {
  name: 'nginx',
  label: 'nginx stream',
  protocols: ['udp', 'tcp'],
  unavailable,
  start: (network, wanted) => {
    const folder = makeScratchFolder('nginx-stream');
    const file = join(folder, 'nginx.conf');
    writeFileSync(file, nginxConfiguration(network, wanted, folder));
    return startProxy(network, wanted, {
      program: 'nginx',
      args: ['-p', folder, '-e', 'stderr', '-c', file],
      logFile: join(folder, 'nginx.log'),
    });
  },
};
