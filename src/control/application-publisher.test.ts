// Goal: each application keeps its place while it keeps its name, its revision rises exactly when something
// about it changes, and a control processor that comes back changes nothing.

import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import {
  APPLICATION_RUNS,
  ApplicationShare,
  applicationsBuffer,
  SHARE_REVISION,
  SHARE_STATE,
  TALLY_PACKETS,
} from '../memory/application-memory.ts';
import { type MainMemory, plainMainMemory } from '../memory/region.ts';
import { ApplicationPublisher } from './application-publisher.ts';
import { applicationViews } from './application-views.ts';
import type { Ids } from './compile-configuration.ts';
import { parseConfiguration } from './config/parse.ts';
import type { Configuration } from './config/schema.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-publisher-'));
const file = join(folder, 'weir.yaml');
const IDS: Ids = {
  services: new Map([['web', 5]]),
  backends: new Map([['web/b1', 77]]),
};

let memory: MainMemory;
let publisher: ApplicationPublisher;

function configurationOf(...applications: object[]): Configuration {
  const backends = [{ name: 'b1', address: '10.2.0.11' }];
  const web = { name: 'web', address: '10.1.0.100', protocol: 'tcp', port: 80, backends };
  const interfaces = [
    { name: 'ext0', addresses: ['10.1.0.1/24'] },
    { name: 'int0', addresses: ['10.2.0.1/24'] },
  ];
  const text = JSON.stringify({ interfaces, services: [web], applications });
  const { configuration, faults } = parseConfiguration(text, 'f');
  expect(faults).toEqual([]);
  return configuration!;
}

function publish(...applications: object[]): boolean {
  const configuration = configurationOf(...applications);
  return publisher.publish(configuration, IDS, publisher.prepare(configuration, false));
}

const places = () =>
  publisher.plans().map(({ name, slot, revision }) => `${name} ${slot} ${revision}`);
const app = (name: string, rest: object = {}) => ({ name, module: './a.mjs', ...rest });

beforeEach(() => {
  memory = plainMainMemory({ connections: 1024, frames: 256, processors: 2 });
  writeFileSync(join(folder, 'a.mjs'), 'export const match = {};');
  publisher = new ApplicationPublisher(memory, file);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('plans', () => {
  it('say what the configuration says, with numbers for names', () => {
    const match = [{ protocol: 'udp', port: '1-9' }, { service: 'web' }];
    publish(app('one', { match, services: ['web'], budget: '2ms', options: { a: [1] } }));
    expect(publisher.plans()).toMatchObject([
      {
        name: 'one',
        module: join(folder, 'a.mjs'),
        match: [{ protocol: 'udp', port: [1, 9] }, { service: 'web' }],
        options: { a: [1] },
        budgetMicroseconds: 2000,
        services: [
          { name: 'web', id: 5, port: 80, protocol: 6, backends: [{ name: 'b1', id: 77 }] },
        ],
      },
    ]);
  });

  it('that say the same are published once; a change raises one revision', () => {
    expect(publish(app('one'), app('two'))).toBe(true);
    expect(places()).toEqual(['one 0 1', 'two 1 1']);
    expect(publish(app('one'), app('two'))).toBe(false);
    expect(publish(app('two', { options: { x: 1 } }), app('one'))).toBe(true);
    expect(places()).toEqual(['two 1 2', 'one 0 1']);
    expect(applicationsBuffer(memory).generation()).toBe(2);
  });

  it('a changed file is a change; not so for a control processor that comes back', () => {
    publish(app('one'));
    const later = Date.now() / 1000 + 100;
    utimesSync(join(folder, 'a.mjs'), later, later);
    const configuration = configurationOf(app('one'));
    publisher = new ApplicationPublisher(memory, file);
    const before = publisher.prepare(configuration, true);
    expect(publisher.publish(configuration, IDS, before)).toBe(false);
    expect(publish(app('one'))).toBe(true);
    expect(places()).toEqual(['one 0 2']);
  });

  it('a place that becomes free is emptied, and given away last', () => {
    publish(app('one'), app('two'));
    new ApplicationShare(memory, 0, 1).add(TALLY_PACKETS, 5);
    memory.words[memory.layout.applicationTables >> 2] = 9;
    publish(app('two'), app('three'));
    expect(places()).toEqual(['two 1 1', 'three 2 1']);
    publish(...Array.from({ length: 16 }, (_, i) => app(`n${i}`)));
    expect(new Set(publisher.plans().map(({ slot }) => slot)).size).toBe(16);
    expect(new ApplicationShare(memory, 0, 1).tally(TALLY_PACKETS)).toBe(0);
    expect(memory.words[memory.layout.applicationTables >> 2]).toBe(0);
  });

  it('a module that is not there is refused before anything changes', () => {
    publish(app('one'));
    const missing = configurationOf(app('one', { module: './gone.mjs' }));
    expect(() => publisher.prepare(missing, false)).toThrow(
      /one cannot be read: .*gone\.mjs: ENOENT/,
    );
    expect(publisher.prepare(missing, true).get('one')).not.toBeUndefined();
    expect(places()).toEqual(['one 0 1']);
  });

  it('that do not fit are refused before anything changes', () => {
    const large = configurationOf(app('one', { options: { text: 'x'.repeat(600_000) } }));
    expect(() => publisher.prepare(large, false)).toThrow(/plans of the applications need/);
  });

  it('begin again when somebody says so', () => {
    publish(app('one'), app('two'));
    expect(publisher.restart('two')).toBe(true);
    expect(publisher.restart('three')).toBe(false);
    expect(places()).toEqual(['one 0 1', 'two 1 2']);
    // The next reload does not take that back.
    expect(publish(app('one'), app('two'))).toBe(false);
  });
});

describe('views', () => {
  it('add the processors up, and tell the worst state of the present revision', () => {
    publish(app('one'));
    const shares = [0, 1].map((processor) => new ApplicationShare(memory, 0, processor));
    const view = () => applicationViews(memory, publisher.plans())[0];
    expect(view().state).toBe('not loaded');
    for (const share of shares) {
      share.setWord(SHARE_REVISION, 1);
      share.setWord(SHARE_STATE, APPLICATION_RUNS);
      share.add(TALLY_PACKETS, 10);
      share.count(share.nameCounter('hits'), 2);
    }
    shares[1].count(shares[1].nameCounter('misses'), 1);
    expect(view()).toMatchObject({
      state: 'running',
      totals: { packets: 20, counters: { hits: 4, misses: 1 } },
    });
    shares[1].setWord(SHARE_STATE, 3);
    shares[1].setError('why ü');
    expect(view().state).toBe('failed');
    expect(view().processors[1]).toMatchObject({ state: 'failed', lastError: 'why ü' });
    publisher.restart('one');
    expect(view().state).toBe('not loaded');
  });
});
