import { describe, expect, it } from 'vitest';
import { parseAddress } from '../wire/ipv4.ts';
import { compileRules } from './compile-rules.ts';
import { fileText, parsed } from './control.harness.ts';
import { SelectionTables } from './selection-tables.ts';

const BACKENDS =
  '{ name: a, address: 10.2.0.11, labels: [gpu, big] }, { name: b, address: 10.2.0.12, labels: [gpu] }, ' +
  '{ name: c, address: 10.2.0.13 }';

function compile(rules: string, weights = [1, 1, 1], protocol = 'udp') {
  const head = `name: w, address: 10.1.0.9, protocol: ${protocol}, port: 53`;
  const text = fileText([`{ ${head}, rules: [${rules}], backends: [${BACKENDS}] }`]);
  const [service] = parsed(text).services;
  const members = service.backends.map(({ name }, n) => ({ name, id: n, weight: weights[n] }));
  const tables = new SelectionTables();
  tables.begin([]);
  return compileRules(service, members, tables);
}

describe('compileRules', () => {
  it('turns every condition into numbers', () => {
    const { rules, pools } = compile(
      '{ name: r, clients: [10.9.0.0/16, default], client-ports: 1024-2047, dscp: [46], vlan: 7, ' +
        "payload: { offset: 2, value: '16fe', mask: 'ff0f' }, backend: c }",
    );
    expect(rules).toEqual([
      {
        clients: [
          { network: parseAddress('10.9.0.0'), mask: 0xffff0000 | 0 },
          { network: 0, mask: 0 },
        ],
        clientPorts: { from: 1024, to: 2047 },
        dscp: [46],
        vlan: 7,
        payload: {
          offset: 2,
          value: Uint8Array.from([0x16, 0xfe]),
          mask: Uint8Array.from([0xff, 0x0f]),
        },
        pool: 1,
      },
    ]);
    expect(pools.map(({ backends }) => backends)).toEqual([[2]]);
  });

  it('a port alone is a range of one', () => {
    const [rule] = compile('{ name: r, client-ports: 53, backend: c }').rules;
    expect(rule.clientPorts).toEqual({ from: 53, to: 53 });
  });

  it('all required labels must be there, and rules with the same backends share a pool', () => {
    const { rules, pools } = compile(
      '{ name: r, vlan: 1, requires: [gpu] }, { name: s, vlan: 2, requires: [gpu, big] }, ' +
        '{ name: t, vlan: 3, requires: [gpu] }',
    );
    expect(pools.map(({ backends }) => backends)).toEqual([[0, 1], [0]]);
    expect(rules.map(({ pool }) => pool)).toEqual([1, 2, 1]);
  });

  it('who cannot take a connection is not chosen', () => {
    const { pools } = compile('{ name: r, vlan: 1, requires: [gpu] }', [0, 1, 1]);
    expect([...pools[0].selection]).toEqual([1]);
  });

  it('nobody left: refused, or any other, as the rule says', () => {
    const weights = [0, 0, 1];
    const refused = compile('{ name: r, vlan: 1, requires: [gpu] }', weights);
    expect(refused.rules[0].pool).toBe(1);
    expect(refused.pools[0].selection.length).toBe(0);
    const any = compile('{ name: r, vlan: 1, requires: [gpu], otherwise: any }', weights);
    expect(any.rules[0].pool).toBe(0);
  });
});
