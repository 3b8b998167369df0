// What each contender is told, without starting it.

import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../../../src/control/config/parse.ts';
import type { BenchNetwork } from '../bench-network.ts';
import { CONTENDER_NAMES, type Wanted } from '../contender.ts';
import { CONTENDERS } from '../contenders.ts';
import { haproxyConfiguration } from './haproxy.ts';
import { nftablesRules } from './nftables.ts';
import { affinityMask, nginxConfiguration } from './nginx.ts';
import { weirConfiguration } from './weir.ts';

const NETWORK = {
  virtualAddress: '10.1.0.100',
  client: { address: '10.1.0.10' },
  servers: [
    { name: 'b1', address: '10.2.0.11' },
    { name: 'b2', address: '10.2.0.12' },
    { name: 'b3', address: '10.2.0.13' },
  ],
  external: { name: 'ext0', address: '10.1.0.1', prefixLength: 24 },
  internal: { name: 'int0', address: '10.2.0.1', prefixLength: 24 },
} as unknown as BenchNetwork;

const WANTED: Wanted = {
  protocol: 'udp',
  port: 7000,
  backends: 2,
  connections: 100_000,
  processors: 1,
  cpus: [1],
  idle: 'busy',
};

describe('contenders', () => {
  it('have the names that results know, each once', () => {
    const names = CONTENDERS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(CONTENDER_NAMES).toContain(name);
  });
});

describe('weir', () => {
  it('gets a configuration without faults', () => {
    const text = JSON.stringify(weirConfiguration(NETWORK, 'af-xdp', WANTED));
    const { configuration, faults } = parseConfiguration(text, 'weir.yaml', [0, 1]);
    expect(faults).toEqual([]);
    expect(configuration?.limits.connections).toBe(200_000);
    expect(configuration?.services[0].backends.map(({ address }) => address)).toEqual([
      '10.2.0.11',
      '10.2.0.12',
    ]);
  });
});

describe('nftables', () => {
  it('takes the servers in turn, and a single one without turns', () => {
    const rules = nftablesRules('10.1.0.100', ['10.2.0.11', '10.2.0.12'], WANTED);
    expect(rules).toContain(
      'ip daddr 10.1.0.100 udp dport 7000 ' +
        'dnat to numgen inc mod 2 map { 0 : 10.2.0.11, 1 : 10.2.0.12 }',
    );
    expect(nftablesRules('10.1.0.100', ['10.2.0.11'], WANTED)).toContain('dnat to 10.2.0.11\n');
  });
});

describe('HAProxy', () => {
  it('binds each thread to its CPU', () => {
    const two = { ...WANTED, processors: 2, cpus: [1, 3] };
    const text = haproxyConfiguration(NETWORK, two);
    expect(text).toContain('nbthread 2\n  cpu-map 1/1 1\n  cpu-map 1/2 3\n');
    expect(text).toContain('server b2 10.2.0.12:7000');
    expect(text).not.toContain('10.2.0.13');
  });
});

describe('nginx', () => {
  it('binds each worker to its CPU, and listens on the right protocol', () => {
    const two = { ...WANTED, processors: 2, cpus: [1, 3] };
    const text = nginxConfiguration(NETWORK, two, '/scratch');
    expect(text).toContain('worker_processes 2;\nworker_cpu_affinity 10 1000;');
    expect(text).toContain('listen 10.1.0.100:7000 udp reuseport;');
    expect(nginxConfiguration(NETWORK, { ...WANTED, protocol: 'tcp' }, '/x')).not.toContain('udp');
    expect(affinityMask(0)).toBe('1');
  });
});
