// Goal: each application keeps its place while it keeps its name, its revision rises exactly when something
// about it changes, and a control processor that comes back changes nothing.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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

async function publish(...applications: object[]): Promise<boolean> {
  const configuration = configurationOf(...applications);
  return publisher.publish(configuration, IDS, await publisher.prepare(configuration, false));
}

/** What a reload would say about modules. */
async function moduleChanges(...applications: object[]): Promise<string[]> {
  const configuration = configurationOf(...applications);
  return publisher.moduleChanges(configuration, await publisher.prepare(configuration, false));
}

const places = () =>
  publisher.plans().map(({ name, slot, revision }) => `${name} ${slot} ${revision}`);
function write(name: string, text: string): void {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
const app = (name: string, rest: object = {}) => ({ name, module: './a.mjs', ...rest });

beforeEach(() => {
  memory = plainMainMemory({ connections: 1024, frames: 256, processors: 2 });
  write('a.mjs', 'export const match = {};');
  publisher = new ApplicationPublisher(memory, file);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('plans', () => {
  it('say what the configuration says, with numbers for names', async () => {
    const match = [{ protocol: 'udp', port: '1-9' }, { service: 'web' }];
    await publish(app('one', { match, services: ['web'], budget: '2ms', options: { a: [1] } }));
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

  it('that say the same are published once; a change raises one revision', async () => {
    expect(await publish(app('one'), app('two'))).toBe(true);
    expect(places()).toEqual(['one 0 1', 'two 1 1']);
    expect(await publish(app('one'), app('two'))).toBe(false);
    expect(await publish(app('two', { options: { x: 1 } }), app('one'))).toBe(true);
    expect(places()).toEqual(['two 1 2', 'one 0 1']);
    expect(applicationsBuffer(memory).generation()).toBe(2);
  });

  it('a changed file is a change; not so for a control processor that comes back', async () => {
    await publish(app('one'));
    write('a.mjs', 'export const match = { port: 1 };');
    const configuration = configurationOf(app('one'));
    publisher = new ApplicationPublisher(memory, file);
    const before = await publisher.prepare(configuration, true);
    expect(publisher.publish(configuration, IDS, before)).toBe(false);
    expect(await moduleChanges(app('one'))).toEqual([
      'application one: its module has changed, it is set up anew',
    ]);
    expect(await publish(app('one'))).toBe(true);
    expect(places()).toEqual(['one 0 2']);
    // The same content is the same file, whenever it was written.
    write('a.mjs', 'export const match = { port: 1 };');
    expect(await moduleChanges(app('one'))).toEqual([]);
    expect(await publish(app('one'))).toBe(false);
  });

  it('what a module imports by relative paths is part of it, wherever it leads', async () => {
    write('a.mjs', "import { b } from './parts/b.mjs';\nexport const match = {};");
    write('parts/b.mjs', "export * from '../c.mjs'; import('./later.mjs');");
    write('c.mjs', 'export const b = 1;');
    await publish(app('one'));
    expect(publisher.plans()[0].importsFiles).toBe(true);
    for (const part of ['c.mjs', 'parts/later.mjs']) {
      write(part, 'export const b = 2;');
      expect(await moduleChanges(app('one')), part).toHaveLength(1);
      await publish(app('one'));
    }
    expect(places()).toEqual(['one 0 3']);
    write('not-imported.mjs', '');
    expect(await publish(app('one'))).toBe(false);
  });

  it('a place that becomes free is emptied, and given away last', async () => {
    await publish(app('one'), app('two'));
    new ApplicationShare(memory, 0, 1).add(TALLY_PACKETS, 5);
    memory.words[memory.layout.applicationTables >> 2] = 9;
    await publish(app('two'), app('three'));
    expect(places()).toEqual(['two 1 1', 'three 2 1']);
    await publish(...Array.from({ length: 16 }, (_, i) => app(`n${i}`)));
    expect(new Set(publisher.plans().map(({ slot }) => slot)).size).toBe(16);
    expect(new ApplicationShare(memory, 0, 1).tally(TALLY_PACKETS)).toBe(0);
    expect(memory.words[memory.layout.applicationTables >> 2]).toBe(0);
  });

  it('a module that is not there is refused before anything changes', async () => {
    await publish(app('one'));
    const missing = configurationOf(app('one', { module: './gone.mjs' }));
    await expect(publisher.prepare(missing, false)).rejects.toThrow(
      /one cannot be read: .*gone\.mjs: ENOENT/,
    );
    expect((await publisher.prepare(missing, true)).get('one')).not.toBeUndefined();
    expect(places()).toEqual(['one 0 1']);
  });

  it.each([
    ['a folder', './folder.mjs', () => mkdirSync(join(folder, 'folder.mjs')), /it is not a file/],
    ['enormous', './large.mjs', () => write('large.mjs', ' '.repeat(17 * 2 ** 20)), /16 MiB/],
    [
      'no JavaScript',
      './wrong.mjs',
      () => write('wrong.mjs', 'export const match = {};\n}}\n'),
      /wrong\.mjs:2: SyntaxError: Unexpected token '}'/,
    ],
  ])('a module that is %s is refused, too', async (_, module, make, message) => {
    make();
    const configuration = configurationOf(app('one', { module }));
    await expect(publisher.prepare(configuration, false)).rejects.toThrow(message);
  });

  it('that do not fit are refused before anything changes', async () => {
    const large = configurationOf(app('one', { options: { text: 'x'.repeat(600_000) } }));
    await expect(publisher.prepare(large, false)).rejects.toThrow(/plans of the applications need/);
  });

  it('begin again when somebody says so', async () => {
    await publish(app('one'), app('two'));
    expect(publisher.restart('two')).toBe(true);
    expect(publisher.restart('three')).toBe(false);
    expect(places()).toEqual(['one 0 1', 'two 1 2']);
    // The next reload does not take that back.
    expect(await publish(app('one'), app('two'))).toBe(false);
  });
});

describe('views', () => {
  it('add the processors up, and tell the worst state of the present revision', async () => {
    await publish(app('one'));
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
