// What does not fit into the tables of main memory is a fault of the file, found before weir starts.

import { describe, expect, it } from 'vitest';
import { capacityChecks } from './capacity-checks.ts';
import { parseConfiguration } from './parse.ts';
import { type CheckResult, type ConfigurationParts, validParts } from './parts.ts';

const INTERFACE = { name: 'ext0', addresses: ['10.1.0.1/24'] };
const backendsOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    name: `b${i}`,
    address: `10.1.0.${2 + (i % 250)}`,
    port: 1 + Math.floor(i / 250),
  }));

function servicesOf(count: number, rest: object, addressOf = (_: number) => '10.9.0.1') {
  return Array.from({ length: count }, (_, i) => ({
    name: `s${i}`,
    address: addressOf(i),
    protocol: 'tcp',
    port: 1 + i,
    backends: backendsOf(1),
    ...rest,
  }));
}

function faultsOf(interfaces: object[], services: object[] = []): string[] {
  const { faults } = parseConfiguration(JSON.stringify({ interfaces, services }), 'x.yaml');
  return faults.map(({ path, message }) => `${path} | ${message}`);
}

describe('a configuration that is too large for the tables', () => {
  it('has too many interfaces', () => {
    const interfaces = Array.from({ length: 64 }, (_, i) => ({
      name: `e${i}`,
      addresses: [`10.${i + 1}.0.1/24`],
    }));
    expect(faultsOf(interfaces)).toEqual(['interfaces | 64 interfaces: at most 63']);
    expect(faultsOf(interfaces.slice(1))).toEqual([]);
  });

  it('has too many addresses on an interface', () => {
    const addresses = Array.from({ length: 32 }, (_, i) => `10.1.0.${i + 1}/24`);
    expect(faultsOf([{ name: 'ext0', addresses }])).toEqual([
      'interfaces[0].addresses | 32 addresses: at most 31',
    ]);
    expect(faultsOf([{ name: 'ext0', addresses: addresses.slice(1) }])).toEqual([]);
  });

  it('has too many services, or backends', () => {
    expect(faultsOf([INTERFACE], servicesOf(4097, {}))).toEqual([
      'services | 4097 services: at most 4096',
    ]);
    expect(faultsOf([INTERFACE], servicesOf(17, { backends: backendsOf(1000) }))).toEqual([
      'services | 17000 backends of all services: at most 16384',
    ]);
  });

  it('has more maglev tables than there is room for', () => {
    const services = servicesOf(13, { scheduler: 'mh', backends: backendsOf(656) });
    const [fault, ...others] = faultsOf([INTERFACE], services);
    expect(fault).toMatch(/^services \| \d+ positions of selection tables: at most \d+$/);
    expect(others).toEqual([]);
    expect(faultsOf([INTERFACE], services.slice(0, 2))).toEqual([]);
  });

  it('has more tables of source-hash, or of the pools of rules, than there is room for', () => {
    const hashed = servicesOf(13, { scheduler: 'sh', backends: backendsOf(656) });
    const fault = /positions of selection tables/;
    expect(faultsOf([INTERFACE], hashed)).toEqual([expect.stringMatching(fault)]);
    const labels = Array.from({ length: 13 }, (_, n) => `l${n}`);
    const backends = backendsOf(656).map((backend) => ({ ...backend, labels }));
    const rulesOf = (names: string[]) =>
      names.map((label, n) => ({ name: `r${n}`, vlan: n + 1, requires: [label] }));
    const same = { scheduler: 'maglev', backends, rules: rulesOf(labels) };
    // Rules with the same backends share a pool.
    expect(faultsOf([INTERFACE], servicesOf(1, same))).toEqual([]);
    const others = backends.map((backend, n) => ({
      ...backend,
      labels: labels.slice(n % 2, n + 1),
    }));
    const different = { scheduler: 'maglev', backends: others, rules: rulesOf(labels) };
    expect(faultsOf([INTERFACE], servicesOf(2, different))).toEqual([expect.stringMatching(fault)]);
  });

  it('has a text that main memory has no room for, in bytes', () => {
    const text = `interfaces: [{ name: e, addresses: [10.1.0.1/24] }] # ${'é'.repeat(1 << 20)}`;
    expect(parseConfiguration(text, 'x.yaml').faults[0].message).toMatch(/larger than 2 MiB/);
    expect(parseConfiguration(text.slice(0, 1_000_000), 'x.yaml').faults).toEqual([]);
  });

  it('has more gateways than there are next hops', () => {
    const faults = (count: number) => {
      const routes = Array.from({ length: count }, (_, n) => ({
        via: `10.1.${n >> 8}.${n & 255}`,
      }));
      const result: CheckResult = { faults: [], warnings: [] };
      const parts = { ...validParts({}), routes } as unknown as ConfigurationParts;
      capacityChecks(parts, result);
      return result.faults.map(({ message }) => message);
    };
    expect(faults(32_768)).toEqual(['32768 gateways: at most 32701']);
    expect(faults(32_701)).toEqual([]);
  });
});
