// docs/reference/health.md: each short example stands within a service, and must be one without a fault.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileHealthTargets } from '../control/compile-health.ts';
import { parseConfiguration } from '../control/config/parse.ts';
import { DEFAULT_HEALTH, DEFAULT_PASSIVE, HEALTH_TYPES } from './settings.ts';
import { healthFaults, passiveFaults } from './settings-faults.ts';

const TEXT = readFileSync(new URL('../../docs/reference/health.md', import.meta.url), 'utf8');
const EXAMPLES = [...TEXT.matchAll(/^```yml\n([\s\S]*?)^```$/gm)].map(([, text]) => text.trim());

/** The targets of a service with these lines. */
function targetsOf(lines: string) {
  const { configuration, faults } = parseConfiguration(
    `interfaces: [{ name: a, addresses: [10.1.0.1/24] }, { name: b, addresses: [10.2.0.1/24] }]
services:
  - name: web
    address: 10.1.0.100
    protocol: tcp
    port: 80
    backends: [{ name: b1, address: 10.2.0.11 }]
    ${lines}
`,
    'example',
  );
  expect(faults).toEqual([]);
  return compileHealthTargets(configuration!);
}

describe('docs/reference/health.md', () => {
  it('has an example of every type', () => {
    const types = new Set(EXAMPLES.flatMap((each) => /type: (\w+)/.exec(each)?.slice(1) ?? []));
    expect(types).toEqual(new Set(HEALTH_TYPES.filter((type) => type !== 'none')));
  });

  it.each(EXAMPLES)('%s', (lines) => {
    const [{ settings, passive }] = targetsOf(lines);
    expect(healthFaults(settings)).toEqual([]);
    if (passive !== undefined) expect(passiveFaults(passive)).toEqual([]);
  });

  it('has the defaults of the program, and the configuration has them too', () => {
    const [{ settings, passive }] = targetsOf('health: {}\n    passive-health: {}');
    expect(settings).toEqual(DEFAULT_HEALTH);
    expect(passive).toEqual(DEFAULT_PASSIVE);
    const seconds = (ms: number) =>
      ms < 1_000 ? `${ms}ms` : ms < 60_000 ? `${ms / 1_000}s` : `${ms / 60_000}m`;
    const rows: readonly (readonly [string, string | number])[] = [
      ['interval', seconds(settings.intervalMs)],
      ['fast-interval', seconds(settings.fastIntervalMs)],
      ['timeout', seconds(settings.timeoutMs)],
      ['jitter', settings.jitter],
      ['rise', settings.rise],
      ['fall', settings.fall],
      ['hold', seconds(settings.holdMs)],
      ['hold-max', seconds(settings.holdMaxMs)],
      ['status', settings.status],
      ['unanswered', DEFAULT_PASSIVE.unanswered],
      ['resets', DEFAULT_PASSIVE.resets],
      ['window', seconds(DEFAULT_PASSIVE.windowMs)],
      ['hold', seconds(DEFAULT_PASSIVE.holdMs)],
    ];
    for (const [key, value] of rows) expect(TEXT).toContain(`| \`${key}\` | \`${value}\` |`);
  });
});
