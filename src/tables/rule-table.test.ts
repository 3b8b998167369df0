// What is written of rules, pools, limits and flags is what switching processors read; what does not fit is
// refused before the first word is written.

import { describe, expect, it } from 'vitest';
import { CONFIGURATION_TABLE_SIZE, MAX_BACKENDS } from '../memory/layout.ts';
import * as table from './configuration-table.ts';
import {
  type ConfigurationInput,
  type RuleInput,
  type ServiceInput,
  writeConfigurationTable,
} from './configuration-writer.ts';
import * as rules from './rule-table.ts';

const BASE = 64;
const GUARD = 0x5aa5a55a;
const WORDS = new Int32Array(BASE + CONFIGURATION_TABLE_SIZE / 4);

function service(id: number, more: Partial<ServiceInput>): ServiceInput {
  return {
    id,
    address: 0x0a010064,
    port: 80 + id,
    protocol: 17,
    forwarding: table.FORWARDING_NAT,
    scheduler: table.SCHEDULER_RANDOM,
    timeouts: [],
    selection: new Int32Array(0),
    backends: [],
    ...more,
  };
}

function write(...services: ServiceInput[]): void {
  const input: ConfigurationInput = {
    services,
    interfaceAddresses: [],
    resetsPerSecond: 0,
    echoRepliesPerSecond: 0,
    defaultTimeouts: [],
  };
  writeConfigurationTable(WORDS, BASE, input);
}

const backend = (id: number, more = {}) => ({ id, address: id, port: 80, weight: 1, ...more });
const lines = (pool: number) =>
  Array.from({ length: table.poolBackendCount(WORDS, pool) }, (_, n) =>
    table.poolBackend(WORDS, BASE, pool, n),
  );
const positions = (pool: number) =>
  Array.from({ length: table.selectionLength(WORDS, pool) }, (_, n) =>
    table.selectBackend(WORDS, BASE, pool, n),
  );

describe('rules', () => {
  const backends = [5, 6, 7].map((id) => backend(id));
  const pools = [
    { selection: Int32Array.of(6, 7, 6), backends: [6, 7] },
    { selection: new Int32Array(0), backends: [5] },
  ];
  const everything: RuleInput = {
    clients: [
      { network: 0x0a090001, mask: 0xffff0000 | 0 },
      { network: 0xc0000207 | 0, mask: -1 },
    ],
    clientPorts: { from: 1024, to: 65535 },
    dscp: [0, 31, 32, 63],
    vlan: 4095,
    payload: {
      offset: 65535,
      value: Uint8Array.of(1, 2, 3, 4, 5),
      mask: Uint8Array.of(255, 0, 1, 2, 255),
    },
    pool: 1,
  };

  it('are read back as written, one record for each client network', () => {
    WORDS.fill(GUARD);
    const own = { backends, selection: Int32Array.of(5, 6, 7) };
    write(
      service(0, { rules: [{ pool: 0 }] }),
      service(1, { ...own, pools, rules: [everything, { pool: 2 }, { pool: 0 }] }),
      service(2, {}),
    );
    expect([0, 1, 2].map((id) => rules.ruleCount(WORDS, BASE, id))).toEqual([1, 4, 0]);
    expect(rules.firstRule(WORDS, BASE, 1)).toBe(1);
    expect(WORDS[BASE + table.CONFIGURATION_RULES]).toBe(5);
    const [one, other, refused, all] = [1, 2, 3, 4].map((n) => rules.ruleRecord(BASE, n));
    for (const rule of [one, other]) {
      expect(rules.ruleConditions(WORDS, rule)).toBe(0x1f);
      expect([1023, 1024, 65535].map((p) => rules.ruleHasClientPort(WORDS, rule, p))).toEqual([
        0, 1, 1,
      ]);
      const dscp = [0, 1, 30, 31, 32, 33, 62, 63].map((d) => rules.ruleHasDscp(WORDS, rule, d));
      expect(dscp).toEqual([1, 0, 0, 1, 1, 0, 0, 1]);
      expect(rules.ruleVlan(WORDS, rule)).toBe(4095);
      expect(rules.rulePayloadOffset(WORDS, rule)).toBe(65535);
      expect(rules.rulePayloadLength(WORDS, rule)).toBe(5);
      const bytes = [1, 99, 1, 5, 5].map((b, n) => rules.ruleHasPayloadByte(WORDS, rule, n, b));
      expect(bytes).toEqual([1, 1, 1, 1, 1]);
      const others = [2, 99, 2, 6, 4].map((b, n) => rules.ruleHasPayloadByte(WORDS, rule, n, b));
      expect(others).toEqual([0, 1, 0, 0, 0]);
      expect(rules.rulePoolNumber(WORDS, rule)).toBe(1);
      expect(positions(rules.rulePool(rule))).toEqual([6, 7, 6]);
      expect(lines(rules.rulePool(rule))).toEqual([6, 7]);
    }
    expect(rules.ruleHasClient(WORDS, one, 0x0a09ffff)).toBe(1);
    expect(rules.ruleHasClient(WORDS, one, 0x0a0a0000)).toBe(0);
    expect(rules.ruleHasClient(WORDS, other, 0xc0000207 | 0)).toBe(1);
    expect(rules.ruleHasClient(WORDS, other, 0xc0000206 | 0)).toBe(0);
    expect([refused, all].map((rule) => rules.ruleConditions(WORDS, rule))).toEqual([0, 0]);
    expect([refused, all].map((rule) => rules.rulePoolNumber(WORDS, rule))).toEqual([2, 0]);
    expect(positions(rules.rulePool(refused))).toEqual([]);
    expect(lines(rules.rulePool(refused))).toEqual([5]);
    expect(positions(rules.rulePool(all))).toEqual([5, 6, 7]);
    expect(lines(rules.rulePool(all))).toEqual([5, 6, 7]);
    expect(positions(table.servicePool(BASE, 1))).toEqual([5, 6, 7]);
  });

  it('know which backends their pool has, however they are ordered and however many', () => {
    const many = Array.from({ length: 5000 }, (_, n) => 4 + ((n * 7) % 5000) * 3);
    for (const ids of [[], [9], [9, 4], [30, 7, 12, 9, 4, 100], many]) {
      const pools = [{ selection: Int32Array.from(ids.slice(0, 1)), backends: ids }];
      const own = ids.map((id) => backend(id));
      write(service(0, { backends: own, pools, rules: [{ pool: 1 }] }));
      const pool = rules.rulePool(rules.ruleRecord(BASE, 0));
      const has = (id: number) => rules.poolHas(WORDS, BASE, pool, id);
      const found = Array.from({ length: MAX_BACKENDS }, (_, id) => id).filter(has);
      expect(found).toEqual(ids.toSorted((a, b) => a - b));
    }
  });

  it.each<[string, Partial<ServiceInput>]>([
    ['a pool that is not there', { rules: [{ pool: 1 }] }],
    ['a backend of another service', { pools: [{ selection: new Int32Array(0), backends: [9] }] }],
    [
      'a selection out of its pool',
      { backends, pools: [{ selection: Int32Array.of(5), backends: [6] }] },
    ],
    ['ports the wrong way round', { rules: [{ clientPorts: { from: 2, to: 1 }, pool: 0 }] }],
    ['a code point of seven bits', { rules: [{ dscp: [64], pool: 0 }] }],
    [
      'a payload that is too long',
      {
        rules: [
          { payload: { offset: 0, value: new Uint8Array(17), mask: new Uint8Array(17) }, pool: 0 },
        ],
      },
    ],
  ])('refuses %s', (_, more) => {
    WORDS.fill(GUARD);
    expect(() => write(service(0, more))).toThrow('assertion failed');
    expect(WORDS.every((word) => word === GUARD)).toBe(true);
  });

  it('refuses more than there is room for, and writes nothing', () => {
    WORDS.fill(GUARD);
    const client = { network: 0, mask: 0 };
    const most = (count: number) => [{ clients: new Array(count).fill(client), pool: 0 }];
    const full = () =>
      write(service(0, { rules: most(table.MAX_RULES) }), service(1, { rules: [{ pool: 0 }] }));
    expect(full).toThrow('4096 rules');
    const long = {
      selection: new Int32Array(table.SELECTION_POOL_CAPACITY).fill(5),
      backends: [5],
    };
    expect(() => write(service(0, { backends, pools: [long] }))).toThrow('positions');
    expect(WORDS.every((word) => word === GUARD)).toBe(true);
    write(service(0, { rules: most(table.MAX_RULES) }));
    expect(rules.ruleCount(WORDS, BASE, 0)).toBe(table.MAX_RULES);
  });
});

describe('limits and flags', () => {
  it('are none unless they are given', () => {
    WORDS.fill(GUARD);
    const limited = backend(5, { connectionLimit: 7, endsConnections: true });
    const all = { persistenceMask: -256, connectionLimit: 9, adoptsConnections: true };
    write(service(0, { backends: [limited, backend(6)], ...all }), service(1, {}));
    const of = (id: number) => [
      table.persistenceMask(WORDS, BASE, id),
      table.serviceConnectionLimit(WORDS, BASE, id),
      table.serviceFlags(WORDS, BASE, id),
    ];
    expect([of(0), of(1)]).toEqual([
      [-256, 9, table.SERVICE_ADOPTS_CONNECTIONS],
      [0, 0, 0],
    ]);
    expect([5, 6].map((id) => table.backendConnectionLimit(WORDS, BASE, id))).toEqual([7, 0]);
    expect([5, 6].map((id) => table.backendFlags(WORDS, BASE, id))).toEqual([
      table.BACKEND_ENDS_CONNECTIONS,
      0,
    ]);
    expect(table.endingBackendCount(WORDS, BASE)).toBe(1);
  });
});
