// HAProxy as a contender: mode tcp, as many threads as processors, each bound to its CPU, servers in
// turn, no checks and no logs. It carries no UDP.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeScratchFolder } from '../../../src/lab/clean-up.ts';
import { findProgram } from '../../../src/lab/command.ts';
import type { BenchNetwork } from '../bench-network.ts';
import type { Contender, Wanted } from '../contender.ts';
import { mostProxied, startProxy } from './proxy.ts';

const LEAST_CONNECTIONS = 16_384;

export function haproxyConfiguration(network: BenchNetwork, wanted: Wanted): string {
  const servers = network.servers
    .slice(0, wanted.backends)
    .map(({ name, address }) => `  server ${name} ${address}:${wanted.port}`);
  const threads = wanted.cpus.map((cpu, index) => `  cpu-map 1/${index + 1} ${cpu}`);
  return `global
  nbthread ${wanted.processors}
${threads.join('\n')}
  maxconn ${Math.min(Math.max(LEAST_CONNECTIONS, wanted.connections), mostProxied())}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend bench
  bind ${network.virtualAddress}:${wanted.port} backlog 16384
  default_backend servers
backend servers
  balance roundrobin
${servers.join('\n')}
`;
}

export const haproxy: Contender = {
  name: 'haproxy',
  label: 'HAProxy, mode tcp',
  protocols: ['tcp'],
  unavailable: () =>
    findProgram('haproxy') === undefined ? 'haproxy is not installed' : undefined,
  start: (network, wanted) => {
    const folder = makeScratchFolder('haproxy');
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(file, haproxyConfiguration(network, wanted));
    return startProxy(network, wanted, {
      program: 'haproxy',
      args: ['-db', '-f', file],
      logFile: join(folder, 'haproxy.log'),
    });
  },
};
