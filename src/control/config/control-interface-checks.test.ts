// The control host by an interface of the kernel's in a configuration: what is wrong with it, what it becomes,
// and what of it a reload can change.

import { describe, expect, it } from 'vitest';
import { CONTROL_INTERFACE } from '../../memory/layout.ts';
import { parseAddress } from '../../wire/ipv4.ts';
import { compileConfiguration } from '../compile-configuration.ts';
import { mergeRoutes } from '../compile-routes.ts';
import { describeChanges, needsRestart } from './changes.ts';
import { parseConfiguration } from './parse.ts';

const PAIR = '{ virtual: 10.1.0.9, real: 10.2.0.9 }';
const IDS = { services: new Map(), backends: new Map() };

function parse(control: string, rest = '', ext = 'kind: auto') {
  const interfaces = `[{ name: ext0, ${ext}, addresses: [10.1.0.1/24] }, { name: int0, addresses: [10.2.0.1/24] }]`;
  return parseConfiguration(`interfaces: ${interfaces}\n${control}\n${rest}\n`, 'x.yaml');
}

function said(control: string, rest = '', ext?: string) {
  const { faults, warnings } = parse(`control: ${control}`, rest, ext);
  return [...faults, ...warnings].map(({ path, message }) => `${path} | ${message}`);
}

const via = (...pairs: string[]) => `{ via: interface, pairs: [${pairs.join(', ')}] }`;
const services = (address: string, backend: string) =>
  `services: [{ name: s, address: ${address}, protocol: tcp, port: 80, backends: [{ name: b, address: ${backend} }] }]`;

describe('what is wrong', () => {
  it('nothing', () => {
    expect(said(via(PAIR, '{ virtual: 198.51.100.9, real: 10.2.0.8 }'))).toEqual([]);
    // A service may have the virtual address too, and the control host may be a backend.
    expect(said(via(PAIR), services('10.1.0.9', '10.2.0.9'))).toEqual([]);
  });

  it.each([
    ['{ via: interface }', 'control.pairs | pairs is missing'],
    ['{}', 'control.addresses | addresses is missing'],
    ['{ via: interface, pairs: [] }', 'control.pairs | the list is empty'],
    ['{ via: cable }', "control.via | 'cable' is not one of device, interface"],
    [`{ via: interface, pears: [${PAIR}] }`, "control.pears | unknown key 'pears'"],
    [`{ pairs: [${PAIR}] }`, 'control.pairs | pairs goes only with via: interface'],
    [
      `{ via: interface, device: w0, addresses: [10.1.0.9/24], mtu: 1500, routes: [default], namespace: n, pairs: [${PAIR}] }`,
      'control.device | device goes only with via: device',
    ],
    [via('{ virtual: 10.1.0.9 }'), 'control.pairs[0].real | real is missing'],
    [via('{ virtual: 10.1.0.9/24, real: 10.2.0.9 }'), 'control.pairs[0].virtual | '],
    [via('{ virtual: 127.0.0.1, real: 10.2.0.9 }'), '127.0.0.1 is a loopback address'],
    [via(PAIR, '{ virtual: 10.1.0.8, real: 10.2.0.9 }'), '[1].real | 10.2.0.9 stands in the pairs'],
    [
      via(PAIR, '{ virtual: 10.1.0.9, real: 10.2.0.8 }'),
      '[1].virtual | 10.1.0.9 stands in the pairs',
    ],
    [via('{ virtual: 10.2.0.9, real: 10.2.0.9 }'), '[0].real | 10.2.0.9 stands in the pairs twice'],
    [via('{ virtual: 10.1.0.1, real: 10.2.0.9 }'), "10.1.0.1 is weir's own address on ext0"],
    [via('{ virtual: 10.1.0.9, real: 10.2.0.1 }'), "10.2.0.1 is weir's own address on int0"],
    [via('{ virtual: 10.1.0.255, real: 10.2.0.9 }'), 'is the broadcast address of 10.1.0.1/24'],
    [via('{ virtual: 10.1.0.9, real: 10.2.0.0 }'), 'is the network address of 10.2.0.1/24'],
    [
      via('{ virtual: 10.1.0.9, real: 192.168.0.9 }'),
      "control.pairs[0].real | 192.168.0.9 is on no network of weir's interfaces",
    ],
  ])('%s: %s', (control, wanted) => {
    expect(said(control).join('\n')).toContain(wanted);
  });

  it.each([
    ['a service', services('10.2.0.9', '10.2.0.11'), '10.2.0.9 is the address of service s'],
    [
      'a backend',
      services('10.1.0.100', '10.1.0.9'),
      'services[0].backends[0].address | 10.1.0.9 is a virtual address of the control host: s needs',
    ],
    [
      'a translated source',
      'forwarding: [{ from: int0, to: ext0, source: 10.1.0.9 }]',
      'control.pairs[0].virtual | 10.1.0.9 is the source of translated connections',
    ],
    [
      'an application',
      'applications: [{ name: a, module: dns, addresses: [10.1.0.9] }]',
      'control.pairs[0].virtual | 10.1.0.9 is an address of application a',
    ],
    ['a router', 'routes: [{ to: default, via: 10.1.0.9 }]', '10.1.0.9 is a router in routes'],
  ])('an address that is %s already', (_name, rest, wanted) => {
    expect(said(via(PAIR), rest).join('\n')).toContain(wanted);
  });

  it('interfaces that are shared, or whose frames the kernel gets as well', () => {
    expect(said(via(PAIR), '', 'mode: shared').join('\n')).toContain(
      'control.via | via: interface does not go with ext0, which is mode: shared',
    );
    const { configuration, warnings } = parse(`control: ${via(PAIR)}`, '', 'kind: af-packet');
    expect(configuration).toBeDefined();
    expect(warnings.map(({ message }) => message).join()).toContain('with af-packet the kernel');
  });
});

describe('what it becomes', () => {
  const { configuration } = parse(`control: ${via(PAIR)}`);

  it('pairs with the interface that the real address is behind, and no device', () => {
    expect(configuration!.control).toBeUndefined();
    const { controlPairs, controlAddresses, ownAddresses } = compileConfiguration(
      configuration!,
      IDS,
    );
    const [virtual, real] = ['10.1.0.9', '10.2.0.9'].map(parseAddress);
    expect(controlPairs).toEqual([{ virtual, real, interfaceNumber: 1 }]);
    expect(controlAddresses).toEqual([virtual]);
    expect(ownAddresses).toEqual([{ address: virtual, interfaceNumber: 0 }]);
  });

  it('a route for what services send to the virtual address', () => {
    expect(mergeRoutes(configuration!, new Map())[0]).toMatchObject({
      prefix: parseAddress('10.1.0.9'),
      length: 32,
      interfaceNumber: CONTROL_INTERFACE,
    });
  });

  it('by a reload: pairs may come, change and go, a device may not', () => {
    const without = parse('').configuration!;
    const other = parse(`control: ${via('{ virtual: 10.1.0.9, real: 10.2.0.8 }')}`).configuration!;
    expect(needsRestart(without, configuration!)).toEqual([]);
    expect(describeChanges(configuration!, other)).toEqual(['control.pairs[0].real: changed']);
    expect(describeChanges(configuration!, without)).toEqual(['control.pairs: changed']);
    const device = parse('control: { addresses: [10.1.0.9/24] }').configuration!;
    expect(needsRestart(device, configuration!)).toEqual(['control']);
  });
});
