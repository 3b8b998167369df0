// What a service says about health, load and rules: a faulty or doubtful service for each check, and what
// must be said about it as 'path | message | suggestion'.

import { describe, expect, it } from 'vitest';
import { parseConfiguration } from './parse.ts';

function parse(service: string, rest = '') {
  return parseConfiguration(
    `
interfaces: [{ name: ext0, addresses: [10.1.0.1/24] }, { name: int0, addresses: [10.2.0.1/24] }]
services:
  - name: web
    address: 10.1.0.100
    ${/protocol:/.test(service) ? '' : 'protocol: tcp'}
    port: 80
    ${service}
    ${/backends:/.test(service) ? '' : 'backends: [{ name: b1, address: 10.2.0.11, labels: [gpu] }, { name: b2, address: 10.2.0.12 }]'}
${rest}
`,
    'x.yaml',
  );
}

function said(service: string, rest = '') {
  const { faults, warnings } = parse(service, rest);
  const show = ({ path, message, suggestion }: (typeof faults)[number]) =>
    `${path.replace('services[0].', '')} | ${message} | ${suggestion}`;
  return { faults: faults.map(show), warnings: warnings.map(show) };
}

it('is told when more checks are asked for than are made', () => {
  const backends = (count: number) =>
    `backends: [${Array.from({ length: count }, (_, n) => `{ name: b${n}, address: 10.2.0.${2 + (n % 200)}, port: ${1 + n} }`)}]`;
  const warnings = (count: number, health: string) =>
    said(`${health}\n    ${backends(count)}`).warnings;
  expect(warnings(250, 'health: { type: tcp, interval: 200ms }')).toEqual([
    'services | 1250 health checks per second: 1000 are made, so intervals are 1.3 times as long | ' +
      'set a longer health.interval, or use passive-health alone',
  ]);
  expect(warnings(250, 'health: { type: tcp, interval: 250ms }')).toEqual([]);
  expect(warnings(250, '')).toEqual([]);
});

describe('a service that uses all there is', () => {
  it('is a configuration', () => {
    const { configuration, faults, warnings } = parse(
      `scheduler: p2c
    persistence: { timeout: 5m, mask: 24 }
    connection-limit: 100
    health: { type: http, path: /ready, status: '200-299,304', body: /ok/, interval: 250ms }
    passive-health: {}
    on-down: rebalance
    distribution: { algorithm: even-load }
    load: { source: orca, port: 9000 }
    rules:
      - { name: gpu, clients: [10.9.0.0/16], client-ports: 1024-2047, dscp: [46], requires: [gpu] }`,
    );
    expect([faults, warnings]).toEqual([[], []]);
    const service = configuration!.services[0];
    expect(service.scheduler).toBe('power-of-two');
    expect(service.persistence).toEqual({ timeout: 300, mask: 24 });
    expect(service.health).toMatchObject({ interval: 250, 'fast-interval': 500, rise: 2, fall: 3 });
    expect(service.distribution).toMatchObject({ algorithm: 'even-load', blackout: 10_000 });
    expect(service.rules[0].otherwise).toBe('refuse');
  });

  it('durations have bounds in their words', () => {
    expect(said('health: { interval: 10ms }').faults).toEqual([
      'health.interval | 10ms is not between 100ms and 1h | ',
    ]);
    expect(said('health: { interval: 2 weeks }').faults).toEqual([
      'health.interval | 2 weeks is not a duration | write it as in 500ms, 2s or 5m',
    ]);
  });
});

describe('faults', () => {
  it.each([
    [
      'health: { type: tcp, path: / }',
      'health.path | path says nothing to a check of type tcp | it belongs to type http or https',
    ],
    [
      'health: { type: script }',
      'health.type | a script needs a command | add command: [/path/to/program, argument]',
    ],
    [
      'health: { type: dns }',
      "health.query | query is the name to ask for, e.g. example.com, or '.' | ",
    ],
    [
      "health: { type: udp, send: a, send-hex: '61' }",
      'health.send | send cannot stand beside send-hex | ',
    ],
    [
      'forwarding: dsr\n    passive-health: {}',
      'passive-health | with dsr the replies of the backends do not pass here: nothing can be observed | use health, or forwarding: nat',
    ],
    ['load: { source: orca }', 'load | orca needs a port | add it as in port: 9000'],
    [
      'rules: [{ name: r, vlan: 7 }]',
      'rules[0].name | the rule gives the connection to nobody | add requires: or backend:',
    ],
    [
      'rules: [{ name: r, client-ports: 9-7, backend: b1 }]',
      'rules[0].client-ports | 9-7 is no range of ports | write it as 1024-2047',
    ],
    [
      "rules: [{ name: r, payload: { value: '16' }, backend: b1 }]",
      'rules[0].payload | the first packet of TCP has no payload | payload is for udp',
    ],
    [
      "protocol: udp\n    rules: [{ name: r, payload: { value: '16', mask: 'ffff' }, backend: b1 }]",
      'rules[0].payload.mask | mask and value differ in length | write as many bytes in both',
    ],
    [
      'rules: [{ name: r, vlan: 7, backend: b3 }]',
      'rules[0].backend | there is no backend b3 in this service | did you mean b1?',
    ],
    [
      'rules: [{ name: r, vlan: 7, backend: b1 }, { name: r, vlan: 8, backend: b1 }]',
      'rules[1].name | rule r exists twice | give it another name',
    ],
  ])('%s', (service, fault) => {
    expect(said(service).faults).toEqual([fault]);
  });

  it('an expression that is none', () => {
    const [fault] = said('health: { type: http, body: /(/ }').faults;
    expect(fault).toMatch(/^health\.body \| body .*regular expression/i);
  });

  it('two who speak for one backend', () => {
    const agents =
      '[{ name: a, key-file: k, backends: [web/b1] }, { name: c, key-file: k, backends: [web/b1] }]';
    const rest = `resource-manager: { agents: ${agents} }`;
    const advice = 'one source for each backend: of two, the last to speak would count';
    expect(said('', rest).faults).toEqual([
      `resource-manager.agents[1].backends[0] | web/b1: agent a speaks for it already | ${advice}`,
    ]);
    expect(said('load: { source: orca, port: 9000 }', rest).faults[0]).toBe(
      `resource-manager.agents[0].backends[0] | web/b1: its load is asked by orca already | ${advice}`,
    );
  });

  it('agents that speak for nobody, and twice the same', () => {
    const rest =
      'resource-manager: { agents: [{ name: a, key-file: k, backends: [web/b9] }, ' +
      '{ name: a, key-file: k, backends: [web/b1] }] }';
    expect(said('', rest).faults).toEqual([
      'resource-manager.agents[0].backends[0] | there is no backend web/b9 | did you mean web/b1?',
      'resource-manager.agents[1].name | agent a exists twice | give it another name',
    ]);
  });
});

describe('warnings', () => {
  it.each([
    [
      'load: { source: agent }',
      'load | agents report to nobody: the resource manager does not listen | add resource-manager: { listen: { address: … }, agents: [ … ] }',
    ],
    [
      'distribution: { algorithm: capacity }',
      'distribution.algorithm | capacity has no load to go by: the weights stay as configured | add load: { source: agent } to the service',
    ],
    [
      'scheduler: rr\n    load: { source: orca, port: 1 }\n    distribution: { algorithm: even-load }',
      'scheduler | round-robin has no weights: even-load changes nothing | use scheduler: weighted-round-robin',
    ],
    [
      'rules: [{ name: r, vlan: 7, requires: [tpu] }]',
      'rules[0].requires | no backend has the label tpu: the rule refuses every connection | add labels: [tpu] to a backend',
    ],
    [
      'rules: [{ name: r, backend: b1 }, { name: s, vlan: 7, backend: b1 }]',
      'rules[0].name | a rule without a condition is met by every connection | rules behind it are never reached',
    ],
    [
      'backends: [{ name: b1, address: 10.2.0.11, fallback: true }]',
      'backends | all backends are fallbacks: they are used as if none were | leave fallback out of those that serve normally',
    ],
    [
      'scheduler: sh\n    persistence: {}',
      'persistence | source-hash keeps a client at its backend by itself | leave persistence out, unless clients must stay when weights change',
    ],
  ])('%s', (service, warning) => {
    expect(said(service)).toEqual({ faults: [], warnings: [warning] });
  });
});
