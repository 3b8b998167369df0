// The control host in a configuration: what is wrong with it, and what it becomes when nothing is.

import { describe, expect, it } from 'vitest';
import { CONTROL_INTERFACE } from '../../memory/layout.ts';
import { parseAddress } from '../../wire/ipv4.ts';
import { compileConfiguration } from '../compile-configuration.ts';
import { mergeRoutes } from '../compile-routes.ts';
import { parseConfiguration } from './parse.ts';

function parse(control: string, rest = '') {
  const kind = /kind: (\S+)/.exec(rest)?.[1] ?? 'auto';
  return parseConfiguration(
    `
interfaces: [{ name: ext0, kind: ${kind}, addresses: [10.1.0.1/24] }, { name: int0, addresses: [10.2.0.1/24] }]
control: ${control}
${rest.replace(/kind: \S+/, '')}
`,
    'x.yaml',
  );
}

function said(control: string, rest = '') {
  const { faults, warnings } = parse(control, rest);
  return [...faults, ...warnings].map(({ path, message }) => `${path} | ${message}`);
}

describe('the control host', () => {
  it('has defaults', () => {
    const { configuration, faults } = parse('{ addresses: [10.1.0.9/24] }');
    expect(faults).toEqual([]);
    expect(configuration!.control).toEqual({
      addresses: ['10.1.0.9/24'],
      device: 'weir0',
      mtu: 1500,
      routes: [],
    });
  });

  it('in a namespace of its own reaches everything by its device', () => {
    const { configuration } = parse('{ addresses: [10.1.0.9/24], namespace: host }');
    expect(configuration!.control!.routes).toEqual(['default']);
    const named = '{ addresses: [10.1.0.9/24], namespace: host, routes: [10.0.0.0/8] }';
    expect(parse(named).configuration!.control!.routes).toEqual(['10.0.0.0/8']);
  });

  it.each([
    ['{ addresses: [] }', 'control.addresses | the list is empty'],
    ['{ addresses: [10.1.0.0/24] }', 'control.addresses[0] | 10.1.0.0/24 is the network itself'],
    ['{ addresses: [10.2.0.255/32] }', '10.2.0.255/32 is the broadcast address of its network'],
    ['{ addresses: [10.1.0.9/24, 10.1.0.9/32] }', 'addresses[1] | 10.1.0.9/32 stands here twice'],
    ['{ addresses: [10.1.0.9/24], device: ext0 }', 'control.device | ext0 is the name of an'],
    [
      '{ addresses: [10.1.0.9/24], device: a/b }',
      "control.device | 'a/b': the name of an interface",
    ],
    ['{ addresses: [10.1.0.9/24], device: all }', "control.device | 'all': the name of an"],
    ['{ addresses: [10.1.0.9/24], device: wehr-größe }', 'control.device | '],
    [
      '{ addresses: [10.1.0.9/24], namespace: a/b }',
      "control.namespace | 'a/b': a namespace is named",
    ],
    ['{ addresses: [10.1.0.9/24], mtu: 9000 }', 'control.mtu | '],
    ['{ adresses: [10.1.0.9/24] }', "unknown key 'adresses'"],
  ])('%s: %s', (control, wanted) => {
    expect(said(control).join('\n')).toContain(wanted);
  });

  it('has its packets twice with packet rings, unless it is in a namespace of its own', () => {
    const [warning] = said('{ addresses: [10.1.0.9/24] }', 'kind: af-packet');
    expect(warning).toContain('with af-packet the kernel also gets the frames of ext0');
    expect(said('{ addresses: [10.1.0.9/24], namespace: host }', 'kind: af-packet')).toEqual([]);
  });

  it('is no router of others', () => {
    const routes = 'routes: [{ to: default, via: 10.1.0.9 }]';
    const findings = said('{ addresses: [10.1.0.9/24] }', routes);
    expect(findings).toEqual([
      'routes[0].via | 10.1.0.9, by which default is reached, is an address of the control host',
    ]);
    expect(said('{ addresses: [10.1.0.8/24] }', routes)).toEqual([]);
  });

  it('can be a backend, of no network here and by an address of an interface', () => {
    const services = `services: [{ name: s, address: 10.1.0.100, protocol: tcp, port: 80, backends: [
      { name: far, address: 198.51.100.9 }, { name: near, address: 10.1.0.1 }] }]`;
    expect(said('{ addresses: [198.51.100.9/32, 10.1.0.1/24] }', services)).toEqual([]);
    expect(said('{ addresses: [10.1.0.9/24] }', services).length).toBe(2);
  });
});

describe('its addresses in the tables', () => {
  const { configuration } = parse('{ addresses: [10.2.0.9/24, 10.1.0.1/24, 198.51.100.9/32] }');

  it('are routes of the device, before all others', () => {
    const routes = mergeRoutes(configuration!, new Map()).slice(0, 3);
    expect(routes).toMatchObject(
      ['10.2.0.9', '10.1.0.1', '198.51.100.9'].map((host) => ({
        prefix: parseAddress(host),
        length: 32,
        interfaceNumber: CONTROL_INTERFACE,
      })),
    );
  });

  it('are answered for on their network, or everywhere', () => {
    const ids = { services: new Map(), backends: new Map() };
    const { ownAddresses } = compileConfiguration(configuration!, ids);
    expect(ownAddresses).toEqual([
      { address: parseAddress('10.2.0.9'), interfaceNumber: 1 },
      { address: parseAddress('10.1.0.1'), interfaceNumber: 0 },
      { address: parseAddress('198.51.100.9'), interfaceNumber: -1 },
    ]);
  });
});
