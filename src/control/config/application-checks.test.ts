// Goal: what is wrong with an application's entry is said at `weir check`, with its place and what to write.

import { describe, expect, it } from 'vitest';
import { parseConfiguration } from './parse.ts';

const BASE = {
  interfaces: [
    { name: 'ext0', addresses: ['10.1.0.1/24'] },
    { name: 'int0', addresses: ['10.2.0.1/24'] },
  ],
  services: [
    {
      name: 'web',
      address: '10.1.0.100',
      protocol: 'tcp',
      port: 80,
      backends: [{ name: 'b1', address: '10.2.0.11' }],
    },
  ],
};

function faultsOf(...applications: object[]): string[] {
  const text = JSON.stringify({ ...BASE, applications });
  const { faults } = parseConfiguration(text, 'f');
  return faults.map(({ path, message, suggestion }) => `${path}: ${message} (${suggestion})`);
}

const echo = (part: object) => ({ name: 'echo', module: './echo.mjs', ...part });
const names = (zone: object, rest: object = {}) => ({
  name: 'names',
  module: 'dns',
  options: { zones: [{ name: 'a.b', nameservers: ['ns'], records: [], ...zone }], ...rest },
});

describe('applications', () => {
  it('that are as they should be', () => {
    const match = [{ protocol: 'udp', port: '7000-7999' }, { service: 'web' }];
    const first = echo({ match, services: ['web'], 'when-off': 'drop', budget: '2ms' });
    expect(faultsOf(first, names({ records: [{ name: 'www', service: 'web' }] }))).toEqual([]);
    const { configuration } = parseConfiguration(
      JSON.stringify({ ...BASE, applications: [echo({})] }),
      'f',
    );
    expect(configuration!.applications).toEqual([
      {
        name: 'echo',
        module: './echo.mjs',
        processors: 'all',
        addresses: [],
        match: [],
        services: [],
        budget: 5,
        failures: 100,
        frames: 64,
        'when-off': 'pass',
        options: {},
      },
    ]);
  });

  it.each([
    ['a name twice', [echo({}), echo({})], /^applications\[1\]\.name: .*exists twice/],
    [
      'a word that is no module',
      [echo({ module: 'dsn' })],
      /module: dsn is no application.*did you mean dns/,
    ],
    ['another word', [echo({ module: 'echo' })], /module: echo is no application.*\.\/echo\.mjs/],
    ['a range the wrong way', [echo({ match: [{ port: '9-8' }] })], /port: 9-8 is no range/],
    [
      'a port that is none',
      [echo({ match: [{ port: 70_000 }] })],
      /match\[0\]\.port: 70000 is more than 65535/,
    ],
    [
      'a network that is none',
      [echo({ match: [{ address: '10.0.0' }] })],
      /address: .*an address or a network/,
    ],
    [
      'a service that is not listed',
      [echo({ match: [{ service: 'web' }] })],
      /service: service web is not listed.*services: \[web\]/,
    ],
    [
      'a service and a port',
      [echo({ services: ['web'], match: [{ service: 'web', port: 1 }] })],
      /write service alone/,
    ],
    [
      'a service that is not there',
      [echo({ services: ['wbe'] })],
      /services\[0\]: there is no service wbe \(did you mean web/,
    ],
    ['drop without match', [echo({ 'when-off': 'drop' })], /when-off: .*write match as well/],
    [
      "a server's address",
      [echo({ addresses: ['10.2.0.11'] })],
      /addresses\[0\]: 10\.2\.0\.11 is the address of a backend/,
    ],
    ['an unknown key', [echo({ matches: [] })], /matches.*did you mean match/],
  ])('with %s', (_, applications, fault) => {
    const faults = faultsOf(...applications);
    expect(faults.length).toBe(1);
    expect(faults[0]).toMatch(fault);
  });

  it('at most 16', () => {
    const many = Array.from({ length: 17 }, (_, i) => echo({ name: `a${i}` }));
    expect(faultsOf(...many)[0]).toMatch(/^applications: /);
  });
});

describe('options of dns', () => {
  it.each([
    ['no zones', { name: 'n', module: 'dns' }, /options.*zones/],
    ['an unknown key', names({}, { adress: '10.1.0.53' }), /options: .*adress/],
    ['a zone without name servers', names({ nameservers: [] }), /nameservers/],
    ['a name that is none', names({ name: 'a..b' }), /zones\[0\]\.name: a name of the DNS/],
    [
      'a record of nothing',
      names({ records: [{ name: 'x' }] }),
      /records\[0\]: a record has either/,
    ],
    ['a value without a type', names({ records: [{ name: 'x', value: '1' }] }), /no type/],
    [
      'a service that is not there',
      names({ records: [{ name: 'x', service: 'webb' }] }),
      /service: there is no service webb \(did you mean web/,
    ],
    ['a time to live', names({ ttl: -1 }), /zones\[0\]\.ttl/],
  ])('with %s', (_, application, fault) => {
    const faults = faultsOf(application);
    expect(faults.length).toBe(1);
    expect(faults[0]).toMatch(fault);
  });
});
