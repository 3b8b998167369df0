import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONFIGURATION_TABLE_SIZE, MAX_BACKENDS, MAX_SERVICES } from '../memory/layout.ts';
import * as table from './configuration-table.ts';
import { type ConfigurationInput, writeConfigurationTable } from './configuration-writer.ts';

// The buffer does not begin at word 0, as in main memory, and stands between words that must stay.
const BASE = 64;
const GUARD = 0x5aa5a55a;
const WORDS = new Int32Array(BASE + CONFIGURATION_TABLE_SIZE / 4 + 64);
const TIMEOUTS = Array.from({ length: 16 }, (_, i) => 1000 * (i + 1));
const ip = (a: number, b: number, c: number, d: number) => (a << 24) | (b << 16) | (c << 8) | d;

function service(
  id: number,
  address: number,
  port: number,
  protocol: number,
  backends: ConfigurationInput['services'][number]['backends'] = [],
  selection: number[] = [],
): ConfigurationInput['services'][number] {
  return {
    id,
    address,
    port,
    protocol,
    forwarding: table.FORWARDING_NAT,
    scheduler: table.SCHEDULER_WEIGHTED_ROUND_ROBIN,
    timeouts: TIMEOUTS,
    selection: Int32Array.from(selection),
    backends,
  };
}

function input(services: ConfigurationInput['services'], more = {}): ConfigurationInput {
  return {
    services,
    interfaceAddresses: [],
    resetsPerSecond: 1000,
    echoRepliesPerSecond: 500,
    defaultTimeouts: [7, 8, 9],
    ...more,
  };
}

/** Writes over rubbish, so that a word that the writer forgets shows. */
function write(description: ConfigurationInput): void {
  WORDS.fill(GUARD);
  writeConfigurationTable(WORDS, BASE, description);
  expect(WORDS.subarray(0, BASE).every((word) => word === GUARD)).toBe(true);
  expect(WORDS.subarray(WORDS.length - 64).every((word) => word === GUARD)).toBe(true);
}

describe('configuration table', () => {
  it('has room for its sections and a large selection pool', () => {
    expect(table.SELECTION_POOL_CAPACITY).toBeGreaterThan(MAX_SERVICES * 251);
  });

  it('reads back what was written', () => {
    const backends = [
      { id: 5, address: ip(10, 2, 0, 1), port: 8080, weight: 3 },
      { id: MAX_BACKENDS - 1, address: ip(10, 2, 0, 2), port: 65535, weight: 0 },
    ];
    const web = {
      ...service(MAX_SERVICES - 1, ip(192, 0, 2, 10), 443, 6, backends, [5, MAX_BACKENDS - 1, 5]),
      forwarding: table.FORWARDING_DSR,
      scheduler: table.SCHEDULER_MAGLEV,
    };
    write(input([service(0, ip(192, 0, 2, 10), 53, 17), web]));
    const id = table.findService(WORDS, BASE, ip(192, 0, 2, 10), 443, 6);
    expect(id).toBe(MAX_SERVICES - 1);
    expect(table.findService(WORDS, BASE, ip(192, 0, 2, 10), 53, 17)).toBe(0);
    expect(table.isServiceValid(WORDS, BASE, id)).toBe(1);
    expect(table.isServiceValid(WORDS, BASE, 1)).toBe(0);
    expect(table.serviceAddress(WORDS, BASE, id)).toBe(ip(192, 0, 2, 10));
    expect(table.servicePort(WORDS, BASE, id)).toBe(443);
    expect(table.serviceProtocol(WORDS, BASE, id)).toBe(6);
    expect(table.serviceForwarding(WORDS, BASE, id)).toBe(table.FORWARDING_DSR);
    expect(table.serviceScheduler(WORDS, BASE, id)).toBe(table.SCHEDULER_MAGLEV);
    expect(table.serviceBackendCount(WORDS, BASE, id)).toBe(2);
    expect(table.serviceBackend(WORDS, BASE, id, 0)).toBe(5);
    expect(table.serviceBackend(WORDS, BASE, id, 1)).toBe(MAX_BACKENDS - 1);
    expect(table.backendAddress(WORDS, BASE, 5)).toBe(ip(10, 2, 0, 1));
    expect(table.backendPort(WORDS, BASE, MAX_BACKENDS - 1)).toBe(65535);
    expect(table.backendWeight(WORDS, BASE, 5)).toBe(3);
    expect(table.backendService(WORDS, BASE, 5)).toBe(id);
    expect(table.isBackendValid(WORDS, BASE, 5)).toBe(1);
    expect(table.isBackendValid(WORDS, BASE, 6)).toBe(0);
    expect(table.resetsPerSecond(WORDS, BASE)).toBe(1000);
    expect(table.echoRepliesPerSecond(WORDS, BASE)).toBe(500);
    expect(WORDS[BASE + table.CONFIGURATION_SERVICES]).toBe(2);
    expect(WORDS[BASE + table.CONFIGURATION_BACKENDS]).toBe(2);
  });

  it('tells services apart by address, port and protocol', () => {
    write(input([service(7, ip(192, 0, 2, 10), 53, 17)]));
    expect(table.findService(WORDS, BASE, ip(192, 0, 2, 10), 53, 6)).toBe(table.NOT_FOUND);
    expect(table.findService(WORDS, BASE, ip(192, 0, 2, 10), 54, 17)).toBe(table.NOT_FOUND);
    expect(table.findService(WORDS, BASE, ip(192, 0, 2, 11), 53, 17)).toBe(table.NOT_FOUND);
  });

  it('walks a selection by position and indexes it by any hash', () => {
    const backends = [4, 2, 9].map((id) => ({ id, address: id, port: 80, weight: 1 }));
    const first = service(0, 1, 80, 6, [{ id: 0, address: 3, port: 80, weight: 1 }], [0]);
    write(input([first, service(1, 2, 80, 6, backends, [4, 2, 9, 2]), service(2, 3, 80, 6)]));
    const walk = [0, 1, 2, 3, 4, 5].map((n) =>
      table.selectBackend(WORDS, BASE, table.servicePool(BASE, 1), n),
    );
    expect(walk).toEqual([4, 2, 9, 2, 4, 2]);
    expect(table.selectBackend(WORDS, BASE, table.servicePool(BASE, 0), 12345)).toBe(0);
    expect(table.selectBackend(WORDS, BASE, table.servicePool(BASE, 1), -2147483648)).toBe(4);
    expect(table.selectBackend(WORDS, BASE, table.servicePool(BASE, 1), -1)).toBe(
      [4, 2, 9, 2][0x7fffffff % 4],
    );
    expect(table.selectionLength(WORDS, table.servicePool(BASE, 2))).toBe(0);
    expect(table.selectBackend(WORDS, BASE, table.servicePool(BASE, 2), 0)).toBe(table.NOT_FOUND);
  });

  it('gives the timeouts of a service, and the defaults when it is gone', () => {
    write(input([service(3, 1, 80, 6)]));
    expect(table.timeoutMs(WORDS, BASE, 3, 2)).toBe(3000);
    expect(table.timeoutMs(WORDS, BASE, 3, 15)).toBe(16000);
    expect(table.timeoutMs(WORDS, BASE, 4, 2)).toBe(9);
  });

  it('knows the endpoints of backends, also of a server that two services share', () => {
    const server = { address: ip(10, 2, 0, 1), port: 80, weight: 1 };
    const one = service(0, 1, 80, 6, [{ ...server, id: 0 }]);
    const two = service(1, 2, 80, 6, [{ ...server, id: 1 }]);
    write(input([one, two]));
    expect(table.isBackendEndpoint(WORDS, BASE, server.address, 80, 6)).toBe(1);
    expect(table.isBackendEndpoint(WORDS, BASE, server.address, 80, 17)).toBe(0);
    expect(table.isBackendEndpoint(WORDS, BASE, server.address, 81, 6)).toBe(0);
    expect(table.isBackendEndpoint(WORDS, BASE, 1, 80, 6)).toBe(0);
  });

  it('knows own addresses, and one that is both as the interface address', () => {
    const interfaceAddresses = [
      { interfaceNumber: 2, address: ip(10, 1, 0, 1), prefixLength: 24 },
      { interfaceNumber: 2, address: ip(10, 1, 0, 2), prefixLength: 24 },
    ];
    const ownAddresses = [{ address: ip(198, 51, 100, 7), interfaceNumber: 1 }];
    const services = [service(0, ip(10, 1, 0, 2), 80, 6), service(1, ip(192, 0, 2, 1), 80, 6)];
    write(input(services, { interfaceAddresses, ownAddresses }));
    const known = (address: number) => {
      const entry = table.findOwnAddress(WORDS, BASE, address);
      return [table.ownAddressKind(WORDS, entry), table.ownAddressInterface(WORDS, entry)];
    };
    expect(known(ip(10, 1, 0, 1))).toEqual([table.OWN_INTERFACE_ADDRESS, 2]);
    expect(known(ip(10, 1, 0, 2))).toEqual([table.OWN_INTERFACE_ADDRESS, 2]);
    expect(known(ip(192, 0, 2, 1))).toEqual([table.OWN_SERVICE_ADDRESS, -1]);
    expect(known(ip(198, 51, 100, 7))).toEqual([table.OWN_SERVICE_ADDRESS, 1]);
    expect(table.isOwnAddress(WORDS, BASE, ip(10, 1, 0, 1))).toBe(1);
    expect(table.isOwnAddress(WORDS, BASE, ip(10, 1, 0, 3))).toBe(0);
    expect(WORDS[BASE + table.CONFIGURATION_OWN_ADDRESSES]).toBe(4);
  });

  it('speaks in the name of the address whose prefix holds the target', () => {
    const interfaceAddresses = [
      { interfaceNumber: 1, address: ip(203, 0, 113, 1), prefixLength: 32 },
      { interfaceNumber: 1, address: ip(10, 1, 0, 1), prefixLength: 24 },
      { interfaceNumber: 1, address: ip(10, 0, 0, 1), prefixLength: 8 },
      { interfaceNumber: 3, address: ip(172, 16, 0, 1), prefixLength: 0 },
    ];
    write(input([], { interfaceAddresses }));
    const from = (on: number, to: number) => table.sourceAddressFor(WORDS, BASE, on, to);
    expect(from(1, ip(10, 1, 0, 200))).toBe(ip(10, 1, 0, 1));
    expect(from(1, ip(10, 1, 1, 200))).toBe(ip(10, 0, 0, 1));
    expect(from(1, ip(8, 8, 8, 8))).toBe(ip(203, 0, 113, 1));
    expect(from(3, ip(8, 8, 8, 8))).toBe(ip(172, 16, 0, 1));
    expect(from(0, ip(8, 8, 8, 8))).toBe(0);
  });

  it('finds every service of a full table, and nothing else', () => {
    const key = fc.tuple(fc.integer(), fc.nat(65535), fc.constantFrom(6, 17));
    const keys = fc.uniqueArray(key, { selector: String, maxLength: 300, minLength: 1 });
    fc.assert(
      fc.property(keys, key, (taken, other) => {
        const services = taken.map(([address, port, protocol], id) =>
          service(id, address, port, protocol),
        );
        write(input(services));
        taken.forEach(([address, port, protocol], id) => {
          expect(table.findService(WORDS, BASE, address, port, protocol)).toBe(id);
          expect(table.isOwnAddress(WORDS, BASE, address)).toBe(1);
        });
        const expected = taken.findIndex((each) => String(each) === String(other));
        expect(table.findService(WORDS, BASE, other[0], other[1], other[2])).toBe(expected);
      }),
      { numRuns: 20 },
    );
    const services = Array.from({ length: MAX_SERVICES }, (_, id) =>
      service(id, ip(10, 9, 0, 0) + id, 80, 6, [
        { id: id * 4, address: id, port: 80, weight: 1 },
        { id: id * 4 + 1, address: id, port: 81, weight: 1 },
        { id: id * 4 + 2, address: id, port: 82, weight: 1 },
        { id: id * 4 + 3, address: id, port: 83, weight: 1 },
      ]),
    );
    write(input(services));
    for (let id = 0; id < MAX_SERVICES; id++) {
      expect(table.findService(WORDS, BASE, ip(10, 9, 0, 0) + id, 80, 6)).toBe(id);
      expect(table.isBackendEndpoint(WORDS, BASE, id, 83, 6)).toBe(1);
    }
    expect(table.findService(WORDS, BASE, ip(10, 9, 0, 0) - 1, 80, 6)).toBe(table.NOT_FOUND);
  });

  it('tells apart services that share one address and all slots', () => {
    write(input(Array.from({ length: MAX_SERVICES }, (_, id) => service(id, 1, id + 1, 6))));
    for (let port = 1; port <= 65535; port++) {
      const expected = port <= MAX_SERVICES ? port - 1 : table.NOT_FOUND;
      if (table.findService(WORDS, BASE, 1, port, 6) !== expected) expect(port).toBe(expected);
      expect(table.findService(WORDS, BASE, 1, port, 17)).toBe(table.NOT_FOUND);
    }
  });

  it('says what does not fit, and writes nothing then', () => {
    const tooMany = Array.from({ length: MAX_SERVICES + 1 }, (_, i) => service(i, i, 80, 6));
    const backend = { id: 0, address: 1, port: 80, weight: 1 };
    const long = {
      ...service(0, 1, 80, 6, [backend]),
      selection: new Int32Array(table.SELECTION_POOL_CAPACITY + 1),
    };
    const interfaceAddresses = Array.from({ length: 32 }, (_, i) => ({
      interfaceNumber: 9,
      address: i,
      prefixLength: 24,
    }));
    const backends = Array.from({ length: MAX_BACKENDS + 1 }, (_, id) => ({ ...backend, id }));
    const ownAddresses = Array.from({ length: 8193 }, (_, address) => ({
      address,
      interfaceNumber: -1,
    }));
    const refused: [ConfigurationInput, RegExp][] = [
      [input(tooMany), /holds 4096 services, the configuration has 4097/],
      [input([long]), /positions of selection tables/],
      [input([service(0, 1, 80, 6, backends)]), /holds 16384 backends/],
      [input([], { interfaceAddresses }), /31 addresses of one interface \(number 9\)/],
      [input([], { ownAddresses }), /8192 own addresses/],
    ];
    WORDS.fill(GUARD);
    for (const [description, message] of refused) {
      const code = { code: 'ERR_TABLE_FULL' };
      expect(() => writeConfigurationTable(WORDS, BASE, description)).toThrow(message);
      expect(() => writeConfigurationTable(WORDS, BASE, description)).toThrow(
        expect.objectContaining(code),
      );
    }
    expect(WORDS.every((word) => word === GUARD)).toBe(true);
    write(input([{ ...long, selection: long.selection.subarray(1) }]));
  });

  it('refuses what the checks of the configuration should have found', () => {
    const backend = { id: 1, address: 1, port: 80, weight: 1 };
    const faults = [
      [service(0, 1, 80, 6), service(0, 2, 80, 6)],
      [service(0, 1, 80, 6), service(1, 1, 80, 6)],
      [service(0, 1, 80, 6, [backend]), service(1, 2, 80, 6, [backend])],
      [service(0, 1, 80, 6, [backend], [2])],
      [service(-1, 1, 80, 6)],
    ];
    for (const services of faults) {
      expect(() => writeConfigurationTable(WORDS, BASE, input(services))).toThrow(/assertion/);
    }
  });
});
