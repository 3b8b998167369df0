import { describe, expect, it } from 'vitest';
import { FORWARDING_DSR, SCHEDULER_MAGLEV } from '../tables/configuration-table.ts';
import { TIMEOUT_ESTABLISHED, TIMEOUT_UDP } from '../tables/connection-states.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP, parseAddress } from '../wire/ipv4.ts';
import { compileConfiguration, type Ids } from './compile-configuration.ts';
import type { Configuration } from './config/schema.ts';
import { fileText, parsed, serviceText } from './control.harness.ts';

/** Numbers that are no positions: services from 100, backends from 200. */
function someIds(configuration: Configuration): Ids {
  const backends = configuration.services.flatMap((service) =>
    service.backends.map(({ name }) => `${service.name}/${name}`),
  );
  return {
    services: new Map(configuration.services.map(({ name }, i) => [name, 100 + i])),
    backends: new Map(backends.map((key, i) => [key, 200 + i])),
  };
}

function compile(services: string[]) {
  const configuration = parsed(fileText(services));
  return compileConfiguration(configuration, someIds(configuration));
}

describe('compileConfiguration', () => {
  it('turns a service into numbers', () => {
    const [service] = compile([serviceText('web', 80, [11, 12])]).services;
    expect(service).toMatchObject({
      id: 100,
      address: parseAddress('10.1.0.100'),
      port: 80,
      protocol: PROTOCOL_TCP,
    });
    expect(service.backends).toMatchObject([
      { id: 200, address: parseAddress('10.2.0.11'), port: 80, weight: 1 },
      { id: 201, address: parseAddress('10.2.0.12'), port: 80, weight: 1 },
    ]);
    expect([...service.selection]).toEqual([200, 201]);
  });

  it('orders by weight, and leaves out who has none', () => {
    const backends =
      '{ name: a, address: 10.2.0.1, weight: 3 }, { name: b, address: 10.2.0.2, weight: 0 }, ' +
      '{ name: c, address: 10.2.0.3 }';
    const service = `{ name: w, address: 10.1.0.9, protocol: udp, port: 53, backends: [${backends}] }`;
    const [{ selection, protocol }] = compile([service.replace('10.2.0.1,', '10.2.0.9,')]).services;
    expect(protocol).toBe(PROTOCOL_UDP);
    expect([...selection].sort()).toEqual([200, 200, 200, 202]);
  });

  it('has a place for every backend, however many there are', () => {
    const backends = Array.from({ length: 5000 }, (_, i) => {
      const address = `10.2.${1 + (i >> 8)}.${i & 255}`;
      return `{ name: b${i}, address: ${address}, weight: ${1 + (i % 7)} }`;
    });
    const head = 'name: w, address: 10.1.0.9, protocol: tcp, port: 80';
    const text = fileText([`{ ${head}, backends: [${backends.join(', ')}] }`]);
    const configuration = parsed(
      text.replace('10.2.0.1/24', '10.2.0.1/16').replace('10.2.1.0,', '10.2.250.0,'),
    );
    const [{ selection }] = compileConfiguration(configuration, someIds(configuration)).services;
    expect(new Set(selection).size).toBe(5000);
  });

  it('knows Maglev, direct server return, and timeouts in milliseconds', () => {
    const rest = 'scheduler: mh, forwarding: dsr, timeouts: { established: 2m },';
    const input = compile([serviceText('web', 80, [11, 12, 13], rest)]);
    const [service] = input.services;
    expect(service.scheduler).toBe(SCHEDULER_MAGLEV);
    expect(service.forwarding).toBe(FORWARDING_DSR);
    expect(service.timeouts[TIMEOUT_ESTABLISHED]).toBe(120_000);
    expect(service.timeouts[TIMEOUT_UDP]).toBe(300_000);
    expect(input.defaultTimeouts[TIMEOUT_ESTABLISHED]).toBe(900_000);
    expect(new Set(service.selection)).toEqual(new Set([200, 201, 202]));
    expect(service.selection.length).toBeGreaterThan(200);
  });
});
