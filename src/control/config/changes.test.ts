import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeChanges, needsRestart } from './changes.ts';
import { parseConfiguration } from './parse.ts';
import type { Configuration } from './schema.ts';

const example = readFileSync(
  new URL('../../../examples/two-interfaces.yaml', import.meta.url),
  'utf8',
);

function configured(...edits: [string, string][]): Configuration {
  let text = example;
  for (const [from, to] of edits) {
    expect(text).toContain(from);
    text = text.replace(from, to);
  }
  const { configuration, faults } = parseConfiguration(text, 'x.yaml');
  expect(faults).toEqual([]);
  return configuration!;
}

const B2 = '      - { name: b2, address: 10.2.0.12, port: 8080, weight: 1 }\n';
const B3 = '      - { name: b3, address: 10.2.0.13, port: 8080, weight: 2 }\n';

interface Row {
  title: string;
  edits: [string, string][];
  lines: string[];
  restart?: string[];
}

const ROWS: Row[] = [
  { title: 'nothing', edits: [], lines: [] },
  {
    title: 'a comment and a default written out',
    edits: [
      ['# through weir.', '# through it.'],
      ['{ name: ext0,', '{ name: ext0, kind: auto,'],
    ],
    lines: [],
  },
  {
    title: 'a weight',
    edits: [['weight: 1', 'weight: 5']],
    lines: ['service web: backend b1 weight 1 → 5, rises over 10 s (slow-start)'],
  },
  {
    title: 'a weight that is raised at once, and one that is lowered',
    edits: [
      ['port: 80\n', 'port: 80\n    distribution: { slow-start: 0s }\n'],
      ['weight: 1', 'weight: 5'],
    ],
    lines: ['service web: distribution.slow-start changed', 'service web: backend b1 weight 1 → 5'],
  },
  {
    title: 'a weight of nothing',
    edits: [['weight: 1', 'weight: 0']],
    lines: ['service web: backend b1 weight 1 → 0'],
  },
  {
    title: 'a backend more',
    edits: [[B2, B2 + B3]],
    lines: [
      'service web: backend b3 added, 10.2.0.13:8080, weight 2, rises over 10 s (slow-start)',
    ],
  },
  { title: 'a backend less', edits: [[B2, '']], lines: ['service web: backend b2 removed'] },
  {
    title: 'a backend moved',
    edits: [['10.2.0.11, port: 8080', '10.2.0.11, port: 81']],
    lines: ['service web: backend b1 10.2.0.11:8080 → 10.2.0.11:81'],
  },
  {
    title: 'another name of a service',
    edits: [['name: web', 'name: www']],
    lines: ['service www: added, tcp 10.1.0.100:80, 2 backends', 'service web: removed'],
  },
  {
    title: 'the service itself',
    edits: [
      ['port: 80\n', 'port: 81\n    timeouts: { established: 1h }\n'],
      ['weighted-round-robin', 'maglev'],
    ],
    lines: [
      'service web: tcp 10.1.0.100:80 → tcp 10.1.0.100:81',
      'service web: scheduler weighted-round-robin → maglev',
      'service web: timeout established 900s → 3600s',
    ],
  },
  {
    title: 'routes and rate limits',
    edits: [
      ['10.1.0.254', '10.1.0.253'],
      ['services:', 'rate-limits: { resets: 5 }\nservices:'],
    ],
    lines: [
      'route default via 10.1.0.254: removed',
      'route default via 10.1.0.253: added',
      'rate-limits.resets: changed',
    ],
  },
  {
    title: 'what is fixed at start',
    edits: [
      ['switching: 2', 'switching: 1, cpus: [1]'],
      ['frames: 16384', 'frames: 8192'],
      ['[10.2.0.1/24]', '[10.2.0.2/24]'],
    ],
    lines: [
      'interfaces[1].addresses[0]: changed, needs a restart',
      'processors.switching: changed, needs a restart',
      'processors.cpus: changed, needs a restart',
      'limits.frames: changed, needs a restart',
    ],
    restart: [
      'interfaces[1].addresses[0]',
      'processors.switching',
      'processors.cpus',
      'limits.frames',
    ],
  },
  {
    title: 'an interface more',
    edits: [['routes:', '  - { name: ext1, addresses: [10.3.0.1/24] }\nroutes:']],
    lines: ['interfaces: changed, needs a restart'],
    restart: ['interfaces'],
  },
];

describe('changes of a configuration', () => {
  it.each(ROWS)('tells of $title', ({ edits, lines, restart }) => {
    const before = configured();
    const after = configured(...edits);
    expect(describeChanges(before, after)).toEqual(lines);
    expect(needsRestart(before, after)).toEqual(restart ?? []);
  });
});
