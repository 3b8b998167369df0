// What a configuration says about forwarding: what is wrong or doubtful of each entry, as
// 'path | message | suggestion'.

import { describe, expect, it } from 'vitest';
import { parseConfiguration } from './parse.ts';

function said(forwarding: string, rest = '') {
  const text = `
interfaces: [{ name: ext0, addresses: [10.1.0.1/24] }, { name: int0, addresses: [10.2.0.1/24] }]
forwarding:
  - { ${forwarding} }
services: []
${rest}`;
  const { configuration, faults, warnings } = parseConfiguration(text, 'x.yaml');
  expect(configuration === undefined).toBe(faults.length > 0);
  return [...faults, ...warnings].map(
    ({ path, message, suggestion }) => `${path} | ${message} | ${suggestion}`,
  );
}

const NAT = 'from: int0, to: ext0, source: 10.1.0.5';

describe('an entry of forwarding', () => {
  it.each([
    'from: int0, to: ext0',
    NAT,
    'from: int0, to: ext0, source: 10.1.0.1, source-ports: 1-65535',
    `${NAT}, source-ports: 7-7`,
  ])('can be { %s }', (forwarding) => {
    expect(said(forwarding)).toEqual([]);
  });

  it.each([
    [
      'from: int1, to: ext0',
      "forwarding[0].from | there is no interface 'int1' in this file | did you mean int0?",
    ],
    [
      'from: int0, to: wan',
      "forwarding[0].to | there is no interface 'wan' in this file | known: ext0, int0",
    ],
    [
      'from: int0, to: ext0 }\n  - { from: int0, to: ext0',
      'forwarding[1] | from int0 to ext0 exists twice (also entry 1 of the list) | keep one of the two',
    ],
    [
      `${NAT}, source-ports: 300-200`,
      'forwarding[0].source-ports | 300-200 is no range of ports | write the lower one first, both from 1 to 65535',
    ],
    [
      `${NAT}, source-ports: 1024-65536`,
      'forwarding[0].source-ports | 1024-65536 is no range of ports | write the lower one first, both from 1 to 65535',
    ],
    [
      'from: int0, to: ext0, source: 10.1.0.255',
      'forwarding[0].source | 10.1.0.255 is no address of a host | ',
    ],
    [
      'from: int0, to: ext0, source: 192.0.2.1',
      'forwarding[0].source | 192.0.2.1 is on no network of ext0: its routers must send packets for it to us | routers there need a route to 192.0.2.1 by way of weir',
    ],
  ])('cannot be { %s }, or not without a word', (forwarding, expected) => {
    expect(said(forwarding)).toEqual([expected]);
  });

  it('may use an address of the control host, with a word about ports', () => {
    expect(said(NAT, 'control: { addresses: [10.1.0.5/24] }')).toEqual([
      "forwarding[0].source | 10.1.0.5 is the control host's too: of ports that both use, replies go to either | keep source-ports apart from its net.ipv4.ip_local_port_range",
    ]);
  });
});
